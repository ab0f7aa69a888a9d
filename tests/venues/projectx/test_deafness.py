from collections.abc import Sequence

import pytest

from risk_manager.domain.events import Link, SnapshotTaken
from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import Position
from risk_manager.venues.projectx.deafness import Deafness
from tests.venues.projectx.fake_gateway import ACCOUNT, SECOND_NS, START_NS


class Desk:
    def __init__(self) -> None:
        self.reopened: list[Link] = []
        self.deafness = Deafness(lambda link, sign: self.reopened.append(link), START_NS)


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def taken(
    at_s: float, *, order_s: float | None = None, position_s: float | None = None, fill_s: float | None = None
) -> SnapshotTaken:
    """A snapshot with something of each kind that began then; None: nothing of the kind, or the part is unknown."""
    orders = positions = fills = None
    if order_s is not None:
        orders = (Order("1", "ES", Side.BUY, OrderType.LIMIT, OrderStatus.WORKING, 1, created_ns=at(order_s)),)
    if position_s is not None:
        positions = (Position("ES", 1, 0, "2", at(position_s)),)
    if fill_s is not None:
        fills = (Fill("3", "1", "ES", Side.BUY, 1, 1, at(fill_s), None, 0),)
    return SnapshotTaken(ACCOUNT, None, positions, orders, fills, 0, (), at(at_s), 0, at(at_s))


@pytest.mark.parametrize("kind", ["order_s", "position_s", "fill_s"])
@pytest.mark.parametrize(
    ("told_s", "begun_s", "at_s", "is_deaf"),
    [
        (0, 10, 14.999999999, False),
        (0, 10, 15, True),
        (0, 10, 300, True),
        # The venue's time is known to about a second.
        (8, 10, 300, False),
        (7.999999999, 10, 300, True),
        (10, 10, 300, False),
        (0, -3600, 300, False),
    ],
)
def test_a_stream_is_deaf_that_has_told_nothing_since_something_began(
    kind: str, told_s: float, begun_s: float, at_s: float, is_deaf: bool
) -> None:
    desk = Desk()
    desk.deafness.told(ACCOUNT, at(told_s))
    desk.deafness.look_for_untold(taken(at_s, **{kind: begun_s}), at(at_s))
    assert desk.reopened == ([Link.USER_HUB] if is_deaf else [])


def test_a_snapshot_without_lists_shows_nothing() -> None:
    desk = Desk()
    desk.deafness.told(ACCOUNT, at(0))
    desk.deafness.look_for_untold(taken(300), at(300))
    assert desk.reopened == []


def test_reopens_a_hub_at_most_once_a_minute() -> None:
    desk, reopened_at = Desk(), []
    desk.deafness.told(ACCOUNT, at(0))
    for second in range(200):
        before = len(desk.reopened)
        desk.deafness.look_for_untold(taken(second, fill_s=5), at(second))
        reopened_at += [second] * (len(desk.reopened) - before)
    assert reopened_at == [10, 70, 130, 190]


@pytest.mark.parametrize(
    ("quoted_s", "reopened_at"),
    [
        # Never: at 45 s, and then ever more rarely, at last once in ten minutes.
        ([], [45, 135, 315, 675, 1275, 1875, 2475]),
        (range(0, 3000, 44), []),
        (range(0, 3000, 45), []),
        # A market that falls silent in the end.
        (range(2000), [2044, 2134, 2314, 2674]),
        # One that is quoted once after it was opened anew is listened to as closely as before.
        ([500], [45, 135, 315, 545, 635, 815, 1175, 1775, 2375, 2975]),
        # One quote in a while: no more often than once a minute.
        (range(0, 300, 50), [45, 145, 245, 385, 565, 925, 1525, 2125, 2725]),
    ],
)
def test_a_market_is_deaf_that_quotes_nothing_of_what_is_held(quoted_s: Sequence[int], reopened_at: list[int]) -> None:
    desk, found, last_ns = Desk(), [], 0
    for second in range(3000):
        if second in quoted_s:
            last_ns = at(second)
        before = len(desk.reopened)
        desk.deafness.look_for_unquoted([0, last_ns], at(second))
        found += [second] * (len(desk.reopened) - before)
    assert found == reopened_at
    assert set(desk.reopened) <= {Link.MARKET_HUB}


def test_expects_no_quotes_while_nothing_is_held() -> None:
    desk = Desk()
    for second in range(600):
        desk.deafness.look_for_unquoted([], at(second))
    assert desk.reopened == []
    desk.deafness.look_for_unquoted([0], at(643.9))
    assert desk.reopened == []
    desk.deafness.look_for_unquoted([0], at(644))
    assert desk.reopened == [Link.MARKET_HUB]
