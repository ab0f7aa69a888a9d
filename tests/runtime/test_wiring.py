"""What the daemon is put together from."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from structlog.testing import capture_logs

from risk_manager.config import AccountConfig, Credentials, GuardConfig, Secret, VenueConfig
from risk_manager.engine import Mode
from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.recording import Segment, segments
from risk_manager.rules import MaxContracts
from risk_manager.runtime.wiring import build_daemon, first_polls_ns
from risk_manager.testing.events import DAYS
from risk_manager.testing.ports import settled

NOBODY = "http://127.0.0.1:9"


def configuration(data: Path) -> GuardConfig:
    venue = VenueConfig(NOBODY, f"{NOBODY}/user", f"{NOBODY}/market", (), Credentials("pat", Secret("key-of-pat")))
    account = AccountConfig("1001", None, None, Mode.ENFORCE, (MaxContracts(limit=3),))
    return GuardConfig(
        venue=venue,
        accounts=(account,),
        reset_time="17:00",
        timezone="America/Chicago",
        trading_days=DAYS,
        api_port=None,
        data_dir=data,
        warnings=(),
        revision="first",
    )


async def run(data: Path) -> None:
    """A run that begins, reaches nobody, and is stopped."""
    with capture_logs():
        daemon = await build_daemon(configuration(data))
        running = asyncio.create_task(daemon.run())
        await settled()
        daemon.stop()
        await running


async def test_a_recording_says_whether_there_was_a_journal(tmp_path: Path) -> None:
    await run(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        await run(tmp_path)
    await run(tmp_path)
    beginnings = [Segment(path).beginning() for _, path in segments(tmp_path)["1001"]]
    assert [each and each.circumstances.is_journaled for each in beginnings] == [True, False, True]


def test_polls_several_accounts_one_after_the_other() -> None:
    assert first_polls_ns(3_000_000_000, 1) == (3_000_000_000,)
    assert first_polls_ns(4_800_000_000, 2) == (2_400_000_000, 4_800_000_000)
    assert first_polls_ns(7_200_000_000, 3) == (2_400_000_000, 4_800_000_000, 7_200_000_000)
