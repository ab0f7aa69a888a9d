"""One enforcement from its breach to its proof, gathered from what the journal holds of it."""

from collections.abc import Iterator

import msgspec

from risk_manager.domain.actions import Action
from risk_manager.domain.decision import Decision
from risk_manager.domain.lockout import Lockout
from risk_manager.ports.journal import Story
from risk_manager.runtime.amounts import amount, unit_name
from risk_manager.runtime.enforcements import Call, Enforcement, breach_ns, call_of
from risk_manager.runtime.instants import iso, ms_between


class Lock(msgspec.Struct, frozen=True):
    """A lockout the breach set.

    Attributes:
        until: ISO 8601; None ends with its condition, or was set before the venue had told the time.
        is_timed: it has an end besides its condition.
    """

    scope: str
    until: str | None
    is_timed: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """An enforcement as it can be told to whoever was not there.

    Attributes:
        state: `open`, `verified` (the venue's snapshots prove it), `observed` (only recorded) or `dropped` (left undone
            when the account was put into mode `observe`).
        cause: what the event that showed the breach was.
        breach_time: by the venue's clock, ISO 8601; by the local one before the venue had told the time.
        measured, limit, worst, overshoot: USD for money limits; overshoot is how far past the limit it got before it
            ended, >= 0; None if not recorded.
        evidence: what was known, as (name, value).   demanded: the goal's tag.
        decided_us, durable_us: from the event's arrival to the decision, from there to the disk; None if not recorded.
        flat_ms, proven_ms: from the event's arrival; None while it is not so.
        calls: the first things asked of the venue; `actions` is how many there were.
        steps: decisions that concern it, by number.
    """

    id: str
    account_id: str
    trading_day: str
    rule: str
    code: str
    scope: str
    state: str
    cause: str
    breach_time: str
    measured: float
    limit: float
    worst: float
    overshoot: float | None
    unit: str
    evidence: tuple[tuple[str, str], ...]
    demanded: str
    lockouts: tuple[Lock, ...]
    decided_us: float | None
    durable_us: float | None
    flat_ms: float | None
    proven_ms: float | None
    reentries: int
    actions: int
    calls: tuple[Call, ...]
    steps: tuple[int, ...]


def explain(story: Story, intent_id: str) -> Explanation:
    """Put the parts of a story together; what was not recorded besides the decisions is told from them."""
    states = [intent for each in story.decisions for intent in each.intents if intent.id == intent_id]
    first, last = states[0], states[-1]
    record = msgspec.json.decode(story.record.body, type=Enforcement) if story.record is not None else None
    sent = tuple(call_of(action) for action in _actions(story, intent_id))
    locks = [lock for each in story.decisions for lock in each.lockouts_set if lock.intent_id == intent_id]
    return Explanation(
        id=intent_id,
        account_id=first.account_id,
        trading_day=first.trading_day,
        rule=first.rule,
        code=first.code,
        scope=record.scope if record is not None else str(first.scope),
        state=last.state.value,
        cause=_cause(story.decisions[0]),
        breach_time=iso(breach_ns(first)),
        measured=amount(first.measured, first.unit),
        limit=amount(first.limit, first.unit),
        worst=amount(last.worst, first.unit),
        overshoot=record.overshoot if record is not None else None,
        unit=unit_name(first.unit),
        evidence=first.evidence,
        demanded=str(type(first.goal).__struct_config__.tag),
        lockouts=tuple(_lock(lock) for lock in {lock.scope: lock for lock in locks}.values()),
        decided_us=record.detection_us if record is not None else None,
        durable_us=record.lock_commit_us if record is not None else None,
        flat_ms=ms_between(last.opened_ns, last.reached_ns),
        proven_ms=ms_between(last.opened_ns, last.closed_ns),
        reentries=last.reentries,
        actions=record.actions if record is not None else len(sent),
        calls=record.calls if record is not None else sent,
        steps=tuple(each.sequence for each in story.decisions),
    )


def _actions(story: Story, intent_id: str) -> Iterator[Action]:
    for decision in story.decisions:
        yield from (action for action in decision.actions if getattr(action, "intent_id", "") == intent_id)


def _cause(decision: Decision) -> str:
    return str(type(decision.cause).__struct_config__.tag) if decision.cause is not None else "unknown"


def _lock(lockout: Lockout) -> Lock:
    until = iso(lockout.end_ns) if lockout.end_ns is not None else None
    return Lock(str(lockout.scope), until, lockout.until_ns is not None)
