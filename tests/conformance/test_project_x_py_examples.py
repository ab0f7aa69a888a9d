"""The examples project-x-py ships with itself, taken from the installed package as they are, on the simulated venue."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import HERE, sdk_environment
from tests.e2e.processes import Json, Simulator, wait_for

README = "project_x_py-*.dist-info/METADATA"


def example(python: Path, file: str, heading: str) -> str:
    """The first Python block below a heading, of a file of the installed package."""
    (found,) = (python.parent.parent / "lib").glob(f"python3*/site-packages/{file}")
    _, _, below = found.read_text(encoding="utf-8").partition(heading)
    block = re.search(r"^( *)```python\n(.*?)^ *```", below, re.DOTALL | re.MULTILINE)
    assert block is not None, heading
    indent, code = block.groups()
    lines = (line.removeprefix(indent) for line in code.splitlines())
    # The readme has its quotes escaped.
    return "\n".join(lines).replace('\\"', '"') + "\n"


def said(python: Path, program: Path, sim: Simulator) -> str:
    """What a program printed, without the lines the SDK logs."""
    done = subprocess.run(
        [str(python), str(HERE / "sdk" / "at_gateway.py"), str(program)],
        env=sdk_environment(sim, sim.accounts[0]),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("{"))


def bars(sim: Simulator) -> list[Json]:
    """What has been traded so far in every contract of the examples; empty while one of them has no market yet."""
    asked = {"live": False, "startTime": "2020-01-01T00:00:00Z", "endTime": "2040-01-01T00:00:00Z", "limit": 1}
    asked |= {"unit": 1, "unitNumber": 1, "includePartialBar": True}
    found: list[list[Json]] = [
        sim.post("History/retrieveBars", {**asked, "contractId": sim.contract(root)})["bars"]
        for root in ("MNQ", "EP", "MGC")
    ]
    return found[0] if all(found) else []


@pytest.mark.timeout(400)  # The first run on a machine installs the package.
@pytest.mark.parametrize(
    ("file", "heading", "sizes", "wanted"),
    [
        (
            README,
            "### Basic Usage",
            [1],
            r"Connected to account: PRAC-V2-100001-30000001\n"
            r"Trading MNQ[HMUZ]\d - Tick size: \$0\.25\n"
            r"Retrieved [1-9]\d* bars\n"
            r"Position: 1 @ \$\d+\.\d+\n"
            r"System Health: ",
        ),
        (
            README,
            "### Multi-Instrument Trading",
            [1],
            r"Managing 3 instruments: \['MNQ', 'ES', 'MGC'\]\n"
            r"MNQ: \$\d+\.\d\d\nES: \$\d+\.\d\d\nMGC: \$\d+\.\d\d\n"
            r"ES/MNQ Spread: \$-?\d+\.\d\d\n"
            r"MNQ Exposure: \$[1-9]",
        ),
        (
            "project_x_py/client/trading.py",
            "Example Usage:",
            [1, -1],
            r"CON\.F\.US\.MNQ\.[HMUZ]\d\d: 2 trades, volume: 2",
        ),
    ],
    ids=["one instrument", "three instruments", "past fills"],
)
def test_runs_as_it_is(
    file: str, heading: str, sizes: list[int], wanted: str, sdk_python: Path, sim: Simulator, tmp_path: Path
) -> None:
    program = tmp_path / "example.py"
    program.write_text(example(sdk_python, file, heading), encoding="utf-8")
    wait_for(lambda: bars(sim) or None, "market", every_s=0.5)
    for size in sizes:
        sim.trade(size)
    sim.wait_nets({"MNQ": sum(sizes)} if sum(sizes) else {})
    output = said(sdk_python, program, sim)
    assert re.match(wanted, output) is not None, output
