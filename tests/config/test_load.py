from pathlib import Path

import pytest

from risk_manager.config import ConfigInvalid, GuardConfig, effective, load_config
from risk_manager.engine.engine import Mode
from risk_manager.rules import (
    DailyRealizedLoss,
    DailyRealizedLossRule,
    DailyUnrealizedLossRule,
    MaxContractsPerInstrumentRule,
    MaxContractsRule,
    options_of,
)
from tests.config.files import ACCOUNTS, ENVIRONMENT, RISK, write

_EXAMPLES = Path(__file__).parents[2] / "config"


def _load(directory: Path, accounts: str = ACCOUNTS, risk: str = RISK) -> GuardConfig:
    return load_config(write(directory, accounts, risk), ENVIRONMENT)


def _faults(directory: Path, accounts: str = ACCOUNTS, risk: str = RISK) -> list[str]:
    with pytest.raises(ConfigInvalid) as refusal:
        _load(directory, accounts, risk)
    return [str(fault) for fault in refusal.value.faults]


def _changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_gives_each_account_its_rules(tmp_path: Path) -> None:
    combine, practice = _load(tmp_path).accounts
    assert (combine.id, combine.name, combine.label, combine.mode) == ("123", None, "combine", Mode.ENFORCE)
    assert (practice.id, practice.name, practice.label, practice.mode) == (
        None,
        "PRAC-V2-77",
        "PRAC-V2-77",
        Mode.OBSERVE,
    )
    assert practice.rules == (
        DailyRealizedLossRule(limit=500),
        DailyUnrealizedLossRule(loss_limit=300, lockout="30m"),
        MaxContractsRule(max_contracts=5),
        MaxContractsPerInstrumentRule(limits={"ES": 2, "MNQ": 5}, default_limit=1),
    )
    assert combine.rules == (
        DailyRealizedLossRule(limit=250),
        *practice.rules[1:3],
        MaxContractsPerInstrumentRule(limits={"ES": 1, "MNQ": 5}, default_limit=1),
    )


def test_takes_the_defaults_for_what_is_left_out(tmp_path: Path) -> None:
    config = _load(tmp_path, risk="rules: {daily_realized_loss: {limit: 500}}")
    assert (config.venue.api_url, config.venue.user_hub_url, config.venue.market_hub_url) == (
        "https://api.topstepx.com",
        "https://rtc.topstepx.com/hubs/user",
        "https://rtc.topstepx.com/hubs/market",
    )
    assert (config.reset_time, config.timezone, config.api_port) == ("17:00", "America/Chicago", 27181)
    assert config.data_dir == tmp_path / "state"
    assert config.warnings == ()
    assert config.trading_days.labels[0] == "2007-01-01"
    assert config.trading_days.labels[-1] == "2060-12-31"


def test_tells_the_venue_client_what_it_needs(tmp_path: Path) -> None:
    config = _load(tmp_path)
    settings = config.venue_settings()
    assert (settings.user_name, settings.api_key) == ("trader@example.com", "not-a-real-key")
    assert settings.instruments == ("MNQ", "ES")
    noon_ns = 1_772_452_800_000_000_000  # 2026-03-02 12:00Z
    assert settings.day_start_ns(noon_ns) == config.trading_days.day_of(noon_ns).start_ns


def test_never_shows_the_key(tmp_path: Path) -> None:
    config = _load(tmp_path)
    assert "not-a-real-key" not in repr(config) + str(config) + effective(config) + repr(config.venue_settings())


def test_accepts_the_shipped_examples(tmp_path: Path) -> None:
    accounts = (_EXAMPLES / "accounts.example.yaml").read_text(encoding="utf-8")
    risk = (_EXAMPLES / "risk_config.example.yaml").read_text(encoding="utf-8")
    config = _load(tmp_path, accounts, risk)
    assert [account.mode for account in config.accounts] == [Mode.OBSERVE]
    assert len(config.accounts[0].rules) == 4


def test_reports_every_fault_of_every_file_at_once(tmp_path: Path) -> None:
    accounts = """\
venue: {api_url: http://api.topstepx.com, instrument: [mnq]}
accounts:
  - {id: "123", mode: enforced}
  - {id: true, mode: observe}
  - {mode: observe}
  - {id: 1, name: x, mode: observe}
api: {port: 80}
data_dir: 3
"""
    risk = """\
reset: {time: 1020, timezone: EST}
rules:
  max_contract: {limit: 2}
  max_contracts: {limit: 3, limt: 4}
  daily_realized_loss: {limit: .nan, basis: foo}
  daily_unrealized_loss: {loss_limit: true}
  symbol_blocks:
overrides:
  practice: {daily_realized_loss: {limit: -0}}
x: 1
"""
    with pytest.raises(ConfigInvalid) as refusal:
        load_config(write(tmp_path, accounts, risk), {})
    report = str(refusal.value)
    assert report.splitlines() == [
        "The configuration has 21 faults:",
        "  accounts.yaml, line 1, column 1, venue.instruments: is missing; write [MNQ, ES]",
        "  accounts.yaml, line 1, column 18, venue.api_url: 'http://api.topstepx.com' "
        "plain http is only for this machine (127.0.0.1, ::1, localhost)",
        "  accounts.yaml, line 1, column 43, venue.instrument: is not known; did you mean instruments?",
        "  accounts.yaml, line 3, column 10, accounts[0].id: must be a whole number, not '123'; "
        "write 123 without quotes",
        "  accounts.yaml, line 3, column 23, accounts[0].mode: must be 'enforce' or 'observe', not 'enforced'",
        "  accounts.yaml, line 4, column 10, accounts[1].id: must be a whole number, not true; write 123456",
        "  accounts.yaml, line 5, column 5, accounts[2]: an account needs either an id or a name; "
        "write for example id: 123456",
        "  accounts.yaml, line 6, column 5, accounts[3]: an account needs either an id or a name; "
        "write for example id: 123456",
        "  accounts.yaml, line 7, column 13, api.port: must be at least 1024, not 80",
        '  accounts.yaml, line 8, column 11, data_dir: must be text, not 3; write "3" in quotes',
        "  environment: PROJECT_X_USERNAME and PROJECT_X_API_KEY are not set; set PROJECT_X_USERNAME and "
        f"PROJECT_X_API_KEY there, or in a file .env in {tmp_path} or its parent",
        "  risk_config.yaml, line 1, column 15, reset.time: must be a quoted 24-hour time, not 1020; "
        'write "17:00" or "10:20"',
        "  risk_config.yaml, line 1, column 31, reset.timezone: 'EST' does not follow daylight saving time "
        "or is no zone's name; write America/New_York",
        "  risk_config.yaml, line 3, column 3, rules.max_contract: is not known; did you mean max_contracts?",
        "  risk_config.yaml, line 4, column 35, rules.max_contracts.limt: is not known; did you mean limit?",
        "  risk_config.yaml, line 5, column 32, rules.daily_realized_loss.limit: "
        ".nan is not a number one can compare with; write a finite number",
        "  risk_config.yaml, line 5, column 45, rules.daily_realized_loss.basis: "
        "must be one of realized, realized_plus_unrealized, composite, not 'foo'",
        "  risk_config.yaml, line 6, column 39, rules.daily_unrealized_loss.loss_limit: "
        "must be an amount in dollars such as 500 or 499.99, not True",
        "  risk_config.yaml, line 7, column 3, rules.symbol_blocks: must be a section with its own lines, not empty",
        "  risk_config.yaml, line 9, column 43, overrides.practice.daily_realized_loss.limit: must be above 0, not 0",
        "  risk_config.yaml, line 10, column 1, x: is not known; known here: custom_rules, overrides, reset, rules",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "instruments: [MNQ, ES]",
            "instruments: [mnq]",
            "venue.instruments[0]: 'mnq' is not the name of a product; write MNQ",
        ),
        (
            "instruments: [MNQ, ES]",
            "instruments: [ES, 5]",
            'venue.instruments[1]: must be text, not 5; write "5" in quotes',
        ),
        ("instruments: [MNQ, ES]", "instruments: []", "venue.instruments: is empty; write [MNQ, ES]"),
        (
            "instruments: [MNQ, ES]",
            "instruments: [ES]\n  api_url: https://evil.example",
            "host evil.example is not under",
        ),
        ("id: 123", "id: 0", "accounts[0].id: must be above 0, not 0"),
        ("id: 123", "id: 12.5", "accounts[0].id: must be a whole number, not 12.5"),
        ("name: PRAC-V2-77", "name: 123", 'accounts[1].name: must be text, not 123; write "123" in quotes'),
        (
            "name: PRAC-V2-77",
            "id: 123",
            "accounts[1].id: is what accounts[0] is called already; name each account once",
        ),
        ("name: PRAC-V2-77", "name: COMBINE", "accounts[1].name: is what accounts[0] is called already"),
        ("mode: observe", "mode: off", "accounts[1].mode: must be 'enforce' or 'observe', not 'off'"),
        ("    mode: observe\n", "", "accounts[1].mode: is missing; write enforce (acts) or observe (only records)"),
        ("data_dir: state", "data_dirs: state", "line 9, column 1, data_dirs: is not known; did you mean data_dir?"),
        ("data_dir: state", "api: {port: true}", "api.port: must be a whole number, not true; write 27181"),
        ("data_dir: state", "api: {port: 70000}", "api.port: must be at most 65535, not 70000"),
        (
            "data_dir: state",
            "data_dir: ~nobody-of-that-name/state",
            "data_dir: names a user this machine does not know",
        ),
        ("data_dir: state", "latch_dir: ~nobody-of-that-name/x", "latch_dir: names a user this machine does not know"),
        ("data_dir: state", "latch_dir: 5", "latch_dir: must be text, not 5"),
        ("data_dir: state", 'latch_dir: ""', "latch_dir: "),
        (
            "data_dir: state",
            "data_dir: state\nlatch_dir: state",
            "state away takes it along; name a directory on another",
        ),
        ("data_dir: state", "data_dir: state\nlatch_dir: state/latch", "latch_dir: is no second place"),
        ("data_dir: state", "data_dir: state/here\nlatch_dir: there/../state", "latch_dir: is no second place"),
        ("data_dir: state", "data_dir: ${HOME}/x", "data_dir: '${HOME}/x' looks like a variable"),
    ],
)
def test_refuses_faulty_accounts(tmp_path: Path, old: str, new: str, message: str) -> None:
    (fault,) = _faults(tmp_path, accounts=_changed(ACCOUNTS, old, new))
    assert fault.startswith("accounts.yaml, line ")
    assert message in fault


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("17:00", 'write "17:00"'),
        ("1020", 'write "17:00" or "10:20"'),
        ("0930", 'write "09:30" for a time, 930 for a number'),
        ("17.30", 'write "17:30"'),
        ('"9:30"', 'write "09:30"'),
        ('"24:00"', 'write "00:00"'),
        ('"17:00:00"', 'write for example "17:00"'),
        ('"17:60"', 'write for example "17:00"'),
        ("5pm", 'write for example "17:00"'),
        ("true", 'write for example "17:00"'),
        ('"\uff11\uff17:00"', 'write for example "17:00"'),
    ],
)
def test_refuses_a_reset_time_that_is_not_a_quoted_time(tmp_path: Path, written: str, advice: str) -> None:
    (fault,) = _faults(tmp_path, risk=_changed(RISK, 'time: "17:00"', f"time: {written}"))
    assert fault.startswith("risk_config.yaml, line 2, column 9, reset.time: ")
    assert fault.endswith(advice)


@pytest.mark.parametrize(
    ("zone", "advice"),
    [
        ("America/Chigaco", "did you mean America/Chicago?"),
        ("CT", "write America/Chicago"),
        ("EST", "write America/New_York"),
        ("../etc/passwd", "write an IANA name such as America/Chicago"),
        ("Mars", "write an IANA name such as America/Chicago"),
    ],
)
def test_refuses_a_zone_that_is_none(tmp_path: Path, zone: str, advice: str) -> None:
    (fault,) = _faults(tmp_path, risk=_changed(RISK, "America/Chicago", zone))
    assert fault.startswith("risk_config.yaml, line 3, column 13, reset.timezone: ")
    assert fault.endswith(advice)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  max_contracts:\n",
            "  max_contract:\n",
            "line 5, column 3, rules.max_contract: is not known; did you mean max_contracts?",
        ),
        ("limit: -500", "limit: 0", "line 13, column 12, rules.daily_realized_loss.limit: must be above 0, not 0"),
        (
            "limit: -500",
            "limit: 5\n    limmit: 5",
            "rules.daily_realized_loss.limmit: is not known; did you mean limit?",
        ),
        ("lockout: 30m", "lockout: {until: whenever}", "rules.daily_unrealized_loss.lockout.until: "),
        (
            "blocked_symbols: [CL, NG]",
            "blocked_symbols: [CL, 5]",
            "line 19, column 27, rules.symbol_blocks.blocked_symbols[1]: must be text",
        ),
        ("enabled: false", "enabled: off", "rules.symbol_blocks.enabled: must be true or false"),
        (
            "  combine:\n",
            "  combin:\n",
            "line 21, column 3, overrides.combin: is none of the accounts; did you mean combine?",
        ),
        (
            "      limit: 250",
            "      limit: x",
            "overrides.combine.daily_realized_loss.limit: must be an amount in dollars",
        ),
        (
            "ES: 1",
            "ES: 1\n        EP: 1",
            "overrides.combine.max_contracts_per_instrument.limits.EP: names the same product as ES",
        ),
        (
            "ES: 1",
            "ES: 1\n    max_contract: {limit: 2}",
            "overrides.combine.max_contract: is not known; did you mean max_contracts?",
        ),
        (
            "ES: 1",
            "ES: 1\n    symbol_blocks: off",
            "overrides.combine.symbol_blocks: must be a section with its own lines, not 'off'",
        ),
        ("ES: 1", "ES: 1\n  '123': {}", "overrides.123: is the account combine again; join the two sections"),
    ],
)
def test_refuses_faulty_rules(tmp_path: Path, old: str, new: str, message: str) -> None:
    (fault,) = _faults(tmp_path, risk=_changed(RISK, old, new))
    assert message in fault


def test_reports_a_fault_shared_by_accounts_once(tmp_path: Path) -> None:
    risk = _changed(RISK, "loss_limit: 300", "loss_limit: 0")
    assert len(_faults(tmp_path, risk=risk)) == 1


def test_finds_an_account_for_an_override_by_id_name_and_nickname(tmp_path: Path) -> None:
    for key, index in (("123", 0), ("combine", 0), ("PRAC-V2-77", 1)):
        config = _load(tmp_path, risk=_changed(RISK, "  combine:\n", f"  {key}:\n"))
        rules = [next(rule for rule in one.rules if isinstance(rule, DailyRealizedLoss)) for one in config.accounts]
        assert [rule.limit_micros for rule in rules] == [250_000_000 if n == index else 500_000_000 for n in (0, 1)]


def test_lets_an_override_switch_a_rule_on_and_off(tmp_path: Path) -> None:
    risk = _changed(
        RISK,
        "    daily_realized_loss:\n      limit: 250\n",
        "    symbol_blocks: {enabled: true}\n    max_contracts: {enabled: false}\n",
    )
    combine, practice = _load(tmp_path, risk=risk).accounts
    names = {rule.name for rule in practice.rules}
    assert {rule.name for rule in combine.rules} == names - {"max_contracts"} | {"symbol_blocks"}


def test_replaces_lists_and_merges_sections_in_overrides(tmp_path: Path) -> None:
    risk = _changed(RISK, "      limit: 250\n", "      warn_at: [90]\n")
    risk = _changed(risk, "    limit: -500\n", "    limit: -500\n    warn_at_pct: [50, 80]\n")
    with pytest.raises(ConfigInvalid, match="is said twice"):
        _load(tmp_path, risk=risk)
    risk = _changed(risk, "warn_at_pct", "warn_at")
    rule = next(rule for rule in _load(tmp_path, risk=risk).accounts[0].rules if rule.name == "daily_realized_loss")
    assert options_of(rule)["limit"] == 500
    assert options_of(rule)["warn_at"] == [90]


def test_refuses_a_product_limit_above_the_account_limit(tmp_path: Path) -> None:
    (fault,) = _faults(tmp_path, risk=_changed(RISK, "MNQ: 5", "MNQ: 6"))
    assert fault == (
        "risk_config.yaml, line 10, column 12, rules.max_contracts_per_instrument.limits.MNQ: "
        "is above the limit of 5 for the whole account (max_contracts); it could never be reached"
    )
    (fault,) = _faults(tmp_path, risk=_changed(RISK, "default_limit: 1", "default_limit: 6"))
    assert "line 11, column 20, rules.max_contracts_per_instrument.default_limit: is above" in fault


def test_refuses_a_product_limit_above_an_overridden_account_limit(tmp_path: Path) -> None:
    (fault,) = _faults(
        tmp_path, risk=_changed(RISK, "        ES: 1\n", "        ES: 1\n    max_contracts: {limit: 4}\n")
    )
    assert "rules.max_contracts_per_instrument.limits.MNQ: is above the limit of 4" in fault


@pytest.mark.parametrize("change", ["count_type: net_account", "enabled: false", "weighting: mini_equivalent"])
def test_allows_product_limits_the_account_limit_does_not_bind(tmp_path: Path, change: str) -> None:
    risk = _changed(RISK, "    limit: 5\n", f"    limit: 5\n    {change}\n")
    _load(tmp_path, risk=_changed(risk, "MNQ: 5", "MNQ: 50"))


def test_counts_minis_fully_when_micros_are_weighted(tmp_path: Path) -> None:
    risk = _changed(RISK, "    limit: 5\n", "    limit: 5\n    weighting: mini_equivalent\n")
    (fault,) = _faults(tmp_path, risk=_changed(risk, "MNQ: 5", "MNQ: 51"))
    assert "limits.MNQ" in fault
    (fault,) = _faults(tmp_path, risk=_changed(risk, "ES: 2", "ES: 6"))
    assert "limits.ES" in fault


def test_warns_when_the_floating_limit_exceeds_the_days(tmp_path: Path) -> None:
    assert _load(tmp_path).warnings == (
        "combine: daily_unrealized_loss allows 300.00, more than the 250.00 of daily_realized_loss; "
        "the day's limit will come first",
    )


def test_warns_when_an_account_is_not_guarded_at_all(tmp_path: Path) -> None:
    config = _load(tmp_path, risk="rules: {daily_realized_loss: {limit: 5, enabled: false}}")
    assert config.warnings == (
        "combine: no rule is enabled, nothing is guarded",
        "PRAC-V2-77: no rule is enabled, nothing is guarded",
    )


@pytest.mark.parametrize("risk", ["rules: {}", "rules:", "reset: {}", "", "# nothing", "[]", "rules"])
def test_refuses_a_file_without_rules(tmp_path: Path, risk: str) -> None:
    assert len(_faults(tmp_path, risk=risk)) >= 1


def test_names_equal_settings_alike_and_different_ones_differently(tmp_path: Path) -> None:
    first = _load(tmp_path)
    respelled = _load(tmp_path, risk="# a comment\n" + _changed(RISK, "limit: -500", "limit: 500.00"))
    assert len(first.revision) == 64
    assert respelled.revision == first.revision
    other_key = load_config(tmp_path, {**ENVIRONMENT, "PROJECT_X_API_KEY": "other"})
    assert other_key.revision == first.revision
    for old, new in (
        ("limit: -500", "limit: 501"),
        ("17:00", "16:00"),
        ("ES: 1", "ES: 2"),
        ("loss_limit", "enabled: false\n    loss_limit"),
    ):
        assert _load(tmp_path, risk=_changed(RISK, old, new)).revision != first.revision
    assert _load(tmp_path, accounts=_changed(ACCOUNTS, "observe", "enforce")).revision != first.revision


def test_prints_what_is_in_force(tmp_path: Path) -> None:
    text = effective(_load(tmp_path))
    assert "trading day  17:00 America/Chicago" in text
    assert "account combine (123) · enforce" in text
    assert "account PRAC-V2-77 · observe" in text
    assert "limits {ES 1, MNQ 5} · default_limit 1" in text
    assert "limit 250 · basis realized_plus_unrealized" in text
    assert "symbol_blocks" not in text
    assert "warning: combine: daily_unrealized_loss allows 300.00" in text


def test_keeps_the_latch_in_a_second_place_where_one_is_written(tmp_path: Path) -> None:
    alone = _load(tmp_path)
    assert alone.latch_dir is None
    twice = _load(tmp_path, accounts=f"{ACCOUNTS}latch_dir: ../elsewhere\n")
    # It need not be there: a disk that is gone must not keep the guard from starting.
    assert twice.latch_dir == tmp_path.parent / "elsewhere"
    assert f"latch        {tmp_path.parent / 'elsewhere'}" in effective(twice)
    assert twice.revision != alone.revision


def test_keeps_thirty_days_of_recordings_or_as_many_as_written(tmp_path: Path) -> None:
    config = load_config(write(tmp_path), ENVIRONMENT)
    assert (config.recorder.days, config.recorder.most_bytes) == (30, 2_147_483_648)
    config = load_config(write(tmp_path, f"{ACCOUNTS}recorder: {{days: 5, most_megabytes: 16}}\n"), ENVIRONMENT)
    assert (config.recorder.days, config.recorder.most_bytes) == (5, 16_777_216)
