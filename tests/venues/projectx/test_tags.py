"""From an action's id to the order's customTag, and from what the venue shows back to whose order it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.enforcement.protection import is_own
from risk_manager.venues.projectx.problems import Problems
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.tags import LENGTH_MAX, Tags
from tests.venues.projectx.fake_gateway import wired
from tests.venues.projectx.test_venue import order

ACCOUNT = "20000001"
MARK = "0a1b2c3d"
TAGS = Tags(MARK)

marks = st.text("0123456789abcdef", min_size=8, max_size=8)
numbers = st.integers(min_value=1, max_value=10**60)
ids = st.builds(lambda decision, number: f"{ACCOUNT}-{decision}.{number}", numbers, st.integers(1, 999))
short_ids = ids.filter(lambda action_id: len(action_id) <= LENGTH_MAX - 9)


@pytest.mark.parametrize(
    ("action_id", "custom_tag"),
    [
        ("20000001-7.1", "20000001-7.1-0a1b2c3d"),
        ("20000001-1234567.12", "20000001-1234567.12-0a1b2c3d"),
        # 51 characters are left for the id.
        (f"{ACCOUNT}-{'1' * 40}.1", f"{ACCOUNT}-{'1' * 40}.1-0a1b2c3d"),
        (f"{ACCOUNT}-{'1' * 41}.1", f"{ACCOUNT}-7599634272084287146.0-0a1b2c3d"),
        (f"{ACCOUNT}-{'1' * 41}.2", f"{ACCOUNT}-12132728339354260500.0-0a1b2c3d"),
    ],
)
def test_marks_the_id_and_keeps_within_the_length_that_is_known_to_pass(action_id: str, custom_tag: str) -> None:
    assert TAGS.of(action_id) == custom_tag
    assert len(custom_tag) <= 60


@pytest.mark.parametrize(
    ("custom_tag", "read", "owns"),
    [
        ("20000001-7.1-0a1b2c3d", "20000001-7.1", True),  # this run's
        ("20000001-7.1-ffffffff", "20000001-7.1-ffffffff", True),  # an earlier run's, or another guard's
        ("20000001-7.1", "20000001-7.1-", True),  # placed before there were marks
        ("20000001-7599634272084287146.0-0a1b2c3d", "20000001-7599634272084287146.0", True),
        ("20000001-7599634272084287146.0-ffffffff", "20000001-7599634272084287146.0-ffffffff", True),
        ("20000002-7.1-0a1b2c3d", "20000002-7.1", False),  # another account's
        ("20000002-7.1", "20000002-7.1-", False),
        ("2000000-7.1", "2000000-7.1-", False),
        ("20000001-7", "20000001-7", False),
        ("20000001-7-0a1b2c3d", "20000001-7", False),
        ("20000001-7.", "20000001-7.", False),
        ("20000001-.1", "20000001-.1", False),
        ("20000001-x.1", "20000001-x.1", False),
        ("20000001-7.x-0a1b2c3d", "20000001-7.x", False),
        ("glt-1", "glt-1", False),
        ("glt-1-SL", "glt-1-SL", False),
        ("", "", False),
        ("?", "?", False),
    ],
)
def test_tells_whose_an_order_is(custom_tag: str, read: str, *, owns: bool) -> None:
    found = Reader(Problems(lambda code, detail: None), TAGS).order(wired(order(customTag=custom_tag)), None)
    assert (found.tag, is_own(found, ACCOUNT)) == (read, owns)


def test_an_order_without_a_tag_is_nobody_s() -> None:
    found = Reader(Problems(lambda code, detail: None), TAGS).order(wired(order(customTag=None)), None)
    assert (found.tag, is_own(found, ACCOUNT)) == (None, False)


def bears(tag: str) -> Order:
    return Order("1", "ES", Side.SELL, OrderType.STOP, OrderStatus.WORKING, 1, tag=tag)


@given(short_ids, marks)
def test_reads_its_own_tags_as_the_ids_they_were_made_of(action_id: str, mark: str) -> None:
    assert Tags(mark).read(Tags(mark).of(action_id)) == action_id


@given(ids, marks, marks)
def test_every_guard_s_tag_is_short_enough_and_an_own_order_s_to_every_other(
    action_id: str, mark: str, other: str
) -> None:
    custom_tag = Tags(mark).of(action_id)
    assert len(custom_tag) <= LENGTH_MAX
    assert is_own(bears(Tags(other).read(custom_tag)), ACCOUNT)


@given(ids, ids, marks, marks)
def test_two_marks_never_give_one_tag_and_two_ids_under_one_mark_neither(
    one: str, another: str, mark: str, other: str
) -> None:
    assert (Tags(mark).of(one) == Tags(other).of(another)) == ((one, mark) == (another, other))


@given(ids, ids, marks, marks)
def test_what_another_run_placed_is_read_as_no_attempt_of_this_run_s(
    one: str, another: str, mark: str, other: str
) -> None:
    if mark != other:
        assert Tags(mark).read(Tags(other).of(one)) != another
    assert Tags(mark).read(one) != another
