"""What the rules about the day's money share."""

from typing import Any

import pytest

from risk_manager.domain.day_budget import DayBasis
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.rules._day_result import contradictions_of, evidence_of, without_close_all
from risk_manager.rules._options import Fault
from risk_manager.rules._stopping import Action, remedy_of
from risk_manager.testing.events import ES, MNQ
from risk_manager.testing.guarded import Guarded

HOUR = LockTerms(LockUntil.DURATION, 3_600_000_000_000, whole_account=False)
HOUR_NEW = LockTerms(LockUntil.DURATION, 3_600_000_000_000, OnLock.BLOCK_NEW, whole_account=False)


@pytest.mark.parametrize(
    ("action", "lockout", "remedy"),
    [
        (Action.FLATTEN, None, Remedy(Demand.FLATTEN)),
        (Action.FLATTEN, HOUR, Remedy(Demand.FLATTEN, HOUR)),
        (Action.PAUSE, None, Remedy(Demand.CANCEL_ORDERS, LockTerms(on_lock=OnLock.BLOCK_NEW))),
        (Action.PAUSE, HOUR, Remedy(Demand.CANCEL_ORDERS, HOUR_NEW)),
        (Action.ALERT, None, Remedy(Demand.ALERT)),
        (Action.ALERT, HOUR, Remedy(Demand.ALERT)),
    ],
)
def test_does_what_the_action_says(action: Action, lockout: LockTerms | None, remedy: Remedy) -> None:
    assert remedy_of(action, lockout) == remedy
    kind = LockoutKind.HARD if action is Action.ALERT else LockoutKind.COOLDOWN
    assert remedy_of(action, lockout, LockoutKind.COOLDOWN) == Remedy(remedy.demand, remedy.lock, kind)


@pytest.mark.parametrize(
    ("action", "lockout", "cancel_orders", "faults"),
    [
        (Action.FLATTEN, None, True, []),
        (Action.PAUSE, HOUR, True, []),
        (Action.PAUSE, None, True, ["lockout: is what a pause consists of; leave it out or give its length"]),
        (Action.ALERT, None, False, ["cancel_orders: must be true: a resting order would reopen what was closed"]),
    ],
)
def test_says_what_cannot_be_meant(
    action: Action, lockout: LockTerms | None, cancel_orders: bool, faults: list[str]
) -> None:
    assert [str(one) for one in contradictions_of(action, lockout, cancel_orders=cancel_orders)] == faults


@pytest.mark.parametrize("close_all", [False, None, 1, "yes"])
def test_ends_all_trading_and_cannot_be_told_otherwise(close_all: Any) -> None:
    faults: list[Fault] = []
    assert without_close_all({"limit": 5, "close_all": close_all}, faults, "a bad day") == {"limit": 5}
    assert [str(fault) for fault in faults] == [
        "close_all: must be true: a bad day ends all trading; choose an action instead"
    ]


@pytest.mark.parametrize("options", [{"limit": 5}, {"limit": 5, "close_all": True}])
def test_takes_an_older_option_that_says_the_same(options: dict[str, Any]) -> None:
    faults: list[Fault] = []
    assert (without_close_all(options, faults, "a bad day"), faults) == ({"limit": 5}, [])


@pytest.mark.parametrize(
    ("basis", "include_fees", "evidence"),
    [
        (DayBasis.REALIZED, False, {"basis": "realized", "realized": "-120.00"}),
        (DayBasis.REALIZED, True, {"basis": "realized", "realized": "-120.00", "fees": "2.25"}),
        (
            DayBasis.COMPOSITE,
            True,
            {"basis": "composite", "realized": "-120.00", "fees": "2.25", "open_losses": "-100.00"},
        ),
        (
            DayBasis.REALIZED_PLUS_UNREALIZED,
            False,
            {"basis": "realized_plus_unrealized", "realized": "-120.00", "unrealized": "-90.00"},
        ),
    ],
)
def test_shows_what_the_result_consists_of(basis: DayBasis, include_fees: bool, evidence: dict[str, str]) -> None:
    guarded = Guarded()
    venue = guarded.venue
    guarded.feed(venue.result(-120, fees="2.25"), venue.buys(ES, 1, 5800), venue.sells(MNQ, 1, 21000))
    guarded.feed(venue.quote(ES, 5798), venue.quote(MNQ, 20995))
    shown = evidence_of(guarded.engine.account, basis, include_fees=include_fees)
    assert shown == tuple(evidence.items())
