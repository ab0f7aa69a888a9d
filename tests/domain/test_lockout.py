"""Lockouts of one key join to the stricter, in whatever order they come."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.lockout import Held, Lockout, LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope


def lockout(
    until_ns: int | None = 10,
    on_lock: OnLock = OnLock.FLATTEN,
    scope: Scope = ACCOUNT,
    allowed: dict[str, int] | None = {},  # noqa: B006  # read only
) -> Lockout:
    held = None if allowed is None else tuple(Held(key, net) for key, net in sorted(allowed.items()))
    is_flat = on_lock is OnLock.FLATTEN
    return Lockout(
        "1", scope, "r", LockoutKind.HARD, on_lock, "LIMIT", 1, until_ns, "2025-01-15", "i", () if is_flat else held
    )


allowances = st.none() | st.dictionaries(st.sampled_from(["ES", "NQ"]), st.sampled_from([-2, -1, 1, 2]))
lockouts = st.builds(lockout, st.none() | st.integers(0, 5), st.sampled_from(OnLock), st.just(ACCOUNT), allowances)


@pytest.mark.parametrize(
    ("one", "other", "until_ns", "on_lock"),
    [
        (lockout(10), lockout(20), 20, OnLock.FLATTEN),
        (lockout(20), lockout(10), 20, OnLock.FLATTEN),
        (lockout(20), lockout(None), None, OnLock.FLATTEN),  # None is the latest of all
        (lockout(None), lockout(20), None, OnLock.FLATTEN),
        (lockout(10, OnLock.BLOCK_NEW), lockout(5), 10, OnLock.FLATTEN),
        (lockout(10), lockout(20, OnLock.BLOCK_NEW), 20, OnLock.FLATTEN),
        (lockout(10, OnLock.BLOCK_NEW), lockout(20, OnLock.BLOCK_NEW), 20, OnLock.BLOCK_NEW),
        (lockout(0), lockout(0), 0, OnLock.FLATTEN),
    ],
)
def test_joins_to_the_stricter(one: Lockout, other: Lockout, until_ns: int | None, on_lock: OnLock) -> None:
    joined = one.joined(other)
    assert (joined.until_ns, joined.on_lock) == (until_ns, on_lock)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({"ES": 3}, {"ES": 2}, {"ES": 2}),
        ({"ES": 2}, {"ES": 3}, {"ES": 2}),
        ({"ES": -3}, {"ES": -2}, {"ES": -2}),
        ({"ES": 3}, {"ES": -2}, {}),
        ({"ES": 3, "NQ": 1}, {"NQ": 2}, {"NQ": 1}),
        ({"ES": 3}, {}, {}),
        (None, {"ES": 3}, {"ES": 3}),
        ({"ES": 3}, None, {"ES": 3}),
        (None, None, None),
    ],
)
def test_allows_what_both_allow(
    one: dict[str, int] | None, other: dict[str, int] | None, both: dict[str, int] | None
) -> None:
    held = [lockout(10, OnLock.BLOCK_NEW, allowed=allowed) for allowed in (one, other, both)]
    assert held[0].joined(held[1]) == held[2]


@pytest.mark.parametrize(
    ("untold_ns", "told_ns", "until_ns"),
    [(0, 50, 50), (7_200, 50, 50), (7_200, None, None), (None, 50, None)],
)
def test_an_end_is_that_of_the_one_that_knows_the_time(
    untold_ns: int | None, told_ns: int | None, until_ns: int | None
) -> None:
    """While `set_ns` is 0 the end is counted from a time nobody has told yet; compared, it would mean 1970 or 2082."""
    untold, told = msgspec.structs.replace(lockout(untold_ns), set_ns=0), lockout(told_ns)
    for joined in (untold.joined(told), told.joined(untold)):
        assert (joined.set_ns, joined.until_ns) == (1, until_ns)


@pytest.mark.parametrize(
    ("set_ns", "until_ns", "end_ns"),
    [(0, 0, None), (0, 7_200, None), (0, None, None), (1, 7_200, 7_200), (1, None, None)],
)
def test_an_end_is_known_once_the_time_is(set_ns: int, until_ns: int | None, end_ns: int | None) -> None:
    assert msgspec.structs.replace(lockout(until_ns), set_ns=set_ns).end_ns == end_ns


def test_allows_nothing_where_one_of_them_flattens() -> None:
    joined = lockout(10, OnLock.BLOCK_NEW, allowed=None).joined(lockout(10))
    assert joined.allowed == ()


@given(lockouts, lockouts, lockouts)
def test_is_a_join(one: Lockout, other: Lockout, third: Lockout) -> None:
    assert one.joined(one) == one
    assert one.joined(other) == other.joined(one)
    assert one.joined(other).joined(third) == one.joined(other.joined(third))
    assert one.joined(other).joined(other) == one.joined(other)


def test_joins_only_what_has_one_key() -> None:
    with pytest.raises(AssertionError):
        lockout().joined(lockout(scope=Scope(root="ES")))
    with pytest.raises(AssertionError):
        lockout().joined(msgspec.structs.replace(lockout(), rule="other"))
