"""What a configuration comes to: the banner at start, and the hash that names it."""

import hashlib
import json
from pathlib import Path

from risk_manager.config.custom_rules import own_code_of
from risk_manager.config.guard_config import AccountConfig, GuardConfig, VenueConfig
from risk_manager.rules import Rule, options_of


def effective(config: GuardConfig) -> str:
    """The settings in force as text of several lines, every default written out; no secret is in it."""
    venue = config.venue
    lines = [
        f"venue        {venue.api_url} ({', '.join(venue.instruments)})",
        f"trading day  {config.reset_time} {config.timezone}",
        f"local api    127.0.0.1:{config.api_port}",
        f"data         {config.data_dir}",
        *([] if config.latch_dir is None else [f"latch        {config.latch_dir}"]),
        f"revision     {config.revision[:12]}",
    ]
    for account in config.accounts:
        lines += ["", f"account {_called(account)} · {account.mode}"]
        lines += [f"  {rule.name:<28} {_spelled(rule)}" for rule in account.rules]
        if not account.rules:
            lines.append("  no rule is enabled")
    if config.warnings:
        lines += ["", *(f"warning: {warning}" for warning in config.warnings)]
    return "\n".join(lines)


def revision_of(
    venue: VenueConfig,
    accounts: tuple[AccountConfig, ...],
    reset: tuple[str, str],
    local: tuple[int, Path, Path | None],
) -> str:
    """SHA-256 (hex) over everything that is in force, the code of the user's own rules included, not the credentials.

    Args:
        reset: time and zone.   local: the interface's port, the data directory and the latch's second.
    """
    settings = {
        "venue": [venue.api_url, venue.user_hub_url, venue.market_hub_url, venue.instruments],
        "accounts": [
            [one.id, one.name, one.nickname, one.mode, {rule.name: options_of(rule) for rule in one.rules}]
            for one in accounts
        ],
        "reset": reset,
        "local": [local[0], *(str(path) for path in local[1:] if path is not None)],
    }
    code = sorted({name for one in accounts for rule in one.rules for name in own_code_of(rule)})
    if code:
        settings["code"] = code
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _called(account: AccountConfig) -> str:
    identity = account.id or account.name or ""
    return identity if account.nickname is None else f"{account.nickname} ({identity})"


def _spelled(rule: Rule) -> str:
    return " · ".join(f"{name} {_value(value)}" for name, value in options_of(rule).items())


def _value(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case dict():
            return "{" + ", ".join(f"{key} {_value(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value)
