"""What all visitors share: the loaded networks, the device, and recent observations."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from cachetools import LRUCache
from PIL import Image

from ..anatomy import BranchFacts, network_facts
from ..device import Device
from ..errors import ChoiceError
from ..observation import Observation, observe_together
from ..photo import Source, open_photo
from ..weights import NAMES, Pretrained, load
from .together import Together

CACHE_BYTES = 256 * 2**20
Result = TypeVar("Result")

EXPLANATIONS_KEPT = 256  # the largest, effective receptive fields, take 0.2 MB each


@dataclass(frozen=True)
class Look:
    """What a visitor is looking at: all that is needed to have the observation again."""

    model: str
    seen: Image.Image = field(repr=False)
    digest: str


class Studio:
    """Thread-safe. Holds nothing of a visitor beyond recently computed observations, by content.

    Args:
        models: names or checkpoint paths that may be used; the first is the default. Visitors know a
            checkpoint by its file's name and never learn its folder.
        device: where the networks run.
    """

    def __init__(self, models: tuple[str, ...], device: Device) -> None:
        self._wanted = {public_name(model): model for model in models}
        self.models = tuple(self._wanted)
        self.device = device
        self._loaded: dict[str, Pretrained] = {}
        self._facts: dict[str, dict[str, tuple[BranchFacts, ...]]] = {}
        self._loading: defaultdict[str, Lock] = defaultdict(Lock)
        self._observations: LRUCache[tuple[str, str], Observation] = LRUCache(CACHE_BYTES, lambda o: o.nbytes)
        self._explanations: LRUCache[Hashable, Any] = LRUCache(EXPLANATIONS_KEPT)
        self._together: dict[str, Together[Look, Observation]] = {}
        self._lock = Lock()

    def pretrained(self, name: str) -> Pretrained:
        """The network called `name`, loaded at its first use.

        Raises:
            WeightsError: if it cannot be had; the next call tries again.
            ChoiceError: if it is none of `models`.
        """
        if name not in self.models:
            raise ChoiceError("model", name, self.models)
        with self._lock:
            loading = self._loading[name]
        with loading:
            if name not in self._loaded:
                pretrained = load(self._wanted[name], self.device.torch_device)
                _ = pretrained.engine  # now, and not while the first visitor waits for an answer
                self._together[name] = Together(partial(self._observe, pretrained))
                self._loaded[name] = pretrained
            return self._loaded[name]

    def facts(self, name: str) -> dict[str, tuple[BranchFacts, ...]]:
        """The branches of all blocks of the network called `name`."""
        model = self.pretrained(name).model
        if name not in self._facts:
            self._facts[name] = network_facts(model)
        return self._facts[name]

    def look(self, name: str, photo: Source) -> Look:
        """Open a photo and cut out what the network called `name` sees of it.

        Raises:
            PhotoError, WeightsError: as `open_photo` and `pretrained`.
        """
        seen = self.pretrained(name).preprocessing.see(open_photo(photo))
        return Look(name, seen, hashlib.sha256(seen.tobytes()).hexdigest())

    def observation(self, look: Look) -> Observation:
        """From memory where this picture was looked at lately, else by a forward pass, shared with others who wait."""
        with self._lock:
            known = self._observations.get((look.model, look.digest))
        if known is None:
            self.pretrained(look.model)
            known = self._together[look.model].ask(look)
        return known

    def _observe(self, pretrained: Pretrained, looks: Sequence[Look]) -> list[Observation]:
        """One pass for all pictures of one network that are not known yet; a class often looks at the same one."""
        told: dict[str, Observation] = {}
        unknown: dict[str, Look] = {}
        with self._lock:
            for look in looks:
                known = self._observations.get((look.model, look.digest))
                if known is None:
                    unknown[look.digest] = look
                else:
                    told[look.digest] = known
        told.update(zip(unknown, observe_together(pretrained, [look.seen for look in unknown.values()]), strict=True))
        with self._lock:
            for look in unknown.values():
                self._observations[look.model, look.digest] = told[look.digest]
        return [told[look.digest] for look in looks]

    def explained(self, look: Look, asked: Hashable, explain: Callable[[Pretrained, Observation], Result]) -> Result:
        """What `explain` finds out about this look, from memory where the same was `asked` lately."""
        key = (look.model, look.digest, asked)
        with self._lock:
            known: Result | None = self._explanations.get(key)
        if known is None:
            known = explain(self.pretrained(look.model), self.observation(look))
            with self._lock:
                self._explanations[key] = known
        return known


def public_name(model: str) -> str:
    """What visitors call a network: its name, or the name of the checkpoint's file."""
    return model if model in NAMES else Path(model).name
