"""The fast copy against the plain model, module by module and whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from inception.network import fused as engine_module
from inception.network.blocks import BLOCKS, ConvUnit
from inception.network.compiled import CompiledTrace
from inception.network.fused import (
    FULL,
    HALF,
    ConvolutionalLRN,
    ElementwiseMaxPool,
    FusedUnit,
    fast_engine,
    fused_engine,
    has_fused_convolution,
)
from inception.network.inception_v1 import STAGES, InceptionV1
from inception.prediction import input_batch, predict_crop
from inception.pretrained.zoo import load
from support.networks import lively

KINDS = {
    "googlenet": {"variant": "googlenet"},
    "batchnorm": {"variant": "batchnorm"},
    "batchnorm without bias": {"variant": "batchnorm", "use_bias": False},
    "batchnorm, preact": {"variant": "batchnorm", "preact": True},
    "torchvision": {"variant": "torchvision"},
}


def model_of(kind: str, side: int = 96) -> InceptionV1:
    model = lively(InceptionV1(classes=11, input_shape=(3, side, side), **KINDS[kind]))
    assert isinstance(model, InceptionV1)
    return model


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain PyTorch"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_is_that_of_the_plain_model(kind: str, fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "has_fused_convolution", lambda *_: fused)
    model = model_of(kind)
    engine = fused_engine(model)
    units = [module for module in engine.modules() if isinstance(module, FusedUnit)]
    assert len(units) == (3 if "preact" in kind else 57)
    assert all((unit.packed is not None) == fused for unit in units)
    # Also at sizes and batches that it was not laid out for.
    for shape in ((1, 3, 96, 96), (5, 3, 96, 96), (2, 3, 131, 77)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            plain, fast = model.trace(x), engine.trace(x.contiguous(memory_format=torch.channels_last))
        assert tuple(fast.stages) == STAGES
        for name, expected in plain.stages.items():
            assert fast.stages[name].shape == expected.shape
            assert (fast.stages[name] - expected).abs().max() <= 1e-4 * expected.abs().max(), name
        assert plain.logits is not None
        assert fast.logits is not None
        assert (fast.logits - plain.logits).abs().max() <= 1e-4 * plain.logits.abs().max()


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain PyTorch"])
@pytest.mark.parametrize("kind", KINDS)
def test_in_bfloat16_every_stage_is_right_to_a_few_hundredths(
    kind: str, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fused and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no instructions for bfloat16")
    monkeypatch.setattr(engine_module, "has_fused_convolution", lambda *_: fused)
    model = model_of(kind)
    engine = fused_engine(model, HALF)
    for photos in (1, 3):
        x = torch.randn(photos, 3, 96, 96, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            plain, fast = model.trace(x), engine.trace(x.contiguous(memory_format=torch.channels_last))
        for name, expected in plain.stages.items():
            error = (fast.stages[name].float() - expected).abs()
            assert error.max() <= 0.06 * expected.abs().max(), name
            # Eight bits: the rounding is there, or this would not be bfloat16.
            assert error.max() > 1e-4 * expected.abs().max() or name in ("conv1", "pool1"), name
        assert fast.logits is not None
        assert plain.logits is not None
        assert fast.logits.dtype == torch.float32
        assert (fast.logits - plain.logits).abs().max() <= 0.06 * plain.logits.abs().max()


def test_the_fused_convolution_is_used_where_the_processor_can() -> None:
    assert has_fused_convolution(FULL)
    assert has_fused_convolution(HALF) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    units = [module for module in fused_engine(model_of("batchnorm"), HALF).modules() if isinstance(module, FusedUnit)]
    assert {unit.packed is None for unit in units if unit.weight.dtype == HALF} == {not has_fused_convolution(HALF)}


@pytest.mark.parametrize(("half", "taken"), [(0.5, "half"), (0.95, "full"), (3.0, "full")])
def test_bfloat16_is_taken_only_where_it_is_clearly_faster(
    half: float, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("batchnorm")
    full = fused_engine(model)
    monkeypatch.setattr(engine_module, "engine_seconds", lambda engine, _: 1.0 if engine is full else half)
    assert (fast_engine(model, full) is full) == (taken == "full")


@pytest.mark.parametrize("kind", ["googlenet", "batchnorm, preact"])
def test_it_runs_from_any_stage_and_lets_gradients_through(kind: str) -> None:
    model = model_of(kind)
    engine = fused_engine(model)
    x = torch.randn(1, 192, 12, 12)
    slopes = []
    for one in (model, engine):
        given = x.clone(memory_format=torch.channels_last).requires_grad_()
        logits = one.trace(given, start="inception_3a").logits
        assert logits is not None
        (slope,) = torch.autograd.grad(logits[0, 3], given)
        slopes.append(slope)
    assert (slopes[0] - slopes[1]).abs().max() <= 1e-4 * slopes[0].abs().max()


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 24, 7, 7), (3, 24, 14, 10)])
def test_the_gradient_of_a_unit_is_that_of_the_plain_one(kernel: int, shape: tuple[int, ...]) -> None:
    plain = lively(ConvUnit(24, 40, kernel, eps=1e-3)).eval()
    unit = FusedUnit(plain, (1, 24, 7, 7))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(40, generator=torch.Generator().manual_seed(1)).view(1, 40, 1, 1)
    slopes = []
    for one in (plain, unit):
        given = x.clone(memory_format=torch.channels_last).requires_grad_()
        # A gradient that is the same in all cells has no memory of its own.
        slopes.append(torch.autograd.grad((one(given) * weights).sum(), given)[0])
        slopes.append(torch.autograd.grad(one(given).square()[:, 3:20].sum(), given)[0])
    for expected, found in zip(slopes[:2], slopes[2:], strict=True):
        assert expected.abs().max() > 0
        assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_the_model_stays_as_it_was_and_the_engine_as_it_was_made() -> None:
    model = model_of("batchnorm").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        engine = fused_engine(model)
        told = engine.trace(x).logits
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    nn.init.zeros_(model.head.classifier.weight)  # type: ignore[union-attr]
    with torch.inference_mode():
        again = engine.trace(x).logits
    assert told is not None
    assert again is not None
    assert torch.equal(told, again)
    assert told.abs().max() > 0


@pytest.mark.parametrize("ceil_mode", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (3, 2, 1), (2, 2, 0), (5, 3, 2)])
def test_maxima_are_the_pool_to_the_last_bit(kernel: int, stride: int, padding: int, ceil_mode: bool) -> None:
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    maxima = ElementwiseMaxPool(pool)
    generator = torch.Generator().manual_seed(0)
    for height in range(max(kernel, 5), 18):
        for width in (7, 12):
            x = torch.randn(2, 3, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
            before = x.clone()
            assert torch.equal(maxima(x), pool(x)), (height, width)
            assert torch.equal(x, before), "its input belongs to somebody else"
            assert torch.equal(maxima(x.contiguous()), pool(x))
    x = torch.randn(1, 2, 9, 9).contiguous(memory_format=torch.channels_last).requires_grad_()
    maxima(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(("size", "beta", "k"), [(5, 0.75, 1.0), (4, 0.75, 2.0), (3, 0.5, 1.0)])
def test_the_band_is_local_response_normalisation(size: int, beta: float, k: float) -> None:
    norm = nn.LocalResponseNorm(size, alpha=0.3, beta=beta, k=k)
    x = torch.randn(2, 13, 4, 6).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(ConvolutionalLRN(norm, 13, x.device)(x), norm(x), rtol=1e-5, atol=1e-6)


def test_a_folded_unit_is_convolution_batchnorm_and_relu_by_hand() -> None:
    unit = lively(ConvUnit(2, 3, 1, eps=1e-3))
    x = torch.randn(1, 2, 2, 2)
    conv, bn = unit.conv, unit.bn
    by_hand = np.einsum("oi,nihw->nohw", conv.weight.detach().numpy()[..., 0, 0], x.numpy())
    by_hand += conv.bias.detach().numpy()[:, None, None]
    scale = (bn.weight / torch.sqrt(bn.running_var + 1e-3)).detach().numpy()
    shift = (bn.bias - bn.running_mean * torch.from_numpy(scale)).detach().numpy()
    by_hand = np.maximum(by_hand * scale[:, None, None] + shift[:, None, None], 0)
    with torch.inference_mode():
        assert np.allclose(FusedUnit(unit, (1, 2, 2, 2))(x).numpy(), by_hand, atol=1e-5)


@pytest.mark.parametrize("together", [1, 24])
@pytest.mark.parametrize("runtime", ["PyTorch", "OpenVINO"])
def test_real_weights_keep_all_top_fives_in_bfloat16(
    runtime: str, together: int, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runtime == "OpenVINO":
        pytest.importorskip("openvino")
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
    pretrained = load("googlenet")
    engine = fused_engine(pretrained.model, HALF)
    trace = engine.trace if runtime == "PyTorch" else CompiledTrace(engine, pretrained.model, HALF)
    pictures = [Image.open(path).convert("RGB") for path in sorted((shared / "reference").glob("*-224.png"))]
    assert len(pictures) == 24
    batch = input_batch(pretrained, pictures)
    with torch.inference_mode():
        plain = pretrained.model.trace(batch).logits
        fast = [trace(photos).logits for photos in batch.split(together)]
    assert plain is not None
    told = torch.cat([logits for logits in fast if logits is not None])
    assert torch.equal(told.topk(5).indices, plain.topk(5).indices)
    error = (told - plain).abs().max()
    assert error < 0.1
    # OpenVINO computes in float32 on processors without bfloat16, which PyTorch emulates.
    assert error > 1e-3 or runtime == "OpenVINO"


def test_real_weights_keep_all_top_fives(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
    pretrained = load("googlenet")
    for path in sorted((shared / "reference").glob("*-224.png")):
        with Image.open(path) as seen:
            prediction = predict_crop(pretrained, seen.convert("RGB"))
        with torch.inference_mode():
            plain = pretrained.model.trace(pretrained.preprocessing.to_tensor(prediction.image))
        assert plain.logits is not None
        assert np.abs(prediction.logits - plain.logits[0].numpy()).max() < 1e-4
        assert [guess.index for guess in prediction.top(5)] == plain.logits[0].topk(5).indices.tolist()
        for block in BLOCKS:
            outputs = plain.stages[f"inception_{block}"][0].numpy()
            assert np.abs(prediction.block(block) - outputs).max() <= 1e-4 * max(1.0, float(np.abs(outputs).max()))
