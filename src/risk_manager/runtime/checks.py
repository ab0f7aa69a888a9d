"""What a doctor says about one thing it looked at."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """A warning lets the guard start and work; a problem keeps it from that."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at: what was found, and what to do about it (empty where nothing is to be done)."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, Verdict.OK, found)


def warning(name: str, found: str, advice: str) -> Check:
    return Check(name, Verdict.WARNING, found, advice)


def problem(name: str, found: str, advice: str) -> Check:
    return Check(name, Verdict.PROBLEM, found, advice)


def skipped(name: str, needs: str) -> Check:
    """Not looked at, for want of what it needs."""
    return Check(name, Verdict.SKIPPED, f"needs {needs}")
