import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from risk_manager.domain.decision import Decision
from risk_manager.domain.finding import Breach, Unit
from risk_manager.domain.intent import Intent, IntentState
from risk_manager.domain.lockout import Lockout, LockoutRelease, OnLock
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.persistence.folding import scope_key
from risk_manager.persistence.steps import all_steps
from risk_manager.persistence.store import Store
from tests.persistence.samples import ACCOUNT_ID, chain_link, decision, intent, lockout, release, remembered

_RULES = st.sampled_from(["daily_realized_loss", "symbol_blocks"])
_SCOPES = st.sampled_from([ACCOUNT, Scope(root="MNQ"), Scope(contract_id="MNQ")])
_LOCKOUTS: st.SearchStrategy[Lockout] = st.builds(
    lambda rule, scope, until_ns, on_lock: lockout(rule, scope=scope, until_ns=until_ns, on_lock=on_lock),
    _RULES,
    _SCOPES,
    st.none() | st.integers(-3, 3),
    st.sampled_from(OnLock),
)
_RELEASES: st.SearchStrategy[LockoutRelease] = st.builds(
    lambda rule, scope: release(rule, scope=scope), _RULES, _SCOPES
)
_INTENTS: st.SearchStrategy[Intent] = st.builds(intent, st.sampled_from("abc"), st.sampled_from(IntentState))
_STEPS = st.tuples(st.lists(_LOCKOUTS, max_size=2), st.lists(_RELEASES, max_size=2), st.lists(_INTENTS, max_size=2))


def _check_recovers(store: Store, decisions: list[Decision]) -> None:
    recovered = store.recover(ACCOUNT_ID)
    lockouts, intents = remembered(decisions)
    assert set(recovered.lockouts) == lockouts
    assert list(recovered.open_intents) == intents
    assert recovered.sequence == len(decisions)


@settings(max_examples=25, deadline=None)
@given(st.lists(_STEPS, min_size=1, max_size=8), st.integers(0, 8))
def test_recovers_the_fold_of_what_was_committed(
    steps: list[tuple[list[Lockout], list[LockoutRelease], list[Intent]]], reopened_after: int
) -> None:
    decisions = [
        decision(sequence, lockouts_set=tuple(new), lockouts_released=tuple(ended), intents=tuple(changed))
        for sequence, (new, ended, changed) in enumerate(steps, start=1)
    ]
    with TemporaryDirectory() as directory:
        store = Store(Path(directory), wait_ms=0)
        for made in decisions:
            store.commit(made)
            if made.sequence == reopened_after:
                store.close()
        _check_recovers(store, decisions)
        for made in decisions:
            store.commit(made)
        _check_recovers(store, decisions)
        store.close()


def test_rolls_back_when_the_disk_is_full_and_goes_on_when_it_is_not(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    pages = store.connect().execute("PRAGMA page_count").fetchone()[0]
    store.connect().execute(f"PRAGMA max_page_count = {pages + 3}").fetchone()
    committed: list[Decision] = []
    with pytest.raises(sqlite3.OperationalError, match="full"):
        _commit_for_ever(store, committed)
    assert len(committed) > 3
    _check_recovers(store, committed)
    store.connect().execute("PRAGMA max_page_count = 1000000").fetchone()
    committed.append(chain_link(len(committed) + 1))
    store.commit(committed[-1])
    _check_recovers(store, committed)
    store.close()


def _commit_for_ever(store: Store, committed: list[Decision]) -> None:
    while True:
        link = chain_link(len(committed) + 1)
        store.commit(link)
        committed.append(link)


def test_keeps_its_log_small_in_idle_moments(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    for sequence in range(1, 400):
        store.commit(chain_link(sequence))
        store.tidy()
    assert (tmp_path / "journal.sqlite-wal").stat().st_size < 2_000_000
    assert (tmp_path / "journal.sqlite").stat().st_size > 200_000
    store.close()
    store.tidy()


def _odd(kept: msgspec.Struct, **values: object) -> Any:
    return msgspec.structs.replace(kept, **values)


_ODD_EVIDENCE = (("held", 1),)
_ODD_FINDING = Breach("mine", "TOO_MUCH", 1, 0, Unit.CONTRACTS, ACCOUNT, evidence=_ODD_EVIDENCE)  # type: ignore[arg-type]
_LOCKED = [("unreadable", ACCOUNT, OnLock.FLATTEN, 0, 0)]
"""An account-wide lockout whose end is that of the first trading day the venue tells."""


@pytest.mark.parametrize(
    ("changes", "kept", "locked"),
    [
        ({"findings": (_ODD_FINDING,)}, {"a", "b"}, []),
        ({"intents": (_odd(intent("a"), evidence=_ODD_EVIDENCE), intent("b"))}, {"b"}, []),
        ({"lockouts_released": (_odd(release(), at_ns="soon"),)}, {"a", "b"}, []),
        ({"lockouts_released": (_odd(release(), at_ns=1 << 63),)}, {"a", "b"}, []),
        ({"lockouts_set": (_odd(lockout("mine"), until_ns="soon"), lockout())}, {"a", "b"}, _LOCKED),
        ({"lockouts_set": (_odd(lockout("mine"), until_ns=1 << 63), lockout())}, {"a", "b"}, _LOCKED),
        ({"lockouts_set": (_odd(lockout("mine"), until_ns=(1 << 63) - 1), lockout())}, {"a", "b"}, None),
    ],
)
def test_a_part_that_cannot_be_read_costs_itself_alone_and_where_it_locked_more(
    tmp_path: Path, changes: dict[str, Any], kept: set[str], locked: list[tuple[Any, ...]] | None
) -> None:
    store = Store(tmp_path, wait_ms=0)
    before = decision(1, lockouts_set=(lockout(),))
    odd = _odd(decision(2, lockouts_set=(lockout(),), intents=(intent("a"), intent("b"))), **changes)
    for made in (before, odd, decision(1, account_id="9057", lockouts_set=(lockout("ours", account_id="9057"),))):
        store.commit(made)
    with capture_logs():
        store.tidy()
        recovered = store.recover(ACCOUNT_ID)
        found = all_steps(store.decisions(ACCOUNT_ID, 0, 9))
    assert {each.id for each in recovered.open_intents} == kept
    assert lockout() in recovered.lockouts
    others = [each for each in recovered.lockouts if each != lockout()]
    if locked is None:
        assert [each.rule for each in others] == ["mine"]
    else:
        assert [(each.rule, each.scope, each.on_lock, each.set_ns, each.until_ns) for each in others] == locked
    assert before in found
    assert recovered.sequence == 2
    assert [each.rule for each in store.recover("9057").lockouts] == ["ours"]
    store.close()


@pytest.mark.parametrize("body", ["'no JSON'", "'[]'", "'17'", "CAST(x'7bff7d' AS TEXT)"])
def test_a_decision_that_is_none_locks_its_account_and_no_other(tmp_path: Path, body: str) -> None:
    store = Store(tmp_path, wait_ms=0)
    store.commit(decision(1, lockouts_set=(lockout(),)))
    store.commit(decision(2, lockouts_released=(release(),)))
    store.commit(decision(1, account_id="9057"))
    store.commit(decision(3))
    store.connect().execute(f"UPDATE decisions SET body = {body} WHERE sequence = 2")
    with capture_logs() as logs:
        recovered = store.recover(ACCOUNT_ID)
        found = all_steps(store.decisions(ACCOUNT_ID, 0, 9))
    assert {each.rule for each in recovered.lockouts} == {lockout().rule, "unreadable"}
    assert recovered.sequence == 3
    assert [each.sequence for each in found] == [1, 3]
    assert store.recover("9057").lockouts == ()
    assert [(each["event"], each.get("sequence")) for each in logs] == [
        ("part of a decision not readable", 2),
        ("decision not readable", None),
    ]
    store.commit(decision(4, lockouts_released=(release("unreadable"),)))
    assert [each.rule for each in store.recover(ACCOUNT_ID).lockouts] == [lockout().rule]
    store.close()


def test_a_story_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    opened = intent("9056-1-1")
    store.commit(decision(1, intents=(opened,)))
    store.commit(_odd(decision(2, intents=(opened,)), findings=(_ODD_FINDING,)))
    with capture_logs():
        story = all_steps(store.story("9056-1-1"))
    assert story is not None
    assert [each.sequence for each in story.decisions] == [1]
    store.close()


def test_refuses_the_empty_decision(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        Store(tmp_path, wait_ms=0).commit(Decision(0, "", "", None))


def test_names_different_scopes_differently() -> None:
    assert scope_key(ACCOUNT) == "account"
    assert scope_key(Scope(root="MNQ")) == "root:MNQ"
    assert scope_key(Scope(contract_id="MNQ")) == "contract:MNQ"
