"""Expanded weights, compared with the layers without the ReLUs between them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from inception.errors import ChoiceError, UserError
from inception.network.blocks import BLOCKS, BRANCHES, InceptionBlock
from inception.network.inception_v1 import InceptionV1
from inception.pretrained.pretrained import PretrainedModel
from inception.units.wiring import expanded_kernel, wiring


def linear_branch(block: InceptionBlock, branch: str) -> nn.Sequential:
    """A copy of a branch without its ReLUs and its pooling, in double precision."""
    layers = [copy.deepcopy(block[layer]) for layer in BRANCHES[branch] if layer != "pool"]
    units = [
        nn.Sequential(*(module for module in layer.children() if not isinstance(module, nn.ReLU))) for layer in layers
    ]
    return nn.Sequential(*units).double().eval()


@pytest.mark.parametrize("preact", [False, True])
@pytest.mark.parametrize("branch", BRANCHES)
def test_expanded_kernel_is_the_response_to_one_pixel(branch: str, preact: bool) -> None:
    torch.manual_seed(3)
    block = InceptionBlock(6, 4, [3, 5], [2, 4], 3, preact=preact).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
    layers = linear_branch(block, branch)
    kernel = expanded_kernel(block, branch).double()
    reach = kernel.shape[-1] // 2
    for channel in range(6):
        x = torch.zeros(1, 6, 9, 9, dtype=torch.double)
        background = layers(x)
        x[0, channel, 4, 4] = 1
        response = (layers(x) - background)[0, :, 4 - reach : 5 + reach, 4 - reach : 5 + reach]
        # The response to one pixel is the kernel, flipped.
        torch.testing.assert_close(response.flip(1, 2), kernel[:, channel], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("block", ["3a", "5b"])
def test_a_negative_count_gives_no_connections(block: str, embedded: PretrainedModel) -> None:
    connections = wiring(embedded.model, block, "5x5", 7, strongest=-1)
    assert connections.feeds == connections.readers == ()


def test_feeds_and_readers_are_the_strongest_in_order(embedded: PretrainedModel) -> None:
    model = embedded.model
    connections = wiring(model, "4b", "5x5", 7, strongest=5)
    norms = expanded_kernel(model.block("4b"), "5x5")[7].flatten(1).norm(dim=1)
    slices = model.block("4a").slices
    numbers = [slices[feed.branch].start + feed.channel for feed in connections.feeds if feed.branch is not None]
    assert numbers == norms.argsort(descending=True)[:5].tolist()
    assert [feed.strength for feed in connections.feeds] == pytest.approx(
        norms.sort(descending=True).values[:5].tolist()
    )
    number = model.block("4b").slices["5x5"].start + 7
    strengths = {
        (branch, channel): float(kernel[number].norm())
        for branch in BRANCHES
        for channel, kernel in enumerate(expanded_kernel(model.block("4c"), branch))
    }
    best = sorted(strengths, key=lambda unit: -strengths[unit])[:5]
    assert [(reader.branch, reader.channel) for reader in connections.readers] == best
    assert {reader.layer for reader in connections.readers} == {"4c"}


def test_first_block_is_fed_by_the_stem_and_the_last_is_read_by_the_classifier(embedded: PretrainedModel) -> None:
    first = wiring(embedded.model, "3a", "3x3", 0)
    assert {(feed.layer, feed.branch) for feed in first.feeds} == {("stem", None)}
    last = wiring(embedded.model, "5b", "pool", 3, strongest=3)
    assert {reader.layer for reader in last.readers} == {"classifier"}
    head = [layer for layer in embedded.model.required_head.modules() if isinstance(layer, nn.Linear)]
    column = embedded.model.block("5b").slices["pool"].start + 3
    weights = (head[1].weight @ head[0].weight)[:, column]
    assert [reader.channel for reader in last.readers] == weights.abs().argsort(descending=True)[:3].tolist()
    assert last.readers[0].total == pytest.approx(float(weights[last.readers[0].channel]), rel=1e-5)


def test_last_block_of_a_network_without_classifier_has_no_readers() -> None:
    model = InceptionV1(include_top=False)
    assert wiring(model, "5b", "1x1", 0).readers == ()


def test_unknown_units_are_rejected(embedded: PretrainedModel) -> None:
    with pytest.raises(ChoiceError, match="3a"):
        wiring(embedded.model, "6a", "1x1", 0)
    with pytest.raises(UserError, match="63"):
        wiring(embedded.model, "3a", "1x1", 64)


def test_every_branch_has_a_wiring(embedded: PretrainedModel) -> None:
    for block in BLOCKS:
        for branch in BRANCHES:
            connections = wiring(embedded.model, block, branch, 0, strongest=2)
            assert len(connections.feeds) == len(connections.readers) == 2


def test_unknown_branch_is_rejected(embedded: PretrainedModel) -> None:
    with pytest.raises(ChoiceError, match="branch is '7x7'; it must be one of: 1x1, 3x3, 5x5, pool"):
        wiring(embedded.model, "3a", "7x7", 0)
