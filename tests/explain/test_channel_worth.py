"""Worth of single channels, compared with gradients and with ablating channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inception import open_photo
from inception.errors import ChoiceError
from inception.explain.attribution import evidence
from inception.explain.channel_worth import channel_worth
from inception.explain.masking import ExplanationError, block_output, logits_from
from inception.network.blocks import BLOCKS
from inception.network.inception_v1 import STAGES, InceptionV1
from inception.prediction import Prediction, predict
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import IMAGENET
from support.networks import randomise
from support.paths import EXAMPLES


@pytest.fixture(scope="module", params=["batchnorm", "googlenet", "torchvision"])
def pretrained(request: pytest.FixtureRequest) -> PretrainedModel:
    model = randomise(InceptionV1(variant=request.param, classes=7, classifier_activation=None)).requires_grad_(False)
    preprocessing = replace(IMAGENET, resize=96, crop=96, size=96)
    labels = tuple(f"class {index}" for index in range(7))
    return PretrainedModel("made up", model, preprocessing, labels, Provenance("", "", "", ""))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def prediction(pretrained: PretrainedModel) -> Prediction:
    return predict(pretrained, open_photo(EXAMPLES / "bison.jpg"))


def gradient_times_activation(pretrained: PretrainedModel, prediction: Prediction, index: int) -> dict[str, np.ndarray]:
    """Gradient times activation of each channel, by one backward pass through the engine to block 3a.

    The plain network would not do: rounding can switch a ReLU or max pool that is close to its kink.
    """
    y = block_output(pretrained, prediction, "3a").requires_grad_()
    outputs = {"3a": y}
    for stage in STAGES[STAGES.index("inception_3b") :]:
        y = pretrained.engine.get_submodule(stage)(y)
        outputs[stage.removeprefix("inception_")] = y
    for output in outputs.values():
        output.retain_grad()
    pretrained.engine.required_head(y)[0, index].backward()
    return {
        block: np.einsum("chw,chw->c", outputs[block].grad[0].numpy(), outputs[block].detach()[0].numpy())
        for block in BLOCKS
    }


def test_worth_is_gradient_times_activation_for_every_block_and_class(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    worth = channel_worth(pretrained, prediction, (5, 0))
    assert list(worth) == [5, 0]
    for index, blocks in worth.items():
        assert list(blocks) == list(BLOCKS)
        reference = gradient_times_activation(pretrained, prediction, index)
        for block, values in blocks.items():
            expected = reference[block]
            assert values == pytest.approx(expected, abs=1e-4 * (1 + float(np.abs(expected).max()))), (index, block)
            assert values.dtype == np.float32
            assert not values.flags.writeable


def test_worth_from_a_later_block_on_is_the_same(pretrained: PretrainedModel, prediction: Prediction) -> None:
    all_blocks = channel_worth(pretrained, prediction, [4])[4]
    for first in ("4c", "5b"):
        later = channel_worth(pretrained, prediction, [4], first)[4]
        assert list(later) == [block for block in BLOCKS if block >= first]
        for block, values in later.items():
            assert values == pytest.approx(all_blocks[block], abs=1e-5)
    with pytest.raises(ChoiceError):
        channel_worth(pretrained, prediction, [4], "6a")


def test_worth_of_the_last_block_adds_up_to_the_evidence(pretrained: PretrainedModel, prediction: Prediction) -> None:
    (blocks,) = channel_worth(pretrained, prediction, [3]).values()
    split = evidence(pretrained, prediction, 3)
    for branch, part in prediction.slices["5b"].items():
        assert float(blocks["5b"][part].sum()) == pytest.approx(split.amounts[branch], abs=1e-4)
    assert float(blocks["5b"].sum()) + split.rest == pytest.approx(float(prediction.logits[3]), abs=1e-4)


# Not `batchnorm`: its head has a hidden layer.
@pytest.mark.parametrize("pretrained", ["googlenet", "torchvision"], indirect=True)
def test_worth_before_a_linear_head_is_the_logit_lost_by_ablation(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    assert evidence(pretrained, prediction, 3).linear
    (blocks,) = channel_worth(pretrained, prediction, [3]).values()
    output = block_output(pretrained, prediction, "5b")
    for channel in (0, 400, 1023):
        ablated = output.clone()
        ablated[:, channel] = 0
        drop = float(prediction.logits[3]) - float(logits_from(pretrained, "5b", ablated)[0, 3])
        assert float(blocks["5b"][channel]) == pytest.approx(drop, abs=1e-4)


def test_network_is_unchanged(pretrained: PretrainedModel, prediction: Prediction) -> None:
    before = [parameter.clone() for parameter in pretrained.engine.parameters()]
    with torch.inference_mode():
        channel_worth(pretrained, prediction, [0, 1])
    for model in (pretrained.model, pretrained.engine):
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.parameters())
    for parameter, original in zip(pretrained.engine.parameters(), before, strict=True):
        assert torch.equal(parameter, original)
    again = predict(pretrained, open_photo(EXAMPLES / "bison.jpg"))
    assert np.array_equal(again.logits, prediction.logits)


def test_no_classes_give_no_worth_and_unknown_classes_are_rejected(
    pretrained: PretrainedModel, prediction: Prediction
) -> None:
    assert channel_worth(pretrained, prediction, ()) == {}
    with pytest.raises(ExplanationError, match="no class number 7"):
        channel_worth(pretrained, prediction, [7])
