"""From the market files to the calendar of the core."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_manager.config.calendar.holidays import usual_holidays
from risk_manager.config.calendar.zones import ZoneTables, build_zone
from risk_manager.config.trading_days import FIRST_YEAR, LAST_YEAR
from risk_manager.domain.calendar import WARNING_NS, Calendar, Market, Week, Window
from risk_manager.domain.zone import DAY_S, SECOND_NS, WEEK_S, Zone, date_of_day, day_of_date, monday_of, weekday_of

DIRECTORY = Path(__file__).parent
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WINDOW = re.compile(r"(\w{3}) ([0-9]{2}):([0-9]{2}) - (\w{3}) ([0-9]{2}):([0-9]{2})")
_DEVIATION = re.compile(
    r"(?:(?P<closed>closed)|(?:opens (?P<opens>[0-9:]{5}))?(?:, )?(?:closes (?P<closes>[0-9:]{5}))?)"
    r" \[(?P<sources>[a-z_, ]+)\] (?P<name>\S.*)"
)
_KEYS = {"group", "timezone", "covers", "holidays_beyond", "sources", "week", "days"}

Interval = tuple[int, int]


class MarketFileInvalid(ValueError):
    """A market file is not as it should be; the message says where and what."""


@cache
def build_calendar() -> Calendar:
    """All time zones and markets; each is read when first asked for.

    Raises:
        MarketFileInvalid: the list of products is broken; a broken market file says so when it is read.
    """
    groups = _loaded(DIRECTORY / "products.yaml")
    by_root = {
        name: group for group, products in groups.items() for product in products.split() for name in product.split("/")
    }
    return Calendar(ZoneTables(), MarketTables(DIRECTORY, frozenset(groups)), by_root)


def running_out(calendar: Calendar, at_ns: int) -> tuple[str, ...]:
    """A sentence for every market in use whose data ends within 60 days, or has ended."""
    markets = calendar.markets
    used = markets.used() if isinstance(markets, MarketTables) else tuple(markets.values())
    return tuple(_ending(market, at_ns) for market in used if at_ns >= market.known_until_ns - WARNING_NS)


def _ending(market: Market, at_ns: int) -> str:
    last_day = date_of_day(market.zone.wall_ns(market.known_until_ns - 1) // (DAY_S * SECOND_NS))
    if at_ns < market.known_until_ns:
        return f"the calendar {market.name} ends on {last_day}: install a newer version before that"
    return f"the calendar {market.name} ended on {last_day}: usual holidays are now taken for closed all day"


class MarketTables(Mapping[str, Market]):
    """The markets of a directory, each read when first asked for."""

    def __init__(self, directory: Path, groups: frozenset[str]) -> None:
        self._directory = directory
        self._groups = groups
        self._read: dict[str, Market] = {}

    def __getitem__(self, group: str) -> Market:
        known = self._read.get(group)
        if known is None:
            if group not in self._groups:
                raise KeyError(group)
            known = self._read[group] = read_market(self._directory / f"{group}.yaml")
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._groups))

    def __len__(self) -> int:
        return len(self._groups)

    def used(self) -> tuple[Market, ...]:
        """The markets that have been asked for."""
        return tuple(self._read[group] for group in sorted(self._read))


# -- one file ----------------------------------------------------------------------------------------------------------


def read_market(path: Path) -> Market:
    """The market a file describes.

    Raises:
        MarketFileInvalid: something in it is missing, unknown or impossible.
    """
    data = _loaded(path)
    try:
        return _market(data)
    except (KeyError, ValueError, TypeError, AssertionError) as error:
        raise MarketFileInvalid(f"{path.name}: {error!r}") from error


def _loaded(path: Path) -> dict[str, Any]:
    try:
        data = YAML(typ="safe", pure=True).load(path)
    except (OSError, ValueError, YAMLError) as error:
        raise MarketFileInvalid(f"{path.name}: {error}") from error
    if not isinstance(data, dict):
        raise MarketFileInvalid(f"{path.name}: is no mapping")
    return data


def _market(data: dict[str, Any]) -> Market:
    if set(data) != _KEYS or data["holidays_beyond"] not in ("us", "none"):
        raise ValueError(f"has {sorted(data)}, must have {sorted(_KEYS)}")
    zone = build_zone(data["timezone"])
    weeks = tuple(Week(_day(week["from"]), _windows(week["windows"])) for week in data["week"])
    first, last = (_day(text) for text in data["covers"])
    closures = [
        closure
        for key, text in data["days"].items()
        for closure in _deviation(_inside(_day(key), first, last), text, set(data["sources"]), weeks, zone)
    ]
    if data["holidays_beyond"] == "us":
        beyond = (_day(one) for year in range(FIRST_YEAR, LAST_YEAR + 1) for one in usual_holidays(year))
        for day in beyond:
            if not first <= day <= last:
                closures.extend(_sessions_of(day, weeks, zone))
    closures.sort()
    return Market(
        data["group"],
        zone,
        weeks,
        tuple(start_ns for start_ns, _ in closures),
        tuple(end_ns for _, end_ns in closures),
        zone.instant_ns(first * DAY_S * SECOND_NS),
        zone.instant_ns((last + 1) * DAY_S * SECOND_NS),
    )


def _day(value: object) -> int:
    return day_of_date(str(value))


def _inside(day: int, first: int, last: int) -> int:
    if not first <= day <= last:
        raise ValueError(f"{date_of_day(day)} is not covered")
    return day


def _windows(texts: list[str]) -> tuple[Window, ...]:
    return tuple(sorted(map(_window, texts), key=lambda window: window.start_s))


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise ValueError(f"no window: {text}")
    start_s = _DAYS.index(match[1]) * DAY_S + int(match[2]) * 3_600 + int(match[3]) * 60
    end_s = _DAYS.index(match[4]) * DAY_S + int(match[5]) * 3_600 + int(match[6]) * 60
    return Window(start_s, end_s if end_s > start_s else end_s + WEEK_S)


def _deviation(day: int, text: str, sources: set[str], weeks: tuple[Week, ...], zone: Zone) -> list[Interval]:
    """What of the sessions that end on a day is closed."""
    match = _DEVIATION.fullmatch(text)
    where = date_of_day(day)
    if match is None or not {one.strip() for one in match["sources"].split(",")} <= sources:
        raise ValueError(f"{where}: cannot be read: {text}")
    sessions = list(_sessions_of(day, weeks, zone))
    if not sessions:
        raise ValueError(f"{where}: no session ends on that day")
    if match["closed"]:
        return sessions
    opens_ns = _at(day, match["opens"], zone) if match["opens"] else sessions[0][0]
    closes_ns = _at(day, match["closes"], zone) if match["closes"] else sessions[-1][1]
    if not sessions[0][0] <= opens_ns < closes_ns <= sessions[-1][1]:
        raise ValueError(f"{where}: lies outside the usual sessions: {text}")
    cuts = [(start_ns, min(end_ns, opens_ns)) for start_ns, end_ns in sessions]
    cuts += [(max(start_ns, closes_ns), end_ns) for start_ns, end_ns in sessions]
    return [(start_ns, end_ns) for start_ns, end_ns in cuts if start_ns < end_ns]


def _at(day: int, text: str, zone: Zone) -> int:
    hour, minute = text.split(":")
    return zone.instant_ns((day * DAY_S + int(hour) * 3_600 + int(minute) * 60) * SECOND_NS)


def _sessions_of(day: int, weeks: tuple[Week, ...], zone: Zone) -> Iterator[Interval]:
    """The usual sessions that end on a day."""
    monday = monday_of(day * DAY_S * SECOND_NS)
    for index, week in enumerate(weeks):
        until_day = weeks[index + 1].from_day if index + 1 < len(weeks) else None
        for window in week.windows:
            if window.end_s % WEEK_S // DAY_S != weekday_of(day):
                continue
            end_s = monday * DAY_S + window.end_s % WEEK_S
            start_s = end_s - (window.end_s - window.start_s)
            if start_s >= week.from_day * DAY_S and (until_day is None or start_s < until_day * DAY_S):
                yield zone.instant_ns(start_s * SECOND_NS), zone.instant_ns(end_s * SECOND_NS)
