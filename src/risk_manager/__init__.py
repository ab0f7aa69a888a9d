"""The guard that keeps futures traders from blowing up their accounts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from risk_manager.runtime.risk_manager import AiUnavailable, RiskManager

__all__ = ["AiUnavailable", "RiskManager"]


def __getattr__(name: str) -> object:
    """Load the daemon's parts only for who asks for them: `trader status` must start in an instant."""
    if name in __all__:
        from risk_manager.runtime import risk_manager

        return getattr(risk_manager, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
