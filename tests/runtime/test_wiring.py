"""How the parts are put together."""

from risk_manager.runtime.wiring import first_polls_ns


def test_polls_several_accounts_one_after_the_other() -> None:
    assert first_polls_ns(3_000_000_000, 1) == (3_000_000_000,)
    assert first_polls_ns(4_800_000_000, 2) == (2_400_000_000, 4_800_000_000)
    assert first_polls_ns(7_200_000_000, 3) == (2_400_000_000, 4_800_000_000, 7_200_000_000)
