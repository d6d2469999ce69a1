"""Where the network runs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import DeviceError, quoted

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """The chosen device; `fell_back_from` names the one whose memory was full, and which this one replaces."""

    torch_device: torch.device
    name: str
    fell_back_from: str = ""

    @property
    def notice(self) -> str:
        """One sentence where this device replaces another, else nothing."""
        if not self.fell_back_from:
            return ""
        return f"The memory of the {self.fell_back_from} device is full; the network runs on the CPU from now on."


def choose_device(wish: str = "auto") -> Device:
    """The device to run on: "auto" takes a GPU where there is one, and the CPU where there is none.

    Raises:
        DeviceError: if `wish` is none of `DEVICES`, or a GPU that this machine does not have or cannot use.
    """
    if wish not in DEVICES:
        raise unknown_device(wish)
    usable = {"cuda": _cuda_works(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wish == "auto":
        return _named(next(name for name, there in usable.items() if there))
    if not usable[wish]:
        raise DeviceError(
            "device_missing",
            "This machine has no {wish} device that PyTorch can use; choose auto, or one of those that it has: "
            "{devices}.",
            wish=wish,
            devices=", ".join(name for name, there in usable.items() if there),
        )
    return _named(wish)


def unknown_device(wish: object) -> DeviceError:
    """The error where a device's name is wrong."""
    return DeviceError(
        "device_unknown",
        "There is no device called {wish}; choose one of {devices}.",
        wish=quoted(wish),
        devices=", ".join(DEVICES),
    )


def without_memory(device: Device) -> Device:
    """The CPU, in place of a device whose memory is full."""
    return Device(torch.device("cpu"), "CPU", fell_back_from=device.torch_device.type)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device other than the CPU had no memory left."""
    # Apple's say it in words only.
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and str(error).startswith("MPS backend out of memory")
    )


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
