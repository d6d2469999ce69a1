"""Pages in a Chromium that can reach only the page's own server."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, Route, expect


class PageVisit:
    """A page whose requests to other servers are blocked.

    Attributes:
        foreign_requests: the URLs of the blocked requests.
        errors: the messages of uncaught errors.
    """

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.foreign_requests: list[str] = []
        self.errors: list[str] = []
        self.page: Page = context.new_page()
        self.page.route("**/*", lambda route: self._block_foreign(route, address))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _block_foreign(self, route: Route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign_requests.append(route.request.url)
            route.abort()


class ApiVisit(PageVisit):
    """A visit to `/?view=api`, Gradio's documentation of the API."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        super().__init__(context, address)
        self.page.goto(f"{address.rstrip('/')}/?view=api")
        expect(self.page.locator(".api-docs .snippet").first).to_be_visible(timeout=30_000)
