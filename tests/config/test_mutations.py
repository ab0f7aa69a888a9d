"""Whatever becomes of a configuration, it is refused or means what its text says."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from risk_manager.config import ConfigInvalid, GuardConfig, load_config
from tests.config.files import ACCOUNTS, ENVIRONMENT, RISK, write

_PIECES = [
    *" :-[]{},#&*!|>'\"%@`~?\t\n0159.eE+$",
    *("\n  ", "  ", ": ", "- ", "<<: ", "&a ", "*a", "!!int ", "---\n", "\u2028", "\x00", "\ufeff", "\U0001f600"),
    *("null", "true", "no", ".nan", ".inf", "17:00", "0930", "1e9", "-0", "1e400", "0x10", "9" * 40, "${A}"),
    *("limit: 9\n", "enabled: false\n"),
]


@st.composite
def _mutated(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 4]))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 0, 1, 1, 2, 5, 20]))
        kind = draw(st.sampled_from(["replace", "replace", "repeat", "swap"]))
        removed, rest = text[start : start + length], text[start + length :]
        if kind == "replace":
            text = text[:start] + draw(st.sampled_from(["", *_PIECES])) + rest
        elif kind == "repeat":
            text = text[:start] + removed * 2 + rest
        else:
            lines = text.splitlines(keepends=True)
            first, second = (draw(st.integers(0, max(len(lines) - 1, 0))) for _ in range(2))
            if lines:
                lines[first], lines[second] = lines[second], lines[first]
            text = "".join(lines)
    return text


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(*[st.just(ACCOUNTS)] * 3, _mutated(ACCOUNTS)), _mutated(RISK))
def test_is_refused_or_holds_every_enabled_rule_as_written(accounts: str, risk: str) -> None:
    with TemporaryDirectory() as directory:
        config = _loaded(write(Path(directory), accounts, risk))
    if config is not None:
        _check_against_another_reading(config, YAML(typ="safe", pure=True).load(risk))


def _check_against_another_reading(config: GuardConfig, written: Any) -> None:
    """Compare with what the library's own reader makes of the text."""
    overrides = written.get("overrides") or {}
    for account in config.accounts:
        names = {account.id, account.name, account.nickname}
        changes: dict[str, Any] = next((section for key, section in overrides.items() if str(key) in names), {})
        expected = {
            name: {**written["rules"].get(name, {}), **changes.get(name, {})}
            for name in {**written["rules"], **changes}
        }
        enabled = {name: options for name, options in expected.items() if options.get("enabled", True) is True}
        rules: dict[str, Any] = {rule.name: rule for rule in account.rules}
        assert rules.keys() == enabled.keys()
        if "daily_realized_loss" in rules:
            dollars = abs(float(enabled["daily_realized_loss"]["limit"]))
            assert rules["daily_realized_loss"].limit_micros == round(dollars * 1_000_000)
        if "max_contracts" in rules:
            assert rules["max_contracts"].limit == enabled["max_contracts"]["limit"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")))
def test_refuses_any_other_content(content: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = write(Path(directory))
        (path / "risk_config.yaml").write_bytes(content)
        assert _loaded(path) is None


def _loaded(directory: Path) -> GuardConfig | None:
    try:
        return load_config(directory, ENVIRONMENT)
    except ConfigInvalid as invalid:
        return None if invalid.faults and str(invalid) else _never()


def _never() -> NoReturn:
    raise AssertionError("refused without a reason")
