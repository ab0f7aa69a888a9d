import re

from risk_manager.runtime.run_mark import draw_run_mark


def test_is_eight_hexadecimal_digits_and_another_one_each_time() -> None:
    marks = [draw_run_mark() for _ in range(3)]
    assert [mark for mark in marks if not re.fullmatch("[0-9a-f]{8}", mark)] == []
    assert len(set(marks)) == 3
