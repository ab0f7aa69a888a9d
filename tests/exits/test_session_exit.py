"""An end before the session's."""

import pytest

from risk_manager.exits._base import OnMissing
from risk_manager.exits.session_exit import SessionExit
from tests.exits.positions import Walk, held


def test_ends_before_the_session_does() -> None:
    walk = Walk(SessionExit(before_end_ns=30), held(1, 100))
    walk.session_end_ns = 1000
    assert walk.due_ns == 970


@pytest.mark.parametrize(
    ("on_missing", "due_ns", "skips"),
    [
        (OnMissing.HOLD, None, []),
        (OnMissing.ALERT, None, ["missing session_end"]),
        (OnMissing.EXIT, 7, ["missing session_end"]),
    ],
)
def test_what_it_does_when_nobody_knows_the_end(on_missing: OnMissing, due_ns: int | None, skips: list[str]) -> None:
    walk = Walk(SessionExit(on_missing=on_missing), held(1, 100))
    walk.now_ns = 7
    assert (walk.due_ns, walk.skips) == (due_ns, skips)


def test_refuses_an_end_after_the_session() -> None:
    with pytest.raises(ValueError, match="before_end_ns"):
        SessionExit(before_end_ns=-1)
