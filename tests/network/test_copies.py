"""Copies of networks: the same numbers, and nothing shared."""

from __future__ import annotations

import copy

import torch

from inception.network.anatomy import network_facts
from inception.network.copies import copy_module
from inception.network.cost import network_size
from inception.network.inception_v1 import InceptionV1
from support.networks import lively


def test_a_copy_is_what_deepcopy_makes() -> None:
    model = lively(InceptionV1(classes=3)).requires_grad_(False)
    model.block("3a")["1x1"].conv.weight.requires_grad_(True)
    made, expected = copy_module(model), copy.deepcopy(model)
    assert made.state_dict().keys() == expected.state_dict().keys()
    for (name, own), (_, other), (_, first) in zip(
        made.named_parameters(), expected.named_parameters(), model.named_parameters(), strict=True
    ):
        assert torch.equal(own, other), name
        assert (type(own), own.requires_grad, own.stride()) == (type(other), other.requires_grad, other.stride())
        assert own.data_ptr() != first.data_ptr(), name
    pairs = zip(made.buffers(), model.buffers(), strict=True)
    assert all(torch.equal(own, first) and own.data_ptr() != first.data_ptr() for own, first in pairs)


def test_no_tensor_is_copied_together_with_all_before_it() -> None:
    class Listening(torch.overrides.TorchFunctionMode):
        largest = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            for one in args:
                if isinstance(one, dict):
                    self.largest = max(self.largest, len(one))
            return func(*args, **(kwargs or {}))

    model = InceptionV1(classes=3)
    with Listening() as heard:
        copy_module(model)
    assert heard.largest == 0
    with Listening() as heard:
        copy.deepcopy(model)
    assert heard.largest > 100, "what this is about"


def test_a_copy_without_numbers_takes_nothing_of_the_models_device() -> None:
    """It may be a GPU whose memory is full: facts about a network are told there too."""

    class Allocating(torch.utils._python_dispatch.TorchDispatchMode):
        elsewhere = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and made.device.type != "meta":
                self.elsewhere += made.data_ptr() not in known
            return made

    model = InceptionV1(classes=3)
    known = {tensor.data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    with Allocating() as made:
        plan = copy_module(model, "meta")
    assert made.elsewhere == 0
    assert {tensor.device.type for tensor in (*plan.parameters(), *plan.buffers())} == {"meta"}
    assert {name: tensor.shape for name, tensor in plan.state_dict().items()} == {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }
    for facts in (network_facts, lambda one: network_size(one, one.input_shape)):
        assert facts(plan) == facts(model), "without the model's device, and without its numbers"
