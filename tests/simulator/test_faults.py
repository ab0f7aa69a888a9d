"""Faults waiting to happen."""

from risk_manager.simulator.faults import Answer, Failure, Faults


def test_hands_out_failures_in_order_and_once() -> None:
    faults = Faults()
    faults.fail_next("Order/place", Failure(503), count=2)
    faults.fail_next("/api/order/PLACE", Failure(is_executed=True))
    faults.fail_next("Order/place", Answer(6))
    taken = [faults.take("/api/order/place") for _ in range(5)]
    assert taken == [Failure(503), Failure(503), Failure(None, is_executed=True), Answer(6), None]


def test_keeps_paths_apart_and_forgets_on_demand() -> None:
    faults = Faults()
    faults.fail_next("/hubs/user", Failure(403))
    assert faults.take("/hubs/market") is None
    assert faults.take("/hubs/user/negotiate") is None
    faults.clear()
    assert faults.take("/hubs/user") is None
