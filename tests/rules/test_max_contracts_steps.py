"""At most so many contracts: what counts, what goes first, and what is said."""

from typing import Any

import pytest

from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import AtMost, Breach, Gauge, Unit
from risk_manager.domain.order import Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.testing.events import ES, ES_JUNE, MNQ, NQ, Scenario, contract
from risk_manager.testing.guarded import Guarded
from tests.rules.test_max_contracts import PRICES, rule

ES_SEPT = contract("ES", "0.25", "12.50", "EP", expiry="U25")
MNQ_JUNE = contract("MNQ", "0.25", "0.50", expiry="M25")


def told(*positions: tuple[Contract, int], **options: Any) -> Guarded:
    """A guard that finds these positions at its start, opened one after the other."""
    venue = Scenario()
    venue.contracts = (*venue.contracts, ES_SEPT, MNQ_JUNE)
    for product, net in positions:
        venue.position(product, net, PRICES.get(product, 5900))
    return Guarded(rule(**options), venue=venue)


def left(guarded: Guarded) -> list[tuple[str, int]]:
    names = {one.id: one.name for one in guarded.venue.contracts}
    (breach,) = guarded.breaches
    return [(names[target.contract_id], target.size) for target in breach.targets]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("positions", "options", "expected"),
    [
        # The ES weigh two on the heavier side, so two of them may go; then it is the other product's turn.
        ([(NQ, 5), (ES_JUNE, -4), (ES, 4), (ES_SEPT, 2)], {"limit": 3}, [("ESU5", 0), ("NQH5", 3)]),
        ([(ES, 3), (NQ, -1)], {"limit": 1, "count_type": "net_account"}, [("ESH5", 2)]),
        ([(ES, 3), (NQ, 2), (MNQ, -1)], {"limit": 1, "count_type": "net_account"}, [("NQH5", 0), ("ESH5", 2)]),
        ([(ES, 4), (ES_JUNE, -3)], {"limit": 5, "count_type": "gross"}, [("ESM5", 1)]),
        (
            [(NQ, 4), (MNQ_JUNE, -5), (MNQ, 30)],
            {"limit": 1, "weighting": "mini_equivalent"},
            [("MNQH5", 5), ("NQH5", 1)],
        ),
        ([(NQ, 5), (ES_JUNE, -3), (ES, 3), (ES_SEPT, 1)], {"limit": 3}, [("ESU5", 0), ("NQH5", 3)]),
        ([(NQ, 5), (MNQ, 1)], {"weighting": "mini_equivalent"}, [("MNQH5", 0)]),
        ([(MNQ, 51)], {"weighting": "mini_equivalent"}, [("MNQH5", 50)]),
        ([(NQ, 2), (MNQ, 15)], {"limit": 3, "weighting": "mini_equivalent", "reduce_order": "largest"}, [("NQH5", 1)]),
        ([(ES, 3), (NQ, 3)], {"reduce_order": "largest"}, [("NQH5", 2)]),
        ([(ES, 4), (NQ, 3)], {"reduce_order": "largest"}, [("ESH5", 2)]),
    ],
)
def test_what_goes_first(
    sign: int, positions: list[tuple[Contract, int]], options: dict[str, Any], expected: list[tuple[str, int]]
) -> None:
    assert left(told(*((product, sign * net) for product, net in positions), **options)) == expected


def test_of_two_as_large_the_one_that_grew_last_goes_first() -> None:
    guarded = Guarded(rule(reduce_order="largest"))
    guarded.feed(guarded.venue.buys(NQ, 3, 21_000), guarded.venue.buys(ES, 3, 5800))
    assert left(guarded) == [("ESH5", 2)]


@pytest.mark.parametrize(
    ("positions", "options", "measured", "evidence"),
    [
        ([(ES, 6)], {}, 6, (("count", "6"), ("count_type", "net"), ("ESH5", "+6"))),
        (
            [(NQ, 5), (MNQ, -1)],
            {"weighting": "mini_equivalent", "count_type": "gross"},
            6,
            (("count", "5.1"), ("count_type", "gross"), ("MNQH5", "-1"), ("NQH5", "+5")),
        ),
    ],
)
def test_says_how_it_counted(
    positions: list[tuple[Contract, int]], options: dict[str, Any], measured: int, evidence: tuple[tuple[str, str], ...]
) -> None:
    guarded = told(*positions, action="flatten", **options)
    assert guarded.breaches == [
        Breach("max_contracts", "MAX_CONTRACTS", measured, 5, Unit.CONTRACTS, ACCOUNT, evidence=evidence)
    ]


@pytest.mark.parametrize(
    ("orders", "count", "cancels"),
    [
        ([(Side.BUY, 2)], None, ()),
        ([(Side.BUY, 3)], 6, ("1",)),
        ([(Side.SELL, 8)], None, ()),
        ([(Side.SELL, 9)], 6, ("1",)),
        ([(Side.BUY, 3), (Side.SELL, 4)], 6, ("2", "1")),
        ([(Side.BUY, 2), (Side.SELL, 9)], 6, ("2",)),
    ],
)
def test_orders_count_at_their_worst(
    orders: list[tuple[Side, int]], count: int | None, cancels: tuple[str, ...]
) -> None:
    venue = Scenario()
    venue.position(ES, 3, 5800)
    for index, (side, size) in enumerate(orders):
        venue.order(ES, side, size, limit=5700, order_id=str(index + 1))
    guarded = Guarded(rule(include_working_orders=True), venue=venue)
    if count is None:
        assert guarded.breaches == []
        return
    (breach,) = guarded.breaches
    assert (breach.measured, breach.targets, breach.cancels) == (count, (), cancels)
    assert breach.evidence[-1] == ("opening_orders", str(len(orders)))


def test_orders_count_only_when_asked() -> None:
    venue = Scenario()
    venue.position(ES, 3, 5800)
    venue.order(ES, Side.BUY, 9, limit=5700)
    guarded = Guarded(rule(), venue=venue)
    assert guarded.breaches == []
    assert guarded.gauges == [Gauge("contracts in all", 3, 5, Unit.CONTRACTS)]


def test_closing_what_grew_last_leaves_nothing_of_it() -> None:
    guarded = told((ES, 4), (NQ, 3), action="close_position")
    assert guarded.breaches[0].targets == (AtMost(NQ.id, 0),)
