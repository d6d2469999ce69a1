"""Rejection of photos that show none of the classes (out-of-distribution detection), and its measurement.

A photo is rejected if its largest calibrated probability is below a threshold (Hendrycks and Gimpel 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import floor

import numpy as np
import torch
from torch import Tensor

from ..errors import quoted
from ..runtime import strict_json
from ..runtime.plain_text import plain

MAX_FALSE_REJECTIONS = 0.1  # fraction of the photos of known classes that may be rejected
RULE = "probability"  # the one of `SCORES` that `RejectionRule` applies
MAX_PHOTOS = 10**9
MAX_DESCRIPTION = 200  # characters
MIN_PHOTOS = 20  # of each kind; with fewer the threshold would be noise


@dataclass(frozen=True)
class RejectionRule:
    """Rejection threshold of one network, with its measurement on photos that were not used to choose it.

    Field names are those of the JSON file.

    Raises:
        ValueError: if a value is not allowed.
    """

    threshold: float  # of the largest calibrated probability
    inside: int  # number of photos of the network's classes
    outside: int  # number of photos of none of its classes
    doubted: float  # fraction of the inside photos that are rejected (false positive rate)
    caught: float  # fraction of the outside photos that are rejected (true positive rate)
    auroc: float  # probability that an inside photo scores higher than an outside one; 0.5 is chance
    outside_photos: str = ""  # description of the outside photos

    def __post_init__(self) -> None:
        for name in ("threshold", "doubted", "caught", "auroc"):
            share = getattr(self, name)
            # NaN fails every comparison.
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ValueError(f"{name} is {quoted(share)}; it must be a number from 0 to 1")
        for name in ("inside", "outside"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_PHOTOS:
                raise ValueError(f"{name} is {quoted(count)}; it must be a whole number from 0 to {MAX_PHOTOS}")
        if not isinstance(self.outside_photos, str):
            raise ValueError(f"outside_photos is {quoted(self.outside_photos)}; it must be a string")

    def rejects(self, probabilities: np.ndarray) -> bool:
        """Return whether a photo with these calibrated probabilities (classes,) is rejected."""
        return bool(probabilities.max() < self.threshold)

    def to_json(self) -> str:
        return strict_json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RejectionRule:
        """Inverse of `to_json`; `outside_photos` is reduced to one line.

        Raises:
            ValueError, TypeError, RecursionError: if the JSON is not of this form.
        """
        rule = strict_json.built(cls, strict_json.loads(text))
        return replace(rule, outside_photos=plain(rule.outside_photos, MAX_DESCRIPTION))


def _negative_entropy(logits: Tensor, temperature: float) -> Tensor:
    logs = torch.log_softmax(logits / temperature, dim=1)
    return (logs.exp() * logs).sum(dim=1)


# Confidence scores (N,) of logits (N, classes) at a temperature; larger for photos of known classes.
SCORES: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "probability": lambda logits, temperature: torch.softmax(logits / temperature, dim=1).amax(dim=1),
    "logit": lambda logits, _: logits.amax(dim=1),
    "energy": lambda logits, _: torch.logsumexp(logits, dim=1),
    "entropy": _negative_entropy,
}


@dataclass(frozen=True)
class Separation:
    """Detection performance of one score, with its threshold chosen on other photos."""

    auroc: float
    doubted: float
    caught: float


@dataclass(frozen=True)
class RejectionMeasurement:
    """The rule, and for comparison the performance of each of `SCORES`."""

    rejection: RejectionRule
    scores: Mapping[str, Separation] = field(repr=False)


def measure_rejection(
    inside: Tensor, outside: Tensor, temperature: float, outside_photos: str = ""
) -> RejectionMeasurement:
    """Choose the threshold on every other photo, and measure it on the rest.

    `inside` (N, classes) and `outside` (M, classes) are logits, ordered so that similar photos are adjacent.

    Raises:
        ValueError: if there are too few photos, or logits are not finite.
    """
    if min(len(inside), len(outside)) < MIN_PHOTOS:
        counts = f"{len(inside)} inside and {len(outside)} outside"
        raise ValueError(f"at least {MIN_PHOTOS} photos of each kind are needed, there are {counts}")
    if not (torch.isfinite(inside).all() and torch.isfinite(outside).all()):
        raise ValueError("the network's logits are not finite")
    scores: dict[str, Separation] = {}
    thresholds: dict[str, float] = {}
    for name, score in SCORES.items():
        known, unknown = score(inside, temperature).numpy(), score(outside, temperature).numpy()
        # Rounded down to three digits, so that no more photos are rejected than allowed.
        thresholds[name] = floor(float(np.quantile(known[::2], MAX_FALSE_REJECTIONS)) * 1000) / 1000
        known, unknown = known[1::2], unknown[1::2]
        scores[name] = Separation(
            auroc=auroc(known, unknown),
            doubted=float((known < thresholds[name]).mean()),
            caught=float((unknown < thresholds[name]).mean()),
        )
    rule = scores[RULE]
    rejection = RejectionRule(
        threshold=thresholds[RULE],
        inside=len(inside) // 2,
        outside=len(outside) // 2,
        doubted=rule.doubted,
        caught=rule.caught,
        auroc=rule.auroc,
        outside_photos=outside_photos,
    )
    return RejectionMeasurement(rejection, scores)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the probability that an `inside` score (N,) is larger than an `outside` one (M,); ties count half."""
    smaller = np.searchsorted(np.sort(outside), inside, side="left")
    smaller_or_equal = np.searchsorted(np.sort(outside), inside, side="right")
    return float((smaller + smaller_or_equal).mean() / 2 / len(outside))
