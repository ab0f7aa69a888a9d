"""Ending a program by a signal, the same on every system."""

import asyncio
import signal
from collections.abc import Callable


def call_on_stop(stop: Callable[[], object]) -> None:
    """Call `stop` on the running event loop when the process is asked to end (Ctrl-C, SIGTERM)."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:
            # Windows has no loop signal handlers; a plain one may only wake the loop.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))
