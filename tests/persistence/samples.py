"""Decisions to store, and what must be remembered of them."""

from collections.abc import Iterable

from risk_manager.domain.account import Account
from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    PlaceStop,
    PlaceTarget,
    ReducePosition,
    TakeSnapshot,
)
from risk_manager.domain.contract import Contract
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event, QuoteUpdated, SnapshotTaken, TimerFired
from risk_manager.domain.fill import Fill
from risk_manager.domain.finding import AtMost, Breach, Protect, Release, Skipped, Unit, Warning
from risk_manager.domain.instrument import Instrument
from risk_manager.domain.intent import (
    Flat,
    Goal,
    Intent,
    IntentState,
    NoOpeningOrders,
    OrdersGone,
    Protected,
    SizesAtMost,
)
from risk_manager.domain.lockout import Lockout, LockoutKind, LockoutRelease, OnLock
from risk_manager.domain.order import Order, OrderStatus, OrderType, Side
from risk_manager.domain.position import Position
from risk_manager.domain.quote import Quote
from risk_manager.domain.scope import ACCOUNT, Scope

ACCOUNT_ID = "9056"
DAY = "2026-03-02"
MNQ = "CON.F.US.MNQ.H26"
NOW_NS = 1_772_409_600_000_000_000


def lockout(
    rule: str = "daily_realized_loss",
    *,
    scope: Scope = ACCOUNT,
    until_ns: int | None = NOW_NS + 1,
    on_lock: OnLock = OnLock.FLATTEN,
    account_id: str = ACCOUNT_ID,
) -> Lockout:
    return Lockout(
        account_id, scope, rule, LockoutKind.HARD, on_lock, "loss limit reached", NOW_NS, until_ns, DAY, "intent-1"
    )


def intent(
    intent_id: str = "intent-1", state: IntentState = IntentState.OPEN, *, account_id: str = ACCOUNT_ID
) -> Intent:
    return Intent(
        id=intent_id,
        account_id=account_id,
        trading_day=DAY,
        rule="daily_realized_loss",
        code="DAILY_LOSS",
        scope=ACCOUNT,
        goal=Flat(ACCOUNT),
        state=state,
        measured=-500_000_000,
        limit=-500_000_000,
        unit=Unit.MICROS,
        worst=-501_000_000,
        at_ns=NOW_NS,
        opened_ns=NOW_NS,
    )


def release(rule: str = "daily_realized_loss", *, scope: Scope = ACCOUNT) -> LockoutRelease:
    return LockoutRelease(scope, rule, NOW_NS + 5, "expired")


def decision(
    sequence: int,
    *,
    cause: Event | None = None,
    lockouts_set: tuple[Lockout, ...] = (),
    lockouts_released: tuple[LockoutRelease, ...] = (),
    intents: tuple[Intent, ...] = (),
    account_id: str = ACCOUNT_ID,
) -> Decision:
    return Decision(
        sequence,
        account_id,
        DAY,
        cause or TimerFired(account_id, 0, NOW_NS + sequence),
        lockouts_set=lockouts_set,
        lockouts_released=lockouts_released,
        intents=intents,
    )


def chain_link(sequence: int) -> Decision:
    """The decision of this sequence in an endless chain that touches every table, the same at every call."""
    rule = f"rule_{sequence % 5}"
    closing = (intent(f"intent-{sequence - 3}", IntentState.VERIFIED),) if sequence > 3 else ()
    return decision(
        sequence,
        cause=QuoteUpdated(ACCOUNT_ID, Quote(MNQ, sequence, sequence + 1, None, NOW_NS), NOW_NS, NOW_NS + sequence),
        lockouts_released=(release(rule),) if sequence % 7 == 0 else (),
        lockouts_set=() if sequence % 7 == 0 else (lockout(rule, until_ns=NOW_NS + sequence),),
        intents=(intent(f"intent-{sequence}"), *closing),
    )


def remembered(decisions: Iterable[Decision]) -> tuple[set[Lockout], list[Intent]]:
    """What the decisions leave active and open, folded the plain way, oldest intent first."""
    active: dict[tuple[Scope, str], Lockout] = {}
    intents: dict[str, Intent] = {}
    for made in decisions:
        for ended in made.lockouts_released:
            active.pop((ended.scope, ended.rule), None)
        for new in made.lockouts_set:
            old = active.get((new.scope, new.rule))
            active[new.scope, new.rule] = new if old is None else old.joined(new)
        intents.update({changed.id: changed for changed in made.intents})
    return set(active.values()), [one for one in intents.values() if one.state is IntentState.OPEN]


def rich_decision(sequence: int = 1) -> Decision:
    """A decision in which every kind of part occurs, caused by a whole account's snapshot."""
    return Decision(
        sequence,
        ACCOUNT_ID,
        DAY,
        _snapshot_event(),
        findings=(
            Breach(
                "max_contracts", "MAX_CONTRACTS", 6, 5, Unit.CONTRACTS, Scope(root="MNQ"), (AtMost(MNQ, 5),), ("77",)
            ),
            Warning(
                "daily_realized_loss", "NEAR", -400_000_000, -500_000_000, Unit.MICROS, ACCOUNT, (("fees", "1.24"),)
            ),
            Release("symbol_blocks", Scope(contract_id=MNQ), "no longer blocked"),
            Protect("trade_management", MNQ, "41", -1, 84_100, 83_500, 1_000_000_000, evidence=(("stop_by", "x"),)),
        ),
        lockouts_set=(lockout(), lockout("symbol_blocks", scope=Scope(root="MNQ"), until_ns=None)),
        lockouts_released=(release("max_contracts"),),
        intents=(
            intent("a"),
            _with_goal("b", SizesAtMost((AtMost(MNQ, 5),))),
            _with_goal("c", NoOpeningOrders(Scope(contract_id=MNQ))),
            _with_goal("d", OrdersGone(("77", "78"), Scope(root="ES"))),
            _with_goal("e", Protected(ACCOUNT_ID, MNQ, "41", -1, 84_100, None, 1_000_000_000)),
        ),
        actions=_every_action(),
        skipped=(Skipped("daily_unrealized_loss", "no quote for MNQ — “never” seen"),),
    )


def fill(fill_id: str = "1", **changes: object) -> Fill:
    values: dict[str, object] = {
        "id": fill_id,
        "order_id": "77",
        "contract_id": MNQ,
        "side": Side.SELL,
        "size": 2,
        "price_ticks": 84_001,
        "at_ns": NOW_NS,
        "pnl_micros": -12_500_000,
        "fees_micros": 740_000,
    }
    return Fill(**{**values, **changes})  # type: ignore[arg-type]


def _with_goal(intent_id: str, goal: Goal) -> Intent:
    base = intent(intent_id)
    return Intent(**{**{name: getattr(base, name) for name in base.__struct_fields__}, "goal": goal})


def _every_action() -> tuple[Action, ...]:
    return (
        CancelOrder("1", "a", MNQ, "77", is_urgent=True),
        ClosePosition("2", "a", MNQ),
        ReducePosition("3", "b", MNQ, 1),
        PlaceStop("4", "a", MNQ, Side.SELL, 2, 83_900),
        PlaceTarget("7", "a", MNQ, Side.SELL, 2, 84_200),
        ModifyOrder("5", "a", MNQ, "78", None, 84_100, 1),
        TakeSnapshot("6", "verify", full=True),
    )


def _snapshot_event() -> SnapshotTaken:
    mnq = Contract(MNQ, "MNQH6", "F.US.MNQ", Instrument("MNQ", 250_000_000, 500_000))
    return SnapshotTaken(
        ACCOUNT_ID,
        Account(ACCOUNT_ID, "PRAC-V2-1", 50_000_000_000, can_trade=True),
        (Position(MNQ, -6, -25_200_300_000, "41", NOW_NS),),
        (Order("77", MNQ, Side.BUY, OrderType.LIMIT, OrderStatus.WORKING, 1, limit_ticks=84_000, tag="x"),),
        None,
        NOW_NS - 1,
        (mnq,),
        NOW_NS,
        NOW_NS,
        NOW_NS + 2,
    )
