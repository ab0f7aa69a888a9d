"""The proof that one guard is alive: it finishes round after round of its work. No timer can give it."""

from collections.abc import Callable


class Pulse:
    """Counts a guard's finished rounds.

    A round is finished when a poll has come to its end, answered or asked again, and everything that had arrived by
    then has been dealt with.

    Attributes:
        on_beat: called after every finished round.
        is_sound: whether the last snapshot went through the engine without an exception of ours.
        is_due: whether a round is finished once there is nothing left to do.
    """

    def __init__(self, is_at_rest: Callable[[], bool]) -> None:
        self.on_beat: Callable[[], None] = lambda: None
        self.is_sound = True
        self._is_at_rest = is_at_rest
        self.is_due = False

    def poll_ended(self) -> None:
        """A poll has come to its end: the round is finished as soon as the guard has nothing left to do."""
        self.is_due = True
        self.settle()

    def settle(self) -> None:
        """Finish the round if that is all there is to do."""
        if self.is_due and self.is_sound and self._is_at_rest():
            self.is_due = False
            self.on_beat()
