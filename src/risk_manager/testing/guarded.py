"""An account under rules: a real engine, fed from a `Scenario`, that remembers what it decided."""

from collections.abc import Iterable
from typing import Any

import msgspec

from risk_manager.config.calendar import build_calendar
from risk_manager.domain.actions import Action
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Warning
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.trading_day import TradingDays
from risk_manager.engine import Engine, EngineSettings, Mode
from risk_manager.rules._base import Rule
from risk_manager.testing.events import DAYS, Scenario


class Guarded:
    """One account with rules in force, started with a snapshot of what the venue holds.

    guarded = Guarded(DailyLossRule(limit=500))
    guarded.feed(guarded.venue.result(-500))
    assert guarded.codes == ["DAILY_LOSS"]

    Attributes:
        venue: makes the events.   decisions: everything the engine said, oldest first.
    """

    def __init__(
        self,
        *rules: Rule,
        venue: Scenario | None = None,
        mode: Mode = Mode.ENFORCE,
        days: TradingDays = DAYS,
    ) -> None:
        self.venue = venue if venue is not None else Scenario()
        self.settings = EngineSettings(self.venue.account_id, days, rules, mode, calendar=build_calendar())
        self.engine = Engine(self.settings)
        self.decisions: list[Decision] = []
        self.feed(self.venue.snapshot())

    def feed(self, *events: Event | Iterable[Event]) -> list[Decision]:
        """Hand over events, and what a venue method returned; the decisions that said something come back."""
        said = [self.engine.receive(event) for event in _flat(events)]
        said = [decision for decision in said if decision]
        self.decisions.extend(said)
        return said

    def change_rules(self, *rules: Rule) -> list[Decision]:
        """Put other rules in force."""
        self.settings = msgspec.structs.replace(self.settings, rules=rules)
        self.engine.change_rules(rules)
        return self.feed(self.venue.rules_changed())

    def restart(self) -> None:
        """Stop, and continue from the engine's own snapshot."""
        self.engine = Engine.restore(self.settings, self.engine.snapshot())

    def forget(self) -> None:
        """Drop what was decided so far, so that a test speaks about what follows."""
        self.decisions.clear()

    @property
    def findings(self) -> list[Finding]:
        return [finding for decision in self.decisions for finding in decision.findings]

    @property
    def breaches(self) -> list[Breach]:
        return [finding for finding in self.findings if isinstance(finding, Breach)]

    @property
    def warnings(self) -> list[Warning]:
        return [finding for finding in self.findings if isinstance(finding, Warning)]

    @property
    def codes(self) -> list[str]:
        """The codes of all breaches."""
        return [breach.code for breach in self.breaches]

    @property
    def skipped(self) -> list[Skipped]:
        return [skip for decision in self.decisions for skip in decision.skipped]

    @property
    def actions(self) -> list[Action]:
        return [action for decision in self.decisions for action in decision.actions]

    @property
    def gauges(self) -> list[Gauge]:
        """What the rules show on the screens now."""
        return [gauge for _, gauge in self.engine.gauges()]

    @property
    def lockouts(self) -> tuple[Lockout, ...]:
        """The lockouts active now."""
        return self.engine.account.lockouts


def _flat(events: Iterable[Any]) -> Iterable[Event]:
    for item in events:
        if isinstance(item, msgspec.Struct):
            yield item  # type: ignore[misc]  # every Struct handed in here is an event
        else:
            yield from item
