"""The estimated memory of results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from inception.explain.circuit import cell_circuit
from inception.prediction import predict
from inception.pretrained.pretrained import PretrainedModel
from inception.service.memory_size import memory_size

MEGABYTE = 2**20
ARRAY = np.zeros(MEGABYTE, np.uint8)


@dataclass(frozen=True)
class Result:
    maps: Mapping[str, np.ndarray]
    label: str = "ox"


class Pair(NamedTuple):
    first: np.ndarray
    second: np.ndarray


@pytest.mark.parametrize(
    ("result", "arrays"),
    [
        (ARRAY, 1),
        (torch.zeros(MEGABYTE // 4), 1),
        ([ARRAY, ARRAY], 2),
        (Pair(ARRAY, ARRAY), 2),
        (MappingProxyType({"3a": ARRAY, None: (ARRAY, 7)}), 2),
        (Result({"1x1": ARRAY, "pool": ARRAY}), 2),
        ({"5b": [Result({"1x1": ARRAY})] * 3}, 3),
    ],
    ids=["array", "tensor", "list", "named tuple", "mapping", "dataclass", "nested"],
)
def test_all_arrays_of_a_result_count(result: object, arrays: int) -> None:
    assert arrays * MEGABYTE < memory_size(result) < arrays * MEGABYTE + 4096


@pytest.mark.parametrize("result", [0.5, 0, None, "", {}, (), np.float64(1), np.zeros(0), Result({})])
def test_results_without_arrays_count_little(result: object) -> None:
    assert 0 < memory_size(result) < 1024


def test_numbers_and_texts_count() -> None:
    assert memory_size([float(number) for number in range(1000)]) > 1000 * 8
    assert memory_size("x" * 5000) > 5000


def test_a_circuit_and_a_prediction_count_with_their_maps(embedded: PretrainedModel, photo: Image.Image) -> None:
    prediction = predict(embedded, photo)
    assert memory_size(prediction) >= prediction.nbytes
    circuit = cell_circuit(embedded, prediction, "4a", "1x1", 0, 0, 0)
    assert circuit.contributions.nbytes <= memory_size(circuit) < circuit.contributions.nbytes + 64 * 1024
