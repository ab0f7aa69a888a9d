"""What can go wrong between us and the gateway, named by what the caller can still assume.

No exception of a library leaves this package; none of these carries a token, a key or a URL with a query.
"""


class ProjectXError(Exception):
    """The gateway could not be asked, or its answer cannot be used; the message says why."""


class NotSent(ProjectXError):
    """The request never left: refused connection, no name, no token, no call budget. Nothing was done."""


class Lost(ProjectXError):
    """The request left and no usable answer came back: it may or may not have been done.

    Attributes:
        is_disconnect: the connection ended before an answer began; typical of a keep-alive connection gone stale.
    """

    def __init__(self, message: str, *, is_disconnect: bool = False) -> None:
        super().__init__(message)
        self.is_disconnect = is_disconnect


class AuthFailed(NotSent):
    """There is no token to send, and none could be had now."""


class ReadFailed(ProjectXError):
    """A read was answered with something other than success.

    Attributes:
        status: the HTTP status, 200 where the envelope itself said no.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class HubRefused(ProjectXError):
    """The hub answered the upgrade with a plain HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the hub refused the upgrade with status {status}")
        self.status = status


class HubClosed(ProjectXError):
    """A hub connection has ended; the message says how."""


class LoggedOut(HubClosed):
    """The venue ended our session on a hub: the token is no longer good."""


class HubError(ProjectXError):
    """The hub answered one invocation with an error."""
