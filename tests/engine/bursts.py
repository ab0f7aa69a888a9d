"""One fill's burst of events, in any order and any number."""

import msgspec
from hypothesis import strategies as st

from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, FillReceived
from risk_manager.domain.order import OrderStatus, Side
from risk_manager.testing.events import Price, Scenario
from risk_manager.testing.guarded import Guarded


def burst_of(venue: Scenario, product: Contract, contracts: int, price: Price) -> tuple[Event, ...]:
    """What the venue sends about one execution: the order's end, the fills, the position, the account."""
    opening = next((fill for fill in reversed(venue.fills.values()) if fill.pnl_micros is None), None)
    move = venue.buys if contracts > 0 else venue.sells
    moved = move(product, abs(contracts), price, fees=1)
    side = Side.BUY if contracts > 0 else Side.SELL
    order = venue.order(
        product, side, abs(contracts), order_id=f"m{venue.now_ns}", status=OrderStatus.FILLED, filled=abs(contracts)
    )
    again = () if opening is None else (FillReceived(venue.account_id, opening, opening.at_ns, venue.now_ns),)
    return (*moved, order, venue.account(), *again)


def shuffled(events: tuple[Event, ...]) -> st.SearchStrategy[list[Event]]:
    """Every event at least once, in any order."""
    extra = st.lists(st.sampled_from(events), max_size=4)
    return extra.flatmap(lambda more: st.permutations([*events, *more]))


def arrives(guarded: Guarded, events: list[Event]) -> None:
    """Feed events as they come in now, a millisecond apart."""
    for event in events:
        now_ns = guarded.venue._tick()
        guarded.feed(msgspec.structs.replace(event, received_ns=now_ns))


def numbers(guarded: Guarded) -> dict[str, object]:
    """What the account amounts to."""
    account = guarded.engine.account
    return {
        "realized": account.realized_micros,
        "fees": account.fees_micros,
        "unrealized": account.unrealized_micros,
        "held": {key: (one.net_contracts, one.value_cost) for key, one in account.holdings.items()},
        "orders": dict(account.orders),
        "fills": account.fills,
        "doubtful": account.doubtful_since_ns(),
    }


def outcome(guarded: Guarded) -> dict[str, set[tuple[object, ...]]]:
    """What was decided: which breaches, lockouts and intents came out, whatever their number and timing."""
    intents = [intent for decision in guarded.decisions for intent in decision.intents]
    return {
        "breaches": {(breach.rule, breach.code, breach.scope) for breach in guarded.breaches},
        "lockouts": {(lock.rule, lock.scope, lock.until_ns, lock.on_lock) for lock in guarded.lockouts},
        "intents": {(intent.rule, intent.code, intent.scope) for intent in intents},
    }
