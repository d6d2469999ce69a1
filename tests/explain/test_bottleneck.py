"""Strongest channels of a block's input and reductions, compared with hooks on the plain network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from inception import open_photo
from inception.errors import ChoiceError
from inception.explain.bottleneck import strongest_reduced
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from support.paths import EXAMPLES


@pytest.mark.parametrize("block", ["3a", "4a", "5b"])
def test_strongest_maps_match_the_plain_network(block: str, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    captured: dict[str, np.ndarray] = {}

    def record(layer: str) -> Any:
        def hook(_: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            captured[layer], captured["before"] = output[0].numpy(), inputs[0][0].numpy()

        return hook

    module = embedded.model.block(block)
    handles = [module[f"{name}_reduce"].register_forward_hook(record(name)) for name in ("3x3", "5x5")]
    try:
        with torch.inference_mode():
            embedded.model(embedded.preprocessing.to_tensor(prediction.image))
    finally:
        for handle in handles:
            handle.remove()
    strongest_maps = strongest_reduced(embedded, prediction, block, 24)
    assert list(strongest_maps) == ["before", "3x3", "5x5"]
    for name, strongest in strongest_maps.items():
        means = captured[name].mean(axis=(1, 2))
        assert strongest.count == len(means)
        assert len(set(strongest.numbers)) == len(strongest.numbers) == min(24, len(means))
        expected = captured[name][list(strongest.numbers)]
        # A millionth of the largest value, which is above 100 at the stem, is about ten steps of float32.
        assert strongest.maps == pytest.approx(expected, abs=max(1e-4, 1e-6 * float(expected.max())))
        assert means[list(strongest.numbers)] == pytest.approx(np.sort(means)[::-1][:24], abs=1e-4)


def test_a_negative_count_gives_no_channels(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    for strongest in strongest_reduced(embedded, prediction, "3a", -1).values():
        assert (strongest.numbers, len(strongest.maps)) == ((), 0)


def test_unknown_block_is_rejected(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    with pytest.raises(ChoiceError, match="block is '6a'"):
        strongest_reduced(embedded, prediction, "6a", 24)
