"""What is in force after a start: the join of journal and latch."""

import asyncio
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from risk_manager.domain.decision import Decision
from risk_manager.domain.lockout import Held, Lockout, LockoutKind, LockoutRelease, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.engine import Engine, EngineSettings
from risk_manager.ports.journal import Recovered
from risk_manager.ports.latch import Latched, LatchUnavailable
from risk_manager.runtime import recovery
from risk_manager.runtime.recovery import recovered, united
from risk_manager.testing.events import DAYS, ES
from risk_manager.testing.ports import MemoryJournal
from tests.persistence.samples import ACCOUNT_ID, NOW_NS, decision, lockout, release
from tests.runtime.guard_scene import LOCKING, GuardScene

SETTINGS = EngineSettings(ACCOUNT_ID, DAYS, LOCKING)
LOSS, BLOCK = lockout("loss"), lockout("block", scope=Scope(root="MNQ"), until_ns=None)
LONG, SHORT = lockout("loss", until_ns=NOW_NS + 9), lockout("loss", until_ns=NOW_NS + 2)
PAUSE = lockout("loss", on_lock=OnLock.BLOCK_NEW)
UNTOLD = msgspec.structs.replace(LOSS, set_ns=0, until_ns=0)


class MemoryLatch:
    """Implements `ports.latch.Latch` in memory; `refusal` is what every write fails with while it is set."""

    second: "MemoryLatch | None" = None

    def __init__(self, latched: Latched | None = None) -> None:
        self.latched = latched
        self.refusal: str | None = None
        self.is_known = latched is not None

    async def read(self, account_id: str) -> Latched | None:
        return self.latched

    async def write(self, account_id: str, latched: Latched) -> int:
        if self.refusal is not None:
            raise LatchUnavailable(self.refusal)
        self.latched = latched
        return 0

    def has_trace(self, account_id: str) -> bool:
        return self.is_known


class HangingLatch(MemoryLatch):
    """Never answers."""

    async def read(self, account_id: str) -> Latched | None:
        await asyncio.Event().wait()
        return None

    async def write(self, account_id: str, latched: Latched) -> int:
        await asyncio.Event().wait()
        return 0


class FoldingJournal(MemoryJournal):
    """What a decision sets stays, though it releases a lockout of the same key: the older one."""

    async def recover(self, account_id: str) -> Recovered:
        known = await super().recover(account_id)
        lockouts: dict[object, Lockout] = {}
        for made in self.committed:
            for ended in made.lockouts_released:
                lockouts.pop((ended.scope, ended.rule), None)
            lockouts |= {(new.scope, new.rule): new for new in made.lockouts_set}
        return msgspec.structs.replace(known, lockouts=tuple(lockouts.values()))


def journal_of(*decisions: Decision) -> MemoryJournal:
    journal = FoldingJournal()
    journal.committed = list(decisions)
    return journal


def sets(sequence: int, *lockouts: Lockout) -> Decision:
    return decision(sequence, lockouts_set=lockouts)


def frees(sequence: int, *releases: LockoutRelease) -> Decision:
    return decision(sequence, lockouts_released=releases)


async def start(journal: MemoryJournal, latch: MemoryLatch, lost: str | None = None) -> Engine:
    with capture_logs():
        engine, _ = await recovered(SETTINGS, journal, latch, lost=lost, now_ns=NOW_NS)
    return engine


@pytest.mark.parametrize(
    ("journal", "latched", "in_force", "sequence"),
    [
        # both whole: the journal has the last word on what the latch does not show yet
        ((sets(1, LOSS),), Latched(1, (LOSS,)), [LOSS], 1),
        ((sets(1, LOSS), frees(2, release("loss"))), Latched(2, ()), [], 2),
        ((sets(1, LOSS), frees(2, release("loss"))), Latched(1, (LOSS,)), [], 2),
        ((sets(1, LONG), frees(2, release("loss")), sets(3, SHORT)), Latched(1, (LONG,)), [SHORT], 3),
        ((sets(1, LOSS), decision(2), sets(3, BLOCK)), Latched(1, (LOSS,)), [LOSS, BLOCK], 3),
        # released, then set again before the latch was written: it stays
        ((sets(1, LONG), frees(2, release("loss")), sets(3, LOSS)), Latched(3, (LOSS,)), [LOSS], 3),
        # only the lockout named is released
        ((frees(2, release("other")),), Latched(1, (LOSS,)), [LOSS], 3),
        ((frees(2, release("loss", scope=Scope(root="MNQ"))),), Latched(1, (LOSS,)), [LOSS], 3),
        # the journal is behind, was rolled back, or begins anew: the latch is joined to what it has
        ((sets(1, SHORT),), Latched(2, (LONG,)), [LONG], 3),
        ((sets(1, BLOCK),), Latched(2, (LOSS, BLOCK)), [BLOCK, LOSS], 3),
        ((sets(1, BLOCK),), Latched(2, (LOSS,)), [BLOCK, LOSS], 3),
        ((sets(1, PAUSE),), Latched(2, (LOSS,)), [LOSS], 3),
        ((), Latched(40, (LOSS, BLOCK)), [LOSS, BLOCK], 41),
        ((), Latched(40, ()), [], 40),
        # a lockout the journal has never heard of, though it is ahead
        ((decision(5),), Latched(4, (LOSS,)), [LOSS], 6),
        # the latch is behind, or lost
        ((sets(1, SHORT), sets(2, LONG)), Latched(1, (SHORT,)), [LONG], 2),
        ((sets(1, LOSS),), Latched(0, ()), [LOSS], 1),
        ((sets(1, LOSS),), None, [LOSS], 1),
        # an end counted from when the venue first tells the time gives way to the instant it became
        ((sets(1, UNTOLD),), Latched(2, (LOSS,)), [LOSS], 3),
        ((sets(1, LOSS),), Latched(1, (UNTOLD,)), [LOSS], 1),
        # a first start
        ((), None, [], 0),
    ],
)
async def test_joins_what_journal_and_latch_remember(
    journal: tuple[Decision, ...], latched: Latched | None, in_force: list[Lockout], sequence: int
) -> None:
    memory, latch = journal_of(*journal), MemoryLatch(latched)
    engine = await start(memory, latch)
    assert (list(engine.account.lockouts), engine.sequence) == (in_force, sequence)
    # Both know of it, so that losing one of them after this start costs nothing either.
    assert latch.latched == Latched(sequence, tuple(in_force))
    assert list((await memory.recover(ACCOUNT_ID)).lockouts) == in_force
    assert [each.sequence for each in memory.committed] == sorted({each.sequence for each in memory.committed})


async def test_writes_down_what_had_to_be_restored_and_why() -> None:
    memory = journal_of()
    await start(memory, MemoryLatch(Latched(7, (LOSS,))), lost="the journal was gone")
    (record,) = memory.committed
    assert (record.sequence, record.lockouts_set, record.trading_day) == (8, (LOSS,), LOSS.trading_day)
    assert "the journal was gone" in str(record.cause)


async def test_does_without_a_memory_that_refuses() -> None:
    memory, latch = journal_of(sets(1, LOSS)), MemoryLatch(Latched(2, (LOSS, BLOCK)))
    memory.refusal = latch.refusal = "the disk is full"
    engine = await start(memory, latch)
    assert (engine.account.lockouts, engine.sequence) == ((LOSS, BLOCK), 2)


class TestTwoPlaces:
    """The latch may be kept in a second place; both are read, and the stricter wins."""

    @pytest.mark.parametrize(
        ("journal", "first", "second", "in_force", "sequence"),
        [
            ((sets(1, LOSS),), Latched(1, (LOSS,)), Latched(1, (LOSS,)), [LOSS], 1),
            # the first place is lost, alone or with the journal
            ((sets(1, LOSS),), None, Latched(1, (LOSS,)), [LOSS], 1),
            ((), None, Latched(40, (LOSS, BLOCK)), [LOSS, BLOCK], 41),
            ((), None, Latched(40, ()), [], 40),
            # the second is
            ((), Latched(40, (LOSS,)), None, [LOSS], 41),
            # they differ: what either holds is in force, in its stricter form
            ((), Latched(40, (LOSS,)), Latched(38, (BLOCK,)), [LOSS, BLOCK], 41),
            ((), Latched(38, (SHORT,)), Latched(40, (LONG,)), [LONG], 41),
            ((), Latched(40, (SHORT,)), Latched(38, (LONG,)), [LONG], 41),
            ((), Latched(40, ()), Latched(38, (LOSS,)), [LOSS], 41),
            # one that is behind does not bring back what the journal knows to be released
            ((sets(1, LOSS), frees(2, release("loss"))), Latched(2, ()), Latched(1, (LOSS,)), [], 2),
            ((sets(1, LOSS), frees(2, release("loss"))), Latched(1, (LOSS,)), Latched(2, ()), [], 2),
        ],
    )
    async def test_joins_what_both_remember(
        self,
        journal: tuple[Decision, ...],
        first: Latched | None,
        second: Latched | None,
        in_force: list[Lockout],
        sequence: int,
    ) -> None:
        latch = MemoryLatch(first)
        latch.second = MemoryLatch(second)
        engine = await start(journal_of(*journal), latch)
        assert (list(engine.account.lockouts), engine.sequence) == (in_force, sequence)
        assert latch.latched == latch.second.latched == Latched(sequence, tuple(in_force))

    @pytest.mark.parametrize(("traced", "is_locked"), [("neither", False), ("first", True), ("second", True)])
    async def test_who_can_read_neither_is_locked(self, traced: str, is_locked: bool) -> None:
        latch, second = MemoryLatch(), MemoryLatch()
        latch.second = second
        latch.is_known, second.is_known = traced == "first", traced == "second"
        engine = await start(journal_of(), latch)
        assert [each.rule for each in engine.account.lockouts] == (["amnesia"] if is_locked else [])

    async def test_one_that_cannot_be_read_is_told_of_and_does_not_matter(self) -> None:
        latch = MemoryLatch()
        latch.is_known, latch.second = True, MemoryLatch(Latched(7, (LOSS,)))
        with capture_logs() as told:
            engine, _ = await recovered(SETTINGS, journal_of(sets(1, BLOCK)), latch, now_ns=NOW_NS)
        assert engine.account.lockouts == (BLOCK, LOSS)
        assert [(each["event"], each["log_level"]) for each in told][:1] == [("latch not read", "critical")]

    async def test_an_old_second_one_does_not_free_who_has_lost_journal_and_first(self) -> None:
        latch = MemoryLatch()
        latch.is_known, latch.second = True, MemoryLatch(Latched(7, (LOSS,)))
        engine = await start(journal_of(), latch)
        assert [each.rule for each in engine.account.lockouts] == [LOSS.rule, "amnesia"]

    async def test_one_that_hangs_does_not_keep_the_guard_from_starting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "SECOND_PLACE_S", 0.01)
        latch = MemoryLatch(Latched(7, (LOSS,)))
        latch.second = HangingLatch()
        with capture_logs() as told:
            engine, _ = await recovered(SETTINGS, journal_of(), latch, now_ns=NOW_NS)
        assert engine.account.lockouts == (LOSS,)
        assert latch.latched == Latched(8, (LOSS,))
        reasons = [(each["event"], each["error"]) for each in told if "error" in each]
        assert reasons == [("latch not read", "no answer in time"), ("latch not written", "no answer in time")]


class TestAmnesia:
    """Who has run before and remembers nothing is locked until the next trading day."""

    @pytest.mark.parametrize(
        ("journal", "latched", "has_trace", "lost", "is_locked"),
        [
            ((), None, False, None, False),  # a first start, or an account added to the configuration
            ((), None, False, "the journal was gone", True),
            ((), None, True, None, True),  # a latch that cannot be read, a journal that does not know the account
            ((), None, True, "the journal was damaged", True),
            ((), Latched(3, ()), True, "the journal was damaged", False),
            ((decision(1),), None, True, None, False),
            ((decision(1),), None, False, "the journal was gone", False),
        ],
    )
    async def test_locks_where_nothing_is_remembered(
        self, journal: tuple[Decision, ...], latched: Latched | None, has_trace: bool, lost: str | None, is_locked: bool
    ) -> None:
        latch = MemoryLatch(latched)
        latch.is_known = has_trace
        engine = await start(journal_of(*journal), latch, lost)
        held = engine.account.lockouts
        assert [(each.scope, each.rule, each.kind, each.on_lock) for each in held] == (
            [(ACCOUNT, "amnesia", LockoutKind.HARD, OnLock.FLATTEN)] if is_locked else []
        )
        assert all(each.reason.startswith("AMNESIA") for each in held)

    async def test_ends_with_the_trading_day_it_was_noticed_in(self) -> None:
        scene, latch = GuardScene(), MemoryLatch()
        settings = EngineSettings(scene.story.account_id, DAYS, LOCKING)
        with capture_logs():
            engine, _ = await recovered(settings, MemoryJournal(), latch, lost="gone")
        locked = engine.receive(scene.story.position(ES, 1, 5000))
        assert [type(action).__name__ for action in locked.actions] == ["ClosePosition", "TakeSnapshot"]
        assert [each.until_ns for each in locked.lockouts_set] == [engine.account.day.end_ns]
        later = msgspec.structs.replace(scene.story.snapshot(), at_ns=engine.account.day.end_ns)
        ended = engine.receive(later)
        assert [(each.rule, each.reason) for each in ended.lockouts_released] == [("amnesia", "expired")]


# -- what always holds ---------------------------------------------------------------------------------------------

_HELD = st.builds(Held, st.sampled_from(["MNQ", "MES"]), st.sampled_from([-3, -1, 1, 2]))
_ALLOWED = st.none() | st.lists(_HELD, max_size=2, unique_by=lambda held: held.contract_id).map(tuple)


def _made(rule: str, scope: Scope, until_ns: int | None, on_lock: OnLock, allowed: object, is_told: bool) -> Lockout:
    made = lockout(rule, scope=scope, until_ns=until_ns, on_lock=on_lock)
    allowed = allowed if on_lock is OnLock.BLOCK_NEW else ()
    return msgspec.structs.replace(made, allowed=allowed, set_ns=NOW_NS if is_told else 0)


_LOCKOUTS = st.builds(
    _made,
    st.sampled_from(["loss", "block"]),
    st.sampled_from([ACCOUNT, Scope(root="MNQ")]),
    st.none() | st.integers(0, 3),
    st.sampled_from(OnLock),
    _ALLOWED,
    st.booleans(),
)
_MEMORIES = st.lists(_LOCKOUTS, max_size=4)


def _demands(lockouts: Iterable[Lockout]) -> set[object]:
    """What is enforced, whoever said it first and why."""
    told = {
        (each.scope, each.rule): (each.until_ns, each.until_ns is None or each.set_ns > 0, each.on_lock, each.allowed)
        for each in united(lockouts)
    }
    return {
        (key, until, is_told, on, frozenset(held or ()), held is None)
        for key, (until, is_told, on, held) in told.items()
    }


@given(_MEMORIES, _MEMORIES, _MEMORIES)
def test_the_join_does_not_depend_on_order_or_repetition(a: list[Lockout], b: list[Lockout], c: list[Lockout]) -> None:
    assert _demands(united(a, b)) == _demands(united(b, a))
    assert _demands(united(united(a, b), c)) == _demands(united(a, united(b, c)))
    assert _demands(united(a, a)) == _demands(united(a))


@given(_MEMORIES, _MEMORIES)
def test_the_join_is_never_weaker_than_either(a: list[Lockout], b: list[Lockout]) -> None:
    joined = {(each.scope, each.rule): each for each in united(a, b)}
    for each in (*a, *b):
        held = joined[each.scope, each.rule]
        assert held.until_ns is None or (each.until_ns is not None and (held.set_ns > 0 or each.set_ns == 0))
        if held.until_ns is not None and each.until_ns is not None and (held.set_ns > 0) == (each.set_ns > 0):
            assert held.until_ns >= each.until_ns
        assert held.on_lock is OnLock.FLATTEN or each.on_lock is OnLock.BLOCK_NEW
        if held.on_lock is OnLock.BLOCK_NEW and each.allowed is not None:
            sizes = {one.contract_id: one.net_contracts for one in each.allowed}
            assert held.allowed is not None
            assert all(
                one.net_contracts * sizes.get(one.contract_id, 0) >= one.net_contracts**2 for one in held.allowed
            )


_STEP = st.tuples(st.lists(_LOCKOUTS, max_size=2), st.lists(st.sampled_from(["loss", "block"]), max_size=1))


@given(st.lists(_STEP, max_size=6), st.integers(0, 6), st.integers(0, 6))
async def test_a_start_loses_no_lockout_and_brings_no_released_one_back(
    steps: list[tuple[list[Lockout], list[str]]], journal_at: int, latch_at: int
) -> None:
    """The journal has the first decisions, the latch the state after some: what both may hold is in force, no more."""
    states: list[dict[object, Lockout]] = [{}]
    decisions: list[Decision] = []
    for sequence, (new, ended) in enumerate(steps, start=1):
        state = dict(states[-1])
        for rule in ended:
            state.pop((ACCOUNT, rule), None)
        for each in united(new):
            held = state.get((each.scope, each.rule))
            state[each.scope, each.rule] = each if held is None else united([held], [each])[0]
        states.append(state)
        changed = tuple(state[each.scope, each.rule] for each in united(new))
        decisions.append(
            decision(sequence, lockouts_set=changed, lockouts_released=tuple(release(rule) for rule in ended))
        )
    journal_at, latch_at = min(journal_at, len(steps)), min(latch_at, len(steps))
    latched = Latched(latch_at, tuple(states[latch_at].values()))
    engine = await start(journal_of(*decisions[:journal_at]), MemoryLatch(latched))
    newest = states[max(journal_at, latch_at)]
    in_force: dict[object, Lockout] = {(each.scope, each.rule): each for each in engine.account.lockouts}
    for key, each in newest.items():
        assert _demands([in_force[key], each]) == _demands([in_force[key]])
    if journal_at >= latch_at:
        # Both are whole: what was released is released.
        assert set(in_force) == set(newest)
