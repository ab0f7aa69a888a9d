"""Rows of the fault table that are about reading and writing, not about time: by number the fault and its test."""

ELSEWHERE: dict[int, tuple[str, str]] = {
    1: (
        "events come in an envelope, bare, or in a list",
        "tests/venues/projectx/test_records.py::test_unwraps_every_shape_of_an_event",
    ),
    2: (
        "market payloads come as lists, with nulls among them",
        "tests/venues/projectx/test_quotes.py::test_takes_other_shapes",
    ),
    3: (
        "a refused order comes with an id",
        "tests/venues/projectx/test_outcomes.py::test_trusts_only_a_clear_answer",
    ),
    5: (
        "statuses nobody has seen",
        "tests/venues/projectx/test_records.py::test_never_takes_an_unknown_status_for_the_end",
    ),
    6: (
        "the list of open orders leaves the suspended ones out",
        "tests/venues/projectx/test_venue.py::test_snapshot_asks_for_what_it_needs",
    ),
    11: (
        "bracket offsets have signs of their own: the guard sends no brackets",
        "tests/venues/projectx/test_venue.py::test_sends",
    ),
    13: (
        "prices between two ticks are refused",
        "tests/venues/projectx/test_contracts.py::test_writes_prices_as_plain_numbers",
    ),
    14: (
        "a trailing stop's price is not what reads back: the guard moves none",
        "tests/enforcement/test_protection.py::test_never_moves_a_stop_whose_price_is_not_its_own",
    ),
    22: (
        "seven digits of a second, rounded to six elsewhere",
        "tests/venues/projectx/test_venue_time.py::test_reads_every_spelling_of_an_instant",
    ),
    23: (
        "order ids above 32 bits",
        "tests/venues/projectx/test_records.py::test_reads_the_captured_order",
    ),
    25: (
        "several accounts, one to guard",
        "tests/venues/projectx/test_venue.py::test_delivers_every_kind_of_user_event_of_its_own_accounts_only",
    ),
    26: (
        "the live listing is empty for simulated accounts",
        "tests/venues/projectx/test_habits.py::test_lists_the_contracts_of_the_simulated_market",
    ),
    32: (
        "bars lag and have gaps",
        "tests/venues/projectx/test_habits.py::test_asks_for_no_bars_and_for_no_contract_by_a_name_it_made_up",
    ),
    33: (
        "a suspended child is priced anew when its entry fills",
        "tests/enforcement/test_protection.py::test_never_moves_a_stop_whose_price_is_not_its_own",
    ),
    36: (
        "a flat position by type or by size",
        "tests/venues/projectx/test_records.py::test_takes_a_deleted_position_for_flat",
    ),
    37: (
        "a connection comes back without its subscriptions",
        "tests/venues/projectx/test_habits.py::test_subscribes_everything_again_on_every_new_connection",
    ),
    38: (
        "a client that counts its attempts is gone for good",
        "tests/venues/projectx/test_hubs.py::test_tries_for_ever_and_leaks_no_task",
    ),
    39: (
        "clients die of a WebSocket ping: the simulator sends none",
        "tests/conformance/script/test_05_11_calling.py::test_09_sends_text_and_nothing_else_in_five_minutes",
    ),
}
