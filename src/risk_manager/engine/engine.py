"""The engine: one account as a function of its events."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from risk_manager.domain.calendar import EMPTY, Calendar
from risk_manager.domain.decision import NOTHING, Decision
from risk_manager.domain.events import (
    AccountUpdated,
    ActionAccepted,
    ActionRejected,
    ActionUnknown,
    ConnectionChanged,
    Event,
    FillReceived,
    Link,
    OperatorCommand,
    OrderUpdated,
    PositionUpdated,
    QuoteUpdated,
    RulesChanged,
    SnapshotTaken,
    TimerFired,
)
from risk_manager.domain.finding import Breach, Finding, Gauge, Protect, Release, Skipped, Warning
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.trading_day import TradingDays
from risk_manager.enforcement.pacing import Pacing
from risk_manager.engine.account import AccountImage, AccountState
from risk_manager.engine.bands import Bands
from risk_manager.engine.enforcer import Enforcer, EnforcerImage
from risk_manager.engine.slot import FindingKey, Slot, SlotImage
from risk_manager.engine.step import Step
from risk_manager.rules._base import RULE_ERRORS, Rule


class Mode(StrEnum):
    """ENFORCE acts; OBSERVE decides and records everything and sends nothing.

    With one exception: stops and targets the guard placed before are cancelled, or made smaller, as their position
    goes. Left behind, they would open another.
    """

    ENFORCE = "enforce"
    OBSERVE = "observe"


class EngineSettings(msgspec.Struct, frozen=True):
    """What one account's engine works with; not part of its snapshot."""

    account_id: str
    days: TradingDays
    rules: tuple[Rule, ...]
    mode: Mode = Mode.ENFORCE
    pacing: Pacing = Pacing()
    calendar: Calendar = EMPTY


class EngineImage(msgspec.Struct):
    sequence: int
    trusted_ns: int
    trusted_received_ns: int
    account: AccountImage
    slots: dict[str, SlotImage]
    enforcer: EnforcerImage


class _Life(msgspec.Struct):
    """Of an `AccountImage`, or of what it may become: what any version can read."""

    received_ns: int


class _Alive(msgspec.Struct):
    account: _Life


ALL_EVENTS: tuple[type, ...] = (
    AccountUpdated,
    PositionUpdated,
    OrderUpdated,
    FillReceived,
    QuoteUpdated,
    SnapshotTaken,
    ConnectionChanged,
    ActionAccepted,
    ActionRejected,
    ActionUnknown,
    TimerFired,
    RulesChanged,
    OperatorCommand,
)
_WAKE_EVERY_RULE = frozenset({SnapshotTaken, RulesChanged, TimerFired})
_NEVER = 1 << 62


class Engine:
    """Folds events into the account, runs every rule, merges their demands, plans, and answers with a Decision.

    Two clocks: venue time (`at_ns` of events) decides trading days, rules and lockouts; local time (`received_ns`)
    only paces repetitions. Venue time moves with what the venue stamps, so no local clock can end a lockout.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._sequence = 0
        self._trusted_ns = 0
        self._trusted_received_ns = 0
        self._turn_ns = 0
        self.account = AccountState(settings.account_id, settings.days, settings.calendar)
        self.enforcer = Enforcer(self.account, settings.pacing, is_observing=settings.mode is Mode.OBSERVE)
        self._slots: list[Slot] = []
        self._listeners: dict[type, list[Slot]] = {}
        self._bands = Bands(())
        self._seat(settings.rules)

    @property
    def sequence(self) -> int:
        """Of the last decision that said something."""
        return self._sequence

    def change_rules(self, rules: tuple[Rule, ...]) -> None:
        """Put new rules in force; follow it with a RulesChanged event. A rule kept under its name keeps its state.

        Raises:
            Exception: what a rule raises that cannot begin; all rules then stay as they were.
        """
        self._seat(rules)
        self._settings = msgspec.structs.replace(self._settings, rules=rules)

    def _seat(self, rules: tuple[Rule, ...]) -> None:
        before = {slot.name: slot for slot in self._slots}
        slots = [Slot(rule) for rule in rules]
        for slot in slots:
            old = before.get(slot.name)
            if old is not None:
                slot.follow(old)
        self._slots = slots
        self._listeners = {
            kind: [slot for slot in self._slots if kind in _WAKE_EVERY_RULE or kind in slot.rule.listens_to]
            for kind in ALL_EVENTS
        }
        self._bands = Bands(self._listeners[QuoteUpdated])

    # -- one step -----------------------------------------------------------------------------------------------

    def receive(self, event: Event) -> Decision:
        """Take one event in and say what follows; `NOTHING` when nothing does. Never raises for a market situation.

        Order: end what is over, fold, rules, merge, plan (design section 4).
        """
        account = self.account
        kind = type(event)
        step: Step | None = None
        received_ns, at_ns = event.received_ns, event.at_ns
        # Events held back while a snapshot was read come with earlier times; the local clock does not follow them.
        if received_ns > account.received_ns:
            account.received_ns = received_ns
        if at_ns > self._trusted_ns:
            self._trusted_ns, self._trusted_received_ns = at_ns, received_ns
            if at_ns > account.now_ns:
                account.now_ns = at_ns
            if at_ns >= self._turn_ns:
                step = self._turn()
        slots: Sequence[Slot] = self._listeners[kind]
        if type(event) is QuoteUpdated:
            holding = account.on_quote(event)
            if step is None:
                # A quote of what is not held changes nothing a rule could see; what time alone changes has a deadline.
                slots = self._bands.concerned(holding, account.now_ns) if holding is not None else ()
                if not slots:
                    return NOTHING
        else:
            step = step or Step(self._decision_id())
            self._take(event, step)
        for slot in slots:
            try:
                state, found = slot.rule.step(slot.state, event, account)
                if found or type(found) is not tuple:
                    found = slot.checked(found)
                if state is not slot.state:
                    slot.advance(state)
                if kind is TimerFired or not slot.is_quiet:
                    found = slot.kept_to_time(found, account.now_ns, is_timer=kind is TimerFired)
            except RULE_ERRORS as error:  # one faulty rule must not stop the others (design law 9)
                found = slot.failed(error, account.now_ns)
            if found or not slot.is_quiet:
                step = step or Step(self._decision_id())
                self._absorb(step, slot, found)
        if step is None:
            self._bands.measure(slots, account)
            return NOTHING
        self._bands.forget()
        if step.has_news or kind is not QuoteUpdated:
            self.enforcer.act(step, account.received_ns)
        return self._decide(step, event)

    def next_deadline_ns(self) -> int | None:
        """Local time at which a TimerFired event is due; None if only events matter."""
        due_ns = self.enforcer.wake_ns
        for slot in self._slots:
            # What lies beyond the trading day waits for the venue's own word, as the day does; a timer cannot bring it.
            if slot.wake_ns is not None and self._trusted_ns and slot.wake_ns < self.account.day.end_ns:
                at_ns = self._trusted_received_ns + (slot.wake_ns - self._trusted_ns)
                if due_ns is None or at_ns < due_ns:
                    due_ns = at_ns
        return due_ns

    def gauges(self) -> tuple[tuple[str, Gauge], ...]:
        """(rule, gauge) of every limit, in the order of the rules; for screens."""
        return tuple((slot.name, gauge) for slot in self._slots for gauge in slot.gauges(self.account))

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._settings.rules

    def failures(self) -> dict[str, int]:
        """How often rules did something wrong since they began, by their names; only those that did."""
        return {slot.name: slot.failures for slot in self._slots if slot.failures}

    def _decision_id(self) -> str:
        return f"{self.account.id}-{self._sequence + 1}"

    def _turn(self) -> Step | None:
        """Roll the trading day and end lockouts, both of which wait for venue time; None if nothing has turned."""
        day = self._settings.days.day_of(self._trusted_ns)
        is_new = day != self.account.day
        if is_new:
            self.account.turn_day(day)
        step = Step(self._decision_id())
        self.enforcer.expire(step, self._trusted_ns)
        self.enforcer.disown(step, self._slot_names())
        self._turn_ns = self._next_turn_ns()
        return step if is_new or step.has_news else None

    def _slot_names(self) -> frozenset[str]:
        return frozenset(slot.name for slot in self._slots)

    def _next_turn_ns(self) -> int:
        ends = [lockout.until_ns for lockout in self.account.lockouts if lockout.until_ns is not None]
        day_end_ns = self.account.day.end_ns if self.account.day.end_ns > self._trusted_ns else _NEVER
        return min([day_end_ns, *ends])

    def _take(self, event: Event, step: Step) -> None:
        match event:
            case FillReceived():
                self.account.on_fill(event)
            case PositionUpdated():
                self.account.on_position(event)
            case OrderUpdated():
                self.account.on_order(event)
                self.enforcer.saw_order(event.order)
            case AccountUpdated():
                self.account.on_account(event)
            case SnapshotTaken():
                self.account.on_snapshot(event)
                self.enforcer.saw_snapshot(event, step)
            case ActionAccepted() | ActionRejected() | ActionUnknown():
                self.enforcer.learned(step, event)
            case ConnectionChanged(link=Link.REST, is_up=False):
                self._follow_clock(event.received_ns)
                self.enforcer.lost_touch()
            case ConnectionChanged(link=Link.USER_HUB):
                self.account.lost_stream()
            case TimerFired():
                self._estimate_now(event.received_ns)
            case RulesChanged() if self._trusted_ns:
                self.enforcer.disown(step, self._slot_names())
            case OperatorCommand(command="flatten", operator=operator):
                self.enforcer.flatten(step, operator)

    def _estimate_now(self, received_ns: int) -> None:
        """Let venue time go on by the local clock, within the trading day: only the venue itself ends that."""
        if not self._trusted_ns:
            return
        now_ns = self._trusted_ns + received_ns - self._trusted_received_ns
        self.account.now_ns = max(self.account.now_ns, min(now_ns, self.account.day.end_ns - 1))

    def _follow_clock(self, received_ns: int) -> None:
        """Go on by a local clock that was set while we were not running (reliability F26).

        A run begins with the loss of REST. Of a clock set back everything remembered would lie in the future, and no
        snapshot would be newer than it. One set forward cannot be told from a long time away: venue time goes on from
        where it was until the venue says what it is, or deadlines would wait for the end of the day.
        """
        self._trusted_received_ns = received_ns - (self.account.now_ns - self._trusted_ns)
        by_ns = received_ns - self.account.received_ns
        if by_ns < 0:
            self.account.received_ns = received_ns
            self.account.shift(by_ns)
            self.enforcer.shift(by_ns)

    def _absorb(self, step: Step, slot: Slot, found: Iterable[Finding | Skipped]) -> None:
        """Turn a rule's output into what is new about it: a finding is reported once for as long as it holds."""
        keys: set[FindingKey] = set()
        skips: list[Skipped] = []
        for item in found:
            match item:
                case Skipped():
                    skips.append(item)
                case Release(scope=scope, reason=reason):
                    self.enforcer.release(step, slot.name, scope, reason, self._trusted_ns)
                case Protect():
                    # Not among the reported: it stays in force until the rule says otherwise or the position ends.
                    self.enforcer.protect(step, item)
                case Warning():
                    key: FindingKey = ("warning", item.code, item.scope, None)
                    if key not in slot.reported:
                        step.findings.append(item)
                    keys.add(key)
                case Breach():
                    # A lockout with another end of its own is something new to say.
                    key = ("breach", item.code, item.scope, item.until_ns)
                    self.enforcer.breached(step, item, slot.remedy, is_fresh=key not in slot.reported)
                    keys.add(key)
        if tuple(skips) != slot.skips:
            slot.skips = tuple(skips)
            step.skipped.extend(skips)
        if keys != slot.reported:
            slot.reported = frozenset(keys)
        slot.is_quiet = not (keys or skips)

    def _decide(self, step: Step, event: Event) -> Decision:
        if not step.has_news:
            return NOTHING
        self._sequence += 1
        self._turn_ns = self._next_turn_ns()
        return Decision(
            sequence=self._sequence,
            account_id=self.account.id,
            trading_day=self.account.day.label,
            cause=event,
            findings=tuple(step.findings),
            lockouts_set=tuple(step.lockouts_set.values()),
            lockouts_released=tuple(step.lockouts_released),
            intents=tuple(step.intents.values()),
            actions=tuple(step.actions),
            skipped=tuple(step.skipped),
        )

    # -- snapshot -----------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything the engine remembers; `restore` with the same settings continues as if never stopped."""
        slots = {slot.name: seat for slot in self._slots if (seat := slot.image()) is not None}
        image = EngineImage(
            self._sequence,
            self._trusted_ns,
            self._trusted_received_ns,
            self.account.image(),
            slots,
            self.enforcer.image(),
        )
        return msgspec.msgpack.encode(image)

    @classmethod
    def restore(
        cls,
        settings: EngineSettings,
        snapshot: bytes | None,
        *,
        sequence: int = 0,
        lockouts: tuple[Lockout, ...] | None = None,
        intents: tuple[Intent, ...] | None = None,
    ) -> "Engine":
        """An engine that continues from a snapshot and, where given, from what the journal committed after it.

        Args:
            sequence: of the last committed decision; the higher of it and the snapshot's counts.
            lockouts, intents: the journal's active lockouts and open intents; they replace the snapshot's.

        Raises:
            msgspec.DecodeError: the snapshot is not one of ours.
        """
        engine = cls(settings)
        if snapshot is not None:
            engine._load(msgspec.msgpack.decode(snapshot, type=EngineImage))
        is_behind = sequence > engine._sequence
        engine._sequence = max(engine._sequence, sequence)
        if lockouts is not None:
            engine.account.lockouts = lockouts
        if intents is not None:
            # Nobody listened since: the first reading is the truth.
            engine.account.lost_stream()
            engine.enforcer.resume(intents, is_behind=is_behind)
        return engine

    def _load(self, image: EngineImage) -> None:
        self._sequence = image.sequence
        self._trusted_ns, self._trusted_received_ns = image.trusted_ns, image.trusted_received_ns
        self.account.load(image.account)
        self.enforcer.load(image.enforcer)
        for slot in self._slots:
            known = image.slots.get(slot.name)
            if known is not None:
                slot.load(known)


def alive_ns_of(snapshot: bytes) -> int:
    """Local time of the last event in an `Engine.snapshot()`, another version's as well; 0 if it does not tell."""
    try:
        return msgspec.msgpack.decode(snapshot, type=_Alive).account.received_ns
    except (msgspec.MsgspecError, RecursionError):
        return 0
