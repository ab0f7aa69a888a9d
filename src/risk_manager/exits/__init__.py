"""One file per position rule: what closes a position, as levels any host can watch.

`EXITS` maps the names to the classes.
"""

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from risk_manager.exits._base import Exit


def _found() -> Mapping[str, type[Exit]]:
    """The exit class of every module here that does not begin with `_`, in the order of their names."""
    exits: dict[str, type[Exit]] = {}
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        if name.startswith("_"):
            continue
        module = import_module(f"{__name__}.{name}")
        own = [one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__]
        classes: list[type[Exit]] = [one for one in own if hasattr(one, "step") and hasattr(one, "levels")]
        assert len(classes) == 1, f"{name}.py must hold one exit, not {classes}"
        assert classes[0].name == name, f"the exit in {name}.py calls itself {classes[0].name}"
        exits[name] = classes[0]
    return MappingProxyType(exits)


EXITS: Mapping[str, type[Exit]] = _found()

__all__ = ["EXITS", "Exit"]
