"""A guard that enforces lockouts and judges no rule, until it has lived long enough."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from structlog.testing import capture_logs

from risk_manager.domain.intent import IntentState
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import MaxContracts, Remedy
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.minimal import dormant
from risk_manager.runtime.recovery import recovered
from risk_manager.runtime.rules_in_force import RulesInForce
from risk_manager.testing.events import DAYS, ES
from tests.persistence.samples import decision, intent, lockout
from tests.runtime.guard_scene import LOCKING, POLL_S, GuardScene

WHY = "3 starts within a minute ended in a crash; only lockouts are enforced"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@asynccontextmanager
async def minimal(folder: Path, *lockouts: Lockout) -> AsyncIterator[GuardScene]:
    """A minimal guard of an account with these lockouts and an open intent; it has read the account."""
    scene = GuardScene()
    account_id = scene.story.account_id
    held = tuple(msgspec.structs.replace(each, account_id=account_id) for each in lockouts)
    opened = intent(account_id=account_id)
    scene.journal.committed = [decision(1, account_id=account_id, lockouts_set=held, intents=(opened,))]
    scene.journal.saved = [("2026-03-02", (), b"what the rules remembered")]
    settings = EngineSettings(account_id, DAYS, dormant(LOCKING))
    engine, coverage = await recovered(settings, scene.journal, from_snapshot=False)
    scene.guard = Guard(
        "practice",
        engine,
        settings,
        scene.venue,
        scene.journal,
        scene.clock,
        lambda: 0,
        poll_ns=POLL_S * 1_000_000_000,
        in_force=RulesInForce(folder, account_id, LOCKING, {}),
        coverage=coverage,
        minimal=WHY,
    )
    scene.guard.start()
    await scene.feed(scene.story.snapshot())
    try:
        yield scene
    finally:
        await scene.guard.stop()


def test_asks_nothing_of_a_rule_that_fails_at_it() -> None:
    class Unable(MaxContracts, frozen=True, kw_only=True):
        name: ClassVar[str] = "unable"

        @property
        def remedy(self) -> Remedy:
            raise ValueError("no such action")

    asleep = dormant((Unable(limit=5), *LOCKING))
    engine = Engine(EngineSettings("1001", DAYS, asleep))
    assert [rule.name for rule in engine.rules] == ["unable", *(rule.name for rule in LOCKING)]


async def test_judges_no_rule_and_says_so(tmp_path: Path) -> None:
    async with minimal(tmp_path) as scene:
        await scene.feed(scene.story.position(ES, 9, 5000), scene.story.snapshot())
        assert scene.sent() == []
        assert scene.guard.health.missing == (f"minimal guard: {WHY}",)
        assert scene.guard.state == "degraded"


async def test_enforces_lockouts_and_those_that_wait_for_a_rule_go_on_waiting(tmp_path: Path) -> None:
    async with minimal(tmp_path, lockout("max_contracts", until_ns=None)) as scene:
        await scene.feed(scene.story.position(ES, 1, 5000))
        assert "ClosePosition" in scene.sent()
        assert [(each.scope, each.until_ns) for each in scene.guard.engine.account.lockouts] == [(ACCOUNT, None)]


async def test_the_rules_come_back_after_ten_minutes(tmp_path: Path) -> None:
    async with minimal(tmp_path) as scene:
        await scene.feed(scene.story.position(ES, 9, 5000))
        await scene.clock.pass_time(599)
        assert scene.sent() == []
        await scene.clock.pass_time(2)
        assert scene.sent()[:1] == ["ClosePosition"]
        assert scene.faults() == []


async def test_leaves_what_the_rules_remembered_as_it_is_until_then(tmp_path: Path) -> None:
    async with minimal(tmp_path) as scene:
        await scene.clock.pass_time(590)
        assert [snapshot for _, _, snapshot in scene.journal.saved] == [b"what the rules remembered"]
        await scene.clock.pass_time(20)
        assert len(scene.journal.saved) > 1
    async with minimal(tmp_path) as scene:
        pass
    assert len(scene.journal.saved) == 1


async def test_forgets_no_enforcement_that_was_under_way(tmp_path: Path) -> None:
    """It is not worked on, as it may be what ends every start; in the journal it stays open."""
    async with minimal(tmp_path) as scene:
        assert scene.guard.engine.enforcer.open_intents == ()
        known = await scene.journal.recover(scene.story.account_id)
        assert [each.state for each in known.open_intents] == [IntentState.OPEN]
