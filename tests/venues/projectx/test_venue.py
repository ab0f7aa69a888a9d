"""The venue against a gateway in memory: what it asks, in which order it delivers, and what it makes of each answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    PlaceStop,
    PlaceTarget,
    ReducePosition,
    TakeSnapshot,
)
from risk_manager.domain.events import (
    AccountUpdated,
    ActionAccepted,
    ActionRejected,
    ActionUnknown,
    ConnectionChanged,
    Event,
    FillReceived,
    Link,
    OrderUpdated,
    PositionUpdated,
    QuoteUpdated,
    Refusal,
    SnapshotTaken,
)
from risk_manager.domain.order import Side
from risk_manager.ports.venue import Venue
from risk_manager.venues.projectx.errors import HubRefused, Lost, NotSent, ReadFailed
from risk_manager.venues.projectx.venue import ProjectXVenue
from risk_manager.venues.projectx.venue_time import SECOND_NS, format_stamp
from tests.venues.projectx.fake_gateway import (
    ACCOUNT,
    ES_RECORD,
    MNQ_RECORD,
    RUN_MARK,
    START_NS,
    Answer,
    FakeClock,
    FakeGateway,
    FakeLink,
    ok,
    refused,
    settings,
)

POSITIONS, ORDERS, TRADES = "/api/Position/searchOpen", "/api/Order/v2/query", "/api/Trade/search"
OPEN_ORDERS = "/api/Order/searchOpen"
ES, MNQ = "CON.F.US.EP.U26", "CON.F.US.MNQ.U26"
STAMP = "2026-08-19T18:00:05.1234567+00:00"
STAMP_NS = START_NS + 5_123_456_700


def position(size: int, contract_id: str = ES, **changes: Any) -> dict[str, Any]:
    record = {
        "id": 825245547,
        "accountId": int(ACCOUNT),
        "contractId": contract_id,
        "creationTimestamp": STAMP,
        "type": 1,
        "size": size,
        "averagePrice": 4500.25,
    }
    return record | changes


def order(**changes: Any) -> dict[str, Any]:
    record = {
        "id": 3425270858,
        "accountId": int(ACCOUNT),
        "contractId": ES,
        "creationTimestamp": STAMP,
        "updateTimestamp": STAMP,
        "status": 1,
        "type": 4,
        "side": 1,
        "size": 2,
        "stopPrice": 4490.5,
    }
    return record | changes


def fill(**changes: Any) -> dict[str, Any]:
    record = {
        "id": 3004518356,
        "accountId": int(ACCOUNT),
        "contractId": ES,
        "creationTimestamp": STAMP,
        "price": 4500.25,
        "fees": 1.4,
        "side": 0,
        "size": 2,
        "voided": False,
        "orderId": 3423462488,
    }
    return record | changes


class Desk:
    def __init__(self, **changes: Any) -> None:
        self.clock = FakeClock()
        self.gateway = FakeGateway(self.clock)
        self.events: list[Event] = []
        self.venue = ProjectXVenue(
            settings(**changes), self.gateway, self.clock, lambda code, detail: None, run_mark=RUN_MARK
        )

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def links(self) -> list[tuple[str, bool]]:
        return [(str(event.link), event.is_up) for event in self.of(ConnectionChanged)]

    async def until(self, check: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not check():
                await asyncio.sleep(0)

    async def user_link(self, number: int = 0) -> FakeLink:
        await self.until(lambda: len(self.gateway.links["user"]) > number)
        return self.gateway.links["user"][number]

    async def market_link(self, number: int = 0) -> FakeLink:
        await self.until(lambda: len(self.gateway.links["market"]) > number)
        return self.gateway.links["market"][number]

    @asynccontextmanager
    async def running(self, *account_ids: str) -> AsyncIterator[None]:
        run = asyncio.create_task(self.venue.run(account_ids or (ACCOUNT,), self.events.append))
        try:
            yield
        finally:
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run

    async def connected(self) -> FakeLink:
        await self.until(lambda: ("user_hub", True) in self.links() and ("market_hub", True) in self.links())
        return self.gateway.links["user"][-1]


def test_is_a_venue() -> None:
    venue: Venue = Desk().venue  # mypy checks the shape, this line that it can be had
    assert venue is not None


async def test_subscribes_then_reads_then_delivers_what_came_meanwhile() -> None:
    desk = Desk()
    gate = desk.gateway.gates[POSITIONS] = asyncio.Event()
    desk.gateway.answers[POSITIONS] = ok(positions=[position(2)])
    async with desk.running():
        link = await desk.user_link()
        await desk.until(lambda: POSITIONS in desk.gateway.paths())
        assert [target for target, _ in link.calls] == [
            "SubscribeAccounts",
            "SubscribeOrders",
            "SubscribePositions",
            "SubscribeTrades",
        ]
        link.event("GatewayUserTrade", {"action": 0, "data": fill()})
        link.event("GatewayUserPosition", {"action": 1, "data": position(3)})
        for _ in range(50):
            await asyncio.sleep(0)
        assert desk.of(FillReceived) == []

        gate.set()
        await desk.connected()
        kinds = [type(e) for e in desk.events if not (isinstance(e, ConnectionChanged) and e.link is not Link.USER_HUB)]
        assert kinds == [ConnectionChanged, SnapshotTaken, FillReceived, PositionUpdated]

        link.event("GatewayUserPosition", {"action": 2, "data": position(0, type=0)})
        await desk.until(lambda: desk.events[-1].account_id and len(desk.of(PositionUpdated)) == 2)
        assert [event.position.net_contracts for event in desk.of(PositionUpdated)] == [3, 0]


async def test_delivers_every_kind_of_user_event_of_its_own_accounts_only() -> None:
    desk = Desk()
    async with desk.running():
        link = await desk.connected()
        other = {"accountId": 20000002}
        account = {"id": int(ACCOUNT), "name": "PRAC-V2-1", "balance": 100.5, "canTrade": False}
        link.event("GatewayUserAccount", {"action": 1, "data": account | {"id": 20000002}})
        link.event("GatewayUserTrade", fill(**other))
        link.event("GatewayUserAccount", account)
        link.event("GatewayUserOrder", [None, {"action": 1, "data": order()}])
        link.event("GatewayUserTrade", {"action": 0, "data": fill()})
        link.event("GatewaySomethingNew", {"a": 1})
        await desk.until(lambda: desk.of(FillReceived))

        (updated,) = desk.of(AccountUpdated)
        assert (updated.account.balance_micros, updated.account.can_trade) == (100_500_000, False)
        (resting,) = desk.of(OrderUpdated)
        assert (resting.order.stop_ticks, resting.at_ns, resting.received_ns) == (17_962, STAMP_NS, START_NS)
        (executed,) = desk.of(FillReceived)
        assert (executed.fill.price_ticks, executed.fill.fees_micros, executed.at_ns) == (18_001, 1_400_000, STAMP_NS)
        assert desk.venue.problem_counts["unknown_target"] == 1


async def test_takes_a_snapshot_instead_of_an_event_it_cannot_read() -> None:
    desk = Desk()
    async with desk.running():
        link = await desk.connected()
        link.event("GatewayUserPosition", {"action": 1, "data": position(2, averagePrice="NaN")})
        await desk.until(lambda: len(desk.of(SnapshotTaken)) == 2)
        assert desk.of(PositionUpdated) == []
        assert desk.venue.problem_counts["rejected_frame"] == 1


async def test_pulls_back_stamps_from_the_future() -> None:
    desk = Desk()
    async with desk.running():
        link = await desk.connected()
        link.event("GatewayUserTrade", fill(creationTimestamp="2031-01-01T00:00:00Z"))
        await desk.until(lambda: desk.of(FillReceived))
        (executed,) = desk.of(FillReceived)
        assert executed.fill.at_ns == executed.at_ns == START_NS
        assert desk.venue.problem_counts["stamp_ahead"] == 1


async def test_delivers_an_unknown_contract_at_once_and_a_snapshot_when_it_is_known() -> None:
    desk = Desk()
    desk.gateway.answers["/api/Contract/searchById"] = ok(contract=MNQ_RECORD)
    async with desk.running():
        link = await desk.connected()
        desk.gateway.answers[POSITIONS] = ok(positions=[position(2, MNQ)])
        link.event("GatewayUserPosition", position(2, MNQ))
        await desk.until(lambda: len(desk.of(SnapshotTaken)) == 2)
        (unpriced,) = desk.of(PositionUpdated)
        assert (unpriced.position.net_contracts, unpriced.position.cost_micros) == (2, None)
        taken = desk.of(SnapshotTaken)[-1]
        assert taken.positions[0].cost_micros == 4_500_250_000 * 2 * 2
        assert MNQ in [contract.id for contract in taken.contracts]


async def test_reads_everything_again_on_a_new_connection() -> None:
    desk = Desk()
    async with desk.running():
        link = await desk.connected()
        desk.gateway.answers[POSITIONS] = ok(positions=[position(1)])
        link.drop()
        await desk.until(lambda: len(desk.of(SnapshotTaken)) == 2)
        assert link.is_closed
        assert [state for state in desk.links() if state[0] == "user_hub"] == [
            ("user_hub", True),
            ("user_hub", False),
            ("user_hub", True),
        ]
        assert len(desk.of(SnapshotTaken)[-1].positions) == 1
        assert ("market_hub", False) not in desk.links()


@pytest.mark.parametrize("record", [{"type": 7, "error": "Connection closed with an error."}, {"type": 7}])
async def test_reconnects_whatever_the_servers_close_allows(record: dict[str, Any]) -> None:
    desk = Desk()
    async with desk.running():
        (await desk.connected()).say(record)
        await desk.user_link(1)


async def test_opens_a_user_hub_anew_that_is_connected_and_tells_nothing() -> None:
    desk = Desk()
    async with desk.running():
        link = await desk.connected()
        for second, is_told in ((20, True), (40, False)):
            begun = format_stamp(START_NS + second * SECOND_NS)
            desk.gateway.answers[ORDERS] = ok(orders=[order(creationTimestamp=begun, updateTimestamp=begun)])
            desk.clock.ns, desk.gateway.date = START_NS + second * SECOND_NS, None
            if is_told:
                link.event("GatewayUserOrder", order(creationTimestamp=begun, updateTimestamp=begun))
                await desk.until(lambda: desk.of(OrderUpdated))
            for seconds in (4.9, 0.1):
                assert (link.is_closed, desk.venue.problem_counts["deaf_hub"]) == (False, 0)
                desk.clock.advance(seconds)
                await desk.venue.snapshot(ACCOUNT, full=False)
        await desk.user_link(1)
        await desk.until(lambda: link.is_closed and desk.links()[-1] == ("user_hub", True))
        assert desk.venue.problem_counts["deaf_hub"] == 1
        # The new connection has to tell only of what begins from here on.
        desk.clock.advance(300)
        await desk.venue.snapshot(ACCOUNT, full=True)
        assert desk.venue.problem_counts["deaf_hub"] == 1


async def test_an_event_that_cannot_be_read_is_no_sign_of_deafness() -> None:
    desk = Desk()
    async with desk.running():
        link = await desk.connected()
        desk.gateway.date = None
        desk.clock.advance(10)
        begun = format_stamp(desk.clock.ns)
        desk.gateway.answers[POSITIONS] = ok(positions=[position(2, creationTimestamp=begun)])
        link.event("GatewayUserPosition", position(2, averagePrice="NaN"))
        await desk.until(lambda: len(desk.of(SnapshotTaken)) == 2)
        desk.clock.advance(30)
        await desk.venue.snapshot(ACCOUNT, full=False)
        assert desk.venue.problem_counts["deaf_hub"] == 0


async def test_opens_a_market_hub_anew_that_quotes_nothing_of_what_is_held() -> None:
    desk = Desk()
    desk.gateway.answers[POSITIONS] = ok(positions=[position(2)])
    async with desk.running():
        await desk.connected()
        market = await desk.market_link()
        await desk.until(lambda: market.calls)
        desk.clock.advance(40)
        market.event("GatewayQuote", ES, {"bestBid": 4500.25, "bestAsk": 4500.5, "timestamp": STAMP})
        await desk.until(lambda: desk.of(QuoteUpdated))
        for seconds in (44.9, 0.1):
            await desk.venue.snapshot(ACCOUNT, full=False)
            assert desk.venue.problem_counts["deaf_hub"] == 0
            desk.clock.advance(seconds)
        desk.gateway.answers[POSITIONS] = [500, ok(positions=[position(2)])]
        await desk.venue.snapshot(ACCOUNT, full=False)
        assert desk.venue.problem_counts["deaf_hub"] == 0, "REST has to work for that"
        await desk.venue.snapshot(ACCOUNT, full=False)
        again = await desk.market_link(1)
        await desk.until(lambda: again.calls == [("SubscribeContractQuotes", [ES])])
        assert market.is_closed
        assert desk.venue.problem_counts["deaf_hub"] == 1


async def test_logs_in_again_for_a_hub_that_refuses_its_token() -> None:
    desk = Desk()
    desk.gateway.answers["/api/Auth/loginKey"] = [ok(token="token-1"), ok(token="token-2")]
    async with desk.running():
        await desk.connected()
        desk.gateway.hub_refusals.extend([HubRefused(503), HubRefused(401)])
        desk.gateway.links["user"][0].drop()
        assert (await desk.user_link(1)).token == "token-2"


async def test_logs_in_again_when_the_venue_logs_it_out() -> None:
    desk = Desk()
    desk.gateway.answers["/api/Auth/loginKey"] = [ok(token="token-1"), ok(token="token-2")]
    async with desk.running():
        (await desk.connected()).event("GatewayLogout", "bye")
        assert (await desk.user_link(1)).token == "token-2"


async def test_subscribes_quotes_of_the_configured_product_and_of_whatever_is_held() -> None:
    desk = Desk(instruments=("es",))
    desk.gateway.answers["/api/Contract/available"] = ok(contracts=[ES_RECORD, MNQ_RECORD])
    async with desk.running(ACCOUNT, "20000002"):
        market = await desk.market_link()
        await desk.until(lambda: market.calls == [("SubscribeContractQuotes", [ES])])
        user = await desk.connected()
        await desk.until(lambda: len(desk.of(SnapshotTaken)) == 2)
        user.event("GatewayUserOrder", order(contractId=MNQ))
        await desk.until(lambda: market.calls[1:] == [("SubscribeContractQuotes", [MNQ])])
        market.event("GatewayQuote", ES, {"bestBid": 4500.25, "timestamp": STAMP})
        market.event("GatewayQuote", MNQ, {"bestBid": 17000})
        await desk.until(lambda: len(desk.of(QuoteUpdated)) == 3)
        assert [(event.account_id, event.quote.contract_id) for event in desk.of(QuoteUpdated)] == [
            (ACCOUNT, ES),
            ("20000002", ES),
            (ACCOUNT, MNQ),
        ]

        market.drop()
        again = await desk.market_link(1)
        await desk.until(lambda: len(again.calls) == 2)
        assert [arguments for _, arguments in again.calls] == [[ES], [MNQ]]


async def test_keeps_one_account_alive_when_another_cannot_be_subscribed() -> None:
    desk = Desk()
    desk.gateway.hub_errors["SubscribeTrades"] = "Failed to invoke 'SubscribeTrades' due to an error on the server."
    async with desk.running():
        await desk.until(lambda: ("user_hub", False) in desk.links())
        assert not desk.gateway.links["user"][0].is_closed


@pytest.mark.parametrize(
    ("hub_tells_after_s", "answered_after_s", "told"),
    [
        (None, 0.9, [(20000002, 70)]),
        (0.0, 0.9, [(20000002, 60)]),  # the list may be older than what the hub has said since it was asked for
        (-0.1, 0.9, [(20000002, 60), (20000002, 70)]),
        (None, 1.0, []),
    ],
)
async def test_gives_every_account_its_record_of_a_list_that_was_read_for_one(
    hub_tells_after_s: float | None, answered_after_s: float, told: list[tuple[int, int]]
) -> None:
    desk = Desk()
    other, foreign = 20000002, 20000003
    async with desk.running(ACCOUNT, str(other)):
        link = await desk.connected()
        await desk.until(lambda: desk.links().count(("user_hub", True)) == 2)
        desk.events.clear()
        rows = [{"id": key, "name": "P", "balance": 70, "canTrade": True} for key in (int(ACCOUNT), other, foreign)]

        def answer(payload: dict[str, Any]) -> Answer:
            desk.clock.advance(answered_after_s)
            return ok(accounts=rows)

        if hub_tells_after_s is not None:
            link.event("GatewayUserAccount", {"id": other, "name": "P", "balance": 60, "canTrade": True})
            await desk.until(lambda: desk.of(AccountUpdated))
            desk.clock.advance(-hub_tells_after_s)
        desk.gateway.answers["/api/Account/search"] = answer
        await desk.venue.snapshot(ACCOUNT, full=True)
        found = [
            (int(event.account_id), event.account.balance_micros // 1_000_000) for event in desk.of(AccountUpdated)
        ]
        assert found == told


async def test_announces_that_rest_is_gone_and_back() -> None:
    desk = Desk()
    desk.gateway.answers[POSITIONS] = [Lost("no answer"), ok(positions=[])]
    desk.gateway.answers[ORDERS] = [502, ok(orders=[])]
    async with desk.running():
        await desk.connected()
        first = desk.of(SnapshotTaken)[0]
        assert (first.positions, first.orders) == (None, None)
        await desk.venue.snapshot(ACCOUNT, full=False)
        assert [state for state in desk.links() if state[0] == "rest"] == [
            ("rest", True),
            ("rest", False),
            ("rest", True),
        ]


async def test_snapshot_asks_for_what_it_needs() -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = ok(orders=[order(status=8, parentOrderId=3425270857)])
    taken = await desk.venue.snapshot(ACCOUNT, full=True)

    asked = {path: payload for path, payload, _ in desk.gateway.requests}
    assert asked[POSITIONS] == {"accountId": int(ACCOUNT)}
    assert asked[ORDERS]["filter"] == {"accountId": int(ACCOUNT), "statuses": [1, 6, 7, 8]}
    assert asked[TRADES] == {"accountId": int(ACCOUNT), "startTimestamp": "2026-08-19T17:00:00.000000Z"}
    assert asked["/api/Account/search"] == {"onlyActiveAccounts": True}
    assert {token for path, _, token in desk.gateway.requests if "Auth" not in path} == {"Bearer token-1"}
    assert taken.requested_ns == taken.at_ns == START_NS
    assert taken.account is not None
    assert taken.account.balance_micros == 149_831_920_000
    assert taken.orders is not None
    assert taken.orders[0].parent_id == "3425270857"


async def test_light_snapshot_reads_positions_and_orders_only() -> None:
    desk = Desk()
    await desk.venue.snapshot(ACCOUNT, full=False)
    desk.gateway.requests.clear()
    taken = await desk.venue.snapshot(ACCOUNT, full=False)
    assert sorted(desk.gateway.paths()) == [ORDERS, POSITIONS]
    assert (taken.account, taken.fills, taken.contracts) == (None, None, ())


async def test_reads_a_fill_anew_only_when_its_row_has_changed() -> None:
    desk = Desk()
    read: list[Any] = []
    for row in (fill(), fill(), fill(voided=True), fill(voided=True), fill(id="none")):
        desk.gateway.answers[TRADES] = ok(trades=[row])
        read.append((await desk.venue.snapshot(ACCOUNT, full=True)).fills)
    assert [found and found[0].is_voided for found in read] == [False, False, True, True, None]
    assert read[0][0] is read[1][0]
    assert read[2][0] is read[3][0]


UNTRUSTED: list[Answer] = [
    500,
    Lost("no answer"),
    NotSent("no connection"),
    refused(1),
    {"success": True, "errorCode": 0},
    {"success": True, "errorCode": 0, "positions": None},
    ok(positions={}),
    ok(positions=[None]),
    ok(positions=[position(1), position(1, accountId=20000002)]),
    ok(positions=[position(1), position(-1)]),
    ok(positions=[position(1, type=None)]),
    {"success": False, "errorCode": 0, "positions": []},
]


@pytest.mark.parametrize("answer", UNTRUSTED)
async def test_unknown_is_never_empty(answer: Answer) -> None:
    desk = Desk()
    await desk.venue.snapshot(ACCOUNT, full=False)
    desk.gateway.answers[POSITIONS] = answer
    taken = await desk.venue.snapshot(ACCOUNT, full=True)
    assert taken.positions is None
    assert taken.orders == ()


@pytest.mark.parametrize(
    ("changes", "is_read"),
    [
        ({"parentOrderId": 0}, True),
        ({"updateTimestamp": "0001-01-01T00:00:00+00:00"}, True),
        ({"stopPrice": "none"}, True),
        ({"customTag": "t" * 501}, True),
        ({"id": 0}, False),
        ({"contractId": None}, False),
        ({"side": 2}, False),
        ({"size": 0}, False),
        ({"fillVolume": -1}, False),
        ({"accountId": 20000002}, False),
    ],
)
async def test_an_odd_order_hides_the_others_only_where_it_cannot_be_judged(
    changes: dict[str, Any], is_read: bool
) -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = ok(orders=[order(id=1), order(**{"id": 2} | changes)])
    orders = (await desk.venue.snapshot(ACCOUNT, full=False)).orders
    assert (orders and [each.id for each in orders]) == (["1", "2"] if is_read else None)


async def test_asks_the_old_way_where_there_is_no_order_query() -> None:
    desk = Desk()
    desk.gateway.answers[ORDERS] = 404
    desk.gateway.answers[OPEN_ORDERS] = ok(orders=[order()])

    async def read() -> int | None:
        desk.clock.advance(3)
        orders = (await desk.venue.snapshot(ACCOUNT, full=False)).orders
        return None if orders is None else len(orders)

    assert [await read() for _ in range(4)] == [None, None, 1, 1], "it may be a gateway that is being deployed"
    assert desk.gateway.paths().count(ORDERS) == 3
    # From time to time it is asked again, and as long as it does not know, no reading is lost.
    assert [await read() for _ in range(39)] == [1] * 39
    assert desk.gateway.paths().count(ORDERS) == 5
    desk.gateway.answers[ORDERS] = ok(orders=[order(), order(id=2)], totalCount=2)
    assert 2 in [await read() for _ in range(20)]
    asked_the_old_way = desk.gateway.paths().count(OPEN_ORDERS)
    desk.gateway.answers[ORDERS] = [404, ok(orders=[], totalCount=0)]
    assert [await read() for _ in range(2)] == [None, 0]
    assert desk.gateway.paths().count(OPEN_ORDERS) == asked_the_old_way


async def test_reads_twice_where_a_kept_connection_has_gone_stale() -> None:
    desk = Desk()
    desk.gateway.answers[POSITIONS] = [Lost("disconnected", is_disconnect=True), ok(positions=[])]
    assert (await desk.venue.snapshot(ACCOUNT, full=False)).positions == ()


async def test_reads_only_what_is_needed_to_act_after_a_429_and_closes_as_ever() -> None:
    desk = Desk()
    await desk.venue.snapshot(ACCOUNT, full=False)
    desk.gateway.answers[POSITIONS] = 429
    await desk.venue.snapshot(ACCOUNT, full=False)
    desk.gateway.answers |= {POSITIONS: ok(positions=[]), "/api/Position/closeContract": ok()}
    desk.clock.advance(3)
    taken = await desk.venue.snapshot(ACCOUNT, full=True)
    assert (taken.positions, taken.orders, taken.account, taken.fills) == ((), (), None, None)
    assert isinstance(await desk.venue.execute(ACCOUNT, ClosePosition("a", "i", ES)), ActionAccepted)
    desk.clock.advance(15)
    assert (await desk.venue.snapshot(ACCOUNT, full=True)).fills == ()


async def test_sends_no_cancels_with_a_token_that_was_refused_but_lets_a_close_try_it() -> None:
    desk = Desk()
    desk.gateway.answers["/api/Auth/loginKey"] = [ok(token="token-1"), refused(99)]
    desk.gateway.answers["/api/Order/cancel"] = [401, ok()]
    desk.gateway.answers["/api/Position/closeContract"] = ok()
    for _ in range(3):
        assert isinstance(await desk.venue.execute(ACCOUNT, CancelOrder("a", "i", ES, "7")), ActionRejected)
    assert desk.gateway.paths().count("/api/Order/cancel") == 1
    # Its answer shows that the token is good after all.
    assert isinstance(await desk.venue.execute(ACCOUNT, ClosePosition("b", "i", ES)), ActionAccepted)
    assert isinstance(await desk.venue.execute(ACCOUNT, CancelOrder("c", "i", ES, "7")), ActionAccepted)


async def test_lists_accounts_or_says_why_not() -> None:
    desk = Desk()
    assert [account.name for account in await desk.venue.accounts()] == ["PRAC-V2-1"]
    desk.gateway.answers["/api/Account/search"] = ok(accounts=None)
    with pytest.raises(ReadFailed):
        await desk.venue.accounts()


@pytest.mark.parametrize(
    ("action", "path", "payload"),
    [
        (
            CancelOrder("a", "i", ES, "3425270858"),
            "/api/Order/cancel",
            {"accountId": int(ACCOUNT), "orderId": 3425270858},
        ),
        (ClosePosition("a", "i", ES), "/api/Position/closeContract", {"accountId": int(ACCOUNT), "contractId": ES}),
        (
            ReducePosition("a", "i", ES, 2),
            "/api/Position/partialCloseContract",
            {"accountId": int(ACCOUNT), "contractId": ES, "size": 2},
        ),
        (
            PlaceStop("a", "i", ES, Side.SELL, 2, 17_962),
            "/api/Order/place",
            {
                "accountId": int(ACCOUNT),
                "contractId": ES,
                "type": 4,
                "side": 1,
                "size": 2,
                "stopPrice": 4490.5,
                "customTag": "a-0a1b2c3d",
            },
        ),
        (
            ModifyOrder("a", "i", ES, "3425270858", 17_963, None),
            "/api/Order/modify",
            {"accountId": int(ACCOUNT), "orderId": 3425270858, "stopPrice": 4490.75},
        ),
        (
            ModifyOrder("a", "i", ES, "3425270858", None, 17_963, 3),
            "/api/Order/modify",
            {"accountId": int(ACCOUNT), "orderId": 3425270858, "limitPrice": 4490.75, "size": 3},
        ),
        (
            PlaceTarget("a", "i", ES, Side.BUY, 1, 17_962),
            "/api/Order/place",
            {
                "accountId": int(ACCOUNT),
                "contractId": ES,
                "type": 1,
                "side": 0,
                "size": 1,
                "limitPrice": 4490.5,
                "customTag": "a-0a1b2c3d",
            },
        ),
    ],
)
async def test_sends(action: Action, path: str, payload: dict[str, Any]) -> None:
    desk = Desk()
    await desk.venue.snapshot(ACCOUNT, full=False)
    desk.gateway.answers[path] = ok(orderId=1)
    outcome = await desk.venue.execute(ACCOUNT, action)
    assert outcome == ActionAccepted(ACCOUNT, "a", START_NS, START_NS)
    assert desk.gateway.requests[-1][:2] == (path, payload)


async def test_sends_urgent_cancels_and_changes_before_the_cancels_that_wait_for_their_share() -> None:
    desk = Desk()
    desk.gateway.answers["/api/Order/cancel"] = desk.gateway.answers["/api/Order/modify"] = ok()
    cancels = [
        asyncio.create_task(desk.venue.execute(ACCOUNT, CancelOrder(f"a{number}", "i", ES, str(number))))
        for number in range(160)
    ]
    await desk.until(lambda: sum(cancel.done() for cancel in cancels) >= 140)
    urgent: list[Action] = [
        CancelOrder("b", "i", ES, "1000", is_urgent=True),
        ModifyOrder("c", "i", ES, "1001", None, None, 1, is_urgent=True),
    ]
    answers = await asyncio.wait_for(asyncio.gather(*(desk.venue.execute(ACCOUNT, one) for one in urgent)), 5)
    assert answers == [ActionAccepted(ACCOUNT, action_id, START_NS, START_NS) for action_id in ("b", "c")]
    assert [payload["orderId"] for _, payload, *_ in desk.gateway.requests[-2:]] == [1000, 1001]
    waiting = [cancel for cancel in cancels if not cancel.done()]
    assert len(waiting) >= 10
    for cancel in waiting:
        cancel.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("account_id", "action"),
    [
        (ACCOUNT, TakeSnapshot("a", reason="why not", full=False)),
        (ACCOUNT, ReducePosition("a", "i", ES, 0)),
        (ACCOUNT, CancelOrder("a", "i", ES, "not a number")),
        (ACCOUNT, PlaceStop("a", "i", MNQ, Side.SELL, 1, 5)),
        (ACCOUNT, PlaceStop("a", "i", ES, Side.SELL, 0, 17_962)),
        ("PRAC-V2-1", ClosePosition("a", "i", ES)),
    ],
)
async def test_does_not_send_what_it_cannot_write(account_id: str, action: Action) -> None:
    desk = Desk()
    outcome = await desk.venue.execute(account_id, action)
    assert isinstance(outcome, ActionRejected)
    assert outcome.message.startswith("not sent: ")
    assert not {"/api/Order/cancel", "/api/Order/place"} & set(desk.gateway.paths())


@pytest.mark.parametrize(
    ("answers", "expected", "sent"),
    [
        ([Lost("no answer")], "unknown", 1),
        ([Lost("gone", is_disconnect=True)], "unknown", 1),
        ([NotSent("no connection")], Refusal.OTHER, 1),
        ([refused(2)], Refusal.NOT_FOUND, 1),
        ([429], Refusal.RATE_LIMITED, 1),
        ([401, ok()], "accepted", 2),
        ([401, 401], Refusal.OTHER, 2),
        ([401, NotSent("no connection")], Refusal.OTHER, 2),
    ],
)
async def test_closes_once_and_again_only_with_a_new_token(answers: list[Answer], expected: str, sent: int) -> None:
    desk = Desk()
    desk.gateway.answers["/api/Auth/loginKey"] = [ok(token="token-1"), ok(token="token-2")]
    desk.gateway.answers["/api/Position/closeContract"] = answers
    outcome = await desk.venue.execute(ACCOUNT, ClosePosition("a", "i", ES))
    match outcome:
        case ActionAccepted():
            assert expected == "accepted"
        case ActionRejected():
            assert expected == outcome.refusal
        case ActionUnknown():
            assert expected == "unknown"
    assert desk.gateway.paths().count("/api/Position/closeContract") == sent


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_never_sends_a_sized_action_twice(status: int) -> None:
    desk = Desk()
    desk.gateway.answers["/api/Position/partialCloseContract"] = [status, ok()]
    outcome = await desk.venue.execute(ACCOUNT, ReducePosition("a", "i", ES, 1))
    assert isinstance(outcome, ActionUnknown)
    assert desk.gateway.paths().count("/api/Position/partialCloseContract") == 1


async def test_says_not_sent_without_a_token() -> None:
    desk = Desk()
    desk.gateway.answers["/api/Auth/loginKey"] = refused(10)
    outcome = await desk.venue.execute(ACCOUNT, ClosePosition("a", "i", ES))
    assert isinstance(outcome, ActionRejected)
    assert outcome.message == "not sent: login failed: API key authentication is disabled (code 10)"
