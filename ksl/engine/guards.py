"""Refuses what reaches outside from a body without passing its loop: raw sockets, threads, subprocesses.

What goes through asyncio meets the run's own loop and is refused there. These do not, so their first Python
function looks which loop is running. An audit hook would see more, but it cannot be taken off again and makes
every look at a frame three times as dear.
"""

from __future__ import annotations

import functools
import socket
import subprocess
import threading
from asyncio.events import _get_running_loop  # pyright: ignore[reportPrivateUsage]
from collections.abc import Callable
from typing import Any

from ksl.engine.loop import RunLoop

_GUARDED: tuple[tuple[Any, str, str], ...] = (
    (socket.socket, "__init__", "a socket"),
    (threading.Thread, "start", "a thread"),
    (subprocess.Popen, "__init__", "a subprocess"),
)


def install() -> None:
    """Once for the process; a second call changes nothing."""
    for owner, name, what in _GUARDED:
        original = getattr(owner, name)
        if not hasattr(original, "ksl_guards"):
            setattr(owner, name, _guard(original, what))


def _guard(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def guard(*args: Any, **kwargs: Any) -> Any:
        loop = _get_running_loop()
        if isinstance(loop, RunLoop):
            loop.refuse(what)
        return original(*args, **kwargs)

    guard.ksl_guards = what  # type: ignore[attr-defined]
    return guard
