"""The installed service under a real systemd: `python -m tests.service.container` boots a container and tries it.

Needs root, Linux, uv and systemd-nspawn (`apt-get install systemd-container`). The container sees this machine's files
through an overlay that is thrown away; what it does reaches nothing else. `tests/service/drill.py` happens inside.
With a directory as its argument the logs are kept there.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
DRILL = Path(__file__).with_name("drill.py")
WANTS = "etc/systemd/system/multi-user.target.wants"
LIMIT_S = 600
REBOOT = 133
"""What systemd-nspawn ends with when the container wants to begin again."""

DRILL_UNIT = """
[Unit]
Description=the drill
After=dbus.service

[Service]
Type=exec
# This Python may know its library only by a path below /root.
ExecStartPre=/bin/sh -c 'echo /opt/python/lib > /etc/ld.so.conf.d/python.conf; /sbin/ldconfig'
ExecStart=/opt/risk-manager/bin/python /opt/drill.py
StandardOutput=append:/out/drill.txt
StandardError=inherit
"""


def main() -> int:
    missing = [name for name in ("systemd-nspawn", "uv") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        sys.stderr.write(f"needs root and {', '.join(missing) or 'nothing else'}\n")
        return 2
    begun_s = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="risk-manager-container-", dir="/var/tmp") as folder,
        _root(Path(folder)) as root,
    ):
        out = Path(folder) / "out"
        out.mkdir()
        _install(root)
        _arrange(root)
        with (Path(folder) / "console.txt").open("wb") as console:
            command = _container(root, out)
            booted = REBOOT
            while booted == REBOOT:
                booted = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, timeout=LIMIT_S, check=False
                ).returncode
        shutil.copy(Path(folder) / "console.txt", out)
        if len(sys.argv) > 1:
            shutil.copytree(out, sys.argv[1], dirs_exist_ok=True)
        return _told(out, time.monotonic() - begun_s)


@contextlib.contextmanager
def _root(folder: Path) -> Iterator[Path]:
    """This machine's files, and on top of them what the container writes."""
    upper, work, merged = (folder / name for name in ("upper", "work", "root"))
    for each in (upper, work, merged):
        each.mkdir()
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], check=True)
    try:
        yield merged
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def _install(root: Path) -> None:
    """The program as an administrator installs it: root's, in a place of its own, compiled."""
    place = root / "opt/risk-manager"
    environ = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(place)}
    sync = ["uv", "sync", "--frozen", "--no-dev", "--no-editable", "--compile-bytecode", "--link-mode=copy", "--quiet"]
    # Or a build of yesterday's source would do.
    sync.append("--reinstall-package=risk-manager")
    subprocess.run(sync, cwd=PROJECT, env=environ, check=True)
    # Where its Python is seen in the container.
    python = place / "bin/python"
    python.unlink()
    python.symlink_to(f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}")
    settings = place / "pyvenv.cfg"
    lines = settings.read_text(encoding="utf-8").splitlines()
    lines = ["home = /opt/python/bin" if line.startswith("home") else line for line in lines]
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _arrange(root: Path) -> None:
    """Nothing of this machine's own services begins, only the drill."""
    for each in (root / WANTS).iterdir():
        each.unlink()
    shutil.copy(DRILL, root / "opt/drill.py")
    (root / "etc/systemd/system/drill.service").write_text(DRILL_UNIT, encoding="utf-8")
    (root / WANTS / "drill.service").symlink_to("../drill.service")


def _container(root: Path, out: Path) -> list[str]:
    return [
        "systemd-nspawn",
        "--register=no",
        "--keep-unit",
        "--boot",
        "--private-network",
        "--console=pipe",
        f"--directory={root}",
        f"--bind={out}:/out",
        f"--bind-ro={sys.base_prefix}:/opt/python",
        "systemd.unit=multi-user.target",
    ]


def _told(out: Path, took_s: float) -> int:
    results = out / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    found = [json.loads(line) for line in lines]
    for each in found:
        text = " ".join(each["found"].split())
        sys.stdout.write(f"{'ok  ' if each['ok'] else 'FAIL'}  {each['check']:<52} {text}\n")
    failed = sum(not each["ok"] for each in found)
    is_whole = bool(found) and found[-1]["check"] == "everything was tried"
    sys.stdout.write(f"{len(found)} checks, {failed} failed, {took_s:.0f} s\n")
    if failed or not is_whole:
        for each in sorted(out.glob("*.txt")):
            sys.stdout.write(f"--- {each.name}\n{each.read_text(encoding='utf-8', errors='replace')[-6000:]}\n")
    return 1 if failed or not is_whole else 0


if __name__ == "__main__":
    raise SystemExit(main())
