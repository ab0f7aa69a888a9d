import json
import random
import subprocess
import sys
from pathlib import Path

KILLS = 15


def test_loses_nothing_acknowledged_and_stores_nothing_by_halves_when_killed(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    command = [sys.executable, "-m", "tests.persistence.crash_loop", str(tmp_path), str(seed), str(KILLS)]
    loop = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert loop.returncode == 0, f"seed {seed}: {loop.stderr}"
    rounds = [json.loads(line) for line in loop.stdout.splitlines()]
    assert len(rounds) == KILLS, f"seed {seed}"
    for found in rounds:
        assert found["decisions_whole"], f"seed {seed}: {found}"
        assert found["lockouts_whole"], f"seed {seed}: {found}"
        assert found["intents_whole"], f"seed {seed}: {found}"
    before = 0
    for found in rounds:
        # One commit more than acknowledged: the kill fell between the disk's answer and the writer's note of it.
        newest = max(found["acknowledged"], before)
        assert newest <= found["sequence"] <= newest + 1, f"seed {seed}: {found}"
        before = found["sequence"]
    assert before > KILLS, f"seed {seed}: {rounds}"
