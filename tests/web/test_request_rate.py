"""How many requests are let through at which times."""

import pytest

from risk_manager.web.request_rate import RequestRate


@pytest.mark.parametrize(
    ("waits_s", "let_through"),
    [
        ([0.0] * 3, 3),
        ([0.0] * 4, 4),
        ([0.0] * 5, 4),
        ([0.0] * 4 + [0.25], 5),
        ([0.0] * 4 + [0.125], 4),
        ([0.0] * 4 + [0.125, 0.125], 5),
        ([60.0] + [0.0] * 4, 4),
        ([0.25] * 20, 20),
    ],
)
def test_lets_four_through_in_a_second_and_no_more_at_once(waits_s: list[float], let_through: int) -> None:
    now_s = 100.0
    rate = RequestRate(4, lambda: now_s)
    answers = []
    for wait_s in waits_s:
        now_s += wait_s
        answers.append(rate.lets_through())
    assert sum(answers) == let_through
