"""Allow-list of routes: those of Gradio's server that the page, its API and its clients need."""

from __future__ import annotations

import re

from starlette.types import Scope

from .upload_paths import MAX_PATH

API = "/gradio_api/"
FILE, UPLOAD, QUEUE_JOIN = "/gradio_api/file=", "/gradio_api/upload", "/gradio_api/queue/join"
NAMED_CALL = "/gradio_api/call/v2/"  # calls whose arguments have names
HEALTH = "/healthz"

# Characters. The page's own links have about 200; an escaped file path may be longer.
MAX_PATH_LENGTH, MAX_QUERY_LENGTH = MAX_PATH + 64, 4096

GET_ROUTES = re.compile(
    r"/?|/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?"
    r"|/(assets|static|svelte)(/[\w.@+~-]{1,200})+"
    r"|/stage(/(first\.json|(static|examples)(/[\w.@+~-]{1,200})+)?)?"
    r"|/gradio_api/((info|openapi\.json|startup-events|theme\.css|app_id)/?"
    r"|queue/(data|status)|heartbeat/[^/]+|call/.+|file=.+)",
    re.ASCII,
)
POST_ROUTES = re.compile(r"/gradio_api/(upload|queue/join|(run|call|call/v2)/[^/]+/?|cancel|reset/?)")
ALLOWED_ROUTES = {"GET": GET_ROUTES, "HEAD": GET_ROUTES, "POST": POST_ROUTES}
MCP_ROUTES = re.compile(r"/gradio_api/mcp(/.*)?")  # served if the operator turned on the MCP server


def path_within_app(scope: Scope) -> str:
    """Return a request's path relative to this app, wherever it is mounted."""
    path, root = str(scope["path"]), str(scope.get("root_path", ""))
    return path.removeprefix(root) if path == root or path.startswith(f"{root}/") else path


def is_mcp(path: str) -> bool:
    """Whether a path belongs to the MCP server."""
    return MCP_ROUTES.fullmatch(path) is not None


def is_allowed(method: str, path: str) -> bool:
    """Whether the page needs a route."""
    if is_mcp(path):
        return True
    return method in ALLOWED_ROUTES and ALLOWED_ROUTES[method].fullmatch(path) is not None


def is_queued(path: str) -> bool:
    """Whether a POST request waits in Gradio's queue or for an MCP tool."""
    return path == QUEUE_JOIN or "/call/" in path or is_mcp(path)
