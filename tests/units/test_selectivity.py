"""Selectivity, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from inception.units.selectivity import mean_vector, sparseness


def test_the_mean_vector_by_hand() -> None:
    turns = np.arange(0, 180, 45)
    responses = np.array([[1.0, 0, 0, 0], [1, 1, 1, 1], [2, 1, 0, 1], [0, 0, 0, 0]])
    assert mean_vector(responses, turns, 180) == pytest.approx([1, 0, 0.5, 0], abs=1e-12)


def test_sparseness_by_hand() -> None:
    responses = np.array([[3.0, 0, 0, 0], [2, 2, 2, 2], [1, 1, 0, 0], [0, 0, 0, 0]])
    # Of two equal ones among four: (1 - 0.5 ** 2 / 0.5) / (1 - 1 / 4).
    assert sparseness(responses) == pytest.approx([1, 0, 2 / 3, 0])
