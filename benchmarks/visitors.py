"""Visitors without a browser, who use the page as its own script does: many of them fit beside it on one machine."""

from __future__ import annotations

import asyncio
import json
import random
import string
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import httpx

PATIENCE_SECONDS = 300
Event = tuple[int, str]  # a component and what happened to it


@dataclass
class Visitor:
    """One open page: what its components hold, and a session at the server. To be used in `async with`."""

    address: str
    values: dict[int, Any] = field(default_factory=dict)
    received: int = 0  # bytes of answers

    async def __aenter__(self) -> Visitor:
        self.session = "".join(random.choices(string.ascii_lowercase, k=12))
        self.client = httpx.AsyncClient(base_url=self.address, timeout=PATIENCE_SECONDS)
        page = (await self.client.get("/config")).json()
        self.prefix = page.get("api_prefix", "")
        self.names = {part["props"].get("elem_id"): part["id"] for part in page["components"]}
        self.values = {part["id"]: part["props"].get("value") for part in page["components"]}
        self.handlers = page["dependencies"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()

    def holds(self, name: str) -> Any:
        """What the component `name` shows."""
        return self.values[self.names[name]]

    async def photo(self, data: bytes) -> None:
        """Send a photo and wait for its answer and for all that the page tells of it."""
        await self.settled(await self.answer(data))

    async def answer(self, data: bytes, name: str = "photo.jpg") -> set[Event]:
        """Send a photo and wait for its answer and the panels; what that changes is for `settled`."""
        photo = await self.sent(data, name)
        self.values[self.names["il-photo"]], told = photo, self.names["il-photo-name"]
        self.values[told] = photo["path"]
        return await self._answered({(told, "change")})

    async def sent(self, data: bytes, name: str) -> dict[str, Any]:
        """Send a file; what the page's script would call it from then on."""
        reply = await self.client.post(f"{self.prefix}/upload", files={"files": (name, data)})
        (path,) = reply.raise_for_status().json()
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def change(self, name: str, value: Any, event: str = "change") -> None:
        """Choose something and wait for all that it changes."""
        own = self.names[name]
        self.values[own] = value
        await self.settled({(own, event)})

    async def open_tab(self, name: str) -> None:
        """Go to the explanations and have a look at one of them."""
        await self.change("il-near", True)
        await self.change("il-open", name)

    async def settled(self, events: set[Event]) -> None:
        """Run what answers these events, and what answers the changes that this makes, until nothing does."""
        while events := events | self._noticed(events):
            events = await self._answered(events)

    def _noticed(self, events: set[Event]) -> set[Event]:
        """What the page's own script makes of changes: the panels are asked for where they do not show what is
        wanted, and the explanations where somebody has come near."""
        changed = {part for part, event in events if event == "change"}
        noticed: set[Event] = set()
        told = [self.names[f"il-{name}"] for name in ("subject", "block", "view", "scale", "colours", "language")]
        wanted = " ".join(str(self.values[part]) for part in told)
        if changed & set(told) and wanted != self.holds("il-drawn"):
            noticed.add((self.names["il-again"], "change"))
        scene = self.names["il-why-scene"]
        if changed & {*told, self.names["il-near"]} and self.holds("il-near") and self.values[scene] != wanted:
            self.values[scene] = wanted
            noticed.add((scene, "change"))
        return noticed

    async def _answered(self, events: set[Event]) -> set[Event]:
        changed: set[Event] = set()
        for number, handler in enumerate(self.handlers):
            # What the browser does by itself is nothing to ask the server for.
            if handler["backend_fn"] and events & {(part, event) for part, event in handler["targets"]}:
                changed |= {(part, "change") for part in await self.run(number, handler)}
        return changed

    async def run(self, number: int, handler: dict[str, Any]) -> list[int]:
        """One handler of the page, with what the components hold; which of them it changed."""
        asked = {
            "data": [self.values.get(part) for part in handler["inputs"]],
            "fn_index": number,
            "session_hash": self.session,
            "event_data": None,
            "trigger_id": None,
        }
        way = "queue/join" if handler["queue"] else "run/predict"
        reply = await self.client.post(f"{self.prefix}/{way}", json=asked)
        reply.raise_for_status()
        self.received += len(reply.content)
        told = await self._outcome() if handler["queue"] else reply.json()
        changed: list[int] = told.get("changed_state_ids", [])
        for part, value in zip(handler["outputs"], told["data"], strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" not in value:
                    continue
                value = value["value"]
            if self.values.get(part) != value:
                changed.append(part)
            self.values[part] = value
        return changed

    async def _outcome(self) -> dict[str, Any]:
        stream = self.client.stream("GET", f"{self.prefix}/queue/data", params={"session_hash": self.session})
        outcome: dict[str, Any] = {}
        async with stream as lines:
            # Until the server says that there is no more: to leave sooner is to have closed the page.
            async for line in lines.aiter_lines():
                self.received += len(line)
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                if message["msg"] == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(message["output"].get("error") or "The page refused.")
                    outcome = message["output"]
                if message["msg"] == "close_stream":
                    return outcome
                if message["msg"] in ("unexpected_error", "server_stopped"):
                    raise RuntimeError(message.get("message") or message["msg"])
        raise RuntimeError("The page closed the connection.")


async def visitors(address: str, count: int) -> list[Visitor]:
    """That many open pages."""
    return list(await asyncio.gather(*(Visitor(address).__aenter__() for _ in range(count))))
