"""Similarity of channels: how alike their tuning is."""

from __future__ import annotations

import numpy as np

from .tuning import LayerTuning

MOST = 6


def most_similar(tuning: LayerTuning, channel: int, most: int = MOST) -> list[tuple[int, float]]:
    """Return the channels of a layer whose tuning is most like that of `channel`, most similar first.

    The similarity is the cosine between the channels' responses to all gratings, discs and colours, each of these
    three scaled to unit length, so that no kind of stimulus outweighs the others: at most 1. For a
    silent channel the list is empty, and silent channels are never listed.

    Returns:
        Pairs of a channel, counted from 0 in the layer's output, and the similarity.

    Raises:
        UserError: if there is no such channel.
    """
    own = tuning.channel(channel)
    if own.silent:
        return []
    channel = own.channel
    kinds = (
        tuning.gratings.reshape(len(tuning.silent), -1),
        *(tuning.curves[one].responses for one in ("size", "colour")),
    )
    similarity = np.mean([_cosines(kind, channel) for kind in kinds], axis=0)
    similarity[tuning.silent] = -np.inf
    similarity[channel] = -np.inf
    order = np.argsort(-similarity, kind="stable")[: max(most, 0)]
    return [(int(one), float(similarity[one])) for one in order if np.isfinite(similarity[one])]


def _cosines(responses: np.ndarray, channel: int) -> np.ndarray:
    """Return the cosines (C,) between one row of responses (C, V) and all; 0 where a row is zero."""
    lengths = np.linalg.norm(responses, axis=1, keepdims=True)
    units = np.divide(responses, lengths, out=np.zeros_like(responses, dtype=np.float64), where=lengths > 0)
    return units @ units[channel]
