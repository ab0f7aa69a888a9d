"""When an account was not fully watched, and why."""

from enum import StrEnum

import msgspec


class Cover(StrEnum):
    """COVERED: everything is told and can be done.   DEGRADED: something is missing.   BLIND: nothing is told."""

    COVERED = "covered"
    DEGRADED = "degraded"
    BLIND = "blind"


class Gap(msgspec.Struct, frozen=True, gc=False):
    """A time in which something was missing.

    Attributes:
        began_ns, ended_ns: local clock, the end exclusive; None while it lasts.   cause: what was missing.
    """

    began_ns: int
    ended_ns: int | None
    cover: Cover
    cause: str
