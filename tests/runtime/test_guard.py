"""One guarded account at work, with a venue and a journal that do as they are told."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from risk_manager.domain.account import AccountView
from risk_manager.domain.actions import Action, ClosePosition, PlaceStop
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ConnectionChanged, Event, Link, Outcome, TimerFired
from risk_manager.domain.order import Side
from risk_manager.engine import Mode
from risk_manager.ports.journal import JournalConflict
from risk_manager.rules import MaxContracts, build_rules
from risk_manager.runtime import commits
from risk_manager.runtime import guard as guard_module
from risk_manager.runtime.enforcements import Timing
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.health import GuardState
from risk_manager.testing.events import ES, MES, SECOND_NS
from risk_manager.testing.ports import settled
from tests.runtime.guard_scene import LOCKING, POLL_S, GuardScene, guarded


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is logged is not looked at here."""
    with capture_logs():
        yield


class TestCommitBeforeAct:
    async def test_commits_every_decision_before_its_actions_are_sent(self) -> None:
        async with guarded() as scene:
            scene.journal.gate.clear()
            await scene.feed(scene.story.buys(MES, 4, 5800))
            assert scene.did == []

            scene.journal.gate.set()
            await settled()
            first, second = scene.did[:2]
            assert (first.split()[0], second) == ("commit", "ClosePosition")
            decision = scene.journal.committed[0]
            assert decision.lockouts_set
            assert [type(action) for action in decision.actions] == [ClosePosition]

    async def test_looks_at_no_further_event_while_a_decision_is_being_stored(self) -> None:
        async with guarded() as scene:
            scene.journal.gate.clear()
            await scene.feed(scene.story.buys(MES, 4, 5800))
            await scene.feed(scene.story.buys(ES, 1, 5800))
            assert set(scene.guard.engine.account.holdings) == {MES.id}
            assert not scene.guard.is_idle

            scene.journal.gate.set()
            await settled()
            assert set(scene.guard.engine.account.holdings) == {MES.id, ES.id}
            assert scene.guard.is_idle

    async def test_places_a_stop_only_for_what_is_held_when_all_that_has_arrived_is_dealt_with(self) -> None:
        rules = build_rules({"trade_management": {"auto_stop_loss": {"enabled": True, "ticks": 40}}})
        async with guarded(rules=rules) as scene:
            await scene.feed(scene.story.quote(MES, 5800))
            # A stalled connection tells at once what took seconds.
            await scene.feed(*scene.story.buys(MES, 2, 5800), *scene.story.sells(MES, 3, 5800))
            await scene.clock.pass_time(1)
            placed = [action for action in scene.venue.executed if isinstance(action, PlaceStop)]
            assert [(action.side, action.size) for action in placed] == [(Side.BUY, 1)]

    async def test_sends_nothing_when_it_only_observes(self) -> None:
        async with guarded(mode=Mode.OBSERVE) as scene:
            await scene.feed(scene.story.quote(MES, 5800), scene.story.buys(MES, 4, 5800))
            await scene.clock.pass_time(20)

            assert scene.journal.committed[0].findings
            assert scene.journal.committed[0].lockouts_set
            assert scene.sent() == []


class TestBrokenJournal:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(commits, "COMMIT_BUDGET_S", 0.01)
        monkeypatch.setattr(commits, "RECOMMIT_S", 0.01)

    async def test_acts_from_memory_when_the_disk_takes_too_long_and_catches_up_in_order(self) -> None:
        async with guarded() as scene:
            scene.journal.gate.clear()
            scene.deliver(scene.story.buys(MES, 4, 5800))
            await until(lambda: bool(scene.venue.executed))
            assert (scene.journal.committed, scene.faults()) == ([], ["journal"])
            assert scene.guard.state is GuardState.LOCKED

            await scene.feed(scene.story.closes(MES, 5800))
            await scene.clock.pass_time(5)
            assert scene.journal.committed == []
            scene.journal.gate.set()
            await until(lambda: not scene.faults())
            sequences = [decision.sequence for decision in scene.journal.committed]
            assert sequences == list(range(1, scene.guard.engine.sequence + 1))
            assert len(sequences) > 2

    async def test_waits_for_a_broken_disk_once_and_not_for_every_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with guarded() as scene:
            scene.journal.gate.clear()
            scene.deliver(scene.story.buys(MES, 4, 5800))
            await until(lambda: bool(scene.venue.executed))
            monkeypatch.setattr(commits, "COMMIT_BUDGET_S", 60.0)

            await scene.feed(scene.story.buys(ES, 1, 5800))
            assert [action.contract_id for action in scene.venue.executed if isinstance(action, ClosePosition)] == [
                MES.id,
                ES.id,
            ]
            scene.journal.gate.set()

    async def test_acts_at_once_when_the_disk_refuses(self) -> None:
        async with guarded() as scene:
            scene.journal.refusal = "the disk is full"
            await scene.feed(scene.story.buys(MES, 4, 5800))
            assert scene.sent() == ["ClosePosition"]
            assert scene.guard.health.missing == ("journal: the disk is full",)

            scene.journal.refusal = None
            await until(lambda: not scene.faults())
            assert [decision.sequence for decision in scene.journal.committed] == [1]

    async def test_saves_no_state_the_journal_cannot_follow(self) -> None:
        async with guarded() as scene:
            await scene.clock.pass_time(2)
            saved = len(scene.journal.saved)
            scene.journal.gate.clear()
            scene.deliver(scene.story.buys(MES, 4, 5800))
            await until(lambda: bool(scene.venue.executed))
            await scene.clock.pass_time(2)
            assert len(scene.journal.saved) == saved

            scene.journal.gate.set()
            await until(lambda: not scene.faults())
            await scene.clock.pass_time(2)
            assert len(scene.journal.saved) > saved


class TestFaultsOfOurs:
    async def test_goes_on_after_an_exception_of_the_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with guarded() as scene:
            receive = scene.guard.engine.receive
            monkeypatch.setattr(scene.guard.engine, "receive", failing)
            await scene.feed(scene.story.buys(ES, 1, 5800))
            assert scene.faults() == ["internal error"]

            monkeypatch.setattr(scene.guard.engine, "receive", receive)
            await scene.feed(scene.story.buys(MES, 4, 5800))
            assert scene.sent() == ["ClosePosition"]

    async def test_does_not_repeat_a_failing_deadline_without_pause(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with guarded() as scene:
            calls: list[Event] = []

            def fail(event: Event) -> Decision:
                calls.append(event)
                raise RuntimeError("a bug")

            await scene.feed(scene.story.buys(MES, 4, 5800))
            monkeypatch.setattr(scene.guard.engine, "receive", fail)
            monkeypatch.setattr(scene.guard.engine, "next_deadline_ns", lambda: 1)
            await scene.feed(scene.story.timer())
            await scene.clock.pass_time(10)
            timers = [event for event in calls if type(event).__name__ == "TimerFired"]
            assert 9 <= len(timers) <= 12

    async def test_does_not_repeat_the_failing_deadline_of_a_rule_without_pause(self) -> None:
        stepped: list[str] = []

        class Late(MaxContracts, frozen=True, kw_only=True):
            name: ClassVar[str] = "late"

            def deadline_ns(self, state: object) -> Any:
                return 1

            def step(self, state: Any, event: Event, account: AccountView) -> Any:
                stepped.append(type(event).__name__)
                raise ZeroDivisionError

        async with guarded(rules=(Late(limit=5),)) as scene:
            await scene.clock.pass_time(10)
            # A second after each, whatever it was: the polls in between count as well.
            assert 9 <= len(stepped) <= 14
            assert scene.guard.engine.failures() == {"late": len(stepped)}

    async def test_does_not_wake_without_pause_for_a_deadline_that_is_never_moved_on(self) -> None:
        woken: list[str] = []

        class Stuck(MaxContracts, frozen=True, kw_only=True):
            name: ClassVar[str] = "stuck"

            def deadline_ns(self, state: object) -> Any:
                return 1

            def step(self, state: Any, event: Event, account: AccountView) -> Any:
                woken.extend(["timer"] * isinstance(event, TimerFired))
                return state, ()

        async with guarded(rules=(Stuck(limit=5),)) as scene:
            await scene.clock.pass_time(10)
            assert 9 <= len(woken) <= 12
            assert scene.guard.engine.failures() == {"stuck": len(woken)}

    async def test_goes_on_when_a_rule_would_end_the_program(self) -> None:
        class Leaving(MaxContracts, frozen=True, kw_only=True):
            name: ClassVar[str] = "leaving"

            def step(self, state: Any, event: Event, account: AccountView) -> Any:
                raise SystemExit(3)

        async with guarded(rules=(Leaving(limit=5), *LOCKING)) as scene:
            await scene.feed(scene.story.buys(MES, 4, 5800))
            assert scene.sent() == ["ClosePosition"]
            assert list(scene.guard.engine.failures()) == ["leaving"]

    async def test_shields_the_guarding_from_its_listeners(self) -> None:
        heard: list[int] = []

        def failing_listener(guard: Guard, decision: Decision, timing: Timing) -> None:
            raise RuntimeError("a bug of who only looks")

        def listener(guard: Guard, decision: Decision, timing: Timing) -> None:
            heard.append(decision.sequence)

        async with guarded(listeners=(failing_listener, listener)) as scene:
            await scene.feed(scene.story.buys(MES, 4, 5800), scene.story.buys(ES, 1, 5800))
            assert scene.sent() == ["ClosePosition", "ClosePosition"]
            assert heard == [decision.sequence for decision in scene.journal.committed]
            assert scene.faults() == ["internal error"]

    async def test_takes_a_call_that_raises_for_one_with_an_unknown_outcome(self) -> None:
        async with guarded() as scene:

            def raise_once(action: Action) -> Outcome:
                scene.venue.answer = answer
                raise OSError("not what a venue does")

            answer, scene.venue.answer = scene.venue.answer, raise_once
            await scene.feed(scene.story.buys(MES, 4, 5800))
            assert scene.faults() == ["internal error"]
            await scene.clock.pass_time(1)
            assert scene.sent()[:2] == ["ClosePosition", "ClosePosition"]

    async def test_alarms_a_snapshot_that_raises_and_polls_on(self) -> None:
        async with guarded() as scene:
            scene.venue.failure = OSError("not what a venue does")
            await scene.clock.pass_time(POLL_S)
            assert scene.faults() == ["internal error"]
            before = len(scene.venue.snapshots)
            await scene.clock.pass_time(2 * POLL_S)
            assert len(scene.venue.snapshots) == before + 2


class TestInbox:
    async def test_coalesces_quotes_of_a_contract_and_nothing_else(self) -> None:
        async with guarded() as scene:
            scene.journal.gate.clear()
            await scene.feed(scene.story.buys(MES, 4, 5800))
            for price in (5801, 5802, 5803):
                scene.deliver(scene.story.quote(MES, price), scene.story.quote(ES, price))
            for price in (5801, 5802):
                scene.deliver(scene.story.order(ES, Side.BUY, 1, limit=price))
            assert scene.guard.coalesced_quotes == 4

            scene.journal.gate.set()
            await settled()
            account = scene.guard.engine.account
            assert [quote.bid_ticks for key in (MES.id, ES.id) if (quote := account.quote_of(key))] == [23_212, 23_212]
            assert len(account.orders) == 2


class TestTime:
    async def test_wakes_the_engine_at_its_deadlines_until_the_goal_is_proven(self) -> None:
        async with guarded() as scene:
            await scene.feed(scene.story.buys(MES, 4, 5800), scene.story.closes(MES, 5800))
            assert scene.guard.engine.enforcer.open_intents
            await scene.clock.pass_time(2)

            assert not scene.guard.engine.enforcer.open_intents
            assert [record.verified_flat for record in scene.guard.enforcements.records] == [True]

    async def test_repeats_a_close_that_shows_no_effect(self) -> None:
        async with guarded() as scene:
            await scene.feed(scene.story.buys(MES, 4, 5800))
            await scene.clock.pass_time(10)
            assert scene.sent().count("ClosePosition") >= 3

    async def test_polls_first_when_it_is_told_to_and_then_at_its_pace(self) -> None:
        async with guarded(first_poll_s=1) as scene:
            polls = []
            for _ in range(2 * POLL_S + 1):
                await scene.clock.pass_time(1)
                polls.append(len(scene.venue.snapshots))
            assert polls == [1, 1, 1, 2, 2, 2, 3]

    async def test_polls_at_its_instants_after_the_machine_has_slept(self) -> None:
        """Woken at once, several accounts would from then on wait for one another at every poll."""
        async with guarded(first_poll_s=1) as scene:
            await scene.clock.pass_time(1)
            scene.story.now_ns += 100 * POLL_S * SECOND_NS + 19 * SECOND_NS // 10
            polls = []
            for _ in range(2 * POLL_S):
                await scene.clock.pass_time(1)
                polls.append(len(scene.venue.snapshots))
            # Asleep until 302.9 s; 301 s would have been one of its instants, 304 s is the next.
            assert polls == [2, 3, 3, 3, 4, 4]

    async def test_reads_the_account_at_a_constant_rate_and_fully_while_the_user_hub_is_down(self) -> None:
        async with guarded() as scene:
            await scene.clock.pass_time(10 * POLL_S + 1)
            assert scene.venue.snapshots == [False, False, False, False, True] * 2

            account_id, now_ns = scene.story.account_id, scene.story.now_ns
            await scene.feed(ConnectionChanged(account_id, Link.USER_HUB, False, "closed", 0, now_ns))
            assert scene.guard.state is GuardState.DEGRADED
            await scene.clock.pass_time(3 * POLL_S)
            assert scene.venue.snapshots[10:] == [True] * 3

    async def test_reads_fully_with_the_first_poll_after_a_change_of_rules(self) -> None:
        async with guarded() as scene:
            await scene.clock.pass_time(2 * POLL_S + 1)
            scene.guard.change_rules((), "2")
            await scene.clock.pass_time(5 * POLL_S)
            assert scene.venue.snapshots == [False, False, True, False, False, False, False]

    async def test_reads_fully_as_often_as_there_is_room_for_while_the_user_hub_is_down(self) -> None:
        async with guarded(unheard_polls_per_full=4) as scene:
            account_id, now_ns = scene.story.account_id, scene.story.now_ns
            await scene.feed(ConnectionChanged(account_id, Link.USER_HUB, False, "closed", 0, now_ns))
            await scene.clock.pass_time(8 * POLL_S + 1)
            assert scene.venue.snapshots == [False, False, False, True] * 2


class TestStopping:
    async def test_saves_and_leaves_everything_in_force(self) -> None:
        async with guarded() as scene:
            await scene.feed(scene.story.buys(MES, 4, 5800))
            await scene.guard.stop()
            assert scene.did[-1] == "save"
            sent, committed = len(scene.venue.executed), len(scene.journal.committed)
            await scene.feed(scene.story.buys(ES, 4, 5800))
            await scene.clock.pass_time(30)

            assert (len(scene.venue.executed), len(scene.journal.committed)) == (sent, committed)
            assert scene.guard.state is GuardState.STOPPING

    async def test_continues_where_the_last_one_stopped(self) -> None:
        async with guarded() as scene:
            await scene.feed(scene.story.buys(MES, 4, 5800))
            await scene.guard.stop()
            before = scene.guard.engine
            scene.venue.executed.clear()
            await scene.start()

            after = scene.guard.engine
            assert after.account.lockouts == before.account.lockouts != ()
            assert [intent.id for intent in after.enforcer.open_intents] == [
                intent.id for intent in before.enforcer.open_intents
            ]
            assert after.sequence >= before.sequence
            await scene.clock.pass_time(3)
            assert "ClosePosition" in scene.sent()

    async def test_stores_what_a_broken_disk_had_refused_at_the_last_moment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commits, "RECOMMIT_S", 60.0)
        monkeypatch.setattr(guard_module, "STOP_S", 0.01)
        async with guarded() as scene:
            scene.journal.refusal = "the disk is full"
            await scene.feed(scene.story.buys(MES, 4, 5800))
            scene.journal.refusal = None
            await scene.guard.stop()

            assert scene.did[-2:] == ["commit 1", "save"]

    async def test_does_not_save_ahead_of_a_journal_that_stays_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guard_module, "STOP_S", 0.01)
        async with guarded() as scene:
            scene.journal.refusal = "the disk is full"
            await scene.feed(scene.story.buys(MES, 4, 5800))
            await scene.guard.stop()

            assert scene.journal.committed == []
            assert scene.journal.saved == []


async def test_starts_as_starting_and_is_armed_by_the_first_snapshot() -> None:
    scene = GuardScene()
    await scene.recover()
    scene.guard.start()
    states = [scene.guard.state]
    await scene.feed(scene.story.snapshot())
    states.append(scene.guard.state)
    await scene.guard.stop()
    assert states == [GuardState.STARTING, GuardState.ARMED]


def failing(event: Event) -> Decision:
    raise RuntimeError("a bug")


async def until(is_so: Callable[[], bool]) -> None:
    """Wait in real time, a moment at most: the journal's patience is counted by the event loop."""
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.005)


async def test_a_decision_the_journal_will_never_take_does_not_hold_up_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with guarded() as scene:
        commit = scene.journal.commit

        async def contradict(decision: Decision) -> None:
            monkeypatch.setattr(scene.journal, "commit", commit)
            raise JournalConflict("decision 1 is stored with other content")

        monkeypatch.setattr(scene.journal, "commit", contradict)
        await scene.feed(scene.story.buys(MES, 4, 5800))
        await scene.feed(scene.story.closes(MES, 5800))

        assert scene.journal.committed
        assert "journal conflict" in scene.faults()
