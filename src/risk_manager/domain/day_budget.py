"""What the trading day has brought, and how far it may still go: one ledger and one sum for all rules that limit a day.

The ledger is the account's own (the venue's figures, each fill counted once); nothing here remembers anything, so any
number of rules may read it without counting a fill twice.
"""

from enum import StrEnum

from risk_manager.domain.account import AccountView


class DayBasis(StrEnum):
    """What counts towards the day.

    REALIZED: closed profit only.   REALIZED_PLUS_UNREALIZED: and what all open positions are worth now.
    COMPOSITE: closed profit and open losses; an open profit may be gone a second later.
    """

    REALIZED = "realized"
    REALIZED_PLUS_UNREALIZED = "realized_plus_unrealized"
    COMPOSITE = "composite"


# Looked up once: an enum member is found through its metaclass, which the quote path would pay for on every event.
_REALIZED = DayBasis.REALIZED
_COMPOSITE = DayBasis.COMPOSITE


def day_result_micros(account: AccountView, basis: DayBasis, include_fees: bool) -> int:
    """The day's result on a basis, signed; unpriced holdings count nothing."""
    result = account.realized_micros - (account.fees_micros if include_fees else 0)
    if basis is _REALIZED:
        return result
    return result + (open_losses_micros(account) if basis is _COMPOSITE else account.unrealized_micros)


def open_losses_micros(account: AccountView) -> int:
    """The sum of the losing holdings, <= 0; unpriced ones count nothing."""
    losses = 0
    for holding in account.holdings.values():
        floating = holding.unrealized_micros
        if floating is not None and floating < 0:
            losses += floating
    return losses


def loss_room_micros(limit_micros: int, account: AccountView, *, include_fees: bool) -> int:
    """What a day's loss limit (a magnitude) leaves to the open positions together; <= 0 when it is used up.

    A limit of 900 after 800 lost leaves 100; after 300 won it leaves 1200.
    """
    return limit_micros + day_result_micros(account, _REALIZED, include_fees)


def profit_room_micros(target_micros: int, account: AccountView, *, include_fees: bool) -> int:
    """What the open positions together must still bring to a day's profit target; <= 0 when it is reached."""
    return target_micros - day_result_micros(account, _REALIZED, include_fees)
