"""The one composition root: from a checked configuration to a daemon ready to run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from risk_manager.config import AccountConfig, GuardConfig
from risk_manager.config.calendar import build_calendar, prepare
from risk_manager.domain.account import Account
from risk_manager.domain.calendar import Calendar
from risk_manager.domain.decision import Decision
from risk_manager.enforcement.pacing import Pacing
from risk_manager.engine import EngineSettings
from risk_manager.persistence.recorder import FlightRecorder
from risk_manager.persistence.recording import Circumstances
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.ports.clock import Clock
from risk_manager.ports.journal import Journal, JournalUnavailable
from risk_manager.replay.fingerprints import of_calendar, of_code, of_days
from risk_manager.runtime.clock import SystemClock, stopwatch_ns
from risk_manager.runtime.commits import JOURNAL
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.earlier_calls import DECISIONS_MOST, asked_lately
from risk_manager.runtime.guard import POLLS_PER_FULL, DecisionListener, Guard
from risk_manager.runtime.memory import Memory
from risk_manager.runtime.minimal import dormant
from risk_manager.runtime.recovery import recovered
from risk_manager.runtime.rules_in_force import RulesInForce, days_under_way
from risk_manager.runtime.run_mark import draw_run_mark
from risk_manager.venues.projectx.errors import ProjectXError
from risk_manager.venues.projectx.transport import NetworkTransport
from risk_manager.venues.projectx.venue import ProjectXVenue

POLL_S = 3.0
"""Pause between two snapshots of an account, where there are few of them."""

POLL_CALLS_PER_MINUTE = 80
"""What polling may take of the venue's 200 calls while the user hub is up.

A poll is two calls, and one in five two more for the account record and the fills: 2.4, so that n accounts need 1.8 n
seconds, and one of them is looked at every 1.8 s. A look has a place of its own every 2.6 s, so every other one takes
two of the 60 calls that reads share: 35 in the 63 s a call counts. The records take 10 to 14 besides what they have
places for, all accounts one after the other. Six or more are always left for what else is to be read; at 100 calls none
would be.
"""

CALLS_PER_POLL = 2 + 2 / POLLS_PER_FULL

UNHEARD_POLLS_PER_FULL = 4
"""Of several accounts. Were every poll full, what is too much would be shed, of the same account for up to minutes."""


class AccountNotFound(Exception):
    """Which account is meant cannot be told from the user's active accounts; the message names them."""


class AccountRepeated(Exception):
    """Two accounts of the configuration are one at the venue; the message says what both are called."""


_NO_CRASH = (AccountNotFound, AccountRepeated, JournalUnavailable, ProjectXError)
"""What keeps a guard from starting and is not its own fault."""


async def build_daemon(
    config: GuardConfig,
    *,
    clock: Clock | None = None,
    run_mark: str | None = None,
    pacing: Pacing | None = None,
    poll_s: float = POLL_S,
    clock_lead_max_s: float | None = None,
    listeners: tuple[DecisionListener, ...] = (),
    on_listening: Callable[[int], None] | None = None,
    directory: Path | None = None,
    on_journal_back: Callable[[], None] | None = None,
) -> Daemon:
    """A daemon for a configuration: the journal is open and recovered, the accounts are resolved.

    Args:
        clock: the system's where None.
        run_mark: what tells this run's orders from another's (`ProjectXVenue`); drawn where None.
        poll_s: by `clock`; stretched for many accounts so that polling stays within its share of the call budget.
        directory: the configuration's, watched for changes; None watches nothing.
        on_journal_back: see `Daemon`.
        clock_lead_max_s: how far venue stamps may run ahead of its HTTP Date; None takes the venue adapter's own.

    Raises:
        JournalUnavailable: another daemon runs on the data directory, or the disk refuses.
        ProjectXError: the venue could not be asked for the accounts named by name.
        AccountNotFound: an account name the venue does not list.
        AccountRepeated: an account is named by its id and by its name.
    """
    clock = clock or SystemClock()
    config = config.carrying(days_under_way(config.data_dir))
    settings = config.venue_settings()
    if clock_lead_max_s is not None:
        settings = replace(settings, clock_lead_max_s=clock_lead_max_s)
    calendar = build_calendar()
    prepare(calendar, [rule for account in config.accounts for rule in account.rules])
    venue = ProjectXVenue(settings, NetworkTransport(), clock, run_mark=run_mark or draw_run_mark())
    memory = await Memory.open(
        config.data_dir, clock.now_ns(), latch_dir=config.latch_dir, counts_starts=directory is not None
    )
    recorder = FlightRecorder(config.data_dir, clock, config.recorder)
    try:
        guards = await _guards(
            config,
            calendar,
            venue,
            memory,
            recorder,
            clock,
            pacing=pacing or Pacing(),
            poll_s=poll_s,
            listeners=listeners,
        )
    except BaseException as error:
        await recorder.close()
        await venue.close()
        await memory.give_up(is_crash=isinstance(error, Exception) and not isinstance(error, _NO_CRASH))
        raise
    return Daemon(
        venue,
        memory.journal,
        guards,
        clock,
        revision=config.revision,
        version=version("risk-manager"),
        api_port=config.api_port,
        config=config,
        directory=directory,
        on_listening=on_listening,
        recorder=recorder,
        anchored=memory.journal if isinstance(memory.journal, SqliteJournal) else None,
        on_journal_back=on_journal_back,
        on_end=memory.end,
    )


async def _guards(
    config: GuardConfig,
    calendar: Calendar,
    venue: ProjectXVenue,
    memory: Memory,
    recorder: FlightRecorder,
    clock: Clock,
    *,
    pacing: Pacing,
    poll_s: float,
    listeners: tuple[DecisionListener, ...],
) -> tuple[Guard, ...]:
    """One recovered guard for each account, in the order of the configuration."""
    account_ids = await _resolved(config.accounts, venue)
    poll_ns = int(max(poll_s, fair_poll_s(len(account_ids))) * 1_000_000_000)
    await memory.make_sound(account_ids, clock.now_ns())
    guards, asked = [], []
    firsts_ns = first_polls_ns(poll_ns, len(account_ids))
    for account, account_id, first_ns in zip(config.accounts, account_ids, firsts_ns, strict=True):
        rules = RulesInForce(
            config.data_dir,
            account_id,
            account.rules,
            config.rule_classes,
            reset=f"{config.reset_time} {config.timezone}",
        )
        judged = dormant(rules.rules) if memory.minimal else rules.rules
        settings = EngineSettings(account_id, config.trading_days, judged, account.mode, pacing, calendar)
        engine, coverage = await recovered(
            settings,
            memory.journal,
            memory.latch,
            lost=memory.lost_of(account_id),
            from_snapshot=not memory.minimal,
            now_ns=clock.now_ns(),
        )
        asked += asked_lately(
            await _last_decisions(memory.journal, account_id),
            alive_ns=engine.account.received_ns,
            poll_ns=poll_ns,
            now_ns=clock.now_ns(),
        )
        then = circumstances(config, account, is_journaled=memory.fault is None)
        guard = Guard(
            account.label,
            engine,
            settings,
            venue,
            memory.journal,
            clock,
            stopwatch_ns,
            poll_ns=poll_ns,
            first_poll_ns=first_ns,
            unheard_polls_per_full=unheard_polls_per_full(len(account_ids)),
            listeners=listeners,
            in_force=rules,
            coverage=coverage,
            recorder=None if memory.minimal else recorder.record(engine, settings, then),
            latch=memory.latch,
            minimal=memory.minimal,
        )
        if memory.fault is not None:
            guard.health.fault(JOURNAL, memory.fault)
        guards.append(guard)
    venue.recall(asked)
    return tuple(guards)


async def _last_decisions(journal: Journal, account_id: str) -> tuple[Decision, ...]:
    """What the venue may still count; nothing where the journal cannot tell, for a guard begins all the same."""
    try:
        return await journal.decisions(account_id, most=DECISIONS_MOST)
    except JournalUnavailable:
        return ()


def circumstances(config: GuardConfig, account: AccountConfig, *, is_journaled: bool) -> Circumstances:
    """What a recording says of where it was made, so that a replay can tell what has changed since."""
    return Circumstances(
        name=account.label,
        reset_time=config.reset_time,
        timezone=config.timezone,
        revision=config.revision,
        version=version("risk-manager"),
        code=of_code(),
        calendar=of_calendar(),
        days=of_days(config.trading_days),
        is_journaled=is_journaled,
        carried_days=config.carried_days,
    )


def first_polls_ns(poll_ns: int, accounts: int) -> tuple[int, ...]:
    """How long after the start each account is polled first, spread evenly over the pause between two polls.

    Polled together, all but one would take what is there for proofs and orders, and wait for one another when it is
    used up.
    """
    return tuple(poll_ns * number // accounts for number in range(1, accounts + 1))


def fair_poll_s(accounts: int) -> float:
    """The shortest pause between two polls of each of so many accounts that stays within the share of polling."""
    return accounts * CALLS_PER_POLL * 60 / POLL_CALLS_PER_MINUTE


def unheard_polls_per_full(accounts: int) -> int:
    """One poll in so many is full while the user hub is down: of a single account, there is room for every one."""
    return 1 if accounts == 1 else UNHEARD_POLLS_PER_FULL


async def _resolved(accounts: Sequence[AccountConfig], venue: ProjectXVenue) -> tuple[str, ...]:
    """Venue ids in the order of the accounts. Ids given are taken as they are: the venue need not answer for them."""
    if all(account.id is not None for account in accounts):
        return tuple(account.id for account in accounts if account.id is not None)
    listed = await venue.accounts()
    account_ids = tuple(account.id or _id_of(account.name, listed) for account in accounts)
    check_unique(accounts, account_ids)
    return account_ids


def check_unique(accounts: Sequence[AccountConfig], account_ids: Sequence[str]) -> None:
    """Two guards of one account would write over each other's journal and latch.

    Raises:
        AccountRepeated: two of the accounts have one id.
    """
    labels: dict[str, str] = {}
    for account, account_id in zip(accounts, account_ids, strict=True):
        if account_id in labels:
            raise AccountRepeated(
                f"accounts {labels[account_id]!r} and {account.label!r} are one at the venue, id {account_id}; "
                "name each account once in accounts.yaml"
            )
        labels[account_id] = account.label


def _id_of(name: str | None, listed: tuple[Account, ...]) -> str:
    found = [account.id for account in listed if name in (None, account.name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(account.name for account in listed)) or "none"
    if name is None:
        raise AccountNotFound(f"say which account to guard; the active accounts of this user: {names}")
    raise AccountNotFound(f"account {name!r} is not among the active accounts of this user: {names}")
