"""RULE-008, step by step: the clocks of what is bare, and what is said of them."""

from typing import Any

import pytest
from msgspec.structs import replace

from risk_manager.domain.finding import Breach, Gauge, Skipped, Unit, Warning
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.domain.scope import Scope
from risk_manager.rules import OptionsInvalid
from risk_manager.rules.no_stop_loss_grace import Clock, Watch, Watches, _resized, _without
from risk_manager.testing.events import ES, MNQ, SECOND_NS, START_NS, Scenario
from tests.rules.test_no_stop_loss_grace import Scene, rule


def remembered(scene: Scene) -> Watches:
    (slot,) = scene.engine._slots
    assert isinstance(slot.state, Watches)
    return slot.state


def begun(scene: Scene, size: int = 1) -> int:
    """Opens a position; when it was filled."""
    scene.long(size)
    (fill,) = scene.venue.fills.values()
    return fill.at_ns


# -- the clocks -------------------------------------------------------------------------------------------------------


def test_the_newest_contracts_are_the_first_to_have_been_taken_off() -> None:
    oldest, middle, newest = Clock(3, 10), Clock(2, 20), Clock(1, 30)
    clocks = (oldest, middle, newest)
    assert _resized(clocks, 1, 40) == (*clocks, Clock(1, 40))
    assert _resized(clocks, 0, 40) == clocks
    assert _resized(clocks, -1, 40) == (oldest, middle)
    assert _resized(clocks, -2, 40) == (oldest, Clock(1, 20))
    assert _resized(clocks, -6, 40) == ()


def test_a_stop_covers_the_oldest_contracts_first() -> None:
    clocks = (Clock(3, 10), Clock(2, 20))
    assert _without(clocks, 0) == clocks
    assert _without(clocks, 1) == (Clock(2, 10), Clock(2, 20))
    assert _without(clocks, 4) == (Clock(1, 20),)


def test_remembers_each_position_and_its_clocks() -> None:
    scene = Scene()
    assert remembered(scene) == Watches({}, True, START_NS + 2)
    opened_ns = begun(scene, 2)
    seen_ns = scene.engine.account.now_ns
    (watch,) = remembered(scene).positions.values()
    assert watch == Watch(scene.venue.positions[ES.id].id, 2, (Clock(2, opened_ns),))
    assert remembered(scene).seen_ns == seen_ns
    scene.at(10)
    stop = scene.stop(2)
    assert remembered(scene).positions[ES.id].clocks == ()
    scene.at(20)
    scene.ends(stop)
    (watch,) = remembered(scene).positions.values()
    assert watch.clocks == (Clock(2, scene.engine.account.now_ns, is_removal=True),)
    scene.feed(scene.venue.closes(ES, 5800))
    assert remembered(scene) == Watches({}, True, scene.engine.account.now_ns)
    state = remembered(scene)
    scene.feed(scene.venue.timer())
    assert remembered(scene) is state


def test_what_orders_have_shown_stays_shown() -> None:
    scene = Scene(action="alert")
    begun(scene)
    scene.at(31)
    assert remembered(scene).positions[ES.id].is_confirmed
    scene.till(32)
    assert remembered(scene).positions[ES.id].is_confirmed
    scene.stop()
    assert not remembered(scene).positions[ES.id].is_confirmed


def test_turned_round_in_one_message_it_is_another_position() -> None:
    scene = Scene()
    scene.feed(scene.venue.position(ES, 1, 5800))
    scene.at(20)
    scene.feed(scene.venue.position(ES, -3, 5800))
    (watch,) = remembered(scene).positions.values()
    opened_ns = scene.venue.positions[ES.id].opened_ns
    assert (watch.net_contracts, watch.clocks) == (-3, (Clock(3, opened_ns),))
    scene.at(31)
    assert scene.codes == ["NO_STOP_LOSS"], "the venue says that it is as old as before"


def test_a_position_has_its_name_from_the_venue_once_that_has_told_it() -> None:
    scene = Scene()
    fill, position = scene.venue.buys(ES, 1, 5800)
    scene.feed(fill)
    (before,) = remembered(scene).positions.values()
    scene.venue.wait(5)
    scene.feed(position)
    (after,) = remembered(scene).positions.values()
    assert (before.position_id, after.position_id) == ("", "2")
    assert after.clocks == before.clocks


def test_without_an_opening_time_the_grace_begins_when_it_is_seen() -> None:
    scene = Scene()
    stated = scene.venue.position(ES, 1, 5800)
    scene.feed(replace(stated, position=replace(stated.position, opened_ns=0)))
    (watch,) = remembered(scene).positions.values()
    assert watch.clocks == (Clock(1, scene.engine.account.now_ns),)


@pytest.mark.parametrize("warn_s", [None, 10])
def test_wakes_just_after_the_next_time_that_matters(warn_s: int | None) -> None:
    scene = Scene(warn_after_seconds=warn_s) if warn_s else Scene()
    opened_ns = begun(scene)
    own = rule(warn_after_seconds=warn_s) if warn_s else rule()
    watch = remembered(scene).positions[ES.id]
    warn_ns, due_ns = opened_ns + 10 * SECOND_NS, opened_ns + 30 * SECOND_NS
    first_ns = (warn_ns if warn_s else due_ns) + 1
    for seen_ns, expected in (
        (opened_ns, first_ns),
        (first_ns - 1, first_ns),
        (first_ns, due_ns + 1 if warn_s else None),
        (due_ns, due_ns + 1),
        (due_ns + 1, None),
    ):
        assert own.deadline_ns(Watches({ES.id: watch}, True, seen_ns)) == expected
    assert own.deadline_ns(Watches({ES.id: replace(watch, is_exempt=True)}, True, opened_ns)) is None


def test_warns_after_the_time_and_not_at_it() -> None:
    scene = Scene(warn_after_seconds=10)
    scene.venue.now_ns = begun(scene) + 10 * SECOND_NS - 1
    scene.feed(scene.venue.timer())
    assert scene.warnings == []
    scene.feed(scene.venue.timer())
    assert len(scene.warnings) == 1


def test_the_clock_that_ran_out_first_counts() -> None:
    scene = Scene(grace_on_removal_seconds=5)
    scene.long(2)
    stop = scene.stop(1)
    scene.at(20)
    scene.ends(stop)
    scene.at(32)
    assert [(breach.measured, breach.limit) for breach in scene.breaches] == [(12, 5)]


def test_a_list_without_positions_shows_no_account() -> None:
    scene = Scene()
    unseen = replace(scene.venue.snapshot(), positions=None)
    account = scene.engine.account
    assert rule().step(Watches(), unseen, account) == (Watches(), ())
    assert rule().step(Watches(), scene.venue.timer(), account) == (Watches(), ())
    assert rule().step(Watches(), scene.venue.snapshot(), account) == (Watches({}, True, account.now_ns), ())


# -- what is said -----------------------------------------------------------------------------------------------------


def test_says_how_long_and_how_much_is_bare() -> None:
    scene = Scene(warn_after_seconds=10, action="alert")
    opened_ns = begun(scene, 4)
    first, second = scene.stop(1), scene.stop(1)
    scene.at((opened_ns - START_NS) / SECOND_NS + 12.5)
    evidence = (("position", "4"), ("without_stop", "2"), ("stops", f"{first}, {second}"))
    scope = Scope(contract_id=ES.id)
    assert scene.findings == [Warning("no_stop_loss_grace", "NO_STOP_LOSS_YET", 12, 30, Unit.SECONDS, scope, evidence)]
    scene.at((opened_ns - START_NS) / SECOND_NS + 30.5)
    assert scene.breaches == [
        Breach("no_stop_loss_grace", "NO_STOP_LOSS", 31, 30, Unit.SECONDS, scope, evidence=evidence)
    ]


def test_says_that_there_is_no_stop_at_all() -> None:
    scene = Scene()
    begun(scene)
    scene.at(31)
    assert scene.breaches[0].evidence == (("position", "1"), ("without_stop", "1"), ("stops", "none"))


@pytest.mark.parametrize(
    ("loss_side", "ordered", "reasons"), [(True, True, [ES.id]), (True, False, []), (False, True, [])]
)
def test_says_what_it_cannot_judge_only_where_it_has_to(*, loss_side: bool, ordered: bool, reasons: list[str]) -> None:
    venue = Scenario(step_ns=1)
    venue.contracts = ()
    scene = Scene(venue=venue, require_loss_side=loss_side)
    begun(scene)
    if ordered:
        scene.stop()
    assert scene.skipped == [Skipped("no_stop_loss_grace", f"entry_unknown {one}") for one in reasons]


def test_shows_the_clock_that_runs_out_first() -> None:
    scene = Scene(grace_on_removal_seconds=5)
    assert scene.gauges == [Gauge("without a stop", 0, 30, Unit.SECONDS)]
    begun(scene)
    scene.at(10)
    assert scene.gauges == [Gauge("without a stop", 10, 30, Unit.SECONDS)]
    scene.feed(scene.venue.buys(MNQ, 1, 21_000))
    scene.feed(scene.venue.order(MNQ, Side.SELL, 1, stop=20_900, order_id="stop"))
    scene.feed(scene.venue.order(MNQ, Side.SELL, 1, stop=20_900, order_id="stop", status=OrderStatus.CANCELLED))
    scene.at(12)
    assert scene.gauges == [Gauge("without a stop", 1, 5, Unit.SECONDS)]


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"warn_after_seconds": 30}, "warn_after_seconds: must be shorter than grace_period_seconds"),
        ({"accept_types": []}, "accept_types: must name at least one: stop, stop_limit, trailing"),
        (
            {"require_within_seconds": 9, "warn_after_seconds": 9},
            "warn_after_seconds: is said more than once, also as require_within_seconds",
        ),
    ],
)
def test_says_what_is_to_be_corrected(options: dict[str, Any], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        rule(**options)
    assert [str(one) for one in refused.value.faults] == [fault]
