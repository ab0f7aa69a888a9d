"""What the daemon is put together from."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from copy import deepcopy
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from risk_manager.config import AccountConfig, Credentials, GuardConfig, Secret, VenueConfig, build_trading_days
from risk_manager.config.calendar import build_calendar
from risk_manager.domain.events import Event
from risk_manager.engine import Mode
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.recording import Segment, segments
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.replay.segment import Surroundings, replay_segment
from risk_manager.rules import RULES, MaxContracts, build_rules, options_of
from risk_manager.runtime.guard import POLLS_PER_FULL, Guard
from risk_manager.runtime.wiring import (
    POLL_S,
    AccountRepeated,
    build_daemon,
    fair_poll_s,
    first_polls_ns,
    unheard_polls_per_full,
)
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.server import SimServer
from risk_manager.testing.events import DAYS, SECOND_NS, Scenario
from risk_manager.testing.ports import SceneClock, settled
from risk_manager.venues.projectx.limits import CallBudget, Lane

NOBODY = "http://127.0.0.1:9"
MINUTE_NS = 60 * SECOND_NS


def account(id: str | None = None, name: str | None = None, nickname: str | None = None) -> AccountConfig:
    return AccountConfig(id, name, nickname, Mode.ENFORCE, (MaxContracts(limit=3),))


def configuration(data: Path, *accounts: AccountConfig, url: str = NOBODY, reset: str = "17:00") -> GuardConfig:
    venue = VenueConfig(url, f"{url}/user", f"{url}/market", (), Credentials("pat", Secret("key-of-pat")))
    return GuardConfig(
        venue=venue,
        accounts=accounts or (account("1001"),),
        reset_time=reset,
        timezone="America/Chicago",
        trading_days=build_trading_days(reset, "America/Chicago"),
        api_port=None,
        data_dir=data,
        warnings=(),
        revision="first",
    )


async def run(data: Path) -> None:
    """A run that begins, reaches nobody, and is stopped."""
    with capture_logs():
        daemon = await build_daemon(configuration(data))
        running = asyncio.create_task(daemon.run())
        await settled()
        daemon.stop()
        await running


async def test_a_recording_says_whether_there_was_a_journal(tmp_path: Path) -> None:
    await run(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        await run(tmp_path)
    await run(tmp_path)
    beginnings = [Segment(path).beginning() for _, path in segments(tmp_path)["1001"]]
    assert [each and each.circumstances.is_journaled for each in beginnings] == [True, False, True]


@asynccontextmanager
async def gateway() -> AsyncIterator[tuple[str, str, str]]:
    """The address of a simulated gateway, and the ids of its accounts PRACTICE-1 and PRACTICE-2."""
    exchange = Exchange([])
    first, second = (
        exchange.open_account(user="pat", name=f"PRACTICE-{number}", balance_micros=50_000_000_000) for number in (1, 2)
    )
    server = SimServer(exchange, users={"pat": "key-of-pat"}, wall_clock=time.time_ns)
    port = await server.start()
    try:
        yield f"http://127.0.0.1:{port}", str(first), str(second)
    finally:
        await server.stop()


async def test_an_account_named_by_its_id_and_by_its_name_gets_no_two_guards(tmp_path: Path) -> None:
    async with gateway() as (url, first, second):
        accounts = (account(second), account(first), account(name="PRACTICE-1"))
        expected = f"accounts '{first}' and 'PRACTICE-1' are one at the venue, id {first}; name each account once"
        with capture_logs(), pytest.raises(AccountRepeated, match=expected):
            await build_daemon(configuration(tmp_path, *accounts, url=url))
        with capture_logs(), pytest.raises(AccountRepeated, match="accounts 'main' and 'PRACTICE-1' are one"):
            await build_daemon(
                configuration(tmp_path, account(first, nickname="main"), account(name="PRACTICE-1"), url=url)
            )


async def hears(guard: Guard, *events: Event) -> None:
    """Deliver events, and return when what is decided about them is on the disk."""
    for event in events:
        guard.deliver(event)
    async with asyncio.timeout(10):
        while not guard.is_idle:
            await asyncio.sleep(0)


class Runs:
    """Runs on one data directory, with a venue that tells what it is made to."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.story = Scenario(start_ns=DAYS.starts_ns[3] - 150 * MINUTE_NS)
        self.said: list[str] = []

    @asynccontextmanager
    async def run(self, limit: int, reset: str) -> AsyncIterator[Guard]:
        """A guard of the day's loss that has read the account; it is stopped with the block."""
        rules = build_rules({"daily_realized_loss": {"limit": limit}})
        config = configuration(self.data, AccountConfig("1001", None, None, Mode.ENFORCE, rules), reset=reset)
        with capture_logs() as said:
            daemon = await build_daemon(config, clock=SceneClock(self.story))
            running = asyncio.create_task(daemon.run())
            await settled()
            (guard,) = daemon.guards
            await hears(guard, self.story.snapshot())
            try:
                yield guard
            finally:
                daemon.stop()
                await running
        self.said = [f"{line['rule']} {line['option']}" for line in said if "waits" in line["event"]]


def told(guard: Guard) -> tuple[str, int, object, list[str]]:
    """The day, its result in dollars, the limit in force and what waits."""
    account = guard.engine.account
    (rule,) = guard.engine.rules
    waiting = [f"{one.rule}.{one.option}: {one.now}, {one.then}" for one in guard.waiting_rules]
    return account.day.label, account.realized_micros // 1_000_000, options_of(rule)["limit"], waiting


async def test_another_reset_brings_neither_another_day_nor_looser_rules_before_the_old_one_is_over(
    tmp_path: Path,
) -> None:
    """14:30 in Chicago, ten dollars left of the day's limit; now the day is to have ended at 14:25."""
    run = Runs(tmp_path)
    async with run.run(500, "17:00") as guard:
        await hears(guard, *run.story.result(-490))
        assert told(guard) == ("2025-01-15", -490, 500, [])
    limit, reset = "daily_realized_loss.limit: 500, 5000", "reset.: 17:00 America/Chicago, 14:25 America/Chicago"
    for _ in range(2):
        async with run.run(5000, "14:25") as guard:
            assert told(guard) == ("2025-01-15", -490, 500, [limit, reset])
        assert run.said == ["daily_realized_loss limit", "reset "]
    run.story.now_ns = DAYS.starts_ns[3] - 10 * run.story.step_ns
    async with run.run(5000, "14:25") as guard:
        assert told(guard) == ("2025-01-15", -490, 500, [limit, reset])
        run.story.now_ns = DAYS.starts_ns[3]
        await hears(guard, run.story.snapshot())
        assert told(guard) == ("2025-01-16", 0, 5000, [])
        day = guard.engine.account.day
        assert (day.start_ns, day.end_ns) == (DAYS.starts_ns[3], DAYS.starts_ns[4] - 155 * MINUTE_NS)
    # Neither does the next start have the new day begin where the new reset would have had it.
    async with run.run(5000, "14:25") as guard:
        assert (told(guard), guard.engine.account.day) == (("2025-01-16", 0, 5000, []), day)
        run.story.now_ns = day.end_ns
        await hears(guard, run.story.snapshot())
        assert guard.engine.account.day.label == "2025-01-17"
        assert guard.engine.account.day.start_ns == day.end_ns


async def test_a_day_of_another_reset_is_replayed_as_it_was(tmp_path: Path) -> None:
    run = Runs(tmp_path)
    async with run.run(500, "17:00"):
        pass
    async with run.run(500, "14:25") as guard:
        await hears(guard, *run.story.result(-500))
        assert [lockout.until_ns for lockout in guard.engine.account.lockouts] == [DAYS.starts_ns[3]]
    with capture_logs():
        journal = await SqliteJournal.open(tmp_path)
    committed = {each.sequence: msgspec.json.encode(each) for each in await journal.decisions("1001")}
    await journal.close()
    *_, (_, path) = segments(tmp_path)["1001"]
    here = Surroundings(build_calendar(), build_trading_days, dict(RULES))
    found = replay_segment(Segment(path), committed, None, here)
    assert (found.obstacle, found.divergence, found.notes, found.missing) == (None, None, (), ())
    assert found.identical == len(committed)


def test_reads_a_day_of_another_reset_from_its_beginning(tmp_path: Path) -> None:
    now_ns = DAYS.starts_ns[3] - 150 * MINUTE_NS
    moved = configuration(tmp_path, reset="14:25")
    assert moved.venue_settings().day_start_ns(now_ns) == now_ns - 5 * MINUTE_NS
    carrying = moved.carrying([DAYS.day_of(now_ns)])
    assert carrying.venue_settings().day_start_ns(now_ns) == DAYS.starts_ns[2]
    assert carrying.carried_days == (DAYS.day_of(now_ns),)
    assert configuration(tmp_path).carrying([DAYS.day_of(now_ns)]).carried_days == ()


def test_polls_several_accounts_one_after_the_other() -> None:
    assert first_polls_ns(3_000_000_000, 1) == (3_000_000_000,)
    assert first_polls_ns(4_800_000_000, 2) == (2_400_000_000, 4_800_000_000)
    assert first_polls_ns(7_200_000_000, 3) == (2_400_000_000, 4_800_000_000, 7_200_000_000)


@pytest.mark.parametrize(
    ("accounts", "pause_s", "heard_s", "unheard_s"),
    [(1, 3, 15, 3), (2, 3.6, 18, 14.4), (3, 5.4, 27, 21.6), (5, 9, 45, 36), (10, 18, 90, 72)],
)
def test_polling_stays_within_its_share_of_the_calls(
    accounts: int, pause_s: float, heard_s: float, unheard_s: float
) -> None:
    """`heard_s`, `unheard_s`: between two full polls of an account, with the user hub up and down."""
    assert max(POLL_S, fair_poll_s(accounts)) == pytest.approx(pause_s)
    for every, full_s in ((POLLS_PER_FULL, heard_s), (unheard_polls_per_full(accounts), unheard_s)):
        assert every * pause_s == pytest.approx(full_s)
        budget, left = CallBudget(), []
        for at_ns, is_full in polls(accounts, pause_s, every=every):
            assert budget.ask(Lane.LOOK, at_ns) == 0
            assert [budget.ask(Lane.RECORD, at_ns) for _ in range(2 * is_full)] == [0] * 2 * is_full
            left.append(reads_left(budget, at_ns))
        assert min(left) >= 6, "for whatever else is to be read"


def polls(accounts: int, pause_s: float, *, every: int) -> list[tuple[int, bool]]:
    """When a quarter of an hour's polls are, and whether each is full: one in so many of an account's."""
    pause_ns = round(pause_s * 1e9)
    firsts_ns = first_polls_ns(pause_ns, accounts)
    rounds = range(15 * MINUTE_NS // pause_ns)
    return [(first_ns + number * pause_ns, number % every == every - 1) for number in rounds for first_ns in firsts_ns]


def reads_left(budget: CallBudget, at_ns: int) -> int:
    """How many other reads would be let through at an instant."""
    budget = deepcopy(budget)
    return sum(budget.ask(Lane.READ, at_ns) == 0 for _ in range(100))
