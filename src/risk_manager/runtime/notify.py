"""Words with the service manager that started us: datagrams to the socket it names, as systemd understands them."""

import socket
from collections.abc import Mapping
from contextlib import suppress

US_PER_S = 1_000_000


class Notifier:
    """The way to a service manager. It may go away at any time; telling it anything never fails and never waits.

    Attributes:
        watchdog_s: how long it waits for a sign of life; None if it does not.
    """

    def __init__(self, address: str, watchdog_s: float | None = None) -> None:
        """Args: address: of a datagram socket; a leading `@` means one without a file (Linux)."""
        self.watchdog_s = watchdog_s
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def tell(self, *assignments: str) -> None:
        """Send assignments such as `READY=1` in one message."""
        # The socket's buffer is full, or nobody listens any more: there is nobody else to tell it.
        with suppress(OSError):
            self._socket.sendto("\n".join(assignments).encode(), self._address)

    def close(self) -> None:
        self._socket.close()


def notifier_from(environ: Mapping[str, str], process_id: int) -> Notifier | None:
    """The service manager an environment names; None if there is none, or none that we can reach."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
        return None
    usec = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID") in (None, str(process_id))
    return Notifier(address, int(usec) / US_PER_S if is_ours and usec.isdecimal() else None)
