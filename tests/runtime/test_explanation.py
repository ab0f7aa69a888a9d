"""An enforcement told from what the journal holds of it, with and without the record of its ending."""

from pathlib import Path

import msgspec
import pytest

from risk_manager.cli.explanation_text import explanation_lines
from risk_manager.domain.actions import ClosePosition
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ActionAccepted, ActionRejected, Refusal
from risk_manager.engine import Mode
from risk_manager.persistence.steps import all_steps
from risk_manager.persistence.store import Store
from risk_manager.rules import build_rules
from risk_manager.runtime.enforcements import EnforcementLog, Timing, record_of
from risk_manager.runtime.explanation import Explanation, explain
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded

OPEN_LOSS = {"daily_unrealized_loss": {"loss_limit": 200, "action": "flatten_and_lock"}}


class Scene(Guarded):
    """An account whose enforcements are logged as the guard does it."""

    def __init__(self, mode: Mode = Mode.ENFORCE) -> None:
        self.log = EnforcementLog()
        super().__init__(*build_rules(OPEN_LOSS), mode=mode)

    def step(self, *events: object) -> list[Decision]:
        said = []
        for event in events:
            for decision in self.feed(event):  # type: ignore[arg-type]
                self.log.take(decision, Timing(420_000, 610_000), self.engine.account)
                said.append(decision)
        return said

    def broken(self) -> ClosePosition:
        """Long one at 5000, and five points under it: $250 of the $200 allowed. What the guard asks for."""
        self.step(*self.venue.buys(ES, 1, 5000))
        (decision,) = self.step(self.venue.quote(ES, 4995))
        (action,) = decision.actions or (None,)
        assert isinstance(action, ClosePosition)
        return action

    def ended(self) -> None:
        """The venue refuses once, then closes at 4994, and two readings of the account prove it."""
        action = self.broken()
        now_ns = self.venue.now_ns
        refused = ActionRejected("1001", action.id, Refusal.OTHER, "Order rejected", 0, now_ns)
        self.log.answered(action, refused, 80_000_000)
        self.step(refused)
        self.venue.wait(1)
        again = next(a for d in self.step(self.venue.timer()) for a in d.actions if isinstance(a, ClosePosition))
        self.log.answered(again, ActionAccepted("1001", again.id, 0, now_ns), 90_000_000)
        self.step(ActionAccepted("1001", again.id, 0, self.venue.now_ns))
        self.step(*self.venue.closes(ES, 4994))
        for _ in range(8):
            self.venue.wait(1)
            self.step(self.venue.snapshot())

    @property
    def intent_id(self) -> str:
        return next(intent.id for decision in self.decisions for intent in decision.intents)

    def told(self, directory: Path, *, has_record: bool = True) -> Explanation:
        """The explanation as it comes out of a journal on the disk."""
        store = Store(directory, wait_ms=0)
        for decision in self.decisions:
            store.commit(decision)
        if has_record:
            store.remember(tuple(record_of(each) for each in self.log.unsaved))
        store.finish()
        store = Store(directory, wait_ms=0)
        story = all_steps(store.story(self.intent_id))
        store.close()
        assert story is not None
        return explain(story, self.intent_id)


def lines(found: Explanation) -> list[str]:
    """As the command prints it, from the JSON the API gives."""
    return list(explanation_lines(msgspec.json.decode(msgspec.json.encode(found))))


def test_tells_an_enforcement_from_its_breach_to_its_proof(tmp_path: Path) -> None:
    scene = Scene()
    scene.ended()
    found = scene.told(tmp_path)
    assert (found.state, found.cause, found.measured, found.limit) == ("verified", "quote_updated", -250.0, -200.0)
    assert (found.worst, found.overshoot, found.unit) == (-250.0, 100.0, "usd")
    assert [(call.kind, call.answer, call.took_ms) for call in found.calls] == [
        ("close_position", "Order rejected", 80.0),
        ("close_position", "accepted", 90.0),
    ]
    assert [(lock.scope, lock.until is not None) for lock in found.lockouts] == [("account", True)]
    text = "\n".join(lines(found))
    for said in (
        "daily_unrealized_loss was broken on ESH5.",
        "Measured -$250.00, the limit is -$200.00.",
        "It showed in a quote.",
        "ESH5: +1",
        "Locked out: the account, until ",
        "Decided 0.42 ms after the news came, on disk 0.61 ms later; only then was it sent.",
        "close EP.H25: Order rejected (80 ms)",
        "close EP.H25: accepted (90 ms)",
        "Proven after ",
        "$100.00 past the limit",
    ):
        assert said in text, text


def test_without_the_record_the_decisions_still_tell_it(tmp_path: Path) -> None:
    """As after a crash between the end of an enforcement and the next saving."""
    scene = Scene()
    scene.ended()
    found = scene.told(tmp_path, has_record=False)
    assert (found.state, found.measured, found.limit, found.worst) == ("verified", -250.0, -200.0, -250.0)
    assert [(call.kind, call.answer) for call in found.calls] == [("close_position", ""), ("close_position", "")]
    assert (found.decided_us, found.overshoot) == (None, None)
    assert "    close EP.H25: no answer recorded" in lines(found)
    assert lines(found)[-1] == "It got as far as -$250.00."


def test_tells_one_that_a_restart_interrupted_from_the_decisions(tmp_path: Path) -> None:
    """The run that ended it saw neither its breach nor what was asked of the venue."""
    scene = Scene()
    action = scene.broken()
    scene.restart()
    scene.log = EnforcementLog()
    scene.step(ActionAccepted("1001", action.id, 0, scene.venue.now_ns), *scene.venue.closes(ES, 4994))
    for _ in range(8):
        scene.venue.wait(1)
        scene.step(scene.venue.snapshot())
    found = scene.told(tmp_path)
    assert (found.state, found.actions, found.worst, found.overshoot) == ("verified", 1, -250.0, None)
    assert (found.decided_us, found.durable_us) == (None, None)
    assert [(call.kind, call.answer) for call in found.calls] == [("close_position", "")]
    assert [(lock.scope, lock.until is not None) for lock in found.lockouts] == [("account", True)]
    assert not any(line.startswith("Decided") for line in lines(found))
    assert scene.log.records == ()


@pytest.mark.parametrize("until_ns", [0, 1_800_000_000_000])
def test_tells_no_end_of_a_lockout_from_before_the_venue_told_the_time(tmp_path: Path, until_ns: int) -> None:
    scene = Scene()
    scene.broken()
    *before, opening = scene.decisions
    (locked,) = opening.lockouts_set
    untimed = msgspec.structs.replace(locked, set_ns=0, until_ns=until_ns)
    scene.decisions = [*before, msgspec.structs.replace(opening, lockouts_set=(untimed,))]
    found = scene.told(tmp_path)
    assert [(lock.scope, lock.until) for lock in found.lockouts] == [("account", None)]
    assert "Locked out: the account, until an end the venue's time has yet to tell." in lines(found)


def test_a_breach_from_before_the_venue_told_the_time_has_the_local_one(tmp_path: Path) -> None:
    scene = Scene()
    scene.broken()
    *before, opening = scene.decisions
    (intent,) = opening.intents
    untimed = msgspec.structs.replace(intent, at_ns=0, opened_ns=1_736_942_400_250_000_000)
    scene.decisions = [*before, msgspec.structs.replace(opening, intents=(untimed,))]
    assert scene.told(tmp_path).breach_time == "2025-01-15T12:00:00.250Z"


def test_tells_one_that_is_under_way(tmp_path: Path) -> None:
    scene = Scene()
    scene.broken()
    found = scene.told(tmp_path)
    assert (found.state, found.flat_ms, found.proven_ms, found.actions) == ("open", None, None, 1)
    assert lines(found)[-1] == "The account does not look as demanded yet."


def test_tells_what_would_have_been_done_where_the_guard_only_observes(tmp_path: Path) -> None:
    scene = Scene(Mode.OBSERVE)
    scene.step(*scene.venue.buys(ES, 1, 5000))
    scene.step(scene.venue.quote(ES, 4995))
    found = scene.told(tmp_path)
    assert (found.state, found.actions) == ("observed", 0)
    assert "only observes" in lines(found)[-1]


def test_tells_what_was_left_undone_when_the_account_was_only_observed_from_then_on(tmp_path: Path) -> None:
    scene = Scene()
    scene.broken()
    scene.settings = msgspec.structs.replace(scene.settings, mode=Mode.OBSERVE)
    scene.restart()
    scene.step(scene.venue.timer(1))
    found = scene.told(tmp_path)
    assert (found.state, found.actions, found.flat_ms, found.proven_ms) == ("dropped", 1, None, None)
    assert lines(found)[-1].startswith("It was left at that")


def test_knows_nothing_of_an_id_that_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    for unknown in ("", "1", "-", "1001-1-1", "a-b-c", "'; DROP TABLE decisions"):
        assert all_steps(store.story(unknown)) is None
    store.close()


def test_keeps_the_first_calls_of_a_long_fight() -> None:
    scene = Scene()
    action = scene.broken()
    (opening,) = [decision for decision in scene.decisions if decision.actions]
    for number in range(200):
        repeated = msgspec.structs.replace(action, id=f"again {number}")
        scene.log.take(
            msgspec.structs.replace(opening, intents=(), actions=(repeated,)), Timing(0, 0), scene.engine.account
        )
    (record,) = scene.log.records
    assert (record.actions, len(record.calls)) == (201, 100)


@pytest.mark.parametrize(("value", "shown"), [(9_999.0, "9,999 ms"), (10_000.0, "10.0 s"), (0.4, "0 ms")])
def test_writes_durations_as_people_do(tmp_path: Path, value: float, shown: str) -> None:
    scene = Scene()
    scene.ended()
    found = msgspec.structs.replace(scene.told(tmp_path), proven_ms=value)
    assert f"Proven after {shown}:" in "\n".join(lines(found))
