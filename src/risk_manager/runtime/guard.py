"""One guarded account at work: events in, decisions committed, actions sent, outcomes back in."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import structlog

from risk_manager.domain.actions import Action, PlaceStop, PlaceTarget, TakeSnapshot
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import (
    ActionUnknown,
    ConnectionChanged,
    Event,
    Link,
    Outcome,
    QuoteUpdated,
    RulesChanged,
    SnapshotTaken,
    TimerFired,
)
from risk_manager.domain.fill import Fill
from risk_manager.engine import Engine, EngineSettings
from risk_manager.engine.slot import AFTER_FAILURE_NS
from risk_manager.ports.clock import Clock
from risk_manager.ports.journal import Journal, JournalUnavailable
from risk_manager.ports.latch import Latch, Latched
from risk_manager.ports.recorder import Recorder
from risk_manager.ports.venue import Venue
from risk_manager.rules import RULE_ERRORS, Rule
from risk_manager.runtime.commits import Commits
from risk_manager.runtime.coverage import Coverage
from risk_manager.runtime.enforcements import EnforcementLog, Timing, record_of
from risk_manager.runtime.health import GuardState, Health
from risk_manager.runtime.inbox import Inbox
from risk_manager.runtime.latching import Latching
from risk_manager.runtime.minimal import ALIVE_NS
from risk_manager.runtime.minimal import FAULT as MINIMAL
from risk_manager.runtime.pulse import Pulse
from risk_manager.runtime.rules_in_force import RulesInForce, Waiting
from risk_manager.runtime.under_way import UnderWay

SECOND_NS = 1_000_000_000
SAVE_EVERY_NS = SECOND_NS
TIMER_STEP_NS = 1_000_000
"""How exactly deadlines are kept."""

DENIED = "enforcement"
"""The fault of a venue that does not let the guard act."""

CONNECTION = "venue connection"
"""The fault a dead connection task is reported under."""

POLLS_PER_FULL = 5
STUCK_NS = 120 * SECOND_NS
"""No venue call takes so long: it waits for its share of the budget, connects and is answered in less."""

STOP_S = 2.0
LAST_LATCH_S = 1.0
"""How long a stop waits for the latch at the end; a disk that refuses it would be tried for ever."""

DecisionListener = Callable[["Guard", Decision, Timing], None]

log = structlog.get_logger("guard")


class Guard:
    """Runs one engine against a venue and a journal. All on one event loop; events are taken strictly one by one.

    A step with a decision is committed before its actions go out and before the next event is looked at. Actions then
    run by themselves; their outcomes come back through the inbox.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        settings: EngineSettings,
        venue: Venue,
        journal: Journal,
        clock: Clock,
        stopwatch: Callable[[], int],
        *,
        poll_ns: int,
        first_poll_ns: int | None = None,
        unheard_polls_per_full: int = 1,
        listeners: tuple[DecisionListener, ...] = (),
        in_force: RulesInForce | None = None,
        coverage: Coverage | None = None,
        recorder: Recorder | None = None,
        latch: Latch | None = None,
        minimal: str | None = None,
    ) -> None:
        """Args:
        first_poll_ns: how long after the start the first poll is; as long as between two where None.
        unheard_polls_per_full: one poll in so many is full while the user hub is down.
        """
        self.name = name
        self.engine = engine
        self.settings = settings
        self.coverage = coverage if coverage is not None else Coverage()
        self.health = Health(self._see_coverage)
        self.enforcements = EnforcementLog()
        self.pulse = Pulse(self._is_at_rest)
        self._venue = venue
        self._journal = journal
        latching = Latching(name, settings.account_id, latch, self.health, self._duty) if latch is not None else None
        self._commits = Commits(name, journal, self.health, self._duty, latching)
        self._clock = clock
        self._stopwatch = stopwatch
        self._poll_ns = poll_ns
        self._first_poll_ns = first_poll_ns if first_poll_ns is not None else poll_ns
        self._unheard_polls_per_full = unheard_polls_per_full
        self._listeners = listeners
        self._in_force = in_force
        self._minimal = minimal
        self._recorder = recorder
        self._inbox = Inbox()
        self._is_busy = False
        self._is_draining = False
        self._is_stopping = False
        self._is_stopped = False
        self._polls = 0
        self._next_poll_ns = 0
        self._has_read = False
        self._next_rules: deque[tuple[Rule, ...]] = deque()
        self._calls = UnderWay(clock, self._alarm)
        self._duties = UnderWay(clock, self._alarm)
        self._reading: asyncio.Task[None] | None = None
        self._timer_ns: int | None = None
        self._cancel_timer: Callable[[], None] | None = None
        self._cancel_poll: Callable[[], None] | None = None
        self._cancel_save: Callable[[], None] | None = None
        self._saved_fills: dict[str, Fill] = {}
        self._has_heard_all = asyncio.Event()
        if minimal is not None:
            self.health.fault(MINIMAL, minimal)

    @property
    def account_id(self) -> str:
        return self.settings.account_id

    @property
    def state(self) -> GuardState:
        return self.health.state(
            is_synced=self._is_synced,
            is_locked=bool(self.engine.account.lockouts),
            is_stopping=self._is_stopping,
        )

    def _see_coverage(self) -> None:
        """Note in the ledger how the account is covered now."""
        cover, cause = self.health.cover(is_synced=self._is_synced)
        self.coverage.see(cover, cause, self._clock.now_ns())

    @property
    def _is_synced(self) -> bool:
        return self._has_read and self.engine.account.is_synced

    @property
    def calls_under_way(self) -> int:
        """Venue calls without an outcome yet."""
        return len(self._calls)

    @property
    def is_idle(self) -> bool:
        """Whether every event so far has been dealt with, except for venue calls under way."""
        return not self._is_busy and not len(self._inbox)

    @property
    def poll_s(self) -> float:
        """The pause between two polls, in seconds."""
        return self._poll_ns / SECOND_NS

    @property
    def is_reconciled(self) -> bool:
        """Whether the account has been read since the start, and what was read has been judged."""
        return self._is_synced and self.is_idle

    def _is_at_rest(self) -> bool:
        """Whether nothing waits to be dealt with and no venue call hangs."""
        return self.is_idle and not self._calls.is_stuck(STUCK_NS)

    @property
    def coalesced_quotes(self) -> int:
        return self._inbox.coalesced

    def start(self) -> None:
        """Begin: what was in flight before this process is unknown now; snapshots are read at a constant rate."""
        now_ns = self._clock.now_ns()
        self._tell_waiting()
        self._commits.start(Latched(self.engine.sequence, self.engine.account.lockouts))
        self.deliver(ConnectionChanged(self.account_id, Link.REST, False, "starting", 0, now_ns))
        self.health.link(Link.REST, is_up=True, reason="")
        self._next_poll_ns = now_ns + self._first_poll_ns
        self._cancel_poll = self._clock.call_at(self._next_poll_ns, self._poll)
        if self._minimal is not None:
            self._clock.call_at(now_ns + ALIVE_NS, self._end_minimal)

    def deliver(self, event: Event) -> None:
        """Take an event; it is handled at once unless another is being dealt with. Never blocks, never raises."""
        if self._is_stopped:
            return
        arrived_ns = self._stopwatch()
        if self._is_busy or len(self._inbox):
            self._inbox.put(event, arrived_ns)
        else:
            self._handle(event, arrived_ns)
        if not self._is_busy and len(self._inbox):
            self._drain()

    @property
    def waiting_rules(self) -> tuple[Waiting, ...]:
        """Changes of rules, and of the reset, that are not in force before the next trading day."""
        return self._in_force.waiting if self._in_force is not None else ()

    def change_rules(self, rules: tuple[Rule, ...], revision: str) -> None:
        """Put what is stricter about other rules in force now, and let the rest wait for the next trading day."""
        if self._in_force is not None:
            # A quote may have brought a day that nobody has taken note of yet.
            self._see_day()
            self._in_force.offer(rules)
            rules = self._in_force.rules
            self._tell_waiting()
        self._put_in_force(rules, revision)

    def _tell_waiting(self) -> None:
        for change in self.waiting_rules:
            log.warning("change waits for the next trading day", account=self.name, **_told(change))

    def _end_minimal(self) -> None:
        if self._minimal is not None and self._in_force is not None:
            self._put_in_force(self._in_force.rules, "minimal guard over")

    def _put_in_force(self, rules: tuple[Rule, ...], revision: str) -> None:
        self._minimal = None
        self.health.fault(MINIMAL, None)
        # The rules change where the event has its place among the others, not where somebody asked for it.
        self._next_rules.append(rules)
        # The next poll is a full one: a rule that has just begun may have to know the balance and the day's fills.
        self._polls = -1
        self.deliver(RulesChanged(self.account_id, revision, 0, self._clock.now_ns()))

    async def stop(self) -> None:
        """Finish the step under way, save, and say what stays open. Lockouts stay; nothing is closed by stopping."""
        self._is_stopping = True
        for cancel in (self._cancel_timer, self._cancel_poll, self._cancel_save):
            if cancel is not None:
                cancel()
        await self._duties.finish(STOP_S)
        self._is_stopped = True
        self._commits.stop()
        await asyncio.gather(self._calls.cancel(), self._duties.cancel())
        await self._save_now()
        await self._duties.finish(LAST_LATCH_S)
        await self._duties.cancel()
        log.info(
            "guard stopped",
            account=self.name,
            lockouts=len(self.engine.account.lockouts),
            open_positions=len(self.engine.account.holdings),
            open_intents=len(self.engine.enforcer.open_intents),
        )

    # -- one step -----------------------------------------------------------------------------------------------

    def _handle(self, event: Event, arrived_ns: int) -> None:
        try:
            if isinstance(event, RulesChanged) and self._next_rules:
                self.engine.change_rules(self._next_rules.popleft())
            if self._recorder is not None:
                self._recorder.take(event)
            decision = self.engine.receive(event)
        except RULE_ERRORS as error:  # rules that cannot begin, or a bug of ours: neither ends the guarding
            self._alarm(error)
            if isinstance(event, SnapshotTaken):
                self.pulse.is_sound = False
            self._set_timer(not_before_ns=self._clock.now_ns() + AFTER_FAILURE_NS)
            return
        if isinstance(event, SnapshotTaken):
            self.pulse.is_sound = True
            if event.positions is not None:
                # The first reading ends a round, too, whoever asked for it: nobody should wait for the first poll.
                self.pulse.is_due |= not self._has_read
                self._has_read = True
                self._see_coverage()
        if isinstance(event, ConnectionChanged):
            self.health.link(event.link, is_up=event.is_up, reason=event.reason)
            if event.is_up:
                self.health.fault(CONNECTION, None)
        if decision:
            self._is_busy = True
            detection_ns = self._stopwatch() - arrived_ns
            self._duty(self._carry_out(decision, detection_ns))
        else:
            self._set_timer()
        if not isinstance(event, QuoteUpdated):
            self._see_day()
            self._see_denials()
            self._save_soon()
            self.pulse.settle()

    def _see_day(self) -> None:
        """With a new trading day, known by the venue's clock, what waited for it comes into force."""
        account = self.engine.account
        if self._in_force is not None and account.now_ns and self._in_force.see_day(account.day):
            log.info("what waited is in force with the new trading day", account=self.name)
            self._put_in_force(self._in_force.rules, f"day {account.day.label}")

    def _see_denials(self) -> None:
        denied = self.engine.enforcer.denied
        self.health.fault(DENIED, f"the venue does not allow {', '.join(denied)}" if denied else None)

    def _drain(self) -> None:
        """Handle what waits. A step that needs no waiting ends in here again, and leaves the rest to the loop below."""
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while not self._is_busy and not self._is_stopped:
                waiting = self._inbox.take()
                if waiting is None:
                    return
                self._handle(*waiting)
        finally:
            self._is_draining = False
            if self.is_idle:
                self._has_heard_all.set()

    async def _carry_out(self, decision: Decision, detection_ns: int) -> None:
        """Commit, act, and go on with the next event."""
        try:
            begun_ns = self._stopwatch()
            self._commits.add(decision, self.engine.account.lockouts)
            await self._commits.commit()
            timing = Timing(detection_ns, self._stopwatch() - begun_ns)
            for action in decision.actions:
                self._calls.begin(self._act(action))
            self._commits.mirror()
            self._set_timer()
            self._tell(decision, timing)
        finally:
            self._is_busy = False
            self._drain()
            self.pulse.settle()

    def _tell(self, decision: Decision, timing: Timing) -> None:
        self.enforcements.take(decision, timing, self.engine.account)
        for listener in self._listeners:
            try:
                listener(self, decision, timing)
            except Exception as error:  # noqa: BLE001  # who only looks must not stop the guarding
                self._alarm(error)

    async def _act(self, action: Action) -> None:
        if isinstance(action, TakeSnapshot):
            await self._read(full=action.full)
            return
        begun_ns = self._stopwatch()
        try:
            if isinstance(action, PlaceStop | PlaceTarget):
                await self._listen()
            is_due = partial(self.engine.enforcer.is_still_due, action)
            outcome: Outcome = await self._venue.execute(self.account_id, action, is_due)
        except Exception as error:  # noqa: BLE001  # a bug of the venue adapter: what it did is unknown, and said to be
            self._alarm(error)
            outcome = ActionUnknown(self.account_id, action.id, repr(error), 0, self._clock.now_ns())
        self.enforcements.answered(action, outcome, self._stopwatch() - begun_ns)
        self.deliver(outcome)

    async def _listen(self) -> None:
        """Return when everything that has arrived is dealt with: after a stall the first event may be the oldest."""
        while not self.is_idle:
            self._has_heard_all.clear()
            await self._has_heard_all.wait()

    async def _read(self, *, full: bool) -> None:
        self.deliver(await self._venue.snapshot(self.account_id, full=full))

    # -- time ---------------------------------------------------------------------------------------------------

    def _set_timer(self, not_before_ns: int = 0) -> None:
        """See to it that the guard wakes at the engine's next deadline, or earlier.

        Deadlines move a little with every quote, mostly later: a timer that comes too early looks again, which is far
        cheaper than a new timer for every quote.
        """
        due_ns = self.engine.next_deadline_ns()
        if due_ns is None or self._is_stopping:
            return
        if self._timer_ns is not None and self._timer_ns < due_ns + TIMER_STEP_NS:
            return
        if self._cancel_timer is not None:
            self._cancel_timer()
        self._timer_ns = due_ns
        # A deadline that has passed without moving must not spin the loop.
        wake_ns = max(due_ns, self._clock.now_ns() + TIMER_STEP_NS, not_before_ns)
        self._cancel_timer = self._clock.call_at(wake_ns, self._wake)

    def _wake(self) -> None:
        self._timer_ns = None
        self._cancel_timer = None
        due_ns, now_ns = self.engine.next_deadline_ns(), self._clock.now_ns()
        if due_ns is not None and due_ns <= now_ns:
            self.deliver(TimerFired(self.account_id, 0, now_ns))
        else:
            self._set_timer()

    def _poll(self) -> None:
        """Read a snapshot at a constant rate, on the calmest and on the worst day.

        More of them are full while the user hub is down, for then nothing else tells of fills. Polls keep their
        instants: after a sleep of the machine all accounts' are due at once, and would be ever after.
        """
        late_ns = self._clock.now_ns() - self._next_poll_ns
        self._next_poll_ns += self._poll_ns * (1 + max(0, late_ns) // self._poll_ns)
        self._cancel_poll = self._clock.call_at(self._next_poll_ns, self._poll)
        self._polls += 1
        is_heard = self.health.is_up(Link.USER_HUB)
        is_full = self._polls % (POLLS_PER_FULL if is_heard else self._unheard_polls_per_full) == 0
        if self._reading is not None and not self._reading.done():
            self.pulse.poll_ended()
        self._reading = self._calls.begin(self._read(full=is_full))
        self._reading.add_done_callback(self._poll_answered)

    def _poll_answered(self, reading: asyncio.Task[None]) -> None:
        # One that raised tells of a bug of the venue adapter, which is no sign of life.
        if not reading.cancelled() and reading.exception() is None:
            self.pulse.poll_ended()

    # -- saving -------------------------------------------------------------------------------------------------

    def _save_soon(self) -> None:
        if self._cancel_save is None and not self._is_stopping:
            self._cancel_save = self._clock.call_at(
                self._clock.now_ns() + SAVE_EVERY_NS, lambda: self._duty(self._save_now())
            )

    async def _save_now(self) -> None:
        self._cancel_save = None
        if self._commits and not await self._caught_up():
            return
        if self._minimal is not None:
            # What the rules remembered stays as it is until they are back.
            return
        account = self.engine.account
        fills = {fill.id: fill for fill in account.fills}
        gaps = self.coverage.unsaved
        changed = tuple(fill for key, fill in fills.items() if self._saved_fills.get(key) != fill)
        try:
            await self._journal.save(self.account_id, account.day.label, changed, self.engine.snapshot(), gaps)
            await self._remember_enforcements()
        except JournalUnavailable as error:
            log.error("state not saved", account=self.name, error=str(error))
            return
        self._saved_fills = fills
        self.coverage.saved(gaps)

    async def _remember_enforcements(self) -> None:
        ended = self.enforcements.unsaved
        if ended:
            await self._journal.remember(tuple(record_of(each) for each in ended))
            self.enforcements.saved(ended)

    async def _caught_up(self) -> bool:
        """Whether the journal has every decision by now; a snapshot ahead of it would claim what it cannot show."""
        if not self._is_stopped:
            self._save_soon()
            return False
        await self._commits.commit()
        if self._commits:
            log.critical("decisions not stored", account=self.name, decisions=len(self._commits))
        return not self._commits

    # -- tasks --------------------------------------------------------------------------------------------------

    def _duty(self, work: Coroutine[Any, Any, None]) -> None:
        self._duties.begin(work)

    def _alarm(self, error: BaseException) -> None:
        """An exception that gets here is a bug of ours: say so loudly and go on guarding."""
        log.critical("internal error", account=self.name, error=repr(error), exc_info=error)
        self.health.fault("internal error", repr(error))


def _told(change: Waiting) -> dict[str, str]:
    return {"rule": change.rule, "option": change.option, "now": change.now, "then": change.then}
