"""The queue in front of a busy guard."""

from risk_manager.domain.events import Event
from risk_manager.runtime.inbox import Inbox
from risk_manager.testing.events import ES, MES, Scenario


def test_keeps_the_order_and_replaces_only_waiting_quotes_of_the_same_contract() -> None:
    story, inbox = Scenario(), Inbox()
    first, second, third = (story.quote(MES, price) for price in (5800, 5801, 5802))
    other, fill, account = story.quote(ES, 5800), *story.result(5)[:1], story.account()
    events: tuple[Event, ...] = (first, fill, other, second, account, fill)
    for arrived_ns, event in enumerate(events):
        inbox.put(event, arrived_ns)

    assert (len(inbox), inbox.coalesced) == (5, 1)
    assert [inbox.take() for _ in range(5)] == [(second, 3), (fill, 1), (other, 2), (account, 4), (fill, 5)]
    assert inbox.take() is None

    inbox.put(third, 6)
    assert (inbox.take(), inbox.coalesced) == ((third, 6), 1)
