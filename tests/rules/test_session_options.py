"""Options about sessions in their older, scattered spellings, and where they go."""

import copy
from typing import Any

import pytest

from risk_manager.rules._options import Fault
from risk_manager.rules._options.session import gathered_sessions

Options = dict[str, Any]

DAY: Options = {"start": "09:30", "end": "16:00"}
NIGHT: Options = {"start": "18:00", "end": "17:00"}


def gathered(options: Options) -> tuple[Options, list[str]]:
    faults: list[Fault] = []
    result = gathered_sessions(copy.deepcopy(options), faults)
    return result, [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("timezone", "timezone"),
        ("tz", "timezone"),
        ("market", "market"),
        ("respect_holidays", "holidays"),
        ("early_close", "early_close"),
        ("early_closes", "early_close"),
        ("closed_dates", "closed"),
        ("closed", "closed"),
    ],
)
def test_what_is_said_for_all_goes_into_each_session(key: str, name: str) -> None:
    options = {key: "x", "per_instrument_sessions": {"ES": {}}, "action": "alert"}
    sessions = {"global_session": {name: "x"}, "per_instrument_sessions": {"ES": {name: "x"}}, "action": "alert"}
    assert gathered(options) == (sessions, [])


@pytest.mark.parametrize(
    ("options", "result"),
    [
        ({}, {}),
        ({"global_session": "exchange"}, {"global_session": "exchange"}),
        ({"global_session": "exchange", "tz": "UTC"}, {"global_session": {"timezone": "UTC"}}),
        ({"global_session": 5, "tz": "UTC"}, {"global_session": 5}),
        # What a session says itself stays, however it spells it.
        ({"global_session": {"tz": "A"}, "timezone": "B"}, {"global_session": {"tz": "A"}}),
        (
            {"global_session": {"respect_holidays": True}, "respect_holidays": False, "market": "ES"},
            {"global_session": {"respect_holidays": True, "market": "ES"}},
        ),
        # A product's session without a time zone takes the global one's.
        (
            {
                "global_session": {**DAY, "timezone": "A"},
                "per_instrument_sessions": {"ES": DAY, "NQ": {**DAY, "timezone": "B"}, "CL": 5},
            },
            {
                "global_session": {**DAY, "timezone": "A"},
                "per_instrument_sessions": {"ES": {**DAY, "timezone": "A"}, "NQ": {**DAY, "timezone": "B"}, "CL": 5},
            },
        ),
        (
            {"global_session": {"market": "GC", "timezone": "A"}, "tz": "B", "per_instrument_sessions": {"ES": {}}},
            {"global_session": {"market": "GC", "timezone": "A"}, "per_instrument_sessions": {"ES": {"timezone": "A"}}},
        ),
        ({"per_instrument_sessions": {"ES": DAY}}, {"per_instrument_sessions": {"ES": DAY}}),
        ({"per_instrument_sessions": ["ES"]}, {"per_instrument_sessions": ["ES"]}),
    ],
)
def test_moves_what_is_scattered(options: Options, result: Options) -> None:
    assert gathered(options) == (result, [])


@pytest.mark.parametrize(
    ("widened", "session"),
    [
        ({"pre_market": {"start": "04:00"}}, {"start": "04:00", "end": "16:00"}),
        ({"after_hours": {"enabled": True, "end": "20:00"}}, {"start": "09:30", "end": "20:00"}),
        ({"pre_market": None, "after_hours": {"end": "20:00"}}, {"start": "09:30", "end": "20:00"}),
        ({"pre_market": {"enabled": False, "start": "04:00"}}, DAY),
        ({"pre_market": {"enabled": False}, "after_hours": {"end": "20:00"}}, {"start": "09:30", "end": "20:00"}),
    ],
)
def test_widens_the_global_session(widened: Options, session: Options) -> None:
    assert gathered({"global_session": DAY, **widened}) == ({"global_session": session}, [])


@pytest.mark.parametrize(
    ("options", "faults"),
    [
        ({"pre_market": 5}, ['pre_market: must be a mapping such as {enabled: true, start: "04:00"}']),
        ({"after_hours": {"enabled": 1}}, ['after_hours: must be a mapping such as {enabled: true, end: "04:00"}']),
        ({"pre_market": {"end": "04:00"}}, ["pre_market: must say start, and nothing else but enabled"]),
        ({"pre_market": {"start": "04:00", "x": 1}}, ["pre_market: must say start, and nothing else but enabled"]),
        ({"after_hours": {"start": "20:00"}}, ["after_hours: must say end, and nothing else but enabled"]),
        (
            {"global_session": {}, "pre_market": {"start": "04:00"}},
            ["pre_market: widens a global_session with start and end; give it one"],
        ),
        (
            {"global_session": "exchange", "after_hours": {"end": "20:00"}},
            ["after_hours: widens a global_session with start and end; give it one"],
        ),
        ({"block_weekends": "yes"}, ["block_weekends: must be true or false, not 'yes'"]),
        (
            {"allowed_days": [9], "block_weekends": 1},
            [
                "allowed_days: holds 9, which is no weekday (0 to 6)",
                "block_weekends: must be true or false, not 1",
            ],
        ),
        (
            {"global_session": {}, "allowed_days": [0], "per_instrument_sessions": {"ES": {}, "NQ": DAY}},
            [
                "global_session: has allowed_days but no hours; say start and end",
                "per_instrument_sessions.ES: has allowed_days but no hours; say start and end",
            ],
        ),
        ({"allowed_days": [0], "global_session": {"days": [1]}}, []),
        ({"block_weekends": True, "global_session": {}}, []),
    ],
)
def test_says_what_makes_no_sense(options: Options, faults: list[str]) -> None:
    assert gathered({"global_session": DAY, **options})[1] == faults


@pytest.mark.parametrize(
    ("options", "window", "days"),
    [
        ({}, DAY, None),
        ({"allowed_days": ["mon", 4]}, DAY, [0, 4]),
        ({"allowed_days": [0, 5, 6]}, DAY, [0, 5, 6]),
        ({"allowed_days": [0, 5, 6], "block_weekends": True}, DAY, [0]),
        ({"allowed_days": [0, 5, 6], "block_weekends": False}, DAY, [0, 5, 6]),
        # A window that starts on Sunday evening and ends on Monday belongs to the week.
        ({"allowed_days": [0, 5, 6], "block_weekends": True}, NIGHT, [0, 6]),
        ({"allowed_days": [5, 6], "block_weekends": True}, {"start": "17:00", "end": "17:00"}, [6]),
        ({"block_weekends": True}, DAY, None),
        ({"block_weekends": False}, DAY, [0, 1, 2, 3, 4, 5, 6]),
        ({"allowed_days": [0]}, {**DAY, "days": [3]}, [3]),
        ({"allowed_days": [0]}, {"start": "Mon 09:30", "end": "Fri 16:00"}, None),
        ({"allowed_days": [0]}, {"start": "09:30"}, [0]),
        ({"allowed_days": [0]}, {"end": "16:00"}, [0]),
    ],
)
def test_gives_a_window_its_days(options: Options, window: Options, days: list[int] | None) -> None:
    whole = {**window} if days is None else {**window, "days": days}
    assert gathered({"global_session": window, **options}) == ({"global_session": whole}, [])
    listed = {"windows": [window, 5], "market": "ES"}
    assert gathered({"global_session": listed, **options}) == (
        {"global_session": {"windows": [whole, 5], "market": "ES"}},
        [],
    )
    products = {"ES": window, "NQ": (window,)}
    assert gathered({"global_session": DAY, "per_instrument_sessions": products, **options})[0][
        "per_instrument_sessions"
    ] == {"ES": whole, "NQ": (window,)}


def test_leaves_what_it_was_given_alone() -> None:
    session, product, window = dict(DAY), dict(DAY), dict(DAY)
    options: Options = {
        "global_session": {"windows": (window,)},
        "per_instrument_sessions": {"ES": product},
        "allowed_days": [0],
        "tz": "UTC",
    }
    gathered_sessions({**options, "global_session": session}, [])
    gathered_sessions(dict(options), [])
    assert (session, product, window) == (DAY, DAY, DAY)
