"""A visitor of Gradio's own page, the API's documentation: a Chromium that reaches nothing but the page's server."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, Route, expect


class ApiVisit:
    """One visitor of `/?view=api`, and what the page asked of others or complained of."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.route("**/*", lambda route: self._only_home(route, address))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(f"{address.rstrip('/')}/?view=api")
        expect(self.page.locator(".api-docs .snippet").first).to_be_visible(timeout=30_000)

    def _only_home(self, route: Route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()
