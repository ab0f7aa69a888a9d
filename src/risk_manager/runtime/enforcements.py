"""What every enforcement took: how soon it was seen, committed, flat and proven, and how far past the limit it went."""

from collections import deque

import msgspec

from risk_manager.domain.actions import Action
from risk_manager.domain.day_budget import DayBasis, day_result_micros
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ActionAccepted, Outcome
from risk_manager.domain.finding import Loss
from risk_manager.domain.intent import Intent, IntentState, Protected
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.scope import Scope
from risk_manager.engine.account import AccountState
from risk_manager.ports.journal import Record
from risk_manager.runtime.amounts import amount, unit_name
from risk_manager.runtime.instants import NS_PER_MS, iso, ms_between

MOST_KEPT = 1_000
MOST_CALLS = 100
"""Of one enforcement; whoever fights it for an hour makes thousands, and the first ones tell the story."""


class Timing(msgspec.Struct, frozen=True):
    """How long a decision took: event handed in to decision, and the durable commit; stopwatch nanoseconds."""

    detection_ns: int
    commit_ns: int


class Call(msgspec.Struct, frozen=True):
    """Something the venue was asked to do, and what became of it.

    Attributes:
        kind: the action's tag, such as `close_position`.
        size: of a sized one.   order_id: of one about an order.
        answer: `accepted`, or what the venue or the way to it said; empty while there is no answer.
        took_ms: from the decision being durable to the answer; None while there is none.
    """

    action_id: str
    kind: str
    contract_id: str
    size: int | None = None
    order_id: str | None = None
    answer: str = ""
    took_ms: float | None = None


class Enforcement(msgspec.Struct, frozen=True, kw_only=True):
    """One enforcement in numbers.

    Attributes:
        breach_ns, breach_time: when the breach was, see `breach_ns`; the latter in ISO 8601.
        detection_us: from the event's arrival to the decision.
        lock_commit_us: from the decision until it and its lockout were durable.
        time_to_flat_ms: from the arrival to the account first looking as demanded; None while it did not.
        time_to_proof_ms: the same to the second agreeing snapshot.
        measured, limit, overshoot: in USD for money limits, else in contracts or orders; overshoot is how far past the
            limit it got before it ended, >= 0.
        reentries: how often exposure came back before the proof and was removed again.
        verified_flat: the venue's snapshots prove it.
        has_lockout, locked_until_ns: whether the breach set a lockout, and to when (venue time; None: not known).
        actions: how often the venue was asked to do something.   calls: the first of them.
    """

    id: str
    account_id: str
    trading_day: str
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
    calls: tuple[Call, ...] = ()


def record_of(enforcement: Enforcement) -> Record:
    """What the journal keeps of an enforcement."""
    body = msgspec.json.encode(enforcement)
    return Record(enforcement.id, enforcement.account_id, enforcement.trading_day, body)


class EnforcementLog:
    """The last enforcements of one account, folded from its decisions; those of an earlier run are not among them."""

    def __init__(self) -> None:
        self._records: deque[Enforcement] = deque(maxlen=MOST_KEPT)
        self._open: dict[str, Enforcement] = {}
        self._unsaved: deque[Enforcement] = deque(maxlen=MOST_KEPT)

    @property
    def records(self) -> tuple[Enforcement, ...]:
        """Ended ones and those under way, in order of their breach."""
        return tuple(sorted((*self._records, *self._open.values()), key=lambda record: (record.breach_ns, record.id)))

    @property
    def unsaved(self) -> tuple[Enforcement, ...]:
        """Ended ones the journal does not hold yet, oldest first."""
        return tuple(self._unsaved)

    def saved(self, records: tuple[Enforcement, ...]) -> None:
        """The journal holds these now."""
        for record in records:
            if record in self._unsaved:
                self._unsaved.remove(record)

    def answered(self, action: Action, outcome: Outcome, took_ns: int) -> None:
        """Note what became of an action of an enforcement that is under way."""
        record = self._open.get(getattr(action, "intent_id", ""))
        if record is None:
            return
        answer = "accepted" if isinstance(outcome, ActionAccepted) else outcome.message or "no reason given"
        done = {"answer": answer, "took_ms": round(took_ns / NS_PER_MS, 3)}
        calls = tuple(
            msgspec.structs.replace(call, **done) if call.action_id == action.id else call for call in record.calls
        )
        self._open[record.id] = msgspec.structs.replace(record, calls=calls)

    def take(self, decision: Decision, timing: Timing, account: AccountState) -> None:
        """Fold a decision in; `account` is the account right after it."""
        for intent in decision.intents:
            if isinstance(intent.goal, Protected):
                # Nothing was broken, and it lasts as long as its position.
                continue
            record = self._open.pop(intent.id, None)
            if record is None and _is_opened_by(decision, intent):
                record = _begun(intent, decision, timing, account)
            if record is None:
                # It was under way when this run began; of its beginning only the journal can tell.
                continue
            if intent.state is IntentState.OPEN:
                self._open[intent.id] = record
            else:
                ended = _ended(record, intent, account)
                self._records.append(ended)
                self._unsaved.append(ended)
        for action in decision.actions:
            intent_id = getattr(action, "intent_id", None)
            begun = self._open.get(intent_id) if intent_id is not None else None
            if begun is not None:
                calls = (*begun.calls, call_of(action)) if len(begun.calls) < MOST_CALLS else begun.calls
                self._open[begun.id] = msgspec.structs.replace(begun, actions=begun.actions + 1, calls=calls)


def _is_opened_by(decision: Decision, intent: Intent) -> bool:
    """Whether it is the intent's first decision, after which the intent is named."""
    return intent.id.startswith(f"{decision.account_id}-{decision.sequence}-")


def _begun(intent: Intent, decision: Decision, timing: Timing, account: AccountState) -> Enforcement:
    lockout = next((lock for lock in decision.lockouts_set if lock.intent_id == intent.id), None)
    return Enforcement(
        id=intent.id,
        account_id=intent.account_id,
        trading_day=intent.trading_day,
        rule=intent.rule,
        code=intent.code,
        scope=_named(intent.scope, account),
        breach_ns=breach_ns(intent),
        breach_time=iso(breach_ns(intent)),
        detection_us=timing.detection_ns / 1_000,
        lock_commit_us=timing.commit_ns / 1_000,
        time_to_flat_ms=None,
        time_to_proof_ms=None,
        measured=amount(intent.measured, intent.unit),
        limit=amount(intent.limit, intent.unit),
        unit=unit_name(intent.unit),
        overshoot=0.0,
        reentries=0,
        actions=0,
        verified_flat=False,
        locked_until_ns=_until(lockout),
        has_lockout=lockout is not None,
        evidence=intent.evidence,
    )


def breach_ns(intent: Intent) -> int:
    """Venue time of an intent's breach; local time where the venue had not told the time yet."""
    return intent.at_ns or intent.opened_ns


def call_of(action: Action) -> Call:
    """What was asked of the venue, as yet without an answer."""
    return Call(
        action.id,
        str(type(action).__struct_config__.tag),
        getattr(action, "contract_id", ""),
        getattr(action, "size", None),
        getattr(action, "order_id", None),
    )


def _ended(record: Enforcement, intent: Intent, account: AccountState) -> Enforcement:
    worst = _worst(intent, account)
    past = intent.limit - worst if intent.is_lower_worse else worst - intent.limit
    return msgspec.structs.replace(
        record,
        time_to_flat_ms=ms_between(intent.opened_ns, intent.reached_ns),
        time_to_proof_ms=ms_between(intent.opened_ns, intent.closed_ns),
        reentries=intent.reentries,
        overshoot=amount(max(0, past), intent.unit),
        verified_flat=intent.state is IntentState.VERIFIED,
    )


def _named(scope: Scope, account: AccountState) -> str:
    """The scope as a trader calls it: `account`, a product, or the exchange name of a contract."""
    contract = account.contracts.get(scope.contract_id) if scope.contract_id is not None else None
    return contract.name if contract is not None else str(scope)


def _worst(intent: Intent, account: AccountState) -> int:
    """The worst the measured number got, with the fills of the enforcement itself where they count into it."""
    if intent.loss is None:
        return intent.worst
    if intent.loss is Loss.OPEN:
        return min(intent.worst, _closed_micros(intent, account))
    if account.holdings:
        # What is open may count, too; the rule goes on measuring that itself.
        return intent.worst
    return min(intent.worst, day_result_micros(account, DayBasis.REALIZED, intent.loss is Loss.DAY_NET))


def _closed_micros(intent: Intent, account: AccountState) -> int:
    """What the fills since the breach have realized in the scope, signed."""
    return sum(
        fill.pnl_micros or 0
        for fill in account.fills
        if fill.at_ns >= intent.at_ns
        and not fill.is_voided
        and intent.scope.covers(fill.contract_id, account.contracts.get(fill.contract_id))
    )


def _until(lockout: Lockout | None) -> int | None:
    return lockout.end_ns if lockout is not None else None
