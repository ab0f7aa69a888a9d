"""Which orders at the venue are the guard's own closes and reductions.

The venue makes a market order of a close and does not say which, so it is recognized: an order of the closing side in
that contract, executed after the request and not long after its answer, of no more contracts than were asked for, and
not known to be somebody else's (an order that was there before, that is no market order, that carries a mark or belongs
to a bracket). A request the venue refused has made no order. An order is the guard's with all its fills or not at all.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order, OrderType, Side

SKEW_NS = 500_000_000
"""How far two clocks of the venue (market data, orders) may be apart."""

EFFECT_NS = 3_000_000_000
"""How long after its acceptance a close may still fill."""

UNANSWERED_NS = 20_000_000_000
"""The same after its sending, while nothing is known of it: longer than the planner waits before it sends again."""

LATE_NS = 60_000_000_000
"""How long after that a fill may be told late; then the judgement is final."""


class OwnClose(Struct, frozen=True):
    """One request to close or reduce.

    Attributes:
        side: of the order the venue makes of it.   size: the most contracts it can be of, > 0.
        since_ns, until_ns: venue time in which it may fill, both inclusive.
        foreign: ids of orders that are not it.
    """

    action_id: str
    contract_id: str
    side: Side
    size: int
    since_ns: int
    until_ns: int
    foreign: tuple[str, ...] = ()


class OwnOrdersImage(Struct):
    """By contract id: the requests, and the orders that are the guard's for good."""

    closes: dict[str, list[OwnClose]]
    settled: dict[str, list[str]]


class OwnOrders:
    """The requests, and the ids of the orders they became.

    Attributes:
        ids: of every order that is the guard's, as far as its fills are kept.
    """

    def __init__(self) -> None:
        self.ids: frozenset[str] = frozenset()
        self._closes: dict[str, list[OwnClose]] = {}
        self._found: dict[str, frozenset[str]] = {}
        self._executed: dict[str, dict[str, int]] = {}
        self._settled: dict[str, frozenset[str]] = {}

    @property
    def contract_ids(self) -> tuple[str, ...]:
        """The watched contracts."""
        return tuple(self._closes)

    def is_watching(self, contract_id: str) -> bool:
        """Whether fills and orders of the contract may be the guard's."""
        return contract_id in self._closes

    def executed_contracts(self, contract_id: str, action_id: str) -> int:
        """Contracts that have filled of what a request became; 0 once its judgement is final."""
        return self._executed.get(contract_id, {}).get(action_id, 0)

    def asked(self, close: OwnClose, orders: Iterable[Order]) -> None:
        """Note a request that is being sent; `orders` are those known to work."""
        foreign = tuple(order.id for order in orders if order.contract_id == close.contract_id)
        self._closes.setdefault(close.contract_id, []).append(replace(close, foreign=foreign))

    def answered(self, action_id: str, now_ns: int, *, is_refused: bool) -> str | None:
        """Note an answer; the contract's id comes back if it may change whose an order is."""
        for contract_id, closes in self._closes.items():
            for index, close in enumerate(closes):
                if close.action_id == action_id:
                    if is_refused:
                        del closes[index]
                    else:
                        closes[index] = replace(close, until_ns=min(close.until_ns, now_ns + EFFECT_NS))
                    return contract_id
        return None

    def saw_order(self, order: Order) -> bool:
        """Note what is known of an order of a watched contract; whether it is now known to be somebody else's."""
        is_news = False
        closes = self._closes[order.contract_id]
        for index, close in enumerate(closes):
            if order.id not in close.foreign and _is_foreign(order, close):
                closes[index] = replace(close, foreign=(*close.foreign, order.id))
                is_news = True
        return is_news

    def judge(self, contract_id: str, fills: Sequence[Fill], now_ns: int) -> frozenset[str]:
        """Judge the contract's valid fills, oldest first, anew; the orders that came to `ids` or went."""
        settled = self._settled.get(contract_id, frozenset())
        closes = self._closes.get(contract_id, [])
        for close in [close for close in closes if close.until_ns + LATE_NS < now_ns]:
            settled |= _orders_of([close], fills, settled).keys()
            closes.remove(close)
        found = _orders_of(closes, fills, settled)
        _set(self._settled, contract_id, settled)
        _set(self._found, contract_id, frozenset(found))
        executed: dict[str, int] = {}
        for action_id, size in found.values():
            executed[action_id] = executed.get(action_id, 0) + size
        self._executed[contract_id] = executed
        if not closes:
            del self._executed[contract_id]
            self._closes.pop(contract_id, None)
        before = self.ids
        self.ids = self._all()
        return self.ids ^ before

    def keep(self, contract_id: str, order_ids: Iterable[str]) -> None:
        """Forget the settled orders of a contract whose fills are no longer kept."""
        _set(self._settled, contract_id, self._settled.get(contract_id, frozenset()) & frozenset(order_ids))
        self.ids = self._all()

    def image(self) -> OwnOrdersImage:
        settled = {key: sorted(ids) for key, ids in sorted(self._settled.items())}
        return OwnOrdersImage(dict(sorted(self._closes.items())), settled)

    def load(self, image: OwnOrdersImage) -> None:
        """Become what the image remembers; `judge` then finds the rest of `ids` again."""
        self._closes, self._found, self._executed = image.closes, {}, {}
        self._settled = {key: frozenset(ids) for key, ids in image.settled.items()}
        self.ids = self._all()

    def _all(self) -> frozenset[str]:
        return frozenset().union(*self._settled.values(), *self._found.values())


def _set(ids: dict[str, frozenset[str]], contract_id: str, some: frozenset[str]) -> None:
    """Note a contract's ids; without any it has no entry."""
    if some:
        ids[contract_id] = some
    else:
        ids.pop(contract_id, None)


def _is_foreign(order: Order, close: OwnClose) -> bool:
    is_market = order.type in (OrderType.MARKET, OrderType.UNKNOWN)
    is_older = 0 < order.created_ns < close.since_ns
    return not is_market or is_older or order.tag is not None or order.parent_id is not None


def _orders_of(closes: Iterable[OwnClose], fills: Sequence[Fill], taken: frozenset[str]) -> dict[str, tuple[str, int]]:
    """The orders the requests became: of exactly a request's size first, then each request in turn what fits it.

    By order id: the request's action id, and the contracts that have filled.
    """
    found: dict[str, tuple[str, int]] = {}
    offers = [(close, _candidates(close, fills)) for close in closes]
    for is_exact in (True, False):
        for close, candidates in offers:
            room = close.size - sum(size for action_id, size in found.values() if action_id == close.action_id)
            for order_id, size in candidates.items():
                is_fitting = size <= room and (size == close.size or not is_exact)
                if is_fitting and order_id not in taken and order_id not in found:
                    found[order_id] = close.action_id, size
                    room -= size
    return found


def _candidates(close: OwnClose, fills: Sequence[Fill]) -> dict[str, int]:
    """Contracts executed by order, of the orders that may be the request's: they begin to fill in its time."""
    sizes: dict[str, int] = {}
    first = bisect_left(fills, close.since_ns, key=_at_ns)
    for fill in fills[first:]:
        order_id = fill.order_id
        if order_id in sizes or fill.at_ns <= close.until_ns:
            sizes[order_id] = sizes.get(order_id, 0) + fill.size
    if not sizes:
        return sizes
    excluded = {fill.order_id for fill in fills[:first]}
    excluded.update(close.foreign, (fill.order_id for fill in fills[first:] if fill.side is not close.side))
    return {order_id: size for order_id, size in sizes.items() if order_id not in excluded}


def _at_ns(fill: Fill) -> int:
    return fill.at_ns
