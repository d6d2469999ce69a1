"""Choice of the device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from inception.cli.device import load_pretrained
from inception.pretrained.zoo import load
from inception.runtime.device import choose_device


def test_the_cpu_is_chosen_without_a_look_at_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def started() -> bool:
        raise AssertionError("CUDA was started")

    monkeypatch.setattr("torch.cuda.is_available", started)
    monkeypatch.setattr("torch.backends.mps.is_available", started)
    assert choose_device("cpu").torch_device == torch.device("cpu")
    assert load(device="cpu").device == torch.device("cpu")


@pytest.fixture
def tf32() -> Iterator[None]:
    """PyTorch's default setting, which is restored."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, True
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.usefixtures("tf32")
def test_commands_compute_in_full_float32_and_the_library_changes_no_setting() -> None:
    load()
    assert torch.backends.cudnn.allow_tf32
    load_pretrained("tiny-imagenet", "cpu")
    assert not torch.backends.cudnn.allow_tf32
