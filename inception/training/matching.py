"""Which of a network's classes are the classes of a data set: by WordNet id where both have one, else by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..errors import QUOTED_CHARACTERS
from ..pretrained.labels import first_name
from ..pretrained.pretrained import PretrainedModel
from ..pretrained.zoo import DEFAULT_MODEL
from ..runtime.plain_text import plain
from ..runtime.wording import counted
from .datasets import WNID, DataError, LabelledPhotos

# ImageNet's 1000 WordNet ids in the order of its class numbers; those of Tiny ImageNet's 200 classes are marked.
FILE = Path(__file__).with_name("imagenet_wnids.txt")
# Names that two of ImageNet's classes share: a bird and a machine, a dog and a garment, two kinds of bathing suit.
SHARED_NAMES = frozenset({"crane", "cardigan", "maillot"})
NAMES_SHOWN = 5


@dataclass(frozen=True)
class LeftOut:
    """Photos that cannot be judged, because the network has no class for theirs, or no single one of that name."""

    photos: int = 0
    classes: int = 0
    names: tuple[str, ...] = field(default=(), repr=False)  # of these classes

    def __str__(self) -> str:
        more = self.classes - NAMES_SHOWN
        names = ", ".join(self.names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return (
            f"left out, as the network has no class for them or several of one name: {counted(self.photos, 'photo')} "
            f"of {counted(self.classes, 'class', 'classes')} ({names})"
        )


def known_photos(pretrained: PretrainedModel, photos: LabelledPhotos) -> tuple[LabelledPhotos, LeftOut]:
    """The photos that the network has classes for, and what that leaves out.

    Raises:
        DataError: if there are none.
    """
    found = matched_classes(pretrained, photos)
    known = [index for index, target in enumerate(photos.targets) if found[target] is not None]
    unknown = sorted({target for target in photos.targets if found[target] is None})
    left_out = LeftOut(len(photos) - len(known), len(unknown), tuple(photos.classes[target] for target in unknown))
    if not known:
        raise DataError(
            "data_classes",
            "The network {name} has none of the data's classes ({names}); please evaluate a network of the same "
            "classes.",
            name=pretrained.name,
            names=", ".join(plain(name, QUOTED_CHARACTERS) for name in left_out.names[:NAMES_SHOWN])
            + (", …" if left_out.classes > NAMES_SHOWN else ""),
        )
    return (photos if not left_out.photos else photos.subset(known)), left_out


def matched_classes(pretrained: PretrainedModel, photos: LabelledPhotos) -> tuple[int | None, ...]:
    """For each class of the data its number in the network, or None.

    By WordNet id where both sides have one. Otherwise by name, of "goldfish, Carassius auratus" by the first one in
    small letters, but only where that says which class is meant: no other class of the network or of the data has it,
    nor another one of ImageNet where the network's classes are some of ImageNet's.
    """
    labels, wnids = pretrained.labels, class_wnids(pretrained)
    if photos.classes == labels and not (photos.wnids and any(wnids)):
        return tuple(range(len(labels)))
    by_wnid = {wnid: index for index, wnid in enumerate(wnids) if wnid}
    names, wanted = [first_name(label) for label in labels], [first_name(name) for name in photos.classes]
    by_name, once, asked = {name: index for index, name in enumerate(names)}, Counter(names), Counter(wanted)

    def match(name: str, wnid: str) -> int | None:
        if wnid in by_wnid:
            return by_wnid[wnid]
        index = by_name.get(name)
        if index is None or once[name] > 1 or asked[name] > 1:
            return None
        # With an id on both sides they are different classes of one name.
        return None if wnids[index] and (wnid or name in SHARED_NAMES) else index

    ids = photos.wnids or ("",) * len(wanted)
    return tuple(match(name, wnid) for name, wnid in zip(wanted, ids, strict=True))


def class_wnids(pretrained: PretrainedModel) -> tuple[str, ...]:
    """The WordNet id of each of the network's classes, "" where it is not known."""
    if pretrained.imagenet:
        imagenet, tiny = _imagenet_wnids()
        return tiny if pretrained.name == DEFAULT_MODEL else imagenet
    return tuple(label if WNID.fullmatch(label) else "" for label in pretrained.labels)


@cache
def _imagenet_wnids() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of ImageNet's 1000 classes, and those of Tiny ImageNet's 200."""
    rows = [line.split() for line in FILE.read_text(encoding="ascii").splitlines()]
    return tuple(row[0] for row in rows), tuple(row[0] for row in rows if len(row) > 1)
