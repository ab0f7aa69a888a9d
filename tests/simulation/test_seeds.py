"""A few of the worlds that `python -m tests.simulation` runs by the hundred, and proof that they would fail."""

import asyncio

import pytest

from tests.simulation.known import KNOWN
from tests.simulation.loop import Stuck, VirtualLoop
from tests.simulation.network import Network
from tests.simulation.planted import BUGS, caught
from tests.simulation.script import Script, draw
from tests.simulation.shrink import shrunk
from tests.simulation.world import Result, simulate

TWICE = (3, 6)
SEEDS = [seed for seed in range(14) if seed not in KNOWN and seed not in TWICE]


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_holds_in_a_small_world(seed: int) -> None:
    assert simulate(draw(seed)).broken == ()


def test_the_same_seed_is_the_same_world() -> None:
    runs = [[simulate(draw(seed)) for _ in range(2)] for seed in TWICE]
    for once, again in runs:
        assert once.broken == ()
        assert len(once.trace) > 50
        assert once.digest == again.digest
    assert runs[0][0].digest != runs[1][0].digest


@pytest.mark.parametrize(
    ("name", "seed", "invariant"),
    [("lockouts are not upheld", 1, "I4"), ("orders are left to themselves", 38, "I7")],
)
def test_finds_a_planted_bug(name: str, seed: int, invariant: str) -> None:
    (planted,) = [bug for bug in BUGS if bug.name == name]
    assert caught(planted, seed) == invariant


def test_time_passes_only_when_nothing_else_can_happen() -> None:
    loop = VirtualLoop(Network(0))
    seen: list[tuple[str, int]] = []

    async def note(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, round(loop.time() - 1_000)))

    async def three() -> None:
        await asyncio.gather(note("hour", 3_600), note("second", 1), note("day", 86_400))

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(three())
    assert seen == [("second", 1), ("hour", 3_600), ("day", 86_400)]


def test_says_when_everybody_waits() -> None:
    with (
        pytest.raises(Stuck, match="everybody waits"),
        asyncio.Runner(loop_factory=lambda: VirtualLoop(Network(0))) as runner,
    ):
        runner.run(_wait_for_ever())


async def _wait_for_ever() -> None:
    # What has to end the program is that nothing else is left to do; cancelled, it ends like any other.
    await asyncio.get_running_loop().create_future()


def test_shrinks_to_what_it_takes() -> None:
    def fails_by_crashing(script: Script) -> Result:
        is_hit = {"crash", "stall"} <= {happening.kind for happening in script.happenings}
        return Result(("I1 planted",) if is_hit else (), "", (), 0.0)

    script = next(script for script in map(draw, range(1_000)) if fails_by_crashing(script).broken)
    assert len(script.happenings) > 2
    left = shrunk(script, lambda text: None, fails_by_crashing)
    assert {happening.kind for happening in left.happenings} == {"crash", "stall"}
    assert len(left.happenings) == 2
