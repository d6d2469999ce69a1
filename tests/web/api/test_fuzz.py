"""Whatever is sent, as any argument of any endpoint or to any event of the page: an answer, or a sentence."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from support import fuzz_api
from support.fuzz_api import KINDS, Server

EXAMPLES_EACH = 12  # for each endpoint, and for each event of the page
ROUND = 0  # of the search by hand, which goes on from there


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with fuzz_api.served() as server:
        yield server


@pytest.mark.parametrize("search", ["every argument", "any endpoint", "any event"])
def test_every_payload_gets_an_answer_or_a_sentence(
    server: Server, search: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.counts.clear()
    found = {
        "every argument": lambda: fuzz_api.every_argument(server, KINDS),
        "any endpoint": lambda: fuzz_api.any_endpoint(server, EXAMPLES_EACH, ROUND),
        "any event": lambda: fuzz_api.any_event(server, EXAMPLES_EACH, ROUND),
    }[search]()
    assert [f"{where}: {wrong}" for where, wrong in found] == []
    said = capfd.readouterr()
    assert "Traceback" not in said.out + said.err
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    with capfd.disabled():
        asked = server.events() if search == "any event" else server.endpoints()
        print(f"\n{search}: {len(asked)} of them, {dict(server.counts)}")
    assert server.counts["2xx"] > 10, "not all is refused before anything is looked at"
    assert server.counts["error event"] + server.counts["4xx"] > len(asked)
    assert len(asked) >= 20
