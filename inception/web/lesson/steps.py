"""The guided lesson: ten questions about the network, each answered by the network itself.

A step is posed, predicted, and only then checked. Nothing here knows the page or a language: sentences are
named by their keys in the dictionary, and every number in them is computed from the model and the photo at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import log
from typing import NoReturn
from weakref import WeakKeyDictionary

from ...explain.shapley import BranchVotes
from ...network.anatomy import BranchFacts, bottleneck
from ...network.blocks import BLOCKS, BRANCHES
from ...network.cost import (
    PUBLISHED_SHAPE,
    BlockCost,
    NetworkSize,
    module_costs,
    network_size,
    parameter_counts,
    published_network,
    vgg16_size,
)
from ...network.inception_v1 import AUXILIARY, InceptionV1
from ...prediction import Prediction, statistics
from ...pretrained.pretrained import PretrainedModel
from ...render.branches import VIEWS

ALIKE = 0.05  # shares of cells that differ by less count as the same
SURE = 0.1  # of probability: what loses more is less sure
WINDOWS = ("1x1", "3x3", "5x5")
FIRST, LAST = next(iter(BLOCKS)), list(BLOCKS)[-1]
CHANNELS, _, ON_PHOTO = VIEWS


@dataclass(frozen=True)
class Scene:
    """What the page shows: a block, a view of it, and which explanation is open."""

    block: str
    view: str
    tab: str


@dataclass(frozen=True)
class Material:
    """What a step may look at. Without a photo there is no observation.

    The last two cost forward passes, so they are asked for only where a step needs them: the votes for the
    answer at a block, and what the network sees in the same picture upside down.
    """

    pretrained: PretrainedModel
    facts: Mapping[str, tuple[BranchFacts, ...]]
    prediction: Prediction | None = None
    votes: Callable[[str], BranchVotes] = field(default=lambda _block: _no_photo(), repr=False)
    turned: Callable[[], Prediction] = field(default=lambda: _no_photo(), repr=False)

    @property
    def seen(self) -> Prediction:
        """The observation, for steps that need a photo."""
        return self.prediction or _no_photo()

    def fact(self, block: str, branch: str) -> BranchFacts:
        """One branch of one block."""
        return next(fact for fact in self.facts[block] if fact.branch == branch)


def _no_photo() -> NoReturn:
    raise ValueError("This step needs a photo, and there is none.")


@dataclass(frozen=True)
class ClassNumber:
    """A class among a sentence's details: its name depends on the language."""

    index: int


@dataclass(frozen=True)
class Choice:
    """One prediction. `text` is a key of the dictionary, or nothing where the choice is the branch `branch`."""

    key: str
    text: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    branch: BranchFacts | None = None


@dataclass(frozen=True)
class Found:
    """The right choice and what its sentence tells; `why` names a second sentence that fits this outcome only.

    A `BranchFacts` or `ClassNumber` among the details stands for the branch's or class's name, in whichever language.
    """

    right: str
    details: Mapping[str, object]
    why: str = ""


@dataclass(frozen=True)
class Posed:
    """A question's details and its choices."""

    details: Mapping[str, object]
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Step:
    """One step: what the page shows before and after the prediction is checked, its question and its check.

    `before` opens nothing that tells the answer, `after` what proves it.
    """

    key: str
    before: Scene
    after: Scene
    pose: Callable[[Material], Posed]
    check: Callable[[Material], Found]
    needs_photo: bool = False


# ---------------------------------------------------------------- what is counted once for each network


@dataclass(frozen=True)
class _Counts:
    blocks: Mapping[str, BlockCost]
    at_224: NetworkSize
    auxiliary: int  # parameters of auxiliary classifiers in the model at hand


_COUNTS: WeakKeyDictionary[InceptionV1, _Counts] = WeakKeyDictionary()  # a loaded network does not change


def _counts(material: Material) -> _Counts:
    model = material.pretrained.model
    known = _COUNTS.get(model)
    if known is None:
        blocks = {cost.block: cost for cost in module_costs(model)}
        known = _COUNTS[model] = _Counts(blocks, network_size(model, PUBLISHED_SHAPE), _auxiliary(model))
    return known


def _auxiliary(model: InceptionV1) -> int:
    counted = {
        count.auxiliary: count.parameters for count in parameter_counts(model) if count.classifier and count.biases
    }
    return counted[True] - counted[False]


def nearest(number: float, offered: Sequence[float]) -> float:
    """Which of the numbers on offer is nearest, as a factor."""
    return min(offered, key=lambda one: abs(log(one / number)))


def _numbers(text: str, offered: Sequence[int]) -> tuple[Choice, ...]:
    """One choice for each number, the smallest first, equal ones once."""
    return tuple(Choice(str(number), text, {"number": f"{number:,}"}) for number in sorted(set(offered)))


def _millions(number: float) -> str:
    return f"{number / 1e6:,.1f}"


def _times(number: float) -> str:
    return f"{number:.1f}"


def _percent(share: float) -> str:
    return f"{share:.1%}"


# ---------------------------------------------------------------- 1: several kernel sizes


def _pose_sizes(material: Material) -> Posed:
    wide, one = material.fact(FIRST, "5x5"), material.fact(FIRST, "1x1")
    side = material.pretrained.input_size
    offered = (wide.kernel, one.receptive_field.size, wide.receptive_field.size, side)
    return Posed({"wide": wide, "kernel": wide.kernel, "block": FIRST}, _numbers("lesson_pixels", offered))


def _check_sizes(material: Material) -> Found:
    one, three, wide, pool = material.facts[FIRST]
    before, size = one.receptive_field, wide.receptive_field.size
    details = {
        "one": before.size,
        "three": three.receptive_field.size,
        "five": size,
        "pool": pool.receptive_field.size,
        "wide": wide,
        "stride": before.stride,
        "steps": wide.kernel - 1,
    }
    return Found(str(size), details)


# ---------------------------------------------------------------- 2: the naive module

TIMES_NAIVE = (1, 2, 5, 20)


def _times_choices(offered: Sequence[int]) -> tuple[Choice, ...]:
    return tuple(
        Choice(str(times), "lesson_as_many" if times == 1 else "lesson_times", {"number": times}) for times in offered
    )


def _pose_naive(material: Material) -> Posed:
    given = BLOCKS[FIRST].in_channels
    return Posed({"block": FIRST, "given": given}, _times_choices(TIMES_NAIVE))


def _check_naive(material: Material) -> Found:
    cost = _counts(material).blocks[FIRST]
    sum_of = " + ".join(
        f"{fact.kernel}×{fact.kernel}×{cost.in_channels}×{fact.channels}"
        for fact in material.facts[FIRST]
        if fact.branch in WINDOWS
    )
    details = {
        "block": FIRST,
        "sum": sum_of,
        "naive": f"{cost.naive.weights:,}",
        "reduced": f"{cost.reduced.weights:,}",
        "times": _times(cost.saving),
        "naive_work": _millions(cost.naive.multiplications),
        "reduced_work": _millions(cost.reduced.multiplications),
    }
    return Found(str(nearest(cost.saving, TIMES_NAIVE)), details)


# ---------------------------------------------------------------- 3: what 1x1 does before 3x3 and 5x5

SQUEEZED = "4c"


def _pose_reduction(material: Material) -> Posed:
    three, wide, given = material.fact(SQUEEZED, "3x3"), material.fact(SQUEEZED, "5x5"), BLOCKS[SQUEEZED].in_channels
    offered = (wide.reduced_to or given, wide.channels, three.reduced_to or given, given)
    return Posed({"block": SQUEEZED, "wide": wide, "given": given}, _numbers("lesson_channels", offered))


def _check_reduction(material: Material) -> Found:
    three, wide, given = material.fact(SQUEEZED, "3x3"), material.fact(SQUEEZED, "5x5"), BLOCKS[SQUEEZED].in_channels
    reduced = wide.reduced_to or given
    cost = bottleneck(given, reduced, wide.channels, wide.kernel, bias=False)
    details = {
        "wide": wide,
        "given": given,
        "reduced": reduced,
        "three": three,
        "three_reduced": three.reduced_to or given,
        "direct": f"{cost.direct.weights:,}",
        "through": f"{cost.reduced.weights:,}",
        "times": _times(cost.direct.weights / cost.reduced.weights),
    }
    return Found(str(reduced), details)


# ---------------------------------------------------------------- 4: parameters and multiplications


def _pose_price(material: Material) -> Posed:
    early, late = (_counts(material).blocks[block].reduced.weights for block in (FIRST, LAST))
    details = {
        "early": FIRST,
        "late": LAST,
        "early_weights": f"{early:,}",
        "late_weights": f"{late:,}",
        "times": _times(late / early),
    }
    return Posed(details, (*_two_blocks(), Choice("same", "lesson_price_same")))


def _two_blocks() -> tuple[Choice, Choice]:
    early, late = (Choice(block, "lesson_block", {"block": block}) for block in (FIRST, LAST))
    return early, late


def _check_price(material: Material) -> Found:
    early, late = (_counts(material).blocks[block] for block in (FIRST, LAST))
    work = {cost.block: cost.reduced.multiplications for cost in (early, late)}
    most = max(work, key=work.__getitem__)
    near, far = material.facts[FIRST][0], material.facts[LAST][0]
    details = {
        "early": FIRST,
        "late": LAST,
        "early_weights": f"{early.reduced.weights:,}",
        "late_weights": f"{late.reduced.weights:,}",
        "early_cells": early.cells,
        "late_cells": late.cells,
        "early_work": _millions(work[FIRST]),
        "late_work": _millions(work[LAST]),
        "early_map": f"{near.height}×{near.width}",
        "late_map": f"{far.height}×{far.width}",
    }
    return Found("same" if work[FIRST] == work[LAST] else most, details)


# ---------------------------------------------------------------- 5: concatenation and the pool branch


def _pose_pool(material: Material) -> Posed:
    cost, widths = _counts(material).blocks[LAST], material.facts[LAST]
    details = {
        "block": LAST,
        "sum": " + ".join(str(fact.channels) for fact in widths),
        "total": cost.reduced_channels,
        "given": cost.in_channels,
        "narrow": material.fact(LAST, "pool").channels,
        "blocks": len(BLOCKS),
    }
    offered = (cost.reduced_channels, cost.naive_channels, cost.stacked_channels)
    return Posed(details, _numbers("lesson_channels", offered))


def _check_pool(material: Material) -> Found:
    cost, start = _counts(material).blocks[LAST], BLOCKS[FIRST].in_channels
    module = material.pretrained.model.block(LAST)
    places = ", ".join(f"{part.start}–{part.stop - 1}" for part in module.slices.values())
    details = {
        "start": start,
        "blocks": len(BLOCKS),
        "added": f"{cost.stacked_channels - start:,}",
        "stacked": f"{cost.stacked_channels:,}",
        "block": LAST,
        "places": places,
        **{f"branch{number}": fact for number, fact in enumerate(material.facts[LAST], 1)},
    }
    return Found(str(cost.stacked_channels), details)


# ---------------------------------------------------------------- 6: early against late blocks


def _pose_depth(material: Material) -> Posed:
    details = {"early": FIRST, "late": LAST}
    return Posed(details, (*_two_blocks(), Choice("same", "lesson_depth_same", {"points": round(100 * ALIKE)})))


def _check_depth(material: Material) -> Found:
    zero = {block: statistics(material.seen.block(block)).zero_share for block in (FIRST, LAST)}
    size = {block: max(fact.receptive_field.size for fact in material.facts[block]) for block in zero}
    right = "same" if abs(zero[FIRST] - zero[LAST]) < ALIKE else max(zero, key=zero.__getitem__)
    details = {
        "early": FIRST,
        "late": LAST,
        "early_zero": _percent(zero[FIRST]),
        "late_zero": _percent(zero[LAST]),
        "early_size": size[FIRST],
        "late_size": size[LAST],
        "side": material.pretrained.input_size,
    }
    return Found(right, details, "lesson_depth_why" if right == LAST else "")


# ---------------------------------------------------------------- 7: auxiliary classifiers

SHARES = (1, 5, 20, 50)  # percent


def _pose_auxiliary(material: Material) -> Posed:
    first, second = (stage.removeprefix("inception_") for stage in AUXILIARY.values())
    choices = tuple(Choice(str(share), "lesson_share", {"number": share}) for share in SHARES)
    return Posed({"first": first, "second": second}, choices)


@cache
def _published() -> tuple[int, int]:
    """Parameters that GoogLeNet was trained with in 2014: those of its auxiliary classifiers, and all."""
    published = published_network()
    return _auxiliary(published), parameter_counts(published)[0].parameters


def _check_auxiliary(material: Material) -> Found:
    gone, trained = _published()
    details = {
        "gone": f"{gone:,}",
        "trained": f"{trained:,}",
        "share": _percent(gone / trained),
        "here": f"{_counts(material).auxiliary:,}",
    }
    return Found(str(nearest(100 * gone / trained, SHARES)), details)


# ---------------------------------------------------------------- 8: beside VGG

TIMES_VGG = (1, 3, 10, 30)


def _pose_vgg(material: Material) -> Posed:
    own, vgg = _counts(material).at_224, vgg16_size()
    details = {"depth": own.depth, "vgg_depth": vgg.depth, "side": PUBLISHED_SHAPE[1]}
    return Posed(details, _times_choices(TIMES_VGG))


def _check_vgg(material: Material) -> Found:
    own, vgg = _counts(material).at_224, vgg16_size()
    times = vgg.multiplications / own.multiplications
    details = {
        "vgg_work": _millions(vgg.multiplications),
        "work": _millions(own.multiplications),
        "times": _times(times),
        "vgg_parameters": _millions(vgg.parameters),
        "parameters": _millions(own.parameters),
        "parameter_times": _times(vgg.parameters / own.parameters),
        "share": _percent(vgg.classifier_parameters / vgg.parameters),
    }
    return Found(str(nearest(times, TIMES_VGG)), details)


# ---------------------------------------------------------------- 9: what the answer rests on

VOTED = "4c"


def _pose_votes(material: Material) -> Posed:
    best = material.seen.top(1)[0]
    details = {"block": VOTED, "label": ClassNumber(best.index), "probability": _percent(best.probability)}
    return Posed(details, tuple(Choice(fact.branch, branch=fact) for fact in material.facts[VOTED]))


def _check_votes(material: Material) -> Found:
    told = material.votes(VOTED)
    right = max(told.votes, key=told.votes.__getitem__)
    means = {branch: float(maps.mean()) for branch, maps in material.seen.branches(VOTED).items()}
    bright = max(means, key=means.__getitem__)
    details: dict[str, object] = {
        "best": material.fact(VOTED, right),
        "label": ClassNumber(told.index),
        "bright": material.fact(VOTED, bright),
        "mean": f"{means[bright]:.2f}",
        "baseline": _signed(told.baseline),
        "logit": f"{told.logit:.2f}".replace("-", "\u2212"),
    }
    for number, branch in enumerate(BRANCHES, 1):
        details |= {f"branch{number}": material.fact(VOTED, branch), f"vote{number}": _signed(told.votes[branch])}
    return Found(right, details, "lesson_votes_bright" if bright == right else "lesson_votes_dark")


def _signed(number: float) -> str:
    return f"{number:+.2f}".replace("-", "\u2212")


# ---------------------------------------------------------------- 10: when the network is wrong


def _pose_wrong(material: Material) -> Posed:
    best = material.seen.top(1)[0]
    details = {
        "classes": len(material.pretrained.labels),
        "label": ClassNumber(best.index),
        "probability": _percent(best.probability),
    }
    points = {"points": round(100 * SURE)}
    outcomes = ("same", "unsure", "other")
    return Posed(details, tuple(Choice(key, f"lesson_wrong_{key}", points) for key in outcomes))


def _check_wrong(material: Material) -> Found:
    before, turned = material.seen.top(1)[0], material.turned()
    after, left = turned.top(1)[0], float(turned.probabilities[before.index])
    kept = "unsure" if before.probability - left > SURE else "same"
    right = kept if after.index == before.index else "other"
    details = {
        "label": ClassNumber(before.index),
        "probability": _percent(before.probability),
        "left": _percent(left),
        "now": ClassNumber(after.index),
        "now_probability": _percent(after.probability),
    }
    return Found(right, details, f"lesson_wrong_why_{right}")


# ---------------------------------------------------------------- the lesson


def _scenes(block: str, view: str, tab: str, *, first: str = "cell", to: str = "") -> tuple[Scene, Scene]:
    """Before and after the check: first an explanation that does not tell the answer, then `tab` which does."""
    return Scene(block, view, first), Scene(to or block, view, tab)


STEPS: tuple[Step, ...] = (
    Step("sizes", *_scenes(FIRST, ON_PHOTO, "cell"), _pose_sizes, _check_sizes),
    Step("naive", *_scenes(FIRST, CHANNELS, "bottleneck"), _pose_naive, _check_naive),
    Step("reduction", *_scenes(SQUEEZED, CHANNELS, "bottleneck"), _pose_reduction, _check_reduction),
    Step("price", *_scenes(FIRST, CHANNELS, "bottleneck", to=LAST), _pose_price, _check_price),
    Step("pool", *_scenes(LAST, CHANNELS, "bottleneck"), _pose_pool, _check_pool),
    Step("depth", *_scenes(FIRST, CHANNELS, "cell", to=LAST), _pose_depth, _check_depth, needs_photo=True),
    Step("auxiliary", *_scenes("4a", CHANNELS, "bottleneck"), _pose_auxiliary, _check_auxiliary),
    Step("vgg", *_scenes(LAST, CHANNELS, "bottleneck"), _pose_vgg, _check_vgg),
    Step("votes", *_scenes(VOTED, ON_PHOTO, "votes", first="cam"), _pose_votes, _check_votes, needs_photo=True),
    Step("wrong", *_scenes(LAST, ON_PHOTO, "evidence", first="evidence"), _pose_wrong, _check_wrong, needs_photo=True),
)


def step_number(told: object) -> int | None:
    """The step, from 1, that a link asks for; nothing where there is no such step."""
    text = str(told)
    # `isdecimal` is true of other scripts' digits too, which `int` reads as well.
    number = int(text) if text.isdecimal() and len(text) < 4 else 0
    return number if 1 <= number <= len(STEPS) else None
