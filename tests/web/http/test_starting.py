"""The page that is served until the app is ready."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Event, Thread

import gradio as gr
import httpx
import pytest

from inception.errors import UserError
from inception.runtime.address import Address
from inception.web.http import starting
from inception.web.http.listener import launching_on
from inception.web.http.starting import StartingPage
from support.server import free_port, started


@pytest.fixture
def page() -> Iterator[StartingPage]:
    with closing(StartingPage(Address("127.0.0.1", free_port()))) as page:
        yield page


def url(page: StartingPage, path: str = "/") -> str:
    return f"http://127.0.0.1:{page.address.port}{path}"


@pytest.mark.parametrize("path", ["/", "/?photo=bison&lang=zh", "/gradio_api/info", "/%2e%2e/%2e%2e/app.py"])
def test_every_address_says_in_both_languages_that_the_app_is_starting(path: str, page: StartingPage) -> None:
    told = httpx.get(url(page, path))
    assert told.status_code == 503
    assert told.headers["retry-after"] == "2"
    assert told.headers["cache-control"] == "no-store"
    assert told.headers["content-type"] == "text/html; charset=utf-8"
    assert "The network is being loaded" in told.text
    assert "正在加载网络" in told.text


def test_the_health_check_says_that_the_app_is_not_ready(page: StartingPage) -> None:
    for method in ("GET", "HEAD"):
        told = httpx.request(method, url(page, "/healthz"))
        assert told.status_code == 503
        assert int(told.headers["content-length"]) == len('{"status":"starting"}')
        assert told.text == ('{"status":"starting"}' if method == "GET" else "")


def test_nothing_is_accepted(page: StartingPage) -> None:
    assert httpx.post(url(page, "/gradio_api/upload"), content=b"x").status_code == 501


def test_its_script_is_served(page: StartingPage) -> None:
    told = httpx.get(url(page, "/starting.js"))
    assert told.status_code == 200
    assert told.headers["content-type"] == "text/javascript; charset=utf-8"
    assert 'fetch("healthz"' in told.text


def test_a_silent_connection_holds_nobody_up(page: StartingPage) -> None:
    with socket.create_connection(("127.0.0.1", page.address.port)):
        assert httpx.get(url(page, "/healthz"), timeout=2).status_code == 503


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MAX_CONNECTIONS", 1)
    with closing(StartingPage(Address("127.0.0.1", free_port()))) as page:
        with socket.create_connection(("127.0.0.1", page.address.port)), pytest.raises(httpx.HTTPError):
            httpx.get(url(page, "/healthz"))
        while True:  # until the server has seen that the silent connection was closed
            with contextlib.suppress(httpx.HTTPError):
                assert httpx.get(url(page, "/healthz")).status_code == 503
                break


def test_other_threads_of_the_process_do_not_count(page: StartingPage) -> None:
    over = Event()
    others = [Thread(target=over.wait) for _ in range(starting.MAX_CONNECTIONS)]
    for other in others:
        other.start()
    try:
        assert httpx.get(url(page, "/healthz")).status_code == 503
    finally:
        over.set()


def test_the_port_is_free_at_once_when_it_is_closed() -> None:
    with closing(StartingPage(Address("127.0.0.1", free_port()))) as page:
        assert httpx.get(url(page)).status_code == 503
        page.close()
        with closing(StartingPage(page.address)) as other:
            assert httpx.get(url(other)).status_code == 503


def test_a_connection_that_is_still_open_is_answered_when_it_has_stopped(page: StartingPage) -> None:
    with closing(HTTPConnection("127.0.0.1", page.address.port, timeout=4)) as kept:
        kept.connect()
        assert httpx.get(url(page)).status_code == 503  # so the other one has been accepted too
        page.stop()
        kept.request("GET", "/")
        assert kept.getresponse().status == 503


def test_connections_wait_for_whoever_takes_the_socket_over(page: StartingPage) -> None:
    page.stop()
    with ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(httpx.get, url(page), timeout=60) for _ in range(8)]
        time.sleep(0.2)
        assert not any(one.done() for one in waiting)
        with gr.Blocks() as app, launching_on(page.listener):
            options = {"server_name": page.address.host, "server_port": page.address.port}
            app.launch(**options, prevent_thread_lock=True, quiet=True)
        assert [one.result().status_code for one in waiting] == [200] * 8
        app.close(verbose=False)
    with closing(StartingPage(page.address)) as other:
        assert httpx.get(url(other)).status_code == 503, "the port is free again"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_does_not_start_is_one_sentence(page: StartingPage) -> None:
    page.stop()
    page.listener.close()
    with (
        gr.Blocks() as app,
        pytest.raises(UserError, match="did not start within five seconds"),
        launching_on(page.listener),
    ):
        app.launch(server_name="127.0.0.1", server_port=page.address.port, prevent_thread_lock=True, quiet=True)


def test_the_first_free_port_is_taken_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = (taken.getsockname()[1], free_port())
        monkeypatch.setattr(starting, "PORTS", ports)
        with closing(StartingPage(Address("127.0.0.1", None))) as page:
            assert page.address.port == ports[1]
            with pytest.raises(UserError, match="No port is free"):
                StartingPage(Address("127.0.0.1", None))


def test_the_app_answers_before_its_libraries_are_loaded() -> None:
    with started("app.py", "--device", "cpu") as (address, app):
        told: list[httpx.Response] = []
        end = time.monotonic() + 240
        while (not told or told[-1].status_code != 200) and time.monotonic() < end:
            assert app.poll() is None
            try:
                told.append(httpx.get(f"{address}/healthz", timeout=60))
            except httpx.ConnectError:
                assert not told, "no connection is lost between the two servers"
                time.sleep(0.02)
        assert (told[0].status_code, told[0].json()) == (503, {"status": "starting"})
        assert (told[-1].status_code, told[-1].json()) == (200, {"status": "ok"})
        app.terminate()
        assert app.wait(60) == 0
