"""The engine's enforcement side: intents and lockouts of one account, from breach to proof."""

import msgspec

from risk_manager.domain.actions import TakeSnapshot
from risk_manager.domain.events import Outcome, SnapshotTaken
from risk_manager.domain.finding import Breach, Unit
from risk_manager.domain.intent import Flat, Goal, Intent, IntentState, SizesAtMost
from risk_manager.domain.lockout import Lockout, LockoutRelease
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.enforcement.in_flight import Entry, InFlight
from risk_manager.enforcement.mandates import goal_of_breach, goal_of_lockout, is_met, lockout_of_breach, shrunk
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.planner import plan
from risk_manager.enforcement.proof import Proof, after_snapshot, looked, next_snapshot_ns
from risk_manager.engine.account import AccountState
from risk_manager.engine.step import Step
from risk_manager.rules._base import Remedy

UNDER_LOCKOUT = "UNDER_LOCKOUT"
"""Code of an intent that removes exposure taken while a lockout was active."""

IntentKey = tuple[str, str, Scope]


class OpenIntent(msgspec.Struct, frozen=True):
    """An intent being worked on, with its proof so far."""

    intent: Intent
    proof: Proof = Proof()


class EnforcerImage(msgspec.Struct):
    open: list[OpenIntent]
    lockouts: tuple[Lockout, ...]
    entries: dict[str, Entry]
    violated: list[tuple[Scope, str]]
    wake_ns: int | None


class Enforcer:
    """Opens, works on and closes intents; sets and ends lockouts. Level-triggered: `act` may run at any time.

    Attributes:
        wake_ns: local time at which `act` has something to do though nothing happens; None if never.
    """

    def __init__(self, account: AccountState, pacing: Pacing, *, is_observing: bool) -> None:
        self._account = account
        self._pacing = pacing
        self._is_observing = is_observing
        self._open: dict[IntentKey, OpenIntent] = {}
        self._in_flight = InFlight(pacing)
        self._violated: set[tuple[Scope, str]] = set()
        self.wake_ns: int | None = None

    @property
    def open_intents(self) -> tuple[Intent, ...]:
        return tuple(work.intent for work in self._open.values())

    # -- what happened ------------------------------------------------------------------------------------------

    def breached(self, step: Step, breach: Breach, remedy: Remedy, *, is_fresh: bool) -> None:
        """Take in a breach a rule reports, new or still holding."""
        key = (breach.rule, breach.code, breach.scope)
        fresh_lockout = lockout_of_breach(breach, remedy, self._account, step.id)
        held_lockout = self._active(fresh_lockout)
        goal = goal_of_breach(breach, remedy, held_lockout or fresh_lockout, self._account)
        work = self._open.get(key)
        if work is not None and goal is not None:
            self._join(key, work, breach, goal)
            if held_lockout is None and fresh_lockout is not None:
                self._lock(step, msgspec.structs.replace(fresh_lockout, intent_id=work.intent.id))
            return
        if held_lockout is not None and (
            not is_fresh or held_lockout.joined(fresh_lockout or held_lockout) == held_lockout
        ):
            return
        if goal is None:
            if is_fresh:
                step.findings.append(breach)
                self._lock(step, fresh_lockout)
        elif is_fresh or (not self._is_observing and not is_met(goal, self._account)):
            step.findings.append(breach)
            intent = self.open(step, breach, goal)
            if fresh_lockout is not None:
                self._lock(step, msgspec.structs.replace(fresh_lockout, intent_id=intent.id))

    def open(self, step: Step, breach: Breach, goal: Goal) -> Intent:
        """Open an intent for a breach; in observe mode it is only recorded."""
        intent = Intent(
            id=f"{step.id}-{len(step.intents) + 1}",
            account_id=self._account.id,
            trading_day=self._account.day.label,
            rule=breach.rule,
            code=breach.code,
            scope=breach.scope,
            goal=goal,
            state=IntentState.OBSERVED if self._is_observing else IntentState.OPEN,
            measured=breach.measured,
            limit=breach.limit,
            unit=breach.unit,
            worst=breach.measured,
            at_ns=self._account.now_ns,
            opened_ns=self._account.received_ns,
            evidence=breach.evidence,
        )
        step.intents[intent.id] = intent
        if not self._is_observing:
            self._open[breach.rule, breach.code, breach.scope] = OpenIntent(intent)
        return intent

    def release(self, step: Step, rule: str, scope: Scope, reason: str, at_ns: int) -> None:
        """End the rule's own lockout on a scope."""
        self._end(
            step, [held for held in self._account.lockouts if (held.rule, held.scope) == (rule, scope)], at_ns, reason
        )

    def expire(self, step: Step, trusted_ns: int) -> None:
        """End the lockouts whose time has come by the venue's clock."""
        over = [held for held in self._account.lockouts if held.until_ns is not None and held.until_ns <= trusted_ns]
        self._end(step, over, trusted_ns, "expired")

    def learned(self, outcome: Outcome) -> None:
        self._in_flight.learned(outcome)

    def lost_touch(self) -> None:
        self._in_flight.lost_touch(self._account.received_ns)

    def saw_snapshot(self, event: SnapshotTaken, step: Step) -> None:
        """Advance proofs by a snapshot the account has just taken in; an unreadable one proves nothing."""
        self._in_flight.snapshot_answered(event.requested_ns)
        if event.positions is None or event.orders is None:
            return
        self._in_flight.saw_snapshot(event.requested_ns)
        if self._account.doubtful_since_ns() is not None:
            return
        for key, work in list(self._open.items()):
            if not self._is_reached(work):
                continue
            proof, is_complete = after_snapshot(
                looked(work.proof, True, self._account.received_ns),
                event.requested_ns,
                self._in_flight.latest_ns(),
                self._pacing,
            )
            self._open[key] = msgspec.structs.replace(work, proof=proof)
            if is_complete:
                self._close(step, key, proof)

    # -- what to do ---------------------------------------------------------------------------------------------

    def act(self, step: Step, now_ns: int) -> None:
        """Bring every goal forward: open what lockouts demand, look at what is reached, plan, ask for proof."""
        self.wake_ns = None
        if self._account.lockouts:
            self._uphold_lockouts(step)
        for key, work in self._open.items():
            proof = looked(work.proof, self._is_reached(work), now_ns)
            if proof is not work.proof:
                self._open[key] = msgspec.structs.replace(work, proof=proof)
        if self._open or self._in_flight.entries:
            goals = [(work.intent.id, work.intent.goal) for work in self._open.values() if not _is_latched(work)]
            planned = plan(goals, self._account, self._in_flight, step.action_ids, now_ns)
            step.actions.extend(planned.actions)
            self._wake(planned.wake_ns)
        self._ask_for_snapshot(step, now_ns)

    def _is_reached(self, work: OpenIntent) -> bool:
        return _is_latched(work) or is_met(work.intent.goal, self._account)

    def _uphold_lockouts(self, step: Step) -> None:
        for lockout in self._account.lockouts:
            self._shrink_allowance(step, lockout)
        demanded = {work.intent.goal for work in self._open.values()}
        for lockout in self._account.lockouts:
            key = (lockout.scope, lockout.rule)
            goal = goal_of_lockout(lockout)
            if is_met(goal, self._account):
                self._violated.discard(key)
            elif not self._is_observing or key not in self._violated:
                self._violated.add(key)
                if not demanded & {goal, Flat(lockout.scope), Flat(ACCOUNT)}:
                    demanded.add(goal)
                    self._open_under_lockout(step, lockout, goal)

    def _open_under_lockout(self, step: Step, lockout: Lockout, goal: Goal) -> None:
        held = sum(
            abs(holding.net_contracts)
            for contract_id, holding in self._account.holdings.items()
            if lockout.scope.covers(contract_id, holding.contract)
        )
        evidence = (("lockout", lockout.reason), ("orders", str(len(self._account.orders))))
        breach = Breach(lockout.rule, UNDER_LOCKOUT, held, 0, Unit.CONTRACTS, lockout.scope, evidence=evidence)
        step.findings.append(breach)
        self.open(step, breach, goal)

    def _shrink_allowance(self, step: Step, lockout: Lockout) -> None:
        if lockout.allowed:
            allowed = shrunk(lockout.allowed, self._account)
            if allowed != lockout.allowed:
                self._put(step, msgspec.structs.replace(lockout, allowed=allowed))

    def _ask_for_snapshot(self, step: Step, now_ns: int) -> None:
        """Ask for a snapshot when it would prove a goal or settle a doubt; at most one is under way."""
        latest_ns = self._in_flight.latest_ns()
        wanted = [next_snapshot_ns(work.proof, latest_ns, self._pacing) for work in self._open.values()]
        doubtful_since_ns = self._account.doubtful_since_ns()
        if doubtful_since_ns is not None:
            wanted.append(doubtful_since_ns + self._pacing.doubt_ns)
        if self._in_flight.has_doubt() or (self._open and self._account.unknown_contracts()):
            wanted.append(now_ns)
        due_ns = min((at for at in wanted if at is not None), default=None)
        if due_ns is None:
            return
        due_ns = max(due_ns, self._in_flight.free_at_ns("snapshot", 0))
        if due_ns > now_ns:
            self._wake(due_ns)
            return
        is_full = doubtful_since_ns is not None or self._account.unknown_contracts() or not self._account.is_synced
        action = TakeSnapshot(step.action_ids.next(), "doubt" if is_full else "proof", is_full)
        self._in_flight.sent(action, 0, now_ns)
        step.actions.append(action)
        self._wake(now_ns + self._pacing.lost_ns)

    def _wake(self, at_ns: int | None) -> None:
        if at_ns is not None and (self.wake_ns is None or at_ns < self.wake_ns):
            self.wake_ns = at_ns

    # -- intents and lockouts -----------------------------------------------------------------------------------

    def _join(self, key: IntentKey, work: OpenIntent, breach: Breach, goal: Goal) -> None:
        intent = work.intent
        is_lower_worse = intent.measured <= intent.limit
        worst = min(intent.worst, breach.measured) if is_lower_worse else max(intent.worst, breach.measured)
        if worst != intent.worst or goal != intent.goal:
            joined = msgspec.structs.replace(intent, worst=worst, goal=goal)
            # A rule that reports a size again means it: what was reached is lost.
            proof = Proof() if _is_latched(work) and not is_met(goal, self._account) else work.proof
            self._open[key] = OpenIntent(joined, proof)

    def _close(self, step: Step, key: IntentKey, proof: Proof) -> None:
        work = self._open.pop(key)
        step.intents[work.intent.id] = msgspec.structs.replace(
            work.intent,
            state=IntentState.VERIFIED,
            reached_ns=proof.reached_ns,
            closed_ns=self._account.received_ns,
        )

    def _active(self, lockout: Lockout | None) -> Lockout | None:
        """The active lockout of the same rule and scope, if it is at least as strict while it lasts."""
        if lockout is None:
            return None
        for held in self._account.lockouts:
            if (held.rule, held.scope) == (lockout.rule, lockout.scope) and held.on_lock is lockout.on_lock:
                return held
        return None

    def _lock(self, step: Step, lockout: Lockout | None) -> None:
        if lockout is None:
            return
        for held in self._account.lockouts:
            if (held.rule, held.scope) == (lockout.rule, lockout.scope):
                lockout = held.joined(lockout)
        self._put(step, lockout)

    def _put(self, step: Step, lockout: Lockout) -> None:
        key = (lockout.scope, lockout.rule)
        others = tuple(held for held in self._account.lockouts if (held.scope, held.rule) != key)
        self._account.lockouts = (*others, lockout)
        step.lockouts_set[key] = lockout

    def _end(self, step: Step, lockouts: list[Lockout], at_ns: int, reason: str) -> None:
        for lockout in lockouts:
            step.lockouts_released.append(LockoutRelease(lockout.scope, lockout.rule, at_ns, reason))
            self._violated.discard((lockout.scope, lockout.rule))
        self._account.lockouts = tuple(held for held in self._account.lockouts if held not in lockouts)

    # -- image --------------------------------------------------------------------------------------------------

    def image(self) -> EnforcerImage:
        return EnforcerImage(
            open=list(self._open.values()),
            lockouts=self._account.lockouts,
            entries=self._in_flight.entries,
            violated=sorted(self._violated, key=str),
            wake_ns=self.wake_ns,
        )

    def load(self, image: EnforcerImage) -> None:
        self._open = {(work.intent.rule, work.intent.code, work.intent.scope): work for work in image.open}
        self._account.lockouts = image.lockouts
        self._in_flight = InFlight(self._pacing, image.entries)
        self._violated = set(image.violated)
        self.wake_ns = image.wake_ns

    def resume(self, intents: tuple[Intent, ...]) -> None:
        """Work on exactly these open intents, as the journal committed them; proofs start over."""
        self._open = {(intent.rule, intent.code, intent.scope): OpenIntent(intent) for intent in intents}


def _is_latched(work: OpenIntent) -> bool:
    """Whether a size was brought down already: what the trader does then is judged by the rule, not by the old target."""
    return work.proof.reached_ns is not None and isinstance(work.intent.goal, SizesAtMost)
