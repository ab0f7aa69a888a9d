"""What goes wrong in a world: every method is a kind of happening."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from risk_manager.simulator.faults import Answer, Failure, Faults
from risk_manager.simulator.server.distortion import BadLine
from risk_manager.simulator.server.replies import Login
from tests.simulation.loop import SECOND_NS

if TYPE_CHECKING:
    from tests.simulation.world import World

LIVE_ROLL_S = 1_000
"""A world that begins closer to the roll than this sees it."""

GOOD_WRITE_S = 0.001
WHOLE = frozenset({"journal", "latch"})


class OrderedFaults(Faults):
    """Attributes: struck_s: when the last fault that was ordered struck, by the loop's time."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        super().__init__()
        self.struck_s = 0.0
        self._elapsed_s = elapsed_s

    def take(self, path: str) -> Failure | Answer | None:
        fault = super().take(path)
        if fault is not None:
            self.struck_s = self._elapsed_s()
        return fault


class Weather:
    """Faults of the network, the gateway, the exchange, the disk and the machine, each for a while or at once."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.crash_at: tuple[str, float, bool] | None = None
        self._is_over = asyncio.Event()
        self._restart: asyncio.Task[None] | None = None

    def end(self) -> None:
        """Nothing goes wrong any more, and a gateway that is down comes back."""
        self.crash_at = None
        self._is_over.set()

    def _disturb(self, seconds: float = 0.0) -> None:
        self.world.checks.disturbed_until_s = max(self.world.checks.disturbed_until_s, self.world.loop.time() + seconds)

    def _later(self, seconds: float, act: Any, *args: Any) -> None:
        self._disturb(seconds)
        self.world.loop.call_later(seconds, act, *args)

    def cut(self) -> None:
        self._disturb()
        self.world.loop.network.cut(self.world.machine.name)

    def forget(self) -> None:
        self._disturb(40.0)
        self.world.loop.network.forget(self.world.machine.name)

    def hold(self, seconds: float, way: str) -> None:
        name = self.world.machine.name
        self.world.loop.network.hold(name, up=way != "down", down=way != "up")
        self._later(seconds, self.world.loop.network.release, name)

    def refuse(self, seconds: float) -> None:
        self.world.loop.network.refuses = True
        self._later(seconds, setattr, self.world.loop.network, "refuses", False)

    def slow_network(self, seconds: float, latency_s: float) -> None:
        self.world.loop.network.latency_s = latency_s
        self._later(seconds, setattr, self.world.loop.network, "latency_s", self.world.script.setup.latency_s)

    def drop_hubs(self, hub: str | None) -> None:
        self._disturb()
        self.world.server.drop_connections(hub)

    def close_hubs(self, hub: str | None, allow_reconnect: bool) -> None:
        self._disturb()
        self.world.server.close_hubs(allow_reconnect=allow_reconnect, hub=hub)

    def stall(self, hub: str | None, seconds: float) -> None:
        self.world.server.stall(hub)
        self._later(seconds, self.world.server.resume, hub)

    def distort(
        self, hub: str | None, seconds: float, lost: float, doubled: float, late: float, late_s: float, seed: int
    ) -> None:
        self.world.server.distort(BadLine(lost=lost, doubled=doubled, late=late, late_s=late_s), hub, seed=seed)
        self._later(seconds, self.world.server.distort, None, hub)

    def fail_calls(self, path: str, status: int | None, is_executed: bool, count: int) -> None:
        self._disturb(10.0)
        self.world.server.fail_next(path, Failure(status, is_executed=is_executed), count)

    def answer_wrongly(
        self, path: str, code: int, is_executed: bool, drops_payload: bool, most_rows: int | None, count: int
    ) -> None:
        self._disturb(10.0)
        answer = Answer(code, is_executed=is_executed, drops_payload=drops_payload, most_rows=most_rows)
        self.world.server.fail_next(path, answer, count)

    def delay_rest(self, seconds: float, delay_s: float) -> None:
        self.world.server.set_rest_delay(delay_s)
        self._later(seconds, self.world.server.set_rest_delay, self.world.script.setup.rest_delay_s)

    def revoke_tokens(self) -> None:
        self._disturb()
        self.world.server.revoke_tokens()

    def refuse_logins(self, seconds: float) -> None:
        self.world.server.refuse_logins(self.world.user, Login.UNKNOWN_ERROR)
        self.world.server.revoke_tokens()
        self._later(seconds, self.world.server.refuse_logins, self.world.user, None)

    def log_out(self) -> None:
        self._disturb()
        self.world.server.log_out()

    def halt(self, contract: int, seconds: float) -> None:
        self.world.books.set_halted(self.world.contract_ids[contract], True, self.world.now_ns())
        self._later(
            seconds, lambda: self.world.books.set_halted(self.world.contract_ids[contract], False, self.world.now_ns())
        )

    def block_account(self, account: int, seconds: float) -> None:
        number = self.world.accounts[account]
        self.world.books.set_can_trade(number, False, self.world.now_ns())
        self._later(seconds, lambda: self.world.books.set_can_trade(number, True, self.world.now_ns()))

    def hide_account(self, account: int, seconds: float) -> None:
        number = self.world.accounts[account]
        self.world.books.set_visible(number, False, self.world.now_ns())
        self._later(seconds, lambda: self.world.books.set_visible(number, True, self.world.now_ns()))

    def liquidate(self, account: int) -> None:
        self.world.books.liquidate(self.world.accounts[account], self.world.now_ns())

    def delay_fills(self, seconds: float, delay_s: float) -> None:
        self.world.books.fill_delay_ns = round(delay_s * SECOND_NS)
        self._later(seconds, setattr, self.world.books, "fill_delay_ns", 0)

    def slow_disk(self, seconds: float, write_s: float) -> None:
        self.world.machine.disk.write_s = write_s
        self._later(seconds, lambda: setattr(self.world.machine.disk, "write_s", GOOD_WRITE_S))

    def break_disk(self, seconds: float, is_whole: bool) -> None:
        """Nothing can be written, or (a damaged file) nothing to the journal."""
        self.world.machine.disk.failing = WHOLE if is_whole else frozenset({"journal"})
        self._later(seconds, lambda: setattr(self.world.machine.disk, "failing", frozenset()))

    def crash(self, when: str, down_s: float, is_noticed: bool) -> None:
        """End the guard's program: now, when the next decision reaches the disk, or when its next call arrives."""
        self.crash_at = when, down_s, is_noticed
        self.crash_on("now")

    def crash_on(self, moment: str) -> None:
        if self.crash_at is None or self.crash_at[0] != moment:
            return
        (_, down_s, is_noticed), self.crash_at = self.crash_at, None
        self.world.note("crashed", self.world.machine.name)
        self._disturb(down_s + 10.0)
        self.world.checks.crashed()
        self.world.machine.crash(down_s, is_noticed=is_noticed)

    def step_wall_clock(self, seconds: int) -> None:
        self.world.wall_ahead_ns += seconds * SECOND_NS

    def suspend(self, seconds: float, is_counted: bool) -> None:
        """The machine sleeps; its steady clock goes on meanwhile, or (Linux) stands still."""
        if is_counted:
            self.world.loop.jump(seconds)
            self.world.skipped_s += seconds
        else:
            self.world.away_ns += round(seconds * SECOND_NS)
        self._disturb(30.0)
        if seconds > 30:
            self.world.loop.network.cut(self.world.machine.name)

    def loosen(self, account: int) -> None:
        """The limits are taken away while the guard runs; that waits for the next trading day."""
        if self.world.script.setup.lead_s > LIVE_ROLL_S:
            self.world.checks.kept.setdefault(self.world.accounts[account], dict(self.world.rules[account]))
        self.world.rules[account] = {"max_contracts": {"limit": 30}}
        self.world.change_rules()

    def tighten(self, account: int) -> None:
        if not self.world.script.setup.plans[account].is_calm:
            self.world.rules[account] = self.world.rules[account] | {"max_contracts": {"limit": 1, "action": "flatten"}}
            self.world.change_rules()

    def restart_server(self, seconds: float) -> None:
        if self._restart is None or self._restart.done():
            self._disturb(seconds)
            self._restart = self.world.loop.create_task(self._restart_server(seconds))

    async def _restart_server(self, seconds: float) -> None:
        await self.world.server.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_over.wait()
        await self.world.server.start(port=self.world.port)
