"""Permutation test: whether the channels of a block's branches differ, or only as chance would have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..checks import whole
from ..explain.ranks import ranks

PERMUTATIONS = 4999
MAX_PERMUTATIONS = 999_999
ROWS = 1000  # permutations at a time, for memory
ROUNDING = 1e-9  # relative: permutations that only round differently are as extreme


def permutation_p(values: np.ndarray, groups: np.ndarray, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Return how probable it is that groups of values differ by chance as much as they do, or more.

    The statistic is the variance between the groups' mean ranks, weighted by their sizes (Kruskal and Wallis, "Use of
    ranks in one-criterion variance analysis", 1952). Its distribution by chance comes from dealing the values out to
    the groups at random; the values as they are count as one of the permutations.

    Args:
        values: (N,), finite.
        groups: the group of each value, (N,), whole numbers from 0.

    Returns:
        The p value, at least 1 / (permutations + 1); 1 if there are fewer than two groups.

    Raises:
        UserError: if `permutations` is not from 1 to `MAX_PERMUTATIONS`.
    """
    count = whole("permutations", permutations, 1, MAX_PERMUTATIONS)
    members, labels = np.unique(groups, return_inverse=True)
    if len(members) < 2:
        return 1.0
    labels = labels.astype(np.uint8)
    placed = ranks(values)
    sizes = np.bincount(labels)

    def spread(rows: np.ndarray) -> np.ndarray:
        """Return the statistic of each row of labels (R, N)."""
        sums = np.stack([(rows == group) @ placed for group in range(len(members))], axis=1)
        return ((sums / sizes - placed.mean()) ** 2 @ sizes) / len(placed)

    observed = float(spread(labels[None])[0]) * (1 - ROUNDING)
    generator = np.random.default_rng(seed)
    as_extreme = 1
    for start in range(0, count, ROWS):
        rows = np.tile(labels, (min(ROWS, count - start), 1))
        as_extreme += int((spread(generator.permuted(rows, axis=1)) >= observed).sum())
    return as_extreme / (count + 1)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values corrected for their number, by the method of Holm (Scandinavian Journal of Statistics, 1979).

    Of corrected values, the probability that any is at most 0.05 by chance is at most 0.05.
    """
    order = sorted(range(len(p_values)), key=lambda number: p_values[number])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[number]))
        corrected[number] = highest
    return tuple(corrected)
