"""An event loop on virtual time: when nothing is ready its clock goes to the next timer, at once.

Code under it is the same as ever: it sleeps, opens connections, listens and hands work to threads. Sockets lead into a
`Network` in memory, and a thread's work is done on the spot. The same code with the same seeds does the same again.
"""

import asyncio
import selectors
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.simulation.network import LOOPBACK, Listener, Network

SECOND_NS = 1_000_000_000
MOST_TURNS = 100_000
"""Turns of the loop at one instant, after which it is taken to spin."""


class Stuck(Exception):
    """Nothing will ever happen again, or nothing but the same without end."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Attributes: network: what connections and listeners reach.   elapsed_ns: since the loop was made.
    on_connect: told whom (host and port) somebody begins to connect to.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.elapsed_ns = 1_000 * SECOND_NS
        self.on_connect: Callable[[str, int], None] = lambda host, port: None
        self._targets: dict[socket.socket, tuple[str, int]] = {}
        super().__init__(_Waiting(self))

    def time(self) -> float:
        return self.elapsed_ns / SECOND_NS

    def jump(self, seconds: float) -> None:
        """Let time pass without anybody having a chance to act in between."""
        self.elapsed_ns += round(seconds * SECOND_NS)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._targets[sock] = address[:2]

    async def create_connection(  # type: ignore[override]  # the part of the signature that anybody here uses
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        if sock is not None:
            host, port = self._targets.pop(sock)
            sock.close()
        assert host is not None
        assert port is not None
        assert not options.get("ssl"), "everything is on loopback"
        self.on_connect(host, port)
        return await self.network.connect(protocol_factory, port)

    async def create_server(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.Protocol], host: Any = None, port: int = 0, **options: Any
    ) -> Listener:
        return self.network.listen(protocol_factory, port)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # a thread's exception is the caller's
            done.set_exception(error)
        return done

    def _write_to_self(self) -> None:
        """Nobody has to be woken: there are no other threads."""


class _Waiting(selectors.SelectSelector):
    """Waits by moving the loop's clock; no file is ever ready."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Stuck("everybody waits for somebody else")
        # Every turn takes a nanosecond: asyncio fires timers up to one too early, and who looks again must see it pass.
        self._loop.elapsed_ns += int(timeout * SECOND_NS) + 1
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > MOST_TURNS:
            raise Stuck(f"{MOST_TURNS} turns at one instant")
        return []


def machine_time(loop: VirtualLoop, wall_ns: Callable[[], int]) -> SimpleNamespace:
    """What stands in for the module `time` where the product asks the operating system."""
    return SimpleNamespace(
        time_ns=wall_ns, monotonic_ns=lambda: loop.elapsed_ns, perf_counter_ns=lambda: loop.elapsed_ns
    )


__all__ = ["LOOPBACK", "SECOND_NS", "Stuck", "VirtualLoop", "machine_time"]
