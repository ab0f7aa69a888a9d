"""A gateway per test."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.simulator.server.gateway import Gateway, running


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway with default settings."""
    async with running() as gateway:
        yield gateway
