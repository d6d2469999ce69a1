"""The page that is served until the app is ready."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from threading import Event, Thread
from typing import Any

import gradio as gr
import httpx
import pytest
from uvicorn.config import HTTP_PROTOCOLS

from inception.errors import UserError
from inception.runtime.address import Address
from inception.web.http import starting
from inception.web.http.listener import launching_on
from inception.web.http.protocol import MAX_HEAD_BYTES
from inception.web.http.starting import StartingPage
from support.server import free_port, has_ipv6, started


@pytest.fixture
def page() -> Iterator[StartingPage]:
    with closing(StartingPage(Address("127.0.0.1", free_port()))) as page:
        yield page


def url(page: StartingPage, path: str = "/") -> str:
    return f"http://127.0.0.1:{page.address.port}{path}"


@pytest.mark.parametrize("path", ["/", "/?photo=bison&lang=zh", "/gradio_api/info", "/%2e%2e/%2e%2e/app.py"])
def test_every_path_says_in_both_languages_that_the_app_is_starting(path: str, page: StartingPage) -> None:
    response = httpx.get(url(page, path))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "2"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "The network is being loaded" in response.text
    assert "正在加载网络" in response.text


def test_the_health_check_reports_that_the_app_is_not_ready(page: StartingPage) -> None:
    for method in ("GET", "HEAD"):
        response = httpx.request(method, url(page, "/healthz"))
        assert response.status_code == 503
        assert int(response.headers["content-length"]) == len('{"status":"starting"}')
        assert response.text == ('{"status":"starting"}' if method == "GET" else "")


def test_post_requests_are_rejected(page: StartingPage) -> None:
    assert httpx.post(url(page, "/gradio_api/upload"), content=b"x").status_code == 501


def test_the_script_of_the_page_is_served(page: StartingPage) -> None:
    response = httpx.get(url(page, "/starting.js"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert 'fetch("healthz"' in response.text


def test_an_idle_connection_does_not_block_others(page: StartingPage) -> None:
    with socket.create_connection(("127.0.0.1", page.address.port)):
        assert httpx.get(url(page, "/healthz"), timeout=2).status_code == 503


def test_the_number_of_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MAX_CONNECTIONS", 1)
    with closing(StartingPage(Address("127.0.0.1", free_port()))) as page:
        with socket.create_connection(("127.0.0.1", page.address.port)), pytest.raises(httpx.HTTPError):
            httpx.get(url(page, "/healthz"))
        while True:  # until the server notices that the idle connection was closed
            with contextlib.suppress(httpx.HTTPError):
                assert httpx.get(url(page, "/healthz")).status_code == 503
                break


def test_other_threads_of_the_process_do_not_count_as_connections(page: StartingPage) -> None:
    finish = Event()
    threads = [Thread(target=finish.wait) for _ in range(starting.MAX_CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        assert httpx.get(url(page, "/healthz")).status_code == 503
    finally:
        finish.set()


def test_closing_the_page_frees_its_port() -> None:
    with closing(StartingPage(Address("127.0.0.1", free_port()))) as page:
        assert httpx.get(url(page)).status_code == 503
        page.close()
        with closing(StartingPage(page.address)) as other:
            assert httpx.get(url(other)).status_code == 503


def test_an_open_connection_is_served_after_the_page_has_stopped(page: StartingPage) -> None:
    with closing(HTTPConnection("127.0.0.1", page.address.port, timeout=4)) as connection:
        connection.connect()
        assert httpx.get(url(page)).status_code == 503  # the first connection has been accepted before this one
        page.stop()
        connection.request("GET", "/")
        assert connection.getresponse().status == 503


def test_connections_wait_for_the_server_that_takes_over_the_socket(page: StartingPage) -> None:
    page.stop()
    with ThreadPoolExecutor(8) as threads:
        futures = [threads.submit(httpx.get, url(page), timeout=60) for _ in range(8)]
        time.sleep(0.2)
        assert not any(future.done() for future in futures)
        with gr.Blocks() as app, launching_on(page.listener):
            options = {"server_name": page.address.host, "server_port": page.address.port}
            app.launch(**options, prevent_thread_lock=True, quiet=True)
        assert [future.result().status_code for future in futures] == [200] * 8
        app.close(verbose=False)
    with closing(StartingPage(page.address)) as other:
        assert httpx.get(url(other)).status_code == 503, "the port must be free again"


def test_the_server_that_takes_over_bounds_headers_and_leaves_those_of_other_programs_alone(
    page: StartingPage,
) -> None:
    before = dict(HTTP_PROTOCOLS)
    page.stop()
    with gr.Blocks() as app, launching_on(page.listener):
        app.launch(server_name=page.address.host, server_port=page.address.port, prevent_thread_lock=True, quiet=True)
    with socket.create_connection(("127.0.0.1", page.address.port), 60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * 2 * MAX_HEAD_BYTES)
        assert connection.recv(12) == b"HTTP/1.1 431"
    assert before == HTTP_PROTOCOLS
    app.close(verbose=False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_server_that_does_not_start_is_reported_as_a_sentence(page: StartingPage) -> None:
    page.stop()
    page.listener.close()
    with (
        gr.Blocks() as app,
        pytest.raises(UserError, match="did not start within five seconds"),
        launching_on(page.listener),
    ):
        app.launch(server_name="127.0.0.1", server_port=page.address.port, prevent_thread_lock=True, quiet=True)


def test_the_first_free_port_is_used_if_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        ports = (occupied.getsockname()[1], free_port())
        monkeypatch.setattr(starting, "PORTS", ports)
        with closing(StartingPage(Address("127.0.0.1", None))) as page:
            assert page.address.port == ports[1]
            with pytest.raises(UserError, match=r"All ports from \d+ to \d+ are taken"):
                StartingPage(Address("127.0.0.1", None))
            with pytest.raises(UserError, match=f"The port {ports[1]} is taken by another program"):
                StartingPage(Address("127.0.0.1", ports[1]))


def test_a_port_that_may_not_be_used_is_passed_over_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    forbidden, free = free_port(), free_port()
    bind = starting._Server.server_bind

    def bind_where_allowed(server: starting._Server) -> None:
        if server.server_address[1] == forbidden:
            raise PermissionError(errno.EACCES, "held by another program")
        bind(server)

    monkeypatch.setattr(starting, "PORTS", (forbidden, free))
    monkeypatch.setattr(starting._Server, "server_bind", bind_where_allowed)
    with closing(StartingPage(Address("127.0.0.1", None))) as page:
        assert page.address.port == free
    with pytest.raises(UserError, match=f"may not listen on port {forbidden}"):
        StartingPage(Address("127.0.0.1", forbidden))


@pytest.mark.parametrize(("system", "is_set"), [("posix", True), ("nt", False)])
def test_two_servers_share_a_port_on_no_system(monkeypatch: pytest.MonkeyPatch, system: str, *, is_set: bool) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", system)
        page = StartingPage(Address("127.0.0.1", free_port()))
    with closing(page):
        assert bool(page.listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)) == is_set


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_a_host_name_with_an_ipv6_address_only_can_be_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = socket.getaddrinfo

    def names(host: str, *arguments: Any, **options: Any) -> Any:
        return lookup("::1" if host == "six.test" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    with closing(StartingPage(Address("six.test", free_port()))) as page:
        assert httpx.get(f"http://[::1]:{page.address.port}/healthz").status_code == 503


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_a_host_that_is_not_this_machine_is_not_reported_as_a_taken_port(host: str) -> None:
    with pytest.raises(UserError, match="is not an address of this machine"):
        StartingPage(Address(host, None))


def test_the_app_responds_before_its_libraries_are_loaded() -> None:
    with started("app.py", "--device", "cpu") as (address, app):
        responses: list[httpx.Response] = []
        deadline = time.monotonic() + 240
        while (not responses or responses[-1].status_code != 200) and time.monotonic() < deadline:
            assert app.poll() is None
            try:
                responses.append(httpx.get(f"{address}/healthz", timeout=60))
            except httpx.ConnectError:
                assert not responses, "a connection was refused between the two servers"
                time.sleep(0.02)
        assert (responses[0].status_code, responses[0].json()) == (503, {"status": "starting"})
        assert (responses[-1].status_code, responses[-1].json()) == (200, {"status": "ok"})
        app.terminate()
        assert app.wait(60) == 0
