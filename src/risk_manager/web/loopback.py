"""Whether a request was made on this machine, by something that knows whom it asks.

A port on loopback is not enough: a page in the user's browser can send requests there, and a rebound DNS name makes it
read the answers. Such requests name another host, or say which page they come from.
"""

from aiohttp import web

REFUSAL = "this API answers only to this machine"
_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def is_from_here(request: web.Request, port: int) -> bool:
    """Whether a request names this machine and `port`, and comes from no foreign page."""
    allowed = {f"{host}:{port}" for host in _HOSTS}
    origin = request.headers.get("Origin")
    is_foreign = origin is not None and origin.lower() not in {f"http://{host}" for host in allowed}
    is_cross_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return request.host.lower() in allowed and not is_foreign and not is_cross_site
