"""A network in memory: connections with latency, that break, stand still, or die without a word.

Everybody who connects does so from a machine, which tasks and callbacks inherit from who began them (`MACHINE`). The
code that serves a connection is told by `PEER` who is at its other end, so every call is known by its sender.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from enum import Enum
from typing import Any

LOOPBACK = "127.0.0.1"
MACHINE: ContextVar[str] = ContextVar("machine", default="venue")
PEER: ContextVar[str] = ContextVar("peer", default="")
HIGH_WATER_BYTES = 64 * 1024

Factory = Callable[[], asyncio.Protocol]


class _Mark(Enum):
    END = "end"
    RESET = "reset"


class Network:
    """Attributes: latency_s: of one direction, a quarter of it more or less by chance.   refuses: nobody gets in."""

    def __init__(self, seed: object) -> None:
        self.latency_s = 0.02
        self.refuses = False
        self._random = random.Random(f"network {seed}")
        self._listeners: dict[int, Factory] = {}
        self._ends: dict[End, None] = {}
        self._dead: set[str] = set()
        self._gates: dict[str, asyncio.Event] = {}
        self._ports = iter(range(50_001, 60_000))

    def delay_s(self) -> float:
        return self.latency_s * self._random.uniform(0.75, 1.25)

    def listen(self, factory: Factory, port: int) -> "Listener":
        port = port or next(self._ports)
        self._listeners[port] = factory
        return Listener(self._listeners, port)

    async def connect(self, factory: Factory, port: int) -> "tuple[asyncio.Transport, asyncio.Protocol]":
        """A connection from the machine this runs on. Raises: ConnectionRefusedError."""
        machine = MACHINE.get()
        await asyncio.sleep(2 * self.delay_s())
        while machine in self._gates:
            await self._gates[machine].wait()
        if self.refuses or machine in self._dead or port not in self._listeners:
            raise ConnectionRefusedError(111, "Connection refused")
        served = Context()
        served.run(PEER.set, machine)
        near, far = End(self, machine, port, copy_context()), End(self, machine, port, served)
        near.other, far.other = far, near
        near.is_near = True
        self._ends |= {near: None, far: None}
        protocol = factory()
        far.set_protocol(served.run(self._listeners[port]))
        near.set_protocol(protocol)
        served.run(far.get_protocol().connection_made, far)
        protocol.connection_made(near)
        return near, protocol

    # -- faults, each of one machine's connections ---------------------------------------------------------------

    def cut(self, machine: str) -> None:
        """Reset every connection, which both ends notice."""
        for end in self._of(machine):
            end.lose(ConnectionResetError(104, "Connection reset by peer"))

    def forget(self, machine: str) -> None:
        """The way loses every connection and tells nobody: bytes vanish from now on, new connections work."""
        for end in self._of(machine):
            end.is_forgotten = True

    def hold(self, machine: str, *, up: bool = True, down: bool = True) -> None:
        """Nothing arrives until `release`: up is towards the venue. New connections wait likewise."""
        if up and down:
            self._gates.setdefault(machine, asyncio.Event())
        for end in self._of(machine):
            end.is_held = end.is_held or (down if end.is_near else up)

    def release(self, machine: str) -> None:
        gate = self._gates.pop(machine, None)
        if gate is not None:
            gate.set()
        for end in self._of(machine):
            end.is_held = False
            end.go_on()

    def kill(self, machine: str, *, is_noticed: bool) -> None:
        """End the machine's program: nothing it does reaches anybody any more; its peers may never hear of it."""
        self._dead.add(machine)
        for end in self._of(machine):
            if end.is_near:
                end.die(is_noticed=is_noticed)

    def count(self) -> int:
        """Open ends."""
        return len(self._ends)

    def _of(self, machine: str) -> "list[End]":
        return [end for end in self._ends if end.machine == machine]

    def drop(self, end: "End") -> None:
        self._ends.pop(end, None)


class End(asyncio.Transport):
    """One end of a connection. What it writes arrives at the other one later, in order."""

    other: "End"

    def __init__(self, network: Network, machine: str, port: int, context: Context) -> None:
        super().__init__({"peername": (LOOPBACK, port), "sockname": (LOOPBACK, port)})
        self.machine = machine
        self.is_near = False
        self.is_forgotten = False
        self.is_held = False
        self._network = network
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._protocol: Any = None
        self._queue: deque[bytes | _Mark] = deque()
        self._blocked = 0
        self._is_paused = False
        self._is_closing = False
        self._is_lost = False
        self._is_told = False
        self._under_way_bytes = 0
        self._has_paused_writer = False
        self._arrives_s = 0.0

    # -- what a protocol may ask ---------------------------------------------------------------------------------

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return self._is_closing or self._is_lost

    def is_reading(self) -> bool:
        return not self._is_paused

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self.go_on()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self._under_way_bytes

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        if self.is_closing():
            return
        whole = bytes(data)
        self._under_way_bytes += len(whole)
        self._send(whole)
        if self._under_way_bytes > HIGH_WATER_BYTES and not self._has_paused_writer:
            self._has_paused_writer = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self._leave(_Mark.END)

    def abort(self) -> None:
        self._leave(_Mark.RESET)

    # -- what the network does ------------------------------------------------------------------------------------

    def lose(self, error: Exception) -> None:
        self._loop.call_soon(self._end, error, context=self._context)

    def die(self, *, is_noticed: bool) -> None:
        if is_noticed and not self.is_closing():
            self._send(_Mark.RESET)
        self._is_lost = True
        self._network.drop(self)

    def go_on(self) -> None:
        blocked, self._blocked = self._blocked, 0
        for _ in range(blocked):
            self._loop.call_soon(self._arrive, context=self._context)

    def _leave(self, mark: _Mark) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if not self._is_lost:
            self._send(mark)
        # A program that has died unwinds, and waits for the end of what it closes.
        self._loop.call_soon(self._end, None, context=self._context)

    def _send(self, item: bytes | _Mark) -> None:
        if self.is_forgotten:
            return
        now_s = self._loop.time()
        self._arrives_s = max(self._arrives_s, now_s + self._network.delay_s())
        self.other._queue.append(item)
        self._loop.call_at(self._arrives_s, self.other._arrive, context=self.other._context)

    def _arrive(self) -> None:
        if self.is_held or (self._is_paused and not self._is_lost):
            self._blocked += 1
            return
        item = self._queue.popleft()
        if isinstance(item, bytes):
            self.other._acknowledged(len(item))
        if self.is_forgotten or self._is_lost:
            if isinstance(item, bytes) and not self.is_forgotten and not self.other.is_closing():
                self._send(_Mark.RESET)
        elif isinstance(item, bytes):
            if not self._is_closing:
                self._protocol.data_received(item)
        elif item is _Mark.RESET:
            self._end(ConnectionResetError(104, "Connection reset by peer"))
        elif not self._protocol.eof_received():
            self.close()

    def _acknowledged(self, size: int) -> None:
        self._under_way_bytes -= size
        if self._has_paused_writer and self._under_way_bytes < HIGH_WATER_BYTES // 2 and not self._is_lost:
            self._has_paused_writer = False
            self._loop.call_soon(self._protocol.resume_writing, context=self._context)

    def _end(self, error: Exception | None) -> None:
        if self._is_told:
            return
        self._is_closing = self._is_lost = self._is_told = True
        self._network.drop(self)
        self._protocol.connection_lost(error)


class Listener:
    """What `create_server` gives back."""

    def __init__(self, listeners: dict[int, Factory], port: int) -> None:
        self._listeners = listeners
        self._port = port
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        return LOOPBACK, self._port

    def close(self) -> None:
        self._listeners.pop(self._port, None)

    def is_serving(self) -> bool:
        return self._port in self._listeners

    async def wait_closed(self) -> None:
        pass
