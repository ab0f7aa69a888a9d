"""What the service manager is told: when the guards are ready, that they live, how they stand."""

from collections.abc import Sequence
from functools import partial

from risk_manager.runtime.guard import Guard
from risk_manager.runtime.health import GuardState
from risk_manager.runtime.notify import US_PER_S, Notifier

START_PATIENCE_S = 30
"""How long the service manager may wait for the next sign of life while the guards are not ready."""

ROUND_MARGIN_S = 6.0

RECOVERING = "guarding, recovering"


def still_starting(notifier: Notifier, reason: str) -> None:
    """Ask for more time to start, and say what it is needed for."""
    notifier.tell(f"EXTEND_TIMEOUT_USEC={START_PATIENCE_S * US_PER_S}", f"STATUS={_line(f'{RECOVERING}: {reason}')}")


class ServiceReport:
    """Speaks for the guards; all it says follows from rounds they have finished.

    READY only when every account has been read and judged since the start, however long that takes. From then on a
    sign of life only when every guard has finished a round since the last one. Before that it is enough that one has:
    a guard that a restart did not bring back must not have the others restarted again and again.
    """

    def __init__(self, notifier: Notifier, guards: Sequence[Guard]) -> None:
        self._notifier = notifier
        self._guards = guards
        self._beaten: set[str] = set()
        self._is_ready = False
        self._status = ""
        for guard in guards:
            guard.pulse.on_beat = partial(self._beat, guard.account_id)
        self._ask_for_patience()

    def stopping(self) -> None:
        """Say that the end was asked for."""
        self._notifier.tell("STOPPING=1", "STATUS=stopping")

    def _ask_for_patience(self) -> None:
        """Many accounts are polled less often than the service manager expects signs of life: have it wait longer."""
        # A poll that is not answered counts when the next one is due, so a round takes two at most.
        needed_s = 2 * max(guard.poll_s for guard in self._guards) + ROUND_MARGIN_S
        given_s = self._notifier.watchdog_s
        if given_s is not None and given_s < needed_s:
            self._notifier.tell(f"WATCHDOG_USEC={round(needed_s * US_PER_S)}")

    def _beat(self, account_id: str) -> None:
        self._beaten.add(account_id)
        if not self._is_ready and all(guard.is_reconciled for guard in self._guards):
            self._is_ready = True
            self._notifier.tell("READY=1")
        if not self._is_ready:
            still_starting(self._notifier, self._standing())
        elif len(self._beaten) == len(self._guards):
            self._beaten.clear()
            self._notifier.tell("WATCHDOG=1", *self._news())

    def _news(self) -> tuple[str, ...]:
        status = f"STATUS={_line(self._standing())}"
        if status == self._status:
            return ()
        self._status = status
        return (status,)

    def _standing(self) -> str:
        return "; ".join(_standing(guard) for guard in self._guards)


def _standing(guard: Guard) -> str:
    state = guard.state
    if state in (GuardState.ARMED, GuardState.LOCKED):
        return f"{guard.name} {state}"
    return f"{guard.name} {state} ({', '.join(guard.health.missing) or 'not read yet'})"


def _line(text: str) -> str:
    """One line of it: a line break from the venue would begin an assignment of its own."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:500]
