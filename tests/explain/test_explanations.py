"""Votes, switches, evidence and Grad-CAM, against onnxruntime, brute force, arithmetic by hand and pytorch-grad-cam."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from math import factorial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from inception import open_photo
from inception.errors import ChoiceError, UserError
from inception.explain.ablation import ablate, ablation_table
from inception.explain.attribution import evidence, grad_cam, grad_cams
from inception.explain.circuit import logit_circuit
from inception.explain.masking import ExplanationError, branch_mask, class_index, logits_from
from inception.explain.shapley import BRANCH_NAMES, BRANCH_SUBSETS, branch_votes, shapley_values
from inception.explain.subsets import logits_of_subsets
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, predict
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.pretrained.zoo import load
from inception.vision.preprocessing import CAFFE, IMAGENET
from support.networks import lively
from support.paths import EXAMPLES

PHOTO = EXAMPLES / "espresso.jpg"
LAST_CONV = {"1x1": "1x1", "3x3": "3x3", "5x5": "5x5", "pool": "pool_proj"}


def pretrained_of(model: InceptionV1, **more) -> PretrainedModel:
    labels = tuple(f"class {index}" for index in range(model.classes))
    how = more.pop("preprocessing", replace(IMAGENET, resize=64, crop=64, size=64))
    model.eval().requires_grad_(False)
    return PretrainedModel("made up", model, how, labels, Provenance("", "", "", ""), **more)


@pytest.fixture(scope="module")
def made_up() -> dict[str, PretrainedModel]:
    return {
        variant: pretrained_of(lively(InceptionV1(variant=variant, classes=7, classifier_activation=None)))
        for variant in ("batchnorm", "googlenet", "torchvision")
    }


@pytest.fixture(scope="module")
def seen(made_up: dict[str, PretrainedModel]) -> dict[str, Prediction]:
    return {variant: predict(one, open_photo(PHOTO)) for variant, one in made_up.items()}


def without(model: InceptionV1, block: str, branches: set[str]) -> InceptionV1:
    """A copy whose last convolutions of some branches are zero, and their BatchNorm harmless."""
    copy = InceptionV1(variant=model.variant.name, classes=model.classes, classifier_activation=None)
    copy.load_state_dict(model.state_dict())
    for branch in branches:
        for module in copy.block(block)[LAST_CONV[branch]].modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data.zero_()
                if module.bias is not None:
                    module.bias.data.zero_()
            elif isinstance(module, nn.BatchNorm2d):
                module.running_mean.zero_()
                module.bias.data.zero_()
    return copy.eval().requires_grad_(False)


# ---------------------------------------------------------------- votes


@pytest.mark.parametrize("block", ["3a", "4c", "5b"])
def test_all_sixteen_logits_are_those_of_a_network_whose_branches_are_cut_off(
    block: str, random_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(random_onnx.parent))
    pretrained = load("googlenet")
    prediction = predict(pretrained, open_photo(PHOTO))
    told = branch_votes(pretrained, prediction, block, 281)
    assert len(told.subsets) == 16
    whole = onnx.load(random_onnx)
    x = CAFFE.to_tensor(prediction.image).numpy()
    for on, logit in told.subsets.items():
        cut = onnx.ModelProto()
        cut.CopyFrom(whole)
        for tensor in cut.graph.initializer:
            for branch in set(BRANCH_NAMES) - on:
                if tensor.name.startswith(f"inception_{block}/{LAST_CONV[branch]}_"):
                    zeros = np.zeros_like(numpy_helper.to_array(tensor))
                    tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
        session = onnxruntime.InferenceSession(cut.SerializeToString(), providers=["CPUExecutionProvider"])
        (logits,) = session.run(["loss3/classifier_1"], {"data_0": x})
        assert logit == pytest.approx(float(logits[0, 281]), abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
@pytest.mark.parametrize("block", BLOCKS)
def test_the_votes_and_the_rest_add_up_to_the_logit(variant: str, block: str, made_up, seen) -> None:
    told = branch_votes(made_up[variant], seen[variant], block, 3)
    assert told.label == "class 3"
    assert told.logit == pytest.approx(float(seen[variant].logits[3]))
    assert told.baseline + sum(told.votes.values()) == pytest.approx(told.logit, abs=1e-4)
    assert told.error < 1e-4
    cut = without(made_up[variant].model, block, {"3x3", "pool"})
    logits = cut.trace(made_up[variant].preprocessing.to_tensor(seen[variant].image)).logits
    on = frozenset({"1x1", "5x5"})
    assert told.subsets[on] == pytest.approx(float(logits[0, 3]), abs=1e-4)
    assert told.probabilities[on] == pytest.approx(float(logits.softmax(1)[0, 3]), abs=1e-5)


def brute_force(worth: dict[frozenset[str], float]) -> dict[str, float]:
    total = dict.fromkeys(BRANCH_NAMES, 0.0)
    for order in itertools.permutations(BRANCH_NAMES):
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            total[player] += (worth[before | {player}] - worth[before]) / factorial(len(BRANCH_NAMES))
    return total


def games() -> list[frozenset[str]]:
    return [frozenset(some) for size in range(5) for some in itertools.combinations(BRANCH_NAMES, size)]


def test_shapley_values_are_the_mean_over_all_orders() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        worth = {some: float(rng.normal()) for some in games()}
        assert shapley_values(worth, BRANCH_NAMES) == pytest.approx(brute_force(worth))


def test_players_alike_share_alike_and_who_adds_nothing_gets_nothing() -> None:
    # 1x1 and 3x3 only count together, pool counts for itself, 5x5 does nothing.
    worth = {some: 6.0 * ({"1x1", "3x3"} <= some) + 1.5 * ("pool" in some) for some in games()}
    assert shapley_values(worth, BRANCH_NAMES) == pytest.approx({"1x1": 3.0, "3x3": 3.0, "5x5": 0.0, "pool": 1.5})


def _first_layers(model: InceptionV1, block: str) -> list[nn.Conv2d]:
    following = model.block(block)
    return [following[name].conv for name in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj")]


def test_a_branch_that_nobody_reads_has_no_vote() -> None:
    model = lively(InceptionV1(variant="googlenet", classes=5, classifier_activation=None))
    where = model.block("4a").slices["3x3"]
    for conv in _first_layers(model, "4b"):
        conv.weight.data[:, where] = 0
    pretrained = pretrained_of(model)
    told = branch_votes(pretrained, predict(pretrained, open_photo(PHOTO)), "4a", 0)
    assert told.votes["3x3"] == pytest.approx(0, abs=1e-5)
    assert max(abs(vote) for vote in told.votes.values()) > 1e-3


def test_two_branches_that_do_the_same_have_the_same_vote() -> None:
    model = lively(InceptionV1(variant="googlenet", classes=5, classifier_activation=None))
    # In block 3a the 5x5 and the pool branch have 32 channels each.
    slices = model.block("3a").slices
    for conv in _first_layers(model, "3b"):
        conv.weight.data[:, slices["pool"]] = conv.weight.data[:, slices["5x5"]]
    pretrained = pretrained_of(model)
    prediction = predict(pretrained, open_photo(PHOTO))
    output = prediction.stages["inception_3a"].copy()
    output[slices["pool"]] = output[slices["5x5"]]
    told = branch_votes(pretrained, replace(prediction, stages={**prediction.stages, "inception_3a": output}), "3a", 0)
    assert told.votes["5x5"] == pytest.approx(told.votes["pool"], rel=1e-4)
    assert abs(told.votes["5x5"]) > 1e-4


def test_off_may_mean_the_mean_over_training_photos(made_up, seen) -> None:
    rng = np.random.default_rng(0)
    widths = {block: sum(made_up["batchnorm"].model.block(block).branch_channels.values()) for block in BLOCKS}
    means = {block: torch.from_numpy(rng.random(width).astype(np.float32)) for block, width in widths.items()}
    pretrained = replace(made_up["batchnorm"], means=means)
    told = branch_votes(pretrained, seen["batchnorm"], "4d", 2, ablation="mean")
    assert told.total == pytest.approx(told.logit, abs=1e-4)
    output = torch.from_numpy(seen["batchnorm"].block("4d").copy()).unsqueeze(0)
    where = pretrained.model.block("4d").slices["5x5"]
    output[:, where] = means["4d"][where].view(1, -1, 1, 1)
    by_hand = pretrained.model.trace(output, start="inception_4e").logits[0, 2]
    assert told.subsets[frozenset(BRANCH_NAMES) - {"5x5"}] == pytest.approx(float(by_hand), abs=1e-4)
    with pytest.raises(ExplanationError, match="come without their branches’ means"):
        branch_votes(made_up["batchnorm"], seen["batchnorm"], "4d", ablation="mean")


# ---------------------------------------------------------------- switches and the table


def test_the_answer_without_branches_is_that_of_a_network_without_them(made_up, seen) -> None:
    told = ablate(made_up["torchvision"], seen["torchvision"], "4b", ["pool", "1x1"], top=7)
    cut = without(made_up["torchvision"].model, "4b", {"pool", "1x1"})
    expected = cut.trace(made_up["torchvision"].preprocessing.to_tensor(seen["torchvision"].image)).logits[0]
    assert told.branches == ("1x1", "pool")
    assert [change.logit for change in told.top] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-4)
    before = seen["torchvision"].probabilities
    assert all(change.probability_before == pytest.approx(float(before[change.index])) for change in told.top)
    changes = {change.index: change.probability - change.probability_before for change in told.top}
    assert [change.index for change in told.risen] == sorted(
        (index for index in changes if changes[index] > 0), key=lambda index: -changes[index]
    )[:3]
    assert [change.index for change in told.fallen] == sorted(
        (index for index in changes if changes[index] < 0), key=lambda index: changes[index]
    )[:3]


def test_nothing_switched_off_changes_nothing(made_up, seen) -> None:
    told = ablate(made_up["batchnorm"], seen["batchnorm"], "3b")
    assert [change.index for change in told.top] == [guess.index for guess in seen["batchnorm"].top(5)]
    assert all(change.logit == pytest.approx(change.logit_before, abs=1e-4) for change in told.top)


def test_single_channels_are_switched_off_where_they_lie_in_the_output(made_up, seen) -> None:
    pretrained, prediction = made_up["batchnorm"], seen["batchnorm"]
    every = range(*pretrained.model.block("5a").slices["5x5"].indices(10_000))
    one_by_one = ablate(pretrained, prediction, "5a", channels=every)
    at_once = ablate(pretrained, prediction, "5a", ["5x5"])
    assert [change.logit for change in one_by_one.top] == pytest.approx([change.logit for change in at_once.top])
    single = ablate(pretrained, prediction, "5a", channels=[every[0]])
    assert [change.logit for change in single.top] != pytest.approx([change.logit for change in at_once.top])
    with pytest.raises(ExplanationError, match="channels 0 to 831"):
        ablate(pretrained, prediction, "5a", channels=[832])


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
def test_the_table_tells_what_each_branch_alone_is_worth(variant: str, made_up, seen) -> None:
    told = ablation_table(made_up[variant], seen[variant], 4)
    assert list(told.falls) == list(BLOCKS)
    for block in BLOCKS:
        alone = branch_votes(made_up[variant], seen[variant], block, 4)
        for branch in BRANCHES:
            fall = alone.logit - alone.subsets[frozenset(BRANCH_NAMES) - {branch}]
            assert told.falls[block][branch] == pytest.approx(fall, abs=1e-4)


# ---------------------------------------------------------------- evidence


@pytest.mark.parametrize("variant", ["googlenet", "torchvision"])
def test_a_linear_heads_evidence_is_its_weights_times_the_maps(variant: str, made_up, seen) -> None:
    told = evidence(made_up[variant], seen[variant], 1)
    head = made_up[variant].model.head.classifier
    maps = seen[variant].block("5b").astype(np.float64)
    weights = head.weight[1].double().numpy()
    by_hand = np.einsum("c,chw->hw", weights, maps) / maps[0].size
    assert told.linear
    assert np.allclose(told.map, by_hand, atol=1e-5)
    assert told.rest == float(head.bias[1])
    assert told.total == pytest.approx(told.logit, abs=1e-4)
    assert told.error == abs(told.total - told.logit)
    amounts = weights * maps.mean(axis=(1, 2))
    assert [one.channel for one in told.strongest_for] == np.argsort(-amounts, kind="stable")[:10].tolist()
    assert told.strongest_against[0].amount == pytest.approx(amounts.min(), abs=1e-5)
    where = made_up[variant].model.block("5b").slices
    assert all(where[one.branch].start <= one.channel < where[one.branch].stop for one in told.strongest_for)


def test_a_hidden_layers_evidence_holds_for_this_photo_with_the_biases_as_rest(made_up, seen) -> None:
    told = evidence(made_up["batchnorm"], seen["batchnorm"], 5)
    head = made_up["batchnorm"].model.head
    pooled = seen["batchnorm"].block("5b").astype(np.float64).mean(axis=(1, 2))
    hidden_weight, hidden_bias = (tensor.double().numpy() for tensor in (head.hidden.weight, head.hidden.bias))
    active = (hidden_weight @ pooled + hidden_bias) > 0
    out = head.classifier.weight[5].double().numpy() * active
    assert not told.linear
    assert told.rest == pytest.approx(float(out @ hidden_bias + float(head.classifier.bias[5])), abs=1e-9)
    assert sum(told.amounts.values()) == pytest.approx(float(out @ hidden_weight @ pooled), abs=1e-4)
    assert told.total == pytest.approx(told.logit, abs=1e-4)


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
def test_the_rest_is_computed_by_itself_so_that_the_sum_is_a_check(variant: str, made_up, seen) -> None:
    told = evidence(made_up[variant], seen[variant], 2)
    assert told.rest == logit_circuit(made_up[variant], seen[variant], 2).constant
    assert told.error < 1e-4


# ---------------------------------------------------------------- Grad-CAM


def their_cam(pretrained: PretrainedModel, layer: nn.Module, prediction: Prediction, index: int) -> np.ndarray:
    with GradCAM(model=pretrained.model, target_layers=[layer]) as cam:
        x = pretrained.preprocessing.to_tensor(prediction.image).requires_grad_()
        return cam(input_tensor=x, targets=[ClassifierOutputTarget(index)])[0]


@pytest.mark.parametrize("block", ["3a", "3b", "4a", "4c", "4e", "5a", "5b"])
def test_grad_cam_is_that_of_pytorch_grad_cam(block: str, made_up, seen) -> None:
    pretrained, prediction = made_up["batchnorm"], seen["batchnorm"]
    pretrained.model.softmax = None
    compared = 0
    for index in range(7):
        ours = grad_cams(pretrained, prediction, block, index)
        layers = {None: pretrained.model.block(block)}
        layers.update({branch: pretrained.model.block(block)[LAST_CONV[branch]] for branch in BRANCHES})
        for branch, layer in layers.items():
            small = torch.from_numpy(ours[branch].rectified.astype(np.float32))
            if small.numel() < 4 or small.std() < 1e-6 or ours[branch].rectified.std() == 0:
                continue
            theirs = their_cam(pretrained, layer, prediction, index)
            # Theirs comes scaled to 0..1 and enlarged to the photo: ours by the same enlargement.
            import cv2

            enlarged = cv2.resize(small.numpy(), theirs.shape[::-1])
            assert np.corrcoef(enlarged.ravel(), theirs.ravel())[0, 1] >= 0.999
            compared += 1
    assert compared >= 8
    assert all(parameter.grad is None for parameter in pretrained.model.parameters())


def test_grad_cam_by_hand_at_the_last_block(made_up, seen) -> None:
    # With a linear head the slope along a channel of 5b is its weight over the number of cells, everywhere.
    pretrained, prediction = made_up["googlenet"], seen["googlenet"]
    maps = prediction.block("5b").astype(np.float64)
    weights = pretrained.model.head.classifier.weight[2].double().numpy() / maps[0].size
    told = grad_cam(pretrained, prediction, "5b", 2)
    assert np.allclose(told.signed, np.einsum("c,chw->hw", weights, maps), atol=1e-5)
    where = pretrained.model.block("5b").slices["5x5"]
    of_branch = grad_cam(pretrained, prediction, "5b", 2, "5x5")
    assert np.allclose(of_branch.signed, np.einsum("c,chw->hw", weights[where], maps[where]), atol=1e-5)
    assert np.array_equal(of_branch.rectified, np.maximum(of_branch.signed, 0))


# ---------------------------------------------------------------- the model is left as it was; wrong wishes


def test_explaining_leaves_the_model_as_it_was(made_up, seen) -> None:
    pretrained, prediction = made_up["torchvision"], seen["torchvision"]
    before = {name: tensor.clone() for name, tensor in pretrained.model.state_dict().items()}
    arrays = {name: array.copy() for name, array in prediction.stages.items()}
    explanations: tuple[Callable[[], object], ...] = (
        lambda: branch_votes(pretrained, prediction, "3a"),
        lambda: ablate(pretrained, prediction, "3a", ["pool"]),
        lambda: ablation_table(pretrained, prediction),
        lambda: evidence(pretrained, prediction),
        lambda: grad_cams(pretrained, prediction, "3a"),
    )
    for explain in explanations:
        explain()
        assert not pretrained.model.training
        assert all(torch.equal(tensor, before[name]) for name, tensor in pretrained.model.state_dict().items())
        assert all(np.array_equal(array, arrays[name]) for name, array in prediction.stages.items())
        assert not any(parameter.requires_grad for parameter in pretrained.model.parameters())
        assert not any(module._forward_hooks for module in pretrained.model.modules())


def test_a_class_is_found_by_name_part_of_its_name_and_number(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, Image.open(PHOTO).convert("RGB"))
    best = class_index(embedded, prediction, None)
    assert embedded.labels[best] == prediction.top(1)[0].label
    goldfish = next(index for index, label in enumerate(embedded.labels) if label.lower().startswith("goldfish"))
    assert {
        class_index(embedded, prediction, wish)
        for wish in ("Goldfish", "goldfish, Carassius auratus", goldfish, str(goldfish))
    } == {goldfish}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"target": "gold fish"}, "goldfish"),
        ({"target": "xyzzy"}, "200 classes"),
        ({"target": 200}, "numbered 0 to 199"),
        ({"block": "6a"}, "3a, 3b, 4a"),
        ({"ablation": "noise"}, "zero, mean"),
    ],
)
def test_a_wrong_wish_is_answered_with_what_exists(wrong: dict, said: str, embedded: PretrainedModel) -> None:
    prediction = predict(embedded, Image.open(PHOTO).convert("RGB"))
    with pytest.raises(UserError) as refused:
        branch_votes(embedded, prediction, **{"block": "4c", **wrong})
    assert said in str(refused.value)


def test_a_wrong_branch_is_answered_with_the_four(made_up, seen) -> None:
    for explain in (ablate, lambda *three: grad_cam(three[0], three[1], three[2], 0, three[3][0])):
        with pytest.raises(ChoiceError, match="1x1, 3x3, 5x5, pool"):
            explain(made_up["batchnorm"], seen["batchnorm"], "4c", ["7x7"])


@pytest.mark.parametrize(
    ("variant", "preact"), [("googlenet", False), ("batchnorm", False), ("batchnorm", True), ("torchvision", False)]
)
def test_what_is_shared_between_the_sets_changes_no_logit(variant: str, preact: bool) -> None:
    model = lively(InceptionV1(variant=variant, preact=preact, input_shape=(3, 64, 64), classes=7))
    pretrained = pretrained_of(model)
    rng = np.random.default_rng(0)
    with torch.inference_mode():
        for block in BLOCKS:
            count, side = sum(model.block(block).branch_channels.values()), {"3": 8, "4": 4, "5": 2}[block[0]]
            on = torch.from_numpy(rng.random((1, count, side, side), np.float32))
            off = torch.from_numpy(rng.random((1, count, 1, 1), np.float32))
            masks = torch.cat(
                [branch_mask(pretrained, block, set(BRANCH_NAMES) - members) for members in BRANCH_SUBSETS]
            )
            plain = logits_from(pretrained, block, torch.lerp(on, off, masks))
            shared = logits_of_subsets(pretrained, block, on, off, BRANCH_SUBSETS)
            assert torch.allclose(shared, plain, rtol=1e-5, atol=1e-5 * float(plain.abs().max())), block
