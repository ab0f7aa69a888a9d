"""One account's queue of events: quotes coalesce per contract when behind, nothing else ever does."""

from collections import deque

from risk_manager.domain.events import Event, QuoteUpdated


class Inbox:
    """Events in order of arrival, each with the stopwatch reading at which it came in.

    Attributes:
        coalesced: quotes that were replaced by a newer one before anybody looked at them.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Event, int] | str] = deque()
        self._quotes: dict[str, tuple[QuoteUpdated, int]] = {}
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, event: Event, arrived_ns: int) -> None:
        """Queue an event; a quote takes the place of a waiting one of the same contract."""
        if not isinstance(event, QuoteUpdated):
            self._waiting.append((event, arrived_ns))
            return
        contract_id = event.quote.contract_id
        if contract_id in self._quotes:
            self.coalesced += 1
        else:
            self._waiting.append(contract_id)
        self._quotes[contract_id] = (event, arrived_ns)

    def take(self) -> tuple[Event, int] | None:
        """The oldest event and its arrival; None when there is none."""
        if not self._waiting:
            return None
        item = self._waiting.popleft()
        return self._quotes.pop(item) if isinstance(item, str) else item
