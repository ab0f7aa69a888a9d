"""The book rebuilt from orders."""

from hypothesis import given
from hypothesis import strategies as st

from risk_manager.simulator.feeds.order_book import Best, OrderBook

Order = tuple[bool, int, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "cancel", "clear"]),
        st.integers(1, 6),
        st.booleans(),
        st.integers(-3, 6),
        st.integers(0, 4),
    ),
    max_size=40,
)


def naive_best(orders: dict[int, Order]) -> Best | None:
    bids = [price for is_bid, price, _ in orders.values() if is_bid]
    asks = [price for is_bid, price, _ in orders.values() if not is_bid]
    if not bids or not asks or max(bids) >= min(asks):
        return None
    bid, ask = max(bids), min(asks)
    return Best(
        bid,
        ask,
        sum(size for is_bid, price, size in orders.values() if is_bid and price == bid),
        sum(size for is_bid, price, size in orders.values() if not is_bid and price == ask),
    )


@given(steps)
def test_agrees_with_a_search_through_all_orders(script: list[tuple[str, int, bool, int, int]]) -> None:
    book, orders = OrderBook(), dict[int, Order]()
    for kind, order_id, is_bid, price, size in script:
        if kind == "add":
            book.add(order_id, is_bid=is_bid, price=price, size=size)
            orders.pop(order_id, None)
            if size:
                orders[order_id] = (is_bid, price, size)
        elif kind == "cancel":
            book.cancel(order_id, size)
            known = orders.pop(order_id, None)
            if known is not None and known[2] > size:
                orders[order_id] = (known[0], known[1], known[2] - size)
        else:
            book.clear()
            orders.clear()

        assert book.best() == naive_best(orders)
        assert len(book) == len(orders)
