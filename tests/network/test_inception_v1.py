"""InceptionV1, compared with independent oracles: torchvision, onnxruntime and hand calculations."""

from __future__ import annotations

import json
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import Tensor, nn

from inception.network.blocks import BLOCKS, BRANCHES, InceptionBlock
from inception.network.inception_v1 import STAGES, VARIANTS, InceptionV1
from inception.pretrained import convert
from inception.vision.preprocessing import CAFFE
from support.networks import randomise


def assert_close(ours: Tensor, theirs: Tensor | np.ndarray, name: str) -> None:
    theirs = torch.as_tensor(theirs)
    assert ours.shape == theirs.shape, name
    largest = theirs.abs().max()
    assert largest > 0, f"{name} is all zero, so the comparison would prove nothing"
    assert (ours - theirs).abs().max() <= 1e-5 * largest, name


@pytest.mark.parametrize(
    ("variant", "classes", "parameters"),
    [("batchnorm", 2, 7_039_122), ("googlenet", 1000, 6_998_552), ("torchvision", 1000, 6_624_904)],
)
def test_each_variant_has_the_published_number_of_parameters(variant: str, classes: int, parameters: int) -> None:
    model = InceptionV1(variant=variant, classes=classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("size", [224, 193])
def test_torchvision_variant_agrees_with_torchvision(size: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = randomise(torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False))
    ours = InceptionV1(variant="torchvision", input_shape=(3, size, size)).eval()
    convert.load_state(
        ours, convert.rename_tensors(theirs.state_dict(), convert.torchvision_names(), source="test"), source="test"
    )
    photos = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))

    outputs: dict[str, Tensor] = {}
    for name in BLOCKS:
        # A clone, because torchvision's next block may write over its input in place.
        getattr(theirs, f"inception{name}").register_forward_hook(
            lambda _m, _i, output, name=name: outputs.update({name: output.clone()})
        )
    with torch.no_grad():
        logits, trace = theirs(photos), ours.trace(photos)
    assert (logits[0] - logits[1]).abs().max() > 0.01 * logits.abs().max(), "the answer must depend on the photo"
    assert_close(trace.logits, logits, "logits")
    for name in BLOCKS:
        assert_close(trace.stages[f"inception_{name}"], outputs[name], name)


def googlenet_from(path: Path) -> InceptionV1:
    model = InceptionV1(variant="googlenet").eval()
    convert.load_state(
        model, convert.rename_tensors(convert.read_onnx(path), convert.caffe_names(), source="test"), source="test"
    )
    return model


def session_with_all_blocks(path: Path) -> tuple[onnxruntime.InferenceSession, list[str]]:
    model = onnx.load(path)
    outputs = [f"inception_{name}/output_1" for name in BLOCKS] + ["loss3/classifier_1"]
    del model.graph.output[:]
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None) for output in outputs
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]), outputs


def assert_agrees_with_onnxruntime(
    model: InceptionV1, session: onnxruntime.InferenceSession, names: list[str], x: Tensor
) -> None:
    expected = dict(zip(names, session.run(names, {"data_0": x.numpy()}), strict=True))
    with torch.no_grad():
        trace = model.trace(x)
    for name in BLOCKS:
        assert_close(trace.stages[f"inception_{name}"], expected[f"inception_{name}/output_1"], name)
    assert_close(trace.logits, expected["loss3/classifier_1"], "logits")


def test_googlenet_variant_agrees_with_onnxruntime_on_random_weights(random_onnx: Path) -> None:
    model, (session, names) = googlenet_from(random_onnx), session_with_all_blocks(random_onnx)
    rng = np.random.default_rng(3)
    photos = [Image.fromarray(rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)) for _ in range(2)]
    x = torch.cat([CAFFE.to_tensor(photo) for photo in photos])
    assert_agrees_with_onnxruntime(model, session, names, x)
    with torch.no_grad():
        logits = model.trace(x).logits
    assert (logits[0] - logits[1]).abs().max() > 1e-3 * logits.abs().max(), "the answer must depend on the photo"


def test_googlenet_variant_agrees_with_onnxruntime_on_the_real_weights(shared: Path) -> None:
    path = shared / "weights" / "googlenet-bvlc.onnx"
    model, (session, names) = googlenet_from(path), session_with_all_blocks(path)
    references = json.loads((shared / "reference" / "bvlc-top5.json").read_text())["images"]
    assert len(references) == 24
    for reference in references:
        x = CAFFE.to_tensor(Image.open(shared / reference["crop"]))
        assert_agrees_with_onnxruntime(model, session, names, x)
        with torch.no_grad():
            probabilities, top = model(x)[0].topk(5)
        assert top.tolist() == [row["class"] for row in reference["top5"]], reference["image"]
        assert probabilities.tolist() == pytest.approx([row["probability"] for row in reference["top5"]], rel=1e-3)


def test_block_slices_locate_each_branch_in_the_output() -> None:
    block = randomise(InceptionBlock(192, 64, [96, 128], [16, 32], 32))
    x = torch.randn(2, 192, 9, 9)
    with torch.no_grad():
        output, trace = block(x), block.trace(x)
    assert output.shape == (2, 256, 9, 9)
    assert block.slices == {"1x1": slice(0, 64), "3x3": slice(64, 192), "5x5": slice(192, 224), "pool": slice(224, 256)}
    for branch, layers in BRANCHES.items():
        assert torch.equal(output[:, block.slices[branch]], trace[layers[-1]])
    assert torch.equal(trace["pool"], F.max_pool2d(x, 3, 1, 1))
    assert trace["5x5_reduce"].shape == (2, 16, 9, 9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pass_can_start_at_any_stage(variant: str) -> None:
    model = randomise(InceptionV1(variant=variant, classes=5, input_shape=(3, 64, 64)))
    with torch.no_grad():
        full = model.trace(torch.randn(1, 3, 64, 64))
        for before, start in pairwise(STAGES):
            partial = model.trace(full.stages[before], start=start)
            assert torch.equal(partial.logits, full.logits)
            assert list(partial.stages) == list(STAGES[STAGES.index(start) :])


def test_without_a_top_the_output_is_the_last_feature_map_or_its_pooling() -> None:
    maps = randomise(InceptionV1(include_top=False))
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        features = maps(x)
        assert features.shape == (2, 1024, 3, 3)
        for pooling, expected in (("avg", features.mean((2, 3))), ("max", features.amax((2, 3)))):
            model = InceptionV1(include_top=False, pooling=pooling).eval()
            model.load_state_dict(maps.state_dict())
            assert torch.allclose(model(x), expected, atol=1e-6)
    assert not any(isinstance(module, nn.Linear) for module in maps.modules())


def test_classifier_activation_chooses_between_probabilities_and_logits() -> None:
    probable, raw = InceptionV1(classes=7), InceptionV1(classes=7, classifier_activation=None)
    raw.load_state_dict(randomise(probable).state_dict())
    raw.eval()
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(probable(x), torch.softmax(raw(x), 1), atol=1e-6)
        assert torch.allclose(probable(x).sum(1), torch.ones(3), atol=1e-5)


def test_preact_puts_batchnorm_and_relu_before_each_convolution_of_a_block() -> None:
    model = randomise(InceptionV1(preact=True, classes=3))
    for block in BLOCKS:
        for name, unit in model.block(block).items():
            if name != "pool":
                assert [type(layer) for layer in unit] == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
                assert unit.bn.num_features == unit.conv.in_channels
    assert [type(layer) for layer in model.stem.conv1] == [nn.Conv2d, nn.ReLU]
    with torch.no_grad():
        assert model.trace(torch.randn(1, 3, 64, 64)).stages["inception_3a"].min() < 0


def test_use_bias_false_drops_the_bias_of_every_convolution() -> None:
    def biases(model: InceptionV1) -> list[bool]:
        return [module.bias is not None for module in model.modules() if isinstance(module, nn.Conv2d)]

    assert len(biases(InceptionV1())) == 57
    assert all(biases(InceptionV1()))
    assert not any(biases(InceptionV1(use_bias=False)))


@pytest.mark.parametrize("size", [64, 96, 224])
def test_auxiliary_classifiers_run_in_training_but_not_in_evaluation(size: int) -> None:
    model = InceptionV1(classes=4, aux_classifiers=True)
    x = torch.randn(2, 3, size, size)
    trace = model.train().trace(x)
    assert {name: tuple(out.shape) for name, out in trace.aux.items()} == {"aux1": (2, 4), "aux2": (2, 4)}
    trace.aux["aux2"].sum().backward()
    assert model.block("4d")["1x1"].conv.weight.grad.abs().sum() > 0
    assert model.block("4e")["1x1"].conv.weight.grad is None, "aux2 branches off after 4d"
    assert model.eval().trace(x).aux == {}


def test_auxiliary_classifier_pools_as_in_the_paper_at_224() -> None:
    auxiliary = randomise(InceptionV1(aux_classifiers=True)).aux["aux1"]
    x = torch.rand(1, 512, 14, 14)
    pooled = F.avg_pool2d(x, kernel_size=5, stride=3)
    assert pooled.shape[-2:] == (4, 4)
    with torch.no_grad():
        expected = auxiliary.classifier(F.relu(auxiliary.hidden(auxiliary.conv(pooled).flatten(1))))
        assert torch.allclose(auxiliary(x), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_shape": (224, 224, 3)}, "three colour channels first"),
        ({"input_shape": (3, 31, 224)}, "at least 32"),
        ({"input_shape": (3, 224)}, r"\(3, height, width\)"),
        ({"input_shape": (3, 224.0, 224)}, "input_shape"),
        ({"variant": "inception_v3"}, "batchnorm, googlenet, torchvision"),
        ({"variant": "googlenet", "preact": True}, "variant='batchnorm' only"),
        ({"variant": "torchvision", "use_bias": False}, "variant='batchnorm' only"),
        ({"classes": 0}, "at least 1"),
        ({"include_top": False, "pooling": "mean"}, "avg, max, None"),
        ({"classifier_activation": "sigmoid"}, "softmax, None"),
        ({"include_top": False, "aux_classifiers": True}, "include_top=True"),
    ],
)
def test_invalid_argument_errors_list_the_allowed_values(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InceptionV1(**arguments)


def test_numpy_numbers_are_accepted() -> None:
    model = InceptionV1(input_shape=tuple(np.array([3, 64, 64])), classes=np.int64(5))
    assert (model.input_shape, model.classes) == ((3, 64, 64), 5)


def test_a_block_needs_two_numbers_for_each_wide_branch() -> None:
    with pytest.raises(ValueError, match="each must be two numbers"):
        InceptionBlock(192, 64, [96], [16, 32], 32)


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 1, 224, 224), (1, 3, 31, 64)])
def test_tensors_of_other_shapes_than_photos_are_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(N, 3, height, width\)"):
        InceptionV1(classes=2)(torch.zeros(shape))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_smallest_photo_is_accepted(variant: str) -> None:
    model = InceptionV1(variant=variant, classes=2, input_shape=(3, 32, 32)).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)


@pytest.mark.parametrize("widths", [96, 96.0, None])
def test_a_single_number_for_a_wide_branch_is_refused_in_a_sentence(widths: object) -> None:
    with pytest.raises(ValueError, match="each must be two numbers"):
        InceptionBlock(192, 64, widths, [16, 32], 32)  # type: ignore[arg-type]
    assert InceptionBlock(192, 64, np.array([96, 128]), [16, 32], 32).branch_channels["3x3"] == 128
