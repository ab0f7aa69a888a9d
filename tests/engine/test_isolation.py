"""A rule that does something wrong harms nobody but itself."""

from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.account import AccountView
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import AccountUpdated, Event, QuoteUpdated
from risk_manager.domain.finding import AtMost, Breach, Gauge, Protect, Release, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.engine import Engine
from risk_manager.rules import MaxPositionRule, SymbolBlocksRule
from risk_manager.rules._base import Demand, Remedy, Slack
from risk_manager.testing.events import ES, HOUR_NS, NQ, SECOND_NS, START_NS
from risk_manager.testing.guarded import Guarded


class Steps(msgspec.Struct, frozen=True):
    count: int = 0


class Odd(msgspec.Struct, frozen=True, kw_only=True):
    """Hands back whatever it is told to; `raises` steps first raise."""

    name: ClassVar[str] = "odd"
    listens_to: ClassVar[frozenset[type]] = frozenset({AccountUpdated})

    answer: Any = (Steps(1), ())
    due: Any = None
    shown: Any = ()
    raises: bool = False

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.FLATTEN)

    def initial_state(self) -> Steps:
        return Steps()

    def deadline_ns(self, state: Steps) -> Any:
        return self.due if state.count else None

    def gauges(self, state: Steps, account: AccountView) -> Any:
        return 1 // 0 if self.shown is None else self.shown

    def step(self, state: Steps, event: Event, account: AccountView) -> Any:
        return 1 // 0 if self.raises else self.answer


def breach(**changes: Any) -> Breach:
    return msgspec.structs.replace(Breach("odd", "ODD", 5, 3, Unit.CONTRACTS, ACCOUNT), **changes)


def warning(**changes: Any) -> Warning:
    return msgspec.structs.replace(Warning("odd", "ODD", 5, 3, Unit.CONTRACTS, ACCOUNT), **changes)


def protect(**changes: Any) -> Protect:
    return msgspec.structs.replace(Protect("odd", "CON.F.US.EP.H25", "41", 1, 20_000, None, 1), **changes)


GARBAGE: dict[str, Any] = {
    "nothing": None,
    "no pair": 5,
    "a state alone": (Steps(1),),
    "findings that are none": (Steps(1), 5),
    "text for findings": (Steps(1), "breach"),
    "a list of text": (Steps(1), ["breach"]),
    "a float measured": (Steps(1), (breach(measured=5.0),)),
    "not a number": (Steps(1), (breach(measured=float("nan")),)),
    "a bool for a limit": (Steps(1), (breach(limit=True),)),
    "no scope": (Steps(1), (breach(scope="account"),)),
    "no unit": (Steps(1), (breach(unit="dollars"),)),
    "a loss of no kind": (Steps(1), (breach(loss="of the day"),)),
    "a float until": (Steps(1), (breach(until_ns=1.5),)),
    "a float target": (Steps(1), (breach(targets=(AtMost("ES", 0.5),)),)),  # type: ignore[arg-type]  # the point of it
    "a target below nothing": (Steps(1), (breach(targets=(AtMost("ES", 0), AtMost("NQ", -1))),)),
    "an end beyond 64 bits": (Steps(1), (breach(until_ns=1 << 63),)),
    "a number beyond 64 bits": (Steps(1), (breach(measured=1 << 64),)),
    "a target of no contract": (Steps(1), (breach(targets=(AtMost(5, 1),)),)),  # type: ignore[arg-type]  # the point of it
    "targets that are none": (Steps(1), (breach(targets=("ES",)),)),
    "a number for an order": (Steps(1), (breach(cancels=(77,)),)),
    "text for orders": (Steps(1), (breach(cancels="77"),)),
    "a number in the evidence": (Steps(1), (breach(evidence=(("held", 1),)),)),
    "bytes in the evidence": (Steps(1), (breach(evidence=(("held", b"1"),)),)),
    "evidence without values": (Steps(1), (breach(evidence=("held",)),)),
    "text nobody can write": (Steps(1), (breach(evidence=(("held", "\ud800"),)),)),
    "a scope of numbers": (Steps(1), (breach(scope=Scope(root=5)),)),  # type: ignore[arg-type]  # the point of it
    "another rule's name": (Steps(1), (breach(rule="max_contracts"),)),
    "a warning of floats": (Steps(1), (Warning("odd", "W", 1.5, 3, Unit.NONE, ACCOUNT),)),  # type: ignore[arg-type]
    "a warning with numbers": (Steps(1), (warning(evidence=((1, 2),)),)),
    "a protection of no position": (Steps(1), (protect(position_id=41),)),
    "a protection with a word for a switch": (Steps(1), (protect(moves_manual="no"),)),
    "a protection with a number in the evidence": (Steps(1), (protect(evidence=(("stop", 1),)),)),
    "a skip of nobody": (Steps(1), (Skipped(5, "x"),)),  # type: ignore[arg-type]  # the point of it
    "a skip without a reason": (Steps(1), (Skipped("odd", None),)),  # type: ignore[arg-type]  # the point of it
    "a release of nothing": (Steps(1), (Release("odd", None, "x"),)),  # type: ignore[arg-type]  # the point of it
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=list(GARBAGE))
def test_answers_that_are_none_are_alarmed_and_do_nothing(answer: Any) -> None:
    guarded = Guarded(Odd(answer=answer), MaxPositionRule(max_contracts=2))
    assert [warning.code for warning in guarded.warnings] == ["RULE_FAILED"]
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]
    stored = msgspec.json.encode(guarded.decisions)
    assert msgspec.json.decode(stored, type=list[Decision]) == guarded.decisions


def test_an_end_may_have_64_bits() -> None:
    guarded = Guarded(Odd(answer=(Steps(1), (breach(until_ns=(1 << 63) - 1),))))
    assert [each.until_ns for each in guarded.breaches] == [(1 << 63) - 1]


@pytest.mark.parametrize("size", [0, 1])
def test_a_target_may_be_flat_or_more(size: int) -> None:
    guarded = Guarded(Odd(answer=(Steps(1), (breach(targets=(AtMost("ES", size),)),))))
    assert [each.targets for each in guarded.breaches] == [(AtMost("ES", size),)]


@pytest.mark.parametrize("found", [[breach(evidence=[["held", "1"]])], iter([breach(evidence=(("held", "1"),))])])
def test_findings_of_another_shape_are_taken_as_they_will_be_read_back(found: Any) -> None:
    guarded = Guarded(Odd(answer=(Steps(1), found)))
    assert guarded.breaches == [breach(evidence=(("held", "1"),))]


@pytest.mark.parametrize("found", [None, 0, False])
def test_nothing_in_place_of_what_was_found_before_is_a_failure_too(found: Any) -> None:
    answers = iter([(Steps(1), (breach(),)), (Steps(2), found)])

    class Fickle(Odd, frozen=True, kw_only=True):
        def step(self, state: Steps, event: Event, account: AccountView) -> Any:
            return next(answers, (state, ()))

    guarded = Guarded(Fickle(), MaxPositionRule(max_contracts=2))
    guarded.feed(guarded.venue.account())
    assert [warning.code for warning in guarded.warnings] == ["RULE_FAILED"]
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["ODD", "MAX_CONTRACTS"]


class Speechless(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "told"), [(ValueError("\ud800"), "ValueError: \\ud800"), (Speechless(), "Speechless")]
)
def test_an_error_that_cannot_be_written_down_is_told_all_the_same(error: Exception, told: str) -> None:
    class Loud(Odd, frozen=True, kw_only=True):
        def step(self, state: Steps, event: Event, account: AccountView) -> Any:
            raise error

    guarded = Guarded(Loud())
    assert [warning.evidence for warning in guarded.warnings] == [(("error", told),)]
    msgspec.json.encode(guarded.decisions)


class Leaving(Odd, frozen=True, kw_only=True):
    """Raises `error` in the method it is told."""

    error: Any = SystemExit
    place: str = "step"

    def initial_state(self) -> Steps:
        return Steps()

    def step(self, state: Steps, event: Event, account: AccountView) -> Any:
        return self._left("step", (Steps(state.count + 1), ()))

    def deadline_ns(self, state: Steps) -> Any:
        return self._left("deadline_ns", None) if state.count else None

    def gauges(self, state: Steps, account: AccountView) -> Any:
        return self._left("gauges", ())

    def slack(self, state: Steps, account: AccountView) -> Any:
        return self._left("slack", Slack())

    def _left(self, place: str, otherwise: Any) -> Any:
        if place == self.place:
            raise self.error("done here")
        return otherwise


PLACES = ("step", "deadline_ns", "gauges", "slack")


def lives_with(rule: Odd) -> Guarded:
    """An account guarded by the rule and another, through events of several kinds."""
    guarded = Guarded(rule, MaxPositionRule(max_contracts=2))
    guarded.feed(guarded.venue.account(), guarded.venue.buys(ES, 1, 5800), guarded.venue.quote(ES, 5801))
    assert [gauge.label for gauge in guarded.gauges] == ["contracts in all"]
    return guarded


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_a_rule_that_would_end_the_program_ends_nothing(error: type[BaseException], place: str) -> None:
    quotes = frozenset({AccountUpdated, QuoteUpdated})
    leaving = type("Listening", (Leaving,), {"listens_to": quotes}, frozen=True, kw_only=True)
    guarded = lives_with(leaving(error=error, place=place))
    assert guarded.engine.failures()["odd"] > 0
    told = [(warning.code, warning.evidence) for warning in guarded.warnings]
    is_told = place in ("step", "deadline_ns")
    assert told == [("RULE_FAILED", (("error", f"{error.__name__}: done here"),))] * is_told
    guarded.feed(guarded.venue.buys(ES, 2, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]


@pytest.mark.parametrize("place", PLACES[:3])
def test_the_user_may_end_the_program_in_the_middle_of_a_rule(place: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        lives_with(Leaving(error=KeyboardInterrupt, place=place))


def test_a_rule_that_keeps_raising_is_alarmed_once_and_counted_each_time() -> None:
    guarded = Guarded(Odd(raises=True), MaxPositionRule(max_contracts=2))
    for _ in range(20):
        guarded.feed(guarded.venue.account())
    assert [warning.evidence for warning in guarded.warnings] == [
        (("error", "ZeroDivisionError: integer division or modulo by zero"),)
    ]
    assert guarded.engine.failures() == {"odd": 21}
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_a_failed_step_keeps_the_state_before_it() -> None:
    guarded = Guarded(Odd(answer=(Steps(9), (breach(measured=1.5),))))
    assert guarded.engine._slots[0].state == Steps(0)


@pytest.mark.parametrize("due", [1.5, "soon", True])
def test_a_deadline_that_is_none_is_a_failure(due: Any) -> None:
    guarded = Guarded(Odd(due=due))
    assert [warning.code for warning in guarded.warnings] == ["RULE_FAILED"]
    assert guarded.engine.next_deadline_ns() is None


FIRST_NS = START_NS + 2_000_000
"""When the snapshot is answered that a scenario begins with."""


class Punctual(Odd, frozen=True, kw_only=True):
    """Has one deadline all the time."""

    def deadline_ns(self, state: Steps) -> Any:
        return self.due


@pytest.mark.parametrize(
    ("due_ns", "then_ns"),
    [
        (FIRST_NS - HOUR_NS, FIRST_NS + SECOND_NS),
        (FIRST_NS - 1, FIRST_NS + SECOND_NS),
        (FIRST_NS, FIRST_NS + SECOND_NS),
        (FIRST_NS + 1, FIRST_NS + 1),
        (FIRST_NS + SECOND_NS, FIRST_NS + SECOND_NS),
    ],
)
def test_a_deadline_that_has_come_waits_a_second_after_a_failure(due_ns: int, then_ns: int) -> None:
    guarded = Guarded(Punctual(due=due_ns, raises=True))
    assert guarded.engine.account.now_ns == FIRST_NS
    assert guarded.engine.next_deadline_ns() == then_ns


def test_a_second_that_waits_is_not_begun_again_by_every_failure() -> None:
    guarded = Guarded(Punctual(due=FIRST_NS, raises=True))
    for _ in range(9):
        guarded.venue.wait(0.1)
        guarded.feed(guarded.venue.account())
    assert guarded.engine.next_deadline_ns() == FIRST_NS + SECOND_NS


def test_a_rule_that_has_recovered_keeps_its_deadlines() -> None:
    answers = iter([(Steps(1), ()), 5, (Steps(2), ())])

    class Recovering(Odd, frozen=True, kw_only=True):
        def deadline_ns(self, state: Steps) -> Any:
            return START_NS + (HOUR_NS if state.count > 1 else 0)

        def step(self, state: Steps, event: Event, account: AccountView) -> Any:
            return next(answers)

    guarded = Guarded(Recovering())
    guarded.feed(guarded.venue.account())
    assert guarded.engine.next_deadline_ns() == guarded.engine.account.now_ns + SECOND_NS
    guarded.feed(guarded.venue.account())
    assert guarded.engine.next_deadline_ns() == START_NS + HOUR_NS


class Behind(Odd, frozen=True, kw_only=True):
    """Remembers when it was stepped, and has a deadline so long after that; `found` is what it finds."""

    lead_ns: int = -1
    found: Any = ()

    def initial_state(self) -> Steps:
        return Steps(START_NS)

    def deadline_ns(self, state: Steps) -> Any:
        return state.count + self.lead_ns

    def step(self, state: Steps, event: Event, account: AccountView) -> Any:
        return Steps(account.now_ns), self.found


def ticks(guarded: Guarded, count: int) -> list[int]:
    """Let the guard wake itself so often; how long it slept each time."""
    slept = []
    for _ in range(count):
        due_ns = guarded.engine.next_deadline_ns()
        assert due_ns is not None
        slept.append(due_ns - guarded.engine.account.received_ns)
        guarded.venue.wait(max(0, slept[-1]) / SECOND_NS)
        guarded.feed(guarded.venue.timer())
    return slept


LATE = (("error", "its deadline had come, and it asked for none to come"),)


@pytest.mark.parametrize(
    "rule", [Behind(lead_ns=0), Behind(lead_ns=-1), Punctual(due=START_NS), Punctual(due=START_NS - HOUR_NS)]
)
def test_a_deadline_that_is_not_moved_on_is_told_once_and_comes_again_after_a_second(rule: Odd) -> None:
    guarded = Guarded(rule, MaxPositionRule(max_contracts=2))
    assert guarded.warnings == [], "nothing has woken it yet"
    slept = ticks(guarded, 20)
    assert slept[0] <= 0
    assert all(SECOND_NS - 2_000_000 <= one <= SECOND_NS for one in slept[1:])
    assert [(warning.rule, warning.code, warning.evidence) for warning in guarded.warnings] == [
        ("odd", "RULE_FAILED", LATE)
    ]
    assert guarded.engine.failures() == {"odd": 20}
    guarded.feed(guarded.venue.buys(ES, 3, 5800))
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_a_deadline_a_nanosecond_ahead_is_kept() -> None:
    guarded = Guarded(Behind(lead_ns=1))
    assert ticks(guarded, 3) == [1, 1, 1]
    assert (guarded.warnings, guarded.engine.failures()) == ([], {})


def test_what_a_late_rule_finds_counts_all_the_same() -> None:
    guarded = Guarded(Behind(found=(breach(),)))
    ticks(guarded, 2)
    assert (guarded.codes, [warning.code for warning in guarded.warnings]) == (["ODD"], ["RULE_FAILED"])


def test_a_late_rule_waits_whatever_else_happens() -> None:
    guarded = Guarded(Behind())
    ticks(guarded, 1)
    began_ns = guarded.engine.account.received_ns
    for _ in range(9):
        guarded.venue.wait(0.1)
        guarded.feed(guarded.venue.account())
        assert guarded.engine.next_deadline_ns() == began_ns + SECOND_NS
    assert guarded.engine.failures() == {"odd": 1}


def test_a_late_rule_is_late_until_it_moves_its_deadline_on() -> None:
    leads_ns = iter([0, 0, HOUR_NS, HOUR_NS, 0, 0])

    class Mending(Behind, frozen=True, kw_only=True):
        def step(self, state: Steps, event: Event, account: AccountView) -> Any:
            return Steps(account.now_ns + next(leads_ns)), ()

    guarded = Guarded(Mending(lead_ns=0))
    ticks(guarded, 1)
    guarded.feed(guarded.venue.account())
    assert guarded.engine.next_deadline_ns() == guarded.engine.account.received_ns + HOUR_NS
    guarded.feed(guarded.venue.account())
    guarded.feed(guarded.venue.account())
    assert len(guarded.warnings) == 1, "nothing has woken it since"
    ticks(guarded, 1)
    assert len(guarded.warnings) == 2


def test_a_late_rule_is_late_in_a_replay_too() -> None:
    """A recording may begin anywhere, and has to come to the same decisions."""
    guarded = Guarded(Behind())
    ticks(guarded, 3)
    again = Engine.restore(guarded.settings, guarded.engine.snapshot())
    for event in (guarded.venue.account(), guarded.venue.timer(), guarded.venue.account(), guarded.venue.timer()):
        assert again.receive(event) == guarded.engine.receive(event)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        5,
        (Gauge("x", 1.5, 2, Unit.NONE),),  # type: ignore[arg-type]  # the point of it
        (Gauge(5, 1, 2, Unit.NONE),),  # type: ignore[arg-type]  # the point of it
        (Gauge("\ud800", 1, 2, Unit.NONE),),
        ("gauge",),
    ],
)
def test_gauges_that_are_none_are_left_out(shown: Any) -> None:
    guarded = Guarded(Odd(shown=shown), MaxPositionRule(max_contracts=2))
    assert [gauge.label for gauge in guarded.gauges] == ["contracts in all"]


def test_a_state_that_cannot_be_written_costs_only_itself() -> None:
    guarded = Guarded(Odd(answer=(object(), ())), MaxPositionRule(max_contracts=2))
    again = Engine.restore(guarded.settings, guarded.engine.snapshot())
    assert [name for name, _ in again.gauges()] == ["max_contracts"]


def test_a_state_that_refuses_to_be_read_costs_only_itself() -> None:
    class Picky(Steps, frozen=True):
        def __post_init__(self) -> None:
            assert not self.count

    class Forgetful(Odd, frozen=True, kw_only=True):
        def initial_state(self) -> Steps:
            return Picky()

    guarded = Guarded(Forgetful(), MaxPositionRule(max_contracts=2))
    again = Engine.restore(guarded.settings, guarded.engine.snapshot())
    assert again.account.is_synced
    assert again._slots[0].state == Picky(0)


class Unable(Odd, frozen=True, kw_only=True):
    """Cannot begin: its remedy, its state or its deadline fails."""

    name: ClassVar[str] = "unable"
    fails_in: str = "remedy"

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand("close_all" if self.fails_in == "remedy" else "flatten"))

    def initial_state(self) -> Steps:
        return Steps(1 // 0 if self.fails_in == "state" else 0)

    def deadline_ns(self, state: Steps) -> Any:
        return 1 // 0 if self.fails_in == "deadline" else None


@pytest.mark.parametrize("fails_in", ["remedy", "state", "deadline"])
def test_a_rule_that_cannot_begin_leaves_all_rules_as_they_were(fails_in: str) -> None:
    """Half seated, a rule would be missing, and a lockout that waits for it given an end."""
    blocks = SymbolBlocksRule(blocked_symbols=["ES"])
    guarded = Guarded(MaxPositionRule(max_contracts=2), blocks)
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    assert [lockout.until_ns for lockout in guarded.lockouts] == [None]
    before = guarded.engine.rules
    with pytest.raises((ValueError, ZeroDivisionError)):
        guarded.engine.change_rules((Unable(fails_in=fails_in), blocks))
    assert guarded.engine.rules == before
    guarded.venue.wait(9 * 3600)
    guarded.feed(guarded.venue.snapshot())
    assert [lockout.until_ns for lockout in guarded.lockouts] == [None]
    guarded.feed(guarded.venue.buys(NQ, 3, 21_000))
    assert guarded.codes[-1] == "MAX_CONTRACTS"


class MoreSteps(msgspec.Struct, frozen=True):
    count: int = 0
    others: int = 7


class OtherSteps(msgspec.Struct, frozen=True):
    count: str = ""


@pytest.mark.parametrize(
    ("state", "then"), [(MoreSteps(), MoreSteps(1, 7)), (OtherSteps(), OtherSteps()), (None, None)]
)
def test_changed_code_goes_on_with_what_it_can_read_of_the_old_state(state: Any, then: Any) -> None:
    class Changed(Odd, frozen=True, kw_only=True):
        def initial_state(self) -> Any:
            return state

        def deadline_ns(self, state: Any) -> Any:
            return None

        def step(self, state: Any, event: Event, account: AccountView) -> Any:
            return state, ()

    guarded = Guarded(Odd())
    guarded.change_rules(Changed())
    assert guarded.engine._slots[0].state == then


def test_a_rule_that_fails_on_its_old_state_begins_afresh() -> None:
    guarded = Guarded(Odd())
    assert guarded.engine._slots[0].state == Steps(1)
    guarded.change_rules(Odd(due="soon", answer=(Steps(0), ())))
    assert guarded.engine._slots[0].state == Steps(0)
    assert guarded.engine.failures() == {"odd": 1}
