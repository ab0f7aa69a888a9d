"""A break after a losing trade.

`loss_thresholds` lists from which loss of one trade on how long the break is. The default is 5 minutes from $100, 15
minutes from $200 and 30 minutes from $300, written as `{loss_amount: 100, cooldown: 5m}` and so on; `-100` and `100`
mean the same. The largest one reached counts, whatever their order. For a single one `loss_threshold: 100` with
`cooldown: 300` (seconds, or `5m`; default 5 minutes) is enough. A loss of exactly the amount starts the break.

`unit` says what one trade is:

- `round_turn` (default): a position from flat to flat, with everything that was added and taken off. Its result is
  known, and judged, when it is closed.
- `order`: the fills of one order together. An exit filled in three parts of -$50 is a loss of $150.
- `fill`: every execution by itself.

The result is the venue's own, before fees. `consecutive_losses: {count: 3, cooldown: 15m}` also starts a break after
so many losing trades in a row, of any size, in one trading day; a trade that does not lose ends the row, and so does
the break it led to (default: none).

`action` says what happens:

- `pause` (default): orders that would add are cancelled and new exposure is locked out; open positions stay, and may
  be closed or made smaller.
- `flatten`: all positions are closed and all orders cancelled, and the account is locked. `close_positions: true` is
  the same, `close_positions: false` is `pause`.
- `alert`: nothing is done. `allow_trading_during_cooldown: true` is the same.

The break is counted from the exchange's time of the fill that completed the loss. Another loss during a break can
make its end later, never earlier; with `extend: true` its own break is added to what is left (default false). A break
goes on to its end across a restart and across the end of the trading day, and also when the venue takes the losing
fill back.

A trade the guard itself ended does not start a break, nor count in a row; `cooldown_on_enforced_exit: true` has it do
both (default false).

Example: with the defaults a position is closed at 10:00:00 with -$150: no new position until 10:05:00. Another
contract, still open, is closed at 10:02:00 with -$210: until 10:17:00.

What it does not do: it does not look at open losses, and not at the sum of several small ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, NamedTuple

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import ActionAccepted, ActionRejected, Event, FillReceived, OrderUpdated, RulesChanged
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.lockout import LockoutKind
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import LockTerms, Remedy
from risk_manager.rules._options import Fault, dollars_text
from risk_manager.rules._stopping import Action, remedy_of

SECOND_NS = 1_000_000_000
_DEFAULT_COOLDOWN = "300s"


class Trade(StrEnum):
    """What one trade is; see the module's text."""

    ROUND_TURN = "round_turn"
    ORDER = "order"
    FILL = "fill"


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """From this loss on a break of this length."""

    loss_amount_micros: Annotated[int, msgspec.Meta(gt=0)]
    cooldown_ns: Annotated[int, msgspec.Meta(gt=0)]


class Streak(msgspec.Struct, frozen=True, kw_only=True):
    """After so many losses in a row a break of this length."""

    count: Annotated[int, msgspec.Meta(ge=2)]
    cooldown_ns: Annotated[int, msgspec.Meta(gt=0)]


def _tier(dollars: int, minutes: int) -> Tier:
    return Tier(loss_amount_micros=dollars * 1_000_000, cooldown_ns=minutes * 60 * SECOND_NS)


class Cooling(msgspec.Struct, frozen=True):
    """What was made of the fills.

    Attributes:
        revision: the account's, then.   breach: of the break that runs, None if none does.
    """

    revision: int = -1
    breach: Breach | None = None


class _Result(NamedTuple):
    """One trade, completed at `at_ns`."""

    at_ns: int
    pnl_micros: int
    id: str
    contract_id: str


class _Break(NamedTuple):
    """A break some trade leads to, and why."""

    length_ns: int
    code: str
    measured: int
    limit: int
    unit: Unit


class CooldownAfterLoss(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text.

    Attributes:
        loss_thresholds: the smallest loss first.
    """

    name: ClassVar[str] = "cooldown_after_loss"
    # Orders and answers decide which fills are the guard's own.
    listens_to: ClassVar[frozenset[type]] = frozenset({FillReceived, OrderUpdated, ActionAccepted, ActionRejected})
    example: ClassVar[Mapping[str, object]] = {
        "loss_thresholds": [{"loss_amount": -100, "cooldown": "5m"}, {"loss_amount": -300, "cooldown": "30m"}]
    }

    loss_thresholds: tuple[Tier, ...] = (_tier(100, 5), _tier(200, 15), _tier(300, 30))
    unit: Trade = Trade.ROUND_TURN
    consecutive_losses: Streak | None = None
    action: Action = Action.PAUSE
    extend: bool = False
    cooldown_on_enforced_exit: bool = False

    def __post_init__(self) -> None:
        tiers = sorted(self.loss_thresholds, key=lambda tier: tier.loss_amount_micros)
        msgspec.structs.force_setattr(self, "loss_thresholds", tuple(tiers))

    @property
    def remedy(self) -> Remedy:
        return remedy_of(self.action, LockTerms(), LockoutKind.COOLDOWN)

    def initial_state(self) -> Cooling:
        return Cooling()

    def deadline_ns(self, state: Cooling) -> int | None:
        return state.breach.until_ns if state.breach is not None else None

    def step(self, state: Cooling, event: Event, account: AccountView) -> tuple[Cooling, tuple[Finding | Skipped, ...]]:
        if account.fills_revision != state.revision or type(event) is RulesChanged:
            since_ns = self._since_ns(state, event, account)
            state = Cooling(account.fills_revision, self._later(state.breach, since_ns, account))
        if state.breach is None:
            return state, ()
        if account.now_ns >= _end_ns(state.breach):
            return Cooling(state.revision), ()
        return state, (state.breach,)

    def gauges(self, state: Cooling, account: AccountView) -> tuple[Gauge, ...]:
        results = sorted(self._results(account, account.day.start_ns))
        gauges = []
        if self.loss_thresholds:
            lost = max(0, -results[-1].pnl_micros) if results else 0
            limit = self.loss_thresholds[0].loss_amount_micros
            gauges.append(Gauge(f"loss of the last {_WORDS[self.unit]}", lost, limit, Unit.MICROS))
        if self.consecutive_losses is not None:
            *_, (_, _, run) = [(0, 0, 0), *self._breaks(results, account)]
            gauges.append(Gauge("losses in a row", run, self.consecutive_losses.count, Unit.TRADES))
        return tuple(gauges)

    def contradictions(self) -> tuple[Fault, ...]:
        faults = []
        if not self.loss_thresholds and self.consecutive_losses is None:
            faults.append(Fault("loss_thresholds", "is empty; name a loss and its cooldown, or consecutive_losses"))
        for smaller, larger in zip(self.loss_thresholds, self.loss_thresholds[1:], strict=False):
            if smaller.loss_amount_micros == larger.loss_amount_micros:
                amount = dollars_text(larger.loss_amount_micros)
                faults.append(Fault("loss_thresholds", f"has two cooldowns for a loss of {amount}"))
            elif smaller.cooldown_ns > larger.cooldown_ns:
                amount = dollars_text(larger.loss_amount_micros)
                faults.append(Fault("loss_thresholds", f"has a shorter cooldown for {amount} than for a smaller loss"))
        if self.action is Action.ALERT and self.extend:
            faults.append(Fault("extend", "has no cooldown to make longer when the action is alert"))
        return tuple(faults)

    @classmethod
    def modernized(cls, options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
        _gather_tier(options, faults)
        tiers = options.get("loss_thresholds")
        if isinstance(tiers, list | tuple):
            options["loss_thresholds"] = [_modern_cooldown(tier) for tier in tiers]
        if "consecutive_losses" in options:
            options["consecutive_losses"] = _modern_cooldown(options["consecutive_losses"])
        _take_switch(options, "close_positions", {True: Action.FLATTEN, False: Action.PAUSE}, faults)
        _take_switch(options, "allow_trading_during_cooldown", {True: Action.ALERT, False: None}, faults)
        return options

    # -- judging ------------------------------------------------------------------------------------------------

    def _later(self, running: Breach | None, since_ns: int, account: AccountView) -> Breach | None:
        """The break that runs, or a later one that trades since then lead to."""
        until_ns = max(account.now_ns, _end_ns(running))
        found = running
        ends_ns = 0
        for result, cause, _ in self._breaks(sorted(self._results(account, since_ns)), account):
            if cause is None:
                continue
            is_added = self.extend and result.at_ns < ends_ns
            ends_ns = max(ends_ns, (ends_ns if is_added else result.at_ns) + cause.length_ns)
            if ends_ns > until_ns:
                until_ns = ends_ns
                found = self._breach(result, cause, ends_ns)
        return found

    def _breaks(self, results: Iterable[_Result], account: AccountView) -> Iterator[tuple[_Result, _Break | None, int]]:
        """Each trade with the break it leads to by itself, and how many losses in a row there are now."""
        streak = self.consecutive_losses
        run, is_today = 0, False
        for result in results:
            if not is_today and result.at_ns >= account.day.start_ns:
                run, is_today = 0, True
            run = run + 1 if result.pnl_micros < 0 else 0
            cause = self._tier_break(-result.pnl_micros)
            if streak is not None and run == streak.count:
                if cause is None or streak.cooldown_ns > cause.length_ns:
                    cause = _Break(streak.cooldown_ns, "LOSS_STREAK", run, streak.count, Unit.TRADES)
                run = 0
            yield result, cause, run

    def _tier_break(self, lost_micros: int) -> _Break | None:
        for tier in reversed(self.loss_thresholds):
            limit = tier.loss_amount_micros
            if lost_micros >= limit:
                return _Break(tier.cooldown_ns, "COOLDOWN_AFTER_LOSS", -lost_micros, -limit, Unit.MICROS)
        return None

    def _since_ns(self, state: Cooling, event: Event, account: AccountView) -> int:
        """How far back trades still matter: of a row and of a chain of breaks, as far as fills are kept."""
        if self.extend or self.consecutive_losses is not None:
            return 0
        recent_ns = account.now_ns - max(tier.cooldown_ns for tier in self.loss_thresholds)
        is_one_step = account.fills_revision == state.revision + 1
        # One fill changes no trade that was completed before it.
        return max(recent_ns, event.fill.at_ns) if type(event) is FillReceived and is_one_step else recent_ns

    def _results(self, account: AccountView, since_ns: int) -> Iterator[_Result]:
        """The trades completed since then, newest first or nearly so."""
        own = frozenset() if self.cooldown_on_enforced_exit else account.guard_order_ids
        match self.unit:
            case Trade.ROUND_TURN:
                for turn in reversed(account.round_turns):
                    if turn.closed_ns < since_ns:
                        return
                    if turn.closed_by not in own:
                        yield _Result(turn.closed_ns, turn.pnl_micros, turn.id, turn.contract_id)
            case Trade.ORDER:
                # Sorted by their first fills, but judged by the last: none may be left out for having begun early.
                for order in account.filled_orders:
                    if order.last_ns >= since_ns and order.opened < order.size and order.id not in own:
                        yield _Result(order.last_ns, order.pnl_micros, order.id, order.contract_id)
            case Trade.FILL:
                for fill in reversed(account.valid_fills):
                    if fill.at_ns < since_ns:
                        return
                    if fill.pnl_micros is not None and fill.order_id not in own:
                        yield _Result(fill.at_ns, fill.pnl_micros, fill.id, fill.contract_id)

    def _breach(self, result: _Result, cause: _Break, until_ns: int) -> Breach:
        return Breach(
            self.name,
            cause.code,
            cause.measured,
            cause.limit,
            cause.unit,
            ACCOUNT,
            evidence=(
                ("unit", self.unit.value),
                ("id", result.id),
                ("contract", result.contract_id),
                ("result", dollars_text(result.pnl_micros)),
                ("cooldown_s", str(cause.length_ns // SECOND_NS)),
            ),
            until_ns=until_ns,
        )


_WORDS = {Trade.ROUND_TURN: "round turn", Trade.ORDER: "order", Trade.FILL: "fill"}


def _end_ns(breach: Breach | None) -> int:
    return breach.until_ns or 0 if breach is not None else 0


# -- older spellings ---------------------------------------------------------------------------------------------------


def _gather_tier(options: dict[str, Any], faults: list[Fault]) -> None:
    """Turn `loss_threshold` with `cooldown` into the only tier."""
    names = ("cooldown", "cooldown_seconds", "cooldown_ms")
    given = {key: options.pop(key) for key in names if key in options}
    if "loss_threshold" not in options:
        faults.extend(Fault(key, "belongs to a loss_threshold, or into loss_thresholds") for key in given)
        return
    amount = options.pop("loss_threshold")
    if "loss_thresholds" in options:
        faults.append(Fault("loss_threshold", "is said twice, also as loss_thresholds"))
        return
    options["loss_thresholds"] = [{"loss_amount": amount, **(given or {"cooldown": _DEFAULT_COOLDOWN})}]


def _modern_cooldown(option: object) -> object:
    """Read a bare number as seconds."""
    if not isinstance(option, Mapping) or isinstance(option.get("cooldown"), str | bool | None):
        return option
    return {("cooldown_seconds" if key == "cooldown" else key): value for key, value in option.items()}


def _take_switch(
    options: dict[str, Any], name: str, actions: Mapping[bool, Action | None], faults: list[Fault]
) -> None:
    """Turn a switch of older configurations into `action`."""
    if name not in options:
        return
    value = options.pop(name)
    if not isinstance(value, bool):
        faults.append(Fault(name, "must be true or false"))
        return
    action = actions[value]
    if action is None:
        return
    if "action" in options:
        faults.append(Fault("action", f"is said twice, also as {name}"))
    else:
        options["action"] = action.value
