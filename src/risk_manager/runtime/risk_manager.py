"""The guard as a library: what `from risk_manager import RiskManager` gives."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import structlog

from risk_manager.config import AccountConfig, Credentials, GuardConfig, Secret, VenueConfig, build_trading_days
from risk_manager.config.custom_rules import protocol_faults
from risk_manager.domain.decision import Decision
from risk_manager.domain.finding import Breach, Warning
from risk_manager.domain.intent import IntentState
from risk_manager.engine import Mode
from risk_manager.rules import RULES, Fault, OptionsInvalid, Rule, Waiting, build_rules, class_of, trial_faults
from risk_manager.rules._options import nearest
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.enforcements import Timing
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.health import GuardState
from risk_manager.runtime.status import AccountStatus
from risk_manager.runtime.wiring import POLL_S, build_daemon

SHORTHANDS = {
    "max_daily_loss": ("daily_realized_loss", "limit"),
    "max_daily_profit": ("daily_realized_profit", "target"),
    "max_unrealized_loss": ("daily_unrealized_loss", "loss_limit"),
    "max_contracts": ("max_contracts", "limit"),
    "max_drawdown": ("drawdown", "max_drawdown"),
    "blocked_symbols": ("symbol_blocks", "blocked_symbols"),
    "require_stop_loss": ("no_stop_loss_grace", "grace_period_seconds"),
}
"""What may stand in `rules` with a bare value: the rule and the option it means.

`require_stop_loss` is also switched by `True` (with the rule's own grace) and `False`.
"""

EVENTS = ("decision", "breach", "warning", "locked", "released", "verified", "anomaly_detected", "ai_alert")
"""Names for `RiskManager.on`. The last two belong to behaviour intelligence and do not occur without it."""

START_TIMEOUT_S = 60.0

Handler = Callable[[Any], object]

log = structlog.get_logger("risk_manager")


class AiUnavailable(Exception):
    """Behaviour intelligence was asked for and is not part of this version."""


class Ai:
    """Stands where behaviour intelligence will be, and says that it is not."""

    is_available = False

    def get_learned_patterns(self) -> NoReturn:
        """Raises AiUnavailable."""
        raise AiUnavailable("behaviour intelligence is not part of this version; enforcement does not depend on it")


class RiskManager:
    """Guards one account of one user for as long as the program runs.

    Use `await RiskManager.create(...)`, then `start`. What it enforces outlives the program: lockouts are durable in
    `data_dir` and are in force again at the next start.
    """

    def __init__(self, config: GuardConfig, poll_s: float) -> None:
        self._config = config
        self._poll_s = poll_s
        self._daemon: Daemon | None = None
        self._running: asyncio.Task[None] | None = None
        self._handlers: dict[str, list[Handler]] = {name: [] for name in EVENTS}
        self._called: set[asyncio.Future[object]] = set()
        self.ai = Ai()

    @classmethod
    async def create(
        cls,
        *,
        instruments: Sequence[str] = (),
        rules: Mapping[str, object],
        account: str | int | None = None,
        enable_ai: bool = False,
        ai_config: Mapping[str, object] | None = None,
        username: str | None = None,
        api_key: str | None = None,
        api_url: str = "https://api.topstepx.com",
        user_hub_url: str = "https://rtc.topstepx.com/hubs/user",
        market_hub_url: str = "https://rtc.topstepx.com/hubs/market",
        data_dir: Path | str = "data",
        observe: bool = False,
        api_port: int | None = None,
        poll_s: float = POLL_S,
    ) -> "RiskManager":
        """A guard, not started yet.

        Args:
            instruments: products to quote besides what the account holds; never a limit of what is guarded.
            rules: a mapping of options by rule name, or a value by shorthand (`max_daily_loss`, `max_contracts`, ...).
            account: the venue's account id (a number) or its name. None reads PROJECT_X_ACCOUNT_NAME; without it the
                user must have exactly one active account, for the wrong one must never be guarded.
            enable_ai, ai_config: taken and answered with a warning: `rm.ai.is_available` is False in this version.
            username, api_key: None reads PROJECT_X_USERNAME and PROJECT_X_API_KEY.
            observe: decide and record everything, send nothing but what removes the guard's own stops and targets with
                their position, where it had enforced before.
            api_port: serve the local API there, so that `risk-manager trader` works; None serves none.

        Raises:
            OptionsInvalid: every fault of the rules at once.
            ValueError: credentials are missing.
        """
        if enable_ai or ai_config:
            log.warning("behaviour intelligence is not part of this version; the rules are enforced without it")
        given = {"username": username or os.environ.get("PROJECT_X_USERNAME", "")}
        given["api_key"] = api_key or os.environ.get("PROJECT_X_API_KEY", "")
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing; give it, or set PROJECT_X_USERNAME and PROJECT_X_API_KEY")
        wanted = str(account) if account is not None else os.environ.get("PROJECT_X_ACCOUNT_NAME") or None
        is_id = wanted is not None and wanted.isdecimal()
        config = GuardConfig(
            venue=VenueConfig(
                api_url,
                user_hub_url,
                market_hub_url,
                tuple(instruments),
                Credentials(given["username"], Secret(given["api_key"])),
            ),
            accounts=(
                AccountConfig(
                    id=wanted if is_id else None,
                    name=None if is_id else wanted,
                    nickname=None,
                    mode=Mode.OBSERVE if observe else Mode.ENFORCE,
                    rules=build_rules(_options(rules)),
                ),
            ),
            reset_time="17:00",
            timezone="America/Chicago",
            trading_days=build_trading_days("17:00", "America/Chicago"),
            api_port=api_port,
            data_dir=Path(data_dir),
            warnings=(),
            revision="library",
        )
        return cls(config, poll_s)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return self._daemon.guards[0].engine.rules if self._daemon is not None else self._config.accounts[0].rules

    @property
    def waiting_rules(self) -> tuple[Waiting, ...]:
        """Changes of rules that are not in force before the next trading day."""
        return self._daemon.guards[0].waiting_rules if self._daemon is not None else ()

    @property
    def status(self) -> AccountStatus | None:
        """The account as the guard sees it now; None before `start`."""
        return self._daemon.status().accounts[0] if self._daemon is not None else None

    def add_rule(self, rule: Rule) -> None:
        """Add a rule; of a running guard it is in force at once.

        Raises:
            ValueError: a rule of that name is there already, or the object is no rule.
        """
        if rule.name in {one.name for one in self._wanted}:
            raise ValueError(
                f"{rule.name} is there already; give each rule once, or another name: named(rule, 'other')"
            )
        problems = [fault for made in class_of(rule).values() for fault in protocol_faults(made)]
        problems += trial_faults(rule)
        contradictions: tuple[Fault, ...] = getattr(rule, "contradictions", tuple)()
        if problems or contradictions:
            raise ValueError(f"{rule.name} {'; '.join([*problems, *map(str, contradictions)])}")
        self._want((*self._wanted, rule))

    def change_rules(self, rules: Mapping[str, object]) -> tuple[Waiting, ...]:
        """Have other rules than now, written as for `create`; what waits for the next trading day is returned.

        What is stricter is in force at once; the rest waits, a rule that is left out included. Before `start` nothing
        waits.

        Raises:
            OptionsInvalid: every fault of the rules at once; nothing is changed.
        """
        self._want(build_rules(_options(rules)))
        return self.waiting_rules

    @property
    def _wanted(self) -> tuple[Rule, ...]:
        return self._config.accounts[0].rules

    def _want(self, rules: tuple[Rule, ...]) -> None:
        account = msgspec.structs.replace(self._config.accounts[0], rules=rules)
        self._config = msgspec.structs.replace(self._config, accounts=(account,))
        if self._daemon is not None:
            self._daemon.guards[0].change_rules(rules, "library")

    def on(self, name: str) -> Callable[[Handler], Handler]:
        """Decorate a handler of an event, plain or async; it may look and tell, and changes nothing about enforcement.

        It gets the Decision (`decision`), Breach, Warning, Lockout (`locked`), LockoutRelease (`released`) or the
        verified Intent (`verified`).

        Raises:
            ValueError: there is no event of that name.
        """
        if name not in self._handlers:
            raise ValueError(f"no event is called {name!r}; there are {', '.join(EVENTS)}")

        def register(handler: Handler) -> Handler:
            self._handlers[name].append(handler)
            return handler

        return register

    async def start(self) -> None:
        """Connect and guard; returns once the account has been read and its rules are armed.

        Raises:
            JournalUnavailable: another guard runs on the data directory, or the disk refuses.
            AccountNotFound: the venue does not list the account.
            TimeoutError: the venue could not be read within a minute; the guard has been stopped again.
        """
        if self._daemon is not None:
            raise RuntimeError("already started")
        self._daemon = await build_daemon(self._config, poll_s=self._poll_s, listeners=(self._decided,))
        self._running = asyncio.create_task(self._daemon.run())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while self._daemon.guards[0].state in (GuardState.STARTING, GuardState.BLIND):
                    await asyncio.wait((self._running,), timeout=0.02)
                    if self._running.done():
                        break
        except TimeoutError:
            await self.stop()
            raise
        if self._running.done():
            await self._running

    async def stop(self) -> None:
        """Stop guarding; lockouts stay in force for the next start, positions stay as they are. Idempotent."""
        if self._daemon is not None and self._running is not None:
            self._daemon.stop()
            await self.wait_until_stopped()

    async def wait_until_stopped(self) -> None:
        """Return when the guard has stopped."""
        if self._running is not None:
            await asyncio.shield(self._running)

    def _decided(self, _: Guard, decision: Decision, __: Timing) -> None:
        self._tell("decision", decision)
        for finding in decision.findings:
            if isinstance(finding, Breach):
                self._tell("breach", finding)
            elif isinstance(finding, Warning):
                self._tell("warning", finding)
        for release in decision.lockouts_released:
            self._tell("released", release)
        for lockout in decision.lockouts_set:
            self._tell("locked", lockout)
        for intent in decision.intents:
            if intent.state is IntentState.VERIFIED:
                self._tell("verified", intent)

    def _tell(self, name: str, what: object) -> None:
        for handler in self._handlers[name]:
            try:
                answer = handler(what)
            except Exception as error:  # noqa: BLE001  # a listener's fault is not the guard's
                log.error("handler failed", event_name=name, error=repr(error))
                continue
            if inspect.isawaitable(answer):
                self._await(name, answer)

    def _await(self, name: str, answer: Awaitable[object]) -> None:
        call = asyncio.ensure_future(answer)
        self._called.add(call)

        def done(ended: asyncio.Future[object]) -> None:
            self._called.discard(ended)
            if not ended.cancelled() and ended.exception() is not None:
                log.error("handler failed", event_name=name, error=repr(ended.exception()))

        call.add_done_callback(done)


def _options(rules: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """Sections by name: shorthands spelled out, several for one rule put together."""
    found: dict[str, dict[str, object]] = {}
    faults: list[Fault] = []
    for key, value in rules.items():
        name, options = key, value
        if not isinstance(value, Mapping) and key in SHORTHANDS:
            name, option = SHORTHANDS[key]
            is_switch = key == "require_stop_loss" and isinstance(value, bool)
            options = {"enabled": value} if is_switch else {option: value}
        if not isinstance(options, Mapping):
            needs = "needs its options as a mapping, such as {'limit': 500}"
            faults.append(Fault(key, needs if key in RULES else nearest(key, [*RULES, *SHORTHANDS])))
            continue
        section = found.setdefault(name, {})
        faults.extend(Fault(key, f"says {option} of {name} again") for option in options if option in section)
        section.update(options)
    if faults:
        raise OptionsInvalid("rules", tuple(faults))
    return dict(found)
