"""The guard dies and comes back: real processes, a real gateway, a trader who trades on meanwhile."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from risk_manager.persistence.database import FILE_NAME
from tests.e2e.processes import (
    Guarded,
    Simulator,
    call,
    guarding,
    lockouts_of,
    say,
    seconds_of,
    simulator,
    stored,
    wait_for,
)

LOCKING = "  max_contracts: {limit: 3, action: flatten, lockout: until_reset}\n"
REDUCING = "  max_contracts: {limit: 3, action: reduce_to_limit}\n"
FLAT_BOUND_S = 2.0
ATTEMPTS = 3
ACCOUNTS = 4


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with simulator() as running:
        yield running


def lock(sim: Simulator, guarded: Guarded) -> list[dict[str, object]]:
    """Start the guard, break its rule, and wait for the end of it; the lockouts it then tells."""
    guarded.start()
    guarded.wait_armed()
    sim.trade(4)
    guarded.wait(lambda account: account["lockouts"] and not account["open_intents"], "proven enforcement")
    assert sim.nets() == {}
    return lockouts_of(guarded.status())


def test_a_lockout_survives_kill_9_and_what_was_opened_meanwhile_is_closed(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, LOCKING) as guarded:
        before = lock(sim, guarded)
        assert [(each["scope"], each["rule"], each["kind"]) for each in before] == [
            ("account", "max_contracts", "hard")
        ]
        figures: list[float] = []
        # A machine that is busy with something else gets another chance; only the time may differ, nothing else.
        while not figures or (figures[-1] >= FLAT_BOUND_S and len(figures) < ATTEMPTS):
            guarded.kill()
            sim.trade(-2)
            assert sim.nets() == {"MNQ": -2}

            guarded.start()
            sim.wait_nets({})
            figures.append(seconds_of(sim.fills()[-1]["creationTimestamp"]) - guarded.started_s)
            say(f"start to armed {guarded.wait_armed():.2f} s, start to flat at the venue {figures[-1]:.2f} s")
            assert lockouts_of(guarded.status()) == before
            guarded.wait(lambda account: not account["open_intents"], "proof")
            assert sim.nets() == {}
        assert min(figures) < FLAT_BOUND_S


@pytest.mark.parametrize(
    ("rules", "kept", "delay_s"), [(LOCKING, 0, 0.5), (REDUCING, 3, 1.5)], ids=["flattening", "reducing"]
)
def test_kill_9_amid_enforcements_neither_drops_nor_doubles_one(
    rules: str, kept: int, delay_s: float, tmp_path: Path
) -> None:
    """Several accounts break the rule one after the other, so that one kill meets each at another point."""
    seed = time.time_ns() % 1_000_000
    random = Random(seed)
    ages_s = [random.uniform(-0.1, 1.2) * delay_s for _ in range(ACCOUNTS)]
    say(f"seed {seed}: killed so many seconds after the breaches: {', '.join(f'{age_s:.2f}' for age_s in ages_s)}")
    with (
        simulator("--call-delay", str(delay_s), "--accounts", str(ACCOUNTS)) as sim,
        guarding(sim, tmp_path, rules, accounts=ACCOUNTS) as guarded,
        ThreadPoolExecutor(ACCOUNTS) as traders,
    ):
        guarded.start()
        guarded.wait_armed()
        # The trader's own order takes the venue's time, too: what is sent now is held `delay_s` from now.
        for account, age_s in enumerate(ages_s):
            traders.submit(later, 1.2 * delay_s - age_s, sim.trade, 5, account=account)
        time.sleep(2.2 * delay_s)
        guarded.kill()
        locked = dict(stored(guarded.data, "SELECT account_id, body FROM lockouts WHERE is_active = 1"))

        guarded.start()
        guarded.wait_armed()
        guarded.wait(
            lambda account: (
                sum(abs(each["net_contracts"]) for each in account["positions"]) == kept and not account["open_intents"]
            ),
            "proven enforcement of every account",
        )
        for account in range(ACCOUNTS):
            assert sim.nets(account) == ({"MNQ": kept} if kept else {})
            assert sum(fill["size"] for fill in sim.fills(account) if fill["side"] == 1) == 5 - kept
            assert len(guarded.status(account)["lockouts"]) == (1 if rules == LOCKING else 0)
        guarded.kill()
        rows = stored(guarded.data, "SELECT account_id, body FROM lockouts")
        assert len(rows) == (ACCOUNTS if rules == LOCKING else 0)
        assert locked.items() <= dict(rows).items()
        intents = stored(guarded.data, "SELECT account_id, state FROM intents ORDER BY account_id")
        assert intents == [(str(account_id), "verified") for account_id in sim.account_ids]


def later(seconds: float, do: Callable[..., None], *arguments: object, **named: object) -> None:
    time.sleep(seconds)
    do(*arguments, **named)


def test_sigterm_saves_everything_and_keeps_the_lockout(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, LOCKING) as guarded:
        before = lock(sim, guarded)
        assert guarded.terminate() == 0
        assert "guard stopped" in guarded.output()
        assert "Traceback" not in guarded.output()
        assert stored(guarded.data, "SELECT count(*) FROM fills") == [(len(sim.fills()),)]
        assert stored(guarded.data, "SELECT count(*) FROM snapshots") == [(1,)]

        guarded.start()
        guarded.wait_armed()
        assert lockouts_of(guarded.status()) == before


def test_a_second_guard_on_the_same_data_is_refused_and_the_first_goes_on(sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, LOCKING) as guarded:
        guarded.start()
        guarded.wait_armed()
        assert guarded.process is not None
        second = call("run", "--config", str(tmp_path))
        assert second.returncode == 1
        assert (
            f"another risk-manager is running on this data directory (process {guarded.process.pid})" in second.stderr
        )
        assert "Traceback" not in second.stderr

        sim.trade(4)
        sim.wait_nets({})
        assert guarded.status()["lockouts"]


@pytest.mark.parametrize("lost", ["nothing", "snapshot", "journal"])
def test_the_days_result_after_a_restart_is_the_venues(lost: str, sim: Simulator, tmp_path: Path) -> None:
    with guarding(sim, tmp_path, "  max_contracts: {limit: 5}\n") as guarded:
        guarded.start()
        guarded.wait_armed()
        for size in (2, -3, 1):
            sim.trade(size)
        guarded.wait(lambda account: account["fees_usd"] > 0 and not account["positions"], "round turn")
        guarded.kill()
        sim.trade(1)
        sim.trade(-1)
        if lost == "journal":
            (guarded.data / FILE_NAME).unlink()
        elif lost == "snapshot":
            with sqlite3.connect(guarded.data / FILE_NAME) as connection:
                connection.execute("DELETE FROM snapshots")
            connection.close()

        guarded.start()
        guarded.wait_armed()
        status = guarded.status()
        fills = sim.fills()
        assert len(fills) >= 5
        realized_usd = sum(fill["profitAndLoss"] or 0 for fill in fills)
        costs_usd = sum((fill["fees"] or 0) + (fill["commissions"] or 0) for fill in fills)
        assert status["realized_usd"] == pytest.approx(realized_usd)
        assert status["fees_usd"] == pytest.approx(costs_usd)
        assert status["day_pnl_usd"] == pytest.approx(realized_usd - costs_usd)


def test_ends_when_stopped_while_it_waits_for_the_venue(tmp_path: Path) -> None:
    with simulator() as sim, guarding(sim, tmp_path, LOCKING) as guarded:
        sim.process.terminate()
        sim.process.wait()
        guarded.start()
        wait_for(lambda: "trying again" in guarded.output() or None, "word of the missing venue")
        assert guarded.terminate() == 0
        assert "stopped before the guard began" in guarded.output()


def test_waits_for_a_venue_that_is_not_there_yet(tmp_path: Path) -> None:
    with simulator() as first:
        serving = first.serving
        with guarding(first, tmp_path, LOCKING) as guarded:
            first.process.terminate()
            first.process.wait()
            guarded.start()
            wait_for(lambda: "trying again" in guarded.output() or None, "word of the missing venue")
            with simulator("--port", str(serving["port"])):
                guarded.wait_armed()
