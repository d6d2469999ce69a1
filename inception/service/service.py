"""What all visitors share: the loaded networks, who does their arithmetic, and recent results."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any, TypeVar, cast

from ..errors import ChoiceError
from ..explain.readout import ChannelReadout, channel_readout
from ..network.anatomy import BranchFacts, network_facts
from ..prediction import Prediction
from ..pretrained.pretrained import PRECISIONS, PretrainedModel
from ..pretrained.zoo import MODEL_NAMES, load
from ..runtime.device import Device, is_out_of_memory, without_memory
from ..runtime.threads import available_cores
from ..vision.photo import Source, open_photo
from .backend import Backend, LocalBackend
from .cache import SingleFlightCache
from .query import Query
from .snapshot import frame_of, snapshot_of

CACHE_BYTES = 128 * 2**20  # 60 photos seen by the embedded network; GoogLeNet's take three times as much
EXPLANATIONS_KEPT = 256  # the largest, effective receptive fields, take 0.2 MB each
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class InferenceService:
    """Thread-safe. Holds nothing of a visitor beyond recently computed observations, by content.

    Args:
        models: names or checkpoint paths that may be used; the first is the default. Visitors know a
            checkpoint by its file's name and never learn its folder.
        device: where the networks run; once its memory is full, on the CPU.
        runner: who does the arithmetic, by default this process.
        precision: how photos are answered, as `observe` takes it; explanations are always exact.
    """

    def __init__(
        self,
        models: tuple[str, ...],
        device: Device,
        backend: Backend | None = None,
        precision: str = PRECISIONS[0],
    ) -> None:
        self._wanted = {public_name(model): model for model in models}
        self.models = tuple(self._wanted)
        self.device = device
        self.backend = backend or LocalBackend()
        self.precision = precision
        self._loaded: dict[str, PretrainedModel] = {}
        self._facts: dict[str, dict[str, tuple[BranchFacts, ...]]] = {}
        self._readings: dict[tuple[str, str], ChannelReadout] = {}
        self._loading: defaultdict[str, Lock] = defaultdict(Lock)
        self._predictions: SingleFlightCache[Prediction] = SingleFlightCache(
            CACHE_BYTES, lambda prediction: prediction.nbytes
        )
        self._explanations: SingleFlightCache[Any] = SingleFlightCache(EXPLANATIONS_KEPT)
        self._lock = Lock()
        # Who opens or draws takes a place: more at once would not be faster, and the network, between two of its
        # layers, would have to wait until each of them had been let on.
        self.desk = Semaphore(max(1, available_cores() - 1))

    def pretrained(self, name: str) -> PretrainedModel:
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
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def _load(self, name: str) -> PretrainedModel:
        device = self.device.torch_device
        try:
            pretrained = load(self._wanted[name], device)
            # Now, and not while the first visitor waits for an answer.
            _ = pretrained.engine, pretrained.engine_for(self.precision)
            return pretrained
        except RuntimeError as error:
            if device.type == "cpu" or not is_out_of_memory(error):
                raise
        self._go_on_without_memory()
        return self._load(name)

    def _go_on_without_memory(self) -> None:
        """On the CPU, for good: a device that was full once is so again, and each attempt costs an answer."""
        with self._lock:
            self._loaded = {name: one for name, one in self._loaded.items() if one.device.type == "cpu"}
            if self.device.torch_device.type == "cpu":
                return  # another visitor's question had the same bad luck
            self.device = without_memory(self.device)
        log.warning(self.device.notice)

    def with_network(self, name: str, compute: Callable[..., Result], *told: Any) -> Result:
        """`compute(pretrained, *told)` with the network called `name`; on the CPU if its device has no memory for that.

        Whatever runs a network for a visitor goes through here.
        """
        pretrained = self.pretrained(name)
        try:
            return compute(pretrained, *told)
        except RuntimeError as error:
            if pretrained.device.type == "cpu" or not is_out_of_memory(error):
                raise
        # Not within the handler: while the error lives, so does what lies in the device's memory.
        del pretrained
        self._go_on_without_memory()
        return compute(self.pretrained(name), *told)

    def facts(self, name: str) -> dict[str, tuple[BranchFacts, ...]]:
        """The branches of all blocks of the network called `name`."""
        model = self.pretrained(name).model
        if name not in self._facts:
            self._facts[name] = network_facts(model)
        return self._facts[name]

    def reading(self, name: str, block: str) -> ChannelReadout:
        """Who reads a block of the network called `name`, and how strongly."""
        if (name, block) not in self._readings:
            self._readings[name, block] = self.with_network(
                name, lambda pretrained: channel_readout(pretrained.model, block)
            )
        return self._readings[name, block]

    def query(self, name: str, photo: Source, part: str = "") -> Query:
        """Open a photo and cut out what the network called `name` sees of it.

        `part` is what the page's choice of a part says, as `snapshot.frame_of` takes it.

        Raises:
            PhotoError, WeightsError: as `open_photo` and `pretrained`.
        """
        how = self.pretrained(name).preprocessing
        with self.desk:
            opened = open_photo(photo)
            snapshot = snapshot_of(opened)
            frame = frame_of(part, snapshot)
            seen = how.apply(opened, frame)
        return Query(name, seen, hashlib.sha256(seen.tobytes()).hexdigest(), self.precision, frame, snapshot)

    def prediction(self, query: Query) -> Prediction:
        """From memory where this picture was looked at lately, by whomever; else by a forward pass."""
        key = (query.model, query.digest, query.precision)
        return self._predictions.get(key, lambda: self.observed_now(query))

    def observed_now(self, query: Query) -> Prediction:
        """By a forward pass, and not remembered: for the camera, no two of whose frames are the same."""
        return self.with_network(query.model, self.backend.predict, query)

    def computed(self, query: Query, function: Callable[..., Result], *told: Any) -> Result:
        """`function(pretrained, observation, *told)`, exact, in this process, and not remembered.

        For what takes less time than it would to send or memory to remember.
        """
        return self.with_network(query.model, function, self.prediction(query.exact), *told)

    def explained(self, query: Query, function: Callable[..., Result], *told: Any) -> Result:
        """`function(pretrained, observation, *told)`, from memory where the same was asked lately.

        `function` is one of `inception.explain`, and what it is `told` can be hashed.
        """
        exact = query.exact
        prediction = self.prediction(exact)
        return cast(
            Result,
            self._explanations.get(
                (query.model, query.digest, function, *told),
                lambda: self.with_network(query.model, self.backend.explain, exact, prediction, function, *told),
            ),
        )


def public_name(model: str) -> str:
    """What visitors call a network: its name, or the name of the checkpoint's file."""
    return model if model in MODEL_NAMES else Path(model).name
