"""Each run reads the calendar itself, whatever an earlier run in the same process has kept."""

import pytest

from risk_manager.config.calendar import build_calendar, build_zone
from risk_manager.config.trading_days import build_trading_days


@pytest.fixture(scope="session", autouse=True)
def _nothing_read_yet() -> None:
    for cached in (build_calendar, build_zone, build_trading_days):
        cached.cache_clear()
