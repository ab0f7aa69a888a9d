"""A journal forgets what is more than 400 days older than its newest decision, and nothing else."""

from pathlib import Path

import msgspec
import pytest

from risk_manager.domain.intent import IntentState
from risk_manager.domain.lockout import Lockout
from risk_manager.persistence.anchor import anchor_of
from risk_manager.persistence.seals import load_key
from risk_manager.persistence.steps import all_steps
from risk_manager.persistence.store import Store
from risk_manager.persistence.verification import verify
from risk_manager.ports.journal import Record
from tests.persistence.samples import ACCOUNT_ID, chain_link, decision, fill, intent, lockout

TABLES = ("intents", "fills", "enforcements")


def days_of(store: Store) -> list[str]:
    rows = store.connect().execute("SELECT DISTINCT trading_day FROM decisions ORDER BY trading_day").fetchall()
    return [day for (day,) in rows]


def commit(store: Store, sequence: int, day: str) -> None:
    store.commit(msgspec.structs.replace(chain_link(sequence), trading_day=day))


@pytest.mark.parametrize(
    ("newest", "kept"),
    [
        ("2027-02-05", ["2026-01-01", "2026-01-02", "2027-02-05"]),  # 400 days after 2026-01-01
        ("2027-02-06", ["2026-01-02", "2027-02-06"]),
        ("2027-02-07", ["2027-02-07"]),
    ],
)
def test_keeps_400_days_and_says_that_the_rest_was_taken_away(tmp_path: Path, newest: str, kept: list[str]) -> None:
    store = Store(tmp_path, wait_ms=0)
    for sequence, day in enumerate(("2026-01-01", "2026-01-02", newest), start=1):
        commit(store, sequence, day)
    store.tidy()
    assert days_of(store) == kept
    store.commit(chain_link(4))
    store.finish()
    found = verify(tmp_path)
    assert found.is_sound, found
    assert found.decisions == len(kept) + 1


def test_takes_hundreds_away_little_by_little(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    for sequence in range(1, 451):
        commit(store, sequence, "2026-01-01")
    commit(store, 451, "2028-01-01")
    left = []
    for _ in range(4):
        store.tidy()
        left.append(store.connect().execute("SELECT count(*) FROM decisions").fetchone()[0])
    assert left == [251, 51, 1, 1]
    assert store.recover(ACCOUNT_ID).sequence == 451
    store.finish()
    assert verify(tmp_path).is_sound


def test_an_anchor_of_what_was_taken_away_is_no_longer_compared_and_a_later_one_is(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    commit(store, 1, "2026-01-01")
    key = load_key(tmp_path)
    early = anchor_of(key, store.seals.length, store.seals.last, "early")
    commit(store, 2, "2028-01-01")
    late = anchor_of(key, store.seals.length, store.seals.last, "late")
    store.tidy()
    store.finish()
    assert verify(tmp_path, anchors=[early, late]).is_sound
    assert not verify(tmp_path, anchors=[early, anchor_of(key, 2, bytes(32), "late")]).is_sound


def test_what_is_still_in_force_stays_however_old(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    opened, ended = intent("a"), intent("b", IntentState.VERIFIED)
    held: Lockout = lockout(until_ns=None)
    first = decision(1, lockouts_set=(held,), intents=(opened, ended))
    store.commit(msgspec.structs.replace(first, trading_day="2026-01-01"))
    store.save(ACCOUNT_ID, "2026-01-01", (fill("1"),), b"", ())
    store.commit(msgspec.structs.replace(decision(2), trading_day="2028-01-01"))
    store.tidy()
    found = store.recover(ACCOUNT_ID)
    assert held in found.lockouts
    assert found.open_intents == (opened,)
    assert store.connect().execute("SELECT count(*) FROM fills").fetchone() == (0,)
    assert store.connect().execute("SELECT id FROM intents").fetchall() == [("a",)]
    store.finish()
    assert verify(tmp_path).is_sound


@pytest.mark.parametrize(
    ("newest", "is_kept"),
    [("2026-03-02", True), ("2027-04-06", True), ("2027-04-07", False)],  # received on 2026-03-02, 400 days before
)
def test_what_came_before_the_venue_told_the_time_is_as_old_as_its_receipt(
    tmp_path: Path, newest: str, is_kept: bool
) -> None:
    """Its trading day is the first of the table, decades ago."""
    store = Store(tmp_path, wait_ms=0)
    untold = msgspec.structs.replace(intent("a"), trading_day="2007-01-01")
    ended = msgspec.structs.replace(untold, state=IntentState.VERIFIED)
    store.commit(msgspec.structs.replace(decision(1, intents=(untold,)), trading_day="2007-01-01"))
    store.commit(msgspec.structs.replace(decision(2, intents=(ended,)), trading_day="2007-01-01"))
    store.save(ACCOUNT_ID, "2007-01-01", (fill("1"),), b"", ())
    store.remember((Record("a", ACCOUNT_ID, "2007-01-01", b"{}"),))
    store.commit(msgspec.structs.replace(decision(3), trading_day=newest))
    store.tidy()
    left = [1, 2, 3] if is_kept else [3]
    assert [made.sequence for made in all_steps(store.decisions(ACCOUNT_ID, 0, 9))] == left
    kept = {table: store.connect().execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    assert kept == {"intents": is_kept, "fills": is_kept, "enforcements": is_kept}
    store.finish()
    assert verify(tmp_path).is_sound


def test_keeps_everything_where_days_are_no_dates(tmp_path: Path) -> None:
    store = Store(tmp_path, wait_ms=0)
    for sequence, day in enumerate(("", "day one", "9999-99-99"), start=1):
        commit(store, sequence, day)
    store.tidy()
    assert len(days_of(store)) == 3
    store.finish()
