"""The machine while it is measured: what it is, how busy it is, and child processes on cores of their own."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import IO

import msgspec

ROOT = Path(__file__).resolve().parent.parent

_NAP_NS = 5_000_000
_BUSY_P99_MS = 2.0
_BUSY_STOLEN_PCT = 2.0


class Spread(msgspec.Struct, frozen=True):
    """A sample's quantiles, each a value that was really measured (nearest rank)."""

    count: int
    p50: float
    p90: float
    p99: float
    worst: float


def spread(values: list[float]) -> Spread:
    """The quantiles of a sample that is not empty."""
    ranked = sorted(values)
    return Spread(len(ranked), *(round(quantile(ranked, percent), 3) for percent in (50, 90, 99, 100)))


def quantile(ranked: list[float], percent: int) -> float:
    """The smallest value that at least `percent` of a sorted sample do not exceed."""
    return ranked[max(0, -(-len(ranked) * percent // 100) - 1)]


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on."""

    python: str
    system: str
    processor: str
    cores: int
    load_1min: float


def describe() -> Machine:
    """This machine, now."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return Machine(
        f"{platform.python_implementation()} {platform.python_version()}",
        f"{platform.system()} {platform.release()}",
        _processor(),
        os.cpu_count() or 1,
        round(load, 2),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


class Hiccups(msgspec.Struct, frozen=True):
    """How much later than asked a sleeping thread was woken, in ms: other programs' doing, for the most part.

    Attributes:
        stolen_pct: share of the processors' time a hypervisor gave to others although we wanted it; 0 if unknown.
    """

    naps: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    stolen_pct: float

    @property
    def is_busy(self) -> bool:
        return self.p99_ms > _BUSY_P99_MS or self.stolen_pct > _BUSY_STOLEN_PCT


class HiccupMeter:
    """A thread that sleeps, and notes by how much it overslept. Runs until `stop`."""

    def __init__(self) -> None:
        self._late_ms: list[float] = []
        self._ticks = _processor_ticks()
        self._is_over = Event()
        self._thread = Thread(target=self._watch, name="hiccup-meter", daemon=True)
        self._thread.start()

    def stop(self) -> Hiccups:
        """End the watch and say how it was."""
        self._is_over.set()
        self._thread.join()
        found = spread(self._late_ms or [0.0])
        stolen, total = (now - then for now, then in zip(_processor_ticks(), self._ticks, strict=True))
        return Hiccups(found.count, found.p50, found.p99, found.worst, round(100 * stolen / max(total, 1), 1))

    def _watch(self) -> None:
        while not self._is_over.is_set():
            begun_ns = time.perf_counter_ns()
            time.sleep(_NAP_NS / 1e9)
            self._late_ms.append((time.perf_counter_ns() - begun_ns - _NAP_NS) / 1e6)


def _processor_ticks() -> tuple[int, int]:
    """Ticks stolen by a hypervisor and ticks in all since the machine started; zeros where Linux does not say."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:9]
    except OSError:
        return 0, 0
    ticks = [int(field) for field in fields]
    return ticks[-1], sum(ticks)


def take_core(number: int) -> None:
    """Keep this process on one core, counted from the first or, negative, from the last; not every system can."""
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) > 1:
            os.sched_setaffinity(0, {allowed[number]})


class ChildFailed(Exception):
    """A measuring process ended badly; the message is what it said."""


class Child:
    """One of our modules in a fresh interpreter; its standard output is read line by line."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._errors = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.{module}", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def line(self) -> bytes:
        """The next line of its output.

        Raises:
            ChildFailed: it has ended instead.
        """
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise ChildFailed(f"{self._module}: {self.end()}")
        return line

    def end(self) -> str:
        """Let it finish: its standard input ends. It is killed if that takes too long; its last errors come back."""
        if self._process.returncode is None:
            try:
                _, errors = self._process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                _, errors = self._process.communicate()
            self._errors = errors.decode(errors="replace")[-2000:]
        return self._errors


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
