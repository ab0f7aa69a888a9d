"""How each rule is broken on stage, and what its remedies must then bring the account to.

Every scene opens alike: one MNQ with a stop under it, and one order resting to buy in each of MNQ and ES. What the rule
objects to comes after that, in ES unless said otherwise, and what has nothing to do with it has to stay.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from enum import StrEnum
from itertools import product
from typing import Any, NamedTuple

import msgspec.inspect as types

from risk_manager.domain.order import OrderType, Side
from risk_manager.rules import RULES, OptionsInvalid, Rule, build_rule
from risk_manager.rules._base import Demand
from risk_manager.rules._options.fields import fields_of, is_lock, spellings
from risk_manager.simulator.records import SimContract
from tests.scenarios.stage import CL, ES, MES, MNQ, RESET_NS, SECOND_NS, START_NS, Stage

ROOTS = {contract.id: contract.contract.root for contract in (ES, MES, MNQ, CL)}

Nets = Mapping[str, int]
"""Signed contracts by product."""

Act = Callable[[Stage], Awaitable[None]]
"""Something the trader, the market or the venue does."""


class Books(NamedTuple):
    """An account at the exchange: what is held, and the resting orders as `ES buy limit 1 at 10000`, in ticks."""

    nets: Nets
    orders: frozenset[str]


FLAT = Books({}, frozenset())
MNQ_STOP, MNQ_ENTRY = "MNQ sell stop 1 at 40000", "MNQ buy limit 1 at 40000"
ES_ENTRY, CL_ENTRY = "ES buy limit 1 at 10000", "CL buy limit 1 at 3500"
RESTING = frozenset({MNQ_STOP, MNQ_ENTRY, ES_ENTRY})
"""The orders every scene opens with."""


class Breaking(NamedTuple):
    """One way to break a rule.

    Attributes:
        options: of the rule, besides those under test.   act: what breaks it, once the scene is set.
        before: the books the breach is found in, which an alert leaves as they are.
        reduced: what a reduction to the limit leaves.   offender: the contract it is about.
        cooldown_s: how long the rule locks by itself, whatever it does; None where that is left to `lockout`.
        ends_ns: when a lock ends for which no length is given; None when its condition does.
        freed: what must happen before the trader can order anything again.
        calm: options in force until `act` is done, where the rule is to find what it forbids and not to see it come.
    """

    options: Mapping[str, object]
    act: Act
    before: Books
    reduced: Nets | None = None
    offender: SimContract = ES
    cooldown_s: int | None = None
    ends_ns: int | None = RESET_NS
    freed: Act | None = None
    calm: Mapping[str, object] | None = None


class Part(NamedTuple):
    """A part of a rule that does something of its own once it is switched on.

    Attributes:
        options: of the rule, the part among them.   act: what it answers, once the scene is set.
        after: what it must bring the account to.
    """

    options: Mapping[str, object]
    act: Act
    after: Books


class Case(NamedTuple):
    """One remedy of one rule.

    Attributes:
        option: the option that chooses the remedy, and the key of its `Breaking` together with the rule.
        word: its value.   flags: switches that have a say.   lock: the value of `lockout`, None where there is none.
    """

    rule: str
    option: str
    word: str
    flags: Mapping[str, bool]
    lock: object

    @property
    def options(self) -> dict[str, Any]:
        lock = {} if self.lock is None else {"lockout": self.lock}
        return {**BREAKING[self.rule, self.option].options, self.option: self.word, **self.flags, **lock}

    def __str__(self) -> str:
        flags = [f"{name}={value}" for name, value in self.flags.items()]
        return "-".join(
            [self.rule, f"{self.option}={self.word}", *flags, *([] if self.lock is None else [f"lock={self.lock}"])]
        )


# -- what there is, from the types alone -------------------------------------------------------------------------------

LOCKS: tuple[object, ...] = (False, "reset", "2m", {"on_lock": "block_new"})
CLOSING = ("close_positions", "close_existing", "close_positions_at_session_end")
"""Switches that say whether what is held goes too."""

_DEMANDS = frozenset(demand.value for demand in Demand)


def remedy_options(rule_class: type[Rule]) -> dict[str, type[StrEnum]]:
    """The options that say what is done about a breach: words, at least one of which the engine knows as a demand."""
    found: dict[str, type[StrEnum]] = {}
    for field in fields_of(rule_class):
        if isinstance(field.type, types.EnumType) and _DEMANDS & {str(word.value) for word in field.type.cls}:
            found[field.name] = field.type.cls  # type: ignore[assignment]  # rules use StrEnum only
    return found


def switched_parts(rule_class: type[Rule]) -> list[str]:
    """The options that are a part of their own, on with `enabled: true`."""
    return [
        field.name
        for field in fields_of(rule_class)
        if isinstance(field.type, types.StructType) and any(one.name == "enabled" for one in field.type.fields)
    ]


def has_lockout(rule_class: type[Rule]) -> bool:
    return any(is_lock(field.type) for field in fields_of(rule_class))


def flags_of(rule_class: type[Rule], options: Mapping[str, object]) -> list[str]:
    """The switches that change what is done about a breach."""
    changing = []
    for field in fields_of(rule_class):
        if isinstance(field.type, types.BoolType):
            rules = [_built(rule_class, {**options, spellings(field.name)[0]: value}) for value in (False, True)]
            if None not in rules and len({_remedy_of(rule) for rule in rules}) == 2:
                changing.append(field.name)
    return changing


def cases() -> Iterator[Case]:
    """Every remedy of every rule that has a `Breaking`; what contradicts itself is no remedy."""
    for name, rule_class in RULES.items():
        for option, words in remedy_options(rule_class).items():
            breaking = BREAKING.get((name, option))
            if breaking is None:
                continue
            locks = LOCKS if has_lockout(rule_class) and option != "quote_blackout_action" else (None,)
            for word, lock in product(words, locks):
                lockout = {} if lock is None else {"lockout": lock}
                options = {**breaking.options, option: word.value, **lockout}
                flags = flags_of(rule_class, options)
                for values in product((False, True), repeat=len(flags)):
                    case = Case(name, option, word.value, dict(zip(flags, values, strict=True)), lock)
                    if _built(rule_class, case.options) is not None:
                        yield case


def _built(rule_class: type[Rule], options: Mapping[str, object]) -> Rule | None:
    try:
        return build_rule(rule_class, options)
    except OptionsInvalid:
        return None


def _remedy_of(rule: Rule | None) -> object:
    return None if rule is None else rule.remedy


# -- what a remedy demands ---------------------------------------------------------------------------------------------


def demanded(case: Case) -> Books:
    """What the account must come to. A word that stands here nowhere is a remedy nobody has thought about."""
    breaking = BREAKING[case.rule, case.option]
    if case.word == "alert":
        return breaking.before
    if _flattens(case) or (case.lock in ("reset", "2m") and case.word != "pause"):
        return FLAT
    root = breaking.offender.contract.root
    entries = _without(breaking.before.orders, "limit")
    others = _without(breaking.before.orders, root)
    match case.word:
        case "pause" | "cancel_orders" | "lock" | "flatten_and_lock":
            return Books(breaking.before.nets, entries)
        case "cancel_order":
            keeps = not case.flags["close_existing"]
            return Books({key: net for key, net in breaking.before.nets.items() if keeps or key != root}, others)
        case "reduce_to_limit":
            assert breaking.reduced is not None
            return Books(breaking.reduced, entries if case.lock else others)
        case "close_position" | "close_all":
            nets = {key: net for key, net in breaking.before.nets.items() if key != root}
            return Books(nets, _without(others, "limit") if case.lock else others)
    raise AssertionError(f"{case}: what does {case.word} demand?")


def _flattens(case: Case) -> bool:
    if case.word not in ("lock", "flatten", "flatten_and_lock"):
        return False
    return all(value for flag, value in case.flags.items() if flag in CLOSING)


def locks(case: Case) -> bool:
    """Whether the remedy also locks something."""
    if case.word == "alert" or not case.flags.get("lockout_outside_session", True):
        return False
    is_by_itself = BREAKING[case.rule, case.option].cooldown_s is not None
    has_flag = "lockout_outside_session" in case.flags
    return (
        is_by_itself
        or has_flag
        or case.word in ("flatten_and_lock", "pause", "lock", "cancel_order")
        or bool(case.lock)
    )


def blocks_only_what_is_new(case: Case) -> bool:
    """Whether what is held may stay under the lock."""
    keeps = not all(value for flag, value in case.flags.items() if flag in CLOSING)
    return keeps or case.word in ("pause", "cancel_orders") or isinstance(case.lock, Mapping)


def _without(orders: frozenset[str], word: str) -> frozenset[str]:
    return frozenset(order for order in orders if word not in order.split())


# -- the scenes --------------------------------------------------------------------------------------------------------


async def set_scene(stage: Stage) -> None:
    """What every scene opens with."""
    await stage.buys(MNQ, 1)
    await stage.protects(MNQ, 1)
    await stage.rests(MNQ, 1)
    await stage.rests(ES, 1)


def books(stage: Stage) -> Books:
    """The account as the exchange has it."""
    nets = {ROOTS[contract_id]: net for contract_id, net in stage.nets().items()}
    sides = {Side.BUY: "buy", Side.SELL: "sell"}
    kinds = {OrderType.LIMIT: "limit", OrderType.STOP: "stop"}
    orders = [
        f"{ROOTS[order.contract_id]} {sides[order.side]} {kinds[order.type]} {order.remaining}"
        f" at {order.stop_ticks if order.type is OrderType.STOP else order.limit_ticks}"
        for order in stage.orders()
    ]
    assert len(set(orders)) == len(orders), orders
    return Books(nets, frozenset(orders))


def holding(**others: int) -> Books:
    """The scene's books with what else is held."""
    return Books({"MNQ": 1, **others}, RESTING)


def _buys(size: int, *, then_moves: int = 0, then_waits_s: int = 0) -> Act:
    """Buy ES, a tick above the bid; then let it move by so many ticks, or time pass."""

    async def act(stage: Stage) -> None:
        await stage.buys(ES, size)
        if then_moves:
            await stage.moves(ES, then_moves)
        if then_waits_s:
            await stage.passes(then_waits_s)

    return act


_LOSES_300 = _buys(4, then_moves=-5)  # 6 ticks of 4 ES
_LOSES_650 = _buys(4, then_moves=-12)  # 13 ticks
_WINS_350 = _buys(4, then_moves=8)  # 7 ticks
_WINS_550 = _buys(4, then_moves=12)  # 11 ticks


async def _orders_too_often(stage: Stage) -> None:
    await stage.buys(ES, 1)
    await stage.buys(ES, 1)


async def _loses_a_trade(stage: Stage) -> None:
    """11 ticks of 10 MES are 137.50."""
    await stage.buys(ES, 2)
    await stage.buys(MES, 10)
    await stage.moves(MES, -10)
    await stage.sells(MES, 10)


async def _is_blocked(stage: Stage) -> None:
    await stage.buys(ES, 2)
    await stage.lets_trade(False)


async def _is_freed(stage: Stage) -> None:
    await stage.lets_trade(True)


async def _trades_crude(stage: Stage) -> None:
    await stage.buys(CL, 1)
    await stage.rests(CL, 1)


async def _loses_sight(stage: Stage) -> None:
    """MNQ goes on being quoted, ES does not."""
    await stage.buys(ES, 2)
    for step in (1, -1, 1, -1, 1, -1):
        await stage.passes(5)
        await stage.moves(MNQ, step)


BREAKING: Mapping[tuple[str, str], Breaking] = {
    ("max_contracts", "action"): Breaking({"limit": 3}, _buys(4), holding(ES=4), reduced={"MNQ": 1, "ES": 2}),
    ("max_contracts_per_instrument", "enforcement"): Breaking(
        {"limits": {"ES": 2, "MNQ": 5}}, _buys(4), holding(ES=4), reduced={"MNQ": 1, "ES": 2}
    ),
    ("daily_realized_loss", "action"): Breaking({"limit": 500}, _LOSES_650, holding(ES=4)),
    ("daily_realized_profit", "action"): Breaking({"target": 500}, _WINS_550, holding(ES=4)),
    ("daily_unrealized_loss", "action"): Breaking({"loss_limit": 500}, _LOSES_650, holding(ES=4)),
    ("daily_unrealized_loss", "quote_blackout_action"): Breaking(
        {"loss_limit": 500, "quote_blackout_action_after_seconds": 20}, _loses_sight, holding(ES=2)
    ),
    ("drawdown", "action"): Breaking({"max_drawdown": 500}, _LOSES_650, holding(ES=4)),
    ("velocity", "action"): Breaking({"max_loss": 500, "window_seconds": 60}, _LOSES_650, holding(ES=4)),
    # The scenes begin at 09:30 in New York.
    ("session_block_outside", "action"): Breaking(
        {"global_session": {"start": "08:00", "end": "09:31", "timezone": "America/New_York"}},
        _buys(2, then_waits_s=60),
        holding(ES=2),
        ends_ns=START_NS + (22 * 60 + 30) * 60 * SECOND_NS,
    ),
    ("max_unrealized_profit", "action"): Breaking({"profit_target": 500}, _WINS_550, holding(ES=4)),
    ("trade_frequency_limit", "action"): Breaking(
        {"limits": {"per_minute": 2}}, _orders_too_often, holding(ES=2), cooldown_s=60
    ),
    ("cooldown_after_loss", "action"): Breaking(
        {"loss_threshold": 100, "cooldown": 90}, _loses_a_trade, holding(ES=2), cooldown_s=90
    ),
    ("no_stop_loss_grace", "action"): Breaking({"grace_period_seconds": 5}, _buys(2, then_waits_s=10), holding(ES=2)),
    ("auth_loss_guard", "action"): Breaking({}, _is_blocked, holding(ES=2), ends_ns=None, freed=_is_freed),
    ("symbol_blocks", "action"): Breaking(
        {"blocked_symbols": ["GC", "CL"]},
        _trades_crude,
        Books({"MNQ": 1, "CL": 1}, RESTING | {CL_ENTRY}),
        offender=CL,
        ends_ns=None,
        calm={"blocked_symbols": ["GC"]},
    ),
    # 4 of 5 are 80 %; with 2 of 3 the whole is below the least that counts.
    ("concentration", "action"): Breaking(
        {"max_pct": 60, "min_total": 4}, _buys(4), holding(ES=4), reduced={"MNQ": 1, "ES": 2}
    ),
    # Not quite 50,000 of equity allow 4.
    ("leverage", "action"): Breaking({"contracts_per_10k": 1}, _buys(5), holding(ES=5), reduced={"MNQ": 1, "ES": 3}),
}

PARTS: Mapping[tuple[str, str], Part] = {
    ("daily_unrealized_loss", "composite_enforcement"): Part(
        {"loss_limit": 500, "composite_enforcement": {"enabled": True, "realized_limit": 300}}, _LOSES_300, FLAT
    ),
    ("max_unrealized_profit", "composite_enforcement"): Part(
        {"profit_target": 500, "composite_enforcement": {"enabled": True, "profit_target": 300}}, _WINS_350, FLAT
    ),
    # ES is bought at 20,001, MNQ at 80,001. The stop of the scene is the trader's own and stays what it is.
    ("trade_management", "auto_stop_loss"): Part(
        {"auto_stop_loss": {"enabled": True, "ticks": 12}},
        _buys(2),
        Books({"MNQ": 1, "ES": 2}, RESTING | {"ES sell stop 2 at 19989"}),
    ),
    ("trade_management", "auto_take_profit"): Part(
        {"auto_take_profit": {"enabled": True, "ticks": 15}},
        _buys(2),
        Books({"MNQ": 1, "ES": 2}, RESTING | {"ES sell limit 2 at 20016", "MNQ sell limit 1 at 80016"}),
    ),
    ("trade_management", "auto_breakeven"): Part(
        {"auto_breakeven": {"enabled": True, "profit_trigger_ticks": 10, "offset_ticks": 2}},
        _buys(2, then_moves=11),
        Books({"MNQ": 1, "ES": 2}, RESTING | {"ES sell stop 2 at 20003"}),
    ),
    ("trade_management", "trailing_stop"): Part(
        {"trailing_stop": {"enabled": True, "activation_ticks": 20, "trail_distance_ticks": 10}},
        _buys(2, then_moves=26),
        Books({"MNQ": 1, "ES": 2}, RESTING | {"ES sell stop 2 at 20016"}),
    ),
}
