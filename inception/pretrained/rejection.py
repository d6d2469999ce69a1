"""When a network should say "probably none of my classes": the rule, and how good it was measured to be.

A network answers with one of its classes whatever it is shown. Its evidence is weak where even its best class
has little probability: below a threshold, the photo is doubted.
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

MAX_FALSE_REJECTIONS = 0.1  # share of the photos of known classes that may be doubted
RULE = "probability"  # the one of `SCORES` that `Doubt` goes by
MAX_PHOTOS = 10**9  # with which a rule was measured
MAX_WORDS = 200  # characters of what the outside photos were
LEAST_PHOTOS = 20  # on each side; with fewer the tenth that may be doubted is a matter of luck


@dataclass(frozen=True)
class RejectionRule:
    """The rule of one network with its measurement. Shares are fractions of 1.

    A photo is doubted where its largest calibrated probability is below `threshold`. What follows was
    measured on photos that had no part in choosing it: `inside` of the network's classes, `outside` of none.
    """

    threshold: float
    inside: int
    outside: int
    doubted: float  # share of the inside photos that are doubted, wrongly
    caught: float  # share of the outside photos that are doubted, rightly
    auroc: float  # how often an inside photo has a larger probability than an outside one; 0.5 is chance
    outside_photos: str = ""  # what they were, in words

    def __post_init__(self) -> None:
        for name in ("threshold", "doubted", "caught", "auroc"):
            share = getattr(self, name)
            # Not a number fails every comparison.
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ValueError(f"{name} is {quoted(share)}; it must be a number from 0 to 1")
        for name in ("inside", "outside"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_PHOTOS:
                raise ValueError(f"{name} is {quoted(count)}; it must be a whole number from 0 to {MAX_PHOTOS}")
        if not isinstance(self.outside_photos, str):
            raise ValueError(f"outside_photos is {quoted(self.outside_photos)}; it must be a text")

    def of(self, probabilities: np.ndarray) -> bool:
        """Whether a photo with these calibrated probabilities (classes,) is doubted."""
        return bool(probabilities.max() < self.threshold)

    def to_json(self) -> str:
        return strict_json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RejectionRule:
        """The inverse of `to_json`; what the outside photos were is brought to one line.

        Raises:
            ValueError, TypeError, RecursionError: if the JSON is not of this form.
        """
        told = strict_json.built(cls, strict_json.loads(text))
        return replace(told, outside_photos=plain(told.outside_photos, MAX_WORDS))


def _negative_entropy(logits: Tensor, temperature: float) -> Tensor:
    logs = torch.log_softmax(logits / temperature, dim=1)
    return (logs.exp() * logs).sum(dim=1)


# From logits (N, classes) and the temperature to how strong the evidence is (N,): the larger, the surer.
SCORES: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "probability": lambda logits, temperature: torch.softmax(logits / temperature, dim=1).amax(dim=1),
    "logit": lambda logits, _: logits.amax(dim=1),
    "energy": lambda logits, _: torch.logsumexp(logits, dim=1),
    "entropy": _negative_entropy,
}


@dataclass(frozen=True)
class Separation:
    """How well one score tells inside from outside, its threshold chosen on other photos."""

    auroc: float
    doubted: float
    caught: float


@dataclass(frozen=True)
class RejectionMeasurement:
    """The rule, and what each of `SCORES` would have given in its place."""

    rejection: RejectionRule
    scores: Mapping[str, Separation] = field(repr=False)


def measure_rejection(
    inside: Tensor, outside: Tensor, temperature: float, outside_photos: str = ""
) -> RejectionMeasurement:
    """Choose the threshold on every other photo, and measure it on the rest.

    `inside` (N, classes) and `outside` (M, classes) are logits, each in an order that puts alike photos side by side.

    Raises:
        ValueError: if there are too few photos to tell anything.
    """
    if min(len(inside), len(outside)) < LEAST_PHOTOS:
        found = f"{len(inside)} inside and {len(outside)} outside"
        raise ValueError(f"at least {LEAST_PHOTOS} photos of each kind are needed, there are {found}")
    if not (torch.isfinite(inside).all() and torch.isfinite(outside).all()):
        raise ValueError("the network's logits are not finite")
    told: dict[str, Separation] = {}
    thresholds: dict[str, float] = {}
    for name, score in SCORES.items():
        known, unknown = score(inside, temperature).numpy(), score(outside, temperature).numpy()
        # Rounded down, so that no more are doubted than may be; three digits are all that the photos can tell.
        thresholds[name] = floor(float(np.quantile(known[::2], MAX_FALSE_REJECTIONS)) * 1000) / 1000
        known, unknown = known[1::2], unknown[1::2]
        told[name] = Separation(
            auroc=auroc(known, unknown),
            doubted=float((known < thresholds[name]).mean()),
            caught=float((unknown < thresholds[name]).mean()),
        )
    rule = told[RULE]
    rejection = RejectionRule(
        threshold=thresholds[RULE],
        inside=len(inside) // 2,
        outside=len(outside) // 2,
        doubted=rule.doubted,
        caught=rule.caught,
        auroc=rule.auroc,
        outside_photos=outside_photos,
    )
    return RejectionMeasurement(rejection, told)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """How often one of the scores `inside` (N,) is larger than one `outside` (M,); a tie is half of it."""
    below = np.searchsorted(np.sort(outside), inside, side="left")
    upto = np.searchsorted(np.sort(outside), inside, side="right")
    return float((below + upto).mean() / 2 / len(outside))
