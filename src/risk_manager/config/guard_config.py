"""A configuration that has passed every check, as the runtime wants it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from risk_manager.alerts.mail import Mail
from risk_manager.config.credentials import Credentials
from risk_manager.domain.trading_day import TradingDay, TradingDays
from risk_manager.engine.engine import Mode
from risk_manager.persistence.recording_room import RecorderLimits
from risk_manager.rules import RULES, Rule
from risk_manager.venues.projectx.settings import ProjectXSettings


class VenueConfig(msgspec.Struct, frozen=True):
    """The gateway, who logs in, and the product roots to watch besides those the accounts hold."""

    api_url: str
    user_hub_url: str
    market_hub_url: str
    instruments: tuple[str, ...]
    credentials: Credentials


class AccountConfig(msgspec.Struct, frozen=True):
    """One account to guard, known by its venue id or by its name; with neither, the only active account of the user.

    Attributes:
        rules: the enabled ones, with the account's overrides applied, in the order of their names.
    """

    id: str | None
    name: str | None
    nickname: str | None
    mode: Mode
    rules: tuple[Rule, ...]

    @property
    def label(self) -> str:
        """What to call the account on a screen."""
        return self.nickname or self.name or self.id or ""


class AnchorConfig(msgspec.Struct, frozen=True):
    """Where the journal's end is written down: a file, a web address, a mail; None is nowhere."""

    file: Path | None = None
    url: str | None = None
    mail: Mail | None = None


class GuardConfig(msgspec.Struct, frozen=True):
    """Everything one daemon works with.

    Attributes:
        reset_time, timezone: as configured; `trading_days` is their table, but for `carried_days`.
        api_port: of the local interface, on loopback; None serves none.   data_dir: absolute.
        warnings: doubtful settings, one sentence each; nothing is refused because of them.
        revision: SHA-256 (hex) of the effective settings without the credentials; equal settings and
            equal code of the user's own rules, equal revision.
        rule_classes: the rules there are by name, the user's own included.
        anchor: where the journal's end is written down; None is nowhere.
        recorder: how much of what was received is kept.
        latch_dir: where the active lockouts are kept besides `data_dir`, absolute; None is nowhere.
        carried_days: those that began under another reset, and are not shortened by this one.
    """

    venue: VenueConfig
    accounts: tuple[AccountConfig, ...]
    reset_time: str
    timezone: str
    trading_days: TradingDays
    api_port: int | None
    data_dir: Path
    warnings: tuple[str, ...]
    revision: str
    rule_classes: Mapping[str, Any] = RULES
    anchor: AnchorConfig | None = None
    recorder: RecorderLimits = RecorderLimits()
    latch_dir: Path | None = None
    carried_days: tuple[TradingDay, ...] = ()

    def carrying(self, days: Iterable[TradingDay]) -> "GuardConfig":
        """The same, but trading days that began under another reset end when they would have."""
        carried = tuple(day for day in days if self.trading_days.day_of(day.start_ns) != day)
        return msgspec.structs.replace(
            self, trading_days=self.trading_days.carrying(carried), carried_days=self.carried_days + carried
        )

    def venue_settings(self) -> ProjectXSettings:
        """What the ProjectX client needs; it holds the key in the clear."""
        days = self.trading_days
        return ProjectXSettings(
            user_name=self.venue.credentials.username,
            api_key=self.venue.credentials.api_key.reveal(),
            day_start_ns=lambda at_ns: days.day_of(at_ns).start_ns,
            api_url=self.venue.api_url,
            user_hub_url=self.venue.user_hub_url,
            market_hub_url=self.venue.market_hub_url,
            instruments=self.venue.instruments,
        )
