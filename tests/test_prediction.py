"""Predictions, compared with running the network layer by layer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from inception import evidence, intermediates, load, open_photo, predict
from inception.explain.ablation import ablate
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.inception_v1 import InceptionV1
from inception.prediction import input_batch, predict_crop, statistics, top_classes_batch
from inception.pretrained.description import UNKNOWN_PROVENANCE
from inception.pretrained.pretrained import PretrainedModel
from inception.vision.preprocessing import CAFFE, IMAGENET, Preprocessing
from support.networks import randomise
from support.paths import EXAMPLES
from support.preprocessing import TINY_IMAGENET


def pretrained(**options: object) -> PretrainedModel:
    model = randomise(InceptionV1(classes=3, **options))  # type: ignore[arg-type]
    return PretrainedModel("test", model, IMAGENET, ("a", "b", "c"), UNKNOWN_PROVENANCE, temperature=0.5)


def test_top_k_is_the_calibrated_softmax_of_the_logits(photo: Image.Image) -> None:
    prediction = predict(pretrained(), photo)
    exponentials = np.exp(prediction.logits / 0.5 - (prediction.logits / 0.5).max())
    expected = exponentials / exponentials.sum()
    top = prediction.top(2)
    assert [guess.index for guess in top] == np.argsort(-expected)[:2].tolist()
    assert [guess.probability for guess in top] == pytest.approx(np.sort(expected)[::-1][:2].tolist(), rel=1e-4)
    assert [guess.label for guess in top] == ["abc"[guess.index] for guess in top]
    assert [guess.logit for guess in top] == [prediction.logits[guess.index] for guess in top]
    assert len(prediction.top(99)) == 3


@pytest.mark.parametrize("preprocessing", [CAFFE, TINY_IMAGENET], ids=["caffe", "tiny-imagenet"])
def test_batch_matches_single_photos(preprocessing: Preprocessing) -> None:
    net = replace(pretrained(), preprocessing=preprocessing)
    images = [net.preprocessing.apply(open_photo(EXAMPLES / file)) for file in ("espresso.jpg", "bison.jpg")]
    batch = input_batch(net, images)
    assert torch.equal(batch, torch.cat([net.preprocessing.to_tensor(image) for image in images]))
    assert batch.is_contiguous(memory_format=torch.channels_last)
    tops = top_classes_batch(net, batch, 2)
    for image, top in zip(images, tops, strict=True):
        alone = predict_crop(net, image).top(2)
        assert [guess.index for guess in top] == [guess.index for guess in alone]
        assert [guess.logit for guess in top] == pytest.approx([guess.logit for guess in alone], rel=1e-4)


@pytest.mark.parametrize("block", BLOCKS)
def test_branch_is_the_output_of_its_own_layers(photo: Image.Image, block: str) -> None:
    net = pretrained()
    prediction = predict(net, photo)
    before = list(prediction.stages)[list(prediction.stages).index(f"inception_{block}") - 1]
    x = torch.from_numpy(prediction.stages[before].copy())[None]
    for branch, layers in BRANCHES.items():
        y = x
        with torch.no_grad():
            for layer in layers:
                y = net.model.block(block)[layer](y)
        expected = y[0].numpy()
        assert np.abs(prediction.branch(block, branch) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_intermediates_are_the_reductions_and_the_pooled_input(photo: Image.Image) -> None:
    net = pretrained()
    prediction = predict(net, photo)
    maps_by_layer = intermediates(net, prediction, "4a")
    assert {name: maps.shape for name, maps in maps_by_layer.items()} == {
        "3x3_reduce": (96, 14, 14),
        "5x5_reduce": (16, 14, 14),
        "pool": (480, 14, 14),
    }
    block_input = torch.from_numpy(prediction.stages["pool3"].copy())
    assert np.array_equal(maps_by_layer["pool"], F.max_pool2d(block_input, 3, 1, 1).numpy())


def test_model_is_unchanged(photo: Image.Image) -> None:
    net = pretrained()
    before = {name: tensor.clone() for name, tensor in net.model.state_dict().items()}
    intermediates(net, predict(net, photo), "5b")
    assert all(torch.equal(before[name], tensor) for name, tensor in net.model.state_dict().items())
    assert not any(module._forward_hooks or module.training for module in net.model.modules())


def test_prediction_is_read_only(photo: Image.Image) -> None:
    prediction = predict(pretrained(), photo)
    with pytest.raises(ValueError, match="read-only"):
        prediction.branch("3a", "1x1")[0, 0, 0] = 1
    with pytest.raises(TypeError):
        prediction.stages["stem"] = prediction.logits  # type: ignore[index]


def test_unknown_block_or_branch_is_rejected_with_the_valid_choices(photo: Image.Image) -> None:
    prediction = predict(pretrained(), photo)
    with pytest.raises(ValueError, match="3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"):
        prediction.block("4f")
    with pytest.raises(ValueError, match="1x1, 3x3, 5x5, pool"):
        prediction.branch("4a", "2x2")


def test_statistics_by_hand() -> None:
    maps = np.zeros((3, 2, 2), np.float32)
    maps[0] = [[1, 2], [3, 4]]
    maps[1, 0, 0] = 8
    measured = statistics(maps)
    assert (measured.channels, measured.height, measured.width) == (3, 2, 2)
    assert (measured.lowest, measured.highest, measured.mean, measured.silent) == (0, 8, 1.5, 1)
    assert measured.zero_share == pytest.approx(7 / 12)


def test_embedded_model_recognises_its_example_photos(embedded: PretrainedModel) -> None:
    labels = {
        "bison": "bison",
        "espresso": "espresso",
        "honey_bee": "bee",
        "mountain": "alp",
        "red_panda": "lesser panda",
        "stone_bridge": "viaduct",
    }
    for name, label in labels.items():
        top = predict(embedded, open_photo(EXAMPLES / f"{name}.jpg")).top(5)
        assert label in [guess.label for guess in top], name
    assert not {"macaw", "giant panda"} & set(embedded.labels), (
        "two example photos are meant to be of no class of the model"
    )


def test_googlenet_classifies_real_photos(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
    net = load("googlenet")
    references = json.loads((shared / "reference" / "bvlc-top5.json").read_text())["images"]
    correct = [
        predict(net, open_photo(shared / row["image"])).top(1)[0].index == row["true_class"] for row in references
    ]
    assert sum(correct) >= 17


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
def test_gpu_matches_the_cpu(photo: Image.Image) -> None:
    on_cpu, on_gpu = predict(load("tiny-imagenet", "cpu"), photo), predict(load("tiny-imagenet", "cuda"), photo)
    assert np.abs(on_cpu.logits - on_gpu.logits).max() <= 1e-3 * np.abs(on_cpu.logits).max()


def test_classes_whose_probabilities_round_to_the_same_number_go_by_logit(photo: Image.Image) -> None:
    net = replace(pretrained(), temperature=0.01)
    head = net.model.required_head.get_submodule("classifier")
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_(torch.tensor([1.0, 2.0, 9.0]))
    prediction = predict(net, photo)
    assert prediction.probabilities[0] == prediction.probabilities[1] == 0
    assert [guess.label for guess in prediction.top()] == ["c", "b", "a"]
    assert [change.label for change in ablate(net, prediction, "3a", ["pool"]).top] == ["c", "b", "a"]


def test_results_with_arrays_are_compared_by_identity(photo: Image.Image) -> None:
    net = pretrained()
    one, other = predict(net, photo), predict(net, photo)
    assert one == one
    assert one != other
    assert len({one, other, evidence(net, one), evidence(net, one)}) == 4


def test_a_prediction_is_shown_with_its_answer(photo: Image.Image) -> None:
    prediction = predict(pretrained(), photo)
    (best,) = prediction.top(1)
    assert repr(prediction) == (f"<Prediction: {best.label} (class {best.index}) {best.probability:.1%}, of 3 classes>")
