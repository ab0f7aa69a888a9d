"""A guard as journal and latch remember it: the same lockouts, the same open intents, the same gaps.

Either memory may be damaged, lost or behind; losing one can only make the account stricter. Where an installation that
has run before remembers nothing of an account at all, the account is locked until the next trading day: whoever could
end a lockout by deleting files would delete them (reliability F32).
"""

import asyncio
from collections.abc import Iterable

import msgspec
import structlog

from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ConnectionChanged, Link
from risk_manager.domain.lockout import Lockout, LockoutKind, OnLock
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine, EngineSettings, alive_ns_of
from risk_manager.ports.journal import Journal, JournalUnavailable, Recovered
from risk_manager.ports.latch import Latch, Latched, LatchUnavailable
from risk_manager.rules import RULE_ERRORS
from risk_manager.runtime.coverage import Coverage
from risk_manager.runtime.latching import places_of

AMNESIA = "AMNESIA"
"""The reason, and in small letters the rule, of the lockout for want of memory."""

SECOND_PLACE_S = 0.5
"""How long a start waits for the second place of the latch, each time: guarding matters more than a disk that hangs."""

log = structlog.get_logger("guard")


async def recovered(
    settings: EngineSettings,
    journal: Journal,
    latch: Latch | None = None,
    *,
    lost: str | None = None,
    from_snapshot: bool = True,
    now_ns: int = 0,
) -> tuple[Engine, Coverage]:
    """An engine that continues where the last one of this account stopped, and what it has not watched.

    A saved state of another version costs what the venue will tell again, and nothing else.

    Args:
        latch: None where there is none.
        lost: why the journal may know nothing of an account that was guarded before; None if there is no sign of that.
        from_snapshot: whether to use the saved state; if not, open enforcements are left to what the venue shows.
        now_ns: local time, for the record of what had to be restored.
    Raises:
        JournalUnavailable: the journal cannot be read.
    """
    known = await journal.recover(settings.account_id)
    alive_ns = await _alive_ns(settings.account_id, journal, known)
    if latch is not None:
        known = await _with_latch(settings.account_id, journal, known, latch, lost, now_ns)
    snapshot, intents = (known.snapshot, known.open_intents) if from_snapshot else (None, ())

    def restored(image: bytes | None) -> Engine:
        return Engine.restore(settings, image, sequence=known.sequence, lockouts=known.lockouts, intents=intents)

    try:
        engine = restored(snapshot)
    except RULE_ERRORS as error:  # whatever is wrong with a saved state must not keep the guard from guarding
        log.error("saved state not usable, starting from the venue", account=settings.account_id, error=repr(error))
        engine = restored(None)
    return engine, Coverage(known.gaps, alive_ns=alive_ns)


def united(*memories: Iterable[Lockout]) -> tuple[Lockout, ...]:
    """Every lockout that one of the memories holds; of one key the strictest join of all."""
    lockouts: dict[object, Lockout] = {}
    for memory in memories:
        for lockout in memory:
            key = (lockout.account_id, lockout.scope, lockout.rule)
            held = lockouts.get(key)
            lockouts[key] = lockout if held is None else held.joined(lockout)
    return tuple(lockouts.values())


async def _alive_ns(account_id: str, journal: Journal, known: Recovered) -> int:
    """Local time of the last sign of life, whether the saved state is of use or not; 0 if there is none."""
    if known.snapshot is not None and (alive_ns := alive_ns_of(known.snapshot)):
        return alive_ns
    if not known.sequence:
        return 0
    last = await journal.decisions(account_id, most=1)
    return max((each.cause.received_ns for each in last if each.cause is not None), default=0)


async def _with_latch(
    account_id: str, journal: Journal, known: Recovered, latch: Latch, lost: str | None, now_ns: int
) -> Recovered:
    """What the journal knows, joined with the latch; both remember the outcome when this returns."""
    looks = [await _looked_at(place, account_id, limit_s) for place, limit_s in _with_limits(latch)]
    read = [latched for latched, _ in looks if latched is not None]
    is_forgotten = known.sequence == 0 and known.snapshot is None
    unreleased = [await _unreleased(account_id, journal, known, latched) for latched in read]
    lockouts = united(known.lockouts, *unreleased)
    # What only the second place remembers may be old; the first, where it was written, has to be read.
    is_first_lost = looks[0][0] is None and looks[0][1]
    is_unread = not read and (lost is not None or any(has_trace for _, has_trace in looks))
    if is_forgotten and (is_first_lost or is_unread):
        lockouts = united(lockouts, (_amnesia(account_id, lost or "the journal does not know it"),))
    sequence = max([known.sequence, *(latched.sequence for latched in read)])
    if set(lockouts) != set(known.lockouts):
        why = lost if is_forgotten and lost is not None else "the journal had not all of them"
        sequence = await _recorded(account_id, journal, sequence, lockouts, why, now_ns)
    for place, limit_s in _with_limits(latch):
        try:
            async with asyncio.timeout(limit_s):
                await place.write(account_id, Latched(sequence, lockouts))
        except (LatchUnavailable, TimeoutError) as error:
            log.critical("latch not written", account=account_id, error=str(error) or "no answer in time")
    return msgspec.structs.replace(known, sequence=sequence, lockouts=lockouts)


def _with_limits(latch: Latch) -> Iterable[tuple[Latch, float | None]]:
    """Every place of the latch, and how many seconds to wait for it; without end for the journal's own disk."""
    return zip(places_of(latch), (None, SECOND_PLACE_S), strict=False)


async def _looked_at(place: Latch, account_id: str, limit_s: float | None) -> tuple[Latched | None, bool]:
    """What a place remembers, and whether something was once written there; of one that hangs, that it was."""
    try:
        async with asyncio.timeout(limit_s):
            latched = await place.read(account_id)
    except TimeoutError:
        log.critical("latch not read", account=account_id, error="no answer in time")
        return None, True
    has_trace = place.has_trace(account_id)
    if latched is None and has_trace:
        log.critical("latch not read", account=account_id, error="nothing in it can be trusted")
    return latched, has_trace


async def _unreleased(account_id: str, journal: Journal, known: Recovered, latched: Latched) -> tuple[Lockout, ...]:
    """The latch's lockouts, but for those of which the journal knows that they were released later."""
    later = known.sequence - latched.sequence
    if later <= 0 or not latched.lockouts:
        return latched.lockouts
    decisions = await journal.decisions(account_id, after=latched.sequence, most=later)
    released = {(release.scope, release.rule) for decision in decisions for release in decision.lockouts_released}
    return tuple(lockout for lockout in latched.lockouts if (lockout.scope, lockout.rule) not in released)


def _amnesia(account_id: str, why: str) -> Lockout:
    """Until the end of the trading day it is when the venue first tells the time."""
    reason = f"{AMNESIA}: nothing is remembered of this account; {why}"
    return Lockout(
        account_id, ACCOUNT, AMNESIA.lower(), LockoutKind.HARD, OnLock.FLATTEN, reason, 0, 0, "", AMNESIA.lower()
    )


async def _recorded(
    account_id: str, journal: Journal, sequence: int, lockouts: tuple[Lockout, ...], why: str, now_ns: int
) -> int:
    """Let the journal, too, know what had to be restored; the sequence after that."""
    log.critical("lockouts restored", account=account_id, lockouts=len(lockouts), why=why)
    # One whose end the venue's time has yet to tell is journaled by the engine, with that end.
    told = tuple(lockout for lockout in lockouts if lockout.set_ns or lockout.until_ns is None)
    if not told:
        return sequence
    cause = ConnectionChanged(account_id, Link.REST, False, f"lockouts restored: {why}", 0, now_ns)
    decision = Decision(sequence + 1, account_id, told[0].trading_day, cause, lockouts_set=told)
    try:
        await journal.commit(decision)
    except JournalUnavailable as error:
        log.critical("restored lockouts not journaled", account=account_id, error=str(error))
        return sequence
    return decision.sequence
