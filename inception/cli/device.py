"""Loading of networks for commands, and the CPU in place of a device whose memory is full."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..runtime.terminal import err

# torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..pretrained.pretrained import PretrainedModel


def load_pretrained(model: str, device: str) -> PretrainedModel:
    """Load a network; its notice, if it has one, goes to stderr.

    Raises:
        WeightsError, DeviceError: if there are no such weights, or there is no such device.
    """
    from ..pretrained.zoo import load
    from ..runtime.device import choose_device, compute_in_full_float32

    compute_in_full_float32()
    pretrained = load(model, choose_device(device).torch_device)
    if pretrained.provenance.notice:
        err(pretrained.provenance.notice)
    return pretrained


def with_cpu_fallback(device: str, run: Callable[[str], int]) -> int:
    """Return `run(device)`, or `run("cpu")` once the device's memory is full."""
    try:
        return run(device)
    except RuntimeError as error:
        from ..runtime.device import choose_device, is_out_of_memory, without_memory

        if not is_out_of_memory(error):
            raise
        notice = without_memory(choose_device(device)).notice
    # Outside the handler: while the error lives, so does what lies in the device's memory.
    err(notice)
    return run("cpu")
