"""A user's own rules: from files named in the configuration, and from installed packages."""

import os
import shutil
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.config import ConfigInvalid, GuardConfig, custom_rules, load_config
from risk_manager.config.custom_rules import protocol_faults
from risk_manager.domain.events import QuoteUpdated
from risk_manager.rules import MaxContracts, options_of
from risk_manager.testing.events import ES
from risk_manager.testing.guarded import Guarded
from tests.config.files import ENVIRONMENT, write

EXAMPLE = Path(__file__).parents[2] / "examples" / "no_adding_to_losers.py"
RISK = "custom_rules: [mine.py]\nrules:\n  no_adding_to_losers: {from_loss: 50, warn_at: [50]}\n"


def load(directory: Path, code: str | None = None, risk: str = RISK) -> GuardConfig:
    write(directory, risk=risk)
    if code is None:
        shutil.copyfile(EXAMPLE, directory / "mine.py")
    else:
        (directory / "mine.py").write_text(code, encoding="utf-8")
    return load_config(directory, ENVIRONMENT)


def faults(directory: Path, code: str | None = None, risk: str = RISK) -> str:
    with pytest.raises(ConfigInvalid) as raised:
        load(directory, code, risk)
    return str(raised.value)


def test_loads_the_example_and_reads_its_section_as_any_other(tmp_path: Path) -> None:
    (rule,) = load(tmp_path).accounts[0].rules
    assert options_of(rule) == {"from_loss": 50, "action": "reduce_to_limit", "warn_at": [50]}


def test_the_example_takes_off_what_was_added_to_a_loser(tmp_path: Path) -> None:
    (rule,) = load(tmp_path).accounts[0].rules
    guarded = Guarded(rule)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 2, 5800), venue.buys(ES, 1, 5800))
    venue.wait(1)
    guarded.feed(venue.quote(ES, 5799.75))
    assert [one.code for one in guarded.warnings] == ["NO_ADDING_TO_LOSERS_50_PCT"]
    guarded.feed(venue.quote(ES, 5799))
    assert guarded.codes == []
    guarded.feed(venue.buys(ES, 1, 5799))
    (breach,) = guarded.breaches
    assert (breach.code, breach.measured, breach.limit) == ("ADDED_TO_LOSER", 4, 3)
    assert guarded.actions != []


def test_reads_the_same_file_once(tmp_path: Path) -> None:
    assert type(load(tmp_path).accounts[0].rules[0]) is type(load(tmp_path).accounts[1].rules[0])
    assert load(tmp_path).rule_classes["no_adding_to_losers"] is load(tmp_path).rule_classes["no_adding_to_losers"]


def test_takes_other_code_for_another_rule(tmp_path: Path) -> None:
    before = load(tmp_path).rule_classes["no_adding_to_losers"]
    after = load(tmp_path, EXAMPLE.read_text(encoding="utf-8") + "\n# changed\n").rule_classes["no_adding_to_losers"]
    assert before is not after


@pytest.mark.parametrize(
    "section",
    [
        "no_adding_to_losers: {from_loss: 50}",
        "mine: {rule: no_adding_to_losers, from_loss: 50, warn_at: [50]}",
        "mine: {all_of: [{rule: max_contracts, limit: 5}, {rule: no_adding_to_losers, from_loss: 50}]}",
    ],
)
def test_other_code_is_another_revision_where_it_is_in_force(tmp_path: Path, section: str) -> None:
    code = EXAMPLE.read_text(encoding="utf-8")
    risk = f"custom_rules: [mine.py]\nrules:\n  {section}\n"
    before = load(tmp_path, code, risk).revision
    assert load(tmp_path, code, risk).revision == before
    assert load(tmp_path, code + "\n# changed\n", risk).revision != before


def test_other_code_of_a_rule_nobody_uses_changes_no_revision(tmp_path: Path) -> None:
    code = EXAMPLE.read_text(encoding="utf-8")
    rules = "rules:\n  max_contracts: {limit: 5}\n"
    before = load(tmp_path, code, f"custom_rules: [mine.py]\n{rules}").revision
    assert load(tmp_path, code + "\n# changed\n", f"custom_rules: [mine.py]\n{rules}").revision == before
    assert load(tmp_path, code, rules).revision == before


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise ValueError('oops')", "mine.py cannot be imported: ValueError: oops"),
        ("import nothing_of_that_name", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("raise GeneratorExit", "cannot be imported: GeneratorExit"),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("limit = 5", "mine.py holds no rule; a rule has step and listens_to"),
    ],
)
def test_says_what_is_wrong_with_a_file(tmp_path: Path, code: str, problem: str) -> None:
    text = faults(tmp_path, code)
    assert problem in text
    assert "risk_config.yaml, line 1, column 16, custom_rules[0]: " in text


def test_says_when_a_file_is_missing(tmp_path: Path) -> None:
    assert "none.py cannot be read: No such file" in faults(tmp_path, risk=RISK.replace("mine.py", "none.py"))


def test_says_when_a_name_is_taken(tmp_path: Path) -> None:
    code = EXAMPLE.read_text(encoding="utf-8").replace('"no_adding_to_losers"', '"max_contracts"')
    assert "max_contracts is the name of a rule already; call it otherwise" in faults(tmp_path, code)
    twice = RISK.replace("[mine.py]", "[mine.py, ./mine.py]")
    assert "custom_rules[1]: no_adding_to_losers is the name of a rule already" in faults(tmp_path, risk=twice)


def test_reports_faults_of_the_options_as_of_any_rule(tmp_path: Path) -> None:
    risk = RISK.replace("from_loss: 50", "from_los: 50")
    assert "rules.no_adding_to_losers.from_los: is not known; did you mean from_loss?" in faults(tmp_path, risk=risk)


CUTOFF = """
import msgspec
from typing import ClassVar
from risk_manager.rules import Demand, Remedy

class Cutoff(msgspec.Struct, frozen=True, kw_only=True):
    name: ClassVar[str] = "cutoff"
    listens_to: ClassVar[frozenset] = frozenset()
    example: ClassVar[dict] = {"action": "flatten"}
    action: str = "flatten"

    @property
    def remedy(self): return Remedy(Demand(self.action))
    def initial_state(self): return None
    def deadline_ns(self, state): return None
    def gauges(self, state, account): return ()
    def step(self, state, event, account): return state, ()
"""
TOUCHY = (
    CUTOFF
    + """
    def __post_init__(self):
        if self.action == "close_all": raise KeyError(self.action)
"""
)
LEAVING = TOUCHY.replace("KeyError", "SystemExit")
FAILS = "ValueError: 'close_all' is not a valid Demand"


@pytest.mark.parametrize(
    ("code", "section", "problem"),
    [
        (CUTOFF, "cutoff: {action: close_all}", f"rules.cutoff: fails before the first event: {FAILS}"),
        (CUTOFF, "cutoff: {action: close_all, warn_at: [50]}", f"rules.cutoff: fails before the first event: {FAILS}"),
        (CUTOFF, "mine: {rule: cutoff, action: close_all}", f"rules.mine: fails before the first event: {FAILS}"),
        (
            CUTOFF,
            "mine: {any_of: [{rule: cutoff, action: close_all}, {rule: max_contracts, limit: 2}]}",
            f"rules.mine: cannot be built: {FAILS}",
        ),
        (TOUCHY, "cutoff: {action: close_all}", "rules.cutoff: cannot be built: KeyError: 'close_all'"),
        (LEAVING, "cutoff: {action: close_all}", "rules.cutoff: cannot be built: SystemExit: close_all"),
    ],
)
def test_tries_a_rule_with_the_options_it_is_given(tmp_path: Path, code: str, section: str, problem: str) -> None:
    text = faults(tmp_path, code, f"custom_rules: [mine.py]\nrules:\n  {section}\n")
    assert text.splitlines()[1:] == [f"  risk_config.yaml, line 3, column 3, {problem}"]


def test_tries_a_rule_with_the_options_of_each_account(tmp_path: Path) -> None:
    risk = "custom_rules: [mine.py]\nrules:\n  cutoff: {}\noverrides:\n  combine:\n    cutoff: {action: close_all}\n"
    text = faults(tmp_path, CUTOFF, risk)
    place = "risk_config.yaml, line 6, column 5, overrides.combine.cutoff"
    assert text.splitlines()[1:] == [f"  {place}: fails before the first event: {FAILS}"]


def test_a_disabled_rule_may_fail_with_its_options(tmp_path: Path) -> None:
    config = load(tmp_path, CUTOFF, "custom_rules: [mine.py]\nrules:\n  cutoff: {action: close_all, enabled: false}\n")
    assert config.accounts[0].rules == ()


def test_refuses_a_file_that_everybody_may_change(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "mine.py").chmod(0o666)
    with pytest.raises(ConfigInvalid, match="can be changed by everybody; a rule's code must be as safe"):
        load_config(tmp_path, ENVIRONMENT)


def test_refuses_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(tmp_path)
    theirs = os.stat_result((0o100644, 0, 0, 1, 4711, 0, 0, 0, 0, 0))
    kept = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **how: theirs if self.name == "mine.py" else kept(self, **how))
    with pytest.raises(ConfigInvalid, match="belongs to another user than the configuration"):
        load_config(tmp_path, ENVIRONMENT)


class Sound(MaxContracts, frozen=True, kw_only=True):
    name: ClassVar[str] = "sound"


class TestProtocol:
    """Whatever a class does wrong is said before it guards anything."""

    def faults(self, **members: Any) -> str:
        made = msgspec.defstruct("Bad", [], bases=(Sound,), namespace=members, frozen=True, kw_only=True)
        return "; ".join(protocol_faults(made))

    def test_finds_nothing_wrong_with_a_rule(self) -> None:
        assert self.faults() == ""

    @pytest.mark.parametrize(
        ("members", "problem"),
        [
            ({"name": "Bad Name"}, "needs a `name` of letters"),
            ({"name": 5}, "needs a `name` of letters"),
            ({"listens_to": {QuoteUpdated}}, "needs `listens_to`, a frozenset of event types"),
            ({"listens_to": frozenset({int})}, "needs `listens_to`"),
            ({"step": None, "gauges": 5}, "has no step, gauges"),
            ({"initial_state": lambda self: object()}, "fails before the first event: TypeError"),
            ({"initial_state": lambda self: 7}, "needs a state that is a frozen msgspec.Struct, or None"),
            ({"deadline_ns": lambda self, state: 1.5}, "needs a deadline in whole nanoseconds or None, not 1.5"),
            ({"remedy": property(lambda self: 1 // 0)}, "fails before the first event: ZeroDivisionError"),
            ({"example": {"limit": 0}}, "cannot be built of its `example`"),
            ({"__post_init__": lambda self: 1 // 0}, "cannot be built of its `example`: integer division"),
        ],
    )
    def test_says_what_is_wrong(self, members: dict[str, Any], problem: str) -> None:
        assert problem in self.faults(**members)

    def test_wants_a_frozen_struct(self) -> None:
        assert protocol_faults(object) == ("is no msgspec.Struct",)

        class Loose(msgspec.Struct):
            pass

        assert protocol_faults(Loose)[0].startswith("is not frozen")

    def test_wants_settings_that_can_be_written(self) -> None:
        class Odd(msgspec.Struct, frozen=True):
            name: ClassVar[str] = "odd"
            listens_to: ClassVar[frozenset[type]] = frozenset()
            remedy: ClassVar[object] = None
            ratio: float = 1.5

            def initial_state(self) -> None: ...
            def step(self) -> None: ...
            def deadline_ns(self) -> None: ...
            def gauges(self) -> None: ...

        (problem,) = protocol_faults(Odd)
        assert problem.startswith("has a setting that cannot be an option")


class TestInstalled:
    """Rules of installed packages, found by their entry points when a section asks for them."""

    @pytest.fixture
    def offered(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        asked: list[str] = []

        def entries(*, group: str, name: str) -> EntryPoints:
            asked.append(name)
            at = {
                "sound": "tests.config.test_custom_rules:Sound",
                "gone": "no_such_module:Rule",
                "other": __name__ + ":Sound",
            }
            return EntryPoints([EntryPoint(name, at[name], group)] if name in at else [])

        monkeypatch.setattr(custom_rules, "entry_points", entries)
        return asked

    def test_are_imported_only_when_a_section_asks(self, tmp_path: Path, offered: list[str]) -> None:
        load(tmp_path, risk="rules:\n  max_contracts: {limit: 5}\n")
        assert offered == []

    @pytest.mark.parametrize(
        "section",
        [
            "sound: {limit: 5}",
            "mine: {rule: sound, limit: 5}",
            "mine: {all_of: [{rule: sound, limit: 5}, {not: {rule: sound, limit: 9}}]}",
        ],
    )
    def test_are_rules_like_any_other(self, tmp_path: Path, offered: list[str], section: str) -> None:
        (rule,) = load(tmp_path, risk=f"rules:\n  {section}\n").accounts[0].rules
        assert rule.name in section
        assert offered == ["sound"]

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("gone", "the installed rule no_such_module:Rule cannot be imported: ModuleNotFoundError"),
            ("other", "calls itself sound"),
            ("max_contract", "is not known; did you mean max_contracts?"),
        ],
    )
    def test_are_reported_where_they_are_asked_for(
        self, tmp_path: Path, offered: list[str], name: str, problem: str
    ) -> None:
        text = faults(tmp_path, risk=f"rules:\n  {name}: {{limit: 5}}\n")
        assert problem in text
        assert f"line 2, column 3, rules.{name}" in text
