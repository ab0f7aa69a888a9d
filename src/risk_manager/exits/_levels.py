"""Levels of several exits made one, and what a price does to them."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from risk_manager.exits._base import Exit, ExitEvent, Held, Levels, Marked, Target, View


class Cause(StrEnum):
    STOP = "stop"
    TARGET = "target"
    DEADLINE = "deadline"


class Trigger(msgspec.Struct, frozen=True, gc=False):
    """A level that was reached.

    Attributes:
        price_ticks: the level's; None for a deadline. What it really fills at is the host's business.
        contracts: to close.   by: the exit that set the level.
    """

    cause: Cause
    price_ticks: int | None
    contracts: int
    by: str


def begun(exits: Sequence[Exit], position: Held) -> tuple[Any, ...]:
    """The states of all exits at the beginning of a position; a host drops them with its end."""
    return tuple(one.initial_state(position) for one in exits)


def stepped(exits: Sequence[Exit], states: Sequence[Any], event: ExitEvent, position: Held) -> tuple[Any, ...]:
    """The states of all exits after an event; every one is stepped."""
    return tuple(one.step(state, event, position) for one, state in zip(exits, states, strict=True))


def levels_of(exits: Sequence[Exit], states: Sequence[Any], position: Held, view: View) -> Levels:
    """What all exits together say."""
    return merge((one.levels(state, position, view) for one, state in zip(exits, states, strict=True)), position)


def merge(levels: Iterable[Levels], position: Held) -> Levels:
    """The tightest stop, the nearest targets up to the position's size, the earliest deadline; each says whose it is.

    Of equals the first wins, so the order of the exits decides nothing but a name.
    """
    parts = tuple(levels)
    stops = [part.stop for part in parts if part.stop is not None]
    deadlines = [part.deadline for part in parts if part.deadline is not None]
    sign = position.sign
    return Levels(
        stop=min(stops, key=lambda stop: -sign * stop.price_ticks, default=None),
        targets=_nearest([target for part in parts for target in part.targets], position),
        deadline=min(deadlines, key=lambda deadline: deadline.at_ns, default=None),
        ratchets=tuple(ratchet for part in parts for ratchet in part.ratchets),
        skipped=tuple(skipped for part in parts for skipped in part.skipped),
    )


def _nearest(targets: list[Target], position: Held) -> tuple[Target, ...]:
    """Targets in order of their distance, each with its contracts, together no more than are held."""
    left = position.size
    kept: list[Target] = []
    for target in sorted(targets, key=lambda target: position.sign * target.price_ticks):
        contracts = left if target.contracts is None else min(left, target.contracts)
        if contracts > 0:
            kept.append(msgspec.structs.replace(target, contracts=contracts))
            left -= contracts
    return tuple(kept)


def triggered(levels: Levels, mark: Marked, position: Held) -> Trigger | None:
    """The level a mark reaches; None if none.

    A level is only reached by prices later than it was armed. Where a bar reaches both a stop and a target, or more
    than one target, its range does not tell which came first: the stop is assumed, then the nearest target.
    """
    sign = position.sign
    worst, best = (mark.low_ticks, mark.high_ticks) if sign > 0 else (mark.high_ticks, mark.low_ticks)
    stop = levels.stop
    if stop is not None and mark.at_ns > stop.armed_ns and sign * (worst - stop.price_ticks) <= 0:
        return Trigger(Cause.STOP, stop.price_ticks, position.size, stop.by)
    for target in levels.targets:
        if mark.at_ns > target.armed_ns and sign * (best - target.price_ticks) >= 0:
            contracts = position.size if target.contracts is None else min(target.contracts, position.size)
            return Trigger(Cause.TARGET, target.price_ticks, contracts, target.by)
    deadline = levels.deadline
    if deadline is not None and mark.at_ns >= deadline.at_ns:
        return Trigger(Cause.DEADLINE, None, position.size, deadline.by)
    return None
