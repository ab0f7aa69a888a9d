"""What the venue says must reach the rules: all of it, once, for the right account and the right product."""

import typing
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import msgspec
import pytest

from risk_manager.domain.actions import ClosePosition
from risk_manager.domain.events import Event, OperatorCommand, RulesChanged, SnapshotTaken, TimerFired
from risk_manager.engine import Engine, EngineSettings
from risk_manager.engine.engine import ALL_EVENTS
from risk_manager.rules import RULES
from risk_manager.testing.events import DAYS, micros
from risk_manager.venues.projectx.records import FILL_KEYS, ORDER_KEYS, POSITION_KEYS
from tests.engine.switch import Switch
from tests.regressions.wired import ES, ES_DECEMBER, MNQ, NQ, Wired, rules
from tests.venues.projectx.fake_gateway import ACCOUNT, ok, refused

LIMIT, MARKET, STOP_LIMIT, STOP, TRAILING = 1, 2, 3, 4, 5
BUY, SELL = 0, 1


# -- every event arrives -----------------------------------------------------------------------------------------------


async def test_the_client_makes_every_event_a_rule_listens_to() -> None:
    """A rule that waits for an event nobody sends never fires (R-09, L-01)."""
    async with Wired().running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(2))
        await wired.hears("GatewayUserPosition", wired.position(2))
        await wired.hears("GatewayUserOrder", wired.order(SELL, 2, STOP, stopPrice=4490))
        await wired.hears(
            "GatewayUserAccount", {"id": int(ACCOUNT), "name": "PRAC-V2-1", "balance": 1, "canTrade": True}
        )
        await wired.quoted(ES, bestBid=4500, bestAsk=4500.25)
        wired.gateway.answers["/api/Position/closeContract"] = [ok(), refused(2), 500]
        outcomes = [await wired.venue.execute(ACCOUNT, ClosePosition("a", "i", ES)) for _ in range(3)]
        heard = {type(event) for event in [*wired.events, *outcomes]}
    wanted = {kind for rule in RULES.values() for kind in rule.listens_to}
    assert wanted <= heard | {RulesChanged, TimerFired}, "those two are the daemon's own"
    assert heard | {RulesChanged, TimerFired, OperatorCommand} == set(typing.get_args(Event))


@pytest.mark.parametrize("kind", typing.get_args(Event), ids=lambda kind: kind.__name__)
def test_every_event_there_is_wakes_the_rules_that_ask_for_it(kind: type) -> None:
    """An event without a way to the rules is worth nothing (R-10, L-02)."""
    listener = type("Listener", (Switch,), {"listens_to": frozenset({kind})}, frozen=True, kw_only=True)
    engine = Engine(EngineSettings("1001", DAYS, (listener(),)))
    assert kind in ALL_EVENTS
    assert [slot.name for slot in engine._listeners[kind]] == ["switch"]


@pytest.mark.parametrize("kind", typing.get_args(Event), ids=lambda kind: kind.__name__)
def test_no_event_can_be_made_without_its_account(kind: type) -> None:
    """A rule never has to look for an account that may be missing (L-03)."""
    (field,) = [field for field in msgspec.structs.fields(kind) if field.name == "account_id"]
    assert field.required


@pytest.mark.parametrize(
    ("target", "change"),
    [
        ("GatewayUserTrade", {"creationTimestamp": None}),
        ("GatewayUserOrder", {"accountId": None}),
        ("GatewayUserTrade", {"orderId": None}),
        ("GatewayUserPosition", {"type": 7}),
    ],
)
async def test_an_event_it_cannot_place_costs_a_snapshot_and_is_counted(target: str, change: dict[str, Any]) -> None:
    """It is not passed over: the account is read instead (L-03)."""
    async with Wired().running() as wired:
        records = {
            "GatewayUserOrder": wired.order(BUY, 1, LIMIT, limitPrice=4400),
            "GatewayUserTrade": wired.fill(1),
            "GatewayUserPosition": wired.position(1),
        }
        before = len([event for event in wired.events if isinstance(event, SnapshotTaken)])
        await wired.hears(target, records[target] | change)
        assert len([event for event in wired.events if isinstance(event, SnapshotTaken)]) == before + 1
        assert wired.venue.problem_counts["rejected_frame"] == 1


@pytest.mark.parametrize("account_id", [int(ACCOUNT), ACCOUNT])
async def test_an_account_id_means_the_same_as_a_number_and_as_text(account_id: int | str) -> None:
    """A lock under a number must hold for an event that carries the id as text (L-04)."""
    async with Wired(*rules(daily_realized_loss={"limit": 500})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1), wired.fill(-1, pnl=-500))
        assert len(wired.engine.account.lockouts) == 1
        await wired.hears("GatewayUserTrade", wired.fill(2, accountId=account_id))
        await wired.hears("GatewayUserPosition", wired.position(2, accountId=account_id))
        assert ("/api/Position/closeContract", {"accountId": int(ACCOUNT), "contractId": ES}) in await wired.sends()


# -- once --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_events_told_three_times_in_any_order_count_once(order: tuple[int, ...]) -> None:
    """Every event came once per instrument manager (L-05)."""
    async with Wired(*rules(max_contracts={"limit": 3}, daily_realized_loss={"limit": 100})).running() as wired:
        told = [
            ("GatewayUserTrade", wired.fill(2, fees=1.4)),
            ("GatewayUserPosition", wired.position(2)),
            ("GatewayUserOrder", wired.order(BUY, 2, MARKET, status=2, fillVolume=2)),
        ]
        for _ in range(3):
            for index in order:
                await wired.hears(*told[index])
        account = wired.engine.account
        assert (wired.net(), account.fees_micros, len(account.fills)) == (2, micros("1.4"), 1)
        assert wired.codes == []
        (target, closing) = ("GatewayUserTrade", wired.fill(-2, 4499, pnl=-98.6))
        for _ in range(3):
            await wired.hears(target, closing)
        assert account.realized_micros == micros("-98.6")
        assert [breach.measured for breach in wired.breaches] == [micros(-100)]


async def test_scaling_in_within_a_second_is_no_repetition() -> None:
    """A memory by contract and kind swallowed the second and third of them (L-06, F-12)."""
    async with Wired(*rules(max_contracts={"limit": 2})).running() as wired:
        for net in (1, 2, 3):
            await wired.hears("GatewayUserTrade", wired.fill(1, orderId=77))
            await wired.hears("GatewayUserPosition", wired.position(net))
        assert wired.codes == ["MAX_CONTRACTS"]
        assert await wired.sends() == [
            ("/api/Position/partialCloseContract", {"accountId": int(ACCOUNT), "contractId": ES, "size": 1})
        ]


async def test_several_protective_orders_and_partial_fills_of_one_order_all_count() -> None:
    """The second stop and the second part of a fill are news, though contract and order are the same (L-06)."""
    async with Wired(*rules(no_stop_loss_grace={"grace_period_seconds": 30})).running() as wired:
        await wired.hears("GatewayUserTrade", *(wired.fill(1, orderId=77) for _ in range(3)))
        await wired.hears("GatewayUserPosition", wired.position(3))
        stops = [wired.order(SELL, size, STOP, stopPrice=4490) for size in (1, 2)]
        await wired.hears("GatewayUserOrder", *stops)
        wired.wait(31)
        await wired.reads(positions=[wired.position(3)], orders=stops)
        assert wired.codes == []
        assert len(wired.engine.account.fills) == 3


# -- of what -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ES", "EP", "es"])
@pytest.mark.parametrize("options", ["limit", "block"])
async def test_a_product_is_known_by_the_traders_and_by_the_venues_name(name: str, options: str) -> None:
    """The venue calls ES EP and NQ ENQ; limits, blocks and ticks looked under one name only (L-13)."""
    section: Mapping[str, dict[str, Any]] = {
        "limit": {"max_contracts_per_instrument": {"limits": {name: 0}, "default_limit": 9}},
        "block": {"symbol_blocks": {"blocked_symbols": [name]}},
    }
    async with Wired(*rules(**section[options])).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1, contract_id=NQ), wired.fill(1, contract_id=MNQ))
        await wired.hears("GatewayUserPosition", wired.position(1, contract_id=NQ), wired.position(1, contract_id=MNQ))
        assert wired.codes == []
        await wired.hears("GatewayUserTrade", wired.fill(1))
        await wired.hears("GatewayUserPosition", wired.position(1))
        assert len(wired.codes) == 1
        assert wired.contract_ids == {ES}


@pytest.mark.parametrize(("contract_id", "point_micros"), [(ES, 50), (NQ, 20), (MNQ, 2)])
async def test_a_product_has_the_ticks_of_the_venues_own_record(contract_id: str, point_micros: int) -> None:
    """A table by ticker gave ENQ nothing and micros ten times too much (L-13, L-15)."""
    async with Wired().running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1, contract_id=contract_id))
        await wired.hears("GatewayUserPosition", wired.position(1, contract_id=contract_id))
        await wired.quoted(contract_id, bestBid=4499, bestAsk=4499.25, symbol="F.US.EP")
        assert wired.engine.account.unrealized_micros == micros(-point_micros)


async def test_what_the_venue_does_not_describe_is_counted_and_its_losses_are_booked() -> None:
    """An unknown product was dropped, or valued at 5 dollars a tick (L-15)."""
    limits = rules(max_contracts={"limit": 1, "action": "close_position"}, daily_realized_loss={"limit": 300})
    async with Wired(*limits, known=(ES,)).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(2, contract_id=MNQ))
        await wired.hears("GatewayUserPosition", wired.position(2, contract_id=MNQ))
        assert wired.engine.account.unpriced == {MNQ}
        assert wired.codes == ["MAX_CONTRACTS"]
        assert ("/api/Position/closeContract", {"accountId": int(ACCOUNT), "contractId": MNQ}) in await wired.sends()
        await wired.hears("GatewayUserTrade", wired.fill(-2, pnl=-300, contract_id=MNQ))
        assert wired.codes == ["MAX_CONTRACTS", "DAILY_LOSS"]


async def test_a_product_that_is_not_configured_is_watched_all_the_same() -> None:
    """Positions outside the list of instruments had no prices and were not closed (L-12)."""
    async with Wired(*rules(daily_unrealized_loss={"loss_limit": 10}), instruments=("ES",)).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1, contract_id=MNQ))
        await wired.hears("GatewayUserPosition", wired.position(1, contract_id=MNQ))
        assert ("SubscribeContractQuotes", [MNQ]) in wired.gateway.links["market"][-1].calls
        await wired.quoted(MNQ, bestBid=4495, bestAsk=4495.25)
        assert wired.codes == ["UNREALIZED_LOSS"]
        assert await wired.sends() == [("/api/Position/closeContract", {"accountId": int(ACCOUNT), "contractId": MNQ})]


# -- prices ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("basis", ["exit_side", "last"])
@pytest.mark.parametrize(
    "members",
    [
        {"lastPrice": 0},
        {"lastPrice": 0, "bestBid": 4500},
        {"bestBid": 0, "bestAsk": 4500},
        {"bestBid": 4500, "bestAsk": 0},
        {"bestBid": 0, "bestAsk": 0, "lastPrice": 0},
        {"lastPrice": None, "bestBid": None},
        {"volume": 7},
    ],
)
async def test_a_price_of_nothing_is_no_price(sign: int, basis: str, members: dict[str, Any]) -> None:
    """`lastPrice` is often 0 or absent; taken for a price it wipes out a long and enriches a short (L-16)."""
    limits = {"daily_unrealized_loss": {"loss_limit": 100, "price_basis": basis}}
    async with Wired(*rules(**limits, max_unrealized_profit={"profit_target": 100})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(sign))
        await wired.hears("GatewayUserPosition", wired.position(sign))
        await wired.quoted(ES, bestBid=4500, bestAsk=4500, lastPrice=4500)
        await wired.quoted(ES, **members)
        assert wired.engine.account.unrealized_micros == 0
        assert wired.codes == []


async def test_a_price_belongs_to_one_contract() -> None:
    """Prices kept by product mixed the expiries (L-16)."""
    async with Wired(*rules(daily_unrealized_loss={"loss_limit": 100})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1))
        await wired.hears("GatewayUserPosition", wired.position(1))
        await wired.quoted(ES, bestBid=4500, bestAsk=4500.25, symbol="F.US.EP")
        await wired.hears("GatewayUserOrder", wired.order(BUY, 1, LIMIT, limitPrice=4000, contractId=ES_DECEMBER))
        await wired.quoted(ES_DECEMBER, bestBid=4400, bestAsk=4400.25, symbol="F.US.EP")
        assert wired.engine.account.unrealized_micros == 0
        assert wired.codes == []


@pytest.mark.parametrize("step_ms", [0, 1, -1])
async def test_equal_and_earlier_stamps_are_quotes_too(step_ms: int) -> None:
    """Demanding stamps that strictly increase throws the second of two equal ones away (R-24)."""
    async with Wired(*rules(daily_unrealized_loss={"loss_limit": 100})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1))
        await wired.hears("GatewayUserPosition", wired.position(1))
        stamps = [f"2026-08-19T18:00:00.{500 + count * step_ms}Z" for count in range(2)]
        await wired.quoted(ES, bestBid=4499, bestAsk=4499.25, timestamp=stamps[0])
        await wired.quoted(ES, bestBid=4498, timestamp=stamps[1])
        assert wired.codes == ["UNREALIZED_LOSS"]


async def test_a_loss_that_creeps_is_found_at_the_tick_that_reaches_the_limit() -> None:
    """With events only for changes of ten dollars and more, small steps crossed the limit unseen (L-17)."""
    async with Wired(*rules(daily_unrealized_loss={"loss_limit": 20})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1, contract_id=MNQ))
        await wired.hears("GatewayUserPosition", wired.position(1, contract_id=MNQ))
        for count in range(1, 41):
            assert wired.codes == []
            await wired.quoted(MNQ, bestBid=4500 - count * 0.25)
        assert [breach.measured for breach in wired.breaches] == [micros(-20)]


@pytest.mark.parametrize("sign", [1, -1])
async def test_an_entry_price_of_nothing_is_no_price(sign: int) -> None:
    """At a cost of 0 a long has won all it is worth and a short lost it; the contracts count all the same (L-61)."""
    limits = {"daily_unrealized_loss": {"loss_limit": 100}, "daily_realized_loss": {"limit": 500}}
    async with Wired(*rules(**limits, max_unrealized_profit={"profit_target": 100})).running() as wired:
        await wired.hears("GatewayUserPosition", unpriced := wired.position(sign * 2, 0))
        await wired.quoted(ES, bestBid=4500, bestAsk=4500)
        await wired.reads(positions=[unpriced])
        assert (wired.codes, wired.net(), wired.engine.account.unpriced) == ([], sign * 2, frozenset({ES}))
        assert {skip.reason.split()[0] for made in wired.decisions for skip in made.skipped} == {"quote_missing"}
        await wired.hears("GatewayUserPosition", wired.position(sign * 2, 4500 + sign))
        assert wired.codes == ["UNREALIZED_LOSS"]


# -- positions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sign", "bid", "ask"), [(1, 4494, 4494.25), (-1, 4505.75, 4506)])
async def test_a_positive_size_with_a_type_is_valued_on_its_side(sign: int, bid: float, ask: float) -> None:
    """With direction taken from an always positive size, every short was valued as a long (L-41)."""
    async with Wired(*rules(daily_unrealized_loss={"loss_limit": 300})).running() as wired:
        await wired.hears("GatewayUserPosition", wired.position(sign))
        await wired.hears("GatewayUserTrade", wired.fill(sign))
        await wired.quoted(ES, bestBid=4500, bestAsk=4500)
        assert wired.codes == []
        await wired.quoted(ES, bestBid=bid, bestAsk=ask)
        assert [breach.measured for breach in wired.breaches] == [micros(-300)]


async def test_realized_profit_is_what_the_venue_says_of_each_fill() -> None:
    """A close event carries the entry price again; a profit made of it is 0, of a partial exit nothing (L-08, L-41)."""
    async with Wired(*rules(daily_realized_loss={"limit": 1000, "basis": "realized"})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(-3))
        await wired.hears("GatewayUserPosition", wired.position(-3))
        await wired.hears("GatewayUserTrade", wired.fill(1, 4510, pnl=-500))
        await wired.hears("GatewayUserPosition", wired.position(-2))
        account = wired.engine.account
        assert account.realized_micros == micros(-500)
        await wired.hears("GatewayUserPosition", wired.position(0))
        assert account.realized_micros == micros(-500)
        assert wired.codes == []
        await wired.hears("GatewayUserTrade", wired.fill(2, 4505, pnl=-500))
        assert [breach.measured for breach in wired.breaches] == [micros(-1000)]


@pytest.mark.parametrize("sign", [1, -1])
async def test_a_close_names_neither_side_nor_size(sign: int) -> None:
    """A market order with its side taken from the sign of the size sold more of a short (L-49)."""
    async with Wired(*rules(max_contracts={"limit": 1, "action": "flatten"})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(sign * 2))
        await wired.hears("GatewayUserPosition", wired.position(sign * 2))
        assert await wired.sends() == [("/api/Position/closeContract", {"accountId": int(ACCOUNT), "contractId": ES})]


async def test_a_close_means_one_contract_and_not_its_product() -> None:
    """Closing by symbol would have closed the other expiry too (L-50, F-15)."""
    async with Wired(*rules(daily_unrealized_loss={"loss_limit": 100})).running() as wired:
        for contract_id in (ES, ES_DECEMBER):
            await wired.hears("GatewayUserTrade", wired.fill(1, contract_id=contract_id))
            await wired.hears("GatewayUserPosition", wired.position(1, contract_id=contract_id))
        await wired.quoted(ES_DECEMBER, bestBid=4490, bestAsk=4490.25)
        await wired.quoted(ES, bestBid=4499, bestAsk=4499.25)
        assert [payload["contractId"] for _, payload in await wired.sends()] == [ES_DECEMBER]


# -- stops, spelled as the venue spells them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "codes"),
    [
        ({"kind": STOP, "stopPrice": 4490}, []),
        ({"kind": STOP, "stopPrice": 4490, "status": 6}, []),
        ({"kind": STOP_LIMIT, "stopPrice": 4490, "limitPrice": 4489}, []),
        ({"kind": TRAILING, "trailPrice": 5}, []),
        ({"kind": STOP, "stopPrice": 4505}, []),
        ({"kind": LIMIT, "limitPrice": 4510}, ["NO_STOP_LOSS"]),
        ({"kind": MARKET}, ["NO_STOP_LOSS"]),
        ({"kind": STOP, "stopPrice": 4490, "side": BUY}, ["NO_STOP_LOSS"]),
        ({"kind": STOP, "stopPrice": 4490, "size": 1}, ["NO_STOP_LOSS"]),
        ({"kind": STOP, "stopPrice": 4490, "status": 8, "parentOrderId": 5}, ["NO_STOP_LOSS"]),
        ({"kind": STOP, "stopPrice": 4490, "contractId": ES_DECEMBER}, ["NO_STOP_LOSS"]),
    ],
)
async def test_type_side_and_size_decide_what_protects(stop: dict[str, Any], codes: list[str]) -> None:
    """Looking for type 3, a price beyond the entry or any order at all misreads them (R-21, L-52, L-53)."""
    async with Wired(*rules(no_stop_loss_grace={"grace_period_seconds": 30})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(2))
        held = wired.position(2)
        await wired.hears("GatewayUserPosition", held)
        record = wired.order(**{"side": SELL, "size": 2, **stop})
        await wired.hears("GatewayUserOrder", record)
        wired.wait(31)
        await wired.reads(positions=[held], orders=[record])
        assert wired.codes == codes


@pytest.mark.parametrize(
    ("change", "codes"),
    [({"stopPrice": 4495}, []), ({"size": 3}, []), ({"size": 1}, ["NO_STOP_LOSS"]), ({"status": 3}, ["NO_STOP_LOSS"])],
)
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_stop_changed_at_the_venue_counts_as_it_now_is(
    change: dict[str, Any], codes: list[str], *, is_told: bool
) -> None:
    """A stop kept in a cache stayed as it was first seen; events may even be missing (R-11, L-09, L-51, F-13)."""
    async with Wired(*rules(no_stop_loss_grace={"grace_period_seconds": 30})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(2))
        held = wired.position(2)
        await wired.hears("GatewayUserPosition", held)
        stop = wired.order(SELL, 2, STOP, stopPrice=4490)
        await wired.hears("GatewayUserOrder", stop)
        await wired.reads(positions=[held], orders=[stop])
        wired.wait(10)
        changed = stop | change | {"updateTimestamp": wired.stamp}
        listed = [changed] if changed["status"] == 1 else []
        if is_told:
            await wired.hears("GatewayUserOrder", changed)
        for _ in range(3):
            await wired.reads(positions=[held], orders=listed)
            wired.wait(31)
        await wired.reads(positions=[held], orders=listed)
        assert wired.codes == codes


async def test_cancelling_one_order_of_a_contract_leaves_the_others() -> None:
    """With one stop and one target kept per contract, cancelling any order dropped both (L-51)."""
    async with Wired(*rules(no_stop_loss_grace={"grace_period_seconds": 30})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1))
        held = wired.position(1)
        await wired.hears("GatewayUserPosition", held)
        stop, target = wired.order(SELL, 1, STOP, stopPrice=4490), wired.order(SELL, 1, LIMIT, limitPrice=4510)
        await wired.hears("GatewayUserOrder", stop, target, target | {"status": 3})
        wired.wait(31)
        await wired.reads(positions=[held], orders=[stop])
        assert wired.codes == []


async def test_an_order_the_venue_no_longer_lists_is_gone() -> None:
    """Two reads joined together kept cancelled brackets alive for ever (R-22)."""
    async with Wired(*rules(no_stop_loss_grace={"grace_period_seconds": 30})).running() as wired:
        await wired.hears("GatewayUserTrade", wired.fill(1))
        held = wired.position(1)
        await wired.hears("GatewayUserPosition", held)
        stop = wired.order(SELL, 1, STOP, stopPrice=4490, parentOrderId=5)
        await wired.reads(positions=[held], orders=[stop])
        for _ in range(3):
            wired.wait(16)
            await wired.reads(positions=[held], orders=[])
        assert wired.engine.account.orders == {}
        assert wired.codes == ["NO_STOP_LOSS"]


def test_the_records_here_are_those_of_the_captured_session() -> None:
    """With invented names all of the above would test fiction."""
    wired = Wired()
    assert set(wired.fill(1)) <= FILL_KEYS
    assert set(wired.order(BUY, 1, STOP, stopPrice=1)) <= ORDER_KEYS
    assert set(wired.position(1)) <= POSITION_KEYS
