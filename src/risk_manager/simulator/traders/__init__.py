"""Scripted traders, one file each: a disciplined one, and several that break rules.

A file `<name>.py` here that ends in `TRADER = <class>` is a trader; its name is the file's. Every one is built from
frozen settings (its class's `Settings`, all but `contract_ids` with defaults) and a seed.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, Protocol

from risk_manager.simulator.desk import Trader


class ScriptedTrader(Trader, Protocol):
    """A trader that can be made by name."""

    Settings: ClassVar[Callable[..., Any]]

    def __init__(self, settings: Any, *, seed: int = 0) -> None: ...


def trader_types() -> Mapping[str, type[ScriptedTrader]]:
    """Trader classes by name, sorted."""
    found: dict[str, type[ScriptedTrader]] = {}
    for name in sorted(module.name for module in iter_modules(__path__)):
        trader: type[ScriptedTrader] | None = getattr(import_module(f"{__name__}.{name}"), "TRADER", None)
        if trader is not None:
            assert trader.name == name, (trader.name, name)
            found[name] = trader
    return found


def new_trader(name: str, contract_ids: tuple[str, ...], *, seed: int = 0) -> Trader:
    """A trader with default settings.

    Raises:
        KeyError: no trader has this name; the message lists those there are.
    """
    types = trader_types()
    if name not in types:
        raise KeyError(f"no trader is called {name!r}; there are {', '.join(types)}")
    trader = types[name]
    return trader(trader.Settings(contract_ids=contract_ids), seed=seed)
