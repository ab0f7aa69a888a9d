import json
import random
import subprocess
import sys

LOOPS = 8


def test_loses_nothing_acknowledged_and_stores_nothing_by_halves_when_killed() -> None:
    seed = str(random.SystemRandom().randrange(1 << 32))
    command = [sys.executable, "-m", "tests.persistence.kill_loop", "--json", "--loops", str(LOOPS), "--seed", seed]
    loop = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    rounds = [json.loads(line) for line in loop.stdout.splitlines()]
    assert len(rounds) == LOOPS, f"seed {seed}: {loop.stderr}"
    before = 0
    for found in rounds:
        wrong = [found[name] for name in ("lost", "half", "duplicates", "latch_lost")]
        assert wrong == [0, 0, 0, 0], f"seed {seed}: {found}"
        # One commit more than acknowledged: the kill fell between the disk's answer and the writer's note of it.
        newest = max(found["acknowledged"], before)
        assert newest <= found["sequence"] <= newest + 1, f"seed {seed}: {found}"
        before = found["sequence"]
    assert loop.returncode == 0
    assert before > LOOPS, f"seed {seed}: {rounds}"
