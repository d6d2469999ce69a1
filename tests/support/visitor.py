"""A visitor of the page: a real Chromium that can reach nothing but the page's own server."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext, Page, Route, expect


class Visit:
    """One visitor: a page, and what it asked of others or complained of."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.foreign: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        self.page.route("**/*", lambda route: self._only_home(route, address))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        expect(self.page.locator("#il-photo")).to_be_visible(timeout=30_000)

    def _only_home(self, route: Route, address: str) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            self.foreign.append(route.request.url)
            route.abort()

    def upload(self, photo: Path) -> None:
        self.page.locator("#il-photo input[type=file]").first.set_input_files(photo)

    def pictures(self) -> list[str]:
        return [img.get_attribute("src") or "" for img in self.page.locator(".il-panel img").all()]

    def choose(self, group: str, choice: str) -> None:
        self.page.locator(f"#il-{group}").get_by_text(choice, exact=True).click()

    def panels_of(self, title: str) -> None:
        expect(self.page.locator(f'.il-block[aria-label="{title}"] .il-panel img')).to_have_count(4, timeout=30_000)

    def come_near(self) -> None:
        """Scroll down to the explanations."""
        self.page.locator("#il-tabs").scroll_into_view_if_needed()
