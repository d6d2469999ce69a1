"""Permutation test, compared with counting every permutation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from inception.errors import UserError
from inception.units.permutation import holm, permutation_p, ranks


def ranks_by_counting(values: np.ndarray) -> np.ndarray:
    """Ranks by counting the lower and the equal values."""
    return np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])


def test_equal_values_share_their_rank() -> None:
    values = np.random.default_rng(0).integers(0, 5, 40).astype(float)
    assert ranks(values) == pytest.approx(ranks_by_counting(values))


def test_p_value_matches_counting_every_permutation() -> None:
    values, groups = np.array([0.1, 0.9, 0.3, 0.8, 0.7, 0.2, 0.2]), (0, 1, 0, 1, 1, 0, 2)
    value_ranks = ranks_by_counting(values)

    def statistic(labels: tuple[int, ...]) -> float:
        """The variance of the values' group means."""
        means = [
            np.mean([rank for rank, other in zip(value_ranks, labels, strict=True) if other == label])
            for label in labels
        ]
        return float(np.var(means))

    statistics = [statistic(labels) for labels in set(permutations(groups))]
    exact = np.mean(np.array(statistics) >= statistic(groups) - 1e-9)
    p = permutation_p(values, np.array(groups), 9999)
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9999))


def test_difference_is_detected_and_reproducible() -> None:
    groups = np.repeat([0, 1, 2, 3], [20, 30, 8, 8])
    values = np.random.default_rng(1).random(len(groups)) + (groups == 2)
    assert permutation_p(values, groups, 999) == 0.001
    weak = values - 0.8 * (groups == 2)
    assert permutation_p(weak, groups, 999, seed=3) == permutation_p(weak, groups, 999, seed=3)
    assert permutation_p(values, np.zeros(len(groups)), 999) == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx((0.04, 0.09, 0.09, 0.5))
    assert holm([0.9, 0.8]) == (1, 1)
    assert holm([]) == ()


def test_number_of_permutations_is_checked() -> None:
    with pytest.raises(UserError, match="permutations is 0; it must be a whole number from 1 to"):
        permutation_p(np.array([1.0, 2.0]), np.array([0, 1]), 0)
