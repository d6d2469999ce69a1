"""The training recipe: all hyperparameters, stored with the weights that it produced."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from math import cos, isfinite, pi
from typing import Any

from ..checks import choice
from ..errors import QUOTED_CHARACTERS, UserError, quoted
from ..network.inception_v1 import MIN_SIDE, VARIANTS
from ..runtime.plain_text import plain

MIXES = ("none", "mixup", "cutmix", "both")
SCRATCH = "scratch"


class RecipeError(UserError):
    """A recipe with a value that is not allowed, or that does not fit the data or the checkpoint."""


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of a training run.

    Training lasts for `epochs`, or for `minutes` of wall-clock time if that is not 0. `sizes` lists sides of the
    photos in pixels, each with its share of the training, usually smallest first: small photos are cheap, and what is
    learned from them transfers. The network's input size is the last one. `rate` is the peak learning rate of SGD with
    Nesterov momentum 0.9: it rises linearly over the first `warm_up` of the training and decays along a half cosine.

    Raises:
        RecipeError: if a value is not allowed.
        ChoiceError: if `variant` or `mix` is unknown.
    """

    variant: str = "batchnorm"
    start: str = "tiny-imagenet"  # initial weights, or "scratch"
    freeze_stem: bool = False
    aux: bool = False
    dropout: float = 0.2
    epochs: int = 30
    minutes: float = 0.0
    sizes: tuple[tuple[int, float], ...] = ((128, 1.0),)
    batch: int = 128  # photos in one step, over all processes and accumulated parts
    accumulate: int = 1  # parts into which a process divides its share of a batch
    rate: float = 0.05
    warm_up: float = 0.05
    weight_decay: float = 1e-4
    smoothing: float = 0.1
    smallest_crop: float = 0.35  # fraction of the photo's area
    flip: bool = True
    colour: float = 0.0  # jitter of brightness, contrast and saturation, 0 to 1
    mix: str = "none"
    zoom_out: float = 0.0  # fraction of photos that are shrunk and padded instead of cropped
    degrade: float = 0.0  # fraction of photos that are first reduced to a low resolution
    also_share: float = 0.1  # fraction of unlabelled photos in each batch, if there are any
    teacher: str = ""  # weights of the teacher for distillation
    teacher_weight: float = 0.5  # of the distillation loss against the label's; 1 for unlabelled photos
    teacher_share: float = 1.0  # fraction of labelled photos that the teacher is run on
    teacher_size: int = 224  # side of the teacher's input in pixels
    evaluate_every: int = 0  # steps between evaluations on the held-out photos; 0 for once an epoch
    average: float = 0.999  # decay of the moving average of the weights
    balance: bool = False  # weight rare classes higher
    held_out: float = 0.1  # fraction of training photos held out to choose the checkpoint and the temperature
    seed: int = 0

    def __post_init__(self) -> None:
        choice("variant", self.variant, tuple(VARIANTS))
        choice("mix", self.mix, MIXES)
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
            ("sizes", all(side >= MIN_SIDE for side, _ in self.sizes), low.format(MIN_SIDE)),
            ("sizes", all(share > 0 for _, share in self.sizes), "must have shares of more than 0"),
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
            ("mix", not self.teacher or self.mix == "none", "must be none with a teacher"),
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
        """The network's input size in pixels."""
        return self.sizes[-1][0]

    def size_at(self, progress: float) -> int:
        """Return the side of the photos in pixels at `progress` (0 to 1) of the training."""
        total = sum(share for _, share in self.sizes)
        end = 0.0
        for side, share in self.sizes:
            end += share / total
            if progress < end:
                return side
        return self.size

    def rate_at(self, progress: float) -> float:
        """Return the learning rate at `progress` (0 to 1) of the training."""
        if progress < self.warm_up:
            return self.rate * progress / self.warm_up
        return self.rate * 0.5 * (1 + cos(pi * min((progress - self.warm_up) / (1 - self.warm_up), 1.0)))

    def check_continued_by(self, other: Recipe) -> None:
        """Check that a training with this recipe can be resumed with `other`.

        Only the length may differ, and `accumulate`, so that a training for which the memory was too small can go on.

        Raises:
            RecipeError: if it cannot.
        """
        for field in fields(self):
            before, now = getattr(self, field.name), getattr(other, field.name)
            if before != now and field.name not in ("epochs", "minutes", "accumulate"):
                raise RecipeError(
                    "recipe_resume",
                    "The interrupted training has {before}, not {now}; please leave that option out, "
                    "or begin anew with another --out.",
                    before=_option_text(field.name, before),
                    now=_option_text(field.name, now),
                )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Inverse of `to_dict`; also takes JSON's lists for tuples."""
        sizes = tuple((int(side), float(share)) for side, share in values["sizes"])
        return cls(**{**values, "sizes": sizes})

    def as_options(self) -> list[str]:
        """Return the options of `python -m inception train` that give this recipe, without defaults."""
        unused = "epochs" if self.minutes else ""  # `train` takes one of the two; a resumed training may have both
        return [
            word
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default and field.name != unused
            for word in _OPTIONS.get(field.name, _plain)(field.name, value)
        ]


def number_text(value: float) -> str:
    """Return a number in as few digits as give exactly this number again."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _plain(name: str, value: object) -> list[str]:
    option = "--" + name.replace("_", "-")
    return [option] if value is True else [option, number_text(value) if isinstance(value, float) else str(value)]


_OPTIONS: dict[str, Callable[[str, Any], list[str]]] = {
    "start": lambda _, value: ["--from", value],
    "sizes": lambda _, value: ["--sizes", ",".join(f"{side}:{number_text(share)}" for side, share in value)],
    "flip": lambda _, value: ["--flip" if value else "--no-flip"],
}


def _option_text(name: str, value: object) -> str:
    """Return the option that gives a value, for an error, for instance "--rate 0.05" or "no --aux"."""
    if value == "" or (value is False and name not in _OPTIONS):
        return f"no --{name.replace('_', '-')}"
    return plain(shlex.join(_OPTIONS.get(name, _plain)(name, value)), QUOTED_CHARACTERS)
