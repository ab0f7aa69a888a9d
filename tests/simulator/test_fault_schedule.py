"""Scripts in time: what is thrown when, what overlaps, and that everything is undone."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.fault_schedule import FaultSchedule
from risk_manager.simulator.fault_script import parse_script, parse_sentence
from risk_manager.simulator.faults import Failure
from risk_manager.simulator.server import SimServer
from risk_manager.simulator.server.distortion import BadLine
from tests.simulator.server.gateway import MNQ, NOW_NS, USERS


class RecordingServer(SimServer):
    """Writes down what is done to it."""

    def __init__(self) -> None:
        super().__init__(Exchange([MNQ]), users=USERS, wall_clock=lambda: NOW_NS)
        self.done: list[str] = []

    def refuse(self, place: str, is_refused: bool = True) -> None:
        self.done.append(f"{'refuse' if is_refused else 'let in'} {place}")

    def set_rest_delay(self, delay_s: float | None) -> None:
        self.done.append(f"delay {delay_s}")

    def log_out(self, reason: str = "") -> None:
        self.done.append("log out")


class Fixture:
    def __init__(self) -> None:
        self.server = RecordingServer()
        self.told: list[str] = []
        self.schedule = FaultSchedule(self.server, lambda line: self.told.append(line[12:]))

    def throw(self, *texts: str) -> None:
        for text in texts:
            self.schedule.throw(parse_sentence(text))


class Leaping(selectors.DefaultSelector):
    """Does not wait for what is due: its loop's time leaps there."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time."""

    def __init__(self) -> None:
        self._leaping = Leaping()
        super().__init__(self._leaping)

    def time(self) -> float:
        return self._leaping.now_s


def on_virtual_time(test: Callable[[Fixture], Awaitable[None]]) -> Callable[[], None]:
    async def main() -> None:
        fixture = Fixture()
        try:
            await test(fixture)
        finally:
            fixture.schedule.stop()

    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(main())

    return run


@on_virtual_time
async def test_plays_a_script_in_its_order_and_tells_of_it(fixture: Fixture) -> None:
    fixture.schedule.play(parse_script("at 20s: delay rest by 1s for 30s\nat 0s: log out\nat 40s: log out\n"))
    assert fixture.told == []
    await asyncio.sleep(60)
    assert fixture.server.done == ["log out", "delay 1.0", "log out", "delay None"]
    assert fixture.told == ["log out", "delay rest by 1s for 30s", "log out", "over: delay rest by 1s for 30s"]


@on_virtual_time
async def test_tells_the_seconds_since_it_was_made(fixture: Fixture) -> None:
    lines: list[str] = []
    schedule = FaultSchedule(fixture.server, lines.append)
    await asyncio.sleep(90.25)
    schedule.throw(parse_sentence("log out"))
    assert lines == ["    90.2 s  log out"]


@on_virtual_time
async def test_says_what_is_still_to_come(fixture: Fixture) -> None:
    fixture.schedule.play(parse_script("at 1h: log out\nat 2h: drop rest\nevery 3h: log out\n"))
    fixture.schedule.play(parse_script("at 30m: close hubs\n"))
    text = "at 30m: close hubs\nat 1h: log out\nat 2h: drop rest\nevery 3h: log out\n"
    assert str(fixture.schedule.waiting) == text
    fixture.schedule.stop()
    assert fixture.schedule.waiting.steps == ()


@on_virtual_time
async def test_repeats_at_a_pace_until_it_is_stopped(fixture: Fixture) -> None:
    fixture.schedule.play(parse_script("every 10m: log out\n"))
    await asyncio.sleep(3_000 + 1)
    assert fixture.server.done == ["log out"] * 5
    fixture.schedule.stop()
    await asyncio.sleep(3_000)
    assert fixture.server.done == ["log out"] * 5


@on_virtual_time
async def test_ends_an_overlap_with_the_later_end(fixture: Fixture) -> None:
    fixture.throw("drop rest for 40s", "drop rest for 10s")
    await asyncio.sleep(30)
    assert fixture.server.done == ["refuse rest", "refuse rest"]
    await asyncio.sleep(60)
    assert fixture.server.done == ["refuse rest", "refuse rest", "let in rest"]


@on_virtual_time
async def test_goes_back_to_the_newest_that_lasts(fixture: Fixture) -> None:
    fixture.throw("delay rest by 1s for 40s", "delay rest by 2s for 30s", "delay rest by 3s for 20s")
    await asyncio.sleep(60)
    assert fixture.server.done == ["delay 1.0", "delay 2.0", "delay 3.0", "delay 2.0", "delay 1.0", "delay None"]


@on_virtual_time
async def test_ends_what_is_about_several_places_where_nothing_else_holds_it(fixture: Fixture) -> None:
    fixture.throw("drop everything for 20s", "drop user_hub")
    fixture.throw("drop market_hub for 60s")
    await asyncio.sleep(40)
    assert fixture.server.done == [
        *("refuse user", "refuse market", "refuse rest", "refuse market"),
        *("let in user", "let in rest"),
    ]
    await asyncio.sleep(60)
    assert fixture.server.done[-1] == "let in market"


@on_virtual_time
async def test_keeps_faults_of_one_path_apart(fixture: Fixture) -> None:
    faults = fixture.server.faults
    fixture.throw("fail Order/place with 500 for 10s", "break Order/place with 502 for 5s", "lose request of rest")
    assert [faults.take("/api/order/place") for _ in range(2)] == [Failure(), Failure(502, is_executed=True)]
    await asyncio.sleep(6)
    assert faults.take("/api/order/place") == Failure(500)
    assert faults.take("/api/order/cancel") is None


@on_virtual_time
async def test_goes_on_when_a_fault_means_nothing_here(fixture: Fixture) -> None:
    fixture.schedule.play(parse_script("at 0s:\n  - halt DOGE\n  - log out\n"))
    await asyncio.sleep(60)
    assert fixture.server.done == ["log out"]
    assert "halt DOGE: no contract is called DOGE" in fixture.told


@on_virtual_time
async def test_finds_all_that_means_nothing_here(fixture: Fixture) -> None:
    script = parse_script("at 0s: halt DOGE\nevery 1s:\n  - log out\n  - block account 9\n  - revoke key of eve\n")
    assert fixture.schedule.problems(script) == [
        "at 0s: halt DOGE: no contract is called DOGE",
        "every 1s: block account 9: no account is called 9",
        "every 1s: revoke key of eve: no user is called eve; there are pat, kim",
    ]
    assert fixture.told == []


@on_virtual_time
async def test_stops_all_at_once(fixture: Fixture) -> None:
    fixture.throw(
        "drop rest for 1h", "delay rest by 1s", "fail Order/place with 500, 9 times", "fail rest with 500 for 1h"
    )
    assert [str(each) for each in fixture.schedule.in_force] == [
        *("drop rest for 1h", "delay rest by 1s", "fail rest with 500 for 1h"),
    ]
    fixture.schedule.stop()
    assert fixture.schedule.in_force == ()
    assert fixture.server.done == ["refuse rest", "delay 1.0", "let in rest", "delay None"]
    assert fixture.server.faults.take("/api/order/place") is None
    fixture.schedule.stop()
    assert len(fixture.server.done) == 4


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (("lose 20% of user_hub", "reorder user_hub within 25ms"), BadLine(lost=0.2, late=1.0, late_s=0.025)),
        (("duplicate 50% of hubs", "delay user_hub by 2s"), BadLine(doubled=0.5, behind_s=2.0)),
    ],
)
async def test_adds_faults_of_one_line_up(
    monkeypatch: pytest.MonkeyPatch, texts: tuple[str, ...], line: BadLine
) -> None:
    fixture = Fixture()
    lines = {"user": BadLine()}

    def worsen(hub: str, **members: float) -> None:
        lines[hub] = msgspec.structs.replace(lines.get(hub, BadLine()), **members)

    monkeypatch.setattr(fixture.server, "worsen", worsen)
    fixture.throw(*texts)
    assert lines["user"] == line
    fixture.schedule.stop()
    assert lines["user"] == BadLine()
