"""The data of the first view as one file, `stage/first.json`, which the browser preloads beside the scripts.

It holds responses of the stage's events together with their arguments; the scripts put them into their cache.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...explain.channel_worth import FIRST_BLOCK
from ...service.cache import SingleFlightCache
from ...service.service import InferenceService
from . import network, scene
from .arguments import SubjectCheck, query_of
from .assets import TYPES, Asset

BLOCK = "4c"  # state.js begins with it


class FirstVisit:
    """The answers of a first visit, computed once for the network that is shown first.

    Args:
        service: computes them.
        examples: photos; `network.FIRST_PHOTO`, or else the first, is shown.
    """

    def __init__(self, service: InferenceService, examples: Sequence[Path]) -> None:
        self._service = service
        self._examples = examples
        self._subjects = SubjectCheck(service, {path.stem: path for path in examples})
        self._assets: SingleFlightCache[Asset] = SingleFlightCache(1)

    def asset(self) -> Asset | None:
        """Return the file, or None where networks run within Gradio's events only (ZeroGPU)."""
        if self._service.backend.needs_event:
            return None
        start = network.start(self._service, self._examples)
        # Another network may have been fetched meanwhile, and is then shown first.
        return self._assets.get(json.dumps(start), lambda: self._file(start))

    def _file(self, start: dict[str, Any]) -> Asset:
        data = json.dumps({"answers": self._answers(start)}, separators=(",", ":"), allow_nan=False)
        return Asset(data.encode(), TYPES[".json"], is_text=True)

    def _answers(self, start: dict[str, Any]) -> list[list[Any]]:
        """Return `[event, arguments, answer]` of each event that a first visit asks, as the scripts ask it."""
        service, model = self._service, start["first"]
        subject = {"photo": start["photo"], "model": model, "crop": None}
        query = query_of(service, self._subjects.read(subject))
        # The page shows how long the forward pass took, and the first one of a process takes ten times as long.
        service.compute(model, service.backend.predict, query)
        best = service.prediction(query).top(1)[0].index
        return [
            ["start", [], start],
            ["network", [model], network.network(service, model)],
            ["scene", [subject, {}], scene.scene(service, query, {})],
            ["block", [subject, {}, BLOCK], scene.block_channels(service, query, {}, BLOCK)],
            ["worth", [subject, [best], FIRST_BLOCK], scene.worth(service, query, [best], FIRST_BLOCK)],
            ["votes", [subject, BLOCK], scene.votes(service, query, BLOCK)],
            ["field", [subject, BLOCK], scene.middle_fields(service, query, BLOCK)],
        ]
