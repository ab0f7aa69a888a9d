"""What every rule made of other rules shares: a name of its own, the layers around it, and its states as one state.

The engine tells rules apart by their class's `name`, and restores a state by its type. So a second rule of a class, and
every composition, gets a class of its own, made here once for each name.
"""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar, cast

import msgspec

from risk_manager.domain.finding import Finding, Skipped
from risk_manager.domain.schedule import Schedule
from risk_manager.rules._base import Remedy, Rule

Found = tuple[Finding | Skipped, ...]
"""What a step finds."""


class _Members(msgspec.Struct, frozen=True):
    """Class members that tell one specialised class from another."""

    name: str
    listens_to: frozenset[type] | None = None


@cache
def _specialised(base: type, members: _Members) -> type:
    namespace: dict[str, Any] = {"name": members.name, "kind": kind_of(base), "unnamed": base}
    if members.listens_to is not None:
        namespace["listens_to"] = members.listens_to
    return msgspec.defstruct(
        base.__name__, (), bases=(base,), namespace=namespace, module=base.__module__, frozen=True, kw_only=True
    )


def kind_of(rule_class: Any) -> str:
    """The rule a class is, whatever it is called in a configuration: `drawdown` for one named `evaluation_floor`."""
    kind: str = getattr(rule_class, "kind", "") or rule_class.name
    return kind


def specialised(base: type, name: str, listens_to: frozenset[type] | None = None) -> Any:
    """The class under another name, the same class for the same arguments."""
    base = getattr(base, "unnamed", base)
    if base.__dict__.get("name") == name and listens_to is None:
        return base
    return _specialised(base, _Members(name, listens_to))


def named(rule: Rule, name: str) -> Rule:
    """The rule under another name: its findings, its lockouts and its state go by it.

    Raises:
        TypeError: the rule is no `msgspec.Struct`.
    """
    if rule.name == name:
        return rule
    if isinstance(rule, Made):
        return cast(Rule, rule.renamed(name))
    if not isinstance(rule, msgspec.Struct):
        raise TypeError(f"a rule's settings are a msgspec.Struct; {rule!r} is none")
    settings = {field: getattr(rule, field) for field in rule.__struct_fields__}
    return cast(Rule, specialised(type(rule), name)(**settings))


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A rule made of other rules. `name` and `listens_to` belong to the class `specialised` makes.

    What is abstract is held to by mypy and the tests: a Struct's metaclass and ABCMeta do not go together.
    """

    name: ClassVar[str] = ""
    kind: ClassVar[str] = ""
    listens_to: ClassVar[frozenset[type]] = frozenset()

    @abstractmethod
    def renamed(self, name: str) -> Any:
        """The same under another name."""

    @abstractmethod
    def spelled(self) -> dict[str, object]:
        """The section a trader would write."""


class Layer(Made, frozen=True, kw_only=True):
    """A layer around one rule that adds something to it and leaves what it is alone."""

    rule: Any
    """The rule inside; a layer again where there are several."""

    @property
    def remedy(self) -> Remedy:
        remedy: Remedy = self.rule.remedy
        return remedy

    def initial_state(self) -> Any:
        return self.around(self.rule.initial_state(), None)

    @abstractmethod
    def around(self, inner: Any, own: Any) -> Any:
        """The layer's state around the inner rule's; `own` is what `own_part` kept of another such layer, or None."""

    def own_part(self, state: Any) -> Any:
        """What of the state is worth keeping when the layers around the rule change; plain values."""
        return None


def is_layer(rule: Rule) -> bool:
    """Whether the rule is a layer around another."""
    return issubclass(type(rule), Layer)


def core_of(rule: Rule) -> Rule:
    """The rule inside all layers."""
    while isinstance(rule, Layer):
        rule = rule.rule
    return rule


def signature_of(rule: Rule) -> str:
    """What a rule's state can be taken over by: the same rule, or a composition of the same rules."""
    core: Any = core_of(rule)
    inner = ", ".join(signature_of(member) for member in getattr(core, "members", ()))
    return f"{kind_of(type(core))}({inner})" if inner else kind_of(type(core))


def class_of(rule: Rule) -> dict[str, type[Rule]]:
    """By rule name the classes the rule is made of, as they were before anybody named them."""
    core: Any = core_of(rule)
    members = getattr(core, "members", None)
    if members is None:
        return {kind_of(type(core)): getattr(type(core), "unnamed", type(core))}
    return {kind: made for member in members for kind, made in class_of(member).items()}


def schedules_of(rule: Rule) -> tuple[Schedule, ...]:
    """Every schedule a rule goes by, in its layers, its members and its own settings: what a calendar must know."""
    found: list[Schedule] = []
    waiting: list[Any] = [rule]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Schedule):
            found.append(part)
        elif isinstance(part, msgspec.Struct):
            waiting.extend(getattr(part, field) for field in part.__struct_fields__)
        elif isinstance(part, tuple):
            waiting.extend(part)
        elif isinstance(part, Mapping):
            waiting.extend(part.values())
    return tuple(dict.fromkeys(found))


def taken_apart(rule: Rule, state: Any) -> tuple[Any, dict[str, Any]]:
    """The state of the rule inside all layers, and by layer what is worth keeping of its own."""
    kept: dict[str, Any] = {}
    while isinstance(rule, Layer):
        kept[layer_name(rule)] = rule.own_part(state)
        rule, state = rule.rule, state.inner
    return state, kept


def put_together(rule: Rule, inner: Any, kept: Mapping[str, Any]) -> Any:
    """The state of a layered rule around the state of the one inside."""
    if not isinstance(rule, Layer):
        return inner
    return rule.around(put_together(rule.rule, inner, kept), kept.get(layer_name(rule)))


def layer_name(layer: Layer) -> str:
    """Names a sort of layer in snapshots."""
    return type(layer).__name__


@cache
def state_class(name: str, inner: tuple[type, ...], fields: tuple[tuple[str, Any, Any], ...]) -> Any:
    """A state with the states of other rules in it: frozen, and readable from a snapshot because their types are named.

    Args:
        inner: the type of `inner`, or of the items of the tuple `members` where there are several or none.
        fields: (name, type, default) of the others.
    """
    first = ("inner", inner[0]) if len(inner) == 1 else ("members", tuple[inner])  # type: ignore[valid-type]
    return msgspec.defstruct(name, [first, *fields], frozen=True, module=__name__)
