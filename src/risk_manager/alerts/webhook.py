"""Telling a web address something, as JSON."""

import urllib.error
import urllib.request

TIMEOUT_S = 10.0
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def post(url: str, body: bytes) -> None:
    """Send JSON and wait for the answer; no proxy of the environment is used.

    Raises:
        OSError: it did not arrive, or was answered with an error. The address is not in the message: it may hold a key.
    """
    request = urllib.request.Request(  # noqa: S310  # the configuration takes https only, or this machine
        url, body, {"Content-Type": "application/json", "User-Agent": "risk-manager"}
    )
    try:
        with _opener.open(request, timeout=TIMEOUT_S):
            return
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"answered with status {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(f"not reached ({type(error.reason).__name__})") from None
