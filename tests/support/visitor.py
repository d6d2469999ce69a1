"""Visitors of the page: a real Chromium that reaches nothing but the page's own server."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, Route, expect


class HomeVisit:
    """A page that only its own server is reached from; what it asked of others is in `foreign`.

    `complaints` are its uncaught errors.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.route("**/*", lambda route: self._only_home(route, address))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _only_home(self, route: Route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()


class ApiVisit(HomeVisit):
    """One visitor of `/?view=api`, Gradio's own page with the API's documentation."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        super().__init__(context, address)
        self.page.goto(f"{address.rstrip('/')}/?view=api")
        expect(self.page.locator(".api-docs .snippet").first).to_be_visible(timeout=30_000)
