"""A clock that runs on the market's time."""

from risk_manager.simulator.catalog import listed
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.market_clock import MarketClock

ES = listed("ES", "H24")
START_NS = 1_703_545_200_000_000_000
MS_NS = 1_000_000


def market_at(exchange: Exchange, ms: int) -> None:
    exchange.quote(ES.id, 100, 101, START_NS + ms * MS_NS)


def test_calls_what_is_due_in_order_and_no_earlier() -> None:
    exchange = Exchange([ES])
    clock, called = MarketClock(exchange), list[str]()
    market_at(exchange, 0)
    clock.call_at(START_NS + 20 * MS_NS, lambda: called.append("late"))
    clock.call_at(START_NS + 10 * MS_NS, lambda: called.append("early"))
    call_off = clock.call_at(START_NS + 15 * MS_NS, lambda: called.append("never"))
    call_off()
    clock.advance()
    assert called == []

    market_at(exchange, 19)
    clock.advance()
    assert called == ["early"]
    market_at(exchange, 20)
    clock.advance()
    assert called == ["early", "late"]


def test_stops_after_each_call_and_leaves_what_it_asks_for_to_the_next_time() -> None:
    exchange = Exchange([ES])
    clock, called = MarketClock(exchange), list[str]()
    market_at(exchange, 0)

    def again() -> None:
        called.append("again")
        clock.call_at(START_NS, again)

    clock.call_at(START_NS, again)
    clock.call_at(START_NS, lambda: called.append("other"))
    assert [len(called) for _ in clock.advancing()] == [1, 2]
    assert [len(called) for _ in clock.advancing()] == [3]


def test_is_due_in_the_same_step_however_often_the_clock_was_read_before() -> None:
    exchange = Exchange([ES])
    clock, called = MarketClock(exchange), list[str]()
    market_at(exchange, 0)
    readings = [clock.now_ns() for _ in range(20)]
    assert readings == sorted(set(readings))
    clock.call_at(clock.now_ns() + 5 * MS_NS, lambda: called.append("due"))
    market_at(exchange, 5)
    clock.advance()
    assert called == ["due"]
