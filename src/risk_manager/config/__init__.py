"""Loads, validates and composes settings; turns them into rule objects."""

from risk_manager.config.credentials import Credentials, Secret
from risk_manager.config.effective import effective
from risk_manager.config.faults import ConfigInvalid, Fault
from risk_manager.config.guard_config import AccountConfig, AnchorConfig, GuardConfig, VenueConfig
from risk_manager.config.load import load_config
from risk_manager.config.trading_days import build_trading_days

__all__ = [
    "AccountConfig",
    "AnchorConfig",
    "ConfigInvalid",
    "Credentials",
    "Fault",
    "GuardConfig",
    "Secret",
    "VenueConfig",
    "build_trading_days",
    "effective",
    "load_config",
]
