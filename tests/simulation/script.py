"""What happens in one small world: drawn from a seed beforehand, so that any part of it can be left out."""

import random
from collections.abc import Callable

import msgspec

Rules = dict[str, dict[str, object]]
Argument = str | int | float | bool | None


class Plan(msgspec.Struct, frozen=True):
    """One account: its rules, and whether its trader keeps to them."""

    rules: Rules
    is_calm: bool = False


class Setup(msgspec.Struct, frozen=True):
    """The world before anything happens.

    Attributes:
        lead_s: how long before the end of the trading day it begins.   busy_s: how long things happen before the quiet.
        event_pace: how far apart the venue sends the events of an execution, times what was captured.
    """

    seed: int
    plans: tuple[Plan, ...]
    lead_s: int
    busy_s: float
    latency_s: float
    quote_every_s: float
    jumpiness: float
    partial_fills: bool
    fill_delay_s: float
    rest_delay_s: float
    late_events_s: float
    token_lifetime_s: int
    clears_children: bool
    event_pace: float


class Happening(msgspec.Struct, frozen=True):
    """Something that happens at a time: `kind` names a method of the world, or of the trader."""

    at_s: float
    kind: str
    args: tuple[Argument, ...] = ()


class Script(msgspec.Struct, frozen=True):
    setup: Setup
    happenings: tuple[Happening, ...]


FLATTEN_AND_LOCK: Rules = {"max_contracts": {"limit": 2, "action": "flatten", "lockout": "reset"}}
SHORT_LOCK: Rules = {"max_contracts": {"limit": 2, "action": "flatten", "lockout": "20s"}}
REDUCE: Rules = {"max_contracts": {"limit": 2}}
REDUCE_EACH: Rules = {"max_contracts_per_instrument": {"limits": {"ES": 1, "MNQ": 2}, "default_limit": 2}}
DAY_LOSS: Rules = {"daily_realized_loss": {"limit": 400}}
OPEN_LOSS: Rules = {"daily_unrealized_loss": {"loss_limit": 200, "action": "flatten_and_lock"}}
POSITION_LOSS: Rules = {"daily_unrealized_loss": {"loss_limit": 150}}
BLOCKED: Rules = {"symbol_blocks": {"blocked_symbols": ["CL", "MES"]}}
COOLDOWN: Rules = {
    "cooldown_after_loss": {"loss_thresholds": [{"loss_amount": 20, "cooldown": "25s"}]},
    "max_contracts": {"limit": 3},
}
FREQUENCY: Rules = {"trade_frequency_limit": {"limits": {"per_minute": 3}}}
STOP_WANTED: Rules = {"no_stop_loss_grace": {"grace_period_seconds": 8}, "max_contracts": {"limit": 4}}
PROTECTED: Rules = {
    "trade_management": {"auto_stop_loss": {"enabled": True, "ticks": 12}},
    "max_contracts": {"limit": 3, "action": "flatten"},
}
FALL: Rules = {"velocity": {"max_loss": 250, "lockout": "30s"}}
SEVERAL: Rules = FLATTEN_AND_LOCK | DAY_LOSS | POSITION_LOSS | FALL
OPEN_PROFIT: Rules = {"max_unrealized_profit": {"profit_target": 150}}
DAY_PROFIT: Rules = {"daily_realized_profit": {"target": 300}}
DAY_DRAWDOWN: Rules = {"drawdown": {"mode": "daily_trailing", "max_drawdown": 500}}
SHARE: Rules = {"concentration": {"max_pct": 60, "min_total": 3}}
LEVERAGE: Rules = {"leverage": {"max_ratio": 8}}
VENUES_WORD: Rules = {"auth_loss_guard": {"close_positions": True}}
HOURS: Rules = {
    "session_block_outside": {
        "global_session": {
            "start": "17:00",
            "end": "07:01:30",
            "days": [6, 0, 1, 2, 3],
            "timezone": "America/Chicago",
            "holidays": False,
        }
    }
}
"""The session ends in the middle of the soak's second spell of the day."""

CALM: Rules = {
    "max_contracts": {"limit": 20, "action": "flatten", "lockout": "reset"},
    "daily_realized_loss": {"limit": 40_000},
}

RULES: tuple[Rules, ...] = (
    FLATTEN_AND_LOCK,
    FLATTEN_AND_LOCK,
    SHORT_LOCK,
    REDUCE,
    REDUCE_EACH,
    DAY_LOSS,
    OPEN_LOSS,
    POSITION_LOSS,
    BLOCKED,
    COOLDOWN,
    FREQUENCY,
    STOP_WANTED,
    PROTECTED,
    SEVERAL,
)

SOAKED: tuple[Rules, ...] = (
    FLATTEN_AND_LOCK,
    REDUCE,
    SEVERAL,
    SHORT_LOCK,
    OPEN_PROFIT,
    STOP_WANTED,
    DAY_LOSS,
    SHARE,
    COOLDOWN,
    HOURS,
    PROTECTED,
    REDUCE_EACH,
    DAY_DRAWDOWN,
    FREQUENCY,
    POSITION_LOSS,
    VENUES_WORD,
    LEVERAGE,
    OPEN_LOSS,
    FALL,
    BLOCKED,
    DAY_PROFIT,
)
"""Every rule in some of them; the soak's accounts have one after the other, each for a day."""

SHIFTS_OF_TRADER: tuple[tuple[str, int], ...] = (
    ("buys", 5),
    ("sells", 5),
    ("doubles", 4),
    ("flips", 3),
    ("fights", 3),
    ("rests", 3),
    ("rests_stop", 2),
    ("protects", 3),
    ("brackets", 3),
    ("trails", 1),
    ("spams", 1),
    ("cancels_all", 1),
    ("moves_order", 1),
    ("goes_flat", 1),
    ("orders_by_api", 2),
)
FAULTS: tuple[tuple[str, int], ...] = (
    ("cut", 2),
    ("forget", 2),
    ("hold", 3),
    ("refuse", 1),
    ("slow_network", 1),
    ("drop_hubs", 2),
    ("close_hubs", 2),
    ("stall", 3),
    ("distort", 3),
    ("fail_calls", 5),
    ("answer_wrongly", 4),
    ("delay_rest", 2),
    ("revoke_tokens", 1),
    ("refuse_logins", 1),
    ("log_out", 1),
    ("halt", 2),
    ("block_account", 1),
    ("hide_account", 1),
    ("liquidate", 1),
    ("delay_fills", 1),
    ("slow_disk", 3),
    ("break_disk", 2),
    ("crash", 6),
    ("step_wall_clock", 2),
    ("suspend", 1),
    ("loosen", 1),
    ("tighten", 1),
    ("restart_server", 1),
)
PATHS = (
    "Position/closeContract",
    "Position/partialCloseContract",
    "Order/cancel",
    "Order/place",
    "Position/searchOpen",
    "Order/v2/query",
    "Trade/search",
    "Account/search",
    "Auth/loginKey",
    "Auth/validate",
)
CONTRACTS = 4


def draw(seed: int) -> Script:
    """The script of a seed."""
    chance = random.Random(f"script {seed}")
    setup = _setup(seed, chance)
    happenings: list[Happening] = []
    for number, plan in enumerate(setup.plans):
        trader = random.Random(f"trader {seed} {number}")
        happenings += _calm(trader, number, setup) if plan.is_calm else hostile(trader, number, setup)
    faults = random.Random(f"faults {seed}")
    for _ in range(faults.choice((0, 1, 2, 3, 4, 6, 9))):
        kind = _pick(faults, FAULTS)
        happenings.append(Happening(_at(faults, setup), kind, _ARGUMENTS.get(kind, _nothing)(faults, setup)))
    happenings += _lost_reductions(random.Random(f"reductions {seed}"), setup)
    return Script(setup, tuple(sorted(happenings, key=lambda each: each.at_s)))


def _lost_reductions(chance: random.Random, setup: Setup) -> list[Happening]:
    """Where positions are reduced, the answer of a reduction gets lost more often than chance would have it."""
    if not any(plan.rules in (REDUCE, REDUCE_EACH) for plan in setup.plans):
        return []
    lost = "Position/partialCloseContract", None, True, 1
    return [Happening(_at(chance, setup), "fail_calls", lost) for _ in range(chance.choice((0, 1, 2)))]


def _setup(seed: int, chance: random.Random) -> Setup:
    plans = [Plan(chance.choice(RULES)) for _ in range(chance.choice((1, 1, 2)))]
    if chance.random() < 0.3:
        plans.append(Plan(CALM, is_calm=True))
    return Setup(
        seed=seed,
        plans=tuple(plans),
        lead_s=chance.choice((30_000, 30_000, 30_000, 30_000, 30_000, 45)),
        busy_s=chance.uniform(30.0, 70.0),
        latency_s=chance.choice((0.001, 0.02, 0.02, 0.08)),
        quote_every_s=chance.choice((0.25, 0.5, 1.0)),
        jumpiness=chance.choice((0.0, 0.02, 0.1)),
        partial_fills=chance.random() < 0.2,
        fill_delay_s=chance.choice((0.0, 0.0, 0.0, 0.05, 0.4)),
        rest_delay_s=chance.choice((0.0, 0.04, 0.04, 0.3)),
        late_events_s=chance.choice((0.0, 0.0, 0.1)),
        token_lifetime_s=chance.choice((86_400, 86_400, 86_400, 1_500)),
        clears_children=chance.random() < 0.3,
        event_pace=chance.choice((0.0, 1.0, 1.0, 1.0, 6.0)),
    )


def _at(chance: random.Random, setup: Setup) -> float:
    return round(chance.uniform(1.0, setup.busy_s), 3)


def _pick(chance: random.Random, weighted: tuple[tuple[str, int], ...]) -> str:
    (kind,) = chance.choices([name for name, _ in weighted], [weight for _, weight in weighted])
    return kind


def hostile(chance: random.Random, number: int, setup: Setup) -> list[Happening]:
    """A trader who breaks rules in bursts, as people do; not in the order of time."""
    found = []
    for _ in range(chance.randint(4, 14)):
        began_s = _at(chance, setup)
        favorite = chance.choice((0, 0, 0, 1, 2, 3))
        for _ in range(chance.choice((1, 1, 2, 3))):
            contract = favorite if chance.random() < 0.8 else chance.randrange(CONTRACTS)
            kind = _pick(chance, SHIFTS_OF_TRADER)
            found.append(
                Happening(round(began_s, 3), kind, (number, contract, chance.randint(1, 5), chance.randint(1, 40)))
            )
            began_s += chance.choice((0.0, 0.01, 0.1, 0.7))
    return found


def _calm(chance: random.Random, number: int, setup: Setup) -> list[Happening]:
    """A trader who never comes near a limit."""
    found = []
    for _ in range(chance.randint(2, 8)):
        kind = chance.choice(("buys", "sells", "protects", "goes_flat", "cancels_all"))
        found.append(
            Happening(_at(chance, setup), kind, (number, chance.randrange(CONTRACTS), 1, chance.randint(1, 40)))
        )
    return found


Draw = Callable[[random.Random, Setup], tuple[Argument, ...]]


def _nothing(chance: random.Random, setup: Setup) -> tuple[Argument, ...]:
    return ()


def _seconds(chance: random.Random, setup: Setup) -> tuple[Argument, ...]:
    return (round(chance.choice((0.5, 2.0, 5.0, 12.0, 25.0)) * chance.uniform(0.5, 1.0), 3),)


def _hub(chance: random.Random, setup: Setup) -> tuple[Argument, ...]:
    return (chance.choice(("user", "market", None)),)


def _account_seconds(chance: random.Random, setup: Setup) -> tuple[Argument, ...]:
    return (chance.randrange(len(setup.plans)), *_seconds(chance, setup))


def _account(chance: random.Random, setup: Setup) -> tuple[Argument, ...]:
    return (chance.randrange(len(setup.plans)),)


_ARGUMENTS: dict[str, Draw] = {
    "hold": lambda chance, setup: (*_seconds(chance, setup), chance.choice(("both", "both", "up", "down"))),
    "refuse": _seconds,
    "slow_network": lambda chance, setup: (*_seconds(chance, setup), chance.choice((0.3, 0.8))),
    "drop_hubs": _hub,
    "close_hubs": lambda chance, setup: (*_hub(chance, setup), chance.random() < 0.5),
    "stall": lambda chance, setup: (*_hub(chance, setup), *_seconds(chance, setup)),
    "distort": lambda chance, setup: (
        *_hub(chance, setup),
        *_seconds(chance, setup),
        *(chance.choice((0.0, 0.2, 1.0)) for _ in range(3)),
        chance.choice((0.02, 0.3, 2.0)),
        chance.randrange(1_000_000),
    ),
    "fail_calls": lambda chance, setup: (
        chance.choice((*PATHS, *PATHS[:3] * 2)),
        chance.choice((None, None, 500, 502, 503, 429, 401)),
        chance.random() < 0.5,
        chance.choice((1, 1, 2, 4)),
    ),
    "answer_wrongly": lambda chance, setup: (
        chance.choice((*PATHS, *PATHS[:3] * 2)),
        chance.choice((0, 0, 1, 2, 5, 6)),
        chance.random() < 0.4,
        chance.random() < 0.5,
        chance.choice((None, None, 0, 1)),
        chance.choice((1, 1, 2, 4)),
    ),
    "delay_rest": lambda chance, setup: (*_seconds(chance, setup), chance.choice((0.5, 2.0, 6.0))),
    "refuse_logins": _seconds,
    "halt": lambda chance, setup: (chance.randrange(CONTRACTS), *_seconds(chance, setup)),
    "block_account": _account_seconds,
    "hide_account": _account_seconds,
    "liquidate": _account,
    "delay_fills": lambda chance, setup: (*_seconds(chance, setup), chance.choice((0.3, 1.5))),
    "slow_disk": lambda chance, setup: (*_seconds(chance, setup), chance.choice((0.1, 0.4, 1.5))),
    "break_disk": lambda chance, setup: (*_seconds(chance, setup), chance.random() < 0.5),
    "crash": lambda chance, setup: (
        chance.choice(("now", "commit", "commit", "call", "call")),
        round(chance.uniform(0.2, 5.0), 3),
        chance.random() < 0.7,
    ),
    "step_wall_clock": lambda chance, setup: (chance.choice((-86_400, -3_600, -5, 5, 3_600, 86_400)),),
    "suspend": lambda chance, setup: (
        round(chance.choice((10, 40, 600, 3_600)) * chance.uniform(0.5, 1.0), 3),
        chance.random() < 0.5,
    ),
    "loosen": _account,
    "tighten": _account,
    "restart_server": _seconds,
}
