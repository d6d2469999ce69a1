"""The server's host and port, from options or the environment, checked to be free."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass

from ..errors import UserError, quoted

HOST, PORT = "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"
LOCAL = "127.0.0.1"
MAX_PORT = 65535
PORTS = range(7860, 7960)  # of which the first free one is taken where none is named


@dataclass(frozen=True)
class Address:
    """Listening address; a `port` of None stands for the first free one of `PORTS`."""

    host: str
    port: int | None


def port_number(text: str) -> int:
    """Return a port from its text.

    Raises:
        ValueError: if it is not a port number.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 1 <= int(text) <= MAX_PORT):
        raise ValueError(f"the port is {quoted(text)}; it must be a whole number from 1 to {MAX_PORT}")
    return int(text)


def address(host: str | None, port: int | None) -> Address:
    """Return the address from options, else from GRADIO_SERVER_NAME and GRADIO_SERVER_PORT.

    Raises:
        UserError: if it is invalid, taken, or not permitted.
    """
    if port is None and (text := os.environ.get(PORT)):
        try:
            port = port_number(text)
        except ValueError as error:
            raise UserError("port", "{variable}: {why}.", variable=PORT, why=str(error)) from None
    result = Address(host or os.environ.get(HOST) or LOCAL, port)
    _check(result)
    return result


def no_free_port(port: int | None) -> UserError:
    """Return the error for a port that is taken, or for None that of `PORTS` all are."""
    if port is not None:
        return UserError(
            "port_taken",
            "The port {port} is taken by another program; please stop that, or name another port with --port.",
            port=port,
        )
    return UserError(
        "ports_taken",
        "All ports from {first} to {last} are taken; please choose another with --port N.",
        first=PORTS[0],
        last=PORTS[-1],
    )


def allow_reuse(listener: socket.socket) -> None:
    """Let a socket be bound to a port as soon as its last server has ended.

    Windows does so anyway; the option would let two servers listen on one port there.
    """
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _check(address: Address) -> None:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host.strip("[]"), address.port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            allow_reuse(probe)
            probe.bind(place)
    except (OSError, UnicodeError) as error:
        raise refusal(address, error) from error


def refusal(address: Address, error: Exception) -> UserError:
    """Return the error for an address that cannot be listened on, from what the system raised."""
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return no_free_port(address.port)
    if number == errno.EACCES:
        return UserError(
            "port_forbidden",
            "This user may not listen on port {port}; please name one from 1024 on with --port.",
            port=address.port,
        )
    return UserError(
        "host",
        "The host {host} is not an address of this machine; please name one with --host: 127.0.0.1 for this machine "
        "alone, 0.0.0.0 for its network.",
        host=quoted(address.host),
    )
