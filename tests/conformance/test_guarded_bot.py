"""A bot on project-x-py's TradingSuite with the guard attached, as the example shows it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.conftest import CACHE, PROJECT, SDK
from tests.e2e.processes import Simulator, environment

ACCOUNT = "PRAC-V2-100001-30000001"


@pytest.fixture(scope="session")
def bot_python() -> Path:
    """The interpreter of a kept virtual environment that holds project-x-py and this project."""
    folder = CACHE / f"bot-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed = folder / "installed.txt"
    wanted = f"{SDK}\n{(PROJECT / 'uv.lock').read_text(encoding='utf-8')}"
    if not installed.exists() or installed.read_text(encoding="utf-8") != wanted:
        uv = os.environ.get("UV") or shutil.which("uv")
        assert uv is not None
        for arguments in (
            ("venv", "--clear", "--python", sys.executable, str(folder)),
            ("pip", "install", "--python", str(python), SDK, "--editable", str(PROJECT)),
        ):
            done = subprocess.run([uv, *arguments], capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr[-4000:]
        installed.write_text(wanted, encoding="utf-8")
    return python


@pytest.mark.timeout(400)  # The first run on a machine installs the packages.
def test_the_guard_stops_a_bot_that_does_not_stop(bot_python: Path, sim: Simulator, tmp_path: Path) -> None:
    environ = {
        **environment(),
        **sim.credentials,
        "PROJECT_X_ACCOUNT_NAME": ACCOUNT,
        "PROJECTX_API_URL": f"{sim.url}/api",
        "PROJECTX_REALTIME_URL": sim.url,
        "PROJECTX_USER_HUB_URL": sim.serving["user_hub_url"],
        "PROJECTX_MARKET_HUB_URL": sim.serving["market_hub_url"],
        "GUARD_DATA_DIR": str(tmp_path / "data"),
    }
    done = subprocess.run(
        [str(bot_python), "tests/conformance/sdk/at_gateway.py", "examples/guard_a_bot.py"],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    said = [line.partition(",")[0] for line in done.stdout.splitlines()]
    ours = [line for line in said if line.startswith(("bought", "locked", "flat"))]
    # The lock may be told before the bot has heard of its third order.
    assert sorted(ours) == [*["bought 1"] * 3, "flat", "locked by max_contracts: MAX_CONTRACTS"]
    assert "flat, 3 contracts at worst" in done.stdout
