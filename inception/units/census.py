"""Census of a network: what the four branches of each block are for, and whether they differ more than by chance.

It joins the tuning of all channels with their statistics over photos, and tests within each block whether channels of
different branches differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from ..checks import whole
from ..network.blocks import BLOCKS, BRANCHES
from ..pretrained.pretrained import PretrainedModel
from ..runtime.progress import Progress
from .permutation import MAX_PERMUTATIONS, PERMUTATIONS, holm, permutation_p
from .photo_statistics import PhotoStatistics, photo_statistics
from .tuning import LayerTuning, StimulusGrid, layer_tunings

LEVEL = 0.05  # of the corrected p values


@dataclass(frozen=True)
class Measure:
    """A number of each channel that is compared between the branches of a block.

    Attributes:
        title: for a table.
        typical: of a branch's channels that have it: the median of selectivities, many of which are close to 1; the
            mean of lengths, which have few different values.
        claim: what follows for the branch with the highest number, for a sentence.
        unit: behind a number.
        digits: behind the decimal point.
    """

    title: str
    typical: Callable[[np.ndarray], np.floating[Any]]
    claim: str
    unit: str = ""
    digits: int = 2


MEASURES: dict[str, Measure] = {
    "orientation": Measure("orientation selectivity", np.median, "holds the orientation-selective channels"),
    "wavelength": Measure("preferred wavelength, pixels", np.mean, "prefers the widest stripes", " pixels", 1),
    "size": Measure("preferred size, pixels", np.mean, "prefers the largest discs", " pixels", 1),
    "colour": Measure("colour selectivity", np.median, "holds the colour-selective channels"),
    "photos": Measure("selectivity for photos", np.median, "holds the channels that answer the fewest photos"),
}


@dataclass(frozen=True)
class BranchCensus:
    """One branch of one block.

    `silent` is the share of channels that respond to none of the stimuli. The measures are those of
    `MEASURES`, None where no channel has them; `worth` is the mean absolute vote.
    """

    channels: int
    silent: float
    orientation: float | None
    wavelength: float | None
    size: float | None
    colour: float | None
    photos: float | None
    worth: float

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class BranchDifference:
    """Test of one measure in one block.

    `p` is corrected for the nine blocks. `highest` and `lowest` are branches, `high` and `low` their numbers; they are
    empty and 0 where fewer than two branches have any.
    """

    block: str
    measure: str
    p: float
    highest: str
    lowest: str
    high: float
    low: float

    @property
    def is_clear(self) -> bool:
        """Whether chance alone is an unlikely explanation."""
        return self.p <= LEVEL

    @property
    def sentence(self) -> str:
        """The difference as a sentence, for one that is clear."""
        measure = MEASURES[self.measure]
        return (
            f"In block {self.block} the {self.highest} branch {measure.claim}: {self.high:.{measure.digits}f}"
            f"{measure.unit} against {self.low:.{measure.digits}f} in {self.lowest} (p = {self.p:.3f})."
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, and `clear`."""
        return {**asdict(self), "clear": self.is_clear}


@dataclass(frozen=True)
class Census:
    """Census of a network, by block and branch; `differences` has a test for each measure and block."""

    model: str
    photos: int
    permutations: int
    blocks: Mapping[str, Mapping[str, BranchCensus]] = field(repr=False)
    differences: tuple[BranchDifference, ...] = field(repr=False)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Results of the tests as sentences: for each measure the clear differences, then the other blocks."""
        sentences: list[str] = []
        for name, measure in MEASURES.items():
            tests = [test for test in self.differences if test.measure == name]
            sentences += [test.sentence for test in tests if test.is_clear]
            if unclear := [test.block for test in tests if not test.is_clear]:
                subject = measure.title.partition(",")[0]
                sentences.append(
                    f"Nothing follows about {subject} in {', '.join(unclear)}: the branches may differ by chance."
                )
        return tuple(sentences)

    def to_dict(self) -> dict[str, Any]:
        """`model, photos, permutations, blocks, differences, sentences`; `blocks` is by block and branch."""
        return {
            "model": self.model,
            "photos": self.photos,
            "permutations": self.permutations,
            "blocks": {
                block: {branch: one.to_dict() for branch, one in branches.items()}
                for block, branches in self.blocks.items()
            },
            "differences": [one.to_dict() for one in self.differences],
            "sentences": list(self.sentences),
        }


def census(
    pretrained: PretrainedModel,
    images: Sequence[Image.Image],
    groups: Sequence[int] | None = None,
    *,
    grid: StimulusGrid | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    progress: Progress = iter,
) -> Census:
    """Measure a network: about 400 passes for the tuning, and for the worth about 60 for each of eight photos.

    Args:
        images, groups, progress: as for `photo_statistics`.
        grid: as for `layer_tunings`.
        permutations: of each test.
        seed: of the permutations.

    Raises:
        UserError: if there are fewer than two photos, or `permutations` is out of range.
        WeightsError: if activations overflow.
    """
    # Before the minute that the measurements take.
    permutations = whole("permutations", permutations, 1, MAX_PERMUTATIONS)
    seen = photo_statistics(pretrained, images, groups, progress=progress)
    tuned = layer_tunings(pretrained, tuple(BLOCKS), grid)
    numbers = {block: _numbers(tuned[block], seen[block]) for block in BLOCKS}
    slices = {block: pretrained.model.block(block).slices for block in BLOCKS}
    return Census(
        model=pretrained.name,
        photos=len(images),
        permutations=permutations,
        blocks={
            block: {
                branch: _branch(part, numbers[block], tuned[block].silent, seen[block].worth[branch])
                for branch, part in slices[block].items()
            }
            for block in BLOCKS
        },
        differences=tuple(
            difference
            for measure in MEASURES
            for difference in branch_differences(
                measure, {block: numbers[block][measure] for block in BLOCKS}, slices, permutations, seed
            )
        ),
    )


def tuning_numbers(tuned: LayerTuning) -> dict[str, np.ndarray]:
    """Return the numbers (C,) of a block's channels by measure, NaN where a channel has none; without "photos"."""
    return {
        "orientation": tuned.curves["orientation"].selectivity,
        "wavelength": tuned.curves["wavelength"].preferred,
        "size": tuned.curves["size"].preferred,
        "colour": tuned.curves["colour"].selectivity,
    }


def _numbers(tuned: LayerTuning, seen: PhotoStatistics) -> dict[str, np.ndarray]:
    return {**tuning_numbers(tuned), "photos": seen.selectivity}


def _branch(part: slice, numbers: Mapping[str, np.ndarray], silent: np.ndarray, worth: float) -> BranchCensus:
    return BranchCensus(
        channels=len(silent[part]),
        silent=float(silent[part].mean()),
        worth=worth,
        **{name: typical(name, values[part]) for name, values in numbers.items()},
    )


def typical(measure: str, values: np.ndarray) -> float | None:
    """Return what is typical of channels with these values of a measure, or None if all are NaN."""
    known = values[np.isfinite(values)]
    return float(MEASURES[measure].typical(known)) if len(known) else None


def branch_differences(
    measure: str,
    numbers: Mapping[str, np.ndarray],
    slices: Mapping[str, Mapping[str, slice]],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> tuple[BranchDifference, ...]:
    """Test a measure in every block; p values are corrected for the number of blocks.

    Args:
        measure: a key of `MEASURES`.
        numbers: by block, of each channel, (C,); channels with NaN are left out.
        slices: by block, the channels of each branch.
    """
    p_values = []
    for number, (block, values) in enumerate(numbers.items()):
        labels = np.empty(len(values), int)
        for label, branch in enumerate(BRANCHES):
            labels[slices[block][branch]] = label
        known = np.isfinite(values)
        p_values.append(permutation_p(values[known], labels[known], permutations, seed + number))
    return tuple(
        _difference(
            block, measure, p, {branch: typical(measure, values[part]) for branch, part in slices[block].items()}
        )
        for p, (block, values) in zip(holm(p_values), numbers.items(), strict=True)
    )


def _difference(block: str, measure: str, p: float, values: Mapping[str, float | None]) -> BranchDifference:
    known = {branch: value for branch, value in values.items() if value is not None}
    if len(known) < 2:
        return BranchDifference(block, measure, p, "", "", 0.0, 0.0)
    highest, lowest = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
    return BranchDifference(block, measure, p, highest, lowest, known[highest], known[lowest])
