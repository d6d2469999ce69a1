"""What decides how a network is trained, in one record that travels with its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from math import cos, isfinite, pi
from typing import Any

from ..errors import ChoiceError, UserError, quoted
from ..network.inception_v1 import MIN_SIDE, VARIANTS

MIXES = ("none", "mixup", "cutmix", "both")
SCRATCH = "scratch"


class RecipeError(UserError):
    """A recipe by which nothing can be trained."""


@dataclass(frozen=True)
class Recipe:
    """Everything but the photos that the trained weights depend on.

    The length is `epochs`, or `minutes` on the clock where that is not 0. `sizes` lists sides of
    the photos in pixels with the share of the training that each gets, smallest first as a rule:
    small photos are cheap, and what they teach carries over. The last one is what the network is
    made for. `rate` is the highest learning rate, for SGD with Nesterov momentum 0.9; it rises from
    nothing over the first `warm_up` of the training and falls along a half cosine after it.
    """

    variant: str = "batchnorm"
    start: str = "tiny-imagenet"  # weights to go on from, or "scratch"
    freeze_stem: bool = False
    aux: bool = False
    dropout: float = 0.2
    epochs: int = 30
    minutes: float = 0.0
    sizes: tuple[tuple[int, float], ...] = ((128, 1.0),)
    batch: int = 128  # photos that count in one step, over all processes and parts
    accumulate: int = 1  # parts in which a process computes its share of a batch
    rate: float = 0.05
    warm_up: float = 0.05
    weight_decay: float = 1e-4
    smoothing: float = 0.1
    smallest_crop: float = 0.35  # of the photo's area
    flip: bool = True
    colour: float = 0.0  # how far brightness, contrast and saturation may go, 0 to 1
    mix: str = "none"
    zoom_out: float = 0.0  # share of the photos that are shown whole and small, with a margin
    degrade: float = 0.0  # share of the photos that are reduced to a low resolution first
    also_share: float = 0.1  # of each batch: photos without labels, where there are any
    teacher: str = ""  # weights whose answers are learned from, too
    teacher_weight: float = 0.5  # of the teacher's answer against the label; without a label it is 1
    teacher_share: float = 1.0  # of the labelled photos that the teacher answers
    teacher_size: int = 224  # side of the photos that the teacher sees
    evaluate_every: int = 0  # steps between two looks at the held-out photos; 0 for once an epoch
    average: float = 0.999  # share that the averaged weights keep at each step
    balance: bool = False  # rare classes weigh more
    held_out: float = 0.1  # share of the training photos that choose the checkpoint and the temperature
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, allowed in (("variant", self.variant, tuple(VARIANTS)), ("mix", self.mix, MIXES)):
            if value not in allowed:
                raise ChoiceError(name, value, allowed)
        for name, value in asdict(self).items():
            numbers = [share for _, share in value] if name == "sizes" else [value] if isinstance(value, float) else []
            if not all(map(isfinite, numbers)):
                raise RecipeError(
                    "recipe",
                    "{name} is {value}; it {rule}.",
                    name=name,
                    value=quoted(value),
                    rule="must be a finite number",
                )
        low, high, share = "must be at least {}", "must be at least 0 and less than {}", "must be between 0 and 1"
        for name, good, rule in (
            ("epochs", self.epochs >= 1, low.format(1)),
            ("minutes", self.minutes >= 0, low.format(0)),
            ("sizes", all(side >= MIN_SIDE and share > 0 for side, share in self.sizes), low.format(MIN_SIDE)),
            ("sizes", bool(self.sizes), "must hold at least one size"),
            ("batch", self.batch >= 1, low.format(1)),
            ("accumulate", self.accumulate >= 1, low.format(1)),
            ("rate", self.rate > 0, "must be more than 0"),
            ("warm_up", 0 <= self.warm_up < 1, high.format(1)),
            ("weight_decay", self.weight_decay >= 0, low.format(0)),
            ("dropout", 0 <= self.dropout < 1, high.format(1)),
            ("smoothing", 0 <= self.smoothing < 1, high.format(1)),
            ("smallest_crop", 0 < self.smallest_crop <= 1, "must be more than 0 and at most 1"),
            ("colour", 0 <= self.colour <= 1, share),
            ("zoom_out", 0 <= self.zoom_out <= 1, share),
            ("degrade", 0 <= self.degrade <= 1, share),
            ("also_share", 0 < self.also_share < 1, "must be more than 0 and less than 1"),
            ("teacher_weight", 0 <= self.teacher_weight <= 1, share),
            ("teacher_share", 0 <= self.teacher_share <= 1, share),
            ("teacher_size", self.teacher_size >= MIN_SIDE, low.format(MIN_SIDE)),
            ("mix", not self.teacher or self.mix == "none", "must be none where a teacher answers"),
            ("evaluate_every", self.evaluate_every >= 0, low.format(0)),
            ("average", 0 <= self.average < 1, high.format(1)),
            ("held_out", 0 < self.held_out < 1, "must be more than 0 and less than 1"),
        ):
            if not good:
                raise RecipeError(
                    "recipe", "{name} is {value}; it {rule}.", name=name, value=quoted(getattr(self, name)), rule=rule
                )

    @property
    def size(self) -> int:
        """Side in pixels of the photos that the network is made for."""
        return self.sizes[-1][0]

    def size_at(self, progress: float) -> int:
        """Side of the photos when `progress` (0 to 1) of the training is over."""
        whole = sum(share for _, share in self.sizes)
        passed = 0.0
        for side, share in self.sizes:
            passed += share / whole
            if progress < passed:
                return side
        return self.size

    def rate_at(self, progress: float) -> float:
        """Learning rate when `progress` (0 to 1) of the training is over."""
        if progress < self.warm_up:
            return self.rate * progress / self.warm_up
        return self.rate * 0.5 * (1 + cos(pi * min((progress - self.warm_up) / (1 - self.warm_up), 1.0)))

    def check_continued_by(self, other: Recipe) -> None:
        """An interrupted training goes on as it began; it may only become longer or shorter.

        Raises:
            RecipeError: if `other` differs in anything else.
        """
        for field in fields(self):
            before, now = getattr(self, field.name), getattr(other, field.name)
            if before != now and field.name not in ("epochs", "minutes"):
                raise RecipeError(
                    "recipe_resume",
                    "The interrupted training has {name} {before}, not {now}; please leave that option out, "
                    "or begin anew with another --out.",
                    name=field.name,
                    before=quoted(before),
                    now=quoted(now),
                )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The inverse of `to_dict`, also after a way through JSON."""
        sizes = tuple((int(side), float(share)) for side, share in values["sizes"])
        return cls(**{**values, "sizes": sizes})

    def as_options(self) -> list[str]:
        """The options of `python -m inception train` that differ from its defaults."""
        return [
            word
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
            for word in _OPTIONS.get(field.name, _plain)(field.name, value)
        ]


def _plain(name: str, value: object) -> list[str]:
    option = "--" + name.replace("_", "-")
    return [option] if value is True else [option, f"{value:g}" if isinstance(value, float) else str(value)]


_OPTIONS: dict[str, Callable[[str, Any], list[str]]] = {
    "start": lambda _, value: ["--from", value],
    "sizes": lambda _, value: ["--sizes", ",".join(f"{side}:{share:g}" for side, share in value)],
    "flip": lambda _, value: [] if value else ["--no-flip"],
}
