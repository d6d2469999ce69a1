"""The app with its API described in full: a type, a sentence and an example for each argument.

Gradio takes them from the component, which knows no more than its own kind: its examples are a photo on another server
and values that no endpoint accepts.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from gradio_client.utils import json_schema_to_python_type
from pydantic import TypeAdapter

from ...explain.registry import Argument
from .checked_blocks import CheckedBlocks
from .endpoint import Endpoint, is_photo

if TYPE_CHECKING:
    from ..stage.first import FirstVisit

PHOTO_SENT = (
    'In Python handle_file("photo.jpg") sends a file; over HTTP it is {"path": ...} with what /gradio_api/upload '
    'returned, or {"url": "data:image/jpeg;base64,..."} with the picture itself.'
)
PHOTO_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {
            "type": "string",
            "description": "What /gradio_api/upload returned for a file, or the address of that file on this server.",
        },
        "url": {"type": "string", "description": "The picture itself, as a data: address."},
    },
}


class DescribedPage(CheckedBlocks):
    """`CheckedBlocks` with `endpoints`, whose descriptions take the place of Gradio's."""

    endpoints: tuple[Endpoint, ...] = ()
    first_visit: FirstVisit | None = None

    def get_api_info(self, *arguments: Any, **options: Any) -> Any:
        """Return the API description of `gr.Blocks`, with the types, texts and valid examples of `endpoints`."""
        info = super().get_api_info(*arguments, **options)
        for endpoint in self.endpoints:
            described = info["named_endpoints"].get(f"/{endpoint.name}")
            if described is not None:
                _describe(endpoint, described)
        return info

    @cached_property
    def served_info(self) -> Any:
        """`get_api_info` of the app that is being served, which changes no more; to be read only."""
        return self.get_api_info()


def _describe(endpoint: Endpoint, described: dict[str, Any]) -> None:
    for argument, row in zip(endpoint.arguments, described["parameters"], strict=True):
        schema, sentence = _schema_and_sentence(argument)
        kind = "filepath" if is_photo(argument) else json_schema_to_python_type(schema)
        row["type"] = {**schema, "description": sentence}
        row["python_type"] = {"type": kind, "description": sentence}
        if row["parameter_has_default"]:
            row["example_input"] = row["parameter_default"]
    for result, row in zip(endpoint.result_types, described["returns"], strict=True):
        if row["component"] == "Json":
            schema = TypeAdapter(result).json_schema()
            row["type"] = {**schema, "description": endpoint.returned}
            row["python_type"] = {"type": json_schema_to_python_type(schema), "description": endpoint.returned}


def _schema_and_sentence(argument: Argument) -> tuple[dict[str, Any], str]:
    if is_photo(argument):
        return PHOTO_SCHEMA, f"{argument.sentence} {PHOTO_SENT}"
    return argument.schema, argument.sentence
