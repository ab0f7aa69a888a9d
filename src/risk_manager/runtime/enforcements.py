"""What every enforcement took: how soon it was seen, committed, flat and proven, and how far past the limit it went."""

from collections import deque

import msgspec

from risk_manager.domain.decision import Decision
from risk_manager.domain.finding import Unit
from risk_manager.domain.intent import Intent, IntentState, Protected
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.scope import Scope
from risk_manager.engine.account import AccountState
from risk_manager.runtime.instants import iso

MOST_KEPT = 1_000
MICROS_PER_USD = 1_000_000


class Timing(msgspec.Struct, frozen=True):
    """How long a decision took: event handed in to decision, and the durable commit; stopwatch nanoseconds."""

    detection_ns: int
    commit_ns: int


class Enforcement(msgspec.Struct, frozen=True, kw_only=True):
    """One enforcement in numbers.

    Attributes:
        breach_ns, breach_time: venue time of the breach, the latter in ISO 8601.
        detection_us: from the event's arrival to the decision.
        lock_commit_us: from the decision until it and its lockout were durable.
        time_to_flat_ms: from the arrival to the account first looking as demanded; None while it did not.
        time_to_proof_ms: the same to the second agreeing snapshot.
        measured, limit, overshoot: in USD for money limits, else in contracts or orders; overshoot is how far past the
            limit it got before it ended, >= 0.
        reentries: how often exposure came back before the proof and was removed again.
        verified_flat: the venue's snapshots prove it.
        has_lockout, locked_until_ns: whether the breach set a lockout, and to when (venue time; None: no set end).
    """

    id: str
    account_id: str
    rule: str
    code: str
    scope: str
    breach_ns: int
    breach_time: str
    detection_us: float
    lock_commit_us: float
    time_to_flat_ms: float | None
    time_to_proof_ms: float | None
    measured: float
    limit: float
    unit: str
    overshoot: float
    reentries: int
    actions: int
    verified_flat: bool
    locked_until_ns: int | None
    has_lockout: bool
    evidence: tuple[tuple[str, str], ...] = ()


class EnforcementLog:
    """The last enforcements of one account, folded from its decisions."""

    def __init__(self) -> None:
        self._records: deque[Enforcement] = deque(maxlen=MOST_KEPT)
        self._open: dict[str, Enforcement] = {}

    @property
    def records(self) -> tuple[Enforcement, ...]:
        """Ended ones and those under way, in order of their breach."""
        return tuple(sorted((*self._records, *self._open.values()), key=lambda record: (record.breach_ns, record.id)))

    def take(self, decision: Decision, timing: Timing, account: AccountState) -> None:
        """Fold a decision in; `account` is the account right after it."""
        for intent in decision.intents:
            if isinstance(intent.goal, Protected):
                # Nothing was broken, and it lasts as long as its position.
                continue
            record = self._open.pop(intent.id, None) or _begun(intent, decision, timing, account)
            if intent.state is IntentState.OPEN:
                self._open[intent.id] = record
            else:
                self._records.append(_ended(record, intent, account))
        for action in decision.actions:
            intent_id = getattr(action, "intent_id", None)
            begun = self._open.get(intent_id) if intent_id is not None else None
            if begun is not None:
                self._open[begun.id] = msgspec.structs.replace(begun, actions=begun.actions + 1)


def _begun(intent: Intent, decision: Decision, timing: Timing, account: AccountState) -> Enforcement:
    lockout = next((lock for lock in decision.lockouts_set if lock.intent_id == intent.id), None)
    return Enforcement(
        id=intent.id,
        account_id=intent.account_id,
        rule=intent.rule,
        code=intent.code,
        scope=_named(intent.scope, account),
        breach_ns=intent.at_ns,
        breach_time=iso(intent.at_ns),
        detection_us=timing.detection_ns / 1_000,
        lock_commit_us=timing.commit_ns / 1_000,
        time_to_flat_ms=None,
        time_to_proof_ms=None,
        measured=_number(intent.measured, intent.unit),
        limit=_number(intent.limit, intent.unit),
        unit=_unit(intent.unit),
        overshoot=0.0,
        reentries=0,
        actions=0,
        verified_flat=False,
        locked_until_ns=_until(lockout),
        has_lockout=lockout is not None,
        evidence=intent.evidence,
    )


def _ended(record: Enforcement, intent: Intent, account: AccountState) -> Enforcement:
    worst = _worst(intent, account)
    return msgspec.structs.replace(
        record,
        time_to_flat_ms=_ms(intent.opened_ns, intent.reached_ns),
        time_to_proof_ms=_ms(intent.opened_ns, intent.closed_ns),
        reentries=intent.reentries,
        overshoot=_number(max(0, abs(worst) - abs(intent.limit)), intent.unit),
        verified_flat=intent.state is IntentState.VERIFIED,
    )


def _named(scope: Scope, account: AccountState) -> str:
    """The scope as a trader calls it: `account`, a product, or the exchange name of a contract."""
    contract = account.contracts.get(scope.contract_id) if scope.contract_id is not None else None
    return contract.name if contract is not None else str(scope)


def _worst(intent: Intent, account: AccountState) -> int:
    """The worst the measured number got, with the fills of the enforcement itself counted for money limits."""
    if intent.unit is not Unit.MICROS or intent.limit >= 0:
        return intent.worst
    if intent.scope.is_account:
        return min(intent.worst, account.realized_micros - account.fees_micros)
    closed = sum(
        fill.pnl_micros or 0
        for fill in account.fills
        if fill.at_ns >= intent.at_ns
        and not fill.is_voided
        and intent.scope.covers(fill.contract_id, account.contracts.get(fill.contract_id))
    )
    return min(intent.worst, closed)


def _until(lockout: Lockout | None) -> int | None:
    return lockout.until_ns if lockout is not None else None


def _ms(start_ns: int, end_ns: int | None) -> float | None:
    return None if end_ns is None else round((end_ns - start_ns) / 1_000_000, 3)


def _number(value: int, unit: Unit) -> float:
    return value / MICROS_PER_USD if unit is Unit.MICROS else value


def _unit(unit: Unit) -> str:
    return "usd" if unit is Unit.MICROS else unit.value
