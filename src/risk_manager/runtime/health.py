"""The state of a guard, as every screen shows it."""

from collections.abc import Callable
from enum import StrEnum

from risk_manager.domain.coverage import Cover
from risk_manager.domain.events import Link


class GuardState(StrEnum):
    """STARTING until a snapshot was read; BLIND when neither REST nor the user hub tells anything."""

    STARTING = "starting"
    ARMED = "armed"
    DEGRADED = "degraded"
    BLIND = "blind"
    LOCKED = "locked"
    STOPPING = "stopping"


class Health:
    """What is missing, by name; nothing missing is healthy. Who wants to hear of every change gives a callback."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._changed = changed
        self._links: dict[Link, tuple[bool, str]] = {}
        self._faults: dict[str, str] = {}

    def link(self, link: Link, *, is_up: bool, reason: str) -> None:
        self._links[link] = (is_up, reason)
        self._changed()

    def is_up(self, link: Link) -> bool:
        """Whether a link is up, as far as is known."""
        return self._links.get(link, (True, ""))[0]

    def fault(self, name: str, text: str | None) -> None:
        """Note a fault under a name, or with None that it is gone."""
        if self._faults.get(name) == text:
            return
        if text is None:
            del self._faults[name]
        else:
            self._faults[name] = text
        self._changed()

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not as it should be, one line each."""
        down = [f"{link}: {reason}" for link, (is_up, reason) in self._links.items() if not is_up]
        return (*down, *(f"{name}: {text}" for name, text in self._faults.items()))

    def is_blind(self) -> bool:
        """Whether the links that tell positions are all known to be down."""
        return not self.is_up(Link.REST) and not self.is_up(Link.USER_HUB)

    def cover(self, *, is_synced: bool) -> tuple[Cover, str]:
        """How well the account is watched, and what is missing."""
        if not is_synced:
            return Cover.BLIND, "starting"
        cover = Cover.BLIND if self.is_blind() else Cover.DEGRADED if self.missing else Cover.COVERED
        return cover, "; ".join(self.missing)

    def state(self, *, is_synced: bool, is_locked: bool, is_stopping: bool) -> GuardState:
        """The one word for the screen; what is wrong comes before what is locked."""
        if is_stopping:
            return GuardState.STOPPING
        if self.is_blind():
            return GuardState.BLIND
        if not is_synced:
            return GuardState.STARTING
        if is_locked:
            return GuardState.LOCKED
        return GuardState.DEGRADED if self.missing else GuardState.ARMED
