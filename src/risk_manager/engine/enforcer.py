"""The engine's enforcement side: intents and lockouts of one account, from breach to proof."""

from collections.abc import Container

import msgspec
from msgspec.structs import replace

from risk_manager.domain.actions import Action, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import Outcome, SnapshotTaken
from risk_manager.domain.finding import Breach, Protect, Unit, Warning
from risk_manager.domain.intent import Flat, Goal, Intent, IntentState, Protected, SizesAtMost
from risk_manager.domain.lockout import Lockout, LockoutKind, LockoutRelease, OnLock
from risk_manager.domain.order import Order
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.enforcement.denials import Denials
from risk_manager.enforcement.in_flight import SNAPSHOT, InFlight, Memory
from risk_manager.enforcement.last_look import is_still_due
from risk_manager.enforcement.lattice import excess_orders, is_demanded, is_met, merge
from risk_manager.enforcement.mandates import (
    all_held,
    goal_of_breach,
    goal_of_lockout,
    lockout_of_breach,
    reset_ns,
    shrunk,
)
from risk_manager.enforcement.pacing import Pacing
from risk_manager.enforcement.planner import plan, unwanted_orders
from risk_manager.enforcement.proof import Proof, Shown, after_snapshot, looked, next_snapshot_ns, shifted
from risk_manager.enforcement.protection import is_over
from risk_manager.enforcement.sweeps import Sweep, Sweeps
from risk_manager.engine.account import AccountState
from risk_manager.engine.open_intent import IntentKey, OpenIntent, is_contained, is_latched, is_observed, marked
from risk_manager.engine.protector import Protector, ProtectorMemory
from risk_manager.engine.step import Step
from risk_manager.rules._base import Remedy

BURST_NS = 1_000_000_000
"""How long a lockout waits at most for the account to settle before it takes what is held for what may stay."""

DROPPED = "ENFORCEMENT_DROPPED"
"""Code of the warning that an enforcement under way has ended without its goal: the account is only observed now."""

UNDER_LOCKOUT = "UNDER_LOCKOUT"
"""Code of an intent that removes exposure taken while a lockout was active."""


class EnforcerImage(msgspec.Struct):
    open: list[OpenIntent]
    lockouts: tuple[Lockout, ...]
    in_flight: Memory
    violated: list[tuple[Scope, str]]
    wake_ns: int | None
    protector: ProtectorMemory = msgspec.field(default_factory=ProtectorMemory)
    denied: list[str] = []
    sweeps: list[Sweep] = []
    is_unread: bool = False


class Enforcer:
    """Opens, works on and closes intents; sets and ends lockouts. Level-triggered: `act` may run at any time.

    Attributes:
        protector: keeps the stops and targets of positions.
        wake_ns: local time at which `act` has something to do though nothing happens; None if never.
    """

    def __init__(self, account: AccountState, pacing: Pacing, *, is_observing: bool) -> None:
        self._account = account
        self._pacing = pacing
        self._is_observing = is_observing
        self._open: dict[IntentKey, OpenIntent] = {}
        self._in_flight = InFlight(pacing)
        self._sweeps = Sweeps(pacing)
        self.protector = Protector(account, pacing, self)
        self._violated: set[tuple[Scope, str]] = set()
        self._denials = Denials()
        # After a crash the account is what was saved before it. Nothing is reached, and nothing reduced by a size, on
        # its word; only what is closed whole can do no harm.
        self._is_unread = False
        self.wake_ns: int | None = None

    @property
    def open_intents(self) -> tuple[Intent, ...]:
        """Enforcements being worked on."""
        return tuple(work.intent for work in self._open.values() if not isinstance(work.intent.goal, Protected))

    @property
    def denied(self) -> list[str]:
        """The kinds of action the venue last said it does not allow."""
        return self._denials.memory

    @property
    def works(self) -> dict[IntentKey, OpenIntent]:
        """Everything being worked on, protections included; the protector changes it too."""
        return self._open

    def is_still_due(self, action: Action) -> bool:
        """Whether an action decided earlier is right for the account as it is now."""

        def is_unwanted(order: Order) -> bool:
            merged = merge(self._demands(), self._account)
            return order.id in unwanted_orders(merged, self._account, self._in_flight, self._account.received_ns)

        return is_still_due(action, self._account, is_unwanted)

    # -- what happened ------------------------------------------------------------------------------------------

    def breached(self, step: Step, breach: Breach, remedy: Remedy, *, is_fresh: bool) -> None:
        """Take in a breach a rule reports, new or still holding."""
        key = (breach.rule, breach.code, breach.scope)
        fresh = lockout_of_breach(breach, remedy, self._account, step.id)
        if fresh is not None and fresh.on_lock is OnLock.BLOCK_NEW and self._account.doubtful_since_ns() is not None:
            # Which side of a reversal is held would depend on which of its events came first.
            fresh = replace(fresh, allowed=None)
        held = self._active(fresh)
        goal = goal_of_breach(breach, remedy, held or fresh, self._account)
        work = self._open.get(key)
        if work is not None and goal is not None:
            self._join(step, key, work, breach, goal)
            if is_fresh and breach.until_ns is not None:
                # The rule broke once more: one enforcement, but a lockout with another end has its own reason.
                step.findings.append(breach)
            if held is None or is_fresh:
                self._lock(step, fresh, work.intent.id)
            return
        if held is not None and fresh is not None and (not is_fresh or held.joined(fresh) == held):
            # What the breach demands is what the lockout upholds.
            return
        is_undone = goal is not None and not self._is_observing and not is_met(goal, self._account)
        if is_fresh or is_undone:
            step.findings.append(breach)
            self._lock(step, fresh, self.open(step, breach, goal).id if goal is not None else step.id)

    def flatten(self, step: Step, operator: str) -> None:
        """Close and cancel everything once, because a person said so."""
        breach = Breach("operator", "FLATTEN", 0, 0, Unit.NONE, ACCOUNT, evidence=(("operator", operator),))
        step.findings.append(breach)
        if (breach.rule, breach.code, breach.scope) not in self._open:
            self.open(step, breach, Flat(ACCOUNT))

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
            loss=breach.loss,
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
        for held in self._account.lockouts:
            if held.set_ns == 0 and held.until_ns is not None:
                until_ns = trusted_ns + held.until_ns if held.until_ns else self._account.day.end_ns
                self._put(step, replace(held, set_ns=trusted_ns, until_ns=until_ns))
        over = [held for held in self._account.lockouts if held.until_ns is not None and held.until_ns <= trusted_ns]
        self._end(step, over, trusted_ns, "expired")

    def disown(self, step: Step, rules: Container[str]) -> None:
        """Give an end to the lockouts that wait for a rule which is not among those in force: nobody else would.

        Taking a rule away is a loosening, and loosening waits for the next trading day (design law 12). It is told as a
        release with a lockout set in its place: of two ends a memory keeps the later, and None is the latest.
        """
        for held in self._account.lockouts:
            if held.until_ns is None and held.kind is not LockoutKind.MANUAL and held.rule not in rules:
                now_ns = self._account.now_ns
                step.lockouts_released.append(LockoutRelease(held.scope, held.rule, now_ns, "rule removed"))
                # An end is relative while `set_ns` is 0; this one is not.
                self._put(step, replace(held, set_ns=held.set_ns or now_ns, until_ns=reset_ns(self._account)))

    def learned(self, step: Step, outcome: Outcome) -> None:
        action = self._in_flight.learned(outcome)
        warning = self._denials.learned(action, outcome) if action is not None else None
        if warning is not None:
            step.findings.append(warning)
        self.protector.calls.learned(outcome)
        self._account.on_outcome(outcome)

    def lost_touch(self) -> None:
        self._in_flight.lost_touch(self._account.received_ns)
        self.protector.calls.lost_touch(self._account.received_ns)

    def saw_order(self, order: Order) -> None:
        self.protector.calls.saw_order(order)

    def protect(self, step: Step, wish: Protect) -> None:
        """Take in how a rule wants a position protected."""
        self.protector.wished(step, wish, is_observing=self._is_observing)

    def saw_snapshot(self, event: SnapshotTaken, step: Step) -> None:
        """Advance proofs by a snapshot the account has just taken in; an unreadable one proves nothing."""
        self._in_flight.snapshot_answered(event.requested_ns)
        if event.positions is None or event.orders is None:
            return
        self._sweeps.saw_snapshot(event.requested_ns)
        if not (self._open or self._in_flight.entries or self.protector.calls):
            self._is_unread = False
            return
        shown = Shown.of(event.positions, event.orders, self._account.contracts)
        differing = shown.differing(self._account)
        self._is_unread = self._is_unread and bool(differing)
        self._in_flight.saw_snapshot(event.requested_ns, differing)
        self.protector.calls.saw_snapshot(event.requested_ns, differing)
        for key, work in [] if self._is_unread else list(self._open.items()):
            work = self._looked(work, self._account.received_ns)
            proof, is_complete = after_snapshot(
                work.proof,
                self._is_shown(work, shown),
                event.requested_ns,
                self._in_flight.acted_ns,
                self._pacing,
            )
            self._open[key] = OpenIntent(work.intent, proof)
            if is_complete:
                self._close(step, key, proof)

    # -- what to do ---------------------------------------------------------------------------------------------

    def act(self, step: Step, now_ns: int) -> None:
        """Bring every goal forward: open what lockouts demand, look at what is reached, plan, ask for proof."""
        self.wake_ns = None
        if self._is_observing:
            self._drop(step)
        if self._account.lockouts:
            self._uphold_lockouts(step)
        if not self._is_observing:
            self.protector.adopt_orphans(step)
            self._sweep(step)
        is_idle = not (self._open or self._in_flight.entries or self.protector.calls or self._sweeps)
        if is_idle:
            if self._account.doubtful_since_ns() is not None:
                self._ask_for_snapshot(step, now_ns)
            return
        for key, work in self._open.items() if not self._is_unread else ():
            self._open[key] = self._looked(work, now_ns)
        self._in_flight.saw_executed(self._account.executed_contracts)
        planned = plan(self._demands(), self._account, self._in_flight, step.action_ids, now_ns)
        for action in planned.actions:
            if isinstance(action, ClosePosition | ReducePosition):
                self._account.closes(action)
        step.actions.extend(planned.actions)
        self._wake(planned.wake_ns)
        self._wake(self.protector.act(step, self._demands(), now_ns, is_observing=self._is_observing))
        self._ask_for_snapshot(step, now_ns)

    def _drop(self, step: Step) -> None:
        """End what was under way before the account was only observed, but for the guard's own stops and targets.

        Those are what the guard itself put there: a stop that outlives its position opens the next one.
        """
        for key, work in list(self._open.items()):
            intent = work.intent
            if isinstance(intent.goal, Protected):
                continue
            del self._open[key]
            step.intents[intent.id] = replace(intent, state=IntentState.DROPPED)
            evidence = (("intent", intent.id), ("code", intent.code))
            step.findings.append(
                Warning(intent.rule, DROPPED, intent.measured, intent.limit, intent.unit, intent.scope, evidence)
            )
        self.protector.freeze(step)

    def _demands(self) -> list[tuple[str, Goal]]:
        """(intent id, goal) of what is being worked on, oldest first."""
        works = [work for work in self._open.values() if not is_latched(work)]
        if self._is_unread:
            works = [work for work in works if not isinstance(work.intent.goal, SizesAtMost)]
        return [(work.intent.id, work.intent.goal) for work in works]

    def _looked(self, work: OpenIntent, now_ns: int) -> OpenIntent:
        """The work after a look at the account: whether its goal is reached, or lost again."""
        proof = looked(work.proof, self._is_reached(work), now_ns)
        if proof is work.proof:
            return work
        if proof.reached_ns is not None:
            self._sweeps.begin(work.intent, self._account.now_ns, now_ns)
        return OpenIntent(marked(work, proof), proof)

    def _is_reached(self, work: OpenIntent) -> bool:
        goal = work.intent.goal
        if isinstance(goal, Protected):
            return self.protector.is_reached(goal)
        return is_latched(work) or is_met(goal, self._account)

    def _is_shown(self, work: OpenIntent, shown: Shown) -> bool:
        """Whether a snapshot bears out that the goal is, or for a latched one was, reached."""
        goal = work.intent.goal
        if isinstance(goal, Protected):
            return is_over(goal, shown) and is_over(goal, self._account)
        return is_met(goal, shown) or (is_latched(work) and not is_met(goal, self._account))

    def _sweep(self, step: Step) -> None:
        if not self._sweeps:
            return
        known = merge(self._demands(), self._account).cancels
        for breach, goal in self._sweeps.found(self._account, known):
            if (breach.rule, breach.code, breach.scope) not in self._open:
                step.findings.append(breach)
                self.open(step, breach, goal)

    def _uphold_lockouts(self, step: Step) -> None:
        for lockout in self._account.lockouts:
            self._shrink_allowance(step, lockout)
        for lockout in self._account.lockouts:
            key = (lockout.scope, lockout.rule)
            goal = goal_of_lockout(lockout)
            if is_met(goal, self._account):
                self._violated.discard(key)
            elif not self._is_observing or key not in self._violated:
                self._violated.add(key)
                recorded = [(item.id, item.goal) for item in step.intents.values() if is_observed(item)]
                if not is_demanded(goal, merge([*self._demands(), *recorded], self._account), self._account):
                    self._open_under_lockout(step, lockout, goal)

    def _open_under_lockout(self, step: Step, lockout: Lockout, goal: Goal) -> None:
        held = sum(
            abs(holding.net_contracts)
            for contract_id, holding in self._account.holdings.items()
            if lockout.scope.covers(contract_id, holding.contract)
        )
        orders = len(list(excess_orders(goal, self._account)))
        evidence = (("lockout", lockout.reason), ("orders", str(orders)))
        breach = Breach(lockout.rule, UNDER_LOCKOUT, held, 0, Unit.CONTRACTS, lockout.scope, evidence=evidence)
        key = (breach.rule, breach.code, breach.scope)
        work = self._open.get(key)
        if work is not None:
            self._join(step, key, work, breach, goal)
        else:
            step.findings.append(breach)
            self.open(step, breach, goal)

    def _shrink_allowance(self, step: Step, lockout: Lockout) -> None:
        allowed = lockout.allowed
        if allowed is None:
            is_overdue = self._account.now_ns >= lockout.set_ns + BURST_NS
            if is_overdue or self._account.doubtful_since_ns() is None:
                self._put(step, replace(lockout, allowed=all_held(self._account)))
        elif allowed:
            left = shrunk(allowed, self._account)
            if left != allowed:
                self._put(step, replace(lockout, allowed=left))

    def _ask_for_snapshot(self, step: Step, now_ns: int) -> None:
        """Ask for a snapshot when it would prove a goal or settle a doubt; at most one is under way."""
        acted_ns = self._in_flight.acted_ns
        works = [work for work in self._open.values() if not isinstance(work.intent.goal, Protected)]
        wanted = [next_snapshot_ns(work.proof, acted_ns, self._pacing) for work in works]
        wanted += [self._in_flight.doubtful_from_ns(), self.protector.calls.doubtful_from_ns()]
        wanted.append(self._sweeps.next_look_ns())
        doubtful_since_ns = self._account.doubtful_since_ns()
        if doubtful_since_ns is not None:
            wanted.append(doubtful_since_ns + self._pacing.doubt_ns)
        if works and (self._is_unread or self._account.unknown_contracts()):
            wanted.append(now_ns)
        due_ns = min((at for at in wanted if at is not None), default=None)
        if due_ns is None:
            return
        due_ns = max(due_ns, self._in_flight.free_at_ns(SNAPSHOT, 0, now_ns))
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

    def _join(self, step: Step, key: IntentKey, work: OpenIntent, breach: Breach, goal: Goal) -> None:
        """Let a breach that still holds, or holds again, go on with the intent it opened."""
        intent, proof = work.intent, work.proof
        if is_contained(goal, intent.goal):
            goal = intent.goal
        further = min if intent.is_lower_worse else max
        worst = further(intent.worst, breach.measured)
        if not is_met(goal, self._account):
            proof = Proof()
        elif goal != intent.goal:
            proof = Proof(proof.reached_ns)
        joined = replace(marked(work, proof), worst=worst, goal=goal)
        self._open[key] = OpenIntent(joined, proof)
        if goal != intent.goal:
            step.intents[intent.id] = joined

    def _close(self, step: Step, key: IntentKey, proof: Proof) -> None:
        work = self._open.pop(key)
        step.intents[work.intent.id] = replace(
            work.intent,
            state=IntentState.VERIFIED,
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

    def _lock(self, step: Step, lockout: Lockout | None, intent_id: str) -> None:
        if lockout is None:
            return
        lockout = replace(lockout, intent_id=intent_id)
        for held in self._account.lockouts:
            if (held.rule, held.scope) == (lockout.rule, lockout.scope):
                lockout = held.joined(lockout)
        if lockout not in self._account.lockouts:
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
            in_flight=self._in_flight.memory,
            violated=sorted(self._violated, key=str),
            wake_ns=self.wake_ns,
            protector=self.protector.memory,
            denied=self._denials.memory,
            sweeps=self._sweeps.memory,
            is_unread=self._is_unread,
        )

    def load(self, image: EnforcerImage) -> None:
        self._open = {(work.intent.rule, work.intent.code, work.intent.scope): work for work in image.open}
        self._account.lockouts = image.lockouts
        self._in_flight = InFlight(self._pacing, image.in_flight)
        self.protector = Protector(self._account, self._pacing, self, image.protector)
        self._violated = set(image.violated)
        self._denials = Denials(image.denied)
        self._sweeps = Sweeps(self._pacing, image.sweeps)
        self._is_unread = image.is_unread
        self.wake_ns = image.wake_ns

    def resume(self, intents: tuple[Intent, ...], *, is_behind: bool) -> None:
        """Work on exactly these open intents, as the journal committed them; proofs start over.

        Args:
            is_behind: decisions were committed that this enforcer does not remember, so reductions may be under way.
        """
        self._open = {(intent.rule, intent.code, intent.scope): OpenIntent(intent) for intent in intents}
        for intent in intents if is_behind else ():
            if isinstance(intent.goal, SizesAtMost):
                for target in intent.goal.targets:
                    self._in_flight.suspect(target.contract_id, intent.id)
            elif isinstance(intent.goal, Protected):
                self.protector.calls.suspect(intent.goal.contract_id, intent.id)
        if is_behind and not self._is_observing:
            # What was sent for them is not known either; the orders it became are still not the trader's.
            for contract_id, demanded in merge(self._demands(), self._account).sizes.items():
                size = abs(self._account.holdings[contract_id].net_contracts) - demanded.most
                self._account.closes(ReducePosition("", demanded.intent_id, contract_id, size))
        self._is_unread = bool(intents)

    def shift(self, by_ns: int) -> None:
        """Move every local time: the local clock has been set."""
        self._in_flight.shift(by_ns)
        self.protector.calls.shift(by_ns)
        self._sweeps.shift(by_ns)
        self._open = {key: OpenIntent(work.intent, shifted(work.proof, by_ns)) for key, work in self._open.items()}
        self.wake_ns = None if self.wake_ns is None else self.wake_ns + by_ns
