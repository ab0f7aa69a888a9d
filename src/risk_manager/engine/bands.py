"""Which rules a quote has to be shown to.

Between two other events a quote changes nothing but open profit. A rule that can tell says how far that may move before
it has to look again (`Slack`); until then it is not asked. Nothing is decided here: a quote that is kept from a rule is
one to which it would have answered with the state it has, and nothing found.
"""

from collections.abc import Sequence
from typing import NamedTuple

from risk_manager.domain.account import HoldingView
from risk_manager.engine.account import AccountState
from risk_manager.engine.slot import Slot
from risk_manager.rules._base import UNBOUNDED, Slack

_Band = tuple[int, int]
"""Open profit of one holding, in micros: more than the first and less than the second."""
_EVERYWHERE: _Band = (-UNBOUNDED, UNBOUNDED)


class _Own(NamedTuple):
    """Where one rule need not look: by contract id, and the venue time it ends."""

    bands: dict[str, _Band]
    until_ns: int

    def holds(self, contract_id: str, unrealized: int, now_ns: int) -> bool:
        low, high = self.bands.get(contract_id, _EVERYWHERE)
        return low < unrealized < high and now_ns < self.until_ns


class Bands:
    """What the rules that listen to quotes have said since the last other event."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        self._restless = slots
        self._own: dict[str, _Own] = {}
        self._common = _Own({}, 0)

    def forget(self) -> None:
        """Show the next quote to every rule: something else than a quote has happened."""
        if self._own:
            self._own = {}
        self._common = _Own({}, 0)

    def concerned(self, holding: HoldingView, now_ns: int) -> Sequence[Slot]:
        """The rules to which a quote of the holding, already marked to it, has to be shown."""
        contract_id, unrealized = holding.contract_id, holding.unrealized_micros
        bands, until_ns = self._common
        band = bands.get(contract_id)
        if band is None or unrealized is None:
            return self._slots
        if band[0] < unrealized < band[1] and now_ns < until_ns:
            return self._restless
        own = self._own
        return [
            one
            for one in self._slots
            if one.name not in own or not own[one.name].holds(contract_id, unrealized, now_ns)
        ]

    def measure(self, asked: Sequence[Slot], account: AccountState) -> None:
        """Take in how far the rules that have just looked, and found nothing, need not look."""
        if account.unpriced or account.doubtful_since_ns() is not None:
            self.forget()
            return
        for slot in asked:
            slack = slot.slack(account)
            if slack is not None:
                self._own[slot.name] = _bands(slack, account)
            else:
                self._own.pop(slot.name, None)
        if asked is self._restless and not any(slot.name in self._own for slot in asked):
            return
        self._restless = [slot for slot in self._slots if slot.name not in self._own]
        until_ns = UNBOUNDED
        common = dict.fromkeys(account.holdings, _EVERYWHERE)
        for bands, own_until_ns in self._own.values():
            until_ns = min(until_ns, own_until_ns)
            for contract_id, (low, high) in bands.items():
                lowest, highest = common[contract_id]
                if low > lowest or high < highest:
                    common[contract_id] = (max(low, lowest), min(high, highest))
        self._common = _Own(common, until_ns)


def _bands(slack: Slack, account: AccountState) -> _Own:
    """The slack of all positions together, shared out evenly: none can use up what another still has."""
    count = len(account.holdings)
    down, up = (slack.down_micros - 1) // count + 1, (slack.up_micros - 1) // count + 1
    profits = {key: holding.unrealized_micros or 0 for key, holding in account.holdings.items()}
    return _Own({key: (profit - down, profit + up) for key, profit in profits.items()}, slack.until_ns)
