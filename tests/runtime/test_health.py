"""The one word for the state of a guard."""

import pytest

from risk_manager.domain.events import Link
from risk_manager.runtime.health import GuardState, Health


@pytest.mark.parametrize(
    ("down", "fault", "is_synced", "is_locked", "is_stopping", "state"),
    [
        ((), None, False, False, False, GuardState.STARTING),
        ((), None, True, False, False, GuardState.ARMED),
        ((), None, True, True, False, GuardState.LOCKED),
        ((), "journal", True, False, False, GuardState.DEGRADED),
        ((Link.MARKET_HUB,), None, True, False, False, GuardState.DEGRADED),
        ((Link.USER_HUB,), None, True, True, False, GuardState.LOCKED),
        ((Link.REST, Link.USER_HUB), None, True, True, False, GuardState.BLIND),
        ((Link.REST, Link.USER_HUB), None, False, False, False, GuardState.BLIND),
        ((Link.REST, Link.USER_HUB), "journal", True, True, True, GuardState.STOPPING),
    ],
)
def test_says_the_worst_first(
    down: tuple[Link, ...],
    fault: str | None,
    is_synced: bool,
    is_locked: bool,
    is_stopping: bool,
    state: GuardState,
) -> None:
    health = Health()
    for link in down:
        health.link(link, is_up=False, reason="gone")
    if fault is not None:
        health.fault(fault, "broken")

    assert health.state(is_synced=is_synced, is_locked=is_locked, is_stopping=is_stopping) is state


def test_names_what_is_missing_until_it_is_back() -> None:
    health = Health()
    assert health.is_up(Link.USER_HUB)
    health.link(Link.USER_HUB, is_up=False, reason="closed by the server")
    health.fault("journal", "the disk is full")
    assert list(health.missing) == ["user_hub: closed by the server", "journal: the disk is full"]
    assert not health.is_up(Link.USER_HUB)

    health.link(Link.USER_HUB, is_up=True, reason="subscribed")
    health.fault("journal", None)
    health.fault("journal", None)
    assert list(health.missing) == []
