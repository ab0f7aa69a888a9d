"""An auditor of its own mind: what the limits really were worth, told from the exchange's emissions alone.

It shares nothing with the guard: it counts positions from fills with its own arithmetic, knows the limits as plain
numbers, and judges both sides. A *breach episode* is a stretch during which a limit was broken at the exchange. A
*guard act* is an order or a cancellation that no scripted trader can have caused: traders tag what they place, and
never cancel (see `desk`). An act with no true breach behind it is a false flatten; an episode no act answered was
missed.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction

import msgspec

from risk_manager.domain.order import OrderStatus
from risk_manager.domain.trading_day import TradingDays
from risk_manager.simulator.emissions import Emission, FillHappened, OrderChanged, PositionChanged, QuoteChanged
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import SimFill, SimOrder

MAX_CONTRACTS = "max_contracts"
MAX_PER_INSTRUMENT = "max_contracts_per_instrument"
DAILY_LOSS = "daily_realized_loss"
FLOATING_LOSS = "daily_unrealized_loss"
SYMBOL_BLOCKS = "symbol_blocks"
LOCKOUT = "lockout"

ACCOUNT_SCOPE = "account"


class Limits(msgspec.Struct, frozen=True):
    """The limits in force; None or empty where there is none.

    Attributes:
        most_contracts: sum of |net| over all contracts; more is a breach.
        most_per_root: sum of |net| over the contracts of a root; more is a breach.
        daily_loss_micros: > 0; a day's result of this loss or worse is a breach.
        includes_floating: whether open profit counts into the day's result.
        includes_costs: whether fees and commissions do.
        floating_loss_micros: > 0; an open loss of one position as large or larger is a breach.
        blocked_roots: a position or a live order there is a breach.
        flattening: rules whose remedy may touch the whole account; another rule's act must stay in its own scope.
    """

    most_contracts: int | None = None
    most_per_root: Mapping[str, int] = {}
    daily_loss_micros: int | None = None
    includes_floating: bool = True
    includes_costs: bool = True
    floating_loss_micros: int | None = None
    blocked_roots: frozenset[str] = frozenset()
    flattening: frozenset[str] = frozenset({MAX_CONTRACTS, DAILY_LOSS, LOCKOUT})


class Episode(msgspec.Struct):
    """A stretch of a true breach.

    Attributes:
        scope: `account`, a root, or a contract id.
        worst: the number furthest beyond the limit: contracts, or micros (a loss is negative); where nothing is
            allowed, how many listings have a position or an order.
        limit: in the same unit and sign.
        started_ns, ended_ns: venue time; the end is when the books were within limits again, None if they are not.
        started_step, ended_step: market steps done by then.
        answered_ns, answered_step: the first guard act on it; None if there was none.
    """

    rule: str
    scope: str
    worst: int
    limit: int
    started_ns: int
    started_step: int
    ended_ns: int | None = None
    ended_step: int | None = None
    answered_ns: int | None = None
    answered_step: int | None = None

    @property
    def steps(self) -> int | None:
        """Market steps it lasted; 0 if it came and went between two, None while it lasts."""
        return None if self.ended_step is None else self.ended_step - self.started_step


class GuardAct(msgspec.Struct, frozen=True):
    """An order or a cancellation (`kind`) the guard caused; `reasons` names the breached rules behind it, if any."""

    kind: str
    order_id: int
    contract_id: str
    at_ns: int
    step: int
    reasons: tuple[str, ...]


class Report(msgspec.Struct, frozen=True):
    """The verdict.

    Attributes:
        episodes: every breach, in order of their start.   acts: everything the guard did, in order.
        false_flattens: acts without a breach.   missed: episodes that lasted and were not answered.
        disagreements: where the exchange's position was not what its fills add up to.
    """

    episodes: tuple[Episode, ...]
    acts: tuple[GuardAct, ...]
    false_flattens: tuple[GuardAct, ...]
    missed: tuple[Episode, ...]
    disagreements: tuple[str, ...]


class _Holding:
    """One contract's netted position, from fills: average cost, exact."""

    def __init__(self) -> None:
        self.net = 0
        self.cost_ticks = Fraction(0)

    def take(self, signed: int, price_ticks: int) -> None:
        closing = 0 if signed * self.net >= 0 else min(abs(signed), abs(self.net))
        if closing:
            self.cost_ticks -= self.cost_ticks * Fraction(closing, abs(self.net))
            self.net += closing if signed > 0 else -closing
            signed += -closing if signed > 0 else closing
        self.net += signed
        self.cost_ticks += signed * price_ticks


class _Window(msgspec.Struct):
    """A lockout somebody reported."""

    scope: str
    from_ns: int
    until_ns: int | None


class Referee:
    """Audits one account from the moment it is created; the account must be flat then."""

    def __init__(
        self,
        exchange: Exchange,
        account_id: int,
        limits: Limits,
        *,
        days: TradingDays | None = None,
        is_guard_order: Callable[[SimOrder], bool] | None = None,
        patience_steps: int = 50,
    ) -> None:
        """Listen to the exchange.

        Args:
            days: when the day's result starts again; None: never.
            is_guard_order: whether an order was placed or cancelled by the guard; by default an order without a tag is
                placed by the guard, and a cancelled order that is no bracket child was cancelled by it.
            patience_steps: how many market steps after a breach an act may still be its answer.
        """
        assert not exchange.positions(account_id), account_id
        self._exchange = exchange
        self._account_id = account_id
        self._limits = limits
        self._days = days
        self._is_guard_order = is_guard_order
        self._patience_steps = patience_steps
        self._roots = {key: each.contract.root for key, each in exchange.contracts.items()}
        self._tick_values = {
            key: each.contract.instrument.tick_value_micros for key, each in exchange.contracts.items()
        }
        self._holdings: dict[str, _Holding] = {}
        self._fills: dict[int, SimFill] = {}
        self._live: dict[int, SimOrder] = {}
        self._known_orders: set[int] = set()
        self._windows: list[_Window] = []
        self._lost_days: set[str] = set()
        self._day = ""
        self._day_realized = 0
        self._open: dict[tuple[str, str], Episode] = {}
        self._episodes: list[Episode] = []
        self._acts: list[GuardAct] = []
        self._told: dict[str, int] = {}
        self._disagreements: list[str] = []
        self._now_ns = exchange.now_ns
        self.steps = 0
        self._unsubscribe = exchange.subscribe(self._listen)

    def step_done(self, now_ns: int) -> None:
        """Count a market step; give it to the market as `after_step`."""
        self._now_ns = max(self._now_ns, now_ns)
        self._compare()
        self._judge()
        self.steps += 1

    def report_lockout(self, from_ns: int, until_ns: int | None, *, root: str | None = None) -> None:
        """Hold the account to a lockout (of one product, or of all): positions and live orders in it are breaches."""
        self._windows.append(_Window(root or ACCOUNT_SCOPE, from_ns, until_ns))
        self._judge()

    def stop(self) -> None:
        """Stop listening; idempotent."""
        self._unsubscribe()

    def report(self, *, brief_steps: int = 1) -> Report:
        """The verdict so far.

        Args:
            brief_steps: an unanswered episode of fewer market steps is not held against the guard: nobody could see it.
        """
        missed = [each for each in self._episodes if each.answered_step is None and self._lasted(each) >= brief_steps]
        return Report(
            episodes=tuple(msgspec.structs.replace(each) for each in self._episodes),
            acts=tuple(self._acts),
            false_flattens=tuple(act for act in self._acts if not act.reasons),
            missed=tuple(msgspec.structs.replace(each) for each in missed),
            disagreements=tuple(self._disagreements),
        )

    # Folding what the exchange tells

    def _listen(self, emission: Emission) -> None:
        if isinstance(emission, QuoteChanged):
            self._now_ns = max(self._now_ns, emission.at_ns)
            holding = self._holdings.get(emission.contract_id)
            if holding is not None and holding.net:
                self._judge()
            return
        if getattr(emission, "account_id", None) != self._account_id:
            return
        self._now_ns = max(self._now_ns, emission.at_ns)
        if isinstance(emission, FillHappened):
            self._take_fill(emission.fill)
        elif isinstance(emission, OrderChanged):
            self._take_order(emission.order)
        elif isinstance(emission, PositionChanged):
            self._told[emission.position.contract_id] = emission.position.net_contracts
            return
        else:
            return
        self._judge()

    def _take_fill(self, fill: SimFill) -> None:
        known = self._fills.get(fill.id)
        self._fills[fill.id] = fill
        if known is None and not fill.is_voided:
            self._book(fill)
        elif known is not None and known.is_voided != fill.is_voided:
            # A fill taken back changes every average after it: count again from the start.
            self._holdings.clear()
            self._day_realized = 0
            for each in self._fills.values():
                if not each.is_voided:
                    self._book(each)

    def _book(self, fill: SimFill) -> None:
        self._roll_day()
        self._holdings.setdefault(fill.contract_id, _Holding()).take(fill.signed_size, fill.price_ticks)
        if self._label(fill.at_ns) == self._day:
            costs = fill.fees_micros + fill.commission_micros if self._limits.includes_costs else 0
            self._day_realized += (fill.pnl_micros or 0) - costs

    def _take_order(self, order: SimOrder) -> None:
        is_new = order.id not in self._known_orders
        self._known_orders.add(order.id)
        was_live = self._live.pop(order.id, None) is not None
        if not order.status.is_terminal:
            self._live[order.id] = order
        if is_new and self._was_placed_by_guard(order):
            self._act("order", order)
        elif order.status is OrderStatus.CANCELLED and was_live and self._was_cancelled_by_guard(order):
            self._act("cancel", order)

    def _was_placed_by_guard(self, order: SimOrder) -> bool:
        if self._is_guard_order is not None:
            return self._is_guard_order(order)
        return order.tag is None and order.parent_id is None

    def _was_cancelled_by_guard(self, order: SimOrder) -> bool:
        if self._is_guard_order is not None:
            return self._is_guard_order(order)
        return order.parent_id is None

    def _compare(self) -> None:
        """Hold the positions told since the last step against the fills: in between, a reversal is told in pieces."""
        for contract_id, told in self._told.items():
            holding = self._holdings.get(contract_id)
            net = 0 if holding is None else holding.net
            if net != told:
                self._disagreements.append(
                    f"{contract_id} at {self._now_ns}: the position says {told}, the fills add up to {net}"
                )
        self._told.clear()

    # Judging

    def _judge(self) -> None:
        self._roll_day()
        broken = {(rule, scope): (worst, limit) for rule, scope, worst, limit in self._broken()}
        for key in [key for key in self._open if key not in broken]:
            episode = self._open.pop(key)
            episode.ended_ns, episode.ended_step = self._now_ns, self.steps
        for key, (measured, limit) in broken.items():
            if key not in self._open:
                self._open[key] = Episode(*key, measured, limit, self._now_ns, self.steps)
                self._episodes.append(self._open[key])
            elif abs(measured) > abs(self._open[key].worst):
                self._open[key].worst = measured

    def _broken(self) -> list[tuple[str, str, int, int]]:
        """Every limit that is broken now: rule, scope, measured, limit."""
        return [*self._too_many(), *self._losing(), *self._forbidden()]

    def _too_many(self) -> list[tuple[str, str, int, int]]:
        by_root: dict[str, int] = {}
        for contract_id, holding in self._holdings.items():
            root = self._roots[contract_id]
            by_root[root] = by_root.get(root, 0) + abs(holding.net)
        limits = self._limits
        found = [
            (MAX_PER_INSTRUMENT, root, size, limits.most_per_root[root])
            for root, size in by_root.items()
            if root in limits.most_per_root and size > limits.most_per_root[root]
        ]
        total = sum(by_root.values())
        if limits.most_contracts is not None and total > limits.most_contracts:
            found.append((MAX_CONTRACTS, ACCOUNT_SCOPE, total, limits.most_contracts))
        return found

    def _losing(self) -> list[tuple[str, str, int, int]]:
        limits = self._limits
        open_micros = {key: value for key in self._holdings if (value := self._open_micros(key)) is not None}
        found = []
        if limits.floating_loss_micros is not None:
            found = [
                (FLOATING_LOSS, contract_id, value, -limits.floating_loss_micros)
                for contract_id, value in open_micros.items()
                if value <= -limits.floating_loss_micros
            ]
        if limits.daily_loss_micros is not None:
            result = self._day_realized + (sum(open_micros.values()) if limits.includes_floating else 0)
            found += self._lost_day(result, -limits.daily_loss_micros)
        return found

    def _lost_day(self, result: int, limit: int) -> list[tuple[str, str, int, int]]:
        """A lost day stays lost: what is held or ordered later in it is a breach too, even if the result recovered.

        With nothing held or ordered the books are in order, and only the moment of the loss is told.
        """
        was_lost = self._day in self._lost_days
        if result <= limit:
            self._lost_days.add(self._day)
        is_broken = self._exposures(None) > 0 if was_lost else result <= limit
        return [(DAILY_LOSS, ACCOUNT_SCOPE, min(result, limit), limit)] if is_broken else []

    def _forbidden(self) -> list[tuple[str, str, int, int]]:
        found = []
        for root in sorted(self._limits.blocked_roots):
            count = self._exposures(root)
            if count:
                found.append((SYMBOL_BLOCKS, root, count, 0))
        for window in self._windows:
            is_active = window.from_ns <= self._now_ns and (window.until_ns is None or self._now_ns < window.until_ns)
            count = self._exposures(None if window.scope == ACCOUNT_SCOPE else window.scope) if is_active else 0
            if count:
                found.append((LOCKOUT, window.scope, count, 0))
        return found

    def _exposures(self, root: str | None) -> int:
        """How many listings of a root, or of the account, have a position or a live order."""
        touched = {key for key, holding in self._holdings.items() if holding.net}
        touched |= {order.contract_id for order in self._live.values()}
        return sum(1 for contract_id in touched if root is None or self._roots[contract_id] == root)

    def _open_micros(self, contract_id: str) -> int | None:
        """Open profit at the exit side, rounded down to a micro; None when flat or without a price."""
        holding = self._holdings[contract_id]
        if holding.net == 0:
            return None
        top = self._exchange.top(contract_id)
        side = top.bid_ticks if holding.net > 0 else top.ask_ticks
        mark = top.last_ticks if side is None else side
        if mark is None:
            return None
        return int((mark * holding.net - holding.cost_ticks) * self._tick_values[contract_id] // 1)

    def _roll_day(self) -> None:
        label = self._label(self._now_ns)
        if label != self._day:
            self._day = label
            self._day_realized = 0

    def _label(self, at_ns: int) -> str:
        return "all" if self._days is None else self._days.day_of(at_ns).label

    def _lasted(self, episode: Episode) -> int:
        return (self.steps if episode.ended_step is None else episode.ended_step) - episode.started_step

    # The guard's acts

    def _act(self, kind: str, order: SimOrder) -> None:
        # The order is live by now; what it answers was there before it, so nothing is judged in between.
        answered = [each for each in reversed(self._episodes) if self._is_answer(order.contract_id, each)]
        for episode in answered:
            if episode.answered_step is None:
                episode.answered_ns, episode.answered_step = self._now_ns, self.steps
        reasons = tuple(sorted({each.rule for each in answered}))
        self._acts.append(GuardAct(kind, order.id, order.contract_id, self._now_ns, self.steps, reasons))

    def _is_answer(self, contract_id: str, episode: Episode) -> bool:
        if episode.ended_step is not None and self.steps - episode.ended_step > self._patience_steps:
            return False
        covered = (ACCOUNT_SCOPE, self._roots[contract_id], contract_id)
        return episode.scope in covered or episode.rule in self._limits.flattening
