"""Processes of `torchrun`: their number, and the GPU that each claims."""

from __future__ import annotations

import pytest
import torch

from inception.training.distributed import SINGLE_PROCESS, claim_device, process_group


def test_an_empty_world_size_means_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "")
    with process_group(torch.device("cpu")) as world:
        assert world == SINGLE_PROCESS


@pytest.mark.parametrize(("rank", "claimed"), [("1", [1]), (None, [])])
def test_a_process_claims_its_own_gpu(rank: str | None, claimed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    claim_device()
    assert devices == claimed
