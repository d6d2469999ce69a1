"""What the reductions make of a block's input, against hooks on the plain network."""

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
def test_the_strongest_maps_are_those_of_the_running_network(block: str, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    seen: dict[str, np.ndarray] = {}

    def note(name: str) -> Any:
        def hook(_: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            seen[name], seen["before"] = output[0].numpy(), inputs[0][0].numpy()

        return hook

    module = embedded.model.block(block)
    handles = [module[f"{name}_reduce"].register_forward_hook(note(name)) for name in ("3x3", "5x5")]
    try:
        with torch.inference_mode():
            embedded.model(embedded.preprocessing.to_tensor(prediction.image))
    finally:
        for handle in handles:
            handle.remove()
    told = strongest_reduced(embedded, prediction, block, 24)
    assert list(told) == ["before", "3x3", "5x5"]
    for name, strongest in told.items():
        means = seen[name].mean(axis=(1, 2))
        assert strongest.count == len(means)
        assert len(set(strongest.numbers)) == len(strongest.numbers) == min(24, len(means))
        assert strongest.maps == pytest.approx(seen[name][list(strongest.numbers)], abs=1e-4)
        assert means[list(strongest.numbers)] == pytest.approx(np.sort(means)[::-1][:24], abs=1e-4)


def test_an_unknown_block_is_refused(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, open_photo(EXAMPLES / "bison.jpg"))
    with pytest.raises(ChoiceError, match="block is '6a'"):
        strongest_reduced(embedded, prediction, "6a", 24)
