"""What the rules about open profit share: what is measured together, what is done, and quotes that stay away."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from risk_manager.domain.account import AccountView, HoldingView
from risk_manager.domain.events import Event, QuoteUpdated
from risk_manager.domain.finding import Breach, Loss, Unit, Warning
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.rules._base import UNBOUNDED, Demand, LockTerms, Remedy
from risk_manager.rules._options import dollars_text

SECOND_NS = 1_000_000_000
Magnitude = Annotated[int, msgspec.Meta(gt=0)]


class Together(StrEnum):
    """What is compared with a limit: each contract, each product over its expiries, or the account."""

    PER_POSITION = "per_position"
    PER_INSTRUMENT = "per_instrument"
    TOTAL = "total"


class Action(StrEnum):
    """CLOSE_POSITION closes what was compared; the others concern the account."""

    CLOSE_POSITION = "close_position"
    FLATTEN = "flatten"
    FLATTEN_AND_LOCK = "flatten_and_lock"
    ALERT = "alert"


_DEMANDS = {
    Action.CLOSE_POSITION: Demand.CLOSE_POSITION,
    Action.FLATTEN: Demand.FLATTEN,
    Action.FLATTEN_AND_LOCK: Demand.FLATTEN,
    Action.ALERT: Demand.ALERT,
}


def remedy_of(action: Action, lockout: LockTerms | None) -> Remedy:
    """What the action demands; `flatten_and_lock` without terms locks until the trading day ends."""
    if lockout is None and action is Action.FLATTEN_AND_LOCK:
        lockout = LockTerms()
    return Remedy(_DEMANDS[action], lockout)


def grouped(holdings: Iterable[HoldingView], together: Together) -> dict[Scope, list[HoldingView]]:
    """The holdings by what is measured together."""
    groups: dict[Scope, list[HoldingView]] = {}
    for holding in holdings:
        groups.setdefault(_scope_of(holding, together), []).append(holding)
    return groups


def _scope_of(holding: HoldingView, together: Together) -> Scope:
    if together is Together.TOTAL:
        return ACCOUNT
    if together is Together.PER_POSITION or holding.contract is None:
        return Scope(contract_id=holding.contract_id)
    return Scope(root=holding.root)


def name_of(holding: HoldingView) -> str:
    """The contract's name, or its id while it is unknown."""
    return holding.contract.name if holding.contract is not None else holding.contract_id


def evidence_of(scope: Scope, holdings: Sequence[HoldingView]) -> tuple[tuple[str, str], ...]:
    """What was measured together: each position and its quote, of the account only how many."""
    if scope.is_account:
        return (("positions", str(len(holdings))),)
    return tuple(part for holding in holdings for part in _described(holding))


def _described(holding: HoldingView) -> Iterator[tuple[str, str]]:
    name, quote = name_of(holding), holding.quote
    yield name, f"{holding.net_contracts:+d}"
    if quote is not None:
        prices = {"bid": quote.bid_ticks, "ask": quote.ask_ticks, "last": quote.last_ticks}
        known = " ".join(f"{which} {ticks}" for which, ticks in prices.items() if ticks is not None)
        yield f"{name} quote", f"{known} ticks" if known else "no price"


# -- the day's budget -------------------------------------------------------------------------------------------


def day_budget(rule: str, together_micros: int, limit_micros: int, account: AccountView) -> Breach:
    """All positions together, signed, are at what the day leaves them, signed alike."""
    used = ("realized", dollars_text(account.realized_micros)), ("fees", dollars_text(account.fees_micros))
    loss = Loss.OPEN if limit_micros < 0 else None
    return Breach(rule, "DAY_BUDGET", together_micros, limit_micros, Unit.MICROS, ACCOUNT, evidence=used, loss=loss)


def linked_composite(
    own: dict[str, Any], others: Mapping[str, Mapping[str, Any]], *, option: str, rule: str, names: Sequence[str]
) -> dict[str, Any]:
    """A rule's options with the day's limit, and whether fees count, from another rule's, where they are left out.

    Args:
        option: the limit in our `composite_enforcement`.   names: how the other rule's options may spell it.
    """
    composite = own.get("composite_enforcement")
    if not isinstance(composite, dict) or composite.get("enabled") is not True:
        return own
    reference = f"{option.split('_')[0]}_rule_ref"
    if composite.get(reference, rule) != rule:
        return own
    rest = {key: value for key, value in composite.items() if key != reference}
    day = others.get(rule, {})
    limit = next((day[name] for name in names if name in day), None)
    if limit is not None:
        rest.setdefault(option, limit)
    if "include_fees" in day:
        rest.setdefault("include_fees", day["include_fees"])
    return {**own, "composite_enforcement": rest}


# -- quotes that do not come ------------------------------------------------------------------------------------


def quote_age_ns(holding: HoldingView, account: AccountView) -> int:
    """How long ago the last quote came, or without one the position, on the local clock: it goes on in any silence."""
    return account.received_ns - (holding.quote_received_ns or holding.increased_ns)


def about_quote(rule: str, code: str, holding: HoldingView, age_ns: int, allowed_ns: int) -> Warning:
    """A warning that the holding's quote is older than is allowed."""
    evidence = (
        ("contract", holding.contract_id),
        ("quote_age_s", str(age_ns // SECOND_NS)),
        ("allowed_s", str(allowed_ns // SECOND_NS)),
    )
    return Warning(rule, code, 0, 0, Unit.NONE, Scope(contract_id=holding.contract_id), evidence)


def stale_quotes(rule: str, max_age_ns: int, account: AccountView) -> Iterator[Warning]:
    """A warning for each holding whose last price is too old."""
    for _, holding in sorted(account.holdings.items()):
        age_ns = quote_age_ns(holding, account)
        if holding.unrealized_micros is not None and age_ns > max_age_ns:
            yield about_quote(rule, "QUOTE_STALE", holding, age_ns, max_age_ns)


def next_look_ns(due_ns: int | None, interval_ns: int, event: Event, account: AccountView) -> int | None:
    """Venue time of the next look without an event; None while nothing is held. Quotes do not put it off."""
    if not account.holdings:
        return None
    if type(event) is QuoteUpdated and due_ns is not None and due_ns > account.now_ns:
        return due_ns
    return account.now_ns + interval_ns


def quiet_until_ns(due_ns: int | None, max_age_ns: int, account: AccountView) -> int:
    """Venue time until which, as far as can be told now, no quote is too old and no look is due."""
    oldest_ns = max([quote_age_ns(holding, account) for holding in account.holdings.values()], default=0)
    return min(UNBOUNDED if due_ns is None else due_ns, account.now_ns + max_age_ns - oldest_ns + 1)
