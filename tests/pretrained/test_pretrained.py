"""A trained network's engines: they follow its weights, and are not part of its pickle."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch import nn

from inception import UserError, load, predict
from inception.network.fused import HALF
from inception.pretrained.pretrained import PretrainedModel


@pytest.fixture
def pretrained() -> PretrainedModel:
    """A network of the test's own, whose engines have been used."""
    pretrained = load()
    _ = pretrained.engine, pretrained.fast_engine
    return pretrained


def logits(pretrained: PretrainedModel) -> torch.Tensor:
    photo = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    return pretrained.engine.logits(photo)


def test_a_network_with_another_classifier_needs_its_labels(pretrained: PretrainedModel) -> None:
    photo = Image.new("RGB", (64, 64))
    pretrained.model.required_head.classifier = nn.Linear(1024, 2)
    with pytest.raises(UserError, match="gives 2 logits, but has 200 labels"):
        predict(pretrained, photo)
    assert len(predict(replace(pretrained, labels=("cat", "dog")), photo).top(5)) == 2


@pytest.mark.parametrize("duplicate", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_a_used_network_can_be_pickled_and_copied(
    pretrained: PretrainedModel, duplicate: Callable[[PretrainedModel], PretrainedModel]
) -> None:
    other = duplicate(pretrained)
    assert (other.name, other.labels, other.provenance) == (pretrained.name, pretrained.labels, pretrained.provenance)
    assert torch.equal(logits(other), logits(pretrained))


def test_an_engine_is_built_once(pretrained: PretrainedModel) -> None:
    assert pretrained.engine is pretrained.engine
    assert pretrained.fast_engine is pretrained.fast_engine


def test_the_unfused_network_computes_with_the_plain_one(pretrained: PretrainedModel) -> None:
    unfused = pretrained.unfused()
    assert unfused.engine is unfused.model is pretrained.model
    assert unfused.labels == pretrained.labels
    with torch.inference_mode():
        assert torch.allclose(logits(unfused), logits(pretrained), atol=1e-4)


def _in_place(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(0.5)


def _statistics(model: nn.Module) -> None:
    next(model.buffers()).add_(1)


def _replacement(model: nn.Module) -> None:
    model.head.classifier.bias = nn.Parameter(model.head.classifier.bias + 1)


def _conversion(model: nn.Module) -> None:
    model.to(HALF).float()


@pytest.mark.parametrize("change", [_in_place, _statistics, _replacement, _conversion])
def test_engines_follow_a_changed_network(pretrained: PretrainedModel, change: Callable[[nn.Module], None]) -> None:
    before = pretrained.engine, pretrained.fast_engine
    change(pretrained.model)
    assert pretrained.engine is not before[0]
    assert pretrained.fast_engine is not before[1]
    assert torch.equal(logits(pretrained), logits(replace(pretrained)))


def test_the_plain_network_is_the_model_itself_where_that_can_be(pretrained: PretrainedModel) -> None:
    assert pretrained.plain is pretrained.model
    pretrained.model.train()
    plain = pretrained.plain
    assert plain is pretrained.plain, "it is built once"
    assert not plain.training
    _in_place(pretrained.model)
    assert pretrained.plain is not plain, "it follows a changed network"
    pretrained.model.eval()
    assert pretrained.plain is pretrained.model


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_engine_of_a_network_of_another_type_is_float32(dtype: torch.dtype) -> None:
    pretrained = load()
    expected = logits(pretrained)
    pretrained.model.to(dtype)
    torch.testing.assert_close(logits(pretrained), expected, rtol=0, atol=0.5)


def test_networks_are_compared_by_identity(pretrained: PretrainedModel) -> None:
    assert pretrained == pretrained
    assert pretrained != replace(pretrained, means={"3a": torch.zeros(2)})
    assert len({pretrained, pretrained}) == 1
