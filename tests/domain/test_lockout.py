"""Lockouts of one key join to the stricter, in whatever order they come."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.domain.lockout import Lockout, LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope


def lockout(until_ns: int | None = 10, on_lock: OnLock = OnLock.FLATTEN, scope: Scope = ACCOUNT) -> Lockout:
    return Lockout("1", scope, "r", LockoutKind.HARD, on_lock, "LIMIT", 1, until_ns, "2025-01-15", "i")


lockouts = st.builds(lockout, st.none() | st.integers(0, 5), st.sampled_from(OnLock))


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
