"""Plain data of the census: the tuning of each block's four branches, and tests of whether they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...network.blocks import BLOCKS
from ...service.service import InferenceService
from ...units.census import branch_differences, tuning_numbers, typical
from ...units.permutation import PERMUTATIONS
from ...units.tuning import LayerTuning
from .unit import network_tuning


def tuning_census(service: InferenceService, name: str) -> dict[str, Any]:
    """`model, permutations, channels, measures` of a network.

    `channels` is by block and branch a list of the number of channels and of silent ones. `measures` is by measure of
    `units.census` and block `{"branches", "p", "clear", "highest", "lowest"}`, with what is typical of each branch, or
    null where all its channels are silent.
    """
    slices = {block: service.pretrained(name).model.block(block).slices for block in BLOCKS}
    tuned = network_tuning(service, name)
    return {
        "model": name,
        "permutations": PERMUTATIONS,
        "channels": {
            block: {
                branch: [len(tuned[block].silent[part]), int(tuned[block].silent[part].sum())]
                for branch, part in slices[block].items()
            }
            for block in BLOCKS
        },
        "measures": _measures(tuned, slices),
    }


def _measures(tuned: Mapping[str, LayerTuning], slices: Mapping[str, Mapping[str, slice]]) -> dict[str, Any]:
    numbers = {block: tuning_numbers(one) for block, one in tuned.items()}
    return {
        measure: {
            test.block: {
                "branches": {
                    branch: typical(measure, numbers[test.block][measure][part])
                    for branch, part in slices[test.block].items()
                },
                "p": test.p,
                "clear": test.is_clear,
                "highest": test.highest,
                "lowest": test.lowest,
            }
            for test in branch_differences(measure, {block: one[measure] for block, one in numbers.items()}, slices)
        }
        for measure in next(iter(numbers.values()))
    }
