"""Where the network runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .errors import DeviceError

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """The chosen device; `fell_back_from` names the one that was asked for and is not there."""

    torch_device: torch.device
    name: str
    fell_back_from: str = ""

    @property
    def notice(self) -> str:
        """One sentence where the wish could not be met, else nothing."""
        if not self.fell_back_from:
            return ""
        return f"This machine has no usable {self.fell_back_from} device; the network runs on the CPU instead."


def choose_device(wish: str = "auto") -> Device:
    """The device to run on: "auto" takes a GPU where there is one.

    Raises:
        DeviceError: if `wish` is none of `DEVICES`.
    """
    if wish not in DEVICES:
        raise DeviceError(
            "device_unknown",
            "There is no device called {wish}; choose one of {devices}.",
            wish=repr(wish),
            devices=", ".join(DEVICES),
        )
    usable = {"cuda": _cuda_works(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wish == "auto":
        return _named(next(name for name, there in usable.items() if there))
    if usable[wish]:
        return _named(wish)
    return Device(torch.device("cpu"), "CPU", fell_back_from=wish)


def _cuda_works() -> bool:
    # A driver may be there that this build of PyTorch cannot use: only a real allocation tells.
    try:
        return torch.cuda.is_available() and bool(torch.zeros(1, device="cuda").numel())
    except RuntimeError:
        return False


def _named(kind: str) -> Device:
    if kind == "cuda":
        return Device(torch.device("cuda"), torch.cuda.get_device_name())
    return Device(torch.device(kind), {"mps": "Apple GPU", "cpu": "CPU"}[kind])
