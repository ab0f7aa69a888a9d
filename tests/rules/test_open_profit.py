"""What the rules about open profit share."""

from typing import Any

import pytest

from risk_manager.domain.finding import Breach, Loss, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, LockUntil, Remedy, quote_missing
from risk_manager.rules._open_profit import (
    Action,
    Together,
    day_budget,
    evidence_of,
    grouped,
    linked_composite,
    name_of,
    next_look_ns,
    quiet_until_ns,
    quote_age_ns,
    remedy_of,
    stale_quotes,
)
from risk_manager.testing.events import CL, ES, ES_JUNE, MNQ, SECOND_NS, Scenario
from risk_manager.testing.guarded import Guarded

HOUR = LockTerms(LockUntil.DURATION, 3_600 * SECOND_NS)


def holding_three() -> Guarded:
    """Two ES expiries with a quote each, and CL, of which nobody knows anything but the id."""
    venue = Scenario()
    venue.contracts = tuple(one for one in venue.contracts if one is not CL)
    guarded = Guarded(venue=venue)
    guarded.feed(venue.quote(ES, 5800, 5801, 5800.5), venue.quote(ES_JUNE, None, None, 5850))
    guarded.feed(venue.buys(ES, 2, 5800), venue.sells(ES_JUNE, 1, 5850), venue.buys(CL, 3, 70))
    return guarded


@pytest.mark.parametrize(
    ("action", "lockout", "remedy"),
    [
        (Action.CLOSE_POSITION, None, Remedy(Demand.CLOSE_POSITION)),
        (Action.CLOSE_POSITION, HOUR, Remedy(Demand.CLOSE_POSITION, HOUR)),
        (Action.FLATTEN, None, Remedy(Demand.FLATTEN)),
        (Action.FLATTEN, HOUR, Remedy(Demand.FLATTEN, HOUR)),
        (Action.FLATTEN_AND_LOCK, None, Remedy(Demand.FLATTEN, LockTerms())),
        (Action.FLATTEN_AND_LOCK, HOUR, Remedy(Demand.FLATTEN, HOUR)),
        (Action.ALERT, None, Remedy(Demand.ALERT)),
    ],
)
def test_does_what_the_action_says(action: Action, lockout: LockTerms | None, remedy: Remedy) -> None:
    assert remedy_of(action, lockout) == remedy


@pytest.mark.parametrize(
    ("together", "groups"),
    [
        (Together.TOTAL, {ACCOUNT: [ES.id, ES_JUNE.id, CL.id]}),
        (Together.PER_INSTRUMENT, {Scope(root="ES"): [ES.id, ES_JUNE.id], Scope(contract_id=CL.id): [CL.id]}),
        (
            Together.PER_POSITION,
            {Scope(contract_id=one.id): [one.id] for one in (ES, ES_JUNE, CL)},
        ),
    ],
)
def test_measures_together_what_belongs_together(together: Together, groups: dict[Scope, list[str]]) -> None:
    found = grouped(holding_three().engine.account.holdings.values(), together)
    assert {scope: [one.contract_id for one in holdings] for scope, holdings in found.items()} == groups


def test_shows_what_was_measured() -> None:
    held = holding_three().engine.account.holdings
    assert [name_of(held[one.id]) for one in (ES, CL)] == [ES.name, CL.id]
    assert evidence_of(ACCOUNT, list(held.values())) == (("positions", "3"),)
    assert evidence_of(Scope(root="ES"), [held[ES.id], held[ES_JUNE.id], held[CL.id]]) == (
        (ES.name, "+2"),
        (f"{ES.name} quote", "bid 23200 ask 23204 last 23202 ticks"),
        (ES_JUNE.name, "-1"),
        (f"{ES_JUNE.name} quote", "last 23400 ticks"),
        (CL.id, "+3"),
    )


@pytest.mark.parametrize(
    ("prices", "text"),
    [
        ((5800, 5801, None), "bid 23200 ask 23204 ticks"),
        ((None, 5801, 5800.5), "ask 23204 last 23202 ticks"),
        ((None, None, None), "no price"),
    ],
)
def test_shows_the_prices_there_are(prices: tuple[float | None, ...], text: str) -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.quote(ES, *prices))
    guarded.feed(guarded.venue.buys(ES, 2, 5800))
    holdings = list(guarded.engine.account.holdings.values())
    assert evidence_of(Scope(root="ES"), holdings) == ((ES.name, "+2"), (f"{ES.name} quote", text))


def test_the_days_budget_is_about_the_account() -> None:
    guarded = Guarded()
    guarded.feed(guarded.venue.result("-120.50", fees="2.25"))
    assert day_budget("mine", -300, -200, guarded.engine.account) == Breach(
        "mine",
        "DAY_BUDGET",
        -300,
        -200,
        Unit.MICROS,
        ACCOUNT,
        evidence=(("realized", "-120.50"), ("fees", "2.25")),
        loss=Loss.OPEN,
    )
    assert day_budget("mine", 300, 200, guarded.engine.account).loss is None


ENABLED = {"enabled": True}


@pytest.mark.parametrize(
    ("composite", "day", "linked"),
    [
        (ENABLED, {"limit": 500}, {**ENABLED, "daily_cap": 500}),
        (ENABLED, {"max_loss": 400}, {**ENABLED, "daily_cap": 400}),
        (ENABLED, {"max_loss": 400, "limit": 500}, {**ENABLED, "daily_cap": 500}),
        (ENABLED, {"limit": None}, ENABLED),
        (ENABLED, {}, ENABLED),
        ({**ENABLED, "daily_cap": 300}, {"limit": 500}, {**ENABLED, "daily_cap": 300}),
        ({**ENABLED, "daily_rule_ref": "day"}, {"limit": 500}, {**ENABLED, "daily_cap": 500}),
        ({**ENABLED, "daily_rule_ref": "day"}, {}, ENABLED),
        ({**ENABLED, "daily_rule_ref": "other"}, {"limit": 500}, {**ENABLED, "daily_rule_ref": "other"}),
        (ENABLED, {"include_fees": False}, {**ENABLED, "include_fees": False}),
        ({**ENABLED, "include_fees": True}, {"include_fees": False}, {**ENABLED, "include_fees": True}),
        ({"enabled": False}, {"limit": 500}, {"enabled": False}),
        ({"enabled": 1}, {"limit": 500}, {"enabled": 1}),
        ({}, {"limit": 500}, {}),
        ("yes", {"limit": 500}, "yes"),
    ],
)
def test_takes_the_days_limit_from_the_other_rule(composite: Any, day: dict[str, Any], linked: Any) -> None:
    own = {"loss_limit": 5, "composite_enforcement": composite}
    others = {"day": day, "other": {"limit": 7}}
    told = linked_composite(own, others, option="daily_cap", rule="day", names=("limit", "max_loss"))
    assert told == {"loss_limit": 5, "composite_enforcement": linked}
    assert own == {"loss_limit": 5, "composite_enforcement": composite}


def test_takes_nothing_without_the_other_rule() -> None:
    for own in ({"loss_limit": 5}, {"composite_enforcement": ENABLED}):
        assert linked_composite(own, {}, option="daily_cap", rule="day", names=("limit",)) == own


def test_tells_how_old_a_quote_is_and_warns_of_an_old_one() -> None:
    guarded = holding_three()
    account, venue = guarded.engine.account, guarded.venue
    guarded.feed(venue.quote(ES_JUNE, 5850), at := venue.quote(ES, 5800))
    venue.now_ns = at.received_ns + 12 * SECOND_NS - venue.step_ns
    guarded.feed(venue.timer())
    ages = {one.id: quote_age_ns(account.holdings[one.id], account) for one in (ES, ES_JUNE)}
    assert ages == {ES.id: 12 * SECOND_NS, ES_JUNE.id: 12 * SECOND_NS + venue.step_ns}
    unpriced = account.holdings[CL.id]
    assert quote_age_ns(unpriced, account) == account.received_ns - unpriced.increased_ns > 12 * SECOND_NS
    assert list(stale_quotes("mine", 12 * SECOND_NS + venue.step_ns, account)) == []
    assert list(stale_quotes("mine", 12 * SECOND_NS, account)) == [
        Warning(
            "mine",
            "QUOTE_STALE",
            0,
            0,
            Unit.NONE,
            Scope(contract_id=ES_JUNE.id),
            (("contract", ES_JUNE.id), ("quote_age_s", "12"), ("allowed_s", "12")),
        )
    ]
    assert [one.scope.contract_id for one in stale_quotes("mine", 0, account)] == sorted([ES.id, ES_JUNE.id])


def test_the_next_look_is_put_off_by_events_but_not_by_quotes() -> None:
    guarded = Guarded()
    account, venue = guarded.engine.account, guarded.venue
    quote = venue.quote(MNQ, 21000)
    assert next_look_ns(5, 10, quote, account) is None
    guarded.feed(venue.buys(MNQ, 1, 21000), quote)
    now_ns = account.now_ns
    looks = [next_look_ns(due_ns, 10, quote, account) for due_ns in (None, now_ns, now_ns + 1, now_ns + 99)]
    assert looks == [now_ns + 10, now_ns + 10, now_ns + 1, now_ns + 99]
    assert next_look_ns(now_ns + 99, 10, venue.timer(), account) == now_ns + 10


def test_is_quiet_until_a_quote_is_too_old_or_a_look_is_due() -> None:
    guarded = Guarded()
    account, venue = guarded.engine.account, guarded.venue
    assert quiet_until_ns(None, 100, account) == account.now_ns + 101
    guarded.feed(venue.buys(MNQ, 1, 21000), venue.buys(ES, 1, 5800))
    guarded.feed(venue.quote(MNQ, 21000), venue.quote(ES, 5800), venue.timer())
    oldest_ns = 2 * venue.step_ns
    ends_ns = account.now_ns + 100 - oldest_ns + 1
    assert quiet_until_ns(None, 100, account) == ends_ns
    assert [quiet_until_ns(ends_ns + by, 100, account) for by in (-1, 0, 1)] == [ends_ns - 1, ends_ns, ends_ns]
    assert quiet_until_ns(None, 2 * UNBOUNDED, account) == UNBOUNDED


def test_says_what_it_could_not_value() -> None:
    (skip,) = quote_missing("mine", {"b", "a"})
    assert (skip.rule, skip.reason) == ("mine", "quote_missing a b")
    assert quote_missing("mine", ()) == ()
