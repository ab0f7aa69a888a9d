"""`all_of`, `any_of`, `not_`: rules in force only together, either of several, or while another is not broken.

| what          | finds a breach                               | scope, numbers    | what is done about it           |
|---------------|----------------------------------------------|-------------------|---------------------------------|
| `all_of(A,B)` | while A and B are, on a common scope         | A's; B's evidence | what A does, or `action`        |
| `any_of(A,B)` | while A or B is                              | of each breach    | what both do alike, or `action` |
| `not_(A)`     | while A is not, once the account is read     | the account       | nothing (`alert`), or `action`  |

The first rule of `all_of` is the one that is enforced, the others are conditions. Two scopes have something in common
if one covers the other: the account covers everything, a product its contracts.

`action` is `alert`, `cancel_orders` or `flatten`; `lockout` is what it is in a rule. A lockout belongs to the
composition and goes by its name; it ends by its time, or for `all_of` by what releases the first rule's. That a
condition no longer holds releases nothing. A member that cannot see enough says so, and does not count as in breach;
`not_` of it neither. Warnings of members are passed on by `any_of` alone. The gauges of all members are shown, those
of `not_` are not.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event, SnapshotTaken
from risk_manager.domain.finding import Breach, Gauge, Protect, Release, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy, Rule
from risk_manager.rules._compose.shape import Found, Made, named, specialised, state_class
from risk_manager.rules._options import ALERT_LOCKS, Fault

replace = msgspec.structs.replace


class Action(StrEnum):
    """What a composition may do of its own."""

    ALERT = "alert"
    CANCEL_ORDERS = "cancel_orders"
    FLATTEN = "flatten"


class Several(Made, frozen=True, kw_only=True):
    """What `all_of` and `any_of` share.

    Attributes:
        members: the rules as they were given.
        seated: the same under the names they go by inside.   action: None leaves it to the members.
    """

    members: tuple[Any, ...]
    seated: tuple[Any, ...]
    action: Action | None = None
    lockout: LockTerms | None = None

    def initial_state(self) -> Any:
        states = [rule.initial_state() for rule in self.seated]
        return _several_state(tuple(type(state) for state in states))(*_held(states))

    def deadline_ns(self, state: Any) -> int | None:
        deadlines = (rule.deadline_ns(one) for rule, one in zip(self.seated, _states(state), strict=True))
        return min((due_ns for due_ns in deadlines if due_ns is not None), default=None)

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        return tuple(
            replace(gauge, label=f"{gauge.label} ({member.name})")
            for member, rule, one in zip(self.members, self.seated, _states(state), strict=True)
            for gauge in rule.gauges(one, account)
        )

    def stepped(self, state: Any, event: Event, account: AccountView) -> tuple[Any, list[Found]]:
        """The next state, and what each member finds."""
        before = _states(state)
        results = [rule.step(one, event, account) for rule, one in zip(self.seated, before, strict=True)]
        if any(result[0] is not one for result, one in zip(results, before, strict=True)):
            state = type(state)(*_held([result[0] for result in results]))
        return state, [result[1] for result in results]

    def own(self, breach: Breach, evidence: tuple[tuple[str, str], ...] = ()) -> Breach:
        """A member's breach as the composition's."""
        breach = replace(breach, rule=self.name, evidence=(*breach.evidence, *evidence))
        if self.lockout is not None:
            breach = replace(breach, until_ns=None)
        if self.action is None:
            return breach
        # The targets belong to a remedy of the member's, and its loss to the member's scope.
        scope = ACCOUNT if self.action is Action.FLATTEN else breach.scope
        loss = breach.loss if scope == breach.scope else None
        return replace(breach, targets=(), cancels=(), scope=scope, loss=loss)

    def contradictions(self) -> tuple[Fault, ...]:
        if self.action is Action.ALERT and self.lockout is not None:
            return (ALERT_LOCKS,)
        return ()

    def spelled(self) -> dict[str, object]:
        return {"action": None if self.action is None else self.action.value, "lockout": self.lockout}


class AllOf(Several, frozen=True, kw_only=True):
    """The first rule is enforced while all others are in breach as well."""

    kind: ClassVar[str] = "all_of"

    @property
    def remedy(self) -> Remedy:
        first: Remedy = self.members[0].remedy
        if self.action is not None:
            return Remedy(Demand(self.action.value), self.lockout)
        return first if self.lockout is None else replace(first, lock=self.lockout)

    def renamed(self, name: str) -> Any:
        return all_of(*self.members, name=name, action=self.action, lockout=self.lockout)

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, Found]:
        state, (first, *others) = self.stepped(state, event, account)
        found: list[Any] = [item for item in first if isinstance(item, Release)]
        found.extend(_skips(self.name, (first, *others)))
        conditions = [_breaches(items) for items in others]
        for breach in _breaches(first):
            met = [next((one for one in held if _meet(one.scope, breach.scope, account)), None) for held in conditions]
            causes = [one for one in met if one is not None]
            if len(causes) == len(conditions):
                found.append(self.own(breach, tuple((one.rule, _told(one)) for one in causes)))
        return state, tuple(found)


class AnyOf(Several, frozen=True, kw_only=True):
    """Either of several rules in breach is a breach."""

    kind: ClassVar[str] = "any_of"

    @property
    def remedy(self) -> Remedy:
        remedies: list[Remedy] = [rule.remedy for rule in self.members]
        if self.action is not None:
            return Remedy(Demand(self.action.value), self.lockout)
        if any(remedy != remedies[0] for remedy in remedies):
            raise ValueError(f"{self.name}: {_DIFFER}")
        return remedies[0] if self.lockout is None else replace(remedies[0], lock=self.lockout)

    def renamed(self, name: str) -> Any:
        return any_of(*self.members, name=name, action=self.action, lockout=self.lockout)

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, Found]:
        state, founds = self.stepped(state, event, account)
        found: list[Any] = list(_skips(self.name, founds))
        for items in founds:
            found.extend(self.own(breach) for breach in _breaches(items))
            found.extend(replace(item, rule=self.name) for item in items if isinstance(item, Warning | Protect))
        return state, tuple(found)

    def contradictions(self) -> tuple[Fault, ...]:
        if self.action is None:
            remedies = [rule.remedy for rule in self.members]
            if any(remedy != remedies[0] for remedy in remedies):
                return (Fault("action", _DIFFER),)
            if self.lockout is None and _waits_for_condition(remedies[0]):
                return (Fault("lockout", "a member's lock ends by its condition, which only that rule by itself sees"),)
        return super().contradictions()


class Not(Made, frozen=True, kw_only=True):
    """A breach for as long as another rule finds none."""

    kind: ClassVar[str] = "not"

    members: tuple[Any, ...]
    action: Action = Action.ALERT
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand(self.action.value), self.lockout)

    def renamed(self, name: str) -> Any:
        return not_(self.members[0], name=name, action=self.action, lockout=self.lockout)

    def initial_state(self) -> Any:
        inner = self.members[0].initial_state()
        return state_class("NotState", (type(inner),), (("has_read", bool, False),))(inner)

    def deadline_ns(self, state: Any) -> int | None:
        due_ns: int | None = self.members[0].deadline_ns(state.inner)
        return due_ns

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        return ()

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, Found]:
        inner, found = self.members[0].step(state.inner, event, account)
        is_read = isinstance(event, SnapshotTaken) and event.positions is not None and event.orders is not None
        has_read = state.has_read or is_read
        if inner is not state.inner or has_read != state.has_read:
            state = type(state)(inner, has_read)
        skips = tuple(_skips(self.name, (found,)))
        if not has_read or skips or _breaches(found):
            return state, skips
        breach = Breach(self.name, "NOT_BROKEN", 0, 0, Unit.NONE, ACCOUNT, evidence=(("not", self.members[0].name),))
        return state, (breach,)

    def contradictions(self) -> tuple[Fault, ...]:
        if self.action is Action.ALERT and self.lockout is not None:
            return (ALERT_LOCKS,)
        return ()

    def spelled(self) -> dict[str, object]:
        return {"action": self.action.value, "lockout": self.lockout}


_DIFFER = "is needed: the members do different things about a breach"


def all_of(*rules: Rule, name: str = "", action: Action | str | None = None, lockout: LockTerms | None = None) -> Any:
    """The first rule, enforced only while all the others are in breach as well.

    all_of(MaxPositionRule(max_contracts=2), DailyLossRule(limit=-300)): with the day down $300, only 2 contracts.

    Raises:
        ValueError: fewer than two rules.
    """
    if len(rules) < 2:
        raise ValueError("all_of needs two rules or more")
    name = name or _joined("all_of", rules)
    rules = _told_apart(rules)
    # Under the composition's name the first rule knows the lockouts as its own.
    seated = (named(rules[0], name), *rules[1:])
    return _several(AllOf, name, rules, seated, action, lockout)


def any_of(*rules: Rule, name: str = "", action: Action | str | None = None, lockout: LockTerms | None = None) -> Any:
    """Either of several rules; give an `action` where they do different things about a breach.

    Raises:
        ValueError: fewer than two rules.
    """
    if len(rules) < 2:
        raise ValueError("any_of needs two rules or more")
    name = name or _joined("any_of", rules)
    rules = _told_apart(rules)
    return _several(AnyOf, name, rules, rules, action, lockout)


def not_(rule: Rule, *, name: str = "", action: Action | str = Action.ALERT, lockout: LockTerms | None = None) -> Any:
    """A breach while the rule finds none; mostly the condition of an `all_of`."""
    made = specialised(Not, name or _joined("not", (rule,)), rule.listens_to)
    return made(members=(rule,), action=Action(action), lockout=lockout)


def _several(
    base: type[Several],
    name: str,
    members: tuple[Rule, ...],
    seated: tuple[Rule, ...],
    action: Action | str | None,
    lockout: LockTerms | None,
) -> Any:
    made = specialised(base, name, frozenset().union(*(rule.listens_to for rule in members)))
    own = None if action is None else Action(action)
    return made(members=members, seated=seated, action=own, lockout=lockout)


def _joined(word: str, rules: Iterable[Rule]) -> str:
    return f"{word}({', '.join(rule.name for rule in rules)})"


def _told_apart(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rules, those of one name numbered."""
    apart: list[Rule] = []
    for rule in rules:
        count = sum(one.name.partition("#")[0] == rule.name for one in apart)
        apart.append(named(rule, f"{rule.name}#{count + 1}") if count else rule)
    return tuple(apart)


def _several_state(inner: tuple[type, ...]) -> Any:
    return state_class("SeveralState", inner, ())


def _held(states: list[Any]) -> tuple[tuple[Any, ...]]:
    """The arguments of a state of several rules."""
    return (tuple(states),)


def _states(state: Any) -> tuple[Any, ...]:
    states: tuple[Any, ...] = state.members
    return states


def _breaches(found: Found) -> list[Breach]:
    return [item for item in found if isinstance(item, Breach)]


def _skips(name: str, founds: Iterable[Found]) -> Iterator[Skipped]:
    for found in founds:
        for item in found:
            if isinstance(item, Skipped):
                yield item if item.rule == name else Skipped(name, f"{item.rule}: {item.reason}")


def _meet(one: Scope, other: Scope, account: AccountView) -> bool:
    """Whether one scope covers the other."""
    if one.is_account or other.is_account or one == other:
        return True
    for outer, inner in ((one, other), (other, one)):
        if inner.contract_id is not None and outer.covers(inner.contract_id, account.contracts.get(inner.contract_id)):
            return True
    return False


def _told(breach: Breach) -> str:
    return f"{breach.code} {breach.measured} against {breach.limit} {breach.unit.value}"


def _waits_for_condition(remedy: Remedy) -> bool:
    return remedy.lock is not None and remedy.lock.until is LockUntil.CONDITION
