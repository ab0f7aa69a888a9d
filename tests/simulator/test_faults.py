"""Faults waiting to happen."""

from risk_manager.simulator.faults import EVERY_CALL, Answer, Failure, Faults


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


def test_lasts_until_it_relents_and_lets_the_newest_name_count() -> None:
    faults = Faults()
    faults.fail_always("Order/place", Failure(500), "first")
    faults.fail_always("order/PLACE", Failure(502), "second")
    assert [faults.take("/api/order/place") for _ in range(2)] == [Failure(502), Failure(502)]
    faults.fail_always("Order/place", Failure(501), "first")
    assert faults.take("/api/order/place") == Failure(501)
    faults.relent("Order/place", "first")
    assert faults.take("/api/order/place") == Failure(502)
    faults.relent("Order/place", "second")
    assert faults.take("/api/order/place") is None


def test_takes_one_path_before_all_of_them_and_counted_before_lasting() -> None:
    faults = Faults()
    faults.fail_always(EVERY_CALL, Failure(500))
    faults.fail_always("Order/place", Failure(501))
    faults.fail_next(EVERY_CALL, Failure(502))
    faults.fail_next("Order/place", Failure(503))
    taken = [faults.take("/api/order/place") for _ in range(3)]
    assert taken == [Failure(503), Failure(502), Failure(501)]
    assert faults.take("/api/order/cancel") == Failure(500)
    assert faults.take("/hubs/user") is None
    faults.clear()
    assert faults.take("/api/order/place") is None
