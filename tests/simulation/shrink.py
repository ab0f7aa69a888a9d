"""From a script that fails to the shortest one that fails in the same way."""

from collections.abc import Callable

from msgspec.structs import replace

from tests.simulation.script import Happening, Script
from tests.simulation.world import Result, simulate

MOST_TRIALS = 400


def shrunk(script: Script, say: Callable[[str], None], run: Callable[[Script], Result] = simulate) -> Script:
    """Leave happenings out, half of them at first and single ones at last, as long as the same invariant breaks."""
    invariant = first_broken(run(script))
    assert invariant is not None, "nothing to shrink: it holds"
    size, trials = max(1, len(script.happenings) // 2), 0
    while trials < MOST_TRIALS:
        smaller = None
        for candidate in _without(script, size):
            trials += 1
            if first_broken(run(candidate)) == invariant:
                smaller = candidate
                break
        if smaller is not None:
            script = smaller
            say(f"  {len(script.happenings)} happenings left")
        elif size == 1:
            return script
        else:
            size //= 2
    return script


def first_broken(result: Result) -> str | None:
    """The name of the invariant that broke first."""
    return result.broken[0].split()[0] if result.broken else None


def _without(script: Script, size: int) -> list[Script]:
    """The script without each run of so many happenings; the last ones first, for they matter least."""
    happenings: tuple[Happening, ...] = script.happenings
    size = min(size, max(1, len(happenings)))
    starts = range(0, len(happenings), size)
    return [replace(script, happenings=happenings[:at] + happenings[at + size :]) for at in reversed(starts)]
