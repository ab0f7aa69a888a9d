"""What the exchange's books show of each rule, by the rule's own text: whether it is broken, and what is owed then.

Nothing here asks the guard, nor any of its code. Money is micros, times are the exchange's, a scope is "" for the
account, a contract's id or a product. A rule is known here with the options that some plan of the simulation gives it;
another option is an error, for nobody would hold it against the books.

`trade_management` never has a breach. What is judged of it is the stop it owes: a position without one, while the
market is still on its right side and nothing else is being done to the account.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, time
from enum import Enum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from risk_manager.domain.order import OrderStatus
from risk_manager.simulator.records import MICRO_TICKS, SimAccount, SimOrder, SimPosition
from tests.simulation.books import Books
from tests.simulation.history import STOPS, History
from tests.simulation.loop import SECOND_NS

MICROS_PER_USD = 1_000_000
MINUTE_NS = 60 * SECOND_NS
Options = Mapping[str, Any]


class Shown(NamedTuple):
    """A breach the books show. `until_ns` is when what it demands ends, where the rule itself says so."""

    scope: str = ""
    until_ns: int | None = None


class Goal(Enum):
    """What a remedy is to bring about: each is reached at the first instant at which it is so.

    GONE: the books show the breach no more.   CLOSED: what was held in the contract is gone.
    EMPTIED: what was held in the account is gone, and every order that could open; what has come since is not meant.
    FLAT: nothing is held in the account, and no order works.
    PAUSED: nothing works that could open, and nothing held is more than it was.
    """

    GONE = "gone"
    CLOSED = "closed"
    EMPTIED = "emptied"
    FLAT = "flat"
    PAUSED = "paused"


class Remedy(NamedTuple):
    """`lock` is what has to be kept up from then on, FLAT or PAUSED; `lasts` how long, where the breach does not say:
    "reset" or such as "20s".
    """

    goal: Goal
    lock: Goal | None = None
    lasts: str = "reset"


class Picture:
    """An account in the books at one moment.

    Attributes:
        openers: orders that would open or add.
        adding: of these, what a pause does not let be: not the stops of what is held, which may be too large, nor the
            children that wait for an entry.
        open_micros: by contract, what closing it now would bring.   result_micros: the day's, closed and open.
        is_let_be: nothing else is demanded of the account.
    """

    def __init__(self, books: Books, account: int, now_ns: int, history: History, *, is_let_be: bool) -> None:
        record = books.account(account)
        assert record is not None
        self.record: SimAccount = record
        self.now_ns = now_ns
        self.books = books
        self.history = history
        self.is_let_be = is_let_be
        self.positions: Sequence[SimPosition] = books.positions(account)
        self.orders: Sequence[SimOrder] = books.live_orders(account)
        self.nets = {position.contract_id: position.net_contracts for position in self.positions}
        self.openers = [order for order in self.orders if opens(order, self.nets.get(order.contract_id, 0))]
        self.open_micros = books.open_profits(account)
        self.result_micros = history.closed_micros + sum(self.open_micros.values())

    @property
    def adding(self) -> list[SimOrder]:
        working = [order for order in self.openers if order.status is not OrderStatus.SUSPENDED]
        return [order for order in working if order.type not in STOPS or not self.nets.get(order.contract_id)]

    @property
    def is_exposed(self) -> bool:
        return bool(self.positions or self.openers)

    def root(self, contract_id: str) -> str:
        return self.books.contracts[contract_id].contract.root

    def by_root(self) -> dict[str, int]:
        """Contracts held of each product."""
        held: dict[str, int] = {}
        for position in self.positions:
            root = self.root(position.contract_id)
            held[root] = held.get(root, 0) + abs(position.net_contracts)
        return held


def opens(order: SimOrder, net: int) -> bool:
    """Whether a fill of the order would open a position, add to it or turn it round."""
    return order.side.sign * net >= 0 or order.remaining > abs(net)


# -- how much is held -------------------------------------------------------------------------------------------------


def _max_contracts(picture: Picture, options: Options) -> Iterator[Shown]:
    """No two contracts of a product are listed here, so nothing offsets anything."""
    if sum(picture.by_root().values()) > options["limit"]:
        yield Shown()


def _max_contracts_per_instrument(picture: Picture, options: Options) -> Iterator[Shown]:
    for root, held in picture.by_root().items():
        if held > options["limits"].get(root, options["default_limit"]):
            yield Shown(root)


def _concentration(picture: Picture, options: Options) -> Iterator[Shown]:
    held = picture.by_root()
    total = sum(held.values())
    if total >= options["min_total"] and 100 * max(held.values()) > options["max_pct"] * total:
        yield Shown()


def _leverage(picture: Picture, options: Options) -> Iterator[Shown]:
    worth_micros = 0
    for position in picture.positions:
        tick_micros = picture.books.contracts[position.contract_id].contract.instrument.tick_value_micros
        mark = picture.books.mark_ticks(position)
        worth_micros += abs(mark * position.net_contracts) * tick_micros
    equity_micros = picture.record.balance_micros + sum(picture.open_micros.values())
    if worth_micros > options["max_ratio"] * max(0, equity_micros):
        yield Shown()


# -- money ------------------------------------------------------------------------------------------------------------


def _daily_realized_loss(picture: Picture, options: Options) -> Iterator[Shown]:
    if picture.result_micros <= -options["limit"] * MICROS_PER_USD:
        yield Shown()


def _daily_realized_profit(picture: Picture, options: Options) -> Iterator[Shown]:
    if picture.result_micros >= options["target"] * MICROS_PER_USD:
        yield Shown()


def _daily_unrealized_loss(picture: Picture, options: Options) -> Iterator[Shown]:
    for contract_id, open_micros in picture.open_micros.items():
        if open_micros <= -options["loss_limit"] * MICROS_PER_USD:
            yield Shown(contract_id)


def _max_unrealized_profit(picture: Picture, options: Options) -> Iterator[Shown]:
    for contract_id, open_micros in picture.open_micros.items():
        if open_micros >= options["profit_target"] * MICROS_PER_USD:
            yield Shown(contract_id)


def _drawdown(picture: Picture, options: Options) -> Iterator[Shown]:
    """Of the day: from the highest result since it began, as far as that can have been seen."""
    assert options["mode"] == "daily_trailing", options
    peak_micros = picture.history.peak_micros
    if peak_micros is not None and peak_micros - picture.result_micros >= options["max_drawdown"] * MICROS_PER_USD:
        yield Shown()


def _velocity(picture: Picture, options: Options) -> Iterator[Shown]:
    high_micros = picture.history.highest_micros(picture.now_ns - MINUTE_NS)
    if high_micros is not None and high_micros - picture.result_micros >= options["max_loss"] * MICROS_PER_USD:
        yield Shown()


# -- trades -----------------------------------------------------------------------------------------------------------


def _trade_frequency_limit(picture: Picture, options: Options) -> Iterator[Shown]:
    """The first order beyond the limit within a minute begins a break of a minute, in which others begin none."""
    most, until_ns = options["limits"]["per_minute"], 0
    times_ns = sorted(picture.history.first_fills_ns.values())
    for index in range(most, len(times_ns)):
        if times_ns[index] >= until_ns and times_ns[index - most] > times_ns[index] - MINUTE_NS:
            until_ns = times_ns[index] + MINUTE_NS
    if picture.now_ns < until_ns:
        yield Shown(until_ns=until_ns)


def _cooldown_after_loss(picture: Picture, options: Options) -> Iterator[Shown]:
    until_ns = 0
    for turn in picture.history.turns:
        for tier in options["loss_thresholds"]:
            if not turn.is_guards and -turn.pnl_micros >= tier["loss_amount"] * MICROS_PER_USD:
                until_ns = max(until_ns, turn.closed_ns + duration_ns(tier["cooldown"]))
    if picture.now_ns < until_ns:
        yield Shown(until_ns=until_ns)


# -- the rest ---------------------------------------------------------------------------------------------------------


def _symbol_blocks(picture: Picture, options: Options) -> Iterator[Shown]:
    touched = {*picture.nets, *(order.contract_id for order in picture.openers)}
    for root in sorted({picture.root(contract_id) for contract_id in touched}):
        if root in options["blocked_symbols"]:
            yield Shown(root)


def _auth_loss_guard(picture: Picture, options: Options) -> Iterator[Shown]:
    if not picture.record.can_trade and picture.is_exposed:
        yield Shown()


def _session_block_outside(picture: Picture, options: Options) -> Iterator[Shown]:
    if picture.is_exposed and not _is_in_session(picture.now_ns, options["global_session"]):
        yield Shown()


def _is_in_session(now_ns: int, session: Options) -> bool:
    """Of a session that goes over midnight: its days are those it begins on."""
    assert session["holidays"] is False, session
    wall = datetime.fromtimestamp(now_ns // SECOND_NS, ZoneInfo(session["timezone"]))
    start, end = time.fromisoformat(session["start"]), time.fromisoformat(session["end"])
    assert end < start, session
    if wall.time() >= start:
        return wall.weekday() in session["days"]
    return wall.time() < end and (wall.weekday() - 1) % 7 in session["days"]


def _no_stop_loss_grace(picture: Picture, options: Options) -> Iterator[Shown]:
    for contract_id, bare in picture.history.bare.items():
        if picture.now_ns - bare.since_ns > options["grace_period_seconds"] * SECOND_NS:
            yield Shown(contract_id)


def _trade_management(picture: Picture, options: Options) -> Iterator[Shown]:
    if not picture.is_let_be:
        return
    distance = options["auto_stop_loss"]["ticks"]
    for position in picture.positions:
        bare = picture.history.bare.get(position.contract_id)
        if bare is None:
            continue
        entry = position.average_micro_ticks // MICRO_TICKS
        # A tick to spare on either side, for an average between two of them.
        room = bare.sign * (picture.books.mark_ticks(position) - entry) + distance
        if room > 2:
            yield Shown(position.contract_id)


# -- the table --------------------------------------------------------------------------------------------------------

Measure = Callable[[Picture, Options], Iterator[Shown]]
_CUT = Remedy(Goal.GONE)
_STOPPED = Remedy(Goal.FLAT, Goal.FLAT)


def _of_max_contracts(options: Options) -> Remedy:
    if "lockout" in options:
        assert options["action"] == "flatten", options
        return Remedy(Goal.FLAT, Goal.FLAT, options["lockout"])
    return Remedy({None: Goal.GONE, "flatten": Goal.EMPTIED}[options.get("action")])


def _of_open_profit(options: Options) -> Remedy:
    return {None: Remedy(Goal.CLOSED), "flatten_and_lock": _STOPPED}[options.get("action")]


def _of_break(options: Options) -> Remedy:
    goal = {None: Goal.PAUSED, "flatten": Goal.FLAT}[options.get("action")]
    return Remedy(goal, goal)


class Judged(NamedTuple):
    """How a rule is judged, and the options that are understood."""

    measure: Measure
    remedy: Callable[[Options], Remedy]
    options: frozenset[str]


def _judged(measure: Measure, remedy: Remedy | Callable[[Options], Remedy], *options: str) -> Judged:
    return Judged(measure, (lambda _: remedy) if isinstance(remedy, Remedy) else remedy, frozenset(options))


RULES: dict[str, Judged] = {
    "auth_loss_guard": _judged(_auth_loss_guard, _CUT, "close_positions"),
    "concentration": _judged(_concentration, _CUT, "max_pct", "min_total"),
    "cooldown_after_loss": _judged(_cooldown_after_loss, _of_break, "loss_thresholds", "action"),
    "daily_realized_loss": _judged(_daily_realized_loss, _STOPPED, "limit"),
    "daily_realized_profit": _judged(_daily_realized_profit, _STOPPED, "target"),
    "daily_unrealized_loss": _judged(_daily_unrealized_loss, _of_open_profit, "loss_limit", "action"),
    "drawdown": _judged(_drawdown, _STOPPED, "mode", "max_drawdown"),
    "leverage": _judged(_leverage, _CUT, "max_ratio"),
    "max_contracts": _judged(_max_contracts, _of_max_contracts, "limit", "action", "lockout"),
    "max_contracts_per_instrument": _judged(_max_contracts_per_instrument, _CUT, "limits", "default_limit"),
    "max_unrealized_profit": _judged(_max_unrealized_profit, _of_open_profit, "profit_target", "action"),
    "no_stop_loss_grace": _judged(_no_stop_loss_grace, Remedy(Goal.CLOSED), "grace_period_seconds"),
    "session_block_outside": _judged(_session_block_outside, _CUT, "global_session"),
    "symbol_blocks": _judged(_symbol_blocks, _CUT, "blocked_symbols"),
    "trade_frequency_limit": _judged(_trade_frequency_limit, _of_break, "limits", "action"),
    "trade_management": _judged(_trade_management, _CUT, "auto_stop_loss"),
    "velocity": _judged(
        _velocity, lambda options: Remedy(Goal.FLAT, Goal.FLAT, options["lockout"]), "max_loss", "lockout"
    ),
}
"""All seventeen."""


def shown(rule: str, options: Options, picture: Picture) -> Iterator[Shown]:
    """The breaches of a rule that an account shows."""
    known = RULES[rule]
    assert options.keys() <= known.options, f"{rule}: nobody judges {options.keys() - known.options}"
    return known.measure(picture, options)


def remedy_of(rule: str, options: Options) -> Remedy:
    return RULES[rule].remedy(options)


def duration_ns(text: str) -> int:
    """Of a length such as `25s` or `15m`."""
    return int(text[:-1]) * {"s": SECOND_NS, "m": MINUTE_NS}[text[-1]]
