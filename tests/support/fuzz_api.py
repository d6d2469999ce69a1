"""Fuzzing of the API: every response must be a result or an error message.

Arguments and their types come from the server's own description (`/gradio_api/info` and `/config`). Each endpoint is
called by position (`/call/NAME`) and by name (`/call/v2/NAME`), and each event of the stage by its `fn_index`.
tests/web/api/test_fuzz.py runs a fixed part of it; `make fuzz SECONDS=600` runs longer. To run it alone:
`python -m support.fuzz_api SECONDS`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from inception.web.words import LANGUAGES, say
from support.paths import EXAMPLES

NET = "tiny-imagenet"
META = {"_type": "gradio.FileData"}
EVENTS_PER_SESSION = 100  # sustained rates above 20 events a second and session are rejected
MAX_MESSAGE_LENGTH = 700
# No error message may contain internals of the server.
SECRET = re.compile(r"Traceback|HTTPStatusError|site-packages|\.py\b|/(tmp|home|root|usr)/|gradio\.\w+\.|0x[0-9a-f]{6}")
INTERNAL_ERRORS = [say(language, "fault") for language in LANGUAGES]  # messages for errors of the server itself

TOO_LARGE = "__1e400__"  # sent as a number that JSON can express and a float cannot
DEEP: Any = None
for _ in range(60):
    DEEP = [DEEP] if isinstance(DEEP, dict) else {"a": DEEP}

# Values of every kind that few or no arguments accept.
NUMBERS = [0, -1, 1, 3, 2.5, 3.0, 10**6, -(10**18), 10**400, float("nan"), float("inf"), -float("inf"), TOO_LARGE]
TEXTS = ["", " ", "3", "3a", "NaN", "null", "zh", "x" * 5000, "\x00\x1b[2J", "\ud800", "照片 🔎", "../etc/passwd"]
TEXTS += ["<img src=x onerror=alert(1)>", "{value}", "data:image/png;base64,AAAA", "http://127.0.0.1:9/photo.jpg"]
LISTS = [[], [None], [[]], [3, 17], [NET], ["1x1"], ["1x1", "1x1"], [1] * 5000, ["x" * 5000]]
OBJECTS = [{}, {"a": {"b": [{}]}}, DEEP, {"meta": META}, {"url": "data:,"}, {"url": "data:image/png;base64,!"}]
OBJECTS += [{"url": 3, "meta": []}, {"path": None}, {"__type__": "update", "value": 3}, {"value": 3}, {"choices": []}]
ODD: list[Any] = [None, True, False, *NUMBERS, *TEXTS, *LISTS, *OBJECTS]
# A smaller selection of every kind, which the tests have time to send for every argument.
KINDS: list[Any] = [None, True, -1, 2.5, 10**400, float("nan"), TOO_LARGE, "", "3", "x" * 5000, "\ud800", "data:,"]
KINDS += [[], [None], ["x" * 5000], {}, {"a": {"b": [{}]}}, DEEP, {"url": "data:,"}, {"url": 3, "meta": []}]

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.sampled_from([*NUMBERS, *TEXTS]),
)
KEYS = st.sampled_from(["path", "url", "meta", "value", "__type__", "photo", "crop", "model", "4b", "digest", ""])
ANYTHING = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=12,
    ),
)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint: its name, and valid values by argument name."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One event of the stage: its index, name, and valid inputs."""

    number: int
    name: str
    values: list[Any]


@dataclass
class Server:
    """A running page, called without a browser, with counts of its responses and the errors that it logged."""

    address: str
    counts: Counter[str] = field(default_factory=Counter)
    logged: list[logging.LogRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"{self.address.rstrip('/')}", timeout=120)
        self.session, self.events_in_session = "", EVENTS_PER_SESSION
        data = (EXAMPLES / "espresso.jpg").read_bytes()
        (path,) = self.client.post("/gradio_api/upload", files={"files": ("espresso.jpg", data)}).json()
        self.photo = {"path": path, "meta": META}

    def endpoints(self) -> list[Endpoint]:
        """Return every public endpoint."""
        info = self.client.get("/gradio_api/info").json()["named_endpoints"]
        return [
            Endpoint(name.strip("/"), {row["parameter_name"]: self._example_of(row) for row in endpoint["parameters"]})
            for name, endpoint in info.items()
        ]

    def _example_of(self, row: dict[str, Any]) -> Any:
        if row["component"] == "Image":
            return self.photo
        return row["parameter_default"] if row["parameter_has_default"] else "5"

    def events(self) -> list[Event]:
        """Return every event of the stage."""
        page = self.client.get("/config").json()
        values = {component["id"]: component["props"].get("value") for component in page["components"]}
        return [
            Event(event["id"], event["api_name"], [values[component] for component in event["inputs"]])
            for event in page["dependencies"]
            if event["api_visibility"] != "public"
        ]

    # ------------------------------------------------------------ one request

    def call(self, endpoint: str, data: Any, language: str = "en") -> str:
        """Call an endpoint by position, or by name if `data` is a dictionary; return the response's fault or ""."""
        return self._checked(lambda: self._call(endpoint, data, language))

    def _call(self, endpoint: str, data: Any, language: str) -> str:
        named = isinstance(data, dict)
        path = f"/gradio_api/call/{'v2/' if named else ''}{endpoint}"
        if not named:
            self._renew_session()  # Gradio is faster with a session
        submitted = self._post(path, data if named else {"data": data, "session_hash": self.session}, language)
        if submitted.status_code != 200:
            return self._rejected(submitted)
        response = self.client.get(f"/gradio_api/call/{endpoint}/{submitted.json()['event_id']}")
        event, _, line = response.text.strip().rpartition("event: ")[2].partition("\n")
        content = json.loads(line.removeprefix("data: "))
        if event == "complete":
            return self._completed(content)
        self.counts["error event"] += 1
        return message_fault(content.get("error") if isinstance(content, dict) else content)

    def trigger(self, event: Event, data: list[Any], event_data: Any = None, language: str = "en") -> str:
        """Trigger an event; return the fault of the response, or ""."""
        self._renew_session()
        return self._checked(lambda: self._trigger(event, data, event_data, language))

    def _trigger(self, event: Event, data: list[Any], event_data: Any, language: str) -> str:
        body = {
            "data": data,
            "fn_index": event.number,
            "session_hash": self.session,
            "event_data": event_data,
            "trigger_id": None,
        }
        response = self._post("/gradio_api/run/predict", body, language)
        return self._completed(response.json()) if response.status_code == 200 else self._rejected(response)

    def _renew_session(self) -> None:
        """Start a new session after `EVENTS_PER_SESSION` events."""
        self.events_in_session += 1
        if self.events_in_session >= EVENTS_PER_SESSION:
            self.session, self.events_in_session = uuid.uuid4().hex, 0

    def _checked(self, send: Callable[[], str]) -> str:
        """Return the fault of a response, or otherwise an error that was logged meanwhile."""
        try:
            fault = send()
        except httpx.HTTPError as error:
            fault = f"no response: {error!r}"
        logged = "; ".join(f"logged: {record.getMessage()}: {record.exc_info}" for record in self.logged)
        self.logged.clear()
        return fault or logged

    def _post(self, path: str, body: Any, language: str) -> httpx.Response:
        self.counts["cases"] += 1
        text = json.dumps(body).replace(f'"{TOO_LARGE}"', "1e400")
        headers = {"Content-Type": "application/json", "Accept-Language": language}
        return self.client.post(path, content=text, headers=headers)

    def _completed(self, result: Any) -> str:
        self.counts["2xx"] += 1
        return "" if isinstance(result, dict | list) else f"no result: {result!r}"

    def _rejected(self, response: httpx.Response) -> str:
        self.counts["4xx" if 400 <= response.status_code < 500 else str(response.status_code)] += 1
        try:
            content = response.json()
        except ValueError:
            return f"status {response.status_code}: {response.text[:200]!r}"
        fault = message_fault(content.get("error", content.get("detail")))
        return fault or ("" if 400 <= response.status_code < 500 else f"status {response.status_code}")


def message_fault(message: Any) -> str:
    """Return the fault of an error message, or ""."""
    if not isinstance(message, str) or not 15 < len(message) <= MAX_MESSAGE_LENGTH:
        return f"no sentence: {str(message)[:200]!r}"
    if not message.endswith((".", "。")):
        return f"not a whole sentence: {message!r}"
    if SECRET.search(message) or message in INTERNAL_ERRORS:
        return f"not to be said: {message!r}"
    return ""


# ---------------------------------------------------------------- payloads


@st.composite
def payloads(draw: st.DrawFn, values: list[Any]) -> list[Any]:
    """Return the values with some replaced at random, sometimes with too few or too many of them."""
    sent = list(values)
    for index in draw(st.lists(st.integers(0, max(0, len(sent) - 1)), max_size=3)):
        sent[index : index + 1] = [draw(ANYTHING)]
    length_change = draw(st.integers(0, 12))
    if length_change == 0:
        sent = sent[: draw(st.integers(0, len(sent)))]
    elif length_change == 1:
        sent = [*sent, *draw(st.lists(ANYTHING, min_size=1, max_size=3))]
    return sent


EVENT_DATA = st.one_of(
    st.none(),
    ANYTHING,
    st.fixed_dictionaries(
        {},
        optional={
            "branch": st.sampled_from(["1x1", "pool"]) | ANYTHING,
            "photo": ANYTHING,
        },
    ),
)
LANGUAGE = st.sampled_from(["en", "zh-CN", "", "zh;q=nan,en;q=1e999"])


def search_settings(examples: int, number: int) -> Callable[[Any], Any]:
    """Return Hypothesis' settings; number 0 always draws the same examples, every other number its own."""
    options = settings(
        max_examples=examples,
        derandomize=number == 0,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    return options if number == 0 else lambda test: seed(number)(options(test))


def every_argument(server: Server, odd_values: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Send each odd value for each argument of each endpoint, with valid others; yield call and fault."""
    for endpoint in server.endpoints():
        values = list(endpoint.arguments.values())
        for index, name in enumerate(endpoint.arguments):
            for odd in odd_values:
                sent = [*values[:index], odd, *values[index + 1 :]]
                if fault := server.call(endpoint.name, sent):
                    yield f"{endpoint.name}({name}={str(odd)[:60]!r})", fault
        for sent in (values[:-1], [*values, 1], [*values, *values], []):
            if len(sent) != len(values) and (fault := server.call(endpoint.name, sent)):
                yield f"{endpoint.name}: {len(sent)} of {len(values)} arguments", fault


def any_endpoint(server: Server, examples: int, number: int) -> Iterator[tuple[str, str]]:
    """Send random arguments to each endpoint, by position and by name; yield call and fault."""
    for endpoint in server.endpoints():
        yield from _endpoint(server, endpoint, examples, number)


def _endpoint(server: Server, endpoint: Endpoint, examples: int, number: int) -> list[tuple[str, str]]:
    faults = []

    @search_settings(examples, number)
    @given(payloads(list(endpoint.arguments.values())), st.booleans(), st.data(), LANGUAGE)
    def check(sent: Any, named: bool, data: st.DataObject, language: str) -> None:
        if named:
            sent = dict(zip([*endpoint.arguments, *(f"more{i}" for i in range(9))], sent, strict=False))
            if sent and data.draw(st.booleans()):
                del sent[data.draw(st.sampled_from(list(sent)))]
        if fault := server.call(endpoint.name, sent, language):
            faults.append((f"{endpoint.name}({str(sent)[:200]})", fault))

    check()
    return faults


def any_event(server: Server, examples: int, number: int) -> Iterator[tuple[str, str]]:
    """Send random inputs to each event of the stage; yield event and fault."""
    for event in server.events():
        yield from _event(server, event, examples, number)


def _event(server: Server, event: Event, examples: int, number: int) -> list[tuple[str, str]]:
    faults = []

    @search_settings(examples, number)
    @given(payloads(event.values), EVENT_DATA, LANGUAGE)
    def check(sent: list[Any], event_data: Any, language: str) -> None:
        if fault := server.trigger(event, sent, event_data, language):
            faults.append((f"{event.name}({str(sent)[:200]}, {str(event_data)[:80]})", fault))

    check()
    return faults


@contextmanager
def served(network: str = NET) -> Iterator[Server]:
    """Serve a page with one network only, the embedded one or a file, so that no weights are downloaded."""
    # By default Gradio computes statistics of all events after each one, which takes longer than most events.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build
    from support.launched import launch

    page = build(InferenceService((network,), choose_device("cpu")))
    address = launch(page)
    try:
        server = Server(address)
        handler = logging.Handler(logging.ERROR)
        handler.emit = server.logged.append  # type: ignore[method-assign]
        logging.getLogger("inception").addHandler(handler)
        yield server
        logging.getLogger("inception").removeHandler(handler)
    finally:
        page.close()


def main() -> None:
    deadline, faults, rounds = time.monotonic() + float(sys.argv[1]), 0, 0
    with served() as server:
        while rounds == 0 or time.monotonic() < deadline:
            searches = [any_endpoint(server, 40, rounds), any_event(server, 40, rounds)]
            for search in [*([] if rounds else [every_argument(server, ODD)]), *searches]:
                for request, fault in search:
                    faults += 1
                    print(f"{request}: {fault}", flush=True)
            rounds += 1
        print(f"{rounds} rounds, {dict(server.counts)}, {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
