"""What the daemon tells about itself and its accounts, in a trader's units: dollars, prices, ISO times."""

import msgspec

from risk_manager.config.calendar import running_out
from risk_manager.domain.contract import Contract
from risk_manager.domain.coverage import Cover, Gap
from risk_manager.domain.finding import Gauge
from risk_manager.domain.instrument import MICROS_PER_USD, NANOS_PER_UNIT
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.order import Order
from risk_manager.engine.book import Book
from risk_manager.runtime.amounts import amount, unit_name
from risk_manager.runtime.coverage import Coverage
from risk_manager.runtime.enforcements import Enforcement
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.instants import NS_PER_S, iso
from risk_manager.runtime.loop_lag import LoopStatus

LAST_ENFORCEMENTS = 20
LAST_GAPS = 20


class PositionStatus(msgspec.Struct, frozen=True):
    contract: str
    symbol: str
    net_contracts: int
    average_price: float | None
    mark_bid: float | None
    mark_ask: float | None
    unrealized_usd: float | None
    quote_age_s: float | None


class OrderStatusLine(msgspec.Struct, frozen=True):
    id: str
    symbol: str
    side: str
    type: str
    status: str
    remaining: int
    limit_price: float | None
    stop_price: float | None


class LockoutStatus(msgspec.Struct, frozen=True):
    """`until` is None for a lockout that only its condition ends; `remaining_s` is counted by the venue's clock.

    Until the venue has told the time neither is known, nor is `set_at`; `is_timed` says whether it will tell an end.
    """

    scope: str
    rule: str
    kind: str
    reason: str
    on_lock: str
    set_at: str | None
    until: str | None
    remaining_s: float | None
    is_timed: bool


class LimitStatus(msgspec.Struct, frozen=True):
    """How much of a limit is used: `used` and `limit` in `unit`, both >= 0, a limit of None is a ban."""

    rule: str
    label: str
    used: float
    limit: float
    unit: str


class WaitingRule(msgspec.Struct, frozen=True):
    """A change of a rule, or of the reset, that comes into force with the next trading day; an empty option is the
    whole of it.
    """

    rule: str
    option: str
    now: str
    then: str


class GapStatus(msgspec.Struct, frozen=True):
    """A time in which something was missing; `ended` is None while it lasts."""

    began: str
    ended: str | None
    seconds: float
    cover: str
    cause: str


class CoverageStatus(msgspec.Struct, frozen=True):
    """How long of the trading day so far nothing was told (blind) or something was missing (degraded)."""

    blind_s: float
    degraded_s: float
    gaps: tuple[GapStatus, ...]


class AccountStatus(msgspec.Struct, frozen=True):
    id: str
    name: str
    mode: str
    state: str
    missing: tuple[str, ...]
    coverage: CoverageStatus
    trading_day: str
    day_ends: str
    venue_time: str | None
    can_trade: bool
    balance_usd: float | None
    realized_usd: float
    fees_usd: float
    unrealized_usd: float
    day_pnl_usd: float
    positions: tuple[PositionStatus, ...]
    orders: tuple[OrderStatusLine, ...]
    lockouts: tuple[LockoutStatus, ...]
    limits: tuple[LimitStatus, ...]
    waiting_rules: tuple[WaitingRule, ...]
    open_intents: int
    enforcements: tuple[Enforcement, ...]
    last_sequence: int
    coalesced_quotes: int


class DaemonStatus(msgspec.Struct, frozen=True):
    version: str
    process_id: int
    started_at: str
    configuration: str
    loop: LoopStatus
    accounts: tuple[AccountStatus, ...]


def account_status(guard: Guard, now_ns: int) -> AccountStatus:
    """The account as the guard knows it now."""
    account = guard.engine.account
    net_micros = account.realized_micros - account.fees_micros + account.unrealized_micros
    return AccountStatus(
        id=account.id,
        name=guard.name,
        mode=guard.settings.mode,
        state=guard.state,
        missing=(*guard.health.missing, *_failing(guard), *running_out(account.calendar, account.now_ns)),
        coverage=_coverage(guard.coverage, account.day.start_ns, now_ns),
        trading_day=account.day.label,
        day_ends=iso(account.day.end_ns),
        venue_time=iso(account.now_ns) if account.now_ns else None,
        can_trade=account.can_trade,
        balance_usd=_usd(account.balance_micros),
        realized_usd=account.realized_micros / MICROS_PER_USD,
        fees_usd=account.fees_micros / MICROS_PER_USD,
        unrealized_usd=account.unrealized_micros / MICROS_PER_USD,
        day_pnl_usd=net_micros / MICROS_PER_USD,
        positions=tuple(_position(holding, now_ns) for _, holding in sorted(account.holdings.items())),
        orders=tuple(_order(order, account.contracts.get(order.contract_id)) for order in account.orders.values()),
        lockouts=tuple(_lockout(lockout, account.now_ns) for lockout in account.lockouts),
        limits=tuple(_limit(name, gauge) for name, gauge in guard.engine.gauges()),
        waiting_rules=tuple(WaitingRule(one.rule, one.option, one.now, one.then) for one in guard.waiting_rules),
        open_intents=len(guard.engine.enforcer.open_intents),
        enforcements=guard.enforcements.records[-LAST_ENFORCEMENTS:],
        last_sequence=guard.engine.sequence,
        coalesced_quotes=guard.coalesced_quotes,
    )


def _coverage(coverage: Coverage, since_ns: int, now_ns: int) -> CoverageStatus:
    """Of the trading day, whose beginning is venue time and near enough to the local clock's."""
    today = [gap for gap in coverage.gaps if (now_ns if gap.ended_ns is None else gap.ended_ns) > since_ns]
    return CoverageStatus(
        blind_s=coverage.missed_ns(Cover.BLIND, since_ns, now_ns) / NS_PER_S,
        degraded_s=coverage.missed_ns(Cover.DEGRADED, since_ns, now_ns) / NS_PER_S,
        gaps=tuple(_gap(gap, now_ns) for gap in today[-LAST_GAPS:]),
    )


def _gap(gap: Gap, now_ns: int) -> GapStatus:
    ended_ns = now_ns if gap.ended_ns is None else gap.ended_ns
    return GapStatus(
        began=iso(gap.began_ns),
        ended=None if gap.ended_ns is None else iso(gap.ended_ns),
        seconds=max(0, ended_ns - gap.began_ns) / NS_PER_S,
        cover=gap.cover,
        cause=gap.cause,
    )


def _failing(guard: Guard) -> tuple[str, ...]:
    return tuple(f"rule {name}: failed {count} times" for name, count in guard.engine.failures().items())


def price(ticks: int | None, contract: Contract | None) -> float | None:
    """A price in points; None where either is unknown."""
    if ticks is None or contract is None:
        return None
    return ticks * contract.instrument.tick_size_nanos / NANOS_PER_UNIT


def _position(holding: Book, now_ns: int) -> PositionStatus:
    quote, contract = holding.quote, holding.contract
    return PositionStatus(
        contract=holding.contract_id,
        symbol=contract.name if contract else holding.root,
        net_contracts=holding.net_contracts,
        average_price=_average(holding),
        mark_bid=price(quote.bid_ticks, contract) if quote else None,
        mark_ask=price(quote.ask_ticks, contract) if quote else None,
        unrealized_usd=_usd(holding.unrealized_micros),
        quote_age_s=round((now_ns - holding.quote_received_ns) / NS_PER_S, 3) if quote else None,
    )


def _average(holding: Book) -> float | None:
    contract, cost_micros = holding.contract, holding.value_cost
    if contract is None or cost_micros is None or holding.value_net == 0:
        return None
    ticks = cost_micros / (holding.value_net * contract.instrument.tick_value_micros)
    return round(ticks * contract.instrument.tick_size_nanos / NANOS_PER_UNIT, 9)


def _order(order: Order, contract: Contract | None) -> OrderStatusLine:
    return OrderStatusLine(
        id=order.id,
        symbol=contract.name if contract else order.contract_id,
        side=order.side,
        type=order.type,
        status=order.status,
        remaining=order.remaining,
        limit_price=price(order.limit_ticks, contract),
        stop_price=price(order.stop_ticks, contract),
    )


def _lockout(lockout: Lockout, venue_ns: int) -> LockoutStatus:
    end_ns = lockout.end_ns
    return LockoutStatus(
        scope=str(lockout.scope),
        rule=lockout.rule,
        kind=lockout.kind,
        reason=lockout.reason,
        on_lock=lockout.on_lock,
        set_at=iso(lockout.set_ns) if lockout.set_ns else None,
        until=iso(end_ns) if end_ns is not None else None,
        remaining_s=max(0.0, (end_ns - venue_ns) / NS_PER_S) if end_ns is not None else None,
        is_timed=lockout.until_ns is not None,
    )


def _limit(rule: str, gauge: Gauge) -> LimitStatus:
    return LimitStatus(
        rule, gauge.label, amount(gauge.used, gauge.unit), amount(gauge.limit, gauge.unit), unit_name(gauge.unit)
    )


def _usd(micros: int | None) -> float | None:
    return None if micros is None else micros / MICROS_PER_USD
