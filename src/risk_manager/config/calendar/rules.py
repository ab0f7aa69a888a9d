"""Which parts of the calendar an account's rules need."""

from collections.abc import Iterable

from risk_manager.config.calendar.zones import build_zone
from risk_manager.config.faults import suggestion
from risk_manager.domain.calendar import Calendar
from risk_manager.rules import Rule, schedules_of


def zone_faults(rule: Rule) -> tuple[str, ...]:
    """What is wrong with the time zones a rule names, one sentence each."""
    names = sorted({schedule.timezone for schedule in schedules_of(rule)})
    return tuple(fault for name in names if (fault := _zone_fault(name)))


def _zone_fault(name: str) -> str:
    try:
        build_zone(name)
    except (OSError, ValueError, LookupError):
        # Imported here: the list of all zones is read from disk, and needed for a mistake only.
        from zoneinfo import available_timezones

        near = suggestion(name, available_timezones())
        instead = near if near.startswith("did") else "write an IANA name such as America/Chicago"
        return f"{name} is not a known time zone; {instead}"
    return ""


def prepare(calendar: Calendar, rules: Iterable[Rule]) -> None:
    """Read now what the rules' schedules will ask for, so that no event has to wait for a file.

    Raises:
        ValueError: a rule names a time zone that does not exist.   MarketFileInvalid: a market file is broken.
    """
    for rule in rules:
        problems = zone_faults(rule)
        if problems:
            raise ValueError(f"{rule.name}: {'; '.join(problems)}")
        for schedule in schedules_of(rule):
            calendar.zone(schedule.timezone)
            calendar.market(schedule.market)
