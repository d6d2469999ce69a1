"""Fuzz tests: endpoints and events return a result or a sentence for any payload."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import fuzz_api
from support.fuzz_api import KINDS, Server

EXAMPLES_EACH = 12  # per endpoint, and per event of the stage
ROUND = 0  # seed; `make fuzz` continues from it


@pytest.fixture(scope="module")
def server(small_file: Path) -> Iterator[Server]:
    with fuzz_api.served(str(small_file)) as server:
        yield server


@pytest.mark.parametrize("search", ["every argument", "any endpoint", "any event"])
def test_every_payload_returns_a_result_or_a_sentence(
    server: Server, search: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    server.counts.clear()
    failures = {
        "every argument": lambda: fuzz_api.every_argument(server, KINDS),
        "any endpoint": lambda: fuzz_api.any_endpoint(server, EXAMPLES_EACH, ROUND),
        "any event": lambda: fuzz_api.any_event(server, EXAMPLES_EACH, ROUND),
    }[search]()
    assert [f"{place}: {fault}" for place, fault in failures] == []
    output = capfd.readouterr()
    assert "Traceback" not in output.out + output.err
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    with capfd.disabled():
        tested = server.events() if search == "any event" else server.endpoints()
        print(f"\n{search}: {len(tested)} of them, {dict(server.counts)}")
    assert server.counts["2xx"] > 10, "too few payloads were accepted"
    assert server.counts["error event"] + server.counts["4xx"] > len(tested)
    assert len(tested) >= 12
