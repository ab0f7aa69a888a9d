"""The long run in small: everything stays flat and is acted on, and a leak of each kind is told of."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.simulation import blind, footprint, leaks
from tests.simulation.footprint import Day, growths
from tests.simulation.soak import soak


def test_two_days_leave_nothing_broken_or_missed() -> None:
    said: list[str] = []
    assert soak(2, 2, 4, said.append) == 0, "\n".join(said)
    assert [line[:10] for line in said[:2]] == ["2026-03-02", "2026-03-03"]


def test_without_a_leak_nothing_grows() -> None:
    assert leaks.growing(None) == []


def test_a_leak_of_each_kind_is_told_of() -> None:
    assert set(leaks.growing(*leaks.LEAKS)) == {leak.breaks for leak in leaks.LEAKS}


@pytest.mark.parametrize("rule", ["velocity", "trade_frequency_limit"])
def test_a_rule_the_guard_does_not_see_broken_is_told_of(rule: str) -> None:
    assert blind.told_without(rule)


FLAT = Day("2026-03-02", 80.0, 40, 11, 28, 8.0, 4.0, 0.25, 0.002, 5.0, 10)


@pytest.mark.parametrize(
    ("name", "values", "is_flat"),
    [
        ("rss", [80 + 0.41 * day for day in range(30)], False),
        ("rss", [80 + 0.39 * day for day in range(30)], True),
        ("rss", [80 + 3 * min(day, 10) for day in range(30)], True),  # what is bounded has filled
        ("rss", [80 + 5 * (day > 24) for day in range(30)], True),  # a step
        ("rss", [80 + 0.1 * day + 3 * (day > 16) + 5 * (day > 19) for day in range(30)], True),  # two
        ("tasks", [40] * 5 + [45] * 25, True),
        ("tasks", [40] * 5 + [46] * 25, False),
        ("tasks", [40] * 27 + [90, 90, 45], True),
        ("descriptors", [11 + day for day in range(30)], False),
        ("connections", [28 + day for day in range(30)], False),
        ("journal", [min(day, 10) for day in range(30)], True),  # as it should: until the retention has passed
        ("journal", [10 + day for day in range(30)], False),
        ("recorder", [min(day, 10) for day in range(30)], True),
        ("recorder", [4.0] * 20 + [5.3] * 10, True),
        ("recorder", [4.0] * 20 + [5.5] * 10, False),
        ("recorded_days", [10] * 29 + [11], False),
        ("latch", [0.25] * 29 + [0.26], False),
        ("other", [0.002 + 0.001 * day for day in range(30)], False),
        ("log", [5.0] * 10 + [9.0] * 10 + [7.5] * 10, True),
        ("log", [5.0] * 20 + [7.6] * 10, False),
        ("log", [5.0] * 28 + [25.0] * 2, False),
    ],
)
def test_tells_growth_from_what_a_day_may_bring(name: str, values: list[Any], is_flat: bool) -> None:
    days = [replace(FLAT, **{name: value}) for value in values]
    named = {"rss": "memory", "recorded_days": "recorded days"}.get(name, name)
    assert {growth.name for growth in growths(days, 2) if not growth.is_flat} == (set() if is_flat else {named})


def test_says_nothing_of_a_run_that_is_too_short() -> None:
    days = [replace(FLAT, tasks=10 * day) for day in range(9)]
    assert growths(days[:8], 2) == []
    assert [growth.name for growth in growths(days, 2) if not growth.is_flat] == ["tasks", "recorded days"]


def test_keeps_a_third_of_a_run_and_ten_days_of_a_long_one() -> None:
    assert [footprint.kept_days(days) for days in (9, 29, 30, 31, 90)] == [3, 9, 10, 10, 10]
