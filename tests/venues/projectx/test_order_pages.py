"""Lists of orders in pages: complete, or unknown."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.venues.projectx.fake_gateway import ACCOUNT, Answer, ok, refused
from tests.venues.projectx.test_venue import ORDERS, Desk, order

Pages = Callable[[dict[str, Any]], Answer]


def rows(first: int, after: int) -> list[dict[str, Any]]:
    return [order(id=1 + number) for number in range(first, after)]


def serving(count: int, most: int = 500, *, counts_pages: bool = False, tells_total: bool = True) -> Pages:
    """A venue with so many orders, which refuses pages of more than `most` rows."""

    def answer(asked: dict[str, Any]) -> Answer:
        if asked["pageSize"] > most:
            return 400
        first = asked.get("pageOffset", 0) * (asked["pageSize"] if counts_pages else 1)
        page = rows(min(first, count), min(first + asked["pageSize"], count))
        return ok(orders=page, totalCount=count) if tells_total else ok(orders=page)

    return answer


async def read(desk: Desk) -> list[int] | None:
    """The orders read, counted from 0."""
    taken = await desk.venue.snapshot(ACCOUNT, full=False)
    return None if taken.orders is None else [int(order.id) - 1 for order in taken.orders]


def asked(desk: Desk) -> list[tuple[int, int]]:
    """(rows, offset) of every page asked for since the last time."""
    pages = [(body["pageSize"], body.get("pageOffset", 0)) for path, body, _ in desk.gateway.requests if path == ORDERS]
    desk.gateway.requests.clear()
    return pages


@pytest.mark.parametrize(
    ("venue", "expected", "first", "later"),
    [
        (serving(0), 0, [(500, 0)], [(500, 0)]),
        (serving(500), 500, [(500, 0)], [(500, 0)]),
        (serving(501), 501, [(500, 0), (500, 500)], [(500, 0), (500, 500)]),
        (serving(499, tells_total=False), 499, [(500, 0)], [(500, 0)]),
        (serving(150, 100), 150, [(500, 0), (100, 0), (100, 100)], [(100, 0), (100, 100)]),
        (
            serving(150, 100, counts_pages=True),
            150,
            [(500, 0), (100, 0), (100, 100), (100, 1)],
            [(100, 0), (100, 1)],
        ),
        (
            serving(100, 20),
            100,
            [(500, 0), (100, 0), (20, 0), (20, 20), (20, 40), (20, 60), (20, 80)],
            [(20, 0), (20, 20), (20, 40), (20, 60), (20, 80)],
        ),
    ],
)
async def test_reads_page_after_page(
    venue: Pages, expected: int, first: list[tuple[int, int]], later: list[tuple[int, int]]
) -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = venue
    for pages in (first, later):
        assert await read(desk) == list(range(expected))
        assert asked(desk) == pages


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([ok(orders=rows(0, 1), totalCount=2)], id="the venue never tells the rest"),
        pytest.param([ok(orders=rows(0, 2), totalCount=3), ok(orders=[], totalCount=2)], id="one went meanwhile"),
        pytest.param([ok(orders=rows(0, 2), totalCount=3), ok(orders=None, totalCount=3)], id="the rest is null"),
        pytest.param([ok(orders=rows(0, 2), totalCount=3), refused(1)], id="the rest is refused"),
        pytest.param([ok(orders=rows(0, 2), totalCount=3), 400], id="the offset is refused"),
        pytest.param([ok(orders=[*rows(0, 1), order(id=1)], totalCount=2)], id="one order twice"),
        pytest.param([ok(orders=rows(0, 500))], id="a full page without a count"),
        pytest.param([ok(orders=["x"], totalCount=1)], id="no rows"),
    ],
)
async def test_an_incomplete_list_is_unknown(answers: list[Answer]) -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = answers
    assert await read(desk) is None
    assert len(asked(desk)) <= 5


async def test_learns_again_what_the_offset_counts_after_it_was_wrong() -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = serving(501, counts_pages=True)
    assert await read(desk) == list(range(501))
    desk.gateway.answers[ORDERS] = serving(600)
    assert await read(desk) is None
    assert await read(desk) == list(range(600))


async def test_takes_pages_that_count_from_one() -> None:
    def answer(asked: dict[str, Any]) -> Answer:
        page = asked.get("pageOffset", 1) - 1
        return ok(orders=rows(500 * page, min(500 * page + 500, 900)) if page < 2 else [], totalCount=900)

    desk = Desk()
    desk.gateway.answers[ORDERS] = answer
    for _ in range(2):
        assert await read(desk) == list(range(900))
    assert [offset for _, offset in asked(desk)] == [0, 500, 1, 2, 0, 1, 2]


async def test_takes_an_order_that_came_meanwhile() -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = [ok(orders=rows(0, 2), totalCount=3), ok(orders=rows(2, 4), totalCount=4)]
    assert await read(desk) == [0, 1, 2, 3]
