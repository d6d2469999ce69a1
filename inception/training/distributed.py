"""Distributed training (`torchrun`) and support for bfloat16."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class World:
    """Rank of this process and number of training processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and messages."""
        return self.rank == 0

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        if self.size > 1:
            distributed.barrier()


SINGLE_PROCESS = World()


@contextmanager
def process_group(device: torch.device) -> Iterator[World]:
    """Join the process group if `torchrun` started this process, and leave it on exit."""
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        yield SINGLE_PROCESS
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def claim_device() -> None:
    """Make the GPU that `torchrun` assigned to this process the current one, before anything is allocated on a GPU.

    Otherwise each process would also take memory of the first GPU.
    """
    if "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


def local_device(device: torch.device) -> torch.device:
    """Return the GPU that `torchrun` assigned to this process; `device` itself without `torchrun` or GPUs."""
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    local = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(local)
    return local


def low_precision(device: torch.device) -> bool:
    """Return whether the device computes bfloat16 natively; emulated, it would be slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
