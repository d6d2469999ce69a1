"""MCP tools: endpoints with a description, an input schema and a checked call."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any

from mcp import types
from PIL import Image

from ...errors import ChoiceError, UserError
from ...explain.registry import Argument
from ..api.endpoint import Endpoint, is_photo
from ..api.file_address import local_path
from ..http.upload_paths import is_uploaded

OTHER_BYTES = 16 * 2**10  # of all arguments of a call but its photos, as JSON
PHOTO = "A data: address, or the address of an upload."
PHOTO_SENT = (
    "Send the photo as a data: address (data:image/jpeg;base64,...), or upload the file to this server, for instance "
    "with the tool upload_file_to_gradio, and send the address that comes back. Other addresses and paths are refused."
)


@dataclass(frozen=True)
class Tool:
    """An endpoint as a tool called `name`."""

    name: str
    endpoint: Endpoint

    @cached_property
    def definition(self) -> types.Tool:
        """Name, description and schema, as clients list them."""
        about = self.endpoint.description
        return types.Tool(
            name=self.name,
            description=f"{about} {PHOTO_SENT}" if self.takes_photo else about,
            inputSchema={
                "type": "object",
                "properties": {argument.name: _schema(argument) for argument in self.endpoint.arguments},
                "required": [argument.name for argument in self.endpoint.arguments if argument.required],
                "additionalProperties": False,
            },
            annotations=types.ToolAnnotations(readOnlyHint=True, idempotentHint=True, openWorldHint=False),
        )

    @property
    def takes_photo(self) -> bool:
        """Whether one of its arguments is a photo."""
        return any(is_photo(argument) for argument in self.endpoint.arguments)

    def call(self, sent: Mapping[str, Any]) -> list[types.ContentBlock]:
        """The endpoint's results for the arguments that a client sent: pictures as pictures, all else as JSON.

        Raises:
            UserError, gr.Error: what the caller can mend, in a sentence.
        """
        result = self.endpoint.function(**self._checked(sent))
        return [_content(one) for one in (result if isinstance(result, tuple) else (result,))]

    def _checked(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        arguments = {argument.name: argument for argument in self.endpoint.arguments}
        for name in sent:
            if name not in arguments:
                raise ChoiceError("argument", name, tuple(arguments))
        _check_size({name: value for name, value in sent.items() if not is_photo(arguments[name])})
        return {name: _value(argument, sent) for name, argument in arguments.items()}


def tools(endpoints: Sequence[Endpoint], prefix: str = "") -> dict[str, Tool]:
    """The tools by name; `prefix` begins each name.

    An assistant reads every tool's description before each question, so there are few (`Endpoint.is_tool`): those that
    answer a question about a photo or the network. The other endpoints repeat them in another form, or give long
    lists or files; docs/how-to/assistants.md names them.
    """
    return {
        f"{prefix}{endpoint.name}": Tool(f"{prefix}{endpoint.name}", endpoint)
        for endpoint in endpoints
        if endpoint.is_tool
    }


def _schema(argument: Argument) -> dict[str, Any]:
    schema = {"type": "string"} if is_photo(argument) else argument.schema
    description = f"{argument.sentence} {PHOTO}" if is_photo(argument) else argument.sentence
    default = {} if argument.required else {"default": argument.default}
    return {**schema, "description": description, **default}


def _check_size(sent: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(sent))
    except RecursionError:
        size = OTHER_BYTES + 1
    if size > OTHER_BYTES:
        raise UserError(
            "arguments",
            "The arguments without the photo may have at most {most} bytes as JSON; please send fewer.",
            most=OTHER_BYTES,
        )


def _value(argument: Argument, sent: Mapping[str, Any]) -> Any:
    """The value of an argument as the function takes it: checked, or the default."""
    if argument.name not in sent:
        if argument.required:
            what = f"{argument.sentence[0].lower()}{argument.sentence[1:]}"
            raise UserError("argument", "Please send the argument {name}: {what}", name=argument.name, what=what)
        return argument.default
    value = sent[argument.name]
    return _photo(value) if is_photo(argument) else argument.check(value)


def _photo(source: Any) -> str:
    """A `data:` address, or the path of a file that was uploaded to this server."""
    if isinstance(source, str) and source.startswith("data:"):
        return source
    path = local_path(source) if isinstance(source, str) else ""
    if not path or not is_uploaded(path):
        raise UserError(
            "photo",
            "The photo is neither a data: address nor the address of a file that was uploaded to this server; "
            "please send one of these.",
        )
    return path


def _content(result: Any) -> types.ContentBlock:
    if not isinstance(result, Image.Image):
        return types.TextContent(type="text", text=json.dumps(result, ensure_ascii=False))
    file = BytesIO()
    result.save(file, "PNG")
    return types.ImageContent(type="image", data=b64encode(file.getvalue()).decode(), mimeType="image/png")
