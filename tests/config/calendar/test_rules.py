"""What rules need of the calendar: read before it is asked for, and refused where there is no such zone."""

from pathlib import Path

import pytest

from risk_manager.config import ConfigInvalid, load_config
from risk_manager.config.calendar import prepare, zone_faults
from risk_manager.config.calendar.markets import DIRECTORY, MarketTables, build_calendar
from risk_manager.domain.calendar import Calendar
from risk_manager.rules import Rule, build_rules
from tests.config.files import ENVIRONMENT, RISK, write

BERLIN = {"start": "15:30", "end": "22:00", "timezone": "Europe/Berlin"}


def session(timezone: str, **options: object) -> tuple[Rule, ...]:
    hours = {**BERLIN, "timezone": timezone}
    return build_rules({"session_block_outside": {"global_session": hours, **options}})


def test_reads_ahead_what_the_rules_will_ask_for() -> None:
    tables = MarketTables(DIRECTORY, frozenset(build_calendar().markets))
    prepare(Calendar(build_calendar().zones, tables, build_calendar().group_by_root), session("Europe/Berlin"))
    assert [market.name for market in tables.used()] == ["cme_equity"]


def test_reads_nothing_for_rules_without_hours() -> None:
    tables = MarketTables(DIRECTORY, frozenset(build_calendar().markets))
    prepare(Calendar(markets=tables), build_rules({"max_contracts": {"limit": 2}}))
    assert tables.used() == ()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("America/NewYork", "America/NewYork is not a known time zone; did you mean America/New_York?"),
        ("Mars/Olympus", "Mars/Olympus is not a known time zone; write an IANA name such as America/Chicago"),
    ],
)
def test_says_which_zone_is_none(name: str, fault: str) -> None:
    (rule,) = session(name)
    assert zone_faults(rule) == (fault,)
    with pytest.raises(ValueError, match="session_block_outside: "):
        prepare(build_calendar(), (rule,))


def test_finds_the_zones_of_products_and_of_rules_around_rules() -> None:
    (rule,) = session("Europe/Berlin", per_instrument_sessions={"ES": {**BERLIN, "timezone": "Europe/Paris2"}})
    assert len(zone_faults(rule)) == 1
    (both,) = session("Europe/Bonn", per_instrument_sessions={"ES": {**BERLIN, "timezone": "Europe/Paris2"}})
    with pytest.raises(ValueError, match=r"^session_block_outside: Europe/Bonn [^;]*; .*?; Europe/Paris2 "):
        prepare(build_calendar(), (both,))
    (scheduled,) = build_rules({"max_contracts": {"limit": 2, "schedule": {**BERLIN, "timezone": "Europe/Bonn"}}})
    assert len(zone_faults(scheduled)) == 1


def test_a_configuration_with_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    hours = '  session_block_outside:\n    global_session: {start: "09:30", end: "16:00", timezone: America/NewYork}\n'
    write(tmp_path, risk=RISK.replace("rules:\n", f"rules:\n{hours}"))
    with pytest.raises(ConfigInvalid, match="did you mean America/New_York") as invalid:
        load_config(tmp_path, ENVIRONMENT)
    assert [fault.path for fault in invalid.value.faults] == ["rules.session_block_outside"]
