"""What the operating system refuses, in words that help."""

import errno


def told(error: OSError, port: int | None = None) -> str:
    """The error in one line; `port` is what was to be listened on, if anything was."""
    if error.errno == errno.EADDRINUSE and port is not None:
        return f"port {port} is taken; another program listens there"
    return str(error)
