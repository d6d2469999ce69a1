"""Selectivity of channels: how unevenly they respond to the values of a feature, or to different photos."""

from __future__ import annotations

import numpy as np


def mean_vector(responses: np.ndarray, angles: np.ndarray, circle: int) -> np.ndarray:
    """Return the length of the mean vector of responses (C, angles), 0 to 1: one minus their circular variance.

    Angles are in degrees and repeat after `circle`, which is 180 for orientations. Without any response it is 0.
    Ringach, Shapley and Hawken, "Orientation selectivity in macaque V1: diversity and laminar dependence", 2002.
    """
    vectors = np.exp(2j * np.pi * angles / circle)
    totals = responses.sum(axis=1)
    return np.abs(responses @ vectors) / np.where(totals > 0, totals, 1)


def sparseness(responses: np.ndarray) -> np.ndarray:
    """Return the sparseness (C,) of responses (C, stimuli), from 0 (all alike) to 1 (a single one responded to).

    Vinje and Gallant, "Sparse coding and decorrelation in primary visual cortex during natural vision", 2000. Without
    any response it is 0.
    """
    count = responses.shape[1]
    squares = (responses**2).mean(axis=1)
    evenness = responses.mean(axis=1) ** 2 / np.where(squares > 0, squares, 1)
    return np.where(squares > 0, (1 - evenness) / (1 - 1 / count), 0.0)
