"""Choice of the device, and detection of its full memory."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import DeviceError, quoted

DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Device:
    """A device and its name for people; `fell_back_from` is the type of the full device that it replaces, if any."""

    torch_device: torch.device
    name: str
    fell_back_from: str = ""

    @property
    def notice(self) -> str:
        """One sentence if this device replaces another, else an empty text."""
        if not self.fell_back_from:
            return ""
        return f"The memory of the {self.fell_back_from} device is full; the network runs on the CPU from now on."


def choose_device(name: str = "auto") -> Device:
    """Return the device called `name`; "auto" is a GPU if this machine has one that works, else the CPU.

    Raises:
        DeviceError: if `name` is not one of `DEVICES`, or a GPU that this machine does not have or cannot use.
    """
    if name not in DEVICES:
        raise unknown_device(name)
    # Called only if necessary, as the check makes PyTorch initialise CUDA.
    works: dict[str, Callable[[], bool]] = {
        "cuda": _cuda_works,
        "mps": torch.backends.mps.is_available,
        "cpu": lambda: True,
    }
    if name == "auto":
        return _named(next(kind for kind, is_usable in works.items() if is_usable()))
    if not works[name]():
        raise DeviceError(
            "device_missing",
            "This machine has no {wish} device that PyTorch can use; choose auto, or one of those that it has: "
            "{devices}.",
            wish=name,
            devices=", ".join(kind for kind, is_usable in works.items() if is_usable()),
        )
    return _named(name)


def compute_in_full_float32() -> None:
    """Let the convolutions of this process compute in float32 on NVIDIA's GPUs.

    PyTorch's default there is TF32, which rounds their inputs to 10 bits. A setting of the whole process, so only for
    processes of this project's own.
    """
    torch.backends.cudnn.allow_tf32 = False


def usable_device(device: str | torch.device) -> torch.device:
    """Return the device called `device`, one of `DEVICES` or for instance "cuda:1".

    A `torch.device` of another kind, such as "xpu", is returned as it is: whether it works is PyTorch's to say.

    Raises:
        DeviceError: if PyTorch knows no such device, or this machine does not have it or cannot use it.
    """
    if device == "auto":
        return choose_device().torch_device
    if isinstance(device, torch.device) and device.type not in DEVICES:
        return device
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise unknown_device(str(device)) from error
    usable = choose_device(wanted.type).torch_device
    if wanted.index is None:
        return usable
    if wanted.index >= (torch.cuda.device_count() if wanted.type == "cuda" else 1):
        raise unknown_device(str(device))
    return wanted


def unknown_device(name: object) -> DeviceError:
    """Return the error for a device's unknown name."""
    return DeviceError(
        "device_unknown",
        "There is no device called {wish}; choose one of {devices}.",
        wish=quoted(name),
        devices=", ".join(DEVICES),
    )


def without_memory(device: Device) -> Device:
    """Return the CPU as the replacement of a device whose memory is full."""
    return Device(torch.device("cpu"), "CPU", fell_back_from=device.torch_device.type)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that a GPU has no memory left."""
    # Apple's GPUs raise a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and str(error).startswith("MPS backend out of memory")
    )


def cpu_name() -> str:
    """Return the name of this machine's processor, or its architecture if that is all that is known."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return str(capabilities.get("cpu_name") or platform.processor() or platform.machine())


def _cuda_works() -> bool:
    # This build of PyTorch may not support the driver: only an allocation shows it.
    try:
        return torch.cuda.is_available() and bool(torch.zeros(1, device="cuda").numel())
    except RuntimeError:
        return False


def _named(kind: str) -> Device:
    if kind == "cuda":
        return Device(torch.device("cuda"), torch.cuda.get_device_name())
    return Device(torch.device(kind), {"mps": "Apple GPU", "cpu": "CPU"}[kind])
