"""Reading the configuration again: a good one is handed on, a faulty one changes nothing and is said."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from risk_manager.config import GuardConfig, load_config
from risk_manager.runtime import reload as reload_module
from risk_manager.runtime.reload import ConfigWatch
from tests.config.files import ENVIRONMENT, RISK, write


class Target:
    def __init__(self) -> None:
        self.configs: list[GuardConfig] = []
        self.faults: list[str | None] = []
        self.changed = asyncio.Event()

    def change_rules(self, config: GuardConfig) -> None:
        self.configs.append(config)
        self.changed.set()

    def configuration_fault(self, text: str | None) -> None:
        self.faults.append(text)
        self.changed.set()


def watch(directory: Path, target: Target) -> ConfigWatch:
    return ConfigWatch(directory, lambda path: load_config(path, ENVIRONMENT), target)


async def test_hands_on_what_is_written_now(tmp_path: Path) -> None:
    target = Target()
    await watch(write(tmp_path), target).reload()
    assert target.faults == [None]
    assert [len(config.accounts) for config in target.configs] == [2]


async def test_says_what_is_wrong_and_hands_nothing_on(tmp_path: Path) -> None:
    target = Target()
    write(tmp_path, risk=RISK.replace("limit: -500", "limit: 0"))
    with capture_logs() as said:
        await watch(tmp_path, target).reload()
    assert target.configs == []
    (fault,) = target.faults
    assert fault is not None
    assert fault.startswith("1 fault, the old one stays in force; risk_config.yaml, line ")
    assert [line["log_level"] for line in said] == ["critical"]


async def test_survives_a_loader_that_raises(tmp_path: Path) -> None:
    def loader(_: Path) -> GuardConfig:
        raise RecursionError("oops")

    target = Target()
    with capture_logs():
        await ConfigWatch(tmp_path, loader, target).reload()
    assert (target.configs, target.faults) == (
        [],
        ["cannot be read, the old one stays in force; RecursionError('oops')"],
    )


async def test_reads_the_files_before_it_watches_them(tmp_path: Path) -> None:
    """What the guards were built of may be an older one."""
    target = Target()
    running = asyncio.create_task(watch(write(tmp_path), target).run())
    async with asyncio.timeout(10):
        await target.changed.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert target.faults == [None]


async def test_notices_a_changed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload_module, "SETTLE_MS", 10)
    target = Target()
    running = asyncio.create_task(watch(write(tmp_path), target).run())
    try:
        async with asyncio.timeout(10):
            while len(target.configs) < 2:
                # The watcher needs a moment to begin, and says nothing about what was there before.
                (tmp_path / "risk_config.yaml").write_text(RISK, encoding="utf-8")
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_tries_again_when_the_directory_cannot_be_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload_module, "RETRY_S", 0.01)
    target = Target()
    with capture_logs() as said:
        running = asyncio.create_task(watch(tmp_path / "gone", target).run())
        async with asyncio.timeout(10):
            while len(target.faults) < 2:
                target.changed.clear()
                await target.changed.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert said[1]["event"] == "configuration directory not watched"
