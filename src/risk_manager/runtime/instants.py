"""Instants as people read them."""

from datetime import UTC, datetime

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def iso(at_ns: int) -> str:
    """UTC, ISO 8601 with milliseconds."""
    seconds, rest = divmod(at_ns, NS_PER_S)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_between(start_ns: int, end_ns: int | None) -> float | None:
    """Milliseconds, to the microsecond; None without an end."""
    return None if end_ns is None else round((end_ns - start_ns) / NS_PER_MS, 3)
