"""The `schedule` kind of option: hours on a wall clock, as a trader writes them, and back.

`exchange` stands for the exchange's own sessions. Otherwise a mapping: one window as `start`, `end` and `days`, or a
list `windows` of them; `timezone`, `market`, `holidays`, `closed` (dates) and `early_close` (dates with a time). A
window's time is `HH:MM` (or `HH:MM:SS`), with `days` (Monday is 0) on which it starts; or both times with a weekday
(`Sun 17:00` to `Fri 16:00`). An end not later than the start lies on the next day.
"""

import re
from collections.abc import Mapping

from risk_manager.domain.calendar import Window
from risk_manager.domain.schedule import EarlyClose, Schedule
from risk_manager.domain.zone import DAY_S, WEEK_S, date_of_day, day_of_date
from risk_manager.rules._options.faults import Fault, Refused
from risk_manager.rules._options.values import read_bool, read_text, shown

MEANING = 'exchange, or a mapping such as {start: "09:30", end: "16:00", timezone: America/New_York}'

_WINDOW_KEYS = ("start", "end", "days")
_OTHER_KEYS = ("timezone", "market", "holidays", "closed", "early_close")
ALIASES = {
    "tz": "timezone",
    "allowed_days": "days",
    "respect_holidays": "holidays",
    "closed_dates": "closed",
    "early_closes": "early_close",
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"(?:([A-Za-z]{3,9}) +)?([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
_ZONE = re.compile(r"[A-Z][A-Za-z]+(?:[/_+-][A-Za-z0-9]+)*")
_WEEKDAYS = (0, 1, 2, 3, 4)
_EVENINGS = (0, 1, 2, 3, 6)
_FIXED_ZONES = {
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "ET": "America/New_York",
    "EST5EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "CT": "America/Chicago",
    "CST6CDT": "America/Chicago",
    "GMT": "Europe/London",
    "BST": "Europe/London",
    "CET": "Europe/Berlin",
    "CEST": "Europe/Berlin",
}


def read_schedule(value: object, path: str, faults: list[Fault]) -> Schedule | None:
    """The schedule; None if it could not be read, the reasons in `faults`."""
    before = len(faults)
    if value == "exchange":
        return Schedule()
    if not isinstance(value, Mapping):
        faults.append(Fault(path, f"must be {MEANING}, not {shown(value)}"))
        return None
    options = _named(value, path, faults)
    windows = _read_windows(options, path, faults)
    if windows and "timezone" not in options:
        faults.append(Fault(f"{path}.timezone", "is missing; write for example America/New_York"))
    settings: dict[str, object] = {"windows": windows}
    for key, (field, read) in _READERS.items():
        if key in options:
            try:
                settings[field] = read(options[key])
            except Refused as refused:
                faults.append(Fault(f"{path}.{key}", str(refused)))
    return Schedule(**settings) if len(faults) == before else None  # type: ignore[arg-type]  # each reader's own field


def _named(value: Mapping[object, object], path: str, faults: list[Fault]) -> dict[str, object]:
    """The options under their own names; unknown and repeated ones are faults."""
    known = ("windows", *_WINDOW_KEYS, *_OTHER_KEYS)
    options: dict[str, object] = {}
    for key, item in value.items():
        name = ALIASES.get(str(key), str(key))
        if name not in known:
            faults.append(Fault(f"{path}.{key}", f"is not known; a schedule has {', '.join(known)}"))
        elif name in options:
            faults.append(Fault(f"{path}.{key}", f"is said twice, also as {name}"))
        else:
            options[name] = item
    return options


# -- windows -----------------------------------------------------------------------------------------------------------


def _read_windows(options: dict[str, object], path: str, faults: list[Fault]) -> tuple[Window, ...]:
    """All windows in the order of their starts; none where none is given."""
    alone = {key: options[key] for key in _WINDOW_KEYS if key in options}
    listed = options.get("windows")
    if listed is None:
        return tuple(sorted(_read_window(alone, path, faults), key=_start)) if alone else ()
    if alone:
        faults.append(Fault(f"{path}.windows", f"cannot stand beside {', '.join(alone)}; put them into the list"))
        return ()
    if not isinstance(listed, list | tuple) or not listed:
        faults.append(Fault(f"{path}.windows", f"must be a list of windows, not {shown(listed)}"))
        return ()
    windows = [
        window for index, one in enumerate(listed) for window in _read_window(one, f"{path}.windows[{index}]", faults)
    ]
    return tuple(sorted(set(windows), key=_start))


def _start(window: Window) -> tuple[int, int]:
    return window.start_s, window.end_s


def _read_window(value: object, path: str, faults: list[Fault]) -> list[Window]:
    """One window on each of its days."""
    if not isinstance(value, Mapping):
        faults.append(Fault(path, f'must be a mapping such as {{start: "09:30", end: "16:00"}}, not {shown(value)}'))
        return []
    before = len(faults)
    unknown = [key for key in value if ALIASES.get(str(key), str(key)) not in _WINDOW_KEYS]
    faults.extend(Fault(f"{path}.{key}", f"is not known; a window has {', '.join(_WINDOW_KEYS)}") for key in unknown)
    times: list[tuple[int | None, int]] = []
    for key in ("start", "end"):
        try:
            times.append(_read_moment(value[key], may_be_midnight=key == "end"))
        except KeyError:
            faults.append(Fault(f"{path}.{key}", 'is missing; write for example "09:30"'))
        except Refused as refused:
            faults.append(Fault(f"{path}.{key}", str(refused)))
    days: tuple[int, ...] | None = None
    given = [key for key in value if ALIASES.get(str(key), str(key)) == "days"]
    if given:
        try:
            days = read_days(value[given[0]])
        except Refused as refused:
            faults.append(Fault(f"{path}.{given[0]}", str(refused)))
    if len(faults) > before:
        return []
    try:
        return _windows(times[0], times[1], days)
    except Refused as refused:
        faults.append(Fault(f"{path}.end", str(refused)))
        return []


def _windows(start: tuple[int | None, int], end: tuple[int | None, int], days: tuple[int, ...] | None) -> list[Window]:
    (start_day, start_s), (end_day, end_s) = start, end
    if (start_day is None) != (end_day is None):
        raise Refused("and start must both name a weekday, or neither")
    if start_day is not None and end_day is not None:
        if days is not None:
            raise Refused("names a weekday already; leave out days")
        first_s = start_day * DAY_S + start_s
        length_s = (end_day * DAY_S + end_s - first_s) % WEEK_S
        return [Window(first_s, first_s + (length_s or WEEK_S))]
    is_overnight = end_s <= start_s
    if days is None:
        days = _EVENINGS if is_overnight else _WEEKDAYS
    length_s = end_s - start_s + (DAY_S if is_overnight else 0)
    return [Window(day * DAY_S + start_s, day * DAY_S + start_s + length_s) for day in days]


def _read_moment(value: object, *, may_be_midnight: bool) -> tuple[int | None, int]:
    """(weekday or None, second of the day); 24:00 is allowed for an end."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Refused(f'must be a quoted 24-hour time such as "09:30" or "Sun 17:00", not {shown(value)}')
    name = match[1]
    day = None if name is None else _weekday(name)
    second = int(match[2]) * 3_600 + int(match[3]) * 60 + int(match[4] or 0)
    is_inside = second < DAY_S or (may_be_midnight and second == DAY_S)
    if not is_inside or int(match[3]) > 59 or int(match[4] or 0) > 59:
        raise Refused(f"is no time of day: {shown(value)}")
    return day, second


def read_time(value: object) -> int:
    """The second of the day of a time `HH:MM` or `HH:MM:SS`.

    Raises:
        Refused: it is no such time.
    """
    day, second = _read_moment(value, may_be_midnight=False)
    if day is not None:
        raise Refused(f"must be a time without a weekday, not {shown(value)}")
    return second


def _weekday(name: object) -> int:
    text = str(name).lower()
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    for index, (short, long) in enumerate(zip(_DAYS, full, strict=True)):
        if text.startswith(short) and long.startswith(text):
            return index
    raise Refused(f"is no weekday: {shown(name)}")


def read_days(value: object) -> tuple[int, ...]:
    """Weekdays, Monday is 0, each once and in order.

    Raises:
        Refused: the list is empty, or something in it is no weekday.
    """
    if not isinstance(value, list | tuple) or not value:
        raise Refused(f"must be a list of weekdays such as [0, 1, 2, 3, 4] (Monday is 0), not {shown(value)}")
    days: set[int] = set()
    for item in value:
        if isinstance(item, str):
            days.add(_weekday(item))
        elif isinstance(item, bool) or not isinstance(item, int) or not 0 <= item <= 6:
            hint = "; Monday is 0 and Sunday is 6, so a list that counts from 1 has to be lowered by one"
            raise Refused(f"holds {shown(item)}, which is no weekday" + (hint if item == 7 else " (0 to 6)"))
        else:
            days.add(item)
    return tuple(sorted(days))


# -- the rest ----------------------------------------------------------------------------------------------------------


def read_timezone(value: object) -> str:
    """An IANA name by its form; whether there is such a zone is checked where zones are known.

    Raises:
        Refused: it cannot be one, or it is an abbreviation that does not follow daylight saving time.
    """
    text = read_text(value)
    if text.upper() in _FIXED_ZONES:
        raise Refused(f"{text} does not follow daylight saving time; write {_FIXED_ZONES[text.upper()]}")
    if not _ZONE.fullmatch(text):
        raise Refused(f"must be an IANA name such as America/Chicago, not {shown(value)}")
    return text


def read_market(value: object) -> str:
    """A product root, in upper case, or the name of a group.

    Raises:
        Refused: it is no text.
    """
    text = read_text(value)
    return text if text.startswith("cme_") else text.upper()


def read_dates(value: object) -> tuple[int, ...]:
    """Dates as days since 1970-01-01, each once and in order.

    Raises:
        Refused: it is no list of dates.
    """
    if not isinstance(value, list | tuple):
        raise Refused(f'must be a list of dates such as ["2026-07-03"], not {shown(value)}')
    return tuple(sorted({read_date(item) for item in value}))


def read_date(value: object) -> int:
    """The day since 1970-01-01; a date a YAML reader has made an object of is taken as well.

    Raises:
        Refused: it is no date.
    """
    try:
        return day_of_date(str(value))
    except ValueError:
        raise Refused(f'must be a date such as "2026-07-03", not {shown(value)}') from None


def read_early_closes(value: object) -> tuple[EarlyClose, ...]:
    """Early closes, by date.

    Raises:
        Refused: it is no list of mappings with `date` and `time`.
    """
    wanted = 'must be a list such as [{date: "2026-11-27", time: "12:15"}]'
    if not isinstance(value, list | tuple):
        raise Refused(f"{wanted}, not {shown(value)}")
    closes: dict[int, EarlyClose] = {}
    for item in value:
        if not isinstance(item, Mapping) or set(item) != {"date", "time"}:
            raise Refused(f"{wanted}, not {shown(item)}")
        day = read_date(item["date"])
        if day in closes:
            raise Refused(f"has {date_of_day(day)} twice")
        closes[day] = EarlyClose(day, read_time(item["time"]))
    return tuple(closes[day] for day in sorted(closes))


_READERS = {
    "timezone": ("timezone", read_timezone),
    "market": ("market", read_market),
    "holidays": ("holidays", read_bool),
    "closed": ("closed_days", read_dates),
    "early_close": ("early_closes", read_early_closes),
}


def spelled_schedule(schedule: Schedule | None) -> object:
    """What `read_schedule` reads back."""
    if schedule is None:
        return None
    if schedule == Schedule():
        return "exchange"
    spelled: dict[str, object] = {}
    if schedule.windows:
        spelled["windows"] = [_spelled_window(window) for window in schedule.windows]
    spelled |= {"timezone": schedule.timezone, "market": schedule.market, "holidays": schedule.holidays}
    if schedule.closed_days:
        spelled["closed"] = [date_of_day(day) for day in schedule.closed_days]
    if schedule.early_closes:
        spelled["early_close"] = spelled_early_closes(schedule.early_closes)
    return spelled


def spelled_early_closes(closes: tuple[EarlyClose, ...]) -> list[dict[str, str]]:
    """What `read_early_closes` reads back."""
    return [{"date": date_of_day(one.day), "time": spelled_time(one.second)} for one in closes]


def _spelled_window(window: Window) -> dict[str, str]:
    return {"start": _spelled_moment(window.start_s), "end": _spelled_moment(window.end_s % WEEK_S)}


def _spelled_moment(second: int) -> str:
    return f"{_DAYS[second // DAY_S].capitalize()} {spelled_time(second % DAY_S)}"


def spelled_time(second: int) -> str:
    """A time of day as `HH:MM`, with seconds where there are some."""
    minutes, seconds = divmod(second, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}" + (f":{seconds:02d}" if seconds else "")
