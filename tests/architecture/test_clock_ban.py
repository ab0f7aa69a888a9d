"""Reading the machine's clock, and drawing by chance, is reported everywhere but in the one module for each."""

from pathlib import Path

from tests.architecture.house import SOURCE, House

# Module, its text, and the function that must be reported in it.
PLANTED = [
    ("engine/planted.py", "import time\n\nNOW = time.monotonic_ns()\n", "time.monotonic_ns"),
    ("rules/planted.py", "import datetime\n\nTODAY = datetime.date.today()\n", "datetime.date.today"),
    ("runtime/planted.py", "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n", "datetime.datetime.now"),
    ("runtime/clocks.py", "import time\n\nNOW = time.time_ns()\n", "time.time_ns"),
    ("web/planted.py", "from time import time\n\nNOW = time()\n", "time.time"),
    ("simulator/planted.py", "import time as t\n\nNOW = t.perf_counter()\n", "time.perf_counter"),
    ("cli/planted.py", "import time\n\nread_clock = time.monotonic\n", "time.monotonic"),
    ("persistence/planted.py", "from uuid import uuid4\n\nID = uuid4()\n", "uuid.uuid4"),
    ("venues/projectx/planted.py", "import random\n\nJITTER = random.random()\n", "random.random"),
    ("runtime/chance.py", "from secrets import token_hex\n\nMARK = token_hex(4)\n", "secrets"),
    ("venues/projectx/clock.py", "import time\n\nNOW = time.time()\n", "time.time"),
]

ALLOWED = [
    ("runtime/clock.py", "import time\n\nNOW = time.time_ns() + time.monotonic_ns()\n"),
    ("runtime/run_mark.py", "from secrets import token_hex\n\nMARK = token_hex(4)\n"),
    ("simulator/seeded.py", "import random\n\nDRAW = random.Random(7).random()\n"),
    ("simulator/slept.py", "import asyncio\n\n\nasync def wait() -> None:\n    await asyncio.sleep(1)\n"),
    ("config/parsed.py", "from datetime import UTC, datetime\n\nAT = datetime.fromtimestamp(0, UTC)\n"),
]


def test_finds_no_clock_in_the_source(tmp_path: Path) -> None:
    assert House.copied_to(tmp_path).banned_calls() == set()


def test_reports_exactly_the_planted_calls(tmp_path: Path) -> None:
    house = House.copied_to(tmp_path)
    for module, text, _ in PLANTED:
        house.plant(module, text)
    for module, text in ALLOWED:
        house.plant(module, text)
    assert house.banned_calls() == {(module, function) for module, _, function in PLANTED}


def test_is_excused_nowhere_in_the_source_itself() -> None:
    """The excuses are two paths in pyproject.toml; a comment beside a call would be a second clock."""
    assert [path.name for path in SOURCE.rglob("*.py") if "TID251" in path.read_text(encoding="utf-8")] == []
