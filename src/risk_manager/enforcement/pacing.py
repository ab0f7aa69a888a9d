"""How long the guard waits before it repeats itself, all in local nanoseconds."""

import msgspec

_MS = 1_000_000
_S = 1_000_000_000


class Pacing(msgspec.Struct, frozen=True, gc=False):
    """Waiting times of the enforcement loop; there is no number of attempts after which it stops.

    Attributes:
        repeat_ns: least time between two actions on one target.
        effect_ns: how long an accepted action may take to show before it is sent again.
        refused_most_ns: cap of the doubling wait after refusals.
        not_found_most_ns: the same for what the venue does not find, until a snapshot tells what is left to do.
        rate_limited_ns: wait after the venue said the call budget is spent.
        closed_market_ns: waits after the venue said the market is closed; each is kept for `closed_tries` refusals, the
            last for ever. With a quote since the refusal it is the first again.
        lost_ns: an action without any outcome for this long counts as unknown.
        settle_ns: after an unknown or ineffective sized action, how long before the next sized one (the venue may
            still execute the first; reliability F03).
        openers_ns: how long in one episode a close waits at most for the cancels of opening orders.
        openers_most: with more opening orders than this the close does not wait at all.
        unknowns_most: unknown sized actions in one episode before the whole position is closed instead.
        proof_ns: least time between the two agreeing snapshots that prove a goal.
        market_order_ns: a market order younger than this (venue time) fills before a cancel could reach it.
        busy_window_ns, busy_closes, busy_close_ns: after so many closes and reductions of the account within the window
            the least time between two on one target grows, and likewise for snapshots (busy_snapshots,
            busy_snapshot_ns): a trader who fights must not use up the venue's 200 calls a minute for us.
        protect_refused_most_ns: cap of the doubling wait after a refused protective order.
        protect_fill_ns: how long after a protective order shrank or went nothing takes its place: an order tells its
            fill before the position does.
        sweep_ns: how long after something was closed the account is read for orders left behind; with the last of
            these it is over.
        doubt_ns: how long fills and position may disagree before a snapshot is asked for.
    """

    repeat_ns: int = 250 * _MS
    effect_ns: int = 2 * _S
    refused_most_ns: int = 2 * _S
    not_found_most_ns: int = 30 * _S
    rate_limited_ns: int = 1 * _S
    closed_market_ns: tuple[int, ...] = (1 * _S, 2 * _S, 5 * _S, 10 * _S)
    closed_tries: int = 10
    lost_ns: int = 10 * _S
    settle_ns: int = 7 * _S
    openers_ns: int = 500 * _MS
    openers_most: int = 8
    unknowns_most: int = 3
    proof_ns: int = 400 * _MS
    market_order_ns: int = 1 * _S
    busy_window_ns: int = 60 * _S
    busy_closes: int = 20
    busy_close_ns: int = 600 * _MS
    busy_snapshots: int = 10
    busy_snapshot_ns: int = 4 * _S
    protect_refused_most_ns: int = 15 * _S
    protect_fill_ns: int = 1 * _S
    sweep_ns: tuple[int, ...] = (2 * _S, 10 * _S, 60 * _S)
    doubt_ns: int = 250 * _MS
