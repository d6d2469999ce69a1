"""Work that a server does a little later, in a thread of its own, and that does not outlast the process."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import cache
from threading import Timer
from typing import Any
from weakref import WeakSet

_timers: WeakSet[Timer] = WeakSet()


def run_later(seconds: float, name: str, function: Callable[..., object], *arguments: Any) -> None:
    """Call `function(*arguments)` after some seconds, in a thread called `name`.

    At the end of the process it is not begun any more, and waited for if it has begun: a thread within a C++ library
    must not run on while Python takes its state down, which would abort the process.
    """
    _finish_at_exit()
    timer = Timer(seconds, function, arguments)
    timer.name, timer.daemon = name, True
    _timers.add(timer)
    timer.start()


@cache
def _finish_at_exit() -> None:
    atexit.register(_finish)


def _finish() -> None:
    for timer in list(_timers):
        timer.cancel()
        timer.join()
