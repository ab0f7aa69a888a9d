"""Whether a guard could start here and do its work: one check after the other, each with what to do about it.

Nothing is started, nothing is sent that does more than read. A check that needs an earlier one which failed is told as
skipped, with the reason: the first problem of a list is the one to solve.
"""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from risk_manager.config import ConfigInvalid, GuardConfig, load_config
from risk_manager.config.calendar import MarketFileInvalid, build_calendar, prepare
from risk_manager.domain.calendar import WARNING_NS
from risk_manager.domain.zone import DAY_S, SECOND_NS, date_of_day
from risk_manager.engine import Engine, EngineSettings
from risk_manager.persistence.inspection import JournalState, inspect_journal
from risk_manager.rules import RULE_ERRORS
from risk_manager.runtime.checks import Check, Verdict, ok, problem, skipped, warning
from risk_manager.runtime.clock import wall_ns
from risk_manager.runtime.doctor_venue import VENUE_CHECKS, examine_venue

PYTHON_MIN = (3, 12)
DIRECTORY = "data directory"
DISK_PROBLEM_BYTES = 100 << 20
DISK_WARNING_BYTES = 1 << 30


def free_bytes(directory: Path) -> int:
    """Room on the disk of a directory."""
    return shutil.disk_usage(directory).free


async def examine(
    directory: Path, environ: Mapping[str, str] = os.environ, *, free: Callable[[Path], int] = free_bytes
) -> AsyncIterator[Check]:
    """Every check of a configuration directory, as each is done; never raises for what it finds."""
    yield _python()
    config: GuardConfig | None = None
    try:
        config = load_config(directory, environ)
    except ConfigInvalid as invalid:
        for fault in invalid.faults:
            yield problem("configuration", str(fault), "correct it; `risk-manager rules show NAME` tells the options")
    except RULE_ERRORS as error:  # a rule of the trader's own may do anything when it is loaded
        yield problem("configuration", f"{type(error).__name__}: {error}", "correct the rule, or leave it out")
    if config is None:
        for name in ("rules", "calendar", DIRECTORY, "another guard", "journal", "local port", *VENUE_CHECKS):
            yield skipped(name, "a configuration without faults")
        return
    for check in (*_configuration(config, directory), *_rules(config)):
        yield check
    for check in _calendar(config, wall_ns()):
        yield check
    async for check in _local(config, free):
        yield check
    async for check in examine_venue(config):
        yield check


def _python() -> Check:
    found = f"Python {platform.python_version()}, risk-manager {version('risk-manager')}, {platform.system()}"
    if sys.version_info < PYTHON_MIN:
        return problem("program", found, f"install Python {'.'.join(map(str, PYTHON_MIN))} or newer")
    return ok("program", found)


def _configuration(config: GuardConfig, directory: Path) -> Iterator[Check]:
    labels = ", ".join(account.label for account in config.accounts)
    yield ok("configuration", f"no faults, revision {config.revision[:12]}, guards {labels}")
    for text in config.warnings:
        yield warning("configuration", text, "change it if it is not meant so")
    for file in dict.fromkeys((directory.resolve() / ".env", directory.resolve().parent / ".env")):
        if _is_open_to_others(file):
            yield warning("credentials file", f"{file} can be read by other users", f"chmod 600 {file}")


def _rules(config: GuardConfig) -> Iterator[Check]:
    """Build what a start builds: an engine for each account."""
    calendar = build_calendar()
    for account in config.accounts:
        name = f"rules of {account.label}"
        try:
            prepare(calendar, account.rules)
            Engine(EngineSettings("0", config.trading_days, account.rules, account.mode, calendar=calendar))
        except RULE_ERRORS as error:  # a rule of the trader's own may do anything
            yield problem(name, f"{type(error).__name__}: {error}", "correct the rule, or leave it out")
            continue
        if account.rules:
            yield ok(name, f"{len(account.rules)} in mode {account.mode}: {', '.join(r.name for r in account.rules)}")
        else:
            yield warning(name, "none is enabled, nothing is guarded", "enable one in risk_config.yaml")


def _calendar(config: GuardConfig, now_ns: int) -> Iterator[Check]:
    """How long the exchange's days are known for the products of the configuration."""
    calendar = build_calendar()
    for root in config.venue.instruments:
        name = f"calendar of {root}"
        try:
            market = calendar.market(root)
        except MarketFileInvalid as error:
            yield problem(name, str(error), "install risk-manager again")
            continue
        if market is None:
            yield warning(name, "no sessions known", "schedules of the exchange do not work for it; check the root")
            continue
        last = date_of_day(market.zone.wall_ns(market.known_until_ns - 1) // (DAY_S * SECOND_NS))
        if not market.is_known(now_ns):
            yield problem(name, f"ends on {last}, which is past", "install a newer risk-manager; check this clock")
        elif now_ns >= market.known_until_ns - WARNING_NS:
            yield warning(name, f"today is covered, but it ends on {last}", "install a newer risk-manager before that")
        else:
            yield ok(name, f"covers today and all days until {last}")


async def _local(config: GuardConfig, free: Callable[[Path], int]) -> AsyncIterator[Check]:
    """The machine's own side: directory, journal, who else runs, the port."""
    directory = config.data_dir
    checks = await asyncio.to_thread(lambda: list(directory_checks(directory, free)))
    for check in checks:
        yield check
    state = JournalState()
    if any(check.verdict is Verdict.PROBLEM and check.name == DIRECTORY for check in checks):
        for name in ("another guard", "journal"):
            yield skipped(name, "a data directory that can be used")
        yield await _port(config, runs_here=False)
        return
    try:
        if directory.exists():
            state = await asyncio.to_thread(inspect_journal, directory)
    except OSError as error:
        yield problem("another guard", f"cannot be told: {error.strerror}", f"let this user write to {directory}")
        yield skipped("journal", "to know whether a guard runs")
    else:
        for check in _journal(state, directory):
            yield check
    yield await _port(config, runs_here=state.holder is not None)


def _journal(state: JournalState, directory: Path) -> Iterator[Check]:
    if state.holder is not None:
        yield ok("another guard", f"{state.holder}; a second one would be refused")
        yield skipped("journal", "a directory without a running guard, which holds it")
        return
    yield ok("another guard", "none runs on this data directory")
    if state.fault is not None:
        advice = "restore a copy, or move the file away: lockouts in it are then forgotten"
        yield problem("journal", f"{directory}: {state.fault}", advice)
    elif state.exists:
        older = ", brought up to date at the next start" if state.is_older else ""
        yield ok("journal", f"opens and is whole, {state.decisions:,} decisions{older}")
    else:
        yield ok("journal", "none yet, the first start makes it")


def directory_checks(directory: Path, free: Callable[[Path], int] = free_bytes) -> Iterator[Check]:
    """Whether the guard can keep its files there: written to, room, who else may read it."""
    name = DIRECTORY
    existing = next(path for path in (directory, *directory.parents) if os.path.exists(path))
    if not existing.is_dir():
        yield problem(name, f"{existing} is a file", "name another data_dir in accounts.yaml")
        return
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        advice = "make room on the disk, or let this user write there (chown, a writable mount)"
        yield problem(name, f"{existing} cannot be written: {error.strerror}", advice)
    else:
        if existing == directory:
            yield ok(name, f"{directory}, written to and synced")
        else:
            yield ok(name, f"{directory} is made at the first start")
    if existing == directory and _is_open_to_others(directory):
        yield warning(name, "other users can read it", f"chmod 700 {directory}")
    yield _space(existing, free)


def _space(directory: Path, free: Callable[[Path], int]) -> Check:
    try:
        room = free(directory)
    except OSError as error:
        return warning("disk space", f"cannot be told: {error.strerror}", "look with df")
    found = f"{room / (1 << 30):,.1f} GiB free"
    if room < DISK_PROBLEM_BYTES:
        return problem("disk space", found, "make room: a full disk costs the record of decisions")
    if room < DISK_WARNING_BYTES:
        return warning("disk space", found, "make room before it is full")
    return ok("disk space", found)


async def _port(config: GuardConfig, *, runs_here: bool) -> Check:
    name = "local port"
    if config.api_port is None:
        return ok(name, "none is configured")
    try:
        server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", config.api_port)
    except OSError as error:
        if runs_here:
            return ok(name, f"{config.api_port} is taken, as by the guard that runs")
        advice = "end the program that listens there, or name another api.port in accounts.yaml"
        return problem(name, f"{config.api_port} cannot be listened on: {error.strerror}", advice)
    server.close()
    await server.wait_closed()
    return ok(name, f"127.0.0.1:{config.api_port} is free")


def _is_open_to_others(path: Path) -> bool:
    """Whether users besides the owner may do anything with it; never on Windows, which keeps no such bits."""
    try:
        return os.name == "posix" and bool(path.stat().st_mode & 0o077)
    except OSError:
        return False
