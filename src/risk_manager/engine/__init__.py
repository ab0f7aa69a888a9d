"""One account as a function of its events: fold, rules, lockouts, plan, Decision."""

from risk_manager.engine.engine import Engine, EngineSettings, Mode, alive_ns_of

__all__ = ["Engine", "EngineSettings", "Mode", "alive_ns_of"]
