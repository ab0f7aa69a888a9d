"""Options about sessions in their older, scattered spellings, made part of the sessions they are about."""

from collections.abc import Mapping
from typing import Any

from risk_manager.rules._options.faults import Fault, Refused
from risk_manager.rules._options.schedule import ALIASES, read_days
from risk_manager.rules._options.values import shown

_COMMON = {
    "timezone": "timezone",
    "tz": "timezone",
    "market": "market",
    "respect_holidays": "holidays",
    "early_close": "early_close",
    "early_closes": "early_close",
    "closed_dates": "closed",
    "closed": "closed",
}
_SATURDAY, _SUNDAY = 5, 6


def gathered_sessions(options: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The options with everything that is about sessions moved into `global_session` and `per_instrument_sessions`.

    What a session says itself stays; a product's session without a time zone takes the global one's.
    """
    common: dict[str, Any] = {_COMMON[key]: options.pop(key) for key in _COMMON if key in options}
    widened: dict[str, Any] = {key: options.pop(key) for key in ("pre_market", "after_hours") if key in options}
    days = _Days(options, faults)
    session = options.get("global_session", "exchange")
    if session == "exchange" and (common or widened or days.are_given):
        session = {}
    if isinstance(session, Mapping):
        session = _widened(dict(session), widened, faults)
        options["global_session"] = session = _completed(session, common, days, "global_session")
    products = options.get("per_instrument_sessions")
    if isinstance(products, Mapping):
        if isinstance(session, Mapping) and "timezone" in session:
            common = {**common, "timezone": session["timezone"]}
        options["per_instrument_sessions"] = {
            name: _completed(dict(one), common, days, f"per_instrument_sessions.{name}")
            if isinstance(one, Mapping)
            else one
            for name, one in products.items()
        }
    return options


class _Days:
    """`allowed_days` and `block_weekends`: the days a window starts on that does not say so itself."""

    def __init__(self, options: dict[str, Any], faults: list[Fault]) -> None:
        self._faults = faults
        self._days: tuple[int, ...] | None = None
        self.are_given = "allowed_days" in options or "block_weekends" in options
        if "allowed_days" in options:
            try:
                self._days = read_days(options.pop("allowed_days"))
            except Refused as refused:
                faults.append(Fault("allowed_days", str(refused)))
        self._blocks_weekends = options.pop("block_weekends", None)
        if not isinstance(self._blocks_weekends, bool | None):
            faults.append(Fault("block_weekends", f"must be true or false, not {shown(self._blocks_weekends)}"))

    def into(self, window: dict[str, Any]) -> dict[str, Any]:
        """The window with its days; one that names weekdays, or has days, is left alone."""
        start, end = str(window.get("start", "")), str(window.get("end", ""))
        if not self.are_given or "days" in window or " " in start:
            return window
        days = self._days
        if days is None:
            days = tuple(range(7)) if self._blocks_weekends is False else None
        elif self._blocks_weekends is True:
            # A window that starts on Sunday evening and ends on Monday belongs to the week.
            is_overnight = end <= start
            days = tuple(day for day in days if day != _SATURDAY and (day != _SUNDAY or is_overnight))
        return window if days is None else {**window, "days": list(days)}

    def without_hours(self, path: str) -> None:
        """Days were given for a session that has no hours of its own."""
        if self._days is not None:
            self._faults.append(Fault(path, "has allowed_days but no hours; say start and end"))


def _completed(session: dict[str, Any], common: dict[str, Any], days: _Days, path: str) -> dict[str, Any]:
    """A session with what is said for all sessions, where it says nothing itself."""
    own = {ALIASES.get(key, key) for key in session}
    session.update({key: value for key, value in common.items() if key not in own})
    windows = session.get("windows")
    if isinstance(windows, list | tuple):
        session["windows"] = [days.into(dict(one)) if isinstance(one, Mapping) else one for one in windows]
    elif own & {"start", "end"}:
        session = days.into(session)
    elif not own & {"days"}:
        days.without_hours(path)
    return session


def _widened(session: dict[str, Any], widened: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """The session with an earlier start before the market and a later end after it."""
    for key, edge in (("pre_market", "start"), ("after_hours", "end")):
        part = widened.get(key)
        if part is None:
            continue
        if not isinstance(part, Mapping) or not isinstance(part.get("enabled", True), bool):
            faults.append(Fault(key, f'must be a mapping such as {{enabled: true, {edge}: "04:00"}}'))
        elif part.get("enabled", True):
            if edge not in part or set(part) - {"enabled", edge}:
                faults.append(Fault(key, f"must say {edge}, and nothing else but enabled"))
            elif edge not in session:
                faults.append(Fault(key, "widens a global_session with start and end; give it one"))
            else:
                session[edge] = part[edge]
    return session
