"""A decision in a trader's words, one line for each thing it says."""

from collections.abc import Iterator
from typing import Any

MICROS_PER_USD = 1_000_000
NS_PER_S = 1_000_000_000
_VERBS = {
    "cancel_order": "cancel order",
    "close_position": "close position",
    "reduce_position": "reduce position",
    "place_stop": "place stop",
    "place_target": "place target",
    "modify_order": "move order",
}
_DAY_END_UNTOLD = "the end of the trading day, the venue's time not known yet"


def decision_lines(decision: dict[str, Any]) -> Iterator[str]:
    """Lines for a decision as the local API gives it; none for one that only asked for proof."""
    head = f"{decision['trading_day']} #{decision['sequence']:<5}"
    for finding in decision.get("findings", ()):
        yield f"{head} {_finding(finding)}"
    for release in decision.get("lockouts_released", ()):
        yield f"{head} UNLOCKED {_scope(release['scope'])} of {release['rule']}: {release['reason']}"
    for lockout in decision.get("lockouts_set", ()):
        yield f"{head} LOCKED   {_scope(lockout['scope'])} by {lockout['rule']} until {_end(lockout)}"
    for action in decision.get("actions", ()):
        if action["type"] in _VERBS:
            yield f"{head} SEND     {_action(action)}"
    for intent in decision.get("intents", ()):
        if intent["state"] == "verified" and intent.get("goal", {}).get("type") == "protected":
            yield f"{head} ENDED    {intent['rule']}: {_scope(intent['scope'])} is closed, its stop and target are gone"
        elif intent["state"] == "verified":
            yield f"{head} PROVEN   {intent['rule']}: the venue confirms{_took(intent)}"
    for skipped in decision.get("skipped", ()):
        yield f"{head} SKIPPED  {skipped['rule']}: {skipped['reason']}"


def _finding(finding: dict[str, Any]) -> str:
    if finding["type"] == "protect":
        return f"PROTECT  {finding['rule']} {short(finding['contract_id'])}: {_levels(finding)}"
    word = {"breach": "BREACH  ", "warning": "WARNING ", "release": "RELEASE "}[finding["type"]]
    if finding["type"] == "release":
        return f"{word} {finding['rule']} on {_scope(finding['scope'])}: {finding['reason']}"
    facts = ", ".join(f"{name} {value}" for name, value in finding.get("evidence", ()))
    measured, limit = (amount(finding[key], finding["unit"]) for key in ("measured", "limit"))
    return f"{word} {finding['rule']} {_scope(finding['scope'])}: {measured}, limit {limit} ({facts})"


def amount(value: int, unit: str) -> str:
    """A number of a finding with its unit: `-$512.50`, `4 contracts`."""
    if unit == "micros":
        sign = "-" if value < 0 else ""
        return f"{sign}${abs(value) / MICROS_PER_USD:,.2f}"
    return str(value) if unit == "none" else f"{value} {unit}"


def _levels(finding: dict[str, Any]) -> str:
    levels = {"stop": finding["stop_ticks"], "target": finding["target_ticks"]}
    return ", ".join(f"{name} at {ticks} ticks" for name, ticks in levels.items() if ticks is not None) or "nothing"


def _action(action: dict[str, Any]) -> str:
    word = "by" if action["type"] == "reduce_position" else "for"
    size = f" {word} {action['size']}" if action.get("size") is not None else ""
    order = f" {action['order_id']}" if "order_id" in action else ""
    return f"{_VERBS[action['type']]}{order} {short(action['contract_id'])}{size}"


def _took(intent: dict[str, Any]) -> str:
    if intent.get("reached_ns") is None:
        return ""
    return f", {(intent['reached_ns'] - intent['opened_ns']) / 1_000_000:.0f} ms after the breach"


def _scope(scope: dict[str, Any]) -> str:
    return scope.get("root") or short(scope.get("contract_id") or "") or "account"


def short(contract_id: str) -> str:
    """The part of a contract id that tells it apart: `EP.H26` of `CON.F.US.EP.H26`."""
    return ".".join(contract_id.split(".")[-2:])


def end_untold(*, is_timed: bool) -> str:
    """Until when a lockout lasts of which no instant is told."""
    return "an end the venue's time has yet to tell" if is_timed else "its condition ends"


def _end(lockout: dict[str, Any]) -> str:
    until_ns = lockout["until_ns"]
    if until_ns is None:
        return end_untold(is_timed=False)
    if not lockout["set_ns"]:
        # Set before the venue had told the time: what stands there is no instant, see `domain.lockout`.
        return f"{clock(until_ns / NS_PER_S)} after the venue first tells the time" if until_ns else _DAY_END_UNTOLD
    from datetime import UTC, datetime

    return datetime.fromtimestamp(until_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(seconds: float) -> str:
    """`1:05:09`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
