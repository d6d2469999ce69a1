"""Where the page is mounted, which decides its routes, and the path by which visitors know it, which may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from fastapi import FastAPI

MOUNTED_AT = "inception.mounted_at"  # key in a request's scope


class MountedPage:
    """ASGI app around Gradio's that notes where a request found it.

    FastAPI would replace that by the app's own `root_path`, from which Gradio builds addresses.

    Args:
        app: Gradio's app, with `MountedRoutes` as its first middleware.
        root_path: the page's path as visitors see it; if empty, it is where the request found it: also below the
            `--root-path` of uvicorn, or the path of an app in which the host is mounted.
    """

    def __init__(self, app: FastAPI, root_path: str) -> None:
        self.app, self._root_path = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope[MOUNTED_AT] = scope.get("root_path", "")
            self.app.root_path = self._root_path or scope[MOUNTED_AT]
        await self.app(scope, receive, send)


class MountedRoutes:
    """ASGI middleware that finds routes below the path that `MountedPage` has noted."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if MOUNTED_AT in scope:
            scope["root_path"] = scope[MOUNTED_AT]
        await self.app(scope, receive, send)
