"""The exchange calendar: data files with what is known of each market, and the tables the core works with.

`products.yaml` says which product trades where, `cme_*.yaml` when each group of products does. Files and time zones are
read when first asked for, so that a guard pays for what its rules use.
"""

from risk_manager.config.calendar.markets import MarketFileInvalid, build_calendar, running_out
from risk_manager.config.calendar.rules import prepare, zone_faults
from risk_manager.config.calendar.zones import build_zone

__all__ = ["MarketFileInvalid", "build_calendar", "build_zone", "prepare", "running_out", "zone_faults"]
