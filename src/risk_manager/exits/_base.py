"""What a position rule is: frozen settings, a pure step over what happened, and the levels that follow.

An exit watches one position from its opening until it is flat or turned round; then its state is thrown away. It knows
no venue, no clock and no other exit: prices come in as marks, measures such as the average true range as numbers beside
them, and what goes out is a small program of prices and times (`Levels`) that any host can watch: resting at a venue,
held against quotes, or walked along the bars of a backtest.

All prices are ticks and of the exit side: what the position could be closed at (the bid of a long). Whatever falls
between two ticks is rounded toward safety: a stop to the tighter side, a target to the nearer one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import msgspec

from risk_manager.domain.finding import Skipped

ATR = "atr"
"""The feature that holds the average true range, in thousandths of a tick."""

BASIS_POINTS = 10_000
_ATR_SCALE = 100_000
"""Thousandths of a tick times percent."""


class Held(msgspec.Struct, frozen=True, gc=False):
    """An open position.

    Attributes:
        generation: another text for every position; a flat or a flip ends one.
        net_contracts: signed, + long, never 0.
        cost_micros: what it cost, signed like `net_contracts`; with `tick_value_micros` the average entry price.
        opened_ns: when it was opened.   changed_ns: when its size or cost last changed.
    """

    generation: str
    net_contracts: int
    cost_micros: int
    tick_value_micros: int
    opened_ns: int
    changed_ns: int

    @property
    def sign(self) -> int:
        return 1 if self.net_contracts > 0 else -1

    @property
    def size(self) -> int:
        return abs(self.net_contracts)

    def stop_ticks(self, offset_ticks: int) -> int:
        """The price `offset_ticks` in profit of the average entry (negative: in loss), rounded to the tighter side."""
        numerator, denominator = self._entry()
        if self.sign > 0:
            return -(-(numerator + offset_ticks * denominator) // denominator)
        return (numerator - offset_ticks * denominator) // denominator

    def target_ticks(self, offset_ticks: int) -> int:
        """The same price, rounded to the nearer side."""
        numerator, denominator = self._entry()
        if self.sign > 0:
            return (numerator + offset_ticks * denominator) // denominator
        return -(-(numerator - offset_ticks * denominator) // denominator)

    def entry_ticks(self) -> int:
        """The average entry in whole ticks, toward zero; for distances that are a part of the price."""
        numerator, denominator = self._entry()
        return numerator // denominator if numerator >= 0 else -(-numerator // denominator)

    def has_profit(self, price_ticks: int, ticks: int) -> bool:
        """Whether closing at a price would gain at least so many ticks."""
        numerator, denominator = self._entry()
        return self.sign * (price_ticks * denominator - numerator) >= ticks * denominator

    def _entry(self) -> tuple[int, int]:
        """The average entry price in ticks as a fraction, the second number > 0."""
        return self.sign * self.cost_micros, self.size * self.tick_value_micros


class Marked(msgspec.Struct, frozen=True):
    """Prices seen since the last mark: one price three times over for a quote, a bar's range and close for a bar."""

    at_ns: int
    high_ticks: int
    low_ticks: int
    close_ticks: int
    features: Mapping[str, int] = {}

    @classmethod
    def at(cls, price_ticks: int, at_ns: int, features: Mapping[str, int] | None = None) -> "Marked":
        """A single price."""
        return cls(at_ns, price_ticks, price_ticks, price_ticks, features if features is not None else {})

    def best_ticks(self, sign: int) -> int:
        """The price that was best for a position of that side."""
        return self.high_ticks if sign > 0 else self.low_ticks


class Resized(msgspec.Struct, frozen=True, gc=False):
    """The position's size or cost has changed; the position handed in beside it has the new ones."""

    at_ns: int


ExitEvent = Marked | Resized


class View(msgspec.Struct, frozen=True):
    """What is known now apart from the position.

    Attributes:
        session_end_ns: when the present session ends; None if nobody knows.
    """

    now_ns: int
    features: Mapping[str, int] = {}
    session_end_ns: int | None = None


# -- what goes out ----------------------------------------------------------------------------------------------


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Close everything at this price or worse; only a price later than `armed_ns` may trigger it."""

    price_ticks: int
    armed_ns: int
    by: str


class Target(msgspec.Struct, frozen=True, gc=False):
    """Close `contracts` (None: all) at this price or better; only a price later than `armed_ns` may trigger it."""

    price_ticks: int
    armed_ns: int
    by: str
    contracts: int | None = None


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """Close everything at this time."""

    at_ns: int
    by: str


class Trail(msgspec.Struct, frozen=True, gc=False, tag="trail"):
    """The stop follows the best price at a distance, once that has reached `from_ticks`, in steps of `step_ticks`."""

    by: str
    from_ticks: int
    distance_ticks: int
    step_ticks: int = 1


class MoveOnce(msgspec.Struct, frozen=True, gc=False, tag="move_once"):
    """The stop moves to `stop_ticks` when the price reaches `at_ticks`."""

    by: str
    at_ticks: int
    stop_ticks: int


Ratchet = Trail | MoveOnce


class Levels(msgspec.Struct, frozen=True):
    """What closes the position, as a program a host can follow without asking again.

    Attributes:
        targets: nearest first.
        ratchets: how the stop tightens as the price moves; a host that steps the exits on every mark needs none.
        skipped: what could not be judged, though the rest holds.
    """

    stop: Stop | None = None
    targets: tuple[Target, ...] = ()
    deadline: Deadline | None = None
    ratchets: tuple[Ratchet, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class OnMissing(StrEnum):
    """What to do while a measure is missing: keep what is, keep it and say so, or close the position."""

    HOLD = "hold"
    ALERT = "alert"
    EXIT = "exit"


class Exit(Protocol):
    """One position rule; its settings are the frozen fields of a `msgspec.Struct`, tagged with its name."""

    name: ClassVar[str]
    """Equal to the file's name."""

    def initial_state(self, position: Held) -> Any:
        """A frozen `msgspec.Struct`, or None for an exit that remembers nothing."""

    def step(self, state: Any, event: ExitEvent, position: Held) -> Any:
        """The next state; the same object if nothing changed."""

    def levels(self, state: Any, position: Held, view: View) -> Levels:
        """What closes the position now."""


# -- what stops share -------------------------------------------------------------------------------------------


class Distance(msgspec.Struct, frozen=True, kw_only=True):
    """How far from a price: exactly one of ticks, hundredths of a percent of it, or percent of the average true range.

    `atr_percent=250` is two and a half times the average true range.
    """

    ticks: int | None = None
    basis_points: int | None = None
    atr_percent: int | None = None

    def __post_init__(self) -> None:
        given = [one for one in (self.ticks, self.basis_points, self.atr_percent) if one is not None]
        if len(given) != 1 or given[0] <= 0:
            raise ValueError("a distance is exactly one of ticks, basis_points or atr_percent, above 0")

    def ticks_from(self, price_ticks: int, features: Mapping[str, int]) -> int | None:
        """Whole ticks, the smaller of two and at least 1; None while the measure it needs is missing."""
        if self.ticks is not None:
            return self.ticks
        if self.basis_points is not None:
            return max(1, abs(price_ticks) * self.basis_points // BASIS_POINTS)
        assert self.atr_percent is not None, self
        atr = features.get(ATR, 0)
        # Half a reading is no reading: zero or less means that there is none yet.
        return max(1, atr * self.atr_percent // _ATR_SCALE) if atr > 0 else None


class StopState(msgspec.Struct, frozen=True, gc=False):
    """A stop that only tightens: where it is (None: nowhere yet) and since when."""

    stop_ticks: int | None = None
    armed_ns: int = 0

    def moved(self, wanted_ticks: int | None, at_ns: int, sign: int, *, may_loosen: bool = False) -> "StopState":
        """The stop at `wanted_ticks`, unless that is looser or no change."""
        if wanted_ticks is None or wanted_ticks == self.stop_ticks:
            return self
        if self.stop_ticks is not None and not may_loosen and not is_tighter(wanted_ticks, self.stop_ticks, sign):
            return self
        return StopState(wanted_ticks, at_ns)

    def level(self, by: str) -> Stop | None:
        return None if self.stop_ticks is None else Stop(self.stop_ticks, self.armed_ns, by)


def is_tighter(one_ticks: int, other_ticks: int, sign: int) -> bool:
    """Whether a stop price is strictly tighter than another for a position of that side."""
    return sign * (one_ticks - other_ticks) > 0
