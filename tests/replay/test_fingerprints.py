import re

from risk_manager.config import build_trading_days
from risk_manager.replay.fingerprints import CORE, of_calendar, of_code, of_days
from risk_manager.testing.events import DAYS
from tests.architecture.house import CORE as ROOMS


def test_covers_every_room_an_engine_is_made_of() -> None:
    assert sorted(CORE) == sorted(ROOMS)


def test_differs_with_what_decisions_depend_on() -> None:
    found = [
        of_code(),
        of_calendar(),
        of_days(DAYS),
        of_days(build_trading_days("17:00", "America/Chicago")),
        of_days(build_trading_days("16:00", "America/Chicago")),
    ]
    assert len(set(found)) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in found)
