"""A search for payloads that the page answers with anything but an answer or a sentence.

Arguments and their types come from the server's own description (`/gradio_api/info` and `/config`). Each endpoint is
asked by position (`/call/NAME`) and by name (`/call/v2/NAME`), and each event of the page by its `fn_index`, with and
without the queue. tests/web/api/test_fuzz.py runs a fixed part of it, and for longer: `make fuzz SECONDS=600`.
Called by itself: `python -m support.fuzz_api SECONDS`.
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

from inception.web.text import TEXT
from support.paths import EXAMPLES

NET = "tiny-imagenet"
META = {"_type": "gradio.FileData"}
PER_SESSION = 100  # events; whoever asks more than 20 a second for long is refused
LONGEST_SENTENCE = 700
# Nothing of the server may be in a sentence.
SECRET = re.compile(r"Traceback|HTTPStatusError|site-packages|\.py\b|/(tmp|home|root|usr)/|gradio\.\w+\.|0x[0-9a-f]{6}")
FAULTS = [TEXT[language]["fault"] for language in TEXT]  # of the server's own

TOO_LARGE = "__1e400__"  # as a number, which JSON can hold and a float cannot
DEEP: Any = None
for _ in range(60):
    DEEP = [DEEP] if isinstance(DEEP, dict) else {"a": DEEP}

# One of each kind of thing that no argument, or few, can take.
NUMBERS = [0, -1, 1, 3, 2.5, 3.0, 10**6, -(10**18), 10**400, float("nan"), float("inf"), -float("inf"), TOO_LARGE]
TEXTS = ["", " ", "3", "3a", "NaN", "null", "zh", "x" * 5000, "\x00\x1b[2J", "\ud800", "照片 🔎", "../etc/passwd"]
TEXTS += ["<img src=x onerror=alert(1)>", "{value}", "data:image/png;base64,AAAA", "http://127.0.0.1:9/photo.jpg"]
LISTS = [[], [None], [[]], [3, 17], [NET], ["1x1"], ["1x1", "1x1"], [1] * 5000, ["x" * 5000]]
OBJECTS = [{}, {"a": {"b": [{}]}}, DEEP, {"meta": META}, {"url": "data:,"}, {"url": "data:image/png;base64,!"}]
OBJECTS += [{"url": 3, "meta": []}, {"path": None}, {"__type__": "update", "value": 3}, {"value": 3}, {"choices": []}]
ODD: list[Any] = [None, True, False, *NUMBERS, *TEXTS, *LISTS, *OBJECTS]
# The fewest that are of every kind: for every argument, in the time that the tests have.
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
KEYS = st.sampled_from(["path", "url", "meta", "value", "__type__", "size", "is_stream", "orig_name", "branch", ""])
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
    """One endpoint: its name, and its arguments' names with values that it takes."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One event of the page that the server answers: its number, its inputs' values at the beginning, and its way."""

    number: int
    name: str
    values: list[Any]
    is_queued: bool


@dataclass
class Server:
    """A running page, asked without a browser: what it has answered, and the errors that it has logged."""

    address: str
    counts: Counter[str] = field(default_factory=Counter)
    logged: list[logging.LogRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"{self.address.rstrip('/')}", timeout=120)
        self.session, self.asked = "", PER_SESSION
        data = (EXAMPLES / "espresso.jpg").read_bytes()
        (path,) = self.client.post("/gradio_api/upload", files={"files": ("espresso.jpg", data)}).json()
        self.photo = {"path": path, "meta": META}

    def endpoints(self) -> list[Endpoint]:
        """Every public endpoint."""
        told = self.client.get("/gradio_api/info").json()["named_endpoints"]
        return [
            Endpoint(name.strip("/"), {row["parameter_name"]: self._example_of(row) for row in endpoint["parameters"]})
            for name, endpoint in told.items()
        ]

    def _example_of(self, row: dict[str, Any]) -> Any:
        if row["component"] == "Image":
            return self.photo
        return row["parameter_default"] if row["parameter_has_default"] else "5"

    def events(self) -> list[Event]:
        """Every private event that the server answers."""
        page = self.client.get("/config").json()
        held = {part["id"]: part["props"].get("value") for part in page["components"]}
        held |= {part["id"]: self.photo for part in page["components"] if part["type"] == "image"}
        return [
            Event(one["id"], one["api_name"], [held[part] for part in one["inputs"]], one["queue"])
            for one in page["dependencies"]
            if one["backend_fn"] and one["api_visibility"] != "public"
        ]

    # ------------------------------------------------------------ one question

    def call(self, endpoint: str, data: Any, language: str = "en") -> str:
        """Ask an endpoint by position, or by name if `data` is a dictionary; what is wrong with the answer, or ""."""
        return self._asked(lambda: self._call(endpoint, data, language))

    def _call(self, endpoint: str, data: Any, language: str) -> str:
        named = isinstance(data, dict)
        path = f"/gradio_api/call/{'v2/' if named else ''}{endpoint}"
        if not named:
            self._begin()  # for the time that it saves Gradio
        reply = self._post(path, data if named else {"data": data, "session_hash": self.session}, language)
        if reply.status_code != 200:
            return self._refused(reply)
        told = self.client.get(f"/gradio_api/call/{endpoint}/{reply.json()['event_id']}")
        event, _, line = told.text.strip().rpartition("event: ")[2].partition("\n")
        answer = json.loads(line.removeprefix("data: "))
        if event == "complete":
            return self._answered(answer)
        self.counts["error event"] += 1
        return wrong_with(answer.get("error") if isinstance(answer, dict) else answer)

    def happen(self, event: Event, data: list[Any], event_data: Any = None, language: str = "en") -> str:
        """Tell the page of an event, in a session in which a photo was shown; what is wrong with the answer."""
        self._begin()
        return self._asked(lambda: self._happen(event, data, event_data, language))

    def _happen(self, event: Event, data: list[Any], event_data: Any, language: str) -> str:
        body = {
            "data": data,
            "fn_index": event.number,
            "session_hash": self.session,
            "event_data": event_data,
            "trigger_id": None,
        }
        if not event.is_queued:
            reply = self._post("/gradio_api/run/predict", body, language)
            return self._answered(reply.json()) if reply.status_code == 200 else self._refused(reply)
        reply = self._post("/gradio_api/queue/join", body, language)
        if reply.status_code != 200:
            return self._refused(reply)
        lines = self.client.get("/gradio_api/queue/data", params={"session_hash": self.session}).text.splitlines()
        messages = [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
        (told,) = [message for message in messages if message["msg"] == "process_completed"]
        if told["success"]:
            return self._answered(told["output"])
        self.counts["error event"] += 1
        return wrong_with(told["output"].get("error"))

    def _begin(self) -> None:
        """Another session, in which a photo is shown, wherever the one before has asked enough."""
        self.asked += 1
        if self.asked < PER_SESSION:
            return
        self.session, self.asked = uuid.uuid4().hex, 0
        shown = next(event for event in self.events() if event.name == "on_photo")
        assert self.happen(shown, shown.values) == ""

    def _asked(self, ask: Callable[[], str]) -> str:
        """What is wrong with an answer; an error in the log is, whatever was answered: nobody foresaw that."""
        try:
            wrong = ask()
        except httpx.HTTPError as error:
            wrong = f"no answer: {error!r}"
        told = "; ".join(f"logged: {record.getMessage()}: {record.exc_info}" for record in self.logged)
        self.logged.clear()
        return wrong or told

    def _post(self, path: str, body: Any, language: str) -> httpx.Response:
        self.counts["cases"] += 1
        text = json.dumps(body).replace(f'"{TOO_LARGE}"', "1e400")
        headers = {"Content-Type": "application/json", "Accept-Language": language}
        return self.client.post(path, content=text, headers=headers)

    def _answered(self, answer: Any) -> str:
        self.counts["2xx"] += 1
        return "" if isinstance(answer, dict | list) else f"no answer: {answer!r}"

    def _refused(self, reply: httpx.Response) -> str:
        self.counts["4xx" if 400 <= reply.status_code < 500 else str(reply.status_code)] += 1
        try:
            told = reply.json()
        except ValueError:
            return f"status {reply.status_code}: {reply.text[:200]!r}"
        wrong = wrong_with(told.get("error", told.get("detail")))
        return wrong or ("" if 400 <= reply.status_code < 500 else f"status {reply.status_code}")


def wrong_with(sentence: Any) -> str:
    """What is wrong with a sentence that a caller was told; "" if nothing is."""
    if not isinstance(sentence, str) or not 15 < len(sentence) <= LONGEST_SENTENCE:
        return f"no sentence: {str(sentence)[:200]!r}"
    if not sentence.endswith((".", "。")):
        return f"not a whole sentence: {sentence!r}"
    if SECRET.search(sentence) or sentence in FAULTS:
        return f"not to be said: {sentence!r}"
    return ""


# ---------------------------------------------------------------- what is sent


@st.composite
def payloads(draw: st.DrawFn, values: list[Any]) -> list[Any]:
    """The values with any of them replaced by anything, sometimes with too few or too many of them."""
    sent = list(values)
    for place in draw(st.lists(st.integers(0, max(0, len(sent) - 1)), max_size=3)):
        sent[place : place + 1] = [draw(ANYTHING)]
    changed = draw(st.integers(0, 12))
    if changed == 0:
        sent = sent[: draw(st.integers(0, len(sent)))]
    elif changed == 1:
        sent = [*sent, *draw(st.lists(ANYTHING, min_size=1, max_size=3))]
    return sent


EVENT_DATA = st.one_of(
    st.none(),
    ANYTHING,
    st.fixed_dictionaries(
        {},
        optional={
            "branch": st.sampled_from(["1x1", "pool"]) | ANYTHING,
            "across": st.floats(-0.1, 1.1) | ANYTHING,
            "down": st.floats(-0.1, 1.1) | ANYTHING,
            "block": st.sampled_from(["3a", "5b"]) | ANYTHING,
            "bytes": ANYTHING,
            "photo": ANYTHING,
        },
    ),
)
LANGUAGE = st.sampled_from(["en", "zh-CN", "", "zh;q=nan,en;q=1e999"])


def searching(examples: int, number: int) -> Callable[[Any], Any]:
    """Hypothesis' settings: the same examples each time for number 0, others for each other number."""
    options = settings(
        max_examples=examples,
        derandomize=number == 0,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    return options if number == 0 else lambda test: seed(number)(options(test))


def every_argument(server: Server, odd_ones: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Each of them for each argument of each endpoint, the others as they should be; what is wrong, and where."""
    for endpoint in server.endpoints():
        values = list(endpoint.arguments.values())
        for place, name in enumerate(endpoint.arguments):
            for odd in odd_ones:
                sent = [*values[:place], odd, *values[place + 1 :]]
                if wrong := server.call(endpoint.name, sent):
                    yield f"{endpoint.name}({name}={str(odd)[:60]!r})", wrong
        for sent in (values[:-1], [*values, 1], [*values, *values], []):
            if len(sent) != len(values) and (wrong := server.call(endpoint.name, sent)):
                yield f"{endpoint.name}: {len(sent)} of {len(values)} arguments", wrong


def any_endpoint(server: Server, examples: int, number: int) -> Iterator[tuple[str, str]]:
    """Anything for any arguments of each endpoint, by position and by name."""
    for endpoint in server.endpoints():
        yield from _endpoint(server, endpoint, examples, number)


def _endpoint(server: Server, endpoint: Endpoint, examples: int, number: int) -> list[tuple[str, str]]:
    found = []

    @searching(examples, number)
    @given(payloads(list(endpoint.arguments.values())), st.booleans(), st.data(), LANGUAGE)
    def ask(sent: Any, named: bool, data: st.DataObject, language: str) -> None:
        if named:
            sent = dict(zip([*endpoint.arguments, *(f"more{i}" for i in range(9))], sent, strict=False))
            if sent and data.draw(st.booleans()):
                del sent[data.draw(st.sampled_from(list(sent)))]
        if wrong := server.call(endpoint.name, sent, language):
            found.append((f"{endpoint.name}({str(sent)[:200]})", wrong))

    ask()
    return found


def any_event(server: Server, examples: int, number: int) -> Iterator[tuple[str, str]]:
    """Anything for any inputs of each event of the page."""
    for event in server.events():
        yield from _event(server, event, examples, number)


def _event(server: Server, event: Event, examples: int, number: int) -> list[tuple[str, str]]:
    found = []

    @searching(examples, number)
    @given(payloads(event.values), EVENT_DATA, LANGUAGE)
    def tell(sent: list[Any], event_data: Any, language: str) -> None:
        if wrong := server.happen(event, sent, event_data, language):
            found.append((f"{event.name}({str(sent)[:200]}, {str(event_data)[:80]})", wrong))

    tell()
    return found


@contextmanager
def served() -> Iterator[Server]:
    """A page with the embedded network alone: what else there is would be asked of the network."""
    # Gradio works out statistics of all events after each of them, which takes longer than most of the events.
    os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000")
    from inception.runtime.device import choose_device
    from inception.service.service import InferenceService
    from inception.web.blocks import build, launch_options

    page = build(InferenceService((NET,), choose_device("cpu")))
    _, address, _ = page.launch(**launch_options(), prevent_thread_lock=True, quiet=True)
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
    end, found, rounds = time.monotonic() + float(sys.argv[1]), 0, 0
    with served() as server:
        while rounds == 0 or time.monotonic() < end:
            searches = [any_endpoint(server, 40, rounds), any_event(server, 40, rounds)]
            for search in [*([] if rounds else [every_argument(server, ODD)]), *searches]:
                for where, wrong in search:
                    found += 1
                    print(f"{where}: {wrong}", flush=True)
            rounds += 1
        print(f"{rounds} rounds, {dict(server.counts)}, {found} found")
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
