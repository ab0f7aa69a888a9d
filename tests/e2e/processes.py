"""The program as real processes: started by its commands, watched over its sockets, killed for real."""

import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from risk_manager.persistence.database import FILE_NAME

PROJECT = Path(__file__).parents[2]
# Compiled modules are kept between runs, as every installation has them, whatever this shell's Python is told. The
# folder's own .gitignore keeps it out of the repository.
BYTECODE = PROJECT / ".cache" / "bytecode"
PATIENCE_S = 30.0

Json = dict[str, Any]


def environment() -> dict[str, str]:
    """What a process inherits: nothing of this machine that the program would read."""
    BYTECODE.mkdir(parents=True, exist_ok=True)
    (BYTECODE / ".gitignore").write_text("*\n", encoding="utf-8")
    ours = ("PROJECT_X_", "RISK_MANAGER_", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**inherited, "PYTHONPYCACHEPREFIX": str(BYTECODE), "NO_COLOR": "1", "COLUMNS": "100"}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "risk_manager", *arguments]


def call(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end; `environ` comes on top of what every process inherits."""
    return subprocess.run(
        command(*arguments),
        cwd=PROJECT,
        env={**environment(), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def say(text: str) -> None:
    """A figure or a seed for who reads the output; pytest shows it with a failure, or all of it with -rA."""
    sys.stdout.write(f"{text}\n")


def free_port() -> int:
    """A port nobody listens on, and which the kernel gives to nobody: it stays free between two runs."""
    while True:
        port = Random().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def wait_for[Answer](look: Callable[[], Answer | None], what: str, *, every_s: float = 0.02) -> Answer:
    """What `look` says as soon as it says something."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (answer := look()) is None:
        assert time.monotonic() < deadline_s, f"no {what} in time"
        time.sleep(every_s)
    return answer


class Simulator:
    """`risk-manager sim serve`, and a trader who talks REST to it."""

    def __init__(self, process: subprocess.Popen[str], serving: Json) -> None:
        self.process = process
        self.serving = serving
        self.url: str = serving["api_url"]
        self.accounts: list[str] = serving["accounts"]
        self.account_ids: list[int] = serving["account_ids"]
        self._token = self.post("Auth/loginKey", {"userName": serving["user"], "apiKey": serving["api_key"]})["token"]

    @property
    def credentials(self) -> dict[str, str]:
        return {"PROJECT_X_USERNAME": self.serving["user"], "PROJECT_X_API_KEY": self.serving["api_key"]}

    def contract(self, venue_root: str) -> str:
        """The id of a product's contract, by the root the venue spells (`EP`)."""
        found: str = next(each for each in self.serving["contracts"] if each.split(".")[3] == venue_root)
        return found

    def post(self, path: str, body: Json) -> Json:
        """A successful reply."""
        reply = self.ask(path, body)
        assert reply["success"], (path, body, reply)
        return reply

    def ask(self, path: str, body: Json) -> Json:
        """A reply, successful or not."""
        headers = {"Content-Type": "application/json"}
        if path != "Auth/loginKey":
            headers["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(f"{self.url}/api/{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            reply: Json = json.loads(response.read())
            return reply

    def trade(self, size: int, *, venue_root: str = "MNQ", account: int = 0) -> None:
        """Send a market order: buy so many, sell when negative."""
        side = 0 if size > 0 else 1
        self.post(
            "Order/place",
            {
                "accountId": self.account_ids[account],
                "contractId": self.contract(venue_root),
                "type": 2,
                "side": side,
                "size": abs(size),
            },
        )

    def nets(self, account: int = 0) -> dict[str, int]:
        """Signed contracts by the venue's root; flat ones are absent."""
        rows = self.post("Position/searchOpen", {"accountId": self.account_ids[account]})["positions"]
        return {row["contractId"].split(".")[3]: row["size"] * (1 if row["type"] == 1 else -1) for row in rows}

    def fills(self, account: int = 0) -> list[Json]:
        """The account's executions of the last day, oldest first."""
        body = {"accountId": self.account_ids[account], "startTimestamp": "2020-01-01T00:00:00Z"}
        rows: list[Json] = self.post("Trade/search", body)["trades"]
        return sorted(rows, key=lambda row: (row["creationTimestamp"], row["id"]))

    def wait_nets(self, wanted: Mapping[str, int], account: int = 0) -> None:
        """Wait until exactly this is held. The venue counts calls, so it does not ask too often."""
        wait_for(lambda: self.nets(account) == wanted or None, f"position {wanted}", every_s=0.1)


@contextlib.contextmanager
def simulator(*options: str) -> Iterator[Simulator]:
    """A fresh gateway; it is asked to end with the block, and does."""
    with subprocess.Popen(
        command("sim", "serve", "--json", *options),
        cwd=PROJECT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Simulator(process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()
            assert process.wait(timeout=10) == 0


class Guarded:
    """`risk-manager run` on a configuration of its own, to be started and stopped at will."""

    def __init__(self, sim: Simulator, folder: Path, rules: str, *, accounts: int = 1) -> None:
        self.folder = folder
        self.data = folder / "state"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self._starts = 0
        names = "\n".join(f"  - name: {name}\n    mode: enforce" for name in sim.accounts[:accounts])
        (folder / "accounts.yaml").write_text(
            f"venue:\n  instruments: [MNQ]\n  api_url: {sim.url}\n  user_hub_url: {sim.serving['user_hub_url']}\n"
            f"  market_hub_url: {sim.serving['market_hub_url']}\naccounts:\n{names}\n"
            f"api:\n  port: {self.port}\ndata_dir: state\n",
            encoding="utf-8",
        )
        (folder / "risk_config.yaml").write_text(f"rules:\n{rules}", encoding="utf-8")
        lines = "".join(f"{name}={value}\n" for name, value in sim.credentials.items())
        (folder / ".env").write_text(lines, encoding="utf-8")

    def start(self) -> None:
        """Start it; `started_s` is the moment before (time.time)."""
        assert self.process is None, "already running"
        self._starts += 1
        with (self.folder / f"output-{self._starts}.txt").open("wb") as output:
            self.started_s = time.time()
            self.process = subprocess.Popen(
                command("run", "--config", str(self.folder)),
                cwd=PROJECT,
                env=environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """As by `kill -9`."""
        assert self.process is not None, "not running"
        self.process.kill()
        self.process.wait()
        self.process = None

    def terminate(self) -> int:
        """Ask it to end; its exit code."""
        assert self.process is not None, "not running"
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE_S)
        self.process = None
        return code

    def output(self) -> str:
        """What the last start has printed so far."""
        return (self.folder / f"output-{self._starts}.txt").read_text(encoding="utf-8")

    def accounts(self) -> list[Json] | None:
        """The accounts as the local API tells them; None while it does not answer."""
        assert self.process is not None, "not running"
        assert self.process.poll() is None, self.output()
        try:
            with urllib.request.urlopen(f"{self.url}/api/status", timeout=2) as response:
                found: list[Json] = json.loads(response.read())["accounts"]
        except OSError:
            return None
        return found

    def wait(self, is_so: Callable[[Json], object], what: str) -> None:
        """Wait until every account is as wanted."""

        def look() -> bool | None:
            accounts = self.accounts()
            return True if accounts and all(is_so(account) for account in accounts) else None

        wait_for(look, what)

    def wait_armed(self) -> float:
        """Wait until the rules are armed; seconds since the start."""
        self.wait(lambda account: account["state"] in ("armed", "locked"), "armed guard")
        return time.time() - self.started_s

    def status(self, account: int = 0) -> Json:
        """One account as `trader status --json` prints it."""
        done = call("trader", "status", "--json", "--url", self.url)
        assert done.returncode == 0, done.stderr
        found: Json = json.loads(done.stdout)["accounts"][account]
        return found


@contextlib.contextmanager
def guarding(sim: Simulator, folder: Path, rules: str, *, accounts: int = 1) -> Iterator[Guarded]:
    """A configured guard, not started; whatever still runs at the end is killed."""
    guarded = Guarded(sim, folder, rules, accounts=accounts)
    try:
        yield guarded
    finally:
        if guarded.process is not None:
            guarded.kill()


def lockouts_of(account: Json) -> list[Json]:
    """The lockouts of a status without the time left, which moves."""
    return [{key: value for key, value in lockout.items() if key != "remaining_s"} for lockout in account["lockouts"]]


def stored(data: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a dead daemon's journal, read from a copy."""
    copy = data.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    with contextlib.closing(sqlite3.connect(copy / FILE_NAME)) as connection:
        return connection.execute(query).fetchall()


def seconds_of(stamp: str) -> float:
    """The instant of a venue stamp, as time.time tells it."""
    return datetime.fromisoformat(stamp).timestamp()
