"""Several rules on one account, from the market to the venue calls: the cases (a) to (i), and what goes with them.

Arithmetic: a tick of ES is 12.50 dollars and a side costs 1.40; a tick of MES is 1.25 and a side costs 0.61; a tick of
MNQ is 0.50 and a side costs 0.61. The market stands one tick wide, so who buys is down a tick.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event, FillReceived, QuoteUpdated
from risk_manager.domain.finding import Finding, Gauge, Skipped
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.rules._base import Demand, Remedy
from risk_manager.runtime.status import account_status
from tests.scenarios.stage import (
    CL,
    ES,
    MES,
    MNQ,
    RESET_NS,
    SECOND_NS,
    START_NS,
    Cancelled,
    Closed,
    Placed,
    Reduced,
    on_stage,
)

MINUTE_NS = 60 * SECOND_NS
DAY_NS = 24 * 60 * MINUTE_NS
Rules = Mapping[str, Mapping[str, object]]


# -- (a) to (i) --------------------------------------------------------------------------------------------------------


async def test_a_one_quote_trips_the_open_loss_and_through_its_fill_the_day() -> None:
    rules: Rules = {
        "daily_unrealized_loss": {"loss_limit": 300},
        "daily_realized_loss": {"limit": 300, "basis": "realized"},
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        await stage.moves(ES, -10)
        assert (stage.codes(), stage.calls) == ([], [])

        # 12 ticks of two contracts: exactly 300, and 302.80 more fees once they are closed.
        await stage.moves(ES, -1)
        assert stage.codes() == ["UNREALIZED_LOSS", "DAILY_LOSS"]
        causes = [type(said.cause) for said in stage.decisions[stage.me] if said.findings]
        assert causes == [QuoteUpdated, FillReceived]
        assert stage.calls == [Closed(stage.me, ES.id)]
        assert list(stage.lockouts()) == ["daily_realized_loss"]

        await stage.passes(5)
        assert (stage.nets(), stage.unfinished()) == ({}, [])
        stage.forget()
        await stage.buys(ES, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})


async def test_b_a_reduction_and_a_flatten_on_one_event_close_each_contract_once() -> None:
    rules: Rules = {
        "max_contracts_per_instrument": {"limits": {"ES": 2}, "default_limit": 5},
        "daily_realized_loss": {"limit": 480},
    }
    async with on_stage(rules) as stage:
        await stage.buys(MNQ, 1)
        await stage.buys(ES, 2)
        # 19 ticks of two contracts are 475, one of MNQ is 0.50, and 3.41 went on fees: 478.91 are lost.
        await stage.moves(ES, -18)
        assert stage.codes() == []

        # The third contract is one too many, and its 1.40 of fees are too much for the day.
        await stage.buys(ES, 1)
        (said,) = [decision for decision in stage.decisions[stage.me] if decision.findings]
        assert sorted(stage.codes()) == ["DAILY_LOSS", "MAX_CONTRACTS_PER_INSTRUMENT"]
        assert type(said.cause) is FillReceived
        assert stage.calls == [Closed(stage.me, ES.id), Closed(stage.me, MNQ.id)]
        await stage.passes(5)
        assert (len(stage.calls), stage.nets(), stage.unfinished()) == (2, {}, [])


async def test_c_a_trade_too_many_and_a_loss_on_one_trade_lock_each_for_its_own_time() -> None:
    rules: Rules = {
        "trade_frequency_limit": {"limits": {"per_minute": 3}, "cooldown_on_breach": {"per_minute": 60}},
        "cooldown_after_loss": {"loss_threshold": 100, "cooldown": 300},
    }
    async with on_stage(rules) as stage:
        await stage.buys(MES, 4)
        await stage.buys(MES, 3)
        await stage.buys(MES, 3)
        await stage.moves(MES, -10)
        assert stage.codes() == []

        # The fourth order of the minute closes ten contracts with 11 ticks of loss each: 137.50.
        await stage.sells(MES, 10)
        losing_ns = stage.guard().engine.account.valid_fills[-1].at_ns
        assert sorted(stage.codes()) == ["COOLDOWN_AFTER_LOSS", "TRADE_FREQUENCY_MINUTE"]
        assert {rule: lock.until_ns for rule, lock in stage.lockouts().items()} == {
            "trade_frequency_limit": losing_ns + 60 * SECOND_NS,
            "cooldown_after_loss": losing_ns + 300 * SECOND_NS,
        }
        assert {lock.kind for lock in stage.lockouts().values()} == {LockoutKind.COOLDOWN}
        assert stage.calls == []

        await stage.rests(MES, 1)
        (cancelled,) = stage.calls
        assert isinstance(cancelled, Cancelled)
        assert stage.orders() == []

        await stage.passes(65)
        assert list(stage.lockouts()) == ["cooldown_after_loss"]
        stage.forget()
        await stage.buys(MES, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, MES.id)], {})

        await stage.passes(300)
        assert stage.lockouts() == {}
        stage.forget()
        await stage.buys(MES, 1)
        await stage.passes(5)
        assert (stage.calls, stage.nets()) == ([], {MES.id: 1})


async def test_d_the_venues_own_block_comes_and_goes_during_a_days_lock() -> None:
    rules: Rules = {"daily_realized_loss": {"limit": 500}, "auth_loss_guard": {}}
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        await stage.moves(ES, -30)
        assert list(stage.lockouts()) == ["daily_realized_loss"]
        until_ns = stage.lockouts()["daily_realized_loss"].until_ns

        await stage.lets_trade(False)
        assert sorted(stage.lockouts()) == ["auth_loss_guard", "daily_realized_loss"]
        await stage.passes(60)
        assert sorted(stage.lockouts()) == ["auth_loss_guard", "daily_realized_loss"]

        await stage.lets_trade(True)
        await stage.passes(60)
        assert list(stage.lockouts()) == ["daily_realized_loss"]
        assert stage.lockouts()["daily_realized_loss"].until_ns == until_ns == RESET_NS
        stage.forget()
        await stage.buys(ES, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})


async def test_e_the_reset_arrives_while_a_flatten_is_in_flight() -> None:
    async with on_stage({"daily_realized_loss": {"limit": 500}}, start_ns=RESET_NS - 3 * SECOND_NS) as stage:
        await stage.buys(ES, 2)
        await stage.buys(MNQ, 10)
        await stage.moves(ES, -15)
        # 16 ticks of two contracts: 400, and 11.70 of fees.
        await stage.sells(ES, 2)
        assert stage.codes() == []
        stage.holds_calls()
        # 21 ticks of ten contracts: 105.
        await stage.moves(MNQ, -20)
        assert stage.codes() == ["DAILY_LOSS"]
        assert list(stage.lockouts()) == ["daily_realized_loss"]
        assert stage.calls == []

        await stage.passes(5)
        assert stage.guard().engine.account.day.label == "2026-03-03"
        assert (stage.lockouts(), stage.nets()) == ({}, {MNQ.id: 10})
        await stage.lets_calls_go()
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, MNQ.id)], {})
        await stage.passes(5)
        assert stage.unfinished() == []
        releases = [each for said in stage.decisions[stage.me] for each in said.lockouts_released]
        assert [(each.rule, each.at_ns >= RESET_NS) for each in releases] == [("daily_realized_loss", True)]

        # What was lost before belongs to the old day: the account is free.
        stage.forget()
        await stage.buys(ES, 1)
        await stage.passes(5)
        assert (stage.codes(), stage.calls, stage.nets()) == ([], [], {ES.id: 1})


async def test_e_a_loss_that_is_still_open_at_the_reset_counts_for_the_new_day_too() -> None:
    async with on_stage({"daily_realized_loss": {"limit": 500}}, start_ns=RESET_NS - 3 * SECOND_NS) as stage:
        await stage.buys(ES, 2)
        stage.holds_calls()
        await stage.moves(ES, -30)
        assert stage.lockouts()["daily_realized_loss"].until_ns == RESET_NS
        await stage.passes(5)
        assert stage.lockouts()["daily_realized_loss"].until_ns == RESET_NS + DAY_NS
        await stage.lets_calls_go()
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})
        await stage.passes(5)
        assert stage.unfinished() == []
        assert list(stage.lockouts()) == ["daily_realized_loss"]


async def test_f_two_accounts_breach_on_one_quote_and_a_third_does_not() -> None:
    limits = [{"daily_realized_loss": {"limit": limit}} for limit in (500, 400, 5000)]
    async with on_stage(*limits) as stage:
        first, second, third = stage.accounts
        for account in stage.accounts:
            await stage.buys(ES, 2, account)
        await stage.rests(ES, 1, third)
        await stage.moves(ES, -30)
        assert sorted(stage.calls) == [Closed(first, ES.id), Closed(second, ES.id)]
        assert (stage.nets(first), stage.nets(second), stage.nets(third)) == ({}, {}, {ES.id: 2})
        assert [stage.codes(account) for account in stage.accounts] == [["DAILY_LOSS"], ["DAILY_LOSS"], []]
        assert [list(stage.lockouts(account)) for account in stage.accounts] == [
            ["daily_realized_loss"],
            ["daily_realized_loss"],
            [],
        ]
        assert len(stage.orders(third)) == 1
        await stage.passes(10)
        assert [stage.unfinished(account) for account in stage.accounts] == [[], [], []]


async def test_g_the_session_ends_during_a_cooldown() -> None:
    rules: Rules = {
        "cooldown_after_loss": {"loss_threshold": 100, "cooldown": 300},
        # The stage opens at 09:30 in New York.
        "session_block_outside": {"global_session": {"start": "08:00", "end": "09:31", "timezone": "America/New_York"}},
    }
    async with on_stage(rules) as stage:
        await stage.buys(MNQ, 1)
        await stage.buys(ES, 1)
        await stage.moves(ES, -9)
        await stage.sells(ES, 1)
        assert (list(stage.lockouts()), stage.calls) == (["cooldown_after_loss"], [])

        await stage.passes(65)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, MNQ.id)], {})
        assert {rule: (lock.kind, lock.on_lock) for rule, lock in stage.lockouts().items()} == {
            "cooldown_after_loss": (LockoutKind.COOLDOWN, OnLock.BLOCK_NEW),
            "session_block_outside": (LockoutKind.SESSION, OnLock.FLATTEN),
        }
        assert stage.lockouts()["session_block_outside"].until_ns == START_NS + (22 * 60 + 30) * MINUTE_NS

        # The break ends by itself and opens nothing.
        await stage.passes(300)
        assert list(stage.lockouts()) == ["session_block_outside"]
        stage.forget()
        await stage.buys(ES, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})
        await stage.passes(5)
        assert stage.unfinished() == []


async def test_g_a_new_session_does_not_end_a_days_lock() -> None:
    rules: Rules = {
        "daily_realized_loss": {"limit": 500},
        "session_block_outside": {
            "global_session": {
                "windows": [{"start": "08:00", "end": "09:31"}, {"start": "09:32", "end": "16:00"}],
                "timezone": "America/New_York",
            }
        },
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        await stage.moves(ES, -30)
        until_ns = stage.lockouts()["daily_realized_loss"].until_ns
        await stage.passes(65)
        await stage.rests(ES, 1)
        assert sorted(stage.lockouts()) == ["daily_realized_loss", "session_block_outside"]
        assert stage.orders() == []
        await stage.passes(65)
        assert list(stage.lockouts()) == ["daily_realized_loss"]
        assert stage.lockouts()["daily_realized_loss"].until_ns == until_ns == RESET_NS
        stage.forget()
        await stage.buys(ES, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})


async def test_h_other_rules_come_while_an_enforcement_is_in_flight() -> None:
    async with on_stage({"max_contracts": {"limit": 3}}) as stage:
        stage.holds_calls()
        await stage.buys(ES, 5)
        assert (stage.codes(), stage.calls) == (["MAX_CONTRACTS"], [])
        # Stricter: 1 instead of 3. The call for the first two is on its way and may be carried out at any time.
        await stage.changes_rules({"max_contracts": {"limit": 1}})
        assert stage.calls == []
        await stage.lets_calls_go()
        await stage.passes(20)
        assert stage.nets() == {ES.id: 1}
        assert stage.calls == [Reduced(stage.me, ES.id, 2), Reduced(stage.me, ES.id, 2)]
        assert stage.unfinished() == []


async def test_h_a_looser_limit_does_not_call_an_enforcement_back() -> None:
    async with on_stage({"daily_realized_loss": {"limit": 500}}) as stage:
        await stage.buys(ES, 2)
        stage.holds_calls()
        await stage.moves(ES, -30)
        await stage.changes_rules({"daily_realized_loss": {"limit": 5000}})
        await stage.lets_calls_go()
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})
        assert list(stage.lockouts()) == ["daily_realized_loss"]
        await stage.passes(5)
        assert stage.unfinished() == []
        assert [(one.option, one.now, one.then) for one in stage.guard().waiting_rules] == [("limit", "500", "5000")]


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with a bug that every quote brings out."""

    name: ClassVar[str] = "broken"
    listens_to: ClassVar[frozenset[type]] = frozenset({QuoteUpdated})

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.FLATTEN)

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def step(self, state: None, event: Event, account: AccountView) -> tuple[None, tuple[Finding | Skipped, ...]]:
        if isinstance(event, QuoteUpdated):
            raise ZeroDivisionError
        return None, ()

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        return ()


async def test_i_three_rules_on_one_tick_go_on_beside_one_that_fails() -> None:
    rules: Rules = {
        "daily_realized_loss": {"limit": 300},
        "daily_unrealized_loss": {"loss_limit": 300},
        "leverage": {"max_ratio_pct": 582},
    }
    async with on_stage(rules, extra=(Broken(),)) as stage:
        await stage.buys(MNQ, 1)
        await stage.buys(ES, 1)
        assert stage.codes() == []

        # 26 ticks of ES are 325. What is held is worth 289,687 dollars, which is 5.84 times the equity of 49,672.
        await stage.moves(ES, -25)
        (said,) = [decision for decision in stage.decisions[stage.me] if decision.findings]
        assert type(said.cause) is QuoteUpdated
        assert sorted(stage.codes()) == ["DAILY_LOSS", "LEVERAGE", "UNREALIZED_LOSS"]
        assert stage.calls == [Closed(stage.me, ES.id), Closed(stage.me, MNQ.id)]
        await stage.passes(5)
        assert (len(stage.calls), stage.nets(), stage.unfinished()) == (2, {}, [])

        # And of the failure everybody is told.
        (alarm,) = stage.warnings()
        assert (alarm.rule, alarm.code, alarm.evidence) == (
            "broken",
            "RULE_FAILED",
            (("error", "ZeroDivisionError: "),),
        )
        assert account_status(stage.guard(), stage.clock.now_ns()).missing == ("rule broken: failed 1 times",)


# -- exits, reductions and lockouts of several rules ------------------------------------------------------------------


async def test_an_enforced_exit_starts_no_cooldown_and_is_no_trade_too_many() -> None:
    rules: Rules = {
        "daily_unrealized_loss": {"loss_limit": 300},
        "cooldown_after_loss": {"loss_threshold": 100, "cooldown": 300},
        "trade_frequency_limit": {"limits": {"per_minute": 2}},
    }
    async with on_stage(rules) as stage:
        await stage.buys(MNQ, 1)
        await stage.buys(ES, 2)
        await stage.moves(ES, -11)
        assert (stage.codes(), stage.calls) == (["UNREALIZED_LOSS"], [Closed(stage.me, ES.id)])
        await stage.passes(5)
        assert (stage.codes(), stage.lockouts()) == (["UNREALIZED_LOSS"], {})
        # In the ledger it is, to the cent: 300 lost, and 0.61 and 5.60 of fees.
        account = stage.guard().engine.account
        assert (account.realized_micros, account.fees_micros) == (-300_000_000, 6_210_000)


async def test_an_enforced_exit_starts_a_cooldown_where_that_is_asked_for() -> None:
    rules: Rules = {
        "daily_unrealized_loss": {"loss_limit": 300},
        "cooldown_after_loss": {"loss_threshold": 100, "cooldown": 300, "cooldown_on_enforced_exit": True},
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        await stage.moves(ES, -11)
        assert stage.codes() == ["UNREALIZED_LOSS", "COOLDOWN_AFTER_LOSS"]
        assert stage.calls == [Closed(stage.me, ES.id)]
        assert list(stage.lockouts()) == ["cooldown_after_loss"]


async def test_a_close_at_an_open_profit_may_reach_the_days_target() -> None:
    rules: Rules = {
        "max_unrealized_profit": {"profit_target": 300},
        "daily_realized_profit": {"target": 290, "basis": "realized"},
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        await stage.moves(ES, 13)
        assert stage.codes() == ["PROFIT_TARGET", "DAILY_PROFIT"]
        assert stage.calls == [Closed(stage.me, ES.id)]
        assert list(stage.lockouts()) == ["daily_realized_profit"]


async def test_reductions_of_two_rules_go_to_the_smaller_size_in_one_call() -> None:
    rules: Rules = {"max_contracts": {"limit": 4}, "max_contracts_per_instrument": {"limits": {"ES": 2}}}
    async with on_stage(rules) as stage:
        await stage.buys(ES, 6)
        assert sorted(stage.codes()) == ["MAX_CONTRACTS", "MAX_CONTRACTS_PER_INSTRUMENT"]
        assert (stage.calls, stage.nets()) == ([Reduced(stage.me, ES.id, 4)], {ES.id: 2})
        await stage.passes(5)
        assert (len(stage.calls), stage.unfinished()) == (1, [])


async def test_a_flatten_sends_no_partial_close_first() -> None:
    rules: Rules = {
        "max_contracts_per_instrument": {"limits": {"ES": 2}},
        "max_contracts": {"limit": 4, "action": "flatten"},
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 6)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})


async def test_a_blocked_product_leaves_the_others_alone() -> None:
    async with on_stage({"symbol_blocks": {"blocked_symbols": ["CL"]}}) as stage:
        await stage.buys(ES, 1)
        await stage.rests(MNQ, 1)
        await stage.buys(CL, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, CL.id)], {ES.id: 1})
        assert [str(lock.scope) for lock in stage.lockouts().values()] == ["CL"]
        await stage.rests(CL, 1)
        assert [order.contract_id for order in stage.orders()] == [MNQ.id]
        stage.forget()
        await stage.buys(MNQ, 1)
        await stage.buys(ES, 1)
        await stage.passes(5)
        assert (stage.calls, stage.nets()) == ([], {ES.id: 2, MNQ.id: 1})


async def test_three_lockouts_end_each_in_its_own_way() -> None:
    rules: Rules = {
        "max_contracts": {"limit": 3, "action": "flatten", "lockout": "2m"},
        "cooldown_after_loss": {"loss_threshold": 100, "cooldown": 30},
        "symbol_blocks": {"blocked_symbols": ["CL"]},
    }
    async with on_stage(rules) as stage:
        await stage.buys(CL, 1)
        await stage.buys(ES, 1)
        await stage.moves(ES, -19)
        await stage.sells(ES, 1)
        await stage.rests(ES, 1)
        await stage.buys(MES, 4)
        assert {rule: lock.on_lock for rule, lock in stage.lockouts().items()} == {
            "cooldown_after_loss": OnLock.BLOCK_NEW,
            "max_contracts": OnLock.FLATTEN,
            "symbol_blocks": OnLock.FLATTEN,
        }
        assert (stage.nets(), stage.orders()) == ({}, [])
        await stage.passes(35)
        assert sorted(stage.lockouts()) == ["max_contracts", "symbol_blocks"]
        await stage.passes(90)
        assert list(stage.lockouts()) == ["symbol_blocks"]
        stage.forget()
        await stage.buys(ES, 1)
        await stage.buys(CL, 1)
        await stage.passes(5)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, CL.id)], {ES.id: 1})


async def test_a_lock_that_ends_while_the_loss_still_stands_is_set_again() -> None:
    async with on_stage({"daily_realized_loss": {"limit": 200, "basis": "realized", "lockout": "2m"}}) as stage:
        await stage.buys(ES, 1)
        await stage.moves(ES, -19)
        await stage.sells(ES, 1)
        first = stage.lockouts()["daily_realized_loss"]
        await stage.passes(130)
        second = stage.lockouts()["daily_realized_loss"]
        assert first.until_ns is not None
        assert second.set_ns >= first.until_ns
        stage.forget()
        await stage.buys(ES, 1)
        assert (stage.calls, stage.nets()) == ([Closed(stage.me, ES.id)], {})


async def test_the_venues_own_block_outlives_the_trading_day() -> None:
    async with on_stage({"auth_loss_guard": {}}, start_ns=RESET_NS - 5 * SECOND_NS) as stage:
        await stage.lets_trade(False)
        await stage.passes(20)
        assert stage.guard().engine.account.day.label == "2026-03-03"
        assert list(stage.lockouts()) == ["auth_loss_guard"]


async def test_a_stop_placed_by_the_guard_satisfies_the_rule_that_wants_one() -> None:
    rules: Rules = {
        "trade_management": {"auto_stop_loss": {"enabled": True, "ticks": 40}},
        "no_stop_loss_grace": {"grace_period_seconds": 5},
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        (placed,) = stage.calls
        assert isinstance(placed, Placed)
        assert (placed.order.size, placed.order.stop_ticks) == (2, 20_001 - 40)
        await stage.passes(20)
        assert (stage.codes(), len(stage.calls), stage.nets()) == ([], 1, {ES.id: 2})


async def test_the_open_loss_may_only_use_what_the_day_has_left() -> None:
    """Of 900 dollars 813.10 are gone, fees included, so 86.90 are left for all positions together."""
    rules: Rules = {
        "daily_realized_loss": {"limit": 900, "basis": "realized"},
        "daily_unrealized_loss": {"loss_limit": 850, "composite_enforcement": {"enabled": True}},
    }
    async with on_stage(rules) as stage:
        await stage.buys(ES, 2)
        await stage.moves(ES, -31)
        await stage.sells(ES, 2)
        await stage.buys(ES, 1)
        await stage.buys(MES, 10)
        account = stage.guard().engine.account
        assert account.realized_micros - account.fees_micros == -813_100_000
        # 4 ticks of ten MES are 50, 2 of one ES 25.
        await stage.moves(MES, -3)
        await stage.moves(ES, -1)
        assert (stage.codes(), stage.calls) == ([], [])
        # With a third one it is 87.50. Closing costs another 7.50 of fees, and the day is over.
        await stage.moves(ES, -1)
        assert stage.codes() == ["DAY_BUDGET", "DAILY_LOSS"]
        assert stage.calls == [Closed(stage.me, ES.id), Closed(stage.me, MES.id)]
        assert stage.nets() == {}
