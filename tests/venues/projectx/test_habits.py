"""What the client asks for and what it leaves alone, whatever happens: habits that others learned the hard way."""

from msgspec.structs import replace

from risk_manager.domain.actions import PlaceStop
from risk_manager.domain.order import Side
from tests.venues.projectx.fake_gateway import ACCOUNT, ES_RECORD, MNQ_RECORD, ok
from tests.venues.projectx.test_venue import ES, MNQ, Desk, order, position

USER_CALLS = [
    ("SubscribeAccounts", []),
    ("SubscribeOrders", [int(ACCOUNT)]),
    ("SubscribePositions", [int(ACCOUNT)]),
    ("SubscribeTrades", [int(ACCOUNT)]),
]


async def test_subscribes_everything_again_on_every_new_connection() -> None:
    desk = Desk(instruments=("ES",))

    async def is_subscribed_and_dropped(number: int) -> None:
        user, market = await desk.user_link(number), await desk.market_link(number)
        await desk.until(lambda: len(user.calls) == 4 and market.calls)
        assert user.calls == USER_CALLS
        assert market.calls == [("SubscribeContractQuotes", [ES])]
        user.drop()
        market.drop()

    async with desk.running():
        for number in range(4):
            await is_subscribed_and_dropped(number)


async def test_lists_the_contracts_of_the_simulated_market() -> None:
    """The live listing is empty for Practice, Combine and funded accounts alike."""
    desk = Desk()
    await desk.venue.snapshot(ACCOUNT, full=True)
    asked = [payload for path, payload, _ in desk.gateway.requests if path == "/api/Contract/available"]
    assert asked == [{"live": False}]


async def test_asks_for_no_bars_and_for_no_contract_by_a_name_it_made_up() -> None:
    """Bars lag and have gaps; what guards knows prices from quotes and fills alone."""
    desk = Desk(instruments=("ES",))
    desk.gateway.answers["/api/Contract/searchById"] = ok(contract=MNQ_RECORD)
    async with desk.running():
        link = await desk.connected()
        link.event("GatewayUserPosition", position(1, MNQ))
        await desk.until(lambda: "/api/Contract/searchById" in desk.gateway.paths())
        await desk.venue.snapshot(ACCOUNT, full=True)
    assert set(desk.gateway.paths()) == {
        "/api/Auth/loginKey",
        "/api/Account/search",
        "/api/Contract/available",
        "/api/Contract/searchById",
        "/api/Order/v2/query",
        "/api/Position/searchOpen",
        "/api/Trade/search",
    }


async def test_quotes_every_listed_month_of_a_product_and_no_other() -> None:
    december = ES_RECORD | {"id": "CON.F.US.EP.Z26", "name": "ESZ6"}
    old = ES_RECORD | {"id": "CON.F.US.EP.M26", "name": "ESM6", "activeContract": False}
    desk = Desk(instruments=("ES",))
    desk.gateway.answers["/api/Contract/available"] = ok(contracts=[ES_RECORD, december, old, MNQ_RECORD])
    async with desk.running():
        market = await desk.market_link()
        await desk.until(lambda: len(market.calls) == 2)
        assert {arguments[0] for _, arguments in market.calls} == {ES, "CON.F.US.EP.Z26"}


async def test_tags_every_order_it_places_with_the_attempt_s_own_id_and_the_run_s_mark() -> None:
    desk = Desk()
    await desk.venue.snapshot(ACCOUNT, full=False)
    stop = PlaceStop("20000001-7.1", "i", ES, Side.SELL, 1, 17_962)
    desk.gateway.answers["/api/Order/place"] = ok(orderId=1)
    for action in (stop, replace(stop, id="20000001-8.1")):
        await desk.venue.execute(ACCOUNT, action)
    placed = [payload for path, payload, _ in desk.gateway.requests if path == "/api/Order/place"]
    assert [payload["customTag"] for payload in placed] == ["20000001-7.1-0a1b2c3d", "20000001-8.1-0a1b2c3d"]


async def test_reads_a_suspended_child_s_missing_prices_as_missing() -> None:
    """The venue prices it only when its entry fills, whatever anybody asked for before."""
    desk = Desk()
    desk.gateway.answers["/api/Order/v2/query"] = ok(orders=[order(status=8, stopPrice=None, parentOrderId=1)])
    taken = await desk.venue.snapshot(ACCOUNT, full=False)
    assert taken.orders is not None
    (child,) = taken.orders
    assert (child.status, child.parent_id, child.stop_ticks) == ("suspended", "1", None)
