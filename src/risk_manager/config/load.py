"""Loading a configuration directory: `accounts.yaml`, `risk_config.yaml`, and the credentials."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from risk_manager.alerts.mail import Mail
from risk_manager.config.credentials import Credentials, read_credentials
from risk_manager.config.custom_rules import RISK_FILE as RISK_FILE
from risk_manager.config.custom_rules import custom_files as custom_files
from risk_manager.config.custom_rules import known_rules
from risk_manager.config.document import Document, KeyPath, read_document
from risk_manager.config.effective import revision_of
from risk_manager.config.faults import ConfigInvalid, Fault
from risk_manager.config.guard_config import AccountConfig, AnchorConfig, GuardConfig, VenueConfig
from risk_manager.config.places import is_homeless, placed
from risk_manager.config.rule_sets import RuleSets, compose_rules
from risk_manager.config.sections import AccountEntry, AccountsFile, AnchorSection, RiskFile
from risk_manager.config.trading_days import build_trading_days
from risk_manager.config.validation import validated
from risk_manager.engine.engine import Mode
from risk_manager.persistence.recording_room import RecorderLimits

ACCOUNTS_FILE = "accounts.yaml"


def load_config(directory: Path, environ: Mapping[str, str] = os.environ, *, files: Path | None = None) -> GuardConfig:
    """The configuration of a directory, complete and checked.

    Args:
        files: a copy of its files, the user's own rules in the places `custom_files` names; None reads the files
            themselves. Credentials and all paths are the directory's own all the same.

    Raises:
        ConfigInvalid: with every fault of every file at once.
    """
    faults: list[Fault] = []
    accounts_document = read_document((files or directory) / ACCOUNTS_FILE)
    risk_document = read_document((files or directory) / RISK_FILE)
    accounts = validated(AccountsFile, accounts_document, faults)
    risk = validated(RiskFile, risk_document, faults)
    if accounts is not None:
        faults.extend(_repeated_accounts(accounts.accounts, accounts_document))
    labels = () if accounts is None else tuple(entry.labels for entry in accounts.accounts)
    classes = known_rules(directory, risk_document, faults, files)
    if accounts is not None:
        faults.extend(_homeless(accounts, accounts_document))
        faults.extend(_latch_faults(directory, accounts, accounts_document))
    rule_sets = compose_rules(risk_document, labels, faults, classes)
    credentials = read_credentials(directory, environ, faults)
    if faults or accounts is None or risk is None or credentials is None:
        raise ConfigInvalid(faults)
    config = _assemble(directory, accounts, risk, rule_sets, credentials)
    return msgspec.structs.replace(config, rule_classes=classes)


def _assemble(
    directory: Path, accounts: AccountsFile, risk: RiskFile, rule_sets: RuleSets, credentials: Credentials
) -> GuardConfig:
    section = accounts.venue
    venue = VenueConfig(
        section.api_url, section.user_hub_url, section.market_hub_url, tuple(section.instruments), credentials
    )
    guarded = tuple(
        AccountConfig(
            None if entry.id is None else str(entry.id),
            entry.name,
            entry.nickname,
            Mode(entry.mode),
            rules,
        )
        for entry, rules in zip(accounts.accounts, rule_sets.by_account, strict=True)
    )
    data_dir = _resolved(directory, accounts.data_dir)
    latch_dir = None if accounts.latch_dir is None else _resolved(directory, accounts.latch_dir)
    reset = risk.reset
    return GuardConfig(
        venue=venue,
        accounts=guarded,
        reset_time=reset.time,
        timezone=reset.timezone,
        trading_days=build_trading_days(reset.time, reset.timezone),
        api_port=accounts.api.port,
        data_dir=data_dir,
        warnings=rule_sets.warnings + _unguarded(guarded),
        revision=revision_of(venue, guarded, (reset.time, reset.timezone), (accounts.api.port, data_dir, latch_dir)),
        anchor=_anchor(directory, accounts.anchor),
        recorder=RecorderLimits(accounts.recorder.days, accounts.recorder.most_megabytes << 20),
        latch_dir=latch_dir,
    )


def _anchor(directory: Path, section: AnchorSection | None) -> AnchorConfig | None:
    if section is None:
        return None
    file = None if section.file is None else _resolved(directory, section.file)
    mail = section.mail
    return AnchorConfig(
        file,
        section.url,
        None if mail is None else Mail(mail.to, mail.sender, mail.host, mail.port, mail.starttls),
    )


def _resolved(directory: Path, written: str) -> Path:
    return placed(directory, written).resolve()


def _homeless(accounts: AccountsFile, document: Document) -> list[Fault]:
    """Paths below a home there is not: what was remembered elsewhere would be forgotten."""
    written: dict[KeyPath, str | None] = {("data_dir",): accounts.data_dir, ("latch_dir",): accounts.latch_dir}
    if accounts.anchor is not None:
        written["anchor", "file"] = accounts.anchor.file
    problem = "names a user this machine does not know"
    return [
        document.fault(place, problem, "write the whole path")
        for place, path in written.items()
        if path is not None and is_homeless(path)
    ]


def _latch_faults(directory: Path, accounts: AccountsFile, document: Document) -> list[Fault]:
    """Whether the directory is there is no fault: a disk that is gone must not keep the guard from starting."""
    if accounts.latch_dir is None:
        return []
    data_dir, latch_dir = _resolved(directory, accounts.data_dir), _resolved(directory, accounts.latch_dir)
    if not latch_dir.is_relative_to(data_dir) and not data_dir.is_relative_to(latch_dir):
        return []
    problem = f"is no second place: what takes {data_dir} away takes it along"
    return [document.fault(("latch_dir",), problem, "name a directory on another disk")]


def _repeated_accounts(entries: list[AccountEntry], document: Document) -> list[Fault]:
    """An id, name or nickname may mean one account only, or an override would be somebody else's."""
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for index, entry in enumerate(entries):
        fields = {"id": entry.id, "name": entry.name, "nickname": entry.nickname}
        for field, label in ((field, str(value)) for field, value in fields.items() if value is not None):
            first = seen.setdefault(label.casefold(), index)
            if first != index:
                problem = f"is what accounts[{first}] is called already"
                faults.append(document.fault(("accounts", index, field), problem, "name each account once"))
    return faults


def _unguarded(accounts: tuple[AccountConfig, ...]) -> tuple[str, ...]:
    return tuple(f"{one.label}: no rule is enabled, nothing is guarded" for one in accounts if not one.rules)
