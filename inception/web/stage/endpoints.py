"""Gradio events of the stage: `POST gradio_api/run/stage_NAME` with `{"data": [argument, ...]}`.

They are events and not plain routes because ZeroGPU lends its GPU within Gradio's events only. They appear neither in
"Use via API" nor among the MCP tools, and are free to change with the stage's JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ...service.cache import SingleFlightCache
from ...service.query import Query
from ...service.service import InferenceService
from ...service.visualizations import Visualizations
from ...units.unit import Unit
from ..api.inputs import model_of
from ..http.uploads import missing_as_expired
from . import census, network, scene, trust, unit
from .arguments import CHECKS, EXAMPLE, Check, SubjectCheck, by, query_of
from .picture import picture
from .scene import Cell

Events = Mapping[str, tuple[Callable[..., dict[str, Any]], Sequence[str]]]


def add_stage_events(service: InferenceService, examples: Sequence[Path]) -> None:
    """Add the events to the page that is being built.

    Args:
        service: computes what they answer.
        examples: photos that a subject may name by their stems.
    """
    subjects = SubjectCheck(service, {path.stem: path for path in examples})
    checks: dict[str, Check] = {
        **CHECKS,
        "subject": subjects.check,
        "model": by(model_of(service)),
    }
    values: dict[str, Any] = {
        "subject": {"photo": f"{EXAMPLE}{examples[0].stem}", "model": service.models[0], "crop": None},
        "model": service.models[0],
        "off": {},
        "classes": [0],
        "class": 0,
        "block": "3a",
        "branch": "1x1",
        "channel": 0,
        "row": 0,
        "column": 0,
        "shape": "disc",
        "goal": "excites",
        "method": "evidence",
        "step": 0,
    }
    components = {}
    for name, check in checks.items():
        components[name] = gr.JSON(value=json.dumps(values[name]), visible=False, label=name)
        components[name].own_check = check
    answer = gr.JSON(visible=False, label="answer")
    never = gr.Button(visible=False)  # an event of Gradio's needs something that triggers it
    for name, (function, arguments) in events(service, subjects, examples).items():
        function.__name__ = f"stage_{name}"
        never.click(
            function,
            [components[argument] for argument in arguments],
            answer,
            api_name=f"stage_{name}",
            api_visibility="undocumented",
            queue=False,
            show_progress="hidden",
            preprocess=False,
            postprocess=False,
        )


def events(service: InferenceService, subjects: SubjectCheck, examples: Sequence[Path]) -> Events:
    """Return by name each event's function and the names of its arguments, which are checked before it is called."""

    def of_photo(
        function: Callable[..., dict[str, Any]], *arguments: str, is_filled: bool = False
    ) -> tuple[Callable[..., dict[str, Any]], Sequence[str]]:
        def answer(subject: dict[str, Any], *values: Any) -> dict[str, Any]:
            read = subjects.read(subject)
            fill = {"fill": read.fill} if is_filled else {}
            return function(service, query_of(service, read), *values, **fill)

        return answer, ("subject", *arguments)

    def start() -> dict[str, Any]:
        return network.start(service, examples)

    def of_network(model: str) -> dict[str, Any]:
        return networks.get(model, lambda: network.network(service, model))

    def of_file(subject: dict[str, Any]) -> dict[str, Any]:
        with missing_as_expired():
            return picture(service, subjects.read(subject).path)

    def tuning(model: str, block: str, shape: str) -> dict[str, Any]:
        return network.tuning(service, model, block, shape)

    def of_unit(
        function: Callable[[InferenceService, str, str, str, int], dict[str, Any]],
    ) -> tuple[Callable[..., dict[str, Any]], Sequence[str]]:
        return lambda *place: function(service, *place), ("model", "block", "branch", "channel")

    def tuning_of_block(model: str, block: str) -> dict[str, Any]:
        return unit.block_tuning(service, model, block)

    def image(model: str, block: str, branch: str, channel: int, goal: str, step: int) -> dict[str, Any]:
        return unit.unit_image(service, images, model, Unit(block, branch, channel), goal, step)

    def of_branches(model: str) -> dict[str, Any]:
        return censuses.get(model, lambda: census.tuning_census(service, model))

    images = Visualizations(service)
    censuses: SingleFlightCache[dict[str, Any]] = SingleFlightCache(len(service.models))
    networks: SingleFlightCache[dict[str, Any]] = SingleFlightCache(len(service.models))
    place = ("block", "branch", "channel", "row", "column")
    return {
        "start": (start, ()),
        "network": (of_network, ("model",)),
        "scene": of_photo(scene.scene, "off", is_filled=True),
        "block": of_photo(scene.block_channels, "off", "block", is_filled=True),
        "votes": of_photo(scene.votes, "block", is_filled=True),
        "worth": of_photo(scene.worth, "classes", "block"),
        "field": of_photo(scene.middle_fields, "block"),
        "cell": of_photo(at_cell(scene.cell), *place),
        "kernel": of_photo(at_cell(scene.kernel), *place),
        "evidence": of_photo(scene.class_evidence, "class"),
        "cam": of_photo(scene.cam, "block", "class"),
        "table": of_photo(scene.table, is_filled=True),
        "effective": of_photo(scene.effective, "block", "branch", "row", "column"),
        "bottleneck": of_photo(scene.bottleneck, "block"),
        "picture": (of_file, ("subject",)),
        "tuning": (tuning, ("model", "block", "shape")),
        "block_tuning": (tuning_of_block, ("model", "block")),
        "census": (of_branches, ("model",)),
        "unit_tuning": of_unit(unit.unit_tuning),
        "unit_atlas": of_unit(unit.unit_atlas),
        "unit_wiring": of_unit(unit.unit_wiring),
        "unit_image": (image, ("model", "block", "branch", "channel", "goal", "step")),
        "attribution": of_photo(trust.attribution, "method", "block", "class"),
        "trust": of_photo(trust.trust, "method", "block", "class"),
        "circuit": of_photo(at_cell(unit.circuit_of_cell), *place),
        "logit_circuit": of_photo(unit.circuit_of_logit, "class"),
    }


def at_cell(function: Callable[[InferenceService, Query, Cell], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a function of a cell as one of the cell's fields."""
    return lambda service, query, *place: function(service, query, Cell(*place))
