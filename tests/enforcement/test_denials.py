"""An account the guard may not act on: said once, and tried on."""

from risk_manager.domain.actions import CancelOrder
from risk_manager.domain.events import ActionAccepted, ActionRejected, OperatorCommand, Refusal
from risk_manager.domain.order import Side
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded

TEXT = "code 6: Follower accounts cannot cancel orders"


class Follower(Guarded):
    """Holds nothing, and has an order that has to go."""

    def __init__(self) -> None:
        super().__init__()
        self.feed(self.venue.order(ES, Side.BUY, 1, limit=4900))
        self.feed(OperatorCommand("1001", "flatten", "pat", 0, self.venue.now_ns))

    def answers(self, refusal: Refusal | None) -> None:
        """Let the last cancel be answered, and the next one be sent."""
        cancel = [action for action in self.actions if isinstance(action, CancelOrder)][-1]
        now_ns = self.venue.now_ns
        if refusal is None:
            self.feed(ActionAccepted("1001", cancel.id, now_ns, now_ns))
        else:
            self.feed(ActionRejected("1001", cancel.id, refusal, TEXT, now_ns, now_ns))
        self.feed(self.venue.timer(after_s=3))


def test_says_once_that_it_may_not_cancel_and_goes_on_asking() -> None:
    follower = Follower()
    for _ in range(3):
        follower.answers(Refusal.NOT_ALLOWED)
    (warning,) = follower.warnings
    assert (warning.rule, warning.code) == ("enforcement", "NOT_ENFORCEABLE")
    assert warning.evidence == (("action", "CancelOrder"), ("venue", TEXT))
    assert sum(isinstance(action, CancelOrder) for action in follower.actions) == 4


def test_says_so_again_only_when_it_was_allowed_in_between() -> None:
    follower = Follower()
    for refusal in (Refusal.NOT_ALLOWED, None, Refusal.NOT_ALLOWED, Refusal.OTHER, Refusal.NOT_ALLOWED):
        follower.answers(refusal)
        follower.restart()
    assert len(follower.warnings) == 2


def test_other_refusals_are_no_denial() -> None:
    follower = Follower()
    for refusal in (Refusal.OTHER, Refusal.MARKET_CLOSED, Refusal.NOT_FOUND):
        follower.answers(refusal)
    assert follower.warnings == []
