"""A rule in force at certain times only. The scenario begins on a Wednesday at 09:00 in Chicago."""

from typing import Any

import msgspec
import pytest

from risk_manager.domain.calendar import Calendar
from risk_manager.domain.finding import Skipped
from risk_manager.domain.zone import Zone
from risk_manager.rules import (
    DailyLossRule,
    DailyUnrealizedLossRule,
    MaxPositionRule,
    OptionsInvalid,
    Rule,
    VelocityRule,
    all_of,
    build_rules,
    during,
    named,
    options_of,
    schedules_of,
    tightened,
    warned,
)
from risk_manager.rules._base import UNBOUNDED, Slack
from risk_manager.rules.daily_unrealized_loss import Watch
from risk_manager.rules.velocity import Fall, Peak
from risk_manager.testing.events import ES, HOUR_NS, SECOND_NS, START_NS
from risk_manager.testing.guarded import Guarded

CHICAGO = Zone("America/Chicago", (-(1 << 62),), (-6 * 3600,))
CALENDAR = Calendar(zones={"America/Chicago": CHICAGO})


def scheduled(start: str = "08:30", end: str = "10:00", limit: int = 2, **options: object) -> Rule:
    schedule = {"start": start, "end": end, "timezone": "America/Chicago", "holidays": False}
    (rule,) = build_rules({"max_contracts": {"limit": limit, "schedule": schedule, **options}})
    return rule


def guarded_by(*rules: Rule, calendar: Calendar = CALENDAR) -> Guarded:
    guarded = Guarded()
    guarded.engine.account.calendar = calendar
    guarded.change_rules(*rules)
    guarded.forget()
    return guarded


def at(guarded: Guarded, hours: float) -> None:
    """Go to so many hours after the beginning."""
    guarded.venue.now_ns = guarded.venue.now_ns // HOUR_NS * HOUR_NS + int(hours * HOUR_NS)
    guarded.feed(guarded.venue.snapshot())


@pytest.mark.parametrize(
    ("start", "end", "codes"),
    [
        ("08:30", "10:00", ["MAX_CONTRACTS"]),
        ("09:00", "10:00", ["MAX_CONTRACTS"]),
        ("09:01", "10:00", []),
        ("08:00", "09:00", []),
        ("08:00", "09:01", ["MAX_CONTRACTS"]),
        ("17:00", "16:00", ["MAX_CONTRACTS"]),
    ],
)
def test_finds_breaches_inside_its_schedule_only(start: str, end: str, codes: list[str]) -> None:
    guarded = guarded_by(scheduled(start, end))
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert (guarded.codes, guarded.skipped) == (codes, [])


def test_judges_what_is_there_at_the_opening_by_its_own_timer() -> None:
    guarded = guarded_by(scheduled("09:30", "10:00"))
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    due_ns = guarded.engine.next_deadline_ns()
    assert due_ns is not None
    guarded.venue.now_ns = due_ns - guarded.venue.step_ns - 1
    guarded.feed(guarded.venue.timer())
    assert guarded.codes == []
    guarded.venue.step_ns = 1
    guarded.feed(guarded.venue.timer())
    assert guarded.venue.now_ns == due_ns
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_leaving_the_schedule_releases_nothing() -> None:
    guarded = guarded_by(scheduled(action="flatten", lockout="3h"))
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    (lockout,) = guarded.lockouts
    at(guarded, 1.5)
    assert guarded.lockouts == (lockout,)
    at(guarded, 3)
    assert not guarded.lockouts


def test_what_releases_a_lockout_releases_it_outside_too() -> None:
    loss = DailyLossRule(limit=-300, basis="realized", include_fees=False, unlock_if_recovered=True)
    window = scheduled()
    guarded = guarded_by(during(window.schedule, loss))  # type: ignore[attr-defined]  # a During has one
    fills = guarded.venue.result(-300)
    guarded.feed(fills)
    assert guarded.lockouts != ()
    at(guarded, 1.5)
    guarded.feed(guarded.venue.voided(*fills))
    assert guarded.lockouts == ()


def test_goes_on_remembering_outside() -> None:
    """A stop missing for long when the schedule opens is missing then."""
    schedule = {"start": "09:30", "end": "16:00", "timezone": "America/Chicago", "holidays": False}
    guarded = guarded_by(*build_rules({"no_stop_loss_grace": {"grace_period_seconds": 60, "schedule": schedule}}))
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    at(guarded, 0.25)
    assert guarded.codes == []
    at(guarded, 0.6)
    assert guarded.codes == ["NO_STOP_LOSS"]


def test_shows_gauges_and_warns_inside_only() -> None:
    guarded = guarded_by(scheduled("09:30", "10:00", warn_at=[50]))
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    assert (guarded.gauges, guarded.warnings) == ([], [])
    at(guarded, 0.6)
    assert [gauge.used for gauge in guarded.gauges] == [1]
    assert [warning.code for warning in guarded.warnings] == ["MAX_CONTRACTS_50_PCT"]


def test_is_in_force_and_says_so_where_the_calendar_cannot_tell() -> None:
    guarded = guarded_by(scheduled("11:00", "12:00"), calendar=Calendar())
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]
    slot = guarded.engine._slots[0]
    assert slot.skips == (Skipped("max_contracts", "schedule: time zone America/Chicago unknown"),)
    assert slot.due_ns is None
    guarded.engine.account.calendar = CALENDAR
    guarded.feed(guarded.venue.snapshot())
    assert slot.due_ns == START_NS + 2 * HOUR_NS


@pytest.mark.parametrize(
    ("due_ns", "edge_ns", "deadline_ns"),
    [(500, 700, 500), (700, 500, 500), (None, 500, 500), (500, 0, 500), (None, 0, None)],
)
def test_wakes_for_the_schedule_and_for_the_rule(due_ns: int | None, edge_ns: int, deadline_ns: int | None) -> None:
    window: Any = scheduled()
    rule = during(window.schedule, DailyUnrealizedLossRule(loss_limit=300))
    state = msgspec.structs.replace(rule.around(Watch((), due_ns), None), until_ns=edge_ns)
    assert rule.deadline_ns(state) == deadline_ns


def test_hands_the_rule_its_state_and_keeps_its_own_while_nothing_changes() -> None:
    window: Any = scheduled()
    guarded = guarded_by(rule := during(window.schedule, VelocityRule(max_loss=300)))
    account, slot = guarded.engine.account, guarded.engine._slots[0]
    known = slot.state
    assert (known.is_open, known.until_ns) == (True, START_NS + HOUR_NS)
    guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.timer(after_s=0.5))
    assert slot.state is known
    fall = Fall(account.day.label, (Peak(account.now_ns // SECOND_NS, 120_000_000),), has_fills=True)
    fallen = msgspec.structs.replace(known, inner=fall)
    assert [gauge.used for gauge in rule.gauges(fallen, account)] == [120_000_000]


def test_the_slack_ends_with_the_schedule() -> None:
    """It is 09:00, and the schedule ends at 10:00."""
    schedule = {"start": "08:30", "end": "10:00", "timezone": "America/Chicago", "holidays": False}
    rules: Any = build_rules(
        {
            "daily_realized_loss": {"limit": 300, "schedule": schedule},
            "daily_realized_profit": {"target": 400, "schedule": schedule},
        }
    )
    guarded = guarded_by(*rules)
    ends_ns = START_NS + HOUR_NS
    slacks = [slot.slack(guarded.engine.account) for slot in guarded.engine._slots]
    assert slacks == [Slack(300_000_000, UNBOUNDED, ends_ns), Slack(UNBOUNDED, 400_000_000, ends_ns)]
    unread = rules[0].initial_state()
    assert rules[0].slack(unread, guarded.engine.account) is None, "when the schedule changes is not known yet"


def test_the_slack_ends_where_the_rule_inside_says_so() -> None:
    window: Any = scheduled()
    rule = during(window.schedule, DailyUnrealizedLossRule(loss_limit=300))
    guarded = guarded_by(rule)
    guarded.feed(guarded.venue.quote(ES, 5800), guarded.venue.buys(ES, 1, 5800))
    account = guarded.engine.account
    state = guarded.engine._slots[0].state
    inside = rule.rule.slack(state.inner, account)
    assert inside.until_ns < state.until_ns
    assert rule.slack(state, account) == inside


def test_a_rule_without_slack_has_none_in_a_schedule_either() -> None:
    rule = scheduled()
    guarded = guarded_by(rule)
    assert guarded.engine._slots[0].slack(guarded.engine.account) is None


def test_goes_on_after_a_restart_as_if_never_stopped() -> None:
    said = []
    for restarts in (False, True):
        guarded = guarded_by(scheduled("09:30", "10:00"))
        for hours in (0.1, 0.55, 1.2):
            guarded.feed(guarded.venue.buys(ES, 3, 5800))
            at(guarded, hours)
            if restarts:
                guarded.restart()
                guarded.engine.account.calendar = CALENDAR
        said.append(guarded.decisions)
    assert said[0] == said[1]


def test_is_spelled_as_an_option_and_works_in_compositions() -> None:
    rule = scheduled(warn_at=[80])
    assert build_rules({"max_contracts": options_of(rule)}) == (rule,)
    (floor,) = build_rules({"mine": {"rule": "max_contracts", **options_of(rule)}})
    assert floor == named(rule, "mine")
    whole = all_of(scheduled(), DailyLossRule(limit=-5), name="mine")
    (again,) = build_rules({"mine": options_of(whole)})
    assert options_of(again) == options_of(whole)
    guarded = guarded_by(whole)
    guarded.feed(guarded.venue.result(-5), guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_a_composition_has_a_schedule_too() -> None:
    members = [{"rule": "max_contracts", "limit": 2}, {"rule": "daily_realized_loss", "limit": 5}]
    schedule = {"start": "09:30", "end": "10:00", "timezone": "America/Chicago", "holidays": False}
    (rule,) = build_rules({"mine": {"all_of": members, "schedule": schedule}})
    guarded = guarded_by(rule)
    guarded.feed(guarded.venue.result(-5), guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == []
    at(guarded, 0.6)
    assert guarded.codes == ["MAX_CONTRACTS"]
    assert build_rules({"mine": options_of(rule)}) == (rule,)


def test_tells_every_schedule_a_rule_goes_by() -> None:
    morning, later = scheduled(), scheduled("09:30", "12:00")
    rule = all_of(named(warned(morning, 80), "one"), later)
    assert {one.windows[0].start_s for one in schedules_of(rule)} == {8 * 3600 + 1800, 9 * 3600 + 1800}
    assert schedules_of(MaxPositionRule(max_contracts=2)) == ()


def test_refuses_a_schedule_that_makes_no_sense() -> None:
    with pytest.raises(OptionsInvalid, match=r"max_contracts\.schedule: must be exchange, or a mapping"):
        build_rules({"max_contracts": {"limit": 2, "schedule": "mornings"}})


def test_dropping_a_schedule_is_stricter_and_anything_else_waits() -> None:
    always, morning, later = MaxPositionRule(max_contracts=2), scheduled(), scheduled("09:30", "12:00")
    assert tightened((morning,), (always,)) == ((always,), ())
    for before, after in ((always, morning), (morning, later)):
        result = tightened((before,), (after,))
        assert (result.rules, [one.option for one in result.waiting]) == ((before,), ["schedule"])
    result = tightened((warned(morning, 50),), (scheduled(limit=1),))
    assert (result.rules, result.waiting) == ((scheduled(limit=1),), ())
