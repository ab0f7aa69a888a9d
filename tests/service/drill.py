"""What happens to the installed service inside the container: it is started, killed, hung, robbed and rebooted.

Run by systemd in the container that `tests.service.container` makes; knows nothing but the standard library, and writes
what it finds to /out/results.jsonl, one line a check.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

OUT = Path("/out/results.jsonl")
UNIT = "risk-manager.service"
CONFIG = Path("/etc/risk-manager")
STATE = Path("/var/lib/risk-manager")
HANG = CONFIG / "hang"
PYTHON = "/opt/risk-manager/bin/python"
SIM_PORT = 8800
API = "http://127.0.0.1:27181/api/status"
NOBODY_YET = 0
TRADER = "trader"
GUARDING = ("armed", "degraded", "locked")

ACCOUNTS = f"""
venue:
  instruments: [MNQ]
  api_url: http://127.0.0.1:{SIM_PORT}
  user_hub_url: http://127.0.0.1:{SIM_PORT}/hubs/user
  market_hub_url: http://127.0.0.1:{SIM_PORT}/hubs/market
accounts:
  - id: 20000001
    nickname: practice
    mode: enforce
data_dir: {STATE}
"""
RISK = """
custom_rules: [hanging.py]
rules:
  max_contracts: {limit: 3, action: flatten, lockout: until_reset}
  hanging: {}
"""
HANGING_RULE = f'''
"""A rule that never comes back while a file is there."""
import os
import msgspec
from risk_manager.rules import Demand, Remedy

class Hanging(msgspec.Struct, frozen=True, kw_only=True):
    name = "hanging"
    listens_to = frozenset()
    example = {{}}
    stricter = {{}}

    @property
    def remedy(self):
        return Remedy(Demand.ALERT)

    def initial_state(self):
        return None

    def deadline_ns(self, state):
        return None

    def step(self, state, event, account):
        while os.path.exists("{HANG}"):
            pass
        return state, ()

    def gauges(self, state, account):
        return ()
'''
PTRACE = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(1 if libc.ptrace(16, int(sys.argv[1]), 0, 0) else 0)
"""
SPOOF = """
import socket
words = b"STOPPING=1\\nMAINPID=1\\nSTATUS=taken over"
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(words, "/run/systemd/notify")
"""
SQUAT = """
import socket, time
port = socket.socket()
port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
while True:
    try:
        port.bind(("127.0.0.1", 27181))
        break
    except OSError:
        time.sleep(0.001)
port.listen()
time.sleep(600)
"""


def report(check: str, is_good: object, found: object) -> None:
    """One line of the result."""
    with OUT.open("a", encoding="utf-8") as out:
        out.write(json.dumps({"check": check, "ok": bool(is_good), "found": str(found)}) + "\n")


def run(*command: str, user: str = "root", timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    prefix = () if user == "root" else ("runuser", "-u", user, "--")
    return subprocess.run(
        (*prefix, *command), capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
    )


def show(name: str) -> str:
    return run("systemctl", "show", "--value", "-p", name, UNIT).stdout.strip()


def process() -> int:
    return int(show("MainPID") or 0)


def account() -> dict[str, Any]:
    """The account as the local API tells it to anybody; empty while it does not answer."""
    try:
        with urllib.request.urlopen(API, timeout=2) as answer:
            status = json.load(answer)
    except (OSError, urllib.error.URLError):
        return {}
    found: dict[str, Any] = status["accounts"][0]
    return {**found, "process_id": status["process_id"]}


def wait(look: Callable[[], object], limit_s: float = 60.0) -> float | None:
    """Seconds until it is so; None if it was not in time."""
    begun_s = time.monotonic()
    while time.monotonic() < begun_s + limit_s:
        if look():
            return time.monotonic() - begun_s
        time.sleep(0.01)
    return None


def seconds(passed_s: float | None) -> str:
    return "never" if passed_s is None else f"{passed_s:.2f} s"


def is_active() -> bool:
    return show("ActiveState") == "active"


def is_guarding(other_than: int = NOBODY_YET) -> bool:
    found = account()
    return bool(found) and found["state"] in GUARDING and found["process_id"] != other_than


def journal_has(text: str) -> bool:
    run("journalctl", "--sync")
    return text in run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").stdout


@contextlib.contextmanager
def simulator() -> Iterator["Trader"]:
    command = (PYTHON, "-m", "risk_manager", "sim", "serve", "--port", str(SIM_PORT), "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sim:
        assert sim.stdout is not None
        try:
            yield Trader(json.loads(sim.stdout.readline()), sim.pid)
        finally:
            sim.terminate()


class Trader:
    """Trades at the venue, past the guard."""

    def __init__(self, serving: dict[str, Any], process_id: int) -> None:
        self.process_id = process_id
        self._serving = serving
        self._token = ""
        login = {"userName": serving["user"], "apiKey": serving["api_key"]}
        self._token = self._post("Auth/loginKey", login)["token"]
        self._account: int = serving["account_ids"][0]

    def trade(self, size: int) -> None:
        contract = next(each for each in self._serving["contracts"] if ".MNQ." in each)
        side = 0 if size > 0 else 1
        order = {"accountId": self._account, "contractId": contract, "type": 2, "side": side, "size": abs(size)}
        self._post("Order/place", order)

    def is_flat(self) -> bool:
        rows: list[object] = self._post("Position/searchOpen", {"accountId": self._account})["positions"]
        return not rows

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        url = f"http://127.0.0.1:{SIM_PORT}/api/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)) as answer:
            reply: dict[str, Any] = json.load(answer)
        assert reply["success"], (path, body, reply)
        return reply


def prepare() -> None:
    run("useradd", "--create-home", "--uid", "4000", "--shell", "/bin/bash", TRADER)
    CONFIG.mkdir()
    files = {
        "accounts.yaml": ACCOUNTS,
        "risk_config.yaml": RISK,
        "hanging.py": HANGING_RULE,
        ".env": "PROJECT_X_USERNAME=demo\nPROJECT_X_API_KEY=demo-key-of-the-simulator\n",
    }
    for name, text in files.items():
        (CONFIG / name).write_text(text, encoding="utf-8")


def installing() -> None:
    install = (PYTHON, "-m", "risk_manager", "admin", "install-service", "--systemd")
    done = run(*install, user=TRADER)
    report("the trader may not install it", done.returncode == 1, done.stderr.strip())
    shutil.chown(CONFIG / "risk_config.yaml", TRADER)
    done = run(*install)
    report("rules the trader owns are refused", done.returncode == 1 and "risk_config" in done.stderr, done.stderr)
    shutil.chown(CONFIG / "risk_config.yaml", "root")
    (CONFIG / "accounts.yaml").write_text(ACCOUNTS.replace(str(STATE), "/srv/state"), encoding="utf-8")
    done = run(*install)
    report("state where the service cannot write is refused", "/srv/state" in done.stderr, done.stderr)
    (CONFIG / "accounts.yaml").write_text(ACCOUNTS, encoding="utf-8")
    done = run(*install, "--user", TRADER)
    report("the trader as its user is refused", done.returncode == 1 and "can log in" in done.stderr, done.stderr)
    done = run(*install)
    report("installs", done.returncode == 0, done.stdout + done.stderr)
    verdict = run("systemd-analyze", "security", UNIT).stdout.strip().splitlines()[-1]
    report("systemd-analyze security", float(verdict.split(":")[1].split()[0]) < 2.0, verdict)


def starting() -> None:
    """The venue is down when the service begins, and for longer than a start may take without a word."""
    run("systemctl", "start", "--no-block", UNIT)
    time.sleep(35)
    found = f"{show('ActiveState')}, {show('NRestarts')} restarts; {show('StatusText')}"
    report("35 s without the venue: waits, not ready", found.startswith("activating, 0 restarts"), found)
    begun_s = time.monotonic()
    with simulator() as trader:
        is_early = False
        while not is_active() and time.monotonic() < begun_s + 40:
            time.sleep(0.01)
        is_early = not is_guarding()
        found = f"ready {time.monotonic() - begun_s:.2f} s after the venue, {account().get('state')}"
        report("ready once the account is read, not before", is_active() and not is_early, found)
        locking(trader)
        trespassing()
        killing(trader)
        silence(trader)
        hanging()
        stopping()
        squatting()
        done = run(PYTHON, "-m", "risk_manager", "admin", "uninstall-service")
        report("is not removed while an account is locked", done.returncode == 1 and is_active(), done.stderr.strip())


def locking(trader: Trader) -> None:
    trader.trade(4)
    took_s = wait(lambda: account().get("state") == "locked" and trader.is_flat())
    report("enforces inside the sandbox", took_s is not None, f"flat and locked after {seconds(took_s)}")


def trespassing() -> None:
    """Everything a user without rights may try against the service."""
    pid = process()
    attempts: dict[str, tuple[str, ...]] = {
        "systemctl stop": ("systemctl", "--no-ask-password", "stop", UNIT),
        "systemctl restart": ("systemctl", "--no-ask-password", "restart", UNIT),
        "systemctl kill": ("systemctl", "--no-ask-password", "kill", "-s", "KILL", UNIT),
        "systemctl reload": ("systemctl", "--no-ask-password", "reload", UNIT),
        "systemctl disable": ("systemctl", "--no-ask-password", "disable", UNIT),
        "systemctl mask": ("systemctl", "--no-ask-password", "mask", "--runtime", UNIT),
        "systemctl set-property": ("systemctl", "--no-ask-password", "set-property", UNIT, "CPUQuota=1%"),
        "poweroff": ("systemctl", "--no-ask-password", "poweroff"),
        "kill -9": ("kill", "-9", str(pid)),
        "kill -STOP": ("kill", "-STOP", str(pid)),
        "renice": ("renice", "-n", "19", "-p", str(pid)),
        "prlimit": ("prlimit", "--pid", str(pid), "--nofile=1:1"),
        "ptrace": (PYTHON, "-c", PTRACE, str(pid)),
        "read its memory": ("head", "-c1", f"/proc/{pid}/mem"),
        "read its environment": ("cat", f"/proc/{pid}/environ"),
        "list its files": ("ls", f"/proc/{pid}/fd"),
        "list the state": ("ls", str(STATE)),
        "read the journal": ("cat", str(STATE / "journal.sqlite")),
        "read the key": ("cat", str(CONFIG / ".env")),
        "read the rules": ("cat", str(CONFIG / "risk_config.yaml")),
        "change the rules": ("sh", "-c", f"echo >> {CONFIG}/risk_config.yaml"),
        "change the unit": ("sh", "-c", f"echo >> /etc/systemd/system/{UNIT}"),
        "add a drop-in": ("mkdir", "-p", f"/etc/systemd/system/{UNIT}.d"),
        "change the program": ("touch", "/opt/risk-manager/bin/python"),
        "a second guard on its data": (PYTHON, "-m", "risk_manager", "run", "--config", str(CONFIG)),
        "remove it": (PYTHON, "-m", "risk_manager", "admin", "uninstall-service"),
    }
    for name, command in attempts.items():
        done = run(*command, user=TRADER)
        told = (done.stderr or done.stdout).strip().splitlines()[-1:]
        report(f"trader: {name}", done.returncode != 0 and process() == pid, "refused: " + "".join(told)[:110])
    run(PYTHON, "-c", SPOOF, user=TRADER)
    time.sleep(1)
    status = show("StatusText")
    is_good = process() == pid and "taken over" not in status and is_active()
    report("trader: false words to the service manager", is_good, f"ignored: {status}")
    done = run(PYTHON, "-m", "risk_manager", "trader", "status", user=TRADER)
    report("trader: reads the status", done.returncode == 0 and "max_contracts" in done.stdout, "as allowed")


def killing(trader: Trader) -> None:
    """As `kill -9`, with a position opened while nobody guards."""
    figures: list[tuple[float, ...]] = []
    for _ in range(4):
        pid = process()
        os.kill(pid, signal.SIGKILL)
        begun_s = time.monotonic()
        trader.trade(-2)
        moments = []
        for look in (
            lambda pid=pid: process() not in (0, pid),
            lambda pid=pid: is_guarding(pid),
            trader.is_flat,
            is_active,
        ):
            assert wait(look) is not None
            moments.append(time.monotonic() - begun_s)
        figures.append(tuple(moments))
    middle = [statistics.median(each) for each in zip(*figures, strict=True)]
    found = "new process {:.2f} s, guarding {:.2f} s, flat {:.2f} s, ready {:.2f} s".format(*middle)
    report("kill -9: restarted, lockout enforced", account()["lockouts"] and middle[2] < 5, f"{found} (median of 4)")
    crashed = ", ".join(account()["missing"])
    report("crashes within a minute: minimal guard", "minimal" in crashed, crashed)


def silence(trader: Trader) -> None:
    """The venue takes every call and answers none: nothing that a new start of the guard would mend."""
    run("systemctl", "restart", UNIT)
    pid = process()
    os.kill(trader.process_id, signal.SIGSTOP)
    time.sleep(60)
    found = f"{account().get('state')}, {show('NRestarts')} restarts"
    report("60 s of a silent venue: no restart", process() == pid, found)
    os.kill(trader.process_id, signal.SIGCONT)
    took_s = wait(lambda: account().get("state") in ("armed", "locked") and not account()["missing"])
    report("the venue speaks again: as before", took_s is not None and process() == pid, f"after {seconds(took_s)}")


def hanging() -> None:
    """It hangs in three ways: stopped, in a loop, and in a loop from the start; a crash each, as `killing` counts."""
    run("systemctl", "restart", UNIT)
    pid = process()
    os.kill(pid, signal.SIGSTOP)
    found = _replaced(pid)
    report("SIGSTOP: watchdog, restarted", found, found)
    wait(is_active)
    pid = process()
    HANG.touch()
    found = _replaced(pid)
    report("endless loop in a rule: watchdog, restarted", found, found)
    report("its last words name the line", journal_has("hanging.py"), "traceback in the log")
    wait(is_active)
    run("systemctl", "stop", UNIT)
    HANG.touch()
    run("systemctl", "start", "--no-block", UNIT)
    wait(process)
    found = _replaced(process())
    report("endless loop while it starts: restarted", found, found)


def _replaced(pid: int) -> str:
    """How long until another process guards and is ready; empty if that did not happen."""
    begun_s, moments = time.monotonic(), []
    for look in (lambda: process() not in (0, pid), lambda: is_guarding(pid), is_active):
        if wait(look, 90) is None:
            return ""
        moments.append(time.monotonic() - begun_s)
        # It is asked about at every step of the rule: the new process must not meet it.
        HANG.unlink(missing_ok=True)
    return "new process {:.2f} s, guarding {:.2f} s, ready {:.2f} s after the hang".format(*moments)


def stopping() -> None:
    begun_s = time.monotonic()
    done = run("systemctl", "stop", UNIT)
    found = f"{time.monotonic() - begun_s:.2f} s, {show('Result')}, exit status {show('ExecMainStatus')}"
    is_good = done.returncode == 0 and show("Result") == "success" and show("ExecMainStatus") == "0"
    report("systemctl stop: in good order", is_good and journal_has("guard stopped"), found)
    run("systemctl", "start", UNIT)
    found_now = account()
    report("locked again after the start", found_now.get("state") == "locked", found_now.get("state"))


def squatting() -> None:
    """The trader takes the port of the API while the service restarts."""
    with subprocess.Popen(("runuser", "-u", TRADER, "--", PYTHON, "-c", SQUAT)) as squatter:
        pid = process()
        os.kill(pid, signal.SIGKILL)
        took_s = wait(lambda: process() not in (0, pid) and is_active())
        time.sleep(4)
        found = f"ready after {seconds(took_s)}; {show('StatusText')}"
        report("its port is taken: guards all the same", took_s is not None and is_active(), found)
        run("pkill", "-u", TRADER)
        squatter.terminate()
    took_s = wait(is_guarding)
    report("its port is free again: serves it", took_s is not None, f"after {seconds(took_s)}")


def after_reboot() -> None:
    with simulator() as trader:
        took_s = wait(is_active)
        found = account()
        is_good = took_s is not None and found.get("state") == "locked" and found["lockouts"]
        report("reboot while locked: begins by itself, locked", is_good, found.get("state"))
        trader.trade(1)
        took_s = wait(trader.is_flat)
        report("what is opened then is closed", took_s is not None, f"flat after {seconds(took_s)}")
        run("systemctl", "stop", UNIT)
        done = run(PYTHON, "-m", "risk_manager", "admin", "uninstall-service")
        unit_is_gone = run("systemctl", "cat", UNIT).returncode != 0
        report("removed by root, its state stays", unit_is_gone and any(STATE.iterdir()), done.stdout + done.stderr)
    report("everything was tried", True, "to the end")


def main() -> None:
    is_second_boot = OUT.exists()
    try:
        if is_second_boot:
            after_reboot()
        else:
            prepare()
            installing()
            starting()
    except Exception as error:  # noqa: BLE001  # whatever it is, the host has to hear of it, or it would wait
        report("the drill itself", False, repr(error))
        shutil.copy("/dev/null", "/out/failed")
        with Path("/out/log.txt").open("w", encoding="utf-8") as log:
            log.write(run("journalctl", "-u", UNIT, "-o", "cat", "--no-pager").stdout)
        run("systemctl", "poweroff", "--no-block")
        sys.exit(1)
    with Path("/out/log.txt").open("a", encoding="utf-8") as log:
        log.write(run("journalctl", "-u", UNIT, "-o", "short-precise", "--no-pager").stdout)
    run("systemctl", "poweroff" if is_second_boot else "reboot", "--no-block")


if __name__ == "__main__":
    main()
