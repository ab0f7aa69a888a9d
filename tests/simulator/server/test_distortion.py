"""A bad line between the exchange and the hubs' clients."""

import pytest

from risk_manager.simulator.server.distortion import BadLine, Distortion
from tests.simulator.server.gateway import MNQ_ID, Gateway
from tests.simulator.server.test_hubs import silence


@pytest.mark.parametrize(
    ("line", "copies"),
    [
        (BadLine(), (0.0,)),
        (BadLine(lost=1.0, doubled=1.0), ()),
        (BadLine(doubled=1.0), (0.0, 0.0)),
        (BadLine(late=1.0), (0.0,)),
    ],
)
def test_does_to_every_event_what_has_a_share_of_one(line: BadLine, copies: tuple[float, ...]) -> None:
    assert Distortion(line, seed=1).copies_s() == copies


def test_delays_late_copies_up_to_the_limit_and_each_by_itself() -> None:
    distortion = Distortion(BadLine(doubled=1.0, late=1.0, late_s=0.5), seed=1)
    delays_s = [delay_s for _ in range(50) for delay_s in distortion.copies_s()]
    assert 0.0 <= min(delays_s) < 0.1
    assert 0.4 < max(delays_s) < 0.5
    assert len(set(delays_s)) == 100


def test_repeats_itself_from_its_seed_only() -> None:
    line = BadLine(lost=0.3, doubled=0.3, late=0.3, late_s=1.0)

    def drawn(seed: int) -> list[tuple[float, ...]]:
        distortion = Distortion(line, seed)
        return [distortion.copies_s() for _ in range(40)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_loses_the_same_events_whatever_else_happens_to_the_line() -> None:
    quiet, loud = (Distortion(BadLine(lost=0.5, doubled=doubled), seed=3) for doubled in (0.0, 1.0))
    assert [bool(quiet.copies_s()) for _ in range(40)] == [bool(loud.copies_s()) for _ in range(40)]


async def test_doubles_and_loses_what_one_hub_sends_until_the_line_is_repaired(gateway: Gateway) -> None:
    gateway.quote()
    token = await gateway.login()
    user = await gateway.connect("user", token, ("SubscribePositions", gateway.pat))
    market = await gateway.connect("market", token, ("SubscribeContractTrades", MNQ_ID))
    gateway.server.distort(BadLine(doubled=1.0), "user")
    await gateway.place(token)
    first, second = await user.take(2)
    assert first == second
    gateway.server.distort(BadLine(lost=1.0), "user")
    await gateway.place(token)
    gateway.server.distort(None)
    await gateway.place(token)
    assert (await user.next())["arguments"][0]["data"]["size"] == 3
    await silence(user)
    await silence(market)


async def test_lets_later_events_overtake_a_late_one(gateway: Gateway) -> None:
    client = await gateway.connect("market", await gateway.login(), ("SubscribeContractQuotes", MNQ_ID))
    gateway.server.distort(BadLine(late=1.0, late_s=0.2))
    for bid_ticks in range(80_000, 80_020):
        gateway.quote(bid_ticks)
    bids = [record["arguments"][1]["bestBid"] for record in await client.take(20)]
    assert sorted(bids) == [20_000 + number / 4 for number in range(20)]
    assert bids != sorted(bids)
