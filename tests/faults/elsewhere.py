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
    36: (
        "a flat position by type or by size",
        "tests/venues/projectx/test_records.py::test_takes_a_deleted_position_for_flat",
    ),
}
