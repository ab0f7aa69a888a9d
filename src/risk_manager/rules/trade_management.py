"""Stops and targets that the guard places and moves for you.

Nothing here is ever a breach and nothing is closed at once: an open position gets orders that rest at the venue, and
they follow it. Each part is off until it says `enabled: true`; profit is counted in ticks from the average entry price,
at the price the position could be left at (the bid for a long).

- `auto_stop_loss`: a stop `ticks` (default 10) behind the entry as soon as there is a position.
- `auto_take_profit`: a limit order `ticks` (default 20) in profit.
- `auto_breakeven`: once the profit has been `profit_trigger_ticks` (default 10), the stop goes to the entry plus
  `offset_ticks` (default 0) of profit.
- `trailing_stop`: once the profit has been `activation_ticks` (default 20), the stop stays `trail_distance_ticks`
  (default 10) behind the best price, in steps of at least `min_step_ticks` (default 1). `update_frequency` (default and
  least 1 second) is the time between two moves of the stop, whatever moves it; in between the latest place is kept.

The tightest of them counts. A stop never goes back, and is on the tick that loses less. Size follows the position: what
is added is covered, what is closed makes the orders smaller, and when the position is gone or turned round they are
cancelled. A stop the market is already through is not sent, for the venue refuses it; that is reported.

`respect_manual_stops` (default true): stops you placed yourself, and those of the venue's brackets, are left alone, and
what they cover gets no stop of the guard's. With `false` they are moved like its own, to the tighter side only.
`adopt_existing_stop: true` says the same. Limit orders of yours on the closing side always count as your own target.

Example: `auto_stop_loss: {enabled: true, ticks: 10}` and `auto_breakeven: {enabled: true}`. You buy 2 MNQ at 21000.00;
a stop for 2 rests at 20997.50, which risks 10.00 dollars. At a bid of 21002.50 it moves to 21000.00. You sell one: the
stop is for 1. You sell the other: it is cancelled.

What it does not do: the stop and the target are two orders and the venue does not link them. When one has filled, the
guard cancels the other, which takes it some milliseconds. While an account is locked or a position is being closed,
nothing is placed. With the rule switched off, a stop that rests stays until its position is gone.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated
from risk_manager.domain.exposure import mark_ticks
from risk_manager.domain.finding import Finding, Gauge, Protect, Skipped
from risk_manager.exits._base import Distance, Exit, ExitEvent, Held, Levels, Marked, Resized, StopState, View
from risk_manager.exits._levels import levels_of, stepped
from risk_manager.exits.breakeven import Breakeven, BreakevenState
from risk_manager.exits.stop_loss import StopLoss
from risk_manager.exits.take_profit import TakeProfit
from risk_manager.exits.trailing_stop import TrailingStop, TrailState
from risk_manager.rules._base import UNBOUNDED, Demand, Remedy, Slack
from risk_manager.rules._options import Fault

_S = 1_000_000_000
_NOTHING_SKIPPED: tuple[Skipped, ...] = ()

Ticks = Annotated[int, msgspec.Meta(gt=0)]


class AutoStopLoss(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    ticks: Ticks = 10


class AutoTakeProfit(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    ticks: Ticks = 20


class AutoBreakeven(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    profit_trigger_ticks: Ticks = 10
    offset_ticks: Annotated[int, msgspec.Meta(ge=0)] = 0


class Trailing(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    activation_ticks: Annotated[int, msgspec.Meta(ge=0)] = 20
    trail_distance_ticks: Ticks = 10
    update_frequency_ns: Annotated[int, msgspec.Meta(ge=_S)] = _S
    min_step_ticks: Ticks = 1


class Managed(msgspec.Struct, frozen=True):
    """One position and where its orders belong.

    Attributes:
        net_contracts, cost_micros: as last stepped.
        stop, breakeven, trail: states of the exits; those that are off stay as they began.
        wake_ticks: the price from which on a quote changes something; None: none does.
        told_stop, told_target: what was last said, at venue time `told_ns`, and by which exit (`told_by`).
        is_waiting: the stop belongs elsewhere by now, and will be told when its time has come.
    """

    position_id: str
    net_contracts: int
    cost_micros: int
    stop: StopState = StopState()
    breakeven: BreakevenState = BreakevenState()
    trail: TrailState = TrailState()
    wake_ticks: int | None = None
    told_stop: int | None = None
    told_target: int | None = None
    told_by: str = ""
    told_ns: int | None = None
    is_waiting: bool = False

    @property
    def side(self) -> int:
        return 1 if self.net_contracts > 0 else -1


class Management(msgspec.Struct, frozen=True):
    """The open positions by contract id, and what could not be done for them."""

    positions: dict[str, Managed] = {}
    skips: tuple[str, ...] = ()


class TradeManagement(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "trade_management"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {
        "auto_stop_loss": {"enabled": True, "ticks": 10},
        "auto_take_profit": {"enabled": True, "ticks": 20},
        "auto_breakeven": {"enabled": True},
        "trailing_stop": {"enabled": True},
    }

    auto_stop_loss: AutoStopLoss = AutoStopLoss()
    auto_take_profit: AutoTakeProfit = AutoTakeProfit()
    auto_breakeven: AutoBreakeven = AutoBreakeven()
    trailing_stop: Trailing = Trailing()
    respect_manual_stops: bool = True
    adopt_existing_stop: bool = False

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.ALERT)

    def initial_state(self) -> Management:
        return Management()

    def deadline_ns(self, state: Management) -> int | None:
        """When the next stop that waits for its time may be told."""
        times = (
            managed.told_ns + self.trailing_stop.update_frequency_ns
            for managed in state.positions.values()
            if managed.is_waiting and managed.told_ns is not None
        )
        return min(times, default=None)

    def step(
        self, state: Management, event: Event, account: AccountView
    ) -> tuple[Management, tuple[Finding | Skipped, ...]]:
        if type(event) is QuoteUpdated:
            quote = event.quote
            managed = state.positions.get(quote.contract_id)
            if managed is not None and managed.wake_ticks is not None:
                mark = mark_ticks(quote, managed.net_contracts)
                if mark is not None and (mark - managed.wake_ticks) * managed.net_contracts >= 0:
                    return self._quoted(state, quote.contract_id, mark, account)
            return state, self._skipped(state) if state.skips else _NOTHING_SKIPPED
        if not account.holdings:
            return (state if not state.positions and not state.skips else Management()), ()
        return self._looked(state, account)

    def slack(self, state: Management, account: AccountView) -> Slack | None:
        up = UNBOUNDED
        for contract_id, managed in state.positions.items():
            holding = account.holdings.get(contract_id)
            if managed.wake_ticks is None or holding is None:
                continue
            mark = mark_ticks(holding.quote, managed.net_contracts) if holding.quote is not None else None
            if mark is None or holding.contract is None:
                return None
            tick_value = holding.contract.instrument.tick_value_micros
            up = min(up, (managed.wake_ticks - mark) * managed.net_contracts * tick_value)
        return Slack(up_micros=up)

    def gauges(self, state: Management, account: AccountView) -> tuple[Gauge, ...]:
        return ()

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        parts = (self.auto_stop_loss, self.auto_take_profit, self.auto_breakeven, self.trailing_stop)
        if not any(part.enabled for part in parts):
            text = "nothing is switched on; give auto_stop_loss, auto_take_profit, auto_breakeven or trailing_stop an"
            faults.append(Fault("auto_stop_loss.enabled", f"{text} enabled: true"))
        if self.auto_breakeven.offset_ticks >= self.auto_breakeven.profit_trigger_ticks:
            faults.append(Fault("auto_breakeven.offset_ticks", "must be below profit_trigger_ticks"))
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        if options.get("adopt_existing_stop") is True and options.get("respect_manual_stops") is True:
            faults.append(Fault("adopt_existing_stop", "moves stops that respect_manual_stops: true leaves alone"))
        elif options.get("adopt_existing_stop") is True:
            options["respect_manual_stops"] = False
        return options

    # -- events -------------------------------------------------------------------------------------------------

    def _quoted(
        self, state: Management, contract_id: str, mark: int, account: AccountView
    ) -> tuple[Management, tuple[Finding | Skipped, ...]]:
        """A price at which something changes."""
        before = state.positions[contract_id]
        holding = account.holdings.get(contract_id)
        position = _held(holding, account.now_ns) if holding is not None else None
        if position is None or position.net_contracts * before.net_contracts < 0:
            return state, self._skipped(state)
        after = self._told(self._stepped(before, Marked.at(mark, account.now_ns), position), position, account.now_ns)
        if after == before:
            return state, self._skipped(state)
        state = replace(state, positions={**state.positions, contract_id: after})
        is_news = (after.told_stop, after.told_target) != (before.told_stop, before.told_target)
        wishes = (self._wish(contract_id, after),) if is_news else ()
        return state, (*wishes, *self._skipped(state))

    def _looked(self, state: Management, account: AccountView) -> tuple[Management, tuple[Finding | Skipped, ...]]:
        """Every position, whatever has happened: what it is to be protected by is said again."""
        positions: dict[str, Managed] = {}
        skips: list[str] = []
        for contract_id, holding in account.holdings.items():
            position = _held(holding, account.now_ns)
            before = state.positions.get(contract_id)
            if before is not None and not _is_same(before, holding):
                before = None
            if position is None:
                skips.append(f"entry_unknown {contract_id}")
                if before is not None:
                    positions[contract_id] = replace(before, is_waiting=False)
                continue
            after = self._told(self._followed(before, position, holding, account.now_ns), position, account.now_ns)
            positions[contract_id] = after
            if _is_unplaceable(after, holding, account):
                skips.append(f"market_beyond_stop {contract_id}")
        state = Management(positions, tuple(skips))
        wishes = tuple(self._wish(contract_id, managed) for contract_id, managed in positions.items())
        return state, (*wishes, *self._skipped(state))

    def _skipped(self, state: Management) -> tuple[Skipped, ...]:
        return tuple(Skipped(self.name, reason) for reason in state.skips)

    # -- one position -------------------------------------------------------------------------------------------

    def _followed(self, before: Managed | None, position: Held, holding: HoldingView, now_ns: int) -> Managed:
        """The position with its present size, cost and settings; a new one begins, with the price it is met at."""
        if before is None:
            begun = Managed(holding.position_id, position.net_contracts, position.cost_micros)
            quote = holding.quote
            mark = mark_ticks(quote, position.net_contracts) if quote is not None else None
            event: ExitEvent = Resized(now_ns) if mark is None else Marked.at(mark, now_ns)
            return self._stepped(begun, event, position)
        resized = replace(
            before,
            position_id=before.position_id or holding.position_id,
            net_contracts=position.net_contracts,
            cost_micros=position.cost_micros,
        )
        return self._stepped(resized, Resized(now_ns), position)

    def _stepped(self, managed: Managed, event: ExitEvent, position: Held) -> Managed:
        exits, states = self._parts(managed)
        after = dict(zip((one.name for one in exits), stepped(exits, states, event, position), strict=True))
        managed = replace(
            managed,
            stop=after.get(StopLoss.name, managed.stop),
            breakeven=after.get(Breakeven.name, managed.breakeven),
            trail=after.get(TrailingStop.name, managed.trail),
        )
        return replace(managed, wake_ticks=self._wake_ticks(managed, position))

    def _wake_ticks(self, managed: Managed, position: Held) -> int | None:
        """The nearest price from which on an exit would change."""
        wakes = []
        if self.auto_breakeven.enabled:
            wakes.append(self._breakeven.wake_ticks(managed.breakeven, position))
        if self.trailing_stop.enabled:
            wakes.append(self._trail.wake_ticks(managed.trail, position))
        return min((one for one in wakes if one is not None), key=lambda one: position.sign * one, default=None)

    def _told(self, managed: Managed, position: Held, now_ns: int) -> Managed:
        """The position with what is to be said about it now: at once if it is new, else when its time has come."""
        levels = self._levels(managed, position, now_ns)
        stop, target = levels.stop, levels.targets[0].price_ticks if levels.targets else None
        is_moved = stop is not None and (
            managed.told_stop is None or managed.side * (stop.price_ticks - managed.told_stop) > 0
        )
        if not is_moved and target == managed.told_target:
            return managed if not managed.is_waiting else replace(managed, is_waiting=False)
        last_ns = managed.told_ns
        if last_ns is not None and now_ns < last_ns + self.trailing_stop.update_frequency_ns:
            return managed if managed.is_waiting else replace(managed, is_waiting=True)
        return replace(
            managed,
            told_stop=stop.price_ticks if is_moved and stop is not None else managed.told_stop,
            told_by=stop.by if is_moved and stop is not None else managed.told_by,
            told_target=target,
            told_ns=now_ns,
            is_waiting=False,
        )

    def _levels(self, managed: Managed, position: Held, now_ns: int) -> Levels:
        exits, states = self._parts(managed)
        view = View(now_ns)
        if not self.auto_take_profit.enabled:
            return levels_of(exits, states, position, view)
        return levels_of((*exits, self._take_profit), (*states, None), position, view)

    def _wish(self, contract_id: str, managed: Managed) -> Protect:
        return Protect(
            self.name,
            contract_id,
            managed.position_id,
            managed.side,
            managed.told_stop,
            managed.told_target,
            self.trailing_stop.update_frequency_ns,
            moves_manual=not self.respect_manual_stops,
            evidence=(("stop_by", managed.told_by),) if managed.told_by else (),
        )

    # -- exits --------------------------------------------------------------------------------------------------

    def _parts(self, managed: Managed) -> tuple[list[Exit], list[Any]]:
        """The exits that are on and keep a state, and their states."""
        exits: list[Exit] = []
        states: list[Any] = []
        if self.auto_stop_loss.enabled:
            exits.append(self._stop_loss)
            states.append(managed.stop)
        if self.auto_breakeven.enabled:
            exits.append(self._breakeven)
            states.append(managed.breakeven)
        if self.trailing_stop.enabled:
            exits.append(self._trail)
            states.append(managed.trail)
        return exits, states

    @property
    def _stop_loss(self) -> StopLoss:
        return StopLoss(distance=Distance(ticks=self.auto_stop_loss.ticks))

    @property
    def _take_profit(self) -> TakeProfit:
        return TakeProfit(distance=Distance(ticks=self.auto_take_profit.ticks))

    @property
    def _breakeven(self) -> Breakeven:
        part = self.auto_breakeven
        return Breakeven(trigger_ticks=part.profit_trigger_ticks, offset_ticks=part.offset_ticks)

    @property
    def _trail(self) -> TrailingStop:
        part = self.trailing_stop
        return TrailingStop(
            distance=Distance(ticks=part.trail_distance_ticks),
            activation_ticks=part.activation_ticks,
            min_step_ticks=part.min_step_ticks,
        )


def _held(holding: HoldingView, now_ns: int) -> Held | None:
    """The holding as exits see it; None while its entry price is not known."""
    contract, cost = holding.contract, holding.value_cost
    if contract is None or cost is None or holding.value_net * holding.net_contracts <= 0:
        return None
    tick_value = contract.instrument.tick_value_micros
    return Held(holding.position_id, holding.value_net, cost, tick_value, holding.opened_ns, now_ns)


def _is_same(managed: Managed, holding: HoldingView) -> bool:
    """Whether what is held is still the managed position: the same side, and no other name."""
    if managed.net_contracts * holding.net_contracts < 0:
        return False
    return not (managed.position_id and holding.position_id) or managed.position_id == holding.position_id


def _is_unplaceable(managed: Managed, holding: HoldingView, account: AccountView) -> bool:
    """Whether the market is through the stop and none rests."""
    mark = mark_ticks(holding.quote, managed.net_contracts) if holding.quote is not None else None
    if managed.told_stop is None or mark is None or managed.side * (mark - managed.told_stop) > 0:
        return False
    return not any(
        order.contract_id == holding.contract_id and order.side.sign * managed.side < 0 and order.stop_ticks is not None
        for order in account.orders.values()
    )
