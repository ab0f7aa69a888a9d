"""A guard that continues where the journal's last one stopped."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from risk_manager.domain.coverage import Cover, Gap
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import EngineSettings
from risk_manager.runtime.health import GuardState
from risk_manager.runtime.recovery import recovered
from risk_manager.testing.events import DAYS, ES
from tests.runtime.guard_scene import LOCKING, GuardScene


async def locked_out() -> GuardScene:
    """A scene whose guard has locked the account and stopped."""
    scene = GuardScene()
    await scene.start()
    await scene.feed(scene.story.position(ES, 4, 5000))
    await scene.guard.stop()
    assert [lockout.scope for lockout in scene.guard.engine.account.lockouts] == [ACCOUNT]
    return scene


async def test_keeps_lockouts_and_open_intents() -> None:
    scene = await locked_out()
    before = scene.guard.engine
    await scene.recover()
    after = scene.guard.engine
    assert after.account.lockouts == before.account.lockouts
    assert [intent.id for intent in after.enforcer.open_intents] == [
        intent.id for intent in before.enforcer.open_intents
    ]
    await scene.guard.stop()


@pytest.mark.parametrize("image", [b"", b"not a snapshot", b"\x81\xa8sequence\x01", b"\x81\xa1a" + b"\x91" * 100_000])
async def test_a_saved_state_it_cannot_read_costs_only_what_the_venue_will_tell(image: bytes) -> None:
    scene = await locked_out()
    scene.journal.saved.append(("2026-03-02", (), image))
    before = scene.guard.engine.account.lockouts
    await scene.recover()
    assert scene.guard.engine.account.lockouts == before
    await scene.guard.stop()


async def test_a_saved_state_that_contradicts_itself_costs_no_more() -> None:
    scene = await locked_out()
    trading_day, fills, saved = scene.journal.saved[-1]
    image = msgspec.msgpack.decode(saved)
    image["account"]["holding_ids"] = ["no such contract"]
    scene.journal.saved.append((trading_day, fills, msgspec.msgpack.encode(image)))
    before = scene.guard.engine
    await scene.recover()
    assert scene.guard.engine.account.lockouts == before.account.lockouts
    assert scene.guard.engine.sequence == before.sequence
    await scene.guard.stop()


def moved(account: dict[str, Any]) -> dict[str, Any]:
    """The state as another version may have written it: only the time of the last event is where it was."""
    return {"received_ns": account["received_ns"]}


def renamed(account: dict[str, Any]) -> dict[str, Any]:
    return {"last_event_ns": account["received_ns"]}


@pytest.mark.parametrize(
    ("saved_as", "from_snapshot", "is_told"),
    [(dict, True, True), (dict, False, True), (moved, True, True), (renamed, True, False)],
)
async def test_the_time_without_a_guard_is_missed_whether_its_saved_state_is_used_or_not(
    saved_as: Callable[[dict[str, Any]], dict[str, Any]], from_snapshot: bool, is_told: bool
) -> None:
    scene = await locked_out()
    trading_day, fills, saved = scene.journal.saved[-1]
    image = msgspec.msgpack.decode(saved)
    image["account"] = saved_as(image["account"])
    scene.journal.saved.append((trading_day, fills, msgspec.msgpack.encode(image)))
    causes = [decision.cause.received_ns for decision in scene.journal.committed if decision.cause is not None]
    alive_ns = scene.guard.engine.account.received_ns if is_told else causes[-1]
    settings = EngineSettings(scene.story.account_id, DAYS, LOCKING)
    with capture_logs():
        _, coverage = await recovered(settings, scene.journal, from_snapshot=from_snapshot)
    assert coverage.gaps[-1] == Gap(alive_ns, None, Cover.BLIND, "not running")


async def test_is_starting_until_this_process_has_read_the_account() -> None:
    scene = await locked_out()
    await scene.recover()
    states = [scene.guard.state]
    scene.guard.start()
    await scene.feed(scene.story.snapshot())
    states.append(scene.guard.state)
    assert states == [GuardState.STARTING, GuardState.LOCKED]
    await scene.guard.stop()
