"""A rule's seat in the engine: its state, what it reported last, and a guard against what it may do wrong.

A rule is somebody's code. What it raises, and what it hands back that is no finding of its own, is turned into the
warning `RULE_FAILED`; the other rules go on, and the rule keeps the state it had before. So is a deadline it was woken
at and has not moved on: what else it found counts.
"""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.finding import Breach, Finding, Gauge, Protect, Release, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import RULE_ERRORS, Rule, Slack, remedy_of, slack_of
from risk_manager.rules._compose import put_together, signature_of, taken_apart

RULE_FAILED = "RULE_FAILED"
"""Code of the warning that a rule did something wrong; it is repeated at every step, and so reported once."""

AFTER_FAILURE_NS = 1_000_000_000
"""How long the next deadline waits after a failure, or one that repeats itself would be all we do."""

FindingKey = tuple[str, str, Scope, int | None]

_FAILED: FindingKey = ("warning", RULE_FAILED, ACCOUNT, None)
_LATE = "its deadline had come, and it asked for none to come"

_encode = msgspec.msgpack.Encoder().encode
_decode_finding: Callable[[bytes], Finding] = msgspec.msgpack.Decoder(Finding).decode
_decode_skipped: Callable[[bytes], Skipped] = msgspec.msgpack.Decoder(Skipped).decode
_decode_gauge: Callable[[bytes], Gauge] = msgspec.msgpack.Decoder(Gauge).decode


class SlotImage(msgspec.Struct):
    """A slot in a snapshot.

    Attributes:
        state: of the rule inside all layers, so that it outlives a change of the layers.
        signature: which rule that is.   layers: what the layers around it keep of their own.
    """

    state: msgspec.Raw
    reported: list[FindingKey]
    skips: tuple[Skipped, ...]
    signature: str = ""
    layers: dict[str, msgspec.Raw] = {}


class Slot:
    """A rule with what the engine keeps for it: its state, and what it reported last.

    Attributes:
        remedy: the rule's.   due_ns: its deadline in its present state (venue time).
        wake_ns: when to wake it (venue time): at its deadline, or a while after it failed to move that on.
        is_quiet: its last step found nothing and skipped nothing.   failures: how often it did something wrong.
    """

    __slots__ = (
        "_again_ns",
        "due_ns",
        "failures",
        "is_quiet",
        "name",
        "remedy",
        "reported",
        "rule",
        "skips",
        "state",
        "wake_ns",
    )

    def __init__(self, rule: Rule) -> None:
        """Raises:
        Exception: what the rule raises before any event has come; see `trial_faults`.
        """
        self.rule = rule
        self.name = rule.name
        self.remedy = remedy_of(rule)
        self.state: Any = rule.initial_state()
        self._again_ns = 0
        self.due_ns = self.wake_ns = rule.deadline_ns(self.state)
        self.is_quiet = True
        self.reported: frozenset[FindingKey] = frozenset()
        self.skips: tuple[Skipped, ...] = ()
        self.failures = 0

    def gauges(self, account: AccountView) -> tuple[Gauge, ...]:
        """For screens; of a rule that cannot tell none."""
        try:
            gauges = self.rule.gauges(self.state, account)
            is_sound = all(type(one) is Gauge and _are_integers(one.used, one.limit) for one in gauges)
            return tuple(_decode_gauge(_encode(one)) for one in gauges) if is_sound else ()
        except RULE_ERRORS:  # a screen does without the gauge; enforcement does not use it
            self.failures += 1
            return ()

    def slack(self, account: AccountView) -> Slack | None:
        """How far open profit may move before the rule has to look; None: it looks at every quote."""
        if not self.is_quiet:
            return None
        try:
            slack = slack_of(self.rule, self.state, account)
            is_sound = type(slack) is Slack and _are_integers(slack.down_micros, slack.up_micros, slack.until_ns)
        except RULE_ERRORS:  # it is shown every quote, as a rule that does not say
            self.failures += 1
            return None
        return slack if is_sound else None

    def follow(self, old: "Slot") -> None:
        """Go on where a slot of the same rule, perhaps with other settings or other code, stopped."""
        if signature_of(old.rule) != signature_of(self.rule):
            return
        self.failures = old.failures
        inner, layers = taken_apart(old.rule, old.state)
        if type(inner) is type(taken_apart(self.rule, self.state)[0]):
            self._take_over(inner, layers, old.reported, old.skips)
        elif (image := old.image()) is not None:
            # Other code has another state, which may have other fields: it is read as after a restart.
            self.load(image)

    def image(self) -> SlotImage | None:
        """For the snapshot; None of a rule whose state cannot be written down."""
        inner, layers = taken_apart(self.rule, self.state)
        try:
            state, kept = _packed(inner), {name: _packed(own) for name, own in layers.items()}
        except RULE_ERRORS:  # the state of the others must be saved all the same
            self.failures += 1
            return None
        return SlotImage(state, sorted(self.reported, key=str), self.skips, signature_of(self.rule), kept)

    def load(self, image: SlotImage) -> None:
        """Go on where a snapshot stopped; to a rule that has changed since, its old state says nothing."""
        if image.signature != signature_of(self.rule):
            return
        inner, layers = taken_apart(self.rule, self.state)
        try:
            inner = msgspec.msgpack.decode(image.state, type=type(inner))
            for name, own in layers.items():
                known = image.layers.get(name)
                layers[name] = None if known is None else msgspec.msgpack.decode(known, type=type(own))
        except RULE_ERRORS:  # its state may refuse in its own words; the others' must be read all the same
            return
        self._take_over(inner, layers, image.reported, image.skips)

    def _take_over(
        self, inner: Any, layers: dict[str, Any], reported: Iterable[FindingKey], skips: tuple[Skipped, ...]
    ) -> None:
        try:
            self.advance(put_together(self.rule, inner, layers))
        except RULE_ERRORS:  # it begins afresh, which is better than no guard at all
            self.failures += 1
            return
        self.reported, self.skips = frozenset(reported), skips
        self.is_quiet = not (reported or skips)

    def advance(self, state: Any) -> None:
        """Take the state a step has led to.

        Raises:
            TypeError: the rule's deadline is no instant.
        """
        due_ns = self.rule.deadline_ns(state)
        if due_ns is not None and type(due_ns) is not int:
            raise TypeError(f"a deadline is a whole number of nanoseconds or None, not {due_ns!r}")
        self.due_ns, self.state = due_ns, state
        self.wake_ns = None if due_ns is None else max(due_ns, self._again_ns)

    def checked(self, found: Iterable[Any]) -> tuple[Finding | Skipped, ...]:
        """What the rule found, as it is read back once it was written down.

        A decision with a value of another type in it could be stored, and never be read again.

        Raises:
            Exception: one is no finding the rule may have (its own, and of integers), or cannot be read back.
        """
        sound: list[Finding | Skipped] = []
        for item in found:
            match item:
                case Breach() | Warning():
                    is_sound = item.rule == self.name and _is_measured(item)
                case Protect():
                    is_sound = item.rule == self.name and _is_protection(item)
                case _:
                    is_sound = type(item) in (Release, Skipped)
            if not is_sound:
                raise TypeError(f"no finding of the rule {self.name}: {item!r}")
            decode = _decode_skipped if type(item) is Skipped else _decode_finding
            sound.append(decode(_encode(item)))
        return tuple(sound)

    def failed(self, error: BaseException, now_ns: int) -> tuple[Warning]:
        """What to report in place of what the rule found; its state stays as it was.

        Args:
            now_ns: venue time; a deadline that has come by then comes again after a while.
        """
        self.failures += 1
        self._wait(now_ns)
        return (self._failure(_told(error)),)

    def kept_to_time(
        self, found: tuple[Finding | Skipped, ...], now_ns: int, *, is_timer: bool
    ) -> tuple[Finding | Skipped, ...]:
        """What a step found, and that the rule is late: a timer has woken it, and its deadline is not to come.

        It is, until its deadline is moved on; meanwhile it is woken after a while. Its findings count all the same.

        Args:
            now_ns: venue time.
        """
        if self.due_ns is None or self.due_ns > now_ns:
            self._again_ns, self.wake_ns = 0, self.due_ns
            return found
        if is_timer:
            self.failures += 1
            self._wait(now_ns)
        elif _FAILED not in self.reported:
            return found
        return (*found, self._failure(_LATE))

    def _wait(self, now_ns: int) -> None:
        """Have a deadline that has come wait; one that is waiting already goes on waiting."""
        if self.due_ns is not None and self.due_ns <= now_ns:
            if self._again_ns <= now_ns:
                self._again_ns = now_ns + AFTER_FAILURE_NS
            self.wake_ns = self._again_ns

    def _failure(self, text: str) -> Warning:
        return Warning(self.name, RULE_FAILED, 0, 0, Unit.NONE, ACCOUNT, (("error", text),))


def _is_measured(item: Breach | Warning) -> bool:
    if not _are_integers(item.measured, item.limit):
        return False
    if isinstance(item, Warning):
        return True
    # The journal keeps the end of a lockout in 64 bits.
    is_timed = item.until_ns is None or (type(item.until_ns) is int and item.until_ns.bit_length() < 64)
    return is_timed and all(type(target.size) is int and target.size >= 0 for target in item.targets)


def _is_protection(item: Protect) -> bool:
    levels = [level for level in (item.stop_ticks, item.target_ticks) if level is not None]
    return item.side in (1, -1) and _are_integers(item.side, item.update_ns, *levels)


def _are_integers(*values: object) -> bool:
    return all(type(value) is int for value in values)


def _told(error: BaseException) -> str:
    """The error in words that can be written down, whatever it holds."""
    try:
        text = f"{type(error).__name__}: {error}"
    except RULE_ERRORS:  # an error of the rule's own may fail at that, too
        text = type(error).__name__
    return text.encode("utf-8", "backslashreplace").decode()


def _packed(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
