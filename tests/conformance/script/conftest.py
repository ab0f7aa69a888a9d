"""Seconds that pass at once, so that the intervals of the protocol are tested as they are."""

import asyncio
from collections.abc import Callable

import pytest
import pytest_asyncio


@pytest_asyncio.fixture
async def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the event loop's clock on by so many seconds; what has become due runs at the next await."""
    loop = asyncio.get_running_loop()
    true_time, skipped_s = loop.time, 0.0

    def skip(seconds: float) -> None:
        nonlocal skipped_s
        skipped_s += seconds

    monkeypatch.setattr(loop, "time", lambda: true_time() + skipped_s)
    return skip
