"""RULE-001: at most so many contracts in the account."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.account import AccountView
from risk_manager.domain.actions import CancelOrder, ClosePosition, ReducePosition
from risk_manager.domain.contract import Contract
from risk_manager.domain.finding import AtMost, Breach, Unit
from risk_manager.domain.order import Order, OrderStatus, Side
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules import MaxContracts, OptionsInvalid, build_rule
from risk_manager.testing.events import CL, DAYS, ES, ES_JUNE, MES, MNQ, NQ, Scenario, contract
from risk_manager.testing.guarded import Guarded

NAMES = {one.id: one.name for one in (ES, ES_JUNE, MES, NQ, MNQ, CL)}
PRICES = {ES: 5800, ES_JUNE: 5850, MES: 5800, NQ: 21000, MNQ: 21000, CL: 75}


def rule(**options: Any) -> MaxContracts:
    return build_rule(MaxContracts, {"limit": 5, **options})


def holding(guarded: Guarded, *positions: tuple[Contract, int]) -> Guarded:
    """The account after it has taken these positions one after the other."""
    for product, net in positions:
        trade = guarded.venue.buys if net > 0 else guarded.venue.sells
        guarded.feed(trade(product, abs(net), PRICES[product]))
    return guarded


def targets(guarded: Guarded) -> dict[str, int]:
    """What the open enforcement leaves of each contract."""
    (intent,) = guarded.engine.enforcer.open_intents
    found: tuple[AtMost, ...] = intent.goal.targets  # type: ignore[union-attr]  # these tests reduce only
    return {NAMES[target.contract_id]: target.size for target in found}


@pytest.mark.parametrize("count_type", ["net", "gross", "net_account"])
@pytest.mark.parametrize("sign", [1, -1])
def test_allows_the_limit_and_takes_off_the_one_above_it(count_type: str, sign: int) -> None:
    guarded = holding(Guarded(rule(count_type=count_type)), (ES, 4 * sign), (ES, sign))
    assert guarded.findings == []
    holding(guarded, (ES, sign))
    (breach,) = guarded.breaches
    assert (breach.code, breach.measured, breach.limit, breach.unit) == ("MAX_CONTRACTS", 6, 5, Unit.CONTRACTS)
    assert breach.scope == ACCOUNT
    assert targets(guarded) == {"ESH5": 5}
    (action,) = guarded.actions
    assert isinstance(action, ReducePosition)
    assert (action.contract_id, action.size) == (ES.id, 1)


@pytest.mark.parametrize(
    ("positions", "net", "gross", "net_account"),
    [
        ([(ES, 3), (NQ, 3)], 6, 6, 6),
        ([(ES, 3), (NQ, -3)], 6, 6, None),
        ([(MNQ, 10), (MES, -10)], 20, 20, None),  # the reading under which a limit of 5 would let 20 contracts pass
        ([(ES, 4), (ES_JUNE, -4)], None, 8, None),  # a calendar spread
        ([(ES, 4), (ES_JUNE, 2)], 6, 6, 6),
        ([(ES, 7), (ES_JUNE, -1)], 6, 8, 6),
        ([(ES, 2), (NQ, 2), (CL, 1)], None, None, None),
        ([(ES, -2), (NQ, -2), (CL, -2)], 6, 6, 6),
    ],
)
def test_counts_as_the_count_type_says(
    positions: list[tuple[Contract, int]], net: int | None, gross: int | None, net_account: int | None
) -> None:
    """None: no breach of the limit of 5 by the end."""
    for count_type, expected in (("net", net), ("gross", gross), ("net_account", net_account)):
        # All at once, as found at the start: built up one by one they would breach on the way.
        venue = Scenario()
        for product, size in positions:
            venue.position(product, size, PRICES[product])
        guarded = Guarded(rule(count_type=count_type, action="alert"), venue=venue)
        assert [breach.measured for breach in guarded.breaches] == ([] if expected is None else [expected]), count_type


@pytest.mark.parametrize(
    ("positions", "reduce_order", "expected"),
    [
        # The old reducer closed whole positions, largest first, and left 2 of a limit of 3.
        ([(MNQ, 2), (ES, 3)], "largest", {"ESH5": 1}),
        ([(ES, 3), (MNQ, 2)], "offender", {"MNQH5": 0}),
        ([(ES, 3), (MNQ, 2)], "newest", {"MNQH5": 0}),
        ([(ES, 3), (MNQ, 2)], "largest", {"ESH5": 1}),
        ([(MNQ, 2), (ES, 1), (MNQ, 2)], "offender", {"MNQH5": 2}),
        ([(MNQ, 2), (ES, 1), (MNQ, 2)], "newest", {"ESH5": 0, "MNQH5": 3}),
        # One contract is not enough: the one that grew before it follows.
        ([(MNQ, 1), (CL, 2), (ES, 1), (MNQ, 2)], "offender", {"MNQH5": 0}),
    ],
)
def test_reduces_exactly_the_excess_in_the_chosen_order(
    positions: list[tuple[Contract, int]], reduce_order: str, expected: dict[str, int]
) -> None:
    guarded = Guarded(rule(limit=3, reduce_order=reduce_order))
    assert targets(holding(guarded, *positions)) == expected


def test_reduces_the_contract_before_the_offender_when_that_is_not_enough() -> None:
    guarded = holding(Guarded(rule(limit=5)), (ES, 4), (MNQ, 1), (NQ, 1))
    guarded.change_rules(rule(limit=3))
    assert targets(guarded) == {"NQH5": 0, "MNQH5": 0, "ESH5": 3}


def test_leaves_the_lighter_side_of_a_spread_alone() -> None:
    """Taking off the short leg would raise the net."""
    guarded = holding(Guarded(rule(limit=2)), (ES, 2), (ES_JUNE, -3), (ES, 4))
    assert targets(guarded) == {"ESH5": 5}
    guarded = holding(Guarded(rule(limit=2, count_type="net_account")), (NQ, -2), (ES, 2), (MNQ, 3))
    assert targets(guarded) == {"MNQH5": 2}


def test_closes_the_offender_completely() -> None:
    guarded = holding(Guarded(rule(action="close_position")), (ES, 4), (NQ, 2))
    assert targets(guarded) == {"NQH5": 0}
    assert [type(action) for action in guarded.actions] == [ClosePosition]
    guarded.feed(guarded.venue.closes(NQ, 21000), guarded.venue.snapshot())
    assert guarded.venue.positions.keys() == {ES.id}
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_flattens_the_account() -> None:
    guarded = holding(Guarded(rule(action="flatten")), (ES, 4), (NQ, 2))
    assert sorted(action.contract_id for action in guarded.actions if isinstance(action, ClosePosition)) == [
        NQ.id,
        ES.id,
    ]


def test_only_says_so_when_asked_for_an_alert() -> None:
    guarded = holding(Guarded(rule(action="alert")), (ES, 6))
    guarded.feed(guarded.venue.order(NQ, Side.BUY, 1, limit=20000), guarded.venue.snapshot())
    assert guarded.codes == ["MAX_CONTRACTS"]
    assert guarded.actions == []


def test_locks_the_account_only_when_asked() -> None:
    assert holding(Guarded(rule()), (ES, 6)).lockouts == ()
    (lockout,) = holding(Guarded(rule(lockout_on_breach=True)), (ES, 6)).lockouts
    assert (lockout.scope, lockout.until_ns) == (ACCOUNT, DAYS.starts_ns[3])
    guarded = holding(Guarded(rule(lockout="30m")), (ES, 6))
    (lockout,) = guarded.lockouts
    assert lockout.until_ns == lockout.set_ns + 1_800_000_000_000


@pytest.mark.parametrize(
    ("positions", "count"),
    [
        ([(MNQ, 10)], None),  # 10 MNQ are one
        ([(MNQ, 50)], None),
        ([(MNQ, 51)], "5.1"),
        ([(ES, 4), (MES, 10)], None),
        ([(ES, 4), (MES, 11)], "5.1"),
        ([(ES, -4), (MNQ, -11)], "5.1"),
    ],
)
def test_counts_a_micro_as_a_tenth(positions: list[tuple[Contract, int]], count: str | None) -> None:
    guarded = holding(Guarded(rule(weighting="mini_equivalent")), *positions)
    assert [breach.evidence[0] for breach in guarded.breaches] == ([] if count is None else [("count", count)])
    assert [breach.measured for breach in guarded.breaches] == ([] if count is None else [6])


def test_takes_off_whole_contracts_for_an_excess_of_tenths() -> None:
    guarded = holding(Guarded(rule(weighting="mini_equivalent")), (ES, 4), (MNQ, 13))
    assert targets(guarded) == {"MNQH5": 10}
    guarded = holding(Guarded(rule(weighting="mini_equivalent")), (MNQ, 13), (ES, 4))
    assert targets(guarded) == {"ESH5": 3}


def test_takes_the_list_of_micros_from_the_options() -> None:
    options = {"weighting": "mini_equivalent", "micro_symbols": ["mnq"]}
    assert holding(Guarded(rule(**options)), (MNQ, 50)).breaches == []
    assert [breach.measured for breach in holding(Guarded(rule(**options)), (MES, 6)).breaches] == [6]


def test_counts_an_unknown_contract_in_full() -> None:
    unknown = contract("MES", "0.25", "1.25", expiry="Z25")
    guarded = Guarded(rule(weighting="mini_equivalent"))
    guarded.feed(guarded.venue.position(unknown, 6, 5800))
    assert [breach.measured for breach in guarded.breaches] == [6]


class TestWorkingOrders:
    """include_working_orders: what resting orders would add counts too."""

    def test_are_ignored_by_default(self) -> None:
        guarded = holding(Guarded(rule()), (ES, 5))
        guarded.feed(guarded.venue.order(ES, Side.BUY, 3, limit=5700))
        assert guarded.findings == []

    def test_count_up_to_the_limit_and_the_newest_above_it_goes(self) -> None:
        guarded = holding(Guarded(rule(include_working_orders=True)), (ES, 3))
        guarded.feed(guarded.venue.order(ES, Side.BUY, 2, limit=5700, order_id="old"))
        assert guarded.findings == []
        guarded.feed(guarded.venue.order(NQ, Side.SELL, 1, limit=22000, order_id="new"))
        assert guarded.breaches[0].cancels == ("new",)
        assert guarded.breaches[0].targets == ()
        assert [action.order_id for action in guarded.actions if isinstance(action, CancelOrder)] == ["new"]
        assert not [action for action in guarded.actions if isinstance(action, ReducePosition | ClosePosition)]

    def test_count_what_is_left_to_fill(self) -> None:
        guarded = holding(Guarded(rule(include_working_orders=True)), (ES, 3))
        guarded.feed(guarded.venue.order(ES, Side.BUY, 4, limit=5700, filled=2))
        assert guarded.findings == []
        guarded.feed(guarded.venue.order(ES, Side.BUY, 4, limit=5700, filled=1))
        assert guarded.codes == ["MAX_CONTRACTS"]

    def test_do_not_count_when_they_protect(self) -> None:
        guarded = holding(Guarded(rule(include_working_orders=True)), (ES, 5))
        guarded.feed(
            guarded.venue.order(ES, Side.SELL, 5, stop=5700), guarded.venue.order(ES, Side.SELL, 5, limit=5900)
        )
        assert guarded.findings == []
        # Six would sell the five and go short one: the worst outcome is still five long.
        guarded.feed(guarded.venue.order(ES, Side.SELL, 6, limit=5950))
        assert guarded.findings == []
        guarded.feed(guarded.venue.order(ES, Side.SELL, 11, limit=5950, order_id="flip"))
        assert guarded.breaches[0].cancels == ("flip",)

    def test_do_not_count_while_they_wait_for_their_entry(self) -> None:
        guarded = Guarded(rule(include_working_orders=True, limit=2))
        venue = guarded.venue
        guarded.feed(venue.order(ES, Side.BUY, 2, limit=5700, order_id="entry"))
        for _ in range(2):
            guarded.feed(venue.order(ES, Side.SELL, 2, stop=5690, parent_id="entry", status=OrderStatus.SUSPENDED))
        assert guarded.findings == []

    def test_count_the_worse_side_of_a_straddle_once(self) -> None:
        guarded = Guarded(rule(include_working_orders=True, limit=3))
        guarded.feed(guarded.venue.order(ES, Side.BUY, 3, stop=5900), guarded.venue.order(ES, Side.SELL, 3, stop=5700))
        assert guarded.findings == []

    def test_all_go_and_positions_shrink_when_the_positions_alone_are_too_many(self) -> None:
        guarded = Guarded(rule(include_working_orders=True, limit=3))
        guarded.feed(guarded.venue.order(NQ, Side.BUY, 1, limit=20000, order_id="resting"))
        holding(guarded, (ES, 5))
        assert guarded.breaches[-1].cancels == ("resting",)
        assert targets(guarded) == {"ESH5": 3}

    def test_cost_few_counts_however_many_they_are(self) -> None:
        """Whoever places hundreds of orders must not make the guard slow."""
        counted: list[int] = []

        class Watched(MaxContracts, frozen=True, kw_only=True):
            def _count(self, account: AccountView, orders: list[Order]) -> int:
                counted.append(len(orders))
                return MaxContracts._count(self, account, orders)

        guarded = Guarded(rule(limit=1000, include_working_orders=True))
        guarded.feed(*(guarded.venue.order(ES, Side.BUY, 1, limit=5000) for _ in range(400)))
        tested = build_rule(Watched, {"limit": 5, "include_working_orders": True})
        _, (breach,) = tested.step(None, guarded.venue.snapshot(), guarded.engine.account)
        assert isinstance(breach, Breach)
        assert len(breach.cancels) == 395
        # All, what is kept, and the nine halvings of four hundred.
        assert len(counted) <= 11

    def test_are_only_cancelled_when_the_action_closes(self) -> None:
        guarded = holding(Guarded(rule(include_working_orders=True, action="close_position")), (ES, 4))
        guarded.feed(guarded.venue.order(ES, Side.BUY, 2, limit=5700))
        assert [type(action) for action in guarded.actions] == [CancelOrder]


def test_follows_a_reduction_that_fills_in_parts_without_ordering_it_twice() -> None:
    guarded = holding(Guarded(rule(limit=2)), (ES, 5))
    guarded.feed(guarded.venue.sells(ES, 1, 5800), guarded.venue.sells(ES, 2, 5800))
    assert [action.size for action in guarded.actions if isinstance(action, ReducePosition)] == [3]


def test_does_not_reduce_twice_for_a_duplicate_event() -> None:
    guarded = Guarded(rule(limit=2))
    events = guarded.venue.buys(ES, 5, 5800)
    guarded.feed(events, events, events[-1])
    assert [action.size for action in guarded.actions if isinstance(action, ReducePosition)] == [3]
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_counts_less_after_a_close_and_the_new_side_after_a_reversal() -> None:
    guarded = holding(Guarded(rule(limit=3)), (ES, 3), (ES, -6))
    assert guarded.findings == []
    holding(guarded, (ES, 3), (NQ, 3))
    assert guarded.findings == []


def test_ignores_a_position_event_of_size_zero() -> None:
    guarded = Guarded(rule(limit=1))
    guarded.feed(guarded.venue.position(ES, 0))
    assert guarded.findings == []


def test_shows_the_count_and_the_limit() -> None:
    guarded = holding(Guarded(rule(weighting="mini_equivalent", include_working_orders=True)), (ES, 2), (MNQ, 1))
    assert [(gauge.used, gauge.limit, gauge.unit) for gauge in guarded.gauges] == [(3, 5, Unit.CONTRACTS)]
    guarded.feed(guarded.venue.order(ES, Side.BUY, 1, limit=5700))
    assert [gauge.used for gauge in guarded.gauges] == [4]


def test_keeps_accounts_apart() -> None:
    mine, other = (Guarded(rule(), venue=Scenario(account_id)) for account_id in ("1001", "1002"))
    holding(mine, (ES, 6))
    holding(other, (ES, 5))
    assert mine.codes == ["MAX_CONTRACTS"]
    assert other.findings == []


def test_enforces_at_a_restart_what_was_there_before() -> None:
    before = holding(Guarded(rule(limit=9)), (ES, 6))
    guarded = Guarded(rule(), venue=before.venue)
    assert guarded.codes == ["MAX_CONTRACTS"]


def test_goes_on_with_a_reduction_after_a_restart() -> None:
    guarded = holding(Guarded(rule(limit=2)), (ES, 5))
    guarded.restart()
    guarded.feed(guarded.venue.snapshot())
    assert guarded.codes == ["MAX_CONTRACTS"]
    assert targets(guarded) == {"ESH5": 2}


@pytest.mark.parametrize(
    ("options", "action"),
    [
        ({}, "reduce_to_limit"),
        ({"reduce_to_limit": True, "close_position": True, "close_all": False}, "reduce_to_limit"),
        ({"close_position": True, "reduce_to_limit": False}, "close_position"),
        ({"close_all": True}, "flatten"),
        ({"max_contracts": 3, "limit": None}, None),
    ],
)
def test_understands_older_spellings(options: dict[str, Any], action: str | None) -> None:
    if action is None:
        with pytest.raises(OptionsInvalid, match="said more than once"):
            build_rule(MaxContracts, options)
    else:
        assert rule(**options).action == action


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit: must be above 0"),
        ({"limit": -1}, "limit: must be above 0"),
        ({"limit": True}, "limit: must be a whole number"),
        ({"limit": 2.5}, "limit: must be a whole number"),
        ({"limit": "5"}, "limit: must be a whole number"),
        ({"close_all": "yes"}, "close_all: must be true or false"),
        ({"close_all": True, "action": "alert"}, "action: is said twice"),
        ({"action": "alert", "lockout": True}, "an alert does nothing"),
        ({"per_instrument": True}, "max_contracts_per_instrument"),
        ({"count_type": "nett"}, "must be one of net, gross, net_account"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionsInvalid, match=message):
        rule(**options)


@given(
    sizes=st.lists(st.tuples(st.sampled_from([ES, ES_JUNE, NQ, MNQ, MES]), st.integers(-7, 7)), max_size=5),
    limit=st.integers(1, 8),
    count_type=st.sampled_from(["net", "gross", "net_account"]),
    weighting=st.sampled_from(["contracts", "mini_equivalent"]),
    order=st.sampled_from(["offender", "newest", "largest"]),
)
def test_what_it_leaves_is_within_the_limit(
    sizes: list[tuple[Contract, int]], limit: int, count_type: str, weighting: str, order: str
) -> None:
    """And it never grows or turns a position."""
    tested = rule(limit=limit, count_type=count_type, weighting=weighting, reduce_order=order)
    guarded = Guarded(rule(limit=1000))
    holding(guarded, *((product, size) for product, size in sizes if size))
    account = guarded.engine.account
    _, found = tested.step(None, guarded.venue.snapshot(), account)
    for breach in found:
        left = {target.contract_id: target.size for target in breach.targets}  # type: ignore[union-attr]
        venue = Scenario()
        for contract_id, held in account.holdings.items():
            size = left.get(contract_id, abs(held.net_contracts))
            assert size <= abs(held.net_contracts)
            if size:
                assert held.contract is not None
                venue.position(held.contract, size if held.net_contracts > 0 else -size)
        assert Guarded(tested, venue=venue).breaches == []


@settings(max_examples=200, derandomize=True)
@given(
    sizes=st.lists(st.tuples(st.sampled_from([ES, ES_JUNE, NQ, MNQ, MES]), st.integers(-7, 7)), max_size=4),
    placed=st.lists(
        st.tuples(st.sampled_from([ES, ES_JUNE, NQ, MNQ, MES]), st.sampled_from(Side), st.integers(1, 9)), max_size=12
    ),
    limit=st.integers(1, 12),
    count_type=st.sampled_from(["net", "gross", "net_account"]),
    weighting=st.sampled_from(["contracts", "mini_equivalent"]),
)
def test_cancels_as_many_of_the_newest_orders_as_it_takes(
    sizes: list[tuple[Contract, int]],
    placed: list[tuple[Contract, Side, int]],
    limit: int,
    count_type: str,
    weighting: str,
) -> None:
    """Neither more nor less than dropping one after the other until the rest is within the limit."""
    tested = rule(limit=limit, count_type=count_type, weighting=weighting, include_working_orders=True)
    guarded = holding(Guarded(rule(limit=1000)), *((product, size) for product, size in sizes if size))
    guarded.feed(*(guarded.venue.order(product, side, size, limit=5000) for product, side, size in placed))
    account = guarded.engine.account
    _, found = tested.step(None, guarded.venue.snapshot(), account)
    orders = tested._opening_orders(account)
    kept = list(orders)
    while kept and tested._count(account, kept) > limit * 10:
        kept.pop(0)
    dropped = tuple(order.id for order in orders[: len(orders) - len(kept)])
    expected = [dropped] if tested._count(account, orders) > limit * 10 else []
    assert [breach.cancels for breach in found if isinstance(breach, Breach)] == expected
