"""Ending a program by a signal, the same on every system."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any


def call_on_stop(stop: Callable[[], object]) -> None:
    """Call `stop` on the running event loop when the process is asked to end (Ctrl-C, SIGTERM)."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:
            # Windows has no loop signal handlers; a plain one may only wake the loop.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))


def call_on_reload(reload: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `reload` on the running event loop when the process is asked to read its configuration again (SIGHUP)."""
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        # Windows has no such signal; there the files are watched all the same.
        return
    loop = asyncio.get_running_loop()
    under_way: set[asyncio.Task[None]] = set()

    def begin() -> None:
        task = loop.create_task(reload())
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    loop.add_signal_handler(number, begin)
