"""What no guard can show, for it is about the simulator: by number the fault and its test."""

ELSEWHERE: dict[int, tuple[str, str]] = {
    39: (
        "clients die of a WebSocket ping: the simulator sends none",
        "tests/conformance/script/test_05_11_calling.py::test_09_sends_text_and_nothing_else_in_five_minutes",
    ),
}
