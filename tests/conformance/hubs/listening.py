"""A foreign client as a process that listens to both hubs and reports what it hears, while the test runs the venue."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tests.simulator.server.gateway import MNQ_ID, Gateway, Json

PATIENCE_S = 30.0


class Client(msgspec.Struct, frozen=True):
    """How to start a foreign client.

    Attributes:
        command: what runs it, without its arguments.
        options: its last argument.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    options: dict[str, Any]


class Listener:
    """A running client and what it has reported so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.reports: list[Json] = []
        self.errors: list[str] = []
        self._process = process
        self._news = asyncio.Condition()

    async def read(self) -> None:
        """Take reports until the client ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            # Libraries log to the same place, also as JSON.
            report = json.loads(line) if line.startswith(b'{"step"') else None
            if report is None:
                continue
            async with self._news:
                self.reports.append(report)
                self._news.notify_all()

    async def read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.errors.append(line.decode())

    async def tell(self, command: str) -> None:
        """Give the client a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    async def until(self, is_met: Callable[[], object], what: str) -> None:
        """Wait until the reports are as wanted."""
        try:
            async with asyncio.timeout(PATIENCE_S), self._news:
                await self._news.wait_for(is_met)
        except TimeoutError:
            raise AssertionError(f"no {what}: {self.reports[-12:]} {''.join(self.errors)[-3000:]}") from None

    async def hears(self, hub: str, event: tuple[str, list[Any]]) -> None:
        """Wait until an event was heard."""
        await self.until(lambda: event in self.events(hub), f"{event[0]} on the {hub} hub")

    def count(self, step: str, hub: str | None = None) -> int:
        """How many reports of a step there are, of one hub or of both."""
        return len(self.of(step, hub))

    def of(self, step: str, hub: str | None = None) -> list[Json]:
        """The reports of a step, of one hub or of both."""
        return [each for each in self.reports if each["step"] == step and hub in (None, each.get("hub"))]

    def events(self, hub: str) -> list[tuple[str, list[Any]]]:
        """Names and arguments of the events of a hub, in the order heard."""
        return [(each["name"], each["arguments"]) for each in self.of("event", hub)]

    async def subscribed(self, times: int) -> None:
        """Wait until both hubs were subscribed to so many times."""

        def is_met() -> bool:
            return min(self.count("subscribed", hub) for hub in ("user", "market")) >= times

        await self.until(is_met, f"subscription number {times}")

    async def stop(self) -> None:
        """Let it end by itself."""
        await self.tell("stop")
        async with asyncio.timeout(PATIENCE_S):
            assert await self._process.wait() == 0, "".join(self.errors)


def listening(
    client: Client, gateway: Gateway, token: str, **options: Any
) -> contextlib.AbstractAsyncContextManager[Listener]:
    """A client on both hubs for one account and one contract."""
    hubs = (f"{gateway.url}/hubs/user", f"{gateway.url}/hubs/market")
    told = json.dumps({**client.options, **options})
    return started([*client.command, *hubs, token, str(gateway.pat), MNQ_ID, told], client.folder)


@contextlib.asynccontextmanager
async def started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Listener]:
    """A program that reports; whatever still runs at the end is killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=16_000_000,
    )
    listener = Listener(process)
    readers = [asyncio.create_task(listener.read()), asyncio.create_task(listener.read_errors())]
    try:
        yield listener
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(*readers)
