"""An enforcement in a trader's words, from the breach to the proof."""

from collections.abc import Iterator
from typing import Any

from risk_manager.cli.decision_text import end_untold, short

_CAUSES = {
    "quote_updated": "a quote",
    "fill_received": "a fill",
    "position_updated": "a change of the position",
    "order_updated": "a change of an order",
    "account_updated": "a change of the account",
    "snapshot_taken": "reading the account",
    "timer_fired": "the time that had passed",
    "rules_changed": "new rules",
    "operator_command": "an operator's command",
}
_DEMANDS = {
    "flat": "no position and no order",
    "closed": "the position closed, and the orders around it gone",
    "at_most": "no more contracts than the rule allows",
    "no_opening_orders": "no order that would add to a position",
    "orders_gone": "the orders in question gone",
    "protected": "a stop or a target at the position",
}
_VERBS = {
    "close_position": "close {contract}",
    "reduce_position": "reduce {contract} by {size}",
    "cancel_order": "cancel order {order}",
    "place_stop": "place a stop for {size} {contract}",
    "place_target": "place a target for {size} {contract}",
    "modify_order": "move order {order}",
}
_MOST_CALLS = 12
_HEADLINES = {
    "UNDER_LOCKOUT": "{rule} had locked {where} out, and {where} did not stay empty.",
    "ORPHANED_ORDERS": "{rule} had closed {where}, and orders of before turned up.",
}
_BROKEN = "{rule} was broken on {where}."


def explanation_lines(found: dict[str, Any]) -> Iterator[str]:
    """Lines for an enforcement as the local API gives it."""
    unit = found["unit"]
    yield f"Enforcement {found['id']}, trading day {found['trading_day']}, account {found['account_id']}"
    yield ""
    yield f"{_clock(found['breach_time'])}  {_headline(found)}"
    if unit != "none" and found["code"] not in _HEADLINES:
        yield f"    Measured {_amount(found['measured'], unit)}, the limit is {_amount(found['limit'], unit)}."
    yield f"    It showed in {_CAUSES.get(found['cause'], found['cause'])}. Code: {found['code']}."
    for name, value in found["evidence"]:
        yield f"      {name}: {value}"
    yield from _decided(found)
    if found["state"] == "observed":
        yield "    The guard only observes this account: it recorded this and sent nothing."
        return
    yield from _asked(found)
    if found["state"] == "dropped":
        yield "It was left at that, and nothing is proven: since then the guard only observes this account."
        return
    yield from _ended(found)


def _headline(found: dict[str, Any]) -> str:
    return _HEADLINES.get(found["code"], _BROKEN).format(rule=found["rule"], where=_where(found["scope"]))


def _where(scope: str) -> str:
    return "the account" if scope == "account" else short(scope)


def _decided(found: dict[str, Any]) -> Iterator[str]:
    yield f"Demanded: {_DEMANDS.get(found['demanded'], found['demanded'])}, on {_where(found['scope'])}."
    for lock in found["lockouts"]:
        until = end_untold(is_timed=lock["is_timed"]) if lock["until"] is None else _clock(lock["until"], day=True)
        yield f"Locked out: {_where(lock['scope'])}, until {until}."
    if found["decided_us"] is not None:
        decided, durable = found["decided_us"] / 1000, found["durable_us"] / 1000
        yield f"Decided {decided:.2f} ms after the news came, on disk {durable:.2f} ms later; only then was it sent."


def _asked(found: dict[str, Any]) -> Iterator[str]:
    yield f"Asked of the venue: {found['actions']} {'call' if found['actions'] == 1 else 'calls'}"
    for call in found["calls"][:_MOST_CALLS]:
        what = _VERBS.get(call["kind"], call["kind"]).format(
            contract=short(call["contract_id"]), size=call["size"], order=call["order_id"]
        )
        took = "" if call["took_ms"] is None else f" ({call['took_ms']:,.0f} ms)"
        yield f"    {what}: {call['answer'] or 'no answer recorded'}{took}"
    if found["actions"] > _MOST_CALLS:
        yield f"    and {found['actions'] - _MOST_CALLS} more"


def _ended(found: dict[str, Any]) -> Iterator[str]:
    if found["flat_ms"] is None:
        yield "The account does not look as demanded yet."
        return
    again = found["reentries"]
    back = f" It was broken again {again} {'time' if again == 1 else 'times'} and put right again." if again else ""
    yield f"As demanded after {_ms(found['flat_ms'])}.{back}"
    if found["proven_ms"] is not None:
        yield f"Proven after {_ms(found['proven_ms'])}: two readings of the account by the venue agree."
    unit = found["unit"]
    if unit != "none" and found["code"] not in _HEADLINES:
        yield f"It got as far as {_amount(found['worst'], unit)}{_past_limit(found['overshoot'], unit)}."


def _past_limit(past: float | None, unit: str) -> str:
    """How far past the limit it was when all was closed; nothing where that was not recorded."""
    if past is None:
        return ""
    return f"; when all was closed, {f'{_amount(past, unit)} past the limit' if past else 'not past the limit'}"


def _amount(value: float, unit: str) -> str:
    if unit == "usd":
        return f"{'-' if value < 0 else ''}${abs(value):,.2f}"
    return f"{value:g} {unit}"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"


def _clock(instant: str, *, day: bool = False) -> str:
    """`14:32:07.215 UTC` of an ISO instant, with the day where wanted."""
    date, _, time = instant.removesuffix("Z").partition("T")
    return f"{date} {time} UTC" if day else f"{time} UTC"
