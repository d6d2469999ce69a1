"""Ablated branches and channels, compared with hooks that replace channels of the plain network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from inception import open_photo
from inception.errors import ChoiceError, UserError
from inception.explain.ablation import ablate
from inception.explain.branch_removal import ablated_prediction
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import STAGES, InceptionV1
from inception.prediction import Prediction, predict
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import IMAGENET
from support.networks import randomise
from support.paths import EXAMPLES

Off = Mapping[str, Sequence[str | int]]

CHOICES: list[Off] = [
    {"3a": ["1x1", "pool"]},
    {"5b": ["3x3"]},
    {"4b": ["1x1"], "3b": ["5x5"], "5a": ["1x1", "3x3", "5x5", "pool"]},
    {block: ["3x3"] for block in reversed(BLOCKS)},
    {"4b": [0, 511, 117]},
    {"5b": ["1x1", 1023, 5], "3a": [70], "4e": ["pool"]},
]


@pytest.fixture(scope="module", params=["batchnorm", "googlenet", "torchvision", "preact"])
def pretrained(request: pytest.FixtureRequest) -> PretrainedModel:
    preact = request.param == "preact"
    variant = "batchnorm" if preact else request.param
    model = InceptionV1(variant=variant, preact=preact, classes=7, classifier_activation=None)
    model = randomise(model).requires_grad_(False)  # type: ignore[assignment]
    preprocessing = replace(IMAGENET, resize=96, crop=96, size=96)
    labels = tuple(f"class {index}" for index in range(7))
    means = {
        block: torch.linspace(-1, 2, sum(model.block(block).branch_channels.values()))  # type: ignore[operator]
        for block in BLOCKS
    }
    return PretrainedModel(
        "made up", model, preprocessing, labels, Provenance("", "", "", ""), temperature=1.5, means=means
    )


@pytest.fixture(scope="module")
def prediction(pretrained: PretrainedModel) -> Prediction:
    return predict(pretrained, open_photo(EXAMPLES / "bison.jpg"))


@torch.inference_mode()
def run_with_hooks(
    pretrained: PretrainedModel, prediction: Prediction, off: Off, ablation: str
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Stages and logits of the plain network, whose hooks set ablated channels to zero or to their means."""
    model = pretrained.model

    def ablate_block(block: str) -> torch.utils.hooks.RemovableHandle:
        def hook(module: torch.nn.Module, _: object, output: torch.Tensor) -> torch.Tensor:
            output = output.clone()
            for member in off[block]:
                part = module.slices[member] if isinstance(member, str) else slice(member, member + 1)  # type: ignore[index]
                output[:, part] = 0 if ablation == "zero" else pretrained.means[block][part].view(1, -1, 1, 1)
            return output

        return model.block(block).register_forward_hook(hook)

    handles = [ablate_block(block) for block in off]
    try:
        trace = model.trace(pretrained.preprocessing.to_tensor(prediction.image))
    finally:
        for handle in handles:
            handle.remove()
    assert trace.logits is not None
    return {name: maps[0].numpy() for name, maps in trace.stages.items()}, trace.logits[0].numpy()


@pytest.mark.parametrize("ablation", ["zero", "mean"])
@pytest.mark.parametrize("off", CHOICES, ids=lambda off: "+".join(off))
def test_ablated_prediction_matches_hooks_on_the_plain_network(
    off: Off, ablation: str, pretrained: PretrainedModel, prediction: Prediction
) -> None:
    ablated = ablated_prediction(pretrained, prediction, off, ablation)
    stages, logits = run_with_hooks(pretrained, prediction, off, ablation)
    assert ablated.stages.keys() == stages.keys()
    for name, maps in stages.items():
        np.testing.assert_allclose(ablated.stages[name], maps, rtol=1e-4, atol=1e-4, err_msg=name)
    assert ablated.logits == pytest.approx(logits, abs=1e-4)
    assert ablated.probabilities == pytest.approx(torch.from_numpy(logits / 1.5).softmax(0).numpy(), abs=1e-5)
    if ablation == "zero":
        for block, members in off.items():
            for member in members:
                assert not (
                    ablated.branch(block, member) if isinstance(member, str) else ablated.block(block)[member]
                ).any()


def test_earlier_stages_are_shared_and_the_original_is_unchanged(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    before = {name: maps.copy() for name, maps in prediction.stages.items()}
    ablated = ablated_prediction(pretrained, prediction, {"4e": ["pool"], "4b": ["1x1"]})
    first = STAGES.index("inception_4b")
    assert all(ablated.stages[name] is prediction.stages[name] for name in STAGES[:first])
    assert not any(np.shares_memory(ablated.stages[name], prediction.stages[name]) for name in STAGES[first:])
    assert all(np.array_equal(prediction.stages[name], maps) for name, maps in before.items())
    assert not any(maps.flags.writeable for maps in (*ablated.stages.values(), ablated.logits, ablated.probabilities))
    assert ablated.image is prediction.image
    assert ablated.seconds > 0


@pytest.mark.parametrize("ablation", ["zero", "mean"])
@pytest.mark.parametrize("channels", [[], [0, 300, 511]])
def test_ablating_one_block_agrees_with_ablate(
    ablation: str, channels: list[int], pretrained: PretrainedModel, prediction: Prediction
) -> None:
    ablated = ablated_prediction(pretrained, prediction, {"4c": ["3x3", "1x1", *channels]}, ablation)
    result = ablate(pretrained, prediction, "4c", ["3x3", "1x1"], channels, ablation, top=7)
    for change in result.top:
        assert ablated.logits[change.index] == pytest.approx(change.logit, abs=1e-5)
        assert ablated.probabilities[change.index] == pytest.approx(change.probability, abs=1e-6)


def test_one_branch_may_be_given_by_its_name(pretrained: PretrainedModel, prediction: Prediction) -> None:
    by_name, listed = (ablated_prediction(pretrained, prediction, {"4c": off}) for off in ("3x3", ["3x3"]))
    assert np.array_equal(by_name.logits, listed.logits)
    assert not np.array_equal(by_name.logits, prediction.logits)


def test_ablating_nothing_returns_the_same_prediction(pretrained: PretrainedModel, prediction: Prediction) -> None:
    assert ablated_prediction(pretrained, prediction, {}) is prediction
    assert ablated_prediction(pretrained, prediction, {"4b": []}) is prediction


def test_unknown_channels_and_missing_means_are_rejected(pretrained: PretrainedModel, prediction: Prediction) -> None:
    with pytest.raises(UserError, match="There is no channel 512 in 4b; its channels are numbered 0 to 511"):
        ablated_prediction(pretrained, prediction, {"4b": [512]})
    with pytest.raises(UserError, match="There is no channel -1"):
        ablated_prediction(pretrained, prediction, {"4b": ["1x1", -1]})
    with pytest.raises(ChoiceError, match="ablation is 'noise'"):
        ablated_prediction(pretrained, prediction, {"4b": [1]}, "noise")
    with pytest.raises(UserError, match="come without their branches’ means"):
        ablated_prediction(replace(pretrained, means={}), prediction, {"4b": [1]}, "mean")


def test_unknown_blocks_and_branches_are_rejected(pretrained: PretrainedModel, prediction: Prediction) -> None:
    with pytest.raises(ChoiceError, match="branch is '7x7'"):
        ablated_prediction(pretrained, prediction, {"4b": ["7x7"]})
    with pytest.raises(ChoiceError, match="block is '6a'"):
        ablated_prediction(pretrained, prediction, {"6a": ["1x1"]})
