"""Labelled photos, which are opened lazily, and the error for data that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from ..errors import QUOTED_CHARACTERS, UserError, quoted
from ..pretrained.description import class_labels
from ..pretrained.labels import first_name
from ..runtime.plain_text import plain
from ..vision.photo import open_photo

NAMES_SHOWN = 5  # in an error


class DataError(UserError):
    """A data set that cannot be used."""


def first_names(names: Sequence[str]) -> str:
    """Return the first `NAMES_SHOWN` names of classes for an error, each shortened."""
    return ", ".join(plain(name, QUOTED_CHARACTERS) for name in names[:NAMES_SHOWN])


def names_collide(name: str) -> DataError:
    """Return the error for several classes with one first name."""
    return DataError(
        "data_names_collide",
        "Two classes are called {name} (case and what follows a comma do not count); please rename one.",
        name=quoted(name),
    )


def _targets_by_name(names: Iterable[str]) -> dict[str, list[int]]:
    targets: dict[str, list[int]] = {}
    for target, name in enumerate(names):
        targets.setdefault(name, []).append(target)
    return targets


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos and their classes.

    Attributes:
        classes: class names.
        sources: paths or encoded bytes.
        targets: index of each photo's class.
        names: of the photos; by default their paths or indices.
        wnids: WordNet id of each class, "" for a class without one; empty if no class has one.
    """

    classes: tuple[str, ...]
    sources: Sequence[Path | bytes] = field(repr=False)
    targets: Sequence[int] = field(repr=False)
    names: Sequence[str] = field(default=(), repr=False)
    wnids: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    def __post_init__(self) -> None:
        # The same names that a checkpoint trained on these photos has.
        object.__setattr__(self, "classes", class_labels(self.classes))

    def photo(self, index: int) -> Image.Image:
        """Open a photo as an upright RGB image.

        Raises:
            PhotoError: if it cannot be read.
        """
        return open_photo(self.sources[index])

    def name(self, index: int) -> str:
        """Return a photo's name for messages."""
        if self.names:
            return self.names[index]
        source = self.sources[index]
        return f"photo {index}" if isinstance(source, bytes) else str(source)

    def select_classes(self, wanted: Sequence[str]) -> LabelledPhotos:
        """Return the photos of some classes, renumbered in the order of `wanted`.

        A class is named by its whole name or by its first name (`labels.first_name`).

        Raises:
            DataError: if a class does not exist, or several have the name.
        """
        whole, first = _targets_by_name(self.classes), _targets_by_name(map(first_name, self.classes))
        chosen: list[int] = []
        for name in wanted:
            targets = whole.get(name) or first.get(first_name(name), [])
            if not targets:
                raise DataError(
                    "data_no_class",
                    "The data has no class {name}; it has {some}.",
                    name=quoted(name),
                    some=first_names(self.classes) + (", …" if len(self.classes) > NAMES_SHOWN else ""),
                )
            if len(targets) > 1:
                raise names_collide(first_name(name))
            chosen += targets
        new_targets = {target: number for number, target in enumerate(dict.fromkeys(chosen))}
        selected = self.subset([index for index, target in enumerate(self.targets) if target in new_targets])
        return replace(
            selected,
            classes=tuple(self.classes[target] for target in new_targets),
            targets=[new_targets[target] for target in selected.targets],
            wnids=tuple(self.wnids[target] for target in new_targets) if self.wnids else (),
        )

    def evenly(self, count: int) -> LabelledPhotos:
        """Return `count` photos, taken evenly from all; all of them if there are no more."""
        if count >= len(self):
            return self
        return self.subset([number * len(self) // count for number in range(count)])

    def subset(self, indices: Sequence[int]) -> LabelledPhotos:
        """Return the photos with these indices; the classes stay."""
        return replace(
            self,
            sources=[self.sources[index] for index in indices],
            targets=[self.targets[index] for index in indices],
            names=[self.name(index) for index in indices],
        )
