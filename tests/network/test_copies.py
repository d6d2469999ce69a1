"""Copies of networks: equal values, no shared tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from inception.network.anatomy import network_facts
from inception.network.copies import copy_module, is_plain, plain_copy, shape_copy
from inception.network.cost import network_size
from inception.network.inception_v1 import InceptionV1
from support.networks import randomise


def test_copy_equals_deepcopy_and_shares_no_tensor() -> None:
    model = randomise(InceptionV1(classes=3)).requires_grad_(False)
    model.block("3a")["1x1"].conv.weight.requires_grad_(True)
    copied, expected = copy_module(model), copy.deepcopy(model)
    assert copied.state_dict().keys() == expected.state_dict().keys()
    for (name, tensor), (_, expected_tensor), (_, original) in zip(
        copied.named_parameters(), expected.named_parameters(), model.named_parameters(), strict=True
    ):
        assert torch.equal(tensor, expected_tensor), name
        assert (type(tensor), tensor.requires_grad, tensor.stride()) == (
            type(expected_tensor),
            expected_tensor.requires_grad,
            expected_tensor.stride(),
        )
        assert tensor.data_ptr() != original.data_ptr(), name
    pairs = zip(copied.buffers(), model.buffers(), strict=True)
    assert all(torch.equal(tensor, original) and tensor.data_ptr() != original.data_ptr() for tensor, original in pairs)


@pytest.mark.parametrize("duplicate", [copy_module, plain_copy, shape_copy])
def test_a_copy_has_no_hooks(duplicate: Callable[[nn.Module], nn.Module]) -> None:
    calls: list[str] = []

    def record(module: nn.Module, *_: object) -> None:
        calls.append(type(module).__name__)

    layer = nn.Conv2d(3, 2, 1)
    model = nn.Sequential(layer)
    layer.register_forward_pre_hook(record, with_kwargs=True)
    layer.register_forward_hook(record, with_kwargs=True, always_call=True)
    model.register_forward_hook(record)
    layer.register_full_backward_pre_hook(record)
    layer.register_full_backward_hook(record)
    copied, x = duplicate(model), torch.ones(1, 3, 2, 2, requires_grad=True)
    copied(x).sum().backward()
    assert calls == []
    copied[0].register_forward_hook(record)
    copied(x)
    assert calls == ["Conv2d"], "hooks of the copy itself"
    calls.clear()
    model(x).sum().backward()
    assert len(calls) == 5, "the original keeps its hooks"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("inference", [False, True])
def test_a_plain_copy_is_plain(dtype: torch.dtype, training: bool, inference: bool) -> None:
    with torch.inference_mode(inference):
        model = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).to(dtype).train(training)
    assert is_plain(model) == (dtype == torch.float32 and not training and not inference)
    with torch.inference_mode():
        copied = plain_copy(model)
    assert is_plain(copied)
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    assert torch.equal(copied[0].weight, model[0].weight.float())


def test_tensors_are_copied_without_deepcopys_memo() -> None:
    class MemoSize(torch.overrides.TorchFunctionMode):
        largest = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            for argument in args:
                if isinstance(argument, dict):
                    self.largest = max(self.largest, len(argument))
            return func(*args, **(kwargs or {}))

    model = InceptionV1(classes=3)
    with MemoSize() as memo:
        copy_module(model)
    assert memo.largest == 0
    with MemoSize() as memo:
        copy.deepcopy(model)
    assert memo.largest > 100, "deepcopy passes its memo to each tensor"


def test_a_meta_copy_allocates_nothing_on_the_models_device() -> None:
    """The device may be a GPU whose memory is full; network facts must be available there too."""

    class AllocationCounter(torch.utils._python_dispatch.TorchDispatchMode):
        allocations = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and result.device.type != "meta":
                self.allocations += result.data_ptr() not in known
            return result

    model = InceptionV1(classes=3)
    known = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    with AllocationCounter() as counter:
        meta_copy = copy_module(model, "meta")
    assert counter.allocations == 0
    assert {tensor.device.type for tensor in (*meta_copy.parameters(), *meta_copy.buffers())} == {"meta"}
    assert {name: tensor.shape for name, tensor in meta_copy.state_dict().items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }
    for facts in (network_facts, lambda network: network_size(network, network.input_shape)):
        assert facts(meta_copy) == facts(model), "facts need neither the model's device nor its values"
