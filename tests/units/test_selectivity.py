"""Selectivity measures, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from inception.units.selectivity import mean_vector, sparseness


def test_mean_vector_by_hand() -> None:
    orientations = np.arange(0, 180, 45)
    responses = np.array([[1.0, 0, 0, 0], [1, 1, 1, 1], [2, 1, 0, 1], [0, 0, 0, 0]])
    assert mean_vector(responses, orientations, 180) == pytest.approx([1, 0, 0.5, 0], abs=1e-12)


def test_sparseness_by_hand() -> None:
    responses = np.array([[3.0, 0, 0, 0], [2, 2, 2, 2], [1, 1, 0, 0], [0, 0, 0, 0]])
    # For two equal responses of four: (1 - 0.5 ** 2 / 0.5) / (1 - 1 / 4).
    assert sparseness(responses) == pytest.approx([1, 0, 2 / 3, 0])
