"""The API's information with code that calls this server, in Python, JavaScript and for a shell, and runs as shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from gradio.route_utils import get_root_url
from gradio.routes import API_PREFIX
from gradio_client.snippet import generate_code_snippets
from hf_gradio.cli import generate_cli_snippet
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def _info(request: Request) -> JSONResponse:
    """Respond with the endpoints and sample code that calls this server, for "Use via API" and Gradio's clients.

    Replaces Gradio's route, which shows everybody the host of the first request.
    """
    page = request.app.get_blocks()
    root = get_root_url(request, route_path=str(request.scope["path"]).rstrip("/"), root_path=request.app.root_path)
    info = deepcopy(page.served_info)
    for endpoint in info["named_endpoints"].values():
        for row in endpoint["parameters"]:
            row["example_input"] = _at(root, row["example_input"])
    shells = generate_cli_snippet(info["named_endpoints"])
    source = page.space_id or root
    for name, endpoint in info["named_endpoints"].items():
        code = generate_code_snippets(name, endpoint, root, space_id=page.space_id, api_prefix=f"{API_PREFIX}/")
        code["javascript"] = _javascript(name, endpoint["parameters"], source)
        code["bash"] = _bash(code["bash"], endpoint["parameters"])
        endpoint["code_snippets"] = {**code, "cli": shells[name].replace("{space_id}", source)}
    return JSONResponse(info)


def _at(root: str, example: Any) -> Any:
    """An example file at its whole address, as clients can fetch it and send it back."""
    if not _is_file(example):
        return example
    url = f"{root}{example['url']}"
    return {**example, "path": url, "url": url}


def _is_file(example: Any) -> bool:
    return isinstance(example, dict) and "url" in example


def _javascript(name: str, parameters: Sequence[Mapping[str, Any]], source: str) -> str:
    """Gradio's own fetches every photo, also one that is left out, into variables of the same name."""
    lines = []
    for row in parameters:
        example = row["example_input"]
        value = f"handle_file({json.dumps(example['url'])})" if _is_file(example) else json.dumps(example)
        lines.append(f"  {row['parameter_name']}: {value},")
    imported = "Client, handle_file" if any("handle_file(" in line for line in lines) else "Client"
    return "\n".join(
        (
            f'import {{ {imported} }} from "@gradio/client";',
            "",
            f"const client = await Client.connect({json.dumps(source)});",
            f"const result = await client.predict({json.dumps(name)}, {{",
            *lines,
            "});",
            "",
            "console.log(result.data);",
        )
    )


def _bash(code: str, parameters: Sequence[Mapping[str, Any]]) -> str:
    """Gradio's own, with a photo that is there, and the question's number where bash can read it."""
    for photo in (row["example_input"] for row in parameters if _is_file(row["example_input"])):
        code = code.replace("$(curl -s -X POST ", f"$(curl -s '{photo['url']}' | curl -s -X POST ")
        code = code.replace("files=@/path/to/your/file", f"files=@-;filename={photo['orig_name']}")
    before, reading, after = code.partition("| read EVENT_ID; ")
    return f"{before}| {{ read EVENT_ID; {after}; }}" if reading else code


ROUTES = (Route(f"{API_PREFIX}/info", _info), Route(f"{API_PREFIX}/info/", _info))
