"""Locks stand beside each other and survive everything but their own end; the ledger under them never stops."""

import asyncio
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import Outcome
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.domain.order import Side
from risk_manager.domain.scope import Scope
from risk_manager.persistence.latch import FileLatch
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.ports.latch import Latched
from risk_manager.rules import build_rules
from risk_manager.runtime.recovery import recovered
from risk_manager.testing.events import CL, ES, MES, MNQ, Scenario, micros
from risk_manager.testing.guarded import Guarded
from risk_manager.testing.ports import settled
from tests.persistence.samples import ACCOUNT_ID, NOW_NS, decision, lockout
from tests.regressions.wired import ES as ES_ID
from tests.regressions.wired import MNQ as MNQ_ID
from tests.regressions.wired import Wired, rules
from tests.runtime.guard_scene import guarded as started_guard
from tests.venues.projectx.fake_gateway import ACCOUNT


def locked_rules(guarded: Guarded) -> set[str]:
    return {lockout.rule for lockout in guarded.lockouts}


def closed(guarded: Guarded) -> set[str]:
    return {action.contract_id for action in guarded.actions if isinstance(action, ClosePosition)}


# -- several at once ---------------------------------------------------------------------------------------------------


def test_a_cooldown_under_a_day_lock_ends_alone() -> None:
    """One lock per account: the minute's cooldown replaced the day's lock and ended it with itself (L-28)."""
    guarded = Guarded(
        *rules(daily_realized_loss={"limit": 500}, cooldown_after_loss={"loss_threshold": -100, "cooldown": 60})
    )
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.sells(ES, 1, 5790))
    assert locked_rules(guarded) == {"daily_realized_loss", "cooldown_after_loss"}
    until_ns = {lockout.rule: lockout.until_ns for lockout in guarded.lockouts}
    venue.wait(61)
    guarded.restart()
    guarded.feed(venue.quote(ES, 5790))
    assert [(lockout.rule, lockout.until_ns) for lockout in guarded.lockouts] == [
        ("daily_realized_loss", until_ns["daily_realized_loss"])
    ]
    guarded.forget()
    guarded.feed(venue.buys(ES, 1, 5790))
    assert closed(guarded) == {ES.id}


def test_a_cooldown_locks_until_its_end_and_no_longer() -> None:
    """A timer without a lock stopped nobody, and a word it could not read made it zero seconds long (L-22)."""
    guarded = Guarded(*rules(trade_frequency_limit={"limits": {"per_minute": 2}, "action": "flatten"}))
    venue = guarded.venue
    for _ in range(3):
        guarded.feed(venue.buys(MES, 1, 5800))
    (lock,) = guarded.lockouts
    assert (lock.kind, lock.on_lock) == (LockoutKind.COOLDOWN, OnLock.FLATTEN)
    assert lock.until_ns is not None
    guarded.feed(venue.closes(MES, 5800))
    venue.now_ns = lock.until_ns - 3 * venue.step_ns
    guarded.feed(venue.quote(MES, 5800))
    guarded.forget()
    guarded.feed(venue.order(MES, Side.BUY, 1, limit=5700))
    assert any(isinstance(action, CancelOrder) for action in guarded.actions)
    venue.orders.clear()
    venue.now_ns = lock.until_ns
    guarded.feed(venue.quote(MES, 5800))
    assert guarded.lockouts == ()


def test_the_venues_own_lock_comes_and_goes_under_a_day_lock() -> None:
    """Locked for the day, a router that returned at once saw neither the venue's no nor its yes (R-14, L-26, L-67)."""
    guarded = Guarded(*rules(daily_realized_loss={"limit": 500}, auth_loss_guard={"unlock_after_seconds": 0}))
    venue = guarded.venue
    guarded.feed(venue.result(-500))
    venue.can_trade = False
    guarded.feed(venue.account())
    assert locked_rules(guarded) == {"daily_realized_loss", "auth_loss_guard"}
    venue.can_trade = True
    guarded.feed(venue.account())
    assert locked_rules(guarded) == {"daily_realized_loss"}


@pytest.mark.parametrize("word", ["account", "snapshot"])
def test_an_account_that_is_blocked_from_the_first_word_is_locked(word: str) -> None:
    """Looking for the change from yes to no misses an account that was never allowed (L-67)."""
    venue = Scenario()
    guarded = Guarded(venue=venue)
    venue.can_trade = False
    guarded.settings = type(guarded.settings)(venue.account_id, guarded.settings.days, rules(auth_loss_guard={}))
    guarded.engine = type(guarded.engine)(guarded.settings)
    guarded.feed(venue.account() if word == "account" else venue.snapshot())
    assert guarded.codes == ["CAN_TRADE_FALSE"]
    assert [lockout.until_ns for lockout in guarded.lockouts] == [None]


# -- surviving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until_ns", [None, NOW_NS + 60_000_000_000])
async def test_every_kind_of_lock_is_itself_after_a_restart(tmp_path: Path, until_ns: int | None) -> None:
    """One name for all rules, one kind for all locks, `until > now` in the query: most got lost (L-29, L-30, L-32)."""
    locks = {
        lockout_of(kind, on_lock, scope, until_ns)
        for kind in LockoutKind
        for on_lock in OnLock
        for scope in (Scope(), Scope(root="MNQ"), Scope(contract_id=MNQ_ID))
    }
    journal = await SqliteJournal.open(tmp_path)
    await journal.commit(decision(1, lockouts_set=tuple(locks)))
    await journal.close()
    journal = await SqliteJournal.open(tmp_path)
    recovered = await journal.recover(ACCOUNT_ID)
    others = await journal.recover("another account")
    await journal.close()
    assert set(recovered.lockouts) == locks
    assert others.lockouts == ()


def lockout_of(kind: LockoutKind, on_lock: OnLock, scope: Scope, until_ns: int | None) -> Any:
    base = lockout(f"{kind}_{on_lock}", scope=scope, until_ns=until_ns, on_lock=on_lock)
    return type(base)(**{name: getattr(base, name) for name in base.__struct_fields__} | {"kind": kind})


def test_settings_carry_no_lock_to_another_account() -> None:
    """Copying the settings of an account copied its lock state (R-06)."""
    shared = rules(daily_realized_loss={"limit": 500})
    mine, other = Guarded(*shared), Guarded(*shared, venue=Scenario("1002"))
    mine.feed(mine.venue.result(-500))
    other.feed(other.venue.snapshot())
    assert (len(mine.lockouts), other.lockouts) == (1, ())
    other.change_rules(*mine.settings.rules)
    assert (other.lockouts, other.codes) == ((), [])


def test_no_switch_ends_a_lock() -> None:
    """A feature switch, read at the moment of enforcing, turned enforcement off in mid-lock (R-07, R-08)."""
    guarded = Guarded(*rules(daily_realized_loss={"limit": 500}))
    guarded.feed(guarded.venue.result(-500))
    guarded.change_rules(*rules(daily_realized_loss={"limit": 500, "enabled": False}))
    assert guarded.settings.rules == ()
    guarded.restart()
    guarded.forget()
    guarded.feed(guarded.venue.snapshot(), guarded.venue.buys(ES, 1, 5800))
    assert closed(guarded) == {ES.id}


@pytest.mark.parametrize("latched_at", [0, 1])
async def test_a_lock_without_its_rule_ends_though_the_guard_is_off_at_the_reset(
    tmp_path: Path, latched_at: int
) -> None:
    """Its end was journaled beside the old one, which was none and won: each start gave it the next day's end."""
    guarded = Guarded(*rules(auth_loss_guard={}))
    guarded.venue.can_trade = False
    guarded.feed(guarded.venue.account())
    held = [guarded.lockouts]
    guarded.venue.can_trade = True
    guarded.change_rules()
    held.append(guarded.lockouts)
    assert [(lock.rule, lock.until_ns is None) for (lock,) in held] == [
        ("auth_loss_guard", True),
        ("auth_loss_guard", False),
    ]
    journal, latch = await SqliteJournal.open(tmp_path), FileLatch(tmp_path)
    for each in guarded.decisions:
        await journal.commit(each)
    locking = next(each.sequence for each in guarded.decisions if each.lockouts_set)
    latched = [Latched(locking, held[0]), Latched(guarded.engine.sequence, held[1])]
    await latch.write("1001", latched[latched_at])
    guarded.engine, _ = await recovered(guarded.settings, journal, latch)
    assert (guarded.lockouts, await latch.read("1001")) == (held[1], latched[1])
    await journal.close()
    latch.close()
    guarded.venue.wait(24 * 3600)
    guarded.feed(guarded.venue.snapshot())
    assert guarded.lockouts == ()


# -- the ledger --------------------------------------------------------------------------------------------------------


def test_the_flattens_own_fill_is_booked_under_the_lock() -> None:
    """Both rules returned early once locked, and the loss of closing was never counted (L-24)."""
    guarded = Guarded(*rules(daily_realized_loss={"limit": 500}, daily_realized_profit={"target": 1000}))
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5790))
    assert locked_rules(guarded) == {"daily_realized_loss"}
    assert guarded.engine.account.realized_micros == 0
    guarded.feed(venue.sells(ES, 1, "5789.75", fees=2))
    account = guarded.engine.account
    assert (account.realized_micros, account.fees_micros) == (micros("-512.50"), micros(2))
    gauges = {rule: gauge.used for rule, gauge in guarded.engine.gauges()}
    assert gauges == {"daily_realized_loss": micros("514.50"), "daily_realized_profit": 0}


SECTIONS = {
    "daily_realized_loss": {"limit": 5000},
    "daily_realized_profit": {"target": 5000},
    "cooldown_after_loss": {},
}


@pytest.mark.parametrize("names", [*permutations(SECTIONS), ("daily_realized_profit",), ()])
def test_the_days_result_does_not_depend_on_the_rules(names: tuple[str, ...]) -> None:
    """Rules that added to the result themselves doubled it by two, and without any it stood still (L-40)."""
    made = {rule.name: rule for rule in build_rules(SECTIONS)}
    guarded = Guarded(*(made[name] for name in names))
    guarded.feed(guarded.venue.result(500), guarded.venue.result(-90), guarded.venue.result(600))
    assert guarded.engine.account.realized_micros == micros(1010)


async def test_the_first_fill_of_a_day_counts_and_so_does_none_twice() -> None:
    """An update without a row lost the first fill, an insert without a look raised on the second telling (L-39)."""
    async with Wired(*rules(daily_realized_loss={"limit": 100, "basis": "realized"})).running() as wired:
        first = wired.fill(-1, pnl=-99.99)
        await wired.hears("GatewayUserTrade", first, first)
        await wired.reads(trades=[first, first])
        assert wired.codes == []
        assert wired.engine.account.realized_micros == micros("-99.99")
        second = wired.fill(-1, pnl=-0.01)
        await wired.hears("GatewayUserTrade", second, second)
        assert [breach.measured for breach in wired.breaches] == [micros(-100)]


async def test_commissions_are_part_of_the_result() -> None:
    """The venue sends them beside the fees, and beside a profit that knows neither (R-21)."""
    async with Wired(*rules(daily_realized_loss={"limit": 50})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(-1, pnl=-49, fees=0.36, commissions=0.63))
        assert wired.codes == []
        await wired.hears("GatewayUserTrade", wired.fill(1, fees=0, commissions=0.01))
        assert [breach.measured for breach in wired.breaches] == [micros(-50)]


async def test_the_days_result_is_there_after_a_start() -> None:
    """Without the day's fills read at the start, a restart gave the whole limit anew (L-27, L-69)."""
    wired = Wired(*rules(daily_realized_loss={"limit": 170}))
    wired.gateway.answers["/api/Trade/search"] = {
        "success": True,
        "errorCode": 0,
        "trades": [wired.fill(1), wired.fill(-1, 4496.5, pnl=-175)],
    }
    async with wired.running():
        assert wired.codes == ["DAILY_LOSS"]
        await wired.hears("GatewayUserTrade", wired.fill(1))
        await wired.hears("GatewayUserPosition", wired.position(1))
        assert ("/api/Position/closeContract", {"accountId": int(ACCOUNT), "contractId": ES_ID}) in await wired.sends()


# -- all rules, the strictest demand -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_mild_breach_does_not_hide_a_severe_one(order: tuple[int, ...]) -> None:
    """With the first breach winning, a reduction was sent and the flatten of the same moment forgotten (R-15, L-65)."""
    made = rules(daily_realized_loss={"limit": 500}, max_contracts={"limit": 3, "action": "reduce_to_limit"})
    venue = Scenario()
    venue.buys(MNQ, 3, 21000)
    venue.buys(ES, 1, 5800)
    venue.result(-500)
    guarded = Guarded(*(made[index] for index in order), venue=venue)
    assert set(guarded.codes) == {"MAX_CONTRACTS", "DAILY_LOSS"}
    assert closed(guarded) == {MNQ.id, ES.id}
    assert [action for action in guarded.actions if isinstance(action, ReducePosition)] == []


def test_one_event_that_breaks_two_rules_is_recorded_twice_and_closed_once() -> None:
    guarded = Guarded(*rules(max_contracts={"limit": 1}, symbol_blocks={"blocked_symbols": ["CL"]}))
    guarded.feed(guarded.venue.buys(CL, 3, 75))
    assert set(guarded.codes) == {"MAX_CONTRACTS", "SYMBOL_BLOCKED"}
    assert [type(action) for action in guarded.actions if not isinstance(action, TakeSnapshot)] == [ClosePosition]


async def test_a_call_that_hangs_delays_no_other() -> None:
    """One call that never came back stopped quotes, timers and locks (R-04, L-25, L-56)."""
    forever = asyncio.Event()
    limits = rules(daily_realized_loss={"limit": 500}, max_contracts={"limit": 3, "action": "flatten"})
    async with started_guard(rules=limits) as scene:
        execute = scene.venue.execute

        async def hang(account_id: str, action: Action, is_due: object = None) -> Outcome:
            if isinstance(action, ClosePosition) and action.contract_id == MES.id:
                scene.venue.executed.append(action)
                await forever.wait()
            return await execute(account_id, action)

        scene.venue.execute = hang  # type: ignore[method-assign]  # a venue of which one call hangs
        await scene.feed(scene.story.buys(MES, 4, 5800))
        await scene.feed(scene.story.buys(ES, 1, 5800))
        await settled()
        closed = [action.contract_id for action in scene.venue.executed if isinstance(action, ClosePosition)]
        assert closed == [MES.id, ES.id]
        await scene.feed(scene.story.result(-500))
        assert [lockout.rule for lockout in scene.guard.engine.account.lockouts] == ["daily_realized_loss"]
