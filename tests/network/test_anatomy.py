"""Network facts, compared with the design document's table and hand calculations."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from inception.network.anatomy import (
    bottleneck,
    branch_label,
    conv_cost,
    layer_table,
    module_cost,
    network_facts,
    parameter_count,
    receptive_field,
    stage_shapes,
)
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.cost import module_costs
from inception.network.inception_v1 import VARIANTS, InceptionV1
from support.networks import linear_network

TABLE = Path(__file__).parent / "data" / "layer-table-2-classes.csv"


def test_layer_table_matches_the_design_document() -> None:
    expected = [
        (int(row["index"]), row["layer"], tuple(map(int, row["output_shape"].split("x"))), int(row["parameters"]))
        for row in csv.DictReader(TABLE.open())
    ]
    table = layer_table(InceptionV1(classes=2))
    assert len(expected) == 197
    assert [(row.index, row.kind, row.output_shape, row.parameters) for row in table.rows] == expected
    assert table.parameters == 7_039_122
    megabytes = (table.input_mb, table.forward_backward_mb, table.parameters_mb, table.total_mb)
    assert tuple(round(value, 2) for value in megabytes) == (0.57, 81.87, 26.85, 109.30)


@pytest.mark.parametrize("variant", VARIANTS)
def test_layer_table_counts_every_parameter_and_leaves_the_model_unchanged(variant: str) -> None:
    model = InceptionV1(variant=variant, classes=3).train()
    model.stem.eval()
    modes = [module.training for module in model.modules()]
    assert layer_table(model).parameters == sum(parameter.numel() for parameter in model.parameters())
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_concurrent_layer_tables_of_one_model_count_it_once() -> None:
    model = InceptionV1(classes=2)
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(layer_table, [model] * 8))
    assert {table.parameters for table in tables} == {parameter_count(model)}


def test_worked_bottleneck_example() -> None:
    example = bottleneck(128, 32, 256, 5)
    assert example.direct.parameters == 819_456
    assert example.reduction.parameters == 4_128
    assert example.convolution.parameters == 205_056
    assert example.reduced.parameters == 209_184
    assert example.saving == 819_200 / (4_096 + 204_800)


def test_costs_of_3a_match_hand_calculations() -> None:
    block = InceptionV1(variant="googlenet").block("3a")
    cells = 28 * 28
    cost = module_cost(block, cells)
    reduced = 192 * 64 + 192 * 96 + 9 * 96 * 128 + 192 * 16 + 25 * 16 * 32 + 192 * 32
    naive = 192 * 64 + 9 * 192 * 128 + 25 * 192 * 32
    assert (cost.reduced.weights, cost.naive.weights) == (reduced, naive)
    assert (cost.reduced.multiplications, cost.naive.multiplications) == (reduced * cells, naive * cells)
    assert cost.reduced.parameters == sum(parameter.numel() for parameter in block.parameters())
    assert (cost.reduced_channels, cost.naive_channels) == (256, 64 + 128 + 32 + 192)
    assert conv_cost(192, 32, 5).weights == 153_600
    assert bottleneck(192, 16, 32, 5).reduced.weights == 15_872


def test_every_block_is_cheaper_with_its_reductions() -> None:
    model = InceptionV1()
    for block in BLOCKS:
        assert module_cost(model.block(block)).saving > 2, block


def test_savings_of_a_block_are_the_same_in_both_tables_and_for_multiplications() -> None:
    model = InceptionV1(input_shape=(3, 64, 64))
    for row in module_costs(model):
        cost = module_cost(model.block(row.block), row.cells)
        assert cost.saving == row.saving == cost.naive.multiplications / cost.reduced.multiplications, row.block


def test_receptive_fields_of_3a_match_hand_calculations() -> None:
    model = InceptionV1(variant="googlenet")
    assert [receptive_field(model, "3a", branch).size for branch in BRANCHES] == [27, 43, 59, 43]
    assert {receptive_field(model, "3a", branch).stride for branch in BRANCHES} == {8}
    assert receptive_field(InceptionV1(variant="torchvision"), "3a", "5x5").size == 43


@pytest.mark.parametrize("variant", VARIANTS)
def test_receptive_field_is_the_support_of_the_gradient(variant: str) -> None:
    size = 320
    facts = InceptionV1(variant=variant, input_shape=(3, size, size))
    model = linear_network(variant, size)
    x = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    stages = model.trace(x).stages
    for block in ("3a", "3b", "4a"):
        output = stages[f"inception_{block}"]
        cell = output.shape[-1] // 2
        for branch, channels in model.block(block).slices.items():
            (gradient,) = torch.autograd.grad(output[0, channels, cell, cell].sum(), x, retain_graph=True)
            support = gradient.abs().sum((0, 1)).nonzero()
            field = receptive_field(facts, block, branch)
            first = field.start + cell * field.stride
            assert support.min(0).values.tolist() == [first, first], (block, branch)
            assert support.max(0).values.tolist() == [first + field.size - 1] * 2, (block, branch)


def test_torchvisions_5x5_branch_is_labelled_with_its_actual_kernel() -> None:
    labels = {
        variant: [branch_label(InceptionV1(variant=variant).block("4c"), branch) for branch in BRANCHES]
        for variant in VARIANTS
    }
    assert labels["googlenet"] == labels["batchnorm"] == ["1x1", "3x3", "5x5", "pool"]
    assert labels["torchvision"] == ["1x1", "3x3", "5x5 (runs 3x3)", "pool"]


@pytest.mark.parametrize(("variant", "side"), [("batchnorm", 4), ("googlenet", 4), ("torchvision", 4)])
def test_facts_follow_the_variant_and_input_shape(variant: str, side: int) -> None:
    model = InceptionV1(variant=variant, input_shape=(3, 128, 128))
    facts = network_facts(model)
    assert list(facts) == list(BLOCKS)
    assert [fact.channels for fact in facts["4e"]] == [256, 320, 128, 128]
    assert [fact.reduced_to for fact in facts["4e"]] == [None, 160, 32, None]
    assert (facts["5b"][0].height, facts["5b"][0].width) == (side, side)
    shapes = stage_shapes(model)
    assert shapes["inception_5b"] == (1024, side, side)
    cells = facts["3b"][0].height ** 2
    assert facts["3b"][0].cost.multiplications == 256 * 128 * cells


def test_unknown_block_or_branch_error_lists_valid_names() -> None:
    model = InceptionV1()
    with pytest.raises(ValueError, match="3a, 3b, 4a, 4b, 4c, 4d, 4e, 5a, 5b"):
        receptive_field(model, "6a", "1x1")
    with pytest.raises(ValueError, match="1x1, 3x3, 5x5, pool"):
        receptive_field(model, "3a", "7x7")
