"""The flight recorder: remembers what an engine received."""

from typing import Protocol

from risk_manager.domain.events import Event


class Recorder(Protocol):
    """Of one account."""

    def take(self, event: Event) -> None:
        """Remember an event the engine receives next; of a RulesChanged also the rules, which are in force already.

        Takes about a microsecond, never waits and never raises.
        """
