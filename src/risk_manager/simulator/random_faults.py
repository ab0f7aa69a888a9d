"""Faults by chance: a script out of a weighted table, the same for the same seed."""

import random

import msgspec

from risk_manager.simulator.fault_script import Script, Step, parse_sentence


class Likely(msgspec.Struct, frozen=True):
    """A fault of the table.

    Attributes:
        weight: how often it comes, against the weights of the others.
        text: a sentence; what stands in braces is drawn.
    """

    weight: int
    text: str


TABLE = (
    Likely(8, "drop {place} for {long}"),
    Likely(4, "drop {place}"),
    Likely(2, "reset {place}"),
    Likely(4, "half-open {place} for {long}"),
    Likely(4, "stall {place} for {long}"),
    Likely(4, "close {hub}"),
    Likely(2, "end {hub}"),
    Likely(2, "log out"),
    Likely(4, "lose {share} of {hub} for {long}"),
    Likely(4, "duplicate {share} of {hub} for {long}"),
    Likely(4, "reorder {hub} within {short} for {long}"),
    Likely(2, "split {hub} into {pieces} for {long}"),
    Likely(6, "delay {place} by {short} for {long}"),
    Likely(4, "hold orders by {short} for {long}"),
    Likely(4, "age reads by {short} for {long}"),
    Likely(6, "fail {call} with {status}, {times} times"),
    Likely(2, "fail rest with {status} for {short}"),
    Likely(2, "fail {hub_door} with 403, {times} times"),
    Likely(4, "lose request of {call}, {times} times"),
    Likely(6, "lose answer of {call}, {times} times"),
    Likely(4, "break {call} with {status}, {times} times"),
    Likely(3, "garble {call} with {garbage}, {times} times"),
    Likely(3, "pretend {act}"),
    Likely(3, "empty {read}, {times} times"),
    Likely(3, "truncate {read} to 0, {times} times"),
    Likely(3, "poison {source} with {bad} for {short}"),
    Likely(3, "revoke tokens"),
    Likely(2, "revoke key for {long}"),
    Likely(3, "fill in parts for {long}"),
    Likely(2, "pause all by {halt}"),
)
"""What happens to a connection or a market sooner or later; nothing here changes what an account may do or holds."""

_READS = ("Account/search", "Position/searchOpen", "Order/searchOpen", "Order/v2/query", "Trade/search")
_ACTS = ("Order/place", "Order/cancel", "Position/closeContract", "Position/partialCloseContract")
_HUBS = ("user_hub", "market_hub", "hubs")
_WORDS = {
    "hub": _HUBS,
    "hub_door": ("user_hub", "market_hub", "user_hub/negotiate", "market_hub/negotiate"),
    "place": (*_HUBS, "rest", "everything"),
    "read": _READS,
    "act": _ACTS,
    "call": (*_READS, *_ACTS, "Auth/loginKey", "Auth/validate"),
    "source": (*_HUBS, *_READS),
    "status": ("429", "500", "502", "503"),
    "garbage": ("html", "nothing", "half"),
    "bad": ("nan", "huge", "enormous", "negative", "nested", "wrong_type", "null", "missing"),
}


def random_script(seed: int, duration_s: int, *, mean_gap_s: float = 15.0) -> Script:
    """Faults over so many seconds, one after another at random distances of this mean."""
    chance = random.Random(seed)
    weights = [each.weight for each in TABLE]
    steps = []
    at_ms = 0
    while (at_ms := at_ms + 1 + round(chance.expovariate(1 / mean_gap_s) * 1000)) < duration_s * 1000:
        (likely,) = chance.choices(TABLE, weights)
        steps.append(Step(at_ms, False, parse_sentence(likely.text.format_map(_draws(chance)))))
    return Script.of(steps)


def _draws(chance: random.Random) -> dict[str, str]:
    # Everything is drawn for every fault, so that what one draws does not move the others.
    words = {name: chance.choice(choices) for name, choices in _WORDS.items()}
    return {
        **words,
        "long": f"{chance.randint(1, 30)}s",
        "short": f"{chance.randint(1, 150) * 20}ms",
        "share": f"{chance.randint(1, 10) * 10}%",
        "pieces": str(chance.randint(2, 8)),
        "times": str(chance.randint(1, 5)),
        # As long as the exchange waits when prices have moved too fast.
        "halt": f"{chance.randint(2, 10)}s",
    }
