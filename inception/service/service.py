"""The state that all callers share: loaded networks, the back end, recent predictions and explanations."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from threading import Lock, Semaphore
from typing import Any, TypeVar, cast

from ..checks import choice
from ..errors import UserError, quoted
from ..explain.branch_removal import ablated_prediction
from ..explain.readout import ChannelReadout, channel_readout
from ..explain.registry import ABLATIONS
from ..network.anatomy import BranchFacts, network_facts
from ..network.compiled import compile_engines
from ..prediction import Prediction, predict_batch
from ..pretrained.pretrained import PRECISIONS, PretrainedModel
from ..pretrained.zoo import EMBEDDED_WEIGHTS, MODEL_NAMES, load
from ..runtime.device import Device, is_out_of_memory, without_memory
from ..runtime.threads import available_cores
from ..units.atlas import Atlas, read_atlas
from ..units.stimuli import plain_grey
from ..vision.photo import Source, open_photo
from ..vision.preprocessing import CENTRE_CROP, Crop
from .backend import Backend, LocalBackend
from .background import run_later
from .cache import SingleFlightCache
from .memory_size import memory_size
from .query import PhotoSize, Query

CACHE_BYTES = 96 * 2**20  # 30 predictions of the embedded network, a class; GoogLeNet's take twice as much
ABLATED_BYTES = 32 * 2**20  # of predictions with branches off, each as large as one with all on
QUERY_BYTES = 16 * 2**20  # of crops of files; one of 224 pixels takes 0.15 MB
EXPLANATION_BYTES = 32 * 2**20  # of explanations: from some bytes to the 3 MB of a circuit of GoogLeNet's block 4a
ENTRY_BYTES = 512  # of an explanation's place in the cache, besides key and explanation
COMPILE_AFTER = 5.0  # seconds, so that the page opens first
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class InferenceService:
    """Predictions and explanations for many callers. Thread-safe; results are kept by content, not by caller.

    Args:
        models: names of networks or paths of checkpoints; the first is the default. Callers know a checkpoint by its
            file name and never learn its folder.
        device: where the networks run; the CPU replaces it for good once its memory is full.
        backend: where predictions and explanations are computed, by default this process.
        precision: of predictions, as `predict` takes it; explanations are always exact.
        compiles: whether OpenVINO compiles networks where that is faster: not where GPUs are lent to forked processes,
            which its threads do not survive, nor where only other processes compute.
        begins_with_first: whether the operator chose the first network for the page to begin with.

    Raises:
        UserError: if two checkpoints have one file name.
    """

    def __init__(
        self,
        models: tuple[str, ...],
        device: Device,
        backend: Backend | None = None,
        precision: str = PRECISIONS[0],
        *,
        compiles: bool = True,
        begins_with_first: bool = False,
    ) -> None:
        self._sources = _sources(models)
        self.models = tuple(self._sources)
        self.device = device
        self.backend = backend or LocalBackend()
        self.precision = precision
        self._compiles = compiles
        self.begins_with_first = begins_with_first
        self._networks: SingleFlightCache[PretrainedModel] = SingleFlightCache(len(self.models))
        self._facts: dict[str, dict[str, tuple[BranchFacts, ...]]] = {}
        self._readouts: dict[tuple[str, str], ChannelReadout] = {}
        self._predictions: SingleFlightCache[Prediction] = SingleFlightCache(
            CACHE_BYTES, lambda _, prediction: prediction.nbytes
        )
        self._ablated: SingleFlightCache[Prediction] = SingleFlightCache(
            ABLATED_BYTES, lambda _, prediction: prediction.nbytes
        )
        self._queries: SingleFlightCache[Query] = SingleFlightCache(QUERY_BYTES, lambda _, query: query.nbytes)
        self._explanations: SingleFlightCache[Any] = SingleFlightCache(
            EXPLANATION_BYTES, lambda key, explanation: ENTRY_BYTES + memory_size(key) + memory_size(explanation)
        )
        self._atlases: SingleFlightCache[Atlas | None] = SingleFlightCache(len(self.models))
        self._lock = Lock()
        # Decoding and rendering leave one core to the network: more threads would not be faster, and would delay it
        # at every layer.
        self.io_slots = Semaphore(max(1, available_cores() - 1))

    # ---------------------------------------------------------------- networks

    def pretrained(self, name: str) -> PretrainedModel:
        """Return the network called `name`, loaded at its first use.

        Raises:
            WeightsError: if it cannot be loaded; the next call tries again.
            ChoiceError: if it is none of `models`.
        """
        choice("model", name, self.models)
        return self._networks.get(name, lambda: self._load(name))

    def _load(self, name: str) -> PretrainedModel:
        device = self.device.torch_device
        try:
            pretrained = load(self._sources[name], device)
            # Build the engines now rather than while the first caller waits for an answer.
            engines = pretrained.engine, pretrained.engine_for(self.precision)
            if self._compiles:
                # Compilation takes a second or two; until it has finished, PyTorch answers.
                run_later(COMPILE_AFTER, "compile", compile_engines, pretrained.model, *engines)
            return pretrained
        except RuntimeError as error:
            if device.type == "cpu" or not is_out_of_memory(error):
                raise
        # Retry outside `except`: the traceback keeps GPU tensors alive.
        self._fall_back_to_cpu()
        # Not `_load`: the result would go into the cache that `_fall_back_to_cpu` has replaced, and be loaded again.
        return self.pretrained(name)

    def compute(self, name: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return `function(pretrained, *arguments)` for the network called `name`.

        If the device runs out of memory, the call is repeated on the CPU, which replaces the device from then on.
        Everything that runs a network goes through here.
        """
        pretrained = self.pretrained(name)
        try:
            return function(pretrained, *arguments)
        except RuntimeError as error:
            if pretrained.device.type == "cpu" or not is_out_of_memory(error):
                raise
        # Retry outside `except`: the traceback keeps GPU tensors alive.
        del pretrained
        self._fall_back_to_cpu()
        return function(self.pretrained(name), *arguments)

    def _fall_back_to_cpu(self) -> None:
        # For good: a device that was full once will be full again, and each attempt costs a caller time.
        with self._lock:
            if self.device.torch_device.type == "cpu":
                return  # another thread was first
            self.device = without_memory(self.device)
            self._networks = SingleFlightCache(len(self.models))
        log.warning(self.device.notice)

    def facts(self, name: str) -> dict[str, tuple[BranchFacts, ...]]:
        """Return the branches of each block of the network called `name`."""
        model = self.pretrained(name).model
        if name not in self._facts:
            self._facts[name] = network_facts(model)
        return self._facts[name]

    def readout(self, name: str, block: str) -> ChannelReadout:
        """Return how strongly the next layer reads each channel of a block of the network called `name`."""
        if (name, block) not in self._readouts:
            self._readouts[name, block] = self.compute(
                name, lambda pretrained: channel_readout(pretrained.model, block)
            )
        return self._readouts[name, block]

    def atlas(self, name: str) -> Atlas | None:
        """Return the atlas that lies beside the weights of the network called `name`, or None if none can be used."""
        pretrained = self.pretrained(name)
        return self._atlases.get(name, lambda: _atlas_beside(weights_file(self._sources[name]), pretrained))

    # ---------------------------------------------------------------- photos

    def query(self, name: str, photo: Source, crop_of: Callable[[int, int], Crop] | None = None) -> Query:
        """Return the query for a crop of a photo to the network called `name`.

        Args:
            crop_of: returns the crop, given the photo's width and height; by default the centre.

        Raises:
            PhotoError, WeightsError, ChoiceError: as `open_photo` and `pretrained`.
        """
        preprocessing = self.pretrained(name).preprocessing
        with self.io_slots:
            opened = open_photo(photo)
            crop = CENTRE_CROP if crop_of is None else crop_of(*opened.size)
            image = preprocessing.apply(opened, crop)
        digest = hashlib.sha256(image.tobytes()).hexdigest()
        return Query(name, image, digest, self.precision, crop, PhotoSize(*opened.size))

    def grey_query(self, name: str) -> Query:
        """Return the query for plain grey, to which belongs what is measured of a network without a photo.

        Raises:
            WeightsError, ChoiceError: as `pretrained`.
        """
        image = plain_grey(self.pretrained(name).input_size)
        return Query(name, image, hashlib.sha256(image.tobytes()).hexdigest())

    def query_of_file(self, name: str, path: str, key: Hashable, crop_of: Callable[[int, int], Crop]) -> Query:
        """Return the query for a crop of a file to network `name`, from the cache if it was requested recently.

        Args:
            path: of a file whose content never changes, as that of an upload or an example.
            key: tells crops of the same file apart.
            crop_of: as `query` takes it.

        Raises:
            PhotoError, WeightsError, ChoiceError: as `query`.
        """
        return self._queries.get((name, path, key), lambda: self.query(name, path, crop_of))

    # ---------------------------------------------------------------- predictions and explanations

    def prediction(self, query: Query) -> Prediction:
        """Return the prediction of one forward pass, from the cache if any caller requested the same crop recently."""
        return self._predictions.get(
            (query.model, query.digest, query.precision), lambda: self.compute(query.model, self.backend.predict, query)
        )

    def predict_batch(self, queries: Sequence[Query]) -> list[Prediction]:
        """Compute predictions here, past cache and back end: one forward pass for each network and precision."""
        groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for number, query in enumerate(queries):
            groups[query.model, query.precision].append(number)
        results: dict[int, Prediction] = {}
        for (model, precision), numbers in groups.items():
            images = [queries[number].image for number in numbers]
            results.update(zip(numbers, self.compute(model, predict_batch, images, precision), strict=True))
        return [results[number] for number in range(len(queries))]

    def explained(self, query: Query, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return `function(pretrained, prediction, *arguments)` for the exact prediction, from the cache or back end.

        `function` is one of `inception.explain`; its `arguments` are typed as it declares them (block, target class,
        what is ablated, ...), hashable, and can be pickled.
        """
        exact = query.exact
        return cast(
            Result,
            self._explanations.get(
                (query.model, query.digest, function, *arguments),
                lambda: self.compute(
                    query.model, self.backend.explain, exact, self.prediction(exact), function, *arguments
                ),
            ),
        )

    def ablated(self, query: Query, off: Mapping[str, Sequence[str | int]], ablation: str = ABLATIONS[0]) -> Prediction:
        """Return the exact prediction of `ablated_prediction`, from the cache or back end."""
        exact = query.exact
        key = (query.model, query.digest, ablation, *((block, *members) for block, members in off.items()))
        return self._ablated.get(
            key,
            lambda: self.compute(
                query.model, self.backend.explain, exact, self.prediction(exact), ablated_prediction, off, ablation
            ),
        )

    def explained_uncached(self, query: Query, function: Callable[..., Result], *arguments: Any) -> Result:
        """Return the same without cache and back end, for results cheaper to recompute than to transfer."""
        return self.compute(query.model, function, self.prediction(query.exact), *arguments)


def public_name(model: str) -> str:
    """Return the name by which callers know a network: its own, or that of the checkpoint's file."""
    return model if model in MODEL_NAMES else Path(model).name


def _sources(models: Sequence[str]) -> dict[str, str]:
    """Return each network's name or path by its public name."""
    sources: dict[str, str] = {}
    for model in models:
        name = public_name(model)
        if sources.setdefault(name, model) != model:
            raise UserError(
                "models",
                "Two checkpoints are called {name}; callers know a network by its file's name, so please rename one.",
                name=quoted(name),
            )
    return sources


def weights_file(source: str) -> Path | None:
    """Return the file of a network's weights, or None if they are none of the user's and not part of the project."""
    if source in MODEL_NAMES:
        return EMBEDDED_WEIGHTS if source == MODEL_NAMES[0] else None
    return Path(source)


def _atlas_beside(weights: Path | None, pretrained: PretrainedModel) -> Atlas | None:
    if weights is None or not (folder := weights.with_suffix(".atlas")).is_dir():
        return None
    try:
        return read_atlas(folder, pretrained)
    except UserError as error:
        log.warning(str(error))
        return None
