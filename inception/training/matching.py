"""Matching of a data set's classes to a network's: by WordNet id if both have one, else by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ..pretrained.labels import first_name
from ..pretrained.pretrained import PretrainedModel
from ..pretrained.zoo import DEFAULT_MODEL
from ..runtime.wording import counted
from .class_names import WNID
from .photos import NAMES_SHOWN, DataError, LabelledPhotos, first_names

# ImageNet's 1000 WordNet ids in the order of its class numbers; those of Tiny ImageNet's 200 classes are marked.
FILE = Path(__file__).with_name("imagenet_wnids.txt")
# Names of two ImageNet classes each: a bird and a machine, a dog and a garment, two kinds of bathing suit.
SHARED_NAMES = frozenset({"crane", "cardigan", "maillot"})


@dataclass(frozen=True)
class LeftOut:
    """Photos that cannot be evaluated, because no class of the network, or more than one, matches theirs."""

    photos: int = 0
    classes: int = 0
    names: tuple[str, ...] = field(default=(), repr=False)  # of the classes

    def __str__(self) -> str:
        more = self.classes - NAMES_SHOWN
        names = first_names(self.names) + (f" and {more} more" if more > 0 else "")
        return (
            f"left out, as the network has no class for them or several of one name: {counted(self.photos, 'photo')} "
            f"of {counted(self.classes, 'class', 'classes')} ({names})"
        )


def known_photos(pretrained: PretrainedModel, photos: LabelledPhotos) -> tuple[LabelledPhotos, LeftOut]:
    """Return the photos of classes that the network has, and a summary of the others.

    Raises:
        DataError: if there are none.
    """
    matches = match_classes(pretrained, photos)
    known = [index for index, target in enumerate(photos.targets) if matches[target] is not None]
    unknown = sorted({target for target in photos.targets if matches[target] is None})
    left_out = LeftOut(len(photos) - len(known), len(unknown), tuple(photos.classes[target] for target in unknown))
    if not known:
        raise DataError(
            "data_classes",
            "The network {name} has none of the data's classes ({names}); please evaluate a network of the same "
            "classes.",
            name=pretrained.name,
            names=first_names(left_out.names) + (", …" if left_out.classes > NAMES_SHOWN else ""),
        )
    return (photos if not left_out.photos else photos.subset(known)), left_out


def match_classes(pretrained: PretrainedModel, photos: LabelledPhotos) -> tuple[int | None, ...]:
    """Return the network's class index for each class of the data, or None.

    Classes match by WordNet id if both have one. Otherwise they match by their first name in lower case ("goldfish"
    of "Goldfish, Carassius auratus"), if it is unique among the network's classes, among the data's, and, for a
    network of ImageNet classes, among ImageNet's.
    """
    labels, wnids = pretrained.labels, class_wnids(pretrained)
    if photos.classes == labels and not (photos.wnids and any(wnids)):
        return tuple(range(len(labels)))
    by_wnid = {wnid: index for index, wnid in enumerate(wnids) if wnid}
    names, wanted = [first_name(label) for label in labels], [first_name(name) for name in photos.classes]
    by_name = {name: index for index, name in enumerate(names)}
    count, wanted_count = Counter(names), Counter(wanted)

    def match(name: str, wnid: str) -> int | None:
        if wnid in by_wnid:
            return by_wnid[wnid]
        index = by_name.get(name)
        if index is None or count[name] > 1 or wanted_count[name] > 1:
            return None
        # Two different ids with one name are different classes.
        return None if wnids[index] and (wnid or name in SHARED_NAMES) else index

    ids = photos.wnids or ("",) * len(wanted)
    return tuple(match(name, wnid) for name, wnid in zip(wanted, ids, strict=True))


def class_wnids(pretrained: PretrainedModel) -> tuple[str, ...]:
    """Return the WordNet id of each of the network's classes, "" where it is unknown."""
    if pretrained.imagenet:
        imagenet, tiny = _imagenet_wnids()
        return tiny if pretrained.name == DEFAULT_MODEL else imagenet
    return tuple(label if WNID.fullmatch(label) else "" for label in pretrained.labels)


@cache
def _imagenet_wnids() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the WordNet ids of ImageNet's 1000 classes and of Tiny ImageNet's 200."""
    rows = [line.split() for line in FILE.read_text(encoding="ascii").splitlines()]
    return tuple(row[0] for row in rows), tuple(row[0] for row in rows if len(row) > 1)
