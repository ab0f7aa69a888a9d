"""The ledger of what was watched."""

import pytest

from risk_manager.domain.coverage import Cover, Gap
from risk_manager.domain.events import ConnectionChanged, Link
from risk_manager.runtime.coverage import MOST_GAPS, Coverage
from risk_manager.runtime.status import account_status
from tests.runtime.guard_scene import GuardScene

S = 1_000_000_000
COVERED, DEGRADED, BLIND = Cover.COVERED, Cover.DEGRADED, Cover.BLIND


def test_keeps_what_was_missing_from_when_to_when() -> None:
    coverage = Coverage()
    for at_s, cover, cause in (
        (10, BLIND, "starting"),
        (12, COVERED, ""),
        (20, DEGRADED, "market_hub: gone"),
        (21, DEGRADED, "market_hub: gone"),
        (25, BLIND, "rest: gone; user_hub: gone"),
        (26, COVERED, ""),
        (27, COVERED, ""),
        (40, DEGRADED, "journal: full"),
    ):
        coverage.see(cover, cause, at_s * S)
    assert coverage.gaps == (
        Gap(10 * S, 12 * S, BLIND, "starting"),
        Gap(20 * S, 25 * S, DEGRADED, "market_hub: gone"),
        Gap(25 * S, 26 * S, BLIND, "rest: gone; user_hub: gone"),
        Gap(40 * S, None, DEGRADED, "journal: full"),
    )


@pytest.mark.parametrize(
    ("since_s", "until_s", "blind_s", "degraded_s"),
    [(0, 60, 5, 30), (11, 60, 4, 30), (13, 26, 0, 6), (25, 51, 3, 16), (12, 20, 0, 0), (70, 80, 0, 10)],
)
def test_says_how_long_of_a_time_was_missed(since_s: int, until_s: int, blind_s: int, degraded_s: int) -> None:
    coverage = Coverage()
    for at_s, cover in ((10, BLIND), (12, COVERED), (20, DEGRADED), (30, COVERED), (30, BLIND), (33, COVERED)):
        coverage.see(cover, "", at_s * S)
    coverage.see(DEGRADED, "", 40 * S)
    assert coverage.missed_ns(BLIND, since_s * S, until_s * S) == blind_s * S
    assert coverage.missed_ns(DEGRADED, since_s * S, until_s * S) == degraded_s * S


def test_the_time_without_the_program_is_a_gap() -> None:
    known = (Gap(10 * S, 12 * S, BLIND, "starting"), Gap(20 * S, None, DEGRADED, "market_hub: gone"))
    coverage = Coverage(known, alive_ns=30 * S)
    coverage.see(BLIND, "starting", 90 * S)
    coverage.see(COVERED, "", 91 * S)
    assert coverage.gaps[1:] == (
        Gap(20 * S, 30 * S, DEGRADED, "market_hub: gone"),
        Gap(30 * S, 90 * S, BLIND, "not running"),
        Gap(90 * S, 91 * S, BLIND, "starting"),
    )


def test_a_gap_stays_open_where_nothing_tells_when_the_program_last_ran() -> None:
    coverage = Coverage((Gap(1_000 * S, None, BLIND, "rest: down"),))
    coverage.see(BLIND, "starting", 9_000 * S)
    assert coverage.gaps == (
        Gap(1_000 * S, 9_000 * S, BLIND, "rest: down"),
        Gap(9_000 * S, None, BLIND, "starting"),
    )


@pytest.mark.parametrize(("ended_s", "ran_until_s"), [(None, 20), (29, 30), (30, 30), (31, 31)])
def test_a_gap_is_a_sign_of_life_itself(ended_s: int | None, ran_until_s: int) -> None:
    alive_s, ended_ns = (10, None) if ended_s is None else (30, ended_s * S)
    coverage = Coverage((Gap(20 * S, ended_ns, DEGRADED, "market_hub: gone"),), alive_ns=alive_s * S)
    coverage.see(COVERED, "", 90 * S)
    # Two gaps have two beginnings.
    since_ns = ran_until_s * S + (ended_s is None)
    assert coverage.gaps[-1] == Gap(since_ns, 90 * S, BLIND, "not running")


def test_a_program_that_never_ran_has_missed_nothing() -> None:
    assert Coverage().gaps == ()


def test_a_clock_that_is_set_back_makes_no_negative_gap() -> None:
    coverage = Coverage()
    coverage.see(BLIND, "starting", 100 * S)
    coverage.see(DEGRADED, "market_hub: gone", 50 * S)
    coverage.see(COVERED, "", 60 * S)
    first, second = coverage.gaps
    assert (first.began_ns, first.ended_ns) == (100 * S, 100 * S)
    assert (second.began_ns, second.ended_ns) == (100 * S + 1, 100 * S + 1)


def test_says_again_what_has_changed_since_it_was_saved() -> None:
    coverage = Coverage()
    coverage.see(BLIND, "starting", 10 * S)
    begun = coverage.unsaved
    coverage.see(COVERED, "", 12 * S)
    coverage.saved(begun)
    changed = coverage.unsaved
    assert changed == (Gap(10 * S, 12 * S, BLIND, "starting"),)
    coverage.saved(changed)
    assert not coverage.unsaved


def test_holds_no_more_than_it_should() -> None:
    coverage = Coverage()
    for at_s in range(MOST_GAPS + 10):
        coverage.see(DEGRADED, f"cause {at_s}", at_s * S)
    assert len(coverage.gaps) == MOST_GAPS
    assert coverage.gaps[-1].cause == f"cause {MOST_GAPS + 9}"


async def test_a_guard_tells_saves_and_goes_on_with_its_gaps() -> None:
    scene = GuardScene()
    await scene.start()
    assert [(gap.cover, gap.cause) for gap in scene.guard.coverage.gaps] == [(BLIND, "starting")]

    down_ns = scene.clock.now_ns()
    await scene.feed(ConnectionChanged(scene.story.account_id, Link.USER_HUB, False, "silent for 35 s", 0, down_ns))
    scene.story.wait(7)
    up_ns = scene.clock.now_ns()
    await scene.feed(ConnectionChanged(scene.story.account_id, Link.USER_HUB, True, "", 0, up_ns))
    assert scene.guard.coverage.gaps[-1] == Gap(down_ns, up_ns, DEGRADED, "user_hub: silent for 35 s")
    told = account_status(scene.guard, scene.clock.now_ns()).coverage
    assert (told.degraded_s, [gap.seconds for gap in told.gaps][-1]) == (7.0, 7.0)

    await scene.guard.stop()
    assert scene.journal.gaps[down_ns].ended_ns == up_ns
    alive_ns = scene.guard.engine.account.received_ns
    scene.story.wait(60)
    await scene.start()
    not_running = scene.guard.coverage.gaps[-2]
    assert (not_running.began_ns, not_running.cause) == (alive_ns, "not running")
    assert not_running.ended_ns is not None
    assert not_running.ended_ns - alive_ns >= 60 * S
