"""What is stricter is in force at once, what is looser with the next trading day, over restarts too."""

from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from structlog.testing import capture_logs

from risk_manager.domain.trading_day import TradingDay
from risk_manager.rules import RULES, MaxContracts, Remedy, Rule, build_rules, options_of
from risk_manager.runtime.rules_in_force import RulesInForce, Waiting, days_under_way
from risk_manager.testing.events import DAYS, HOUR_NS, MES
from tests.runtime.guard_scene import GuardScene

MONDAY, TUESDAY, WEDNESDAY = (DAYS.day_of(DAYS.starts_ns[number]) for number in range(3))


def rules(limit: int, **others: Any) -> tuple[Rule, ...]:
    return build_rules({"max_contracts": {"limit": limit}, **others})


def opened(folder: Path, wanted: tuple[Rule, ...], reset: str = "17:00") -> RulesInForce:
    return RulesInForce(folder, "1001", wanted, RULES, reset=reset)


def moved(day: TradingDay, **parts: Any) -> TradingDay:
    return msgspec.structs.replace(day, **parts)


def limit(in_force: RulesInForce) -> object:
    return options_of(in_force.rules[0])["limit"]


def test_begins_with_what_is_wanted(tmp_path: Path) -> None:
    in_force = opened(tmp_path, rules(5))
    assert (in_force.rules, in_force.waiting) == (rules(5), ())


def test_lets_a_looser_limit_wait_for_another_day(tmp_path: Path) -> None:
    in_force = opened(tmp_path, rules(5))
    in_force.see_day(MONDAY)
    in_force.offer(rules(9))
    assert (limit(in_force), [one.option for one in in_force.waiting]) == (5, ["limit"])
    assert not in_force.see_day(MONDAY)
    assert in_force.see_day(TUESDAY)
    assert (limit(in_force), in_force.waiting) == (9, ())


def test_takes_a_change_back_before_it_was_in_force(tmp_path: Path) -> None:
    in_force = opened(tmp_path, rules(5))
    in_force.see_day(MONDAY)
    in_force.offer(rules(9))
    in_force.offer(rules(4))
    assert (limit(in_force), in_force.waiting) == (4, ())
    assert not in_force.see_day(TUESDAY)
    assert limit(in_force) == 4


@pytest.mark.parametrize(
    ("day", "then"),
    [
        (TUESDAY, 5),
        (WEDNESDAY, 9),
        (MONDAY, 5),
        # By another reset: of the same date, or begun before the other is over.
        (moved(TUESDAY, start_ns=TUESDAY.start_ns + 1), 5),
        (moved(TUESDAY, start_ns=TUESDAY.end_ns), 5),
        (moved(WEDNESDAY, start_ns=TUESDAY.end_ns - 1), 5),
        (moved(WEDNESDAY, start_ns=TUESDAY.end_ns + 1), 9),
    ],
)
def test_a_limit_raised_while_the_guard_was_stopped_waits_too(tmp_path: Path, day: TradingDay, then: int) -> None:
    opened(tmp_path, rules(5)).see_day(TUESDAY)
    again = opened(tmp_path, rules(9))
    assert (limit(again), [one.option for one in again.waiting]) == (5, ["limit"])
    again.see_day(day)
    assert limit(again) == then


def test_a_limit_lowered_while_the_guard_was_stopped_is_in_force(tmp_path: Path) -> None:
    opened(tmp_path, rules(5)).see_day(MONDAY)
    assert limit(opened(tmp_path, rules(4))) == 4


def test_a_limit_lowered_while_the_guard_was_stopped_cannot_be_raised_by_stopping_it_again(tmp_path: Path) -> None:
    opened(tmp_path, rules(5)).see_day(MONDAY)
    opened(tmp_path, rules(4))
    assert limit(opened(tmp_path, rules(5))) == 4


def test_another_reset_waits_with_the_rules_and_is_told(tmp_path: Path) -> None:
    opened(tmp_path, rules(5)).see_day(MONDAY)
    for _ in range(2):
        again = opened(tmp_path, rules(5), reset="14:25")
        assert again.waiting == (Waiting("reset", "", "17:00", "14:25"),)
    assert opened(tmp_path, rules(5)).waiting == ()
    assert not again.see_day(MONDAY)
    assert again.see_day(TUESDAY)
    assert again.waiting == ()
    assert opened(tmp_path, rules(5), reset="14:25").waiting == ()


def test_tells_the_days_under_way_as_they_were_to_end(tmp_path: Path) -> None:
    assert days_under_way(tmp_path) == ()
    opened(tmp_path, rules(5)).offer(rules(4))
    assert days_under_way(tmp_path) == ()
    opened(tmp_path, rules(5)).see_day(MONDAY)
    RulesInForce(tmp_path, "1002", rules(5), RULES).see_day(TUESDAY)
    (tmp_path / "rules" / "1003.json").write_bytes(b"torn")
    with capture_logs() as said:
        assert days_under_way(tmp_path) == (MONDAY, TUESDAY)
    assert [line["log_level"] for line in said] == ["critical"]


def test_keeps_rules_in_force_whose_day_an_older_version_has_not_written(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "1001.json").write_text(
        '{"trading_day": "2025-01-13", "sections": {"max_contracts": {"limit": 5}}}'
    )
    in_force = opened(tmp_path, rules(9))
    assert (limit(in_force), days_under_way(tmp_path)) == (5, ())
    assert not in_force.see_day(MONDAY)
    assert in_force.see_day(TUESDAY)
    assert limit(in_force) == 9


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path, rules(5, symbol_blocks={"blocked_symbols": ["CL"]}))
    first.see_day(MONDAY)
    first.offer(rules(9))
    again = opened(tmp_path, rules(9))
    assert again.rules == first.rules
    assert again.waiting == first.waiting


def test_keeps_rules_of_each_account_apart(tmp_path: Path) -> None:
    opened(tmp_path, rules(5)).see_day(MONDAY)
    assert RulesInForce(tmp_path, "1002", rules(9), RULES).waiting == ()


def test_knows_a_rule_again_that_came_as_an_object(tmp_path: Path) -> None:
    class Mine(MaxContracts, frozen=True, kw_only=True):
        name: ClassVar[str] = "mine"

    opened(tmp_path, (Mine(limit=5),)).see_day(MONDAY)
    again = opened(tmp_path, (Mine(limit=9),))
    assert again.rules == (Mine(limit=5),)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"trading_day": 5}'])
def test_says_so_when_the_record_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    in_force = opened(tmp_path, rules(5))
    in_force.see_day(MONDAY)
    (file,) = (tmp_path / "rules").iterdir()
    file.write_bytes(content)
    with capture_logs() as said:
        again = opened(tmp_path, rules(9))
    assert (again.rules, [line["log_level"] for line in said]) == (rules(9), ["critical"])


def test_says_so_when_a_rules_code_is_gone(tmp_path: Path) -> None:
    class Mine(MaxContracts, frozen=True, kw_only=True):
        name: ClassVar[str] = "mine"

    opened(tmp_path, (Mine(limit=5),)).see_day(MONDAY)
    with capture_logs() as said:
        again = opened(tmp_path, rules(9))
    assert [line["event"] for line in said] == ["rule cannot be kept in force"]
    assert [rule.name for rule in again.rules] == ["max_contracts"]


def test_says_so_when_changed_code_fails_at_the_settings_in_force(tmp_path: Path) -> None:
    class Mine(MaxContracts, frozen=True, kw_only=True):
        name: ClassVar[str] = "mine"
        least: ClassVar[int] = 1

        @property
        def remedy(self) -> Remedy:
            if self.limit < self.least:
                raise ValueError(f"less than {self.least}")
            return super().remedy

    opened(tmp_path, (Mine(limit=5),)).see_day(MONDAY)
    Mine.least = 6
    with capture_logs() as said:
        again = opened(tmp_path, (Mine(limit=9),))
    assert again.rules == (Mine(limit=9),)
    assert [(line["event"], line["error"]) for line in said] == [
        ("rule cannot be kept in force", "fails before the first event: ValueError: less than 6")
    ]


def test_guards_on_when_the_disk_refuses(tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("not a folder")
    with capture_logs() as said:
        in_force = opened(tmp_path, rules(5))
        in_force.see_day(MONDAY)
        in_force.offer(rules(4))
    assert limit(in_force) == 4
    assert {line["log_level"] for line in said} == {"critical"}


class TestGuard:
    """The same through a guard: events, lockouts, the venue's day."""

    async def scene(self, folder: Path, wanted: tuple[Rule, ...]) -> GuardScene:
        scene = GuardScene()
        await scene.start(rules=wanted, in_force=opened(folder, wanted))
        return scene

    async def test_enforces_a_stricter_limit_on_what_is_held(self, tmp_path: Path) -> None:
        scene = await self.scene(tmp_path, rules(5))
        await scene.feed(scene.story.buys(MES, 4, 5800))
        assert scene.sent() == []
        scene.guard.change_rules(rules(3), "2")
        await scene.feed()
        assert scene.sent()[:1] == ["ReducePosition"]
        await scene.guard.stop()

    async def test_lets_a_looser_limit_wait_and_unlocks_nothing(self, tmp_path: Path) -> None:
        locking = build_rules({"max_contracts": {"limit": 3, "action": "flatten", "lockout": "7h"}})
        scene = await self.scene(tmp_path, locking)
        await scene.feed(scene.story.buys(MES, 4, 5800))
        (before,) = scene.guard.engine.account.lockouts
        scene.guard.change_rules(rules(9), "2")
        await scene.feed(scene.story.snapshot())
        assert scene.guard.engine.rules == locking
        assert [one.option for one in scene.guard.waiting_rules] == ["limit", "action", "lockout"]
        scene.story.now_ns += 24 * HOUR_NS
        scene.guard.engine.account.lockouts = (msgspec.structs.replace(before, until_ns=None),)
        await scene.feed(scene.story.snapshot())
        assert (scene.guard.engine.rules, scene.guard.waiting_rules) == (rules(9), ())
        assert len(scene.guard.engine.account.lockouts) == 1
        await scene.guard.stop()

    async def test_a_looser_limit_waits_that_came_before_the_venue_told_the_day(self, tmp_path: Path) -> None:
        opened(tmp_path, rules(5)).see_day(DAYS.day_of(GuardScene().story.now_ns))
        scene = GuardScene()
        await scene.recover(rules=rules(5), in_force=opened(tmp_path, rules(5)))
        scene.guard.start()
        scene.guard.change_rules(rules(9), "2")
        await scene.feed(scene.story.snapshot())
        assert scene.guard.engine.rules == rules(5)
        assert [one.option for one in scene.guard.waiting_rules] == ["limit"]
        await scene.guard.stop()

    async def test_a_looser_limit_waits_that_came_with_the_first_quote_of_a_day(self, tmp_path: Path) -> None:
        scene = await self.scene(tmp_path, rules(5))
        scene.story.now_ns += 24 * HOUR_NS
        await scene.feed(scene.story.quote(MES, 5800))
        scene.guard.change_rules(rules(9), "2")
        await scene.feed(scene.story.snapshot())
        assert scene.guard.engine.rules == rules(5)
        await scene.guard.stop()

    async def test_takes_a_new_rule_at_once(self, tmp_path: Path) -> None:
        scene = await self.scene(tmp_path, rules(5))
        await scene.feed(scene.story.buys(MES, 2, 5800))
        scene.guard.change_rules(rules(5, symbol_blocks={"blocked_symbols": ["MES"], "close_existing": True}), "2")
        await scene.feed()
        assert [intent.rule for intent in scene.guard.engine.enforcer.open_intents] == ["symbol_blocks"]
        await scene.guard.stop()

    async def test_changes_rules_in_the_order_of_events(self, tmp_path: Path) -> None:
        """Two changes while a decision is being committed: the last one is in force."""
        scene = await self.scene(tmp_path, rules(5))
        scene.deliver(scene.story.buys(MES, 6, 5800))
        scene.guard.change_rules(rules(4), "2")
        scene.guard.change_rules(rules(2), "3")
        await scene.feed()
        assert scene.guard.engine.rules == rules(2)
        await scene.guard.stop()
