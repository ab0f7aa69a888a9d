"""Measured numbers as people read them: money in dollars, everything else as it is."""

from risk_manager.domain.finding import Unit
from risk_manager.domain.instrument import MICROS_PER_USD


def amount(value: int, unit: Unit) -> float:
    """The number in `unit_name(unit)`."""
    return value / MICROS_PER_USD if unit is Unit.MICROS else value


def unit_name(unit: Unit) -> str:
    """What `amount` counts in: `usd` for money."""
    return "usd" if unit is Unit.MICROS else unit.value
