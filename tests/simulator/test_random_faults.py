"""Faults by chance."""

from collections import Counter

from risk_manager.simulator.fault_script import parse_script
from risk_manager.simulator.random_faults import TABLE, random_script


def test_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert random_script(7, 600) == random_script(7, 600)
    assert random_script(7, 600) != random_script(8, 600)


def test_begins_the_same_however_long_it_is() -> None:
    longer = random_script(7, 600).steps
    shorter = random_script(7, 300).steps
    assert 0 < len(shorter) < len(longer)
    assert longer[: len(shorter)] == shorter


def test_stays_within_its_time_and_near_its_mean_gap() -> None:
    steps = random_script(1, 10_000, mean_gap_s=10.0).steps
    assert steps[0].at_ms > 0
    assert steps[-1].at_ms < 10_000_000
    assert 900 < len(steps) < 1_100


def test_draws_everything_in_the_table_by_its_weight() -> None:
    steps = random_script(3, 50_000, mean_gap_s=5.0).steps
    drawn = Counter(step.sentence.verb for step in steps)
    # 12 of 107 in the table; two entries of 30.
    assert 0.1 < drawn["drop"] / len(steps) < 0.125
    verbs = {likely.text.partition(" {")[0] for likely in TABLE}
    assert all(any(verb.startswith(name) for name in drawn) for verb in verbs)


def test_reads_back_from_what_it_prints() -> None:
    for seed in range(50):
        script = random_script(seed, 600)
        assert parse_script(str(script)) == script
