"""What others met in production, one row each: how it is brought about, and what it did to the time until flat.

Numbers are those of the fault table this client is built to. A row returns the seconds from the moment the guard could
act until the exchange's own books show what the rule demands.
"""

import asyncio
import time

from risk_manager.domain.order import OrderStatus, OrderType, Side
from risk_manager.enforcement.denials import NOT_ENFORCEABLE
from risk_manager.runtime.health import GuardState
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.faults import Answer, Failure
from risk_manager.simulator.records import BracketMode, PlaceOrder
from risk_manager.simulator.server import SimSettings
from risk_manager.simulator.server.distortion import BadLine
from risk_manager.simulator.server.poison import BadValue
from tests.faults.table import ROWS, flattened, row, thrown
from tests.faults.trial import FLAT_ONCE, LOSS_OF_A_DAY, OPEN_LOSS, REDUCED_TO_TWO, STOP_OF_40, USER, Trial, on_trial
from tests.scenarios.stage import ES, Moved, Placed, Reduced

CLOSE, REDUCE, CANCEL = "Position/closeContract", "Position/partialCloseContract", "Order/cancel"
READS = ("Position/searchOpen", "Order/v2/query", "Trade/search", "Account/search", "Contract/available", "Status/ping")
EVERY_CALL = (CLOSE, REDUCE, CANCEL, *READS, "Auth/validate", "Auth/loginKey")
NO_ORDERS = b'{"orders":[],"totalCount":0,"success":true,"errorCode":0,"errorMessage":null}'
ES_JUNE = listed("ES", "M26")

__all__ = ["ROWS"]


# -- nothing is wrong --------------------------------------------------------------------------------------------------


@row(0, "no fault", within_s=1.0)
async def calm() -> float:
    async with on_trial() as trial:
        trial.breaks()
        return await trial.flat()


# -- what comes looks otherwise ----------------------------------------------------------------------------------------


thrown(1, "events come without their envelope", "shape events as bare", within_s=1.0)
thrown(1, "events come in lists", "shape events as list", within_s=1.0)


@row(2, "market payloads are lists, with nulls among them", within_s=1.0)
async def listed_quotes() -> float:
    async with on_trial(OPEN_LOSS) as trial:
        trial.throws("shape events as listed_quotes", "shape events as padded")
        trial.trades(Side.BUY, 2)
        return await open_loss(trial)


thrown(
    5,
    "statuses nobody has seen",
    "poison user_hub with negative in status",
    "poison Order/v2/query with negative in status",
)


@row(6, "children of an entry are suspended, and the list of open orders leaves them out", within_s=1.0)
async def suspended() -> float:
    async with on_trial(bracket_mode=BracketMode.AUTO_OCO) as trial:
        trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 100, stop_loss_ticks=-20)
        await trial.until(lambda: len(trial.guard.engine.account.orders) == 2, "entry and child known")
        trial.breaks()
        return await trial.flat()


@row(22, "seven digits of a second on the stream, six in the lists: as ever", within_s=1.0)
async def digits() -> float:
    async with on_trial() as trial:
        trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 100)
        await trial.until(lambda: len(trial.guard.engine.account.orders) == 1, "the order known")
        (told,) = trial.guard.engine.account.orders.values()
        await trial.until(lambda: told is not trial.guard.engine.account.orders[told.id], "the order read")
        read = trial.guard.engine.account.orders[told.id]
        assert read.updated_ns % 1_000 == 0
        assert abs(read.updated_ns - told.updated_ns) < 1_000
        trial.breaks()
        return await trial.flat()


@row(23, "order ids above 32 bits: as ever", within_s=1.0)
async def long_ids() -> float:
    async with on_trial() as trial:
        trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 100)
        assert all(order.id > 1 << 31 for order in trial.orders)
        trial.breaks()
        return await trial.flat()


thrown(26, "the live listing is empty for simulated accounts: as ever", "live data off", within_s=1.0)
thrown(32, "bars lag by an hour", "lag bars by 1h", within_s=1.0)
thrown(36, "a flat position is told by its size alone", "poison user_hub with negative in type", within_s=5.0)
for bad in BadValue:
    thrown(0, f"every number of both hubs is bad: {bad}", f"poison hubs with {bad}", within_s=5.0)
    lists = [f"poison {path} with {bad}" for path in ("Position/searchOpen", "Order/v2/query", "Trade/search")]
    thrown(0, f"every number of the lists is bad: {bad}", *lists)


# -- answers -----------------------------------------------------------------------------------------------------------


flattened(
    4, "HTTP 200 says rejected, twice", lambda trial: trial.server.fail_next(CLOSE, Answer(5, "Order rejected"), 2)
)


@row(9, "a sized call is carried out and its answer lost", within_s=12.0)
async def reduction_without_answer() -> float:
    async with on_trial(REDUCED_TO_TWO) as trial:
        trial.server.fail_next(REDUCE, Failure(None, is_executed=True))
        trial.breaks()
        took_s = await trial.holds(2)
        await asyncio.sleep(9)
        assert trial.net == 2, "reduced twice"
        assert trial.asked(Reduced) == 1
        return took_s


@row(9, "a sized call is lost with its answer", within_s=12.0)
async def reduction_lost() -> float:
    async with on_trial(REDUCED_TO_TWO) as trial:
        trial.server.fail_next(REDUCE, Failure(None))
        trial.breaks()
        took_s = await trial.holds(2)
        await asyncio.sleep(1)
        assert trial.net == 2
        return took_s


@row(29, "the venue cannot cancel an order that has just filled", within_s=3.0)
async def cancel_unknown() -> float:
    async with on_trial() as trial:
        trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 100)
        trial.server.fail_next(CANCEL, Answer(5), 2)
        trial.breaks()
        return await trial.flat()


flattened(
    30, "429 on the close, three times", lambda trial: trial.server.fail_next(CLOSE, Failure(429), 3), within_s=5.0
)


@row(30, "429 on a sized call, which may have been carried out", within_s=25.0, is_long=True)
async def sized_429() -> float:
    async with on_trial(REDUCED_TO_TWO) as trial:
        trial.server.fail_next(REDUCE, Failure(429))
        trial.breaks()
        took_s = await trial.holds(2)
        await asyncio.sleep(1)
        assert trial.asked(Reduced) == 1
        return took_s


@row(31, "lists of positions are null while REST alone could tell", within_s=10.0)
async def null_list() -> float:
    async with on_trial() as trial:
        trial.server.distort(BadLine(lost=1.0), "user")
        trial.server.fail_next("Position/searchOpen", Answer(0, is_executed=True, drops_payload=True), 2)
        trial.breaks()
        return await trial.flat()


flattened(
    35,
    "the close is accepted and nothing happens",
    lambda trial: trial.server.fail_next(CLOSE, Answer(0)),
    within_s=5.0,
)


flattened(
    40,
    "500 on the close, which is carried out",
    lambda trial: trial.server.fail_next(CLOSE, Failure(500, is_executed=True)),
)


flattened(
    40, "502 on the close, four times", lambda trial: trial.server.fail_next(CLOSE, Failure(502), 4), within_s=5.0
)


@row(41, "a partial close is refused without a word, twice", within_s=5.0)
async def refused_without_a_word() -> float:
    async with on_trial(REDUCED_TO_TWO) as trial:
        trial.server.fail_next(REDUCE, Answer(6), 2)
        trial.breaks()
        return await trial.holds(2)


@row(44, "a proxy answers with a page", within_s=5.0)
async def html() -> float:
    async with on_trial() as trial:
        for path in (CLOSE, "Position/searchOpen", "Order/v2/query"):
            trial.server.fail_next(path, Failure(200, body=b"<html>Just a moment...</html>"), 2)
        trial.breaks()
        return await trial.flat()


# -- accounts and orders -----------------------------------------------------------------------------------------------


async def refused_stop() -> float:
    async with on_trial(STOP_OF_40) as trial:
        trial.trades(Side.BUY, 1)
        trial.exchange.set_halted(ES.id, True, time.time_ns())
        await trial.until(lambda: trial.asked(Placed) > 0, "a stop asked for")
        trial.exchange.set_halted(ES.id, False, time.time_ns())
        trial.counts()
        took_s = await trial.protected()
        marks = [call.order.tag for call in trial.exchange.calls if isinstance(call, Placed)]
        assert len(set(marks)) == len(marks) > 1, marks
        refused = [order.tag for order in trial.exchange.orders(trial.number) if order.status is OrderStatus.REJECTED]
        assert set(refused) & set(marks), "refused without an id"
        return took_s


row(3, "a stop is refused, with an id all the same")(refused_stop)
row(10, "a stop is refused, and with it its mark is spent")(refused_stop)


@row(11, "the stop of a bracket, its offset with a sign, is protection: no second one is placed", within_s=1.0)
async def signed_bracket() -> float:
    async with on_trial(STOP_OF_40, bracket_mode=BracketMode.AUTO_OCO) as trial:
        trial.counts()
        trial.trades(Side.BUY, 2, stop_loss_ticks=-40)
        took_s = await trial.protected()
        await asyncio.sleep(1)
        assert trial.asked(Placed) == 0
        return took_s


@row(13, "the average price lies between two ticks, where no stop may be", within_s=1.0)
async def between_ticks() -> float:
    async with on_trial(STOP_OF_40) as trial:
        trial.trades(Side.BUY, 1)
        trial.moves(1)
        trial.counts()
        trial.trades(Side.BUY, 1)
        return await trial.protected()


@row(14, "a trailing stop of the trader's is left as it is", within_s=1.0)
async def trailing() -> float:
    async with on_trial(STOP_OF_40) as trial:
        trial.exchange.print(ES.id, trial.bid_ticks, 1, None, time.time_ns())
        trial.counts()
        trial.trades(Side.BUY, 1)
        trial.trails(Side.SELL, 1, 30)
        took_s = await trial.protected()
        await asyncio.sleep(1)
        assert trial.asked(Moved) == 0
        return took_s


@row(33, "a suspended child is priced anew when its entry fills: it is left as it is", within_s=1.0)
async def repriced() -> float:
    async with on_trial(STOP_OF_40, bracket_mode=BracketMode.AUTO_OCO) as trial:
        trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 10, stop_loss_ticks=-30)
        trial.moves(-20)
        trial.counts()
        took_s = await trial.protected()
        await asyncio.sleep(1)
        assert (trial.asked(Placed), trial.asked(Moved)) == (0, 0)
        return took_s


@row(25, "the user has another account, which nobody is to touch", within_s=1.0)
async def another_account() -> float:
    async with on_trial() as trial:
        other = trial.exchange.open_account(user=USER, name="50KTC-V2-1-0", balance_micros=50_000_000_000)
        trial.exchange.trader_places(other, PlaceOrder(ES.id, OrderType.MARKET, Side.BUY, 5))
        trial.breaks()
        took_s = await trial.flat()
        assert {call.account_id for call in trial.exchange.calls} == {trial.number}
        return took_s


@row(0, "the venue takes a winning trade back, and with it what had paid for a loss", within_s=1.0)
async def voided() -> float:
    async with on_trial(LOSS_OF_A_DAY) as trial:
        for ticks in (40, -60):
            trial.trades(Side.BUY, 1)
            trial.moves(ticks)
            trial.trades(Side.SELL, 1)
        await trial.until(lambda: len(trial.guard.engine.account.valid_fills) == 4, "the fills known")
        assert trial.guard.engine.account.lockouts == ()
        bought, sold, *_ = trial.exchange.fills(trial.number)
        trial.counts()
        for fill in (sold, bought):
            trial.exchange.void_fill(fill.id, time.time_ns())
        await trial.until(lambda: len(trial.guard.engine.account.lockouts) == 1, "locked out")
        return trial.seconds


@row(12, "the account takes no orders with brackets", within_s=1.0)
async def position_brackets() -> float:
    async with on_trial(STOP_OF_40, bracket_mode=BracketMode.POSITION_BRACKETS) as trial:
        trial.counts()
        trial.trades(Side.BUY, 2)
        return await trial.protected()


@row(27, "two months of a product are listed, and both are held", within_s=1.0)
async def two_months() -> float:
    async with on_trial(also_lists=ES_JUNE) as trial:
        trial.trades(Side.BUY, 1, ES_JUNE)
        trial.breaks(2)
        return await trial.flat()


@row(34, "somebody else opens, adds and rests orders", within_s=1.0)
async def another_hand() -> float:
    async with on_trial(REDUCED_TO_TWO) as trial:
        trial.trades(Side.BUY, 1)
        trial.rests(Side.SELL, 1, stop_ticks=trial.bid_ticks - 40)
        trial.breaks(3)
        took_s = await trial.holds(2)
        assert trial.asked(Reduced) == 1
        return took_s


@row(42, "a follower account lets nobody cancel: said, and closed all the same", within_s=1.0)
async def follower() -> float:
    async with on_trial(is_follower=True) as trial:
        trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 100)
        trial.breaks()
        await trial.until(lambda: NOT_ENFORCEABLE in trial.warnings, "said")
        took_s = await trial.holds(0)
        assert len(trial.orders) == 1
        assert "enforcement: the venue does not allow CancelOrder" in trial.guard.health.missing
        return took_s


# -- sessions ----------------------------------------------------------------------------------------------------------


flattened(15, "the token is refused in the middle", lambda trial: trial.server.revoke_tokens())


@row(16, "the hubs answer 403 and will not have us", within_s=5.0)
async def hub_forbidden() -> float:
    async with on_trial() as trial:
        for hub in ("user", "market"):
            trial.server.fail_next(f"/hubs/{hub}", Failure(403), 4)
        trial.server.drop_connections()
        trial.breaks()
        return await trial.flat()


flattened(43, "the venue logs the session out", lambda trial: trial.server.log_out(), within_s=5.0)


flattened(
    24,
    "the venue lists the account no longer",
    lambda trial: trial.exchange.set_visible(trial.number, False, time.time_ns()),
)


@row(24, "another account takes the place of ours: said, and left alone", within_s=20.0, is_long=True)
async def replaced() -> float:
    async with on_trial() as trial:
        number = trial.exchange.replace_account(trial.number, "50KTC-V2-1-1", 50_000_000_000, time.time_ns())
        trial.counts()
        said = f"50KTC-V2-1-1 is {number} now"
        await trial.until(lambda: any(said in line for line in trial.guard.health.missing), "said")
        assert trial.guard.state is GuardState.DEGRADED
        assert trial.exchange.calls == []
        return trial.seconds


# -- streams -----------------------------------------------------------------------------------------------------------


flattened(17, "both hubs close with an error", lambda trial: trial.server.close_hubs(), within_s=5.0)


flattened(17, "both hubs close for good", lambda trial: trial.server.close_hubs(allow_reconnect=False), within_s=5.0)


async def deaf_but_for_the_streams(trial: Trial) -> float:
    """Only what the hubs tell can still show a breach."""
    await trial.until(lambda: not trial.guard.health.missing, "both hubs back")
    for path in READS:
        trial.server.fail_next(path, Failure(None), 1000)
    trial.breaks()
    return await trial.flat()


@row(37, "a connection comes back without its subscriptions", within_s=1.0)
async def unsubscribed() -> float:
    async with on_trial() as trial:
        trial.server.drop_connections()
        await trial.until(lambda: bool(trial.guard.health.missing), "the hubs missed")
        return await deaf_but_for_the_streams(trial)


@row(38, "the hubs are gone for fifteen seconds: a client that counts its attempts is gone for good", within_s=1.0)
async def gone() -> float:
    async with on_trial() as trial:
        trial.throws("drop hubs for 15s")
        await asyncio.sleep(15)
        return await deaf_but_for_the_streams(trial)


flattened(17, "the connections are cut", lambda trial: trial.server.drop_connections(), within_s=5.0)


@row(17, "both hubs stand silent: streams dead, REST alive", within_s=5.0)
async def silent() -> float:
    async with on_trial() as trial:
        trial.server.stall()
        trial.breaks()
        took_s = await trial.flat()
        trial.server.resume()
        return took_s


@row(18, "every event of the breach is lost", within_s=5.0)
async def lost_events() -> float:
    async with on_trial() as trial:
        trial.server.distort(BadLine(lost=1.0), "user")
        trial.breaks()
        took_s = await trial.flat()
        trial.server.distort(None, "user")
        return took_s


flattened(19, "every event comes twice", lambda trial: trial.server.distort(BadLine(doubled=1.0), "user"), within_s=1.0)


flattened(
    20,
    "events overtake each other",
    lambda trial: trial.server.distort(BadLine(late=1.0, late_s=0.025), "user", seed=7),
    within_s=1.0,
)


@row(20, "a line that loses, doubles and delays a fifth of everything", within_s=5.0)
async def bad_line() -> float:
    async with on_trial() as trial:
        trial.server.distort(BadLine(lost=0.2, doubled=0.2, late=0.2, late_s=0.3), seed=11)
        trial.breaks()
        took_s = await trial.flat()
        trial.server.distort(None)
        return took_s


@row(21, "quotes name only the side that has moved", within_s=1.0)
async def sparse_quotes() -> float:
    async with on_trial(OPEN_LOSS) as trial:
        trial.trades(Side.BUY, 2)
        return await open_loss(trial)


async def open_loss(trial: Trial) -> float:
    """A loss that the quotes alone can tell, tick by tick."""
    await trial.until(lambda: len(trial.guard.engine.account.holdings) == 1, "the position known")
    for _ in range(11):
        trial.moves(-1)
        await asyncio.sleep(0.01)
    trial.counts()
    trial.moves(-1)
    return await trial.flat()


# -- markets -----------------------------------------------------------------------------------------------------------


@row(28, "the instrument is halted for three seconds", within_s=2.0)
async def halted() -> float:
    async with on_trial() as trial:
        trial.breaks()
        trial.exchange.set_halted(ES.id, True, time.time_ns())
        await asyncio.sleep(3)
        trial.exchange.set_halted(ES.id, False, time.time_ns())
        trial.counts()
        return await trial.flat()


@row(28, "all markets pause for three seconds, as prices have moved too fast", within_s=2.0)
async def paused() -> float:
    async with on_trial() as trial:
        trial.breaks()
        trial.throws("pause all by 3s")
        await asyncio.sleep(2)
        assert trial.net == 5
        await asyncio.sleep(1)
        trial.counts()
        return await trial.flat()


@row(28, "the week ends: for three seconds no order is taken and no close", within_s=2.0)
async def last_minutes() -> float:
    async with on_trial() as trial:
        trial.rests(Side.BUY, 5, limit_ticks=trial.bid_ticks - 3)
        trial.throws("stop taking orders for 3s")
        trial.moves(-5)
        await asyncio.sleep(2)
        assert trial.net == 5
        await asyncio.sleep(1)
        trial.counts()
        return await trial.flat()


thrown(0, "every order fills in parts", "fill in parts")


@row(0, "the venue locks the account out and liquidates it while the guard closes", within_s=1.0)
async def locked_out() -> float:
    async with on_trial() as trial:
        trial.breaks()
        trial.throws("lock out 1")
        took_s = await trial.flat()
        await trial.until(lambda: not trial.guard.engine.enforcer.open_intents, "the close is proven")
        return took_s


@row(7, "a stop of the trader's rests on after the close", within_s=2.0)
async def orphan() -> float:
    async with on_trial() as trial:
        trial.trades(Side.BUY, 1)
        trial.rests(Side.SELL, 1, stop_ticks=trial.bid_ticks - 8)
        trial.breaks(4)
        took_s = await trial.flat()
        trial.moves(-20)
        await asyncio.sleep(0.5)
        assert trial.net == 0, "the stop opened a position"
        return took_s


@row(7, "the stop of a bracket shows itself 1.5 seconds after the close", within_s=1.0)
async def late_child() -> float:
    async with on_trial(FLAT_ONCE, SimSettings(event_delays_s={"GatewayUserOrder": 1.5})) as trial:
        trial.server.fail_next("Order/v2/query", Failure(200, body=NO_ORDERS, content_type="application/json"), 50)
        trial.trades(Side.BUY, 5, stop_loss_ticks=-40)
        await trial.holds(0)
        await asyncio.sleep(1.4)
        assert len(trial.orders) == 1
        assert not trial.guard.engine.enforcer.open_intents, "the close is not proven yet"
        trial.server.faults.clear()
        trial.counts()
        return await trial.flat()


@row(8, "a stop fills while the close is on its way", within_s=3.0)
async def race() -> float:
    async with on_trial() as trial:
        gate = asyncio.Event()

        async def hold() -> None:
            await gate.wait()

        trial.server.hold_orders(hold)
        trial.trades(Side.BUY, 1)
        trial.rests(Side.SELL, 5, stop_ticks=trial.bid_ticks - 8)
        trial.breaks(4)
        await asyncio.sleep(0.3)
        trial.moves(-10)
        gate.set()
        trial.server.hold_orders(None)
        took_s = await trial.flat()
        await asyncio.sleep(1)
        assert trial.net == 0
        return took_s


# -- REST --------------------------------------------------------------------------------------------------------------


async def rest_dead(seconds: float) -> float:
    """The hubs go on telling, and every call of the guard's dies without an answer."""
    async with on_trial() as trial:
        for path in EVERY_CALL:
            trial.server.fail_next(path, Failure(None), 1000)
        trial.breaks()
        await asyncio.sleep(seconds)
        assert trial.net == 5
        trial.server.faults.clear()
        trial.counts()
        return await trial.flat()


row(0, "REST is dead for ten seconds while the position is being closed", within_s=5.0)(lambda: rest_dead(10))


row(0, "REST is dead for a minute while the position is being closed", within_s=5.0, is_long=True)(
    lambda: rest_dead(60)
)


@row(30, "four hundred orders rest, twice the calls of a minute", within_s=130.0, is_long=True)
async def four_hundred_orders() -> float:
    async with on_trial() as trial:
        for number in range(400):
            trial.rests(Side.BUY, 1, limit_ticks=trial.bid_ticks - 200 - number)
        await trial.until(lambda: len(trial.guard.engine.account.orders) == 400, "the orders known")
        trial.breaks()
        took_s = await trial.holds(0)
        assert took_s < 5, "the position waited for the orders"
        return await trial.flat()
