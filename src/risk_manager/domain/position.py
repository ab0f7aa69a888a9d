"""The netted holding in one contract, as the venue states it."""

import msgspec


class Position(msgspec.Struct, frozen=True, gc=False):
    """A position.

    Attributes:
        net_contracts: signed, + long; 0 is flat.
        cost_micros: what the position cost: average price x net contracts, in 1e-6 USD, signed like net_contracts.
            None while the contract's tick value is unknown. Profit is mark value minus this (see `value_micros`).
        id: the venue's id; a new one each time the contract is opened from flat.
        opened_ns: the venue's creation time; 0 where it cannot be read.
    """

    contract_id: str
    net_contracts: int
    cost_micros: int | None
    id: str
    opened_ns: int


def value_micros(price_ticks: int, net_contracts: int, tick_value_micros: int) -> int:
    """What `net_contracts` are worth at a price, in 1e-6 USD, signed; profit is this minus the cost."""
    return price_ticks * net_contracts * tick_value_micros
