"""Votes, ablation, evidence and Grad-CAM, compared with onnxruntime, brute force, pytorch-grad-cam and by hand."""

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
from support.networks import randomise
from support.paths import EXAMPLES

PHOTO = EXAMPLES / "espresso.jpg"
LAST_CONV = {"1x1": "1x1", "3x3": "3x3", "5x5": "5x5", "pool": "pool_proj"}


def pretrained_of(model: InceptionV1, **options) -> PretrainedModel:
    labels = tuple(f"class {index}" for index in range(model.classes))
    preprocessing = options.pop("preprocessing", replace(IMAGENET, resize=64, crop=64, size=64))
    model.eval().requires_grad_(False)
    return PretrainedModel("made up", model, preprocessing, labels, Provenance("", "", "", ""), **options)


@pytest.fixture(scope="module")
def networks() -> dict[str, PretrainedModel]:
    return {
        variant: pretrained_of(randomise(InceptionV1(variant=variant, classes=7, classifier_activation=None)))
        for variant in ("batchnorm", "googlenet", "torchvision")
    }


@pytest.fixture(scope="module")
def predictions(networks: dict[str, PretrainedModel]) -> dict[str, Prediction]:
    return {variant: predict(network, open_photo(PHOTO)) for variant, network in networks.items()}


def with_zeroed_branches(model: InceptionV1, block: str, branches: set[str]) -> InceptionV1:
    """A copy in which the last convolution of each of these branches outputs zero, also behind its BatchNorm."""
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
def test_all_16_logits_match_onnxruntime_with_zeroed_branches(
    block: str, random_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(random_onnx.parent))
    pretrained = load("googlenet")
    prediction = predict(pretrained, open_photo(PHOTO))
    votes = branch_votes(pretrained, prediction, block, 281)
    assert len(votes.subsets) == 16
    onnx_model = onnx.load(random_onnx)
    x = CAFFE.to_tensor(prediction.image).numpy()
    for on, logit in votes.subsets.items():
        zeroed = onnx.ModelProto()
        zeroed.CopyFrom(onnx_model)
        for tensor in zeroed.graph.initializer:
            for branch in set(BRANCH_NAMES) - on:
                if tensor.name.startswith(f"inception_{block}/{LAST_CONV[branch]}_"):
                    zeros = np.zeros_like(numpy_helper.to_array(tensor))
                    tensor.CopyFrom(numpy_helper.from_array(zeros, tensor.name))
        session = onnxruntime.InferenceSession(zeroed.SerializeToString(), providers=["CPUExecutionProvider"])
        (logits,) = session.run(["loss3/classifier_1"], {"data_0": x})
        assert logit == pytest.approx(float(logits[0, 281]), abs=1e-4, rel=1e-4)


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
@pytest.mark.parametrize("block", BLOCKS)
def test_votes_and_baseline_add_up_to_the_logit(variant: str, block: str, networks, predictions) -> None:
    votes = branch_votes(networks[variant], predictions[variant], block, 3)
    assert votes.label == "class 3"
    assert votes.logit == pytest.approx(float(predictions[variant].logits[3]))
    assert votes.baseline + sum(votes.votes.values()) == pytest.approx(votes.logit, abs=1e-4)
    assert votes.error < 1e-4
    zeroed = with_zeroed_branches(networks[variant].model, block, {"3x3", "pool"})
    logits = zeroed.trace(networks[variant].preprocessing.to_tensor(predictions[variant].image)).logits
    on = frozenset({"1x1", "5x5"})
    assert votes.subsets[on] == pytest.approx(float(logits[0, 3]), abs=1e-4)
    assert votes.probabilities[on] == pytest.approx(float(logits.softmax(1)[0, 3]), abs=1e-5)


def brute_force_shapley(worth: dict[frozenset[str], float]) -> dict[str, float]:
    total = dict.fromkeys(BRANCH_NAMES, 0.0)
    for order in itertools.permutations(BRANCH_NAMES):
        for position, player in enumerate(order):
            before = frozenset(order[:position])
            total[player] += (worth[before | {player}] - worth[before]) / factorial(len(BRANCH_NAMES))
    return total


def branch_subsets() -> list[frozenset[str]]:
    return [frozenset(subset) for size in range(5) for subset in itertools.combinations(BRANCH_NAMES, size)]


def test_shapley_values_are_the_mean_over_all_orders() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        worth = {subset: float(rng.normal()) for subset in branch_subsets()}
        assert shapley_values(worth, BRANCH_NAMES) == pytest.approx(brute_force_shapley(worth))


def test_shapley_values_are_equal_for_equal_players_and_zero_for_idle_ones() -> None:
    # 1x1 and 3x3 count only together, pool counts alone, 5x5 adds nothing.
    worth = {subset: 6.0 * ({"1x1", "3x3"} <= subset) + 1.5 * ("pool" in subset) for subset in branch_subsets()}
    assert shapley_values(worth, BRANCH_NAMES) == pytest.approx({"1x1": 3.0, "3x3": 3.0, "5x5": 0.0, "pool": 1.5})


def _first_layers(model: InceptionV1, block: str) -> list[nn.Conv2d]:
    following = model.block(block)
    return [following[name].conv for name in ("1x1", "3x3_reduce", "5x5_reduce", "pool_proj")]


def test_branch_that_the_next_block_ignores_has_no_vote() -> None:
    model = randomise(InceptionV1(variant="googlenet", classes=5, classifier_activation=None))
    channels = model.block("4a").slices["3x3"]
    for conv in _first_layers(model, "4b"):
        conv.weight.data[:, channels] = 0
    pretrained = pretrained_of(model)
    votes = branch_votes(pretrained, predict(pretrained, open_photo(PHOTO)), "4a", 0)
    assert votes.votes["3x3"] == pytest.approx(0, abs=1e-5)
    assert max(abs(vote) for vote in votes.votes.values()) > 1e-3


def test_interchangeable_branches_have_equal_votes() -> None:
    model = randomise(InceptionV1(variant="googlenet", classes=5, classifier_activation=None))
    # In block 3a the 5x5 and the pool branch have 32 channels each.
    slices = model.block("3a").slices
    for conv in _first_layers(model, "3b"):
        conv.weight.data[:, slices["pool"]] = conv.weight.data[:, slices["5x5"]]
    pretrained = pretrained_of(model)
    prediction = predict(pretrained, open_photo(PHOTO))
    output = prediction.stages["inception_3a"].copy()
    output[slices["pool"]] = output[slices["5x5"]]
    votes = branch_votes(pretrained, replace(prediction, stages={**prediction.stages, "inception_3a": output}), "3a", 0)
    assert votes.votes["5x5"] == pytest.approx(votes.votes["pool"], rel=1e-4)
    assert abs(votes.votes["5x5"]) > 1e-4


def test_ablation_can_use_the_mean_over_training_photos(networks, predictions) -> None:
    rng = np.random.default_rng(0)
    widths = {block: sum(networks["batchnorm"].model.block(block).branch_channels.values()) for block in BLOCKS}
    means = {block: torch.from_numpy(rng.random(width).astype(np.float32)) for block, width in widths.items()}
    pretrained = replace(networks["batchnorm"], means=means)
    votes = branch_votes(pretrained, predictions["batchnorm"], "4d", 2, ablation="mean")
    assert votes.total == pytest.approx(votes.logit, abs=1e-4)
    output = torch.from_numpy(predictions["batchnorm"].block("4d").copy()).unsqueeze(0)
    channels = pretrained.model.block("4d").slices["5x5"]
    output[:, channels] = means["4d"][channels].view(1, -1, 1, 1)
    by_hand = pretrained.model.trace(output, start="inception_4e").logits[0, 2]
    assert votes.subsets[frozenset(BRANCH_NAMES) - {"5x5"}] == pytest.approx(float(by_hand), abs=1e-4)
    with pytest.raises(ExplanationError, match="come without their branches’ means"):
        branch_votes(networks["batchnorm"], predictions["batchnorm"], "4d", ablation="mean")


def test_votes_follow_changed_means(networks, predictions) -> None:
    width = sum(networks["batchnorm"].model.block("4c").branch_channels.values())
    pretrained = replace(networks["batchnorm"], means={"4c": torch.ones(width)})
    prediction = predictions["batchnorm"]
    branch_votes(pretrained, prediction, "4c", 2, ablation="mean")
    pretrained.means["4c"] = pretrained.means["4c"] * 0
    votes = branch_votes(pretrained, prediction, "4c", 2, ablation="mean")
    assert votes.votes == branch_votes(pretrained, prediction, "4c", 2).votes


def test_votes_of_an_unfused_network_follow_its_weights(predictions) -> None:
    pretrained = pretrained_of(randomise(InceptionV1(classes=7, classifier_activation=None))).unfused()
    branch_votes(pretrained, predictions["batchnorm"], "4c", 2)
    pretrained.model.head.classifier.bias.add_(1)
    votes = branch_votes(pretrained, predictions["batchnorm"], "4c", 2)
    assert votes.total == pytest.approx(float(predict(pretrained, open_photo(PHOTO)).logits[2]), abs=1e-4)
    assert votes.baseline == pytest.approx(votes.subsets[frozenset()])
    expected = pretrained.engine.logits(torch.zeros(1, 512, 4, 4), start="inception_4d")[0, 2]
    assert votes.baseline == pytest.approx(float(expected), abs=1e-5)


# ---------------------------------------------------------------- ablation


def test_ablated_logits_match_a_network_with_zeroed_branches(networks, predictions) -> None:
    result = ablate(networks["torchvision"], predictions["torchvision"], "4b", ["pool", "1x1"], top=7)
    zeroed = with_zeroed_branches(networks["torchvision"].model, "4b", {"pool", "1x1"})
    expected = zeroed.trace(networks["torchvision"].preprocessing.to_tensor(predictions["torchvision"].image)).logits[0]
    assert result.branches == ("1x1", "pool")
    assert [change.logit for change in result.top] == pytest.approx(sorted(expected.tolist(), reverse=True), abs=1e-4)
    before = predictions["torchvision"].probabilities
    assert all(change.probability_before == pytest.approx(float(before[change.index])) for change in result.top)
    changes = {change.index: change.probability - change.probability_before for change in result.top}
    assert [change.index for change in result.risen] == sorted(
        (index for index in changes if changes[index] > 0), key=lambda index: -changes[index]
    )[:3]
    assert [change.index for change in result.fallen] == sorted(
        (index for index in changes if changes[index] < 0), key=lambda index: changes[index]
    )[:3]


def test_ablating_nothing_changes_nothing(networks, predictions) -> None:
    result = ablate(networks["batchnorm"], predictions["batchnorm"], "3b")
    assert [change.index for change in result.top] == [guess.index for guess in predictions["batchnorm"].top(5)]
    assert all(change.logit == pytest.approx(change.logit_before, abs=1e-4) for change in result.top)


def test_a_negative_length_gives_empty_lists(networks, predictions) -> None:
    pretrained, prediction = networks["batchnorm"], predictions["batchnorm"]
    result = ablate(pretrained, prediction, "3b", ["1x1"], top=-1, moved=-1)
    assert result.top == result.risen == result.fallen == ()
    split = evidence(pretrained, prediction, maximum=-1)
    assert split.strongest_for == split.strongest_against == ()


def test_channels_are_ablated_by_their_number_in_the_blocks_output(networks, predictions) -> None:
    pretrained, prediction = networks["batchnorm"], predictions["batchnorm"]
    channels = range(*pretrained.model.block("5a").slices["5x5"].indices(10_000))
    by_channels = ablate(pretrained, prediction, "5a", channels=channels)
    by_branch = ablate(pretrained, prediction, "5a", ["5x5"])
    assert [change.logit for change in by_channels.top] == pytest.approx([change.logit for change in by_branch.top])
    single = ablate(pretrained, prediction, "5a", channels=[channels[0]])
    assert [change.logit for change in single.top] != pytest.approx([change.logit for change in by_branch.top])
    with pytest.raises(ExplanationError, match="numbered 0 to 831"):
        ablate(pretrained, prediction, "5a", channels=[832])


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
def test_ablation_table_lists_the_logit_lost_without_each_branch(variant: str, networks, predictions) -> None:
    table = ablation_table(networks[variant], predictions[variant], 4)
    assert list(table.falls) == list(BLOCKS)
    for block in BLOCKS:
        votes = branch_votes(networks[variant], predictions[variant], block, 4)
        for branch in BRANCHES:
            fall = votes.logit - votes.subsets[frozenset(BRANCH_NAMES) - {branch}]
            assert table.falls[block][branch] == pytest.approx(fall, abs=1e-4)


# ---------------------------------------------------------------- evidence


@pytest.mark.parametrize("variant", ["googlenet", "torchvision"])
def test_evidence_of_a_linear_head_is_weights_times_maps(variant: str, networks, predictions) -> None:
    split = evidence(networks[variant], predictions[variant], 1)
    head = networks[variant].model.head.classifier
    maps = predictions[variant].block("5b").astype(np.float64)
    weights = head.weight[1].double().numpy()
    by_hand = np.einsum("c,chw->hw", weights, maps) / maps[0].size
    assert split.linear
    assert np.allclose(split.map, by_hand, atol=1e-5)
    assert split.rest == float(head.bias[1])
    assert split.total == pytest.approx(split.logit, abs=1e-4)
    assert split.error == abs(split.total - split.logit)
    amounts = weights * maps.mean(axis=(1, 2))
    assert [entry.channel for entry in split.strongest_for] == np.argsort(-amounts, kind="stable")[:10].tolist()
    assert split.strongest_against[0].amount == pytest.approx(amounts.min(), abs=1e-5)
    slices = networks[variant].model.block("5b").slices
    assert all(slices[entry.branch].start <= entry.channel < slices[entry.branch].stop for entry in split.strongest_for)
    assert all(
        entry.channel == slices[entry.branch].start + entry.channel_in_branch
        for entry in (*split.strongest_for, *split.strongest_against)
    )


def test_evidence_of_a_hidden_layer_counts_its_active_units_with_biases_as_rest(networks, predictions) -> None:
    split = evidence(networks["batchnorm"], predictions["batchnorm"], 5)
    head = networks["batchnorm"].model.head
    pooled = predictions["batchnorm"].block("5b").astype(np.float64).mean(axis=(1, 2))
    hidden_weight, hidden_bias = (tensor.double().numpy() for tensor in (head.hidden.weight, head.hidden.bias))
    active = (hidden_weight @ pooled + hidden_bias) > 0
    out = head.classifier.weight[5].double().numpy() * active
    assert not split.linear
    assert split.rest == pytest.approx(float(out @ hidden_bias + float(head.classifier.bias[5])), abs=1e-9)
    assert sum(split.amounts.values()) == pytest.approx(float(out @ hidden_weight @ pooled), abs=1e-4)
    assert split.total == pytest.approx(split.logit, abs=1e-4)


@pytest.mark.parametrize("variant", ["batchnorm", "googlenet", "torchvision"])
def test_rest_of_the_evidence_is_computed_independently_of_the_sum(variant: str, networks, predictions) -> None:
    split = evidence(networks[variant], predictions[variant], 2)
    assert split.rest == logit_circuit(networks[variant], predictions[variant], 2).constant
    assert split.error < 1e-4


# ---------------------------------------------------------------- Grad-CAM


def reference_cam(pretrained: PretrainedModel, layer: nn.Module, prediction: Prediction, index: int) -> np.ndarray:
    with GradCAM(model=pretrained.model, target_layers=[layer]) as cam:
        x = pretrained.preprocessing.to_tensor(prediction.image).requires_grad_()
        return cam(input_tensor=x, targets=[ClassifierOutputTarget(index)])[0]


@pytest.mark.parametrize("block", ["3a", "3b", "4a", "4c", "4e", "5a", "5b"])
def test_grad_cam_is_the_same_as_pytorch_grad_cams(block: str, networks, predictions) -> None:
    pretrained, prediction = networks["batchnorm"], predictions["batchnorm"]
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
            theirs = reference_cam(pretrained, layer, prediction, index)
            # pytorch-grad-cam scales its map to 0..1 and enlarges it to the photo; enlarge ours the same way.
            import cv2

            enlarged = cv2.resize(small.numpy(), theirs.shape[::-1])
            assert np.corrcoef(enlarged.ravel(), theirs.ravel())[0, 1] >= 0.999
            compared += 1
    assert compared >= 8
    assert all(parameter.grad is None for parameter in pretrained.model.parameters())


def test_grad_cam_of_the_last_block_by_hand(networks, predictions) -> None:
    # With a linear head, the gradient in each cell of a channel of 5b is its weight over the number of cells.
    pretrained, prediction = networks["googlenet"], predictions["googlenet"]
    maps = prediction.block("5b").astype(np.float64)
    weights = pretrained.model.head.classifier.weight[2].double().numpy() / maps[0].size
    cam = grad_cam(pretrained, prediction, "5b", 2)
    assert np.allclose(cam.signed, np.einsum("c,chw->hw", weights, maps), atol=1e-5)
    channels = pretrained.model.block("5b").slices["5x5"]
    branch_cam = grad_cam(pretrained, prediction, "5b", 2, "5x5")
    assert np.allclose(branch_cam.signed, np.einsum("c,chw->hw", weights[channels], maps[channels]), atol=1e-5)
    assert np.array_equal(branch_cam.rectified, np.maximum(branch_cam.signed, 0))


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_grad_cam_is_the_same_where_the_caller_computes_no_gradients(mode: Callable, networks, predictions) -> None:
    pretrained, prediction = networks["batchnorm"], predictions["batchnorm"]
    expected = grad_cams(pretrained, prediction, "4c", 1)
    with mode():
        found = grad_cams(pretrained, prediction, "4c", 1)
    for branch, cam in expected.items():
        assert np.array_equal(found[branch].signed, cam.signed)


# ---------------------------------------------------------------- side effects and invalid arguments


def test_explanations_leave_the_model_unchanged(networks, predictions) -> None:
    pretrained, prediction = networks["torchvision"], predictions["torchvision"]
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


def test_class_is_found_by_name_part_of_its_name_or_number(embedded: PretrainedModel) -> None:
    prediction = predict(embedded, Image.open(PHOTO).convert("RGB"))
    best = class_index(embedded, prediction, None)
    assert embedded.labels[best] == prediction.top(1)[0].label
    goldfish = next(index for index, label in enumerate(embedded.labels) if label.lower().startswith("goldfish"))
    assert {
        class_index(embedded, prediction, target)
        for target in ("Goldfish", "goldfish, Carassius auratus", goldfish, str(goldfish))
    } == {goldfish}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"target": "gold fish"}, "goldfish"),
        ({"target": "xyzzy"}, "200 classes"),
        ({"target": 200}, "numbered 0 to 199"),
        ({"block": "6a"}, "3a, 3b, 4a"),
        ({"ablation": "noise"}, "zero, mean"),
    ],
)
def test_invalid_arguments_are_rejected_with_the_valid_choices(
    wrong: dict, message: str, embedded: PretrainedModel
) -> None:
    prediction = predict(embedded, Image.open(PHOTO).convert("RGB"))
    with pytest.raises(UserError) as error:
        branch_votes(embedded, prediction, **{"block": "4c", **wrong})
    assert message in str(error.value)


def test_unknown_branch_is_rejected_with_the_four_branches(networks, predictions) -> None:
    for explain in (ablate, lambda *arguments: grad_cam(arguments[0], arguments[1], arguments[2], 0, arguments[3][0])):
        with pytest.raises(ChoiceError, match="1x1, 3x3, 5x5, pool"):
            explain(networks["batchnorm"], predictions["batchnorm"], "4c", ["7x7"])


@pytest.mark.parametrize(
    ("variant", "preact"), [("googlenet", False), ("batchnorm", False), ("batchnorm", True), ("torchvision", False)]
)
def test_logits_of_subsets_match_separate_passes(variant: str, preact: bool) -> None:
    model = randomise(InceptionV1(variant=variant, preact=preact, input_shape=(3, 64, 64), classes=7))
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
