"""The valid fills in venue order, and what they amount to: executed orders, round turns, and which are the guard's own.

Everything here follows from the set of fills, whatever the order and the number of times they were told in. A fill that
comes in order costs a step; one that comes late, changes or is voided has its contract folded again.
"""

from bisect import bisect_left, insort
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from risk_manager.domain.fill import Fill
from risk_manager.domain.order import Order, Side
from risk_manager.domain.round_turn import FilledOrder, OpenTurn, RoundTurn, rank
from risk_manager.engine.own_orders import OwnClose, OwnOrders, OwnOrdersImage


class _Run:
    """One contract's fills with the round turn before the first and after the last of them.

    Attributes:
        gap: stands for the fills the venue never told of, in one; None if there are none.
    """

    __slots__ = ("carried", "fills", "gap", "open")

    def __init__(self, carried: OpenTurn, gap: Fill | None = None) -> None:
        self.carried = carried
        self.gap = gap
        self.fills: list[Fill] = []
        self.open = carried

    def is_next(self, fill: Fill) -> bool:
        """Whether a fill comes after everything known of the contract."""
        is_after_gap = self.gap is None or _key(self.gap) < _key(fill)
        return is_after_gap and (not self.fills or _key(self.fills[-1]) < _key(fill))

    def moves(self) -> list[Fill]:
        """The fills, and among them the one that stands for the missing ones."""
        return self.fills if self.gap is None else sorted((*self.fills, self.gap), key=_key)


class LedgerImage(Struct):
    """What a `Ledger` remembers beside the fills.

    Attributes:
        carried: by contract id, the round turn before the first kept fill.   gaps: what stands for missing fills.
        unexplained: by contract id, contracts held that the fills do not account for, seen once.
    """

    carried: dict[str, OpenTurn]
    gaps: dict[str, Fill]
    unexplained: dict[str, int]
    own: OwnOrdersImage
    revision: int


class Ledger:
    """One account's fills.

    Attributes:
        fills, orders, turns: sorted by venue time, of the first fill, of the fill, and of the close. Read only.
        revision: counts the changes of anything in here; only ever compared for being the same.
    """

    def __init__(self) -> None:
        self.fills: list[Fill] = []
        self.orders: list[FilledOrder] = []
        self.turns: list[RoundTurn] = []
        self.own = OwnOrders()
        self.revision = 0
        self._runs: dict[str, _Run] = {}
        self._orders: dict[tuple[str, str], FilledOrder] = {}
        self._unexplained: dict[str, int] = {}

    # -- what happened ------------------------------------------------------------------------------------------

    def put(self, fill: Fill, known: Fill | None, now_ns: int) -> None:
        """Book a new fill, or what has become of a known one."""
        was_valid = known is not None and not known.is_voided
        if fill.is_voided and not was_valid:
            return
        self.revision += 1
        run = self._run(fill.contract_id)
        if not was_valid and run.is_next(fill):
            _insert(self.fills, fill, _key)
            run.fills.append(fill)
            self._fold(run, fill)
        else:
            self._replace(run, known if was_valid else None, None if fill.is_voided else fill)
        if self.own.is_watching(fill.contract_id):
            self._judge(fill.contract_id, now_ns)

    def drop_before(self, floor_ns: int) -> None:
        """Forget the fills before an instant; what they led to is carried on."""
        self.revision += 1
        self.fills = [fill for fill in self.fills if fill.at_ns >= floor_ns]
        for contract_id, run in list(self._runs.items()):
            for fill in run.moves():
                if fill.at_ns < floor_ns:
                    run.carried, _ = run.carried.after(fill)
            run.fills = [fill for fill in run.fills if fill.at_ns >= floor_ns]
            run.gap = run.gap if run.gap is not None and run.gap.at_ns >= floor_ns else None
            if not run.fills and run.gap is None and run.carried.net_contracts == 0:
                del self._runs[contract_id]
            self.own.keep(contract_id, (fill.order_id for fill in run.fills))
        for contract_id in self.own.contract_ids:
            self.own.judge(contract_id, self._run(contract_id).fills, floor_ns)
        self._refold_all()

    def settle(self, contract_id: str, net_contracts: int, now_ns: int, *, is_first: bool) -> None:
        """Compare with a position the venue states together with the fills.

        In the first statement of all, what the fills do not account for was held before them. Later, fills are missing;
        that takes two statements in a row, for the venue's two lists may be a moment apart. Should the fills be told
        after all, the gap they left closes again in the same way.
        """
        run = self._runs.get(contract_id)
        missing = net_contracts - (run.open.net_contracts if run is not None else 0)
        if missing == 0:
            self._unexplained.pop(contract_id, None)
            return
        if not is_first and self._unexplained.get(contract_id) != missing:
            self._unexplained[contract_id] = missing
            return
        self._unexplained.pop(contract_id, None)
        run = self._run(contract_id)
        if is_first:
            before = run.carried.net_contracts + missing
            run.carried = OpenTurn(contract_id, before, size=abs(before))
        else:
            missing += run.gap.side.sign * run.gap.size if run.gap is not None else 0
            side = Side.BUY if missing > 0 else Side.SELL
            run.gap = Fill("", "", contract_id, side, abs(missing), None, now_ns) if missing else None
        self.revision += 1
        self._refold(run)

    # -- the guard's own ----------------------------------------------------------------------------------------

    def asked(self, close: OwnClose, orders: dict[str, Order]) -> None:
        """Note a close or reduction that is being sent; fills known by now are not its."""
        run = self._runs.get(close.contract_id)
        last_ns = run.fills[-1].at_ns if run is not None and run.fills else 0
        self.own.asked(replace(close, since_ns=max(close.since_ns, last_ns + 1)), orders.values())

    def answered(self, action_id: str, now_ns: int, *, is_refused: bool) -> None:
        """Note the answer to a close or reduction; anything else is passed over."""
        contract_id = self.own.answered(action_id, now_ns, is_refused=is_refused)
        if contract_id is not None:
            self._judge(contract_id, now_ns)

    def saw_order(self, order: Order, now_ns: int) -> None:
        """Note what an order is, in case it is taken for the guard's."""
        if self.own.is_watching(order.contract_id) and self.own.saw_order(order):
            self._judge(order.contract_id, now_ns)

    def _judge(self, contract_id: str, now_ns: int) -> None:
        changed = self.own.judge(contract_id, self._run(contract_id).fills, now_ns)
        if changed:
            self.revision += 1
            self._mark(contract_id, changed)

    # -- folding ------------------------------------------------------------------------------------------------

    def _run(self, contract_id: str) -> _Run:
        run = self._runs.get(contract_id)
        if run is None:
            run = self._runs[contract_id] = _Run(OpenTurn(contract_id))
        return run

    def _replace(self, run: _Run, known: Fill | None, fill: Fill | None) -> None:
        if known is not None:
            self.fills.remove(known)
            run.fills.remove(known)
        if fill is not None:
            _insert(self.fills, fill, _key)
            _insert(run.fills, fill, _key)
        self._refold(run)

    def _fold(self, run: _Run, fill: Fill) -> None:
        """Go on by one fill, the latest of its contract."""
        opened = fill.size - run.open.closed_by(fill)
        run.open, turn = run.open.after(fill)
        is_own = fill.order_id in self.own.ids
        if turn is not None:
            _insert(self.turns, replace(turn, is_enforced=True) if is_own else turn, _turn_key)
        key = (fill.contract_id, fill.order_id)
        if fill is run.gap:
            return
        known = self._orders.get(key)
        if known is not None:
            self._put_order(known, known.after(fill, opened))
            return
        order = FilledOrder(
            fill.order_id,
            fill.contract_id,
            fill.side,
            fill.at_ns,
            fill.at_ns,
            fill.size,
            opened,
            fill.pnl_micros or 0,
            fill.fees_micros,
            is_own,
        )
        _insert(self.orders, order, _order_key)
        self._orders[key] = order

    def _mark(self, contract_id: str, order_ids: frozenset[str]) -> None:
        """Say of orders, and of what they closed, whether they are the guard's."""
        own = self.own.ids
        for order_id in order_ids:
            known = self._orders.get((contract_id, order_id))
            if known is not None:
                self._put_order(known, replace(known, is_enforced=order_id in own))
        self.turns = [
            replace(turn, is_enforced=turn.closed_by in own)
            if turn.closed_by in order_ids and turn.contract_id == contract_id
            else turn
            for turn in self.turns
        ]

    def _put_order(self, known: FilledOrder, order: FilledOrder) -> None:
        self.orders[bisect_left(self.orders, _order_key(known), key=_order_key)] = order
        self._orders[order.contract_id, order.id] = order

    def _refold(self, run: _Run) -> None:
        """Fold one contract from the beginning."""
        contract_id = run.carried.contract_id
        self.turns = [turn for turn in self.turns if turn.contract_id != contract_id]
        self.orders = [order for order in self.orders if order.contract_id != contract_id]
        self._orders = {(order.contract_id, order.id): order for order in self.orders}
        run.open = run.carried
        for fill in run.moves():
            self._fold(run, fill)

    def _refold_all(self) -> None:
        self.turns, self.orders, self._orders = [], [], {}
        for run in self._runs.values():
            run.open = run.carried
            for fill in run.moves():
                self._fold(run, fill)

    # -- image --------------------------------------------------------------------------------------------------

    def image(self) -> LedgerImage:
        carried = {key: run.carried for key, run in sorted(self._runs.items()) if run.carried.net_contracts}
        gaps = {key: run.gap for key, run in sorted(self._runs.items()) if run.gap is not None}
        return LedgerImage(carried, gaps, dict(sorted(self._unexplained.items())), self.own.image(), self.revision)

    def load(self, image: LedgerImage, fills: list[Fill]) -> None:
        """Become what the image remembers, with all kept fills, voided ones included."""
        self._unexplained = image.unexplained
        self._runs = {contract_id: _Run(carried) for contract_id, carried in image.carried.items()}
        for contract_id, gap in image.gaps.items():
            self._run(contract_id).gap = gap
            self._refold(self._run(contract_id))
        self.own.load(OwnOrdersImage({}, image.own.settled))
        for fill in sorted(fills, key=_key):
            self.put(fill, None, 0)
        self.own.load(image.own)
        for contract_id in self.own.contract_ids:
            # At time 0 no judgement becomes final: that waits for the next event, as it would have without the stop.
            self._judge(contract_id, 0)
        self.revision = image.revision


def _insert[T](items: list[T], item: T, key: Callable[[T], tuple[int | str, ...]]) -> None:
    """Put an item where it belongs: nearly always at the end."""
    if not items or key(items[-1]) < key(item):
        items.append(item)
    else:
        insort(items, item, key=key)


def _key(fill: Fill) -> tuple[int, int, str]:
    return rank(fill.at_ns, fill.id)


def _order_key(order: FilledOrder) -> tuple[int, int, str, str]:
    return *rank(order.first_ns, order.id), order.contract_id


def _turn_key(turn: RoundTurn) -> tuple[int, int, str]:
    return rank(turn.closed_ns, turn.id)
