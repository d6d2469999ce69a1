"""Fused engines, compared with the plain model by module and as a whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

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
    shortest_pass,
)
from inception.network.inception_v1 import STAGES, InceptionV1
from inception.prediction import input_batch, predict_crop
from inception.pretrained.zoo import load
from support.networks import randomise
from support.no_float64 import NoFloat64

KINDS = {
    "googlenet": {"variant": "googlenet"},
    "batchnorm": {"variant": "batchnorm"},
    "batchnorm without bias": {"variant": "batchnorm", "use_bias": False},
    "batchnorm, preact": {"variant": "batchnorm", "preact": True},
    "torchvision": {"variant": "torchvision"},
}


def model_of(kind: str, side: int = 96) -> InceptionV1:
    model = randomise(InceptionV1(classes=11, input_shape=(3, side, side), **KINDS[kind]))
    assert isinstance(model, InceptionV1)
    return model


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "plain PyTorch"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_stage_matches_the_plain_model(kind: str, fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "has_fused_convolution", lambda *_: fused)
    model = model_of(kind)
    engine = fused_engine(model)
    units = [module for module in engine.modules() if isinstance(module, FusedUnit)]
    assert len(units) == (3 if "preact" in kind else 57)
    assert all((unit.packed is not None) == fused for unit in units)
    # Including sizes and batches other than those it was prepared for.
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
def test_bfloat16_stages_are_accurate_to_a_few_hundredths(
    kind: str, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fused and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no instructions for bfloat16")
    monkeypatch.setattr(engine_module, "has_fused_convolution", lambda *_: fused)
    model = model_of(kind)
    engine = fused_engine(model, HALF)
    for count in (1, 3):
        x = torch.randn(count, 3, 96, 96, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            plain, fast = model.trace(x), engine.trace(x.contiguous(memory_format=torch.channels_last))
        for name, expected in plain.stages.items():
            error = (fast.stages[name].float() - expected).abs()
            assert error.max() <= 0.06 * expected.abs().max(), name
            # Without rounding errors this would not be bfloat16.
            assert error.max() > 1e-4 * expected.abs().max() or name in ("conv1", "pool1"), name
        assert fast.logits is not None
        assert plain.logits is not None
        assert fast.logits.dtype == torch.float32
        assert (fast.logits - plain.logits).abs().max() <= 0.06 * plain.logits.abs().max()


def test_the_fused_convolution_is_used_where_the_processor_supports_it() -> None:
    assert has_fused_convolution(FULL)
    assert has_fused_convolution(HALF) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    units = [module for module in fused_engine(model_of("batchnorm"), HALF).modules() if isinstance(module, FusedUnit)]
    assert {unit.packed is None for unit in units if unit.weight.dtype == HALF} == {not has_fused_convolution(HALF)}


@pytest.mark.parametrize(("half", "chosen"), [(0.5, "half"), (0.95, "full"), (3.0, "full")])
def test_bfloat16_is_chosen_only_where_it_is_clearly_faster(
    half: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of("batchnorm")
    full = fused_engine(model)
    monkeypatch.setattr(engine_module, "shortest_pass", lambda engine, _: 1.0 if engine is full else half)
    assert (fast_engine(model, full) is full) == (chosen == "full")


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_the_time_of_a_pass_ends_when_the_gpu_has_computed_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def wait(*_: torch.device) -> None:
        nonlocal clock
        clock += 3

    monkeypatch.setattr(getattr(torch, kind), "synchronize", wait)
    monkeypatch.setattr(engine_module, "perf_counter", lambda: clock)
    engine, photo = SimpleNamespace(trace=lambda _: None), SimpleNamespace(device=torch.device(kind))
    assert shortest_pass(engine, photo) == 3


@pytest.mark.parametrize("kind", ["googlenet", "batchnorm, preact"])
def test_an_engine_starts_at_a_later_stage_and_propagates_gradients(kind: str) -> None:
    model = model_of(kind)
    engine = fused_engine(model)
    differences = []
    for seed in range(9):
        x = torch.randn(1, 192, 12, 12, generator=torch.Generator().manual_seed(seed))
        gradients = []
        for network in (model, engine):
            maps = x.clone(memory_format=torch.channels_last).requires_grad_()
            logits = network.trace(maps, start="inception_3a").logits
            assert logits is not None
            gradients.append(torch.autograd.grad(logits[0, 3], maps)[0])
        assert gradients[0].abs().max() > 0
        differences.append(float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max()))
    # The gradient jumps where a ReLU's input changes its sign or a maximum moves to another cell. Rounding does that
    # for about one input in eight, and changes the gradient by up to a few percent there.
    assert sorted(differences)[4] <= 1e-5


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("shape", [(1, 24, 7, 7), (3, 24, 14, 10)])
def test_gradients_of_a_fused_unit_match_the_plain_unit(kernel: int, shape: tuple[int, ...]) -> None:
    plain = randomise(ConvUnit(24, 40, kernel, eps=1e-3)).eval()
    unit = FusedUnit(plain, (1, 24, 7, 7))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weights = torch.randn(40, generator=torch.Generator().manual_seed(1)).view(1, 40, 1, 1)
    gradients = []
    for module in (plain, unit):
        maps = x.clone(memory_format=torch.channels_last).requires_grad_()
        # This output gradient is constant over cells: an expanded tensor without storage for each cell.
        gradients.append(torch.autograd.grad((module(maps) * weights).sum(), maps)[0])
        gradients.append(torch.autograd.grad(module(maps).square()[:, 3:20].sum(), maps)[0])
    for expected, gradient in zip(gradients[:2], gradients[2:], strict=True):
        assert expected.abs().max() > 0
        assert (gradient - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_fusing_leaves_the_model_unchanged_and_the_engine_is_independent_of_it() -> None:
    model = model_of("batchnorm").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        engine = fused_engine(model)
        logits = engine.trace(x).logits
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    nn.init.zeros_(model.head.classifier.weight)  # type: ignore[union-attr]
    with torch.inference_mode():
        later_logits = engine.trace(x).logits
    assert logits is not None
    assert later_logits is not None
    assert torch.equal(logits, later_logits)
    assert logits.abs().max() > 0


@pytest.mark.parametrize("ceil_mode", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 0), (3, 2, 1), (2, 2, 0), (5, 3, 2)])
def test_elementwise_maxima_equal_max_pooling_bit_by_bit(
    kernel: int, stride: int, padding: int, ceil_mode: bool
) -> None:
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    maxima = ElementwiseMaxPool(pool)
    generator = torch.Generator().manual_seed(0)
    for height in range(max(kernel, 5), 18):
        for width in (7, 12):
            x = torch.randn(2, 3, height, width, generator=generator).contiguous(memory_format=torch.channels_last)
            before = x.clone()
            assert torch.equal(maxima(x), pool(x)), (height, width)
            assert torch.equal(x, before), "the input must not be modified"
            assert torch.equal(maxima(x.contiguous()), pool(x))
    x = torch.randn(1, 2, 9, 9).contiguous(memory_format=torch.channels_last).requires_grad_()
    maxima(x).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(("size", "beta", "k"), [(5, 0.75, 1.0), (4, 0.75, 2.0), (3, 0.5, 1.0)])
def test_convolutional_lrn_matches_local_response_normalisation(size: int, beta: float, k: float) -> None:
    norm = nn.LocalResponseNorm(size, alpha=0.3, beta=beta, k=k)
    x = torch.randn(2, 13, 4, 6).contiguous(memory_format=torch.channels_last)
    assert torch.allclose(ConvolutionalLRN(norm, 13, x.device)(x), norm(x), rtol=1e-5, atol=1e-6)


def test_a_fused_unit_matches_convolution_batchnorm_and_relu_by_hand() -> None:
    unit = randomise(ConvUnit(2, 3, 1, eps=1e-3))
    x = torch.randn(1, 2, 2, 2)
    conv, bn = unit.conv, unit.bn
    by_hand = np.einsum("oi,nihw->nohw", conv.weight.detach().numpy()[..., 0, 0], x.numpy())
    by_hand += conv.bias.detach().numpy()[:, None, None]
    scale = (bn.weight / torch.sqrt(bn.running_var + 1e-3)).detach().numpy()
    shift = (bn.bias - bn.running_mean * torch.from_numpy(scale)).detach().numpy()
    by_hand = np.maximum(by_hand * scale[:, None, None] + shift[:, None, None], 0)
    with torch.inference_mode():
        assert np.allclose(FusedUnit(unit, (1, 2, 2, 2))(x).numpy(), by_hand, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 24])
@pytest.mark.parametrize("runtime", ["PyTorch", "OpenVINO"])
def test_real_weights_keep_all_top_fives_in_bfloat16(
    runtime: str, batch_size: int, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runtime == "OpenVINO":
        pytest.importorskip("openvino")
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
    pretrained = load("googlenet")
    engine = fused_engine(pretrained.model, HALF)
    trace = engine.trace if runtime == "PyTorch" else CompiledTrace(engine, pretrained.model, HALF)
    images = [Image.open(path).convert("RGB") for path in sorted((shared / "reference").glob("*-224.png"))]
    assert len(images) == 24
    batch = input_batch(pretrained, images)
    with torch.inference_mode():
        plain = pretrained.model.trace(batch).logits
        outputs = [trace(photos).logits for photos in batch.split(batch_size)]
    assert plain is not None
    logits = torch.cat([output for output in outputs if output is not None])
    assert torch.equal(logits.topk(5).indices, plain.topk(5).indices)
    error = (logits - plain).abs().max()
    assert error < 0.1
    # OpenVINO computes in float32 on processors without bfloat16, which PyTorch emulates.
    assert error > 1e-3 or runtime == "OpenVINO"


def test_real_weights_keep_all_top_fives(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCEPTION_WEIGHTS_DIR", str(shared / "weights"))
    pretrained = load("googlenet")
    for path in sorted((shared / "reference").glob("*-224.png")):
        with Image.open(path) as image:
            prediction = predict_crop(pretrained, image.convert("RGB"))
        with torch.inference_mode():
            plain = pretrained.model.trace(pretrained.preprocessing.to_tensor(prediction.image))
        assert plain.logits is not None
        assert np.abs(prediction.logits - plain.logits[0].numpy()).max() < 1e-4
        assert [guess.index for guess in prediction.top(5)] == plain.logits[0].topk(5).indices.tolist()
        for block in BLOCKS:
            outputs = plain.stages[f"inception_{block}"][0].numpy()
            assert np.abs(prediction.block(block) - outputs).max() <= 1e-4 * max(1.0, float(np.abs(outputs).max()))


@pytest.mark.parametrize("kind", KINDS)
def test_device_without_float64_suffices(kind: str) -> None:
    model, x = model_of(kind), torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with NoFloat64():
        engine = fused_engine(model)
        logits = engine.logits(x)
    with torch.inference_mode():
        torch.testing.assert_close(logits, fused_engine(model).logits(x), rtol=0, atol=0)
