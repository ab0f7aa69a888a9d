"""What is put in the place of the operating system while a world runs, and the witnesses beside it.

Replaced are the clock, the threads of journal, latch and recorder, the garbage collector, and the chance run marks are
drawn by; everything else is the product as it is. Recordings are kept by those worlds only that replay them. The
witnesses tell the world what reached the disk, what was read and requested, and what was logged.
"""

import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any, NoReturn, Protocol
from unittest import mock

import structlog

import risk_manager.persistence.latch
import risk_manager.persistence.recorder
import risk_manager.persistence.sqlite_journal
import risk_manager.runtime.clock
import risk_manager.runtime.daemon
import risk_manager.runtime.wiring
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import SnapshotTaken
from risk_manager.persistence.anchor import Anchor
from risk_manager.persistence.latch import LatchFile
from risk_manager.persistence.store import Store
from risk_manager.ports.latch import Latched
from risk_manager.simulator.server.tokens import TokenMint
from risk_manager.venues.projectx.snapshots import SnapshotReader
from risk_manager.venues.projectx.transport import NetworkTransport
from tests.simulation.checks import Checks
from tests.simulation.disk import JournalWriter, LatchWriter
from tests.simulation.loop import VirtualLoop, machine_time
from tests.simulation.network import MACHINE


class Witness(Protocol):
    """Who is told."""

    loop: VirtualLoop
    checks: Checks
    is_recorded: bool

    def wall_ns(self) -> int: ...
    def is_alive(self, machine: str) -> bool: ...
    def durable(self, decision: Decision, anchor: Anchor) -> None: ...
    def latched(self, account_id: str, latched: Latched) -> None: ...
    def logged(self, level: str, event: str, fields: dict[str, object]) -> None: ...


@contextmanager
def replaced(world: Witness) -> Iterator[None]:
    """Replace all of it, and put it back."""
    collector = SimpleNamespace(collect=lambda: None, freeze=lambda: None)
    with ExitStack() as stack:
        for owner, name, value in (
            (risk_manager.runtime.clock, "time", machine_time(world.loop, world.wall_ns)),
            (risk_manager.persistence.sqlite_journal, "Writer", JournalWriter),
            (risk_manager.persistence.latch, "Writer", LatchWriter),
            (risk_manager.persistence.recorder, "SimpleQueue", _AtOnce),
            (risk_manager.persistence.recorder, "Thread", _NoThread),
            (risk_manager.runtime.daemon, "gc", collector),
            (risk_manager.runtime.wiring, "draw_run_mark", _run_marks()),
            *_witnesses(world),
        ):
            stack.enter_context(mock.patch.object(owner, name, value))
        if not world.is_recorded:
            stack.enter_context(mock.patch.object(risk_manager.persistence.recorder._Segment, "_append", _not_kept))
        before = structlog.get_config()
        structlog.configure(processors=[_witness_of_log(world)])
        stack.callback(structlog.configure, **before)
        handler = _Alarms(world)
        logging.getLogger().addHandler(handler)
        stack.callback(logging.getLogger().removeHandler, handler)
        yield


def _run_marks() -> Callable[[], str]:
    """Marks as production draws them, each another one, and in every world the same."""
    starts = count(1)
    return lambda: f"{next(starts):08x}"


def _witnesses(world: Witness) -> Iterator[tuple[Any, str, Any]]:
    commit, latch = Store.commit, LatchFile.write
    request, read, issue = NetworkTransport.request, SnapshotReader.read, TokenMint.issue

    def witnessed_commit(store: Store, decision: Decision) -> None:
        commit(store, decision)
        world.durable(decision, store.anchor(""))

    def witnessed_latch(file: LatchFile, latched: Latched) -> int:
        left_out = latch(file, latched)
        world.latched(file._account_id, latched)
        return left_out

    async def witnessed_request(transport: NetworkTransport, method: str, url: str, **parts: Any) -> Any:
        machine, body, wire = MACHINE.get(), parts["body"], world.checks.wire
        wire.begins(machine, url, body)
        try:
            reply = await request(transport, method, url, **parts)
        finally:
            wire.ends(machine, url, body)
        wire.answered(machine, url, body, reply)
        return reply

    async def witnessed_read(reader: SnapshotReader, account_id: str, **options: Any) -> SnapshotTaken:
        machine, began_s = MACHINE.get(), world.loop.time()
        snapshot = await read(reader, account_id, **options)
        if world.is_alive(machine):
            world.checks.wire.read(machine, snapshot, began_s)
            world.checks.read(snapshot)
        return snapshot

    def witnessed_token(mint: TokenMint, user: str, user_id: int) -> str:
        token = issue(mint, user, user_id)
        world.checks.wire.secrets.add(token.rpartition(".")[2])
        return token

    yield Store, "commit", witnessed_commit
    yield LatchFile, "write", witnessed_latch
    yield NetworkTransport, "request", witnessed_request
    yield SnapshotReader, "read", witnessed_read
    yield TokenMint, "issue", witnessed_token


def _witness_of_log(world: Witness) -> Callable[[Any, str, MutableMapping[str, Any]], NoReturn]:
    def witnessed_log(logger: Any, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        if world.is_alive(MACHINE.get()):
            text = str(event.pop("event"))
            world.logged(level, text, {key: str(value) for key, value in event.items()})
        raise structlog.DropEvent

    return witnessed_log


class _Alarms(logging.Handler):
    """Errors of the libraries: what they log nobody has handled."""

    def __init__(self, world: Witness) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.checks.fail("I22", f"{record.name}: {self.format(record)}")


def _not_kept(segment: Any, raw: bytearray) -> None:
    segment._done += 1


class _AtOnce:
    """A queue whose jobs are done when they are put."""

    def put(self, job: Callable[[], None] | None) -> None:
        if job is not None:
            job()


class _NoThread:
    """The thread behind such a queue."""

    def __init__(self, **options: Any) -> None:
        pass

    def start(self) -> None:
        pass

    def join(self, timeout: float | None = None) -> None:
        pass
