"""What the ProjectX client needs to be told."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_DOMAINS = (".topstepx.com", ".projectx.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubTimings:
    """Seconds that govern a hub connection.

    Attributes:
        handshake_s: for the upgrade and the handshake together, and again for the completions of one round of calls.
        silence_s: without any frame the connection is dead (the server pings every 15 s).
        backoff_base_s, backoff_cap_s: a reconnect waits between 0 and min(cap, base x 2^attempt).
        refused_cap_s: the cap in place of it while the upgrade is refused with 401 or 403, counted by such refusals.
        healthy_s: a connection that lived this long resets the attempts.
    """

    handshake_s: float = 15.0
    ping_s: float = 15.0
    silence_s: float = 35.0
    backoff_base_s: float = 0.25
    backoff_cap_s: float = 5.0
    refused_cap_s: float = 60.0
    healthy_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectXSettings:
    """One user at one gateway. The key never shows in `repr`.

    Attributes:
        user_name, api_key: the platform login name and its API key.
        day_start_ns: start of the trading day a venue instant falls in (UTC epoch ns to UTC epoch ns).
        api_url, user_hub_url, market_hub_url: https to `*.topstepx.com` or `*.projectx.com`; anything on loopback.
        instruments: product roots to quote besides what the accounts hold (`ES`, or the venue's own `EP`).
        live: ask for the live contract listing; False for every simulated account, funded ones included.
        clock_lead_max_s: venue stamps further ahead of the venue's own HTTP Date are pulled back to it and counted.
        warm_connections: REST connections kept open so that a flatten needs no new TLS handshake; 0 for none.
        catalogue_s: how often the contract listing is read again.

    Raises:
        ValueError: every fault of the settings at once.
    """

    user_name: str
    api_key: str = field(repr=False)
    day_start_ns: Callable[[int], int] = field(repr=False)
    api_url: str = "https://api.topstepx.com"
    user_hub_url: str = "https://rtc.topstepx.com/hubs/user"
    market_hub_url: str = "https://rtc.topstepx.com/hubs/market"
    instruments: tuple[str, ...] = ()
    live: bool = False
    clock_lead_max_s: float = 60.0
    warm_connections: int = 4
    warm_every_s: float = 25.0
    catalogue_s: float = 3600.0
    hub: HubTimings = HubTimings()

    def __post_init__(self) -> None:
        faults = [
            f"{name}: {fault}"
            for name in ("api_url", "user_hub_url", "market_hub_url")
            if (fault := url_fault(getattr(self, name))) is not None
        ]
        faults += [f"{name}: must not be empty" for name in ("user_name", "api_key") if not getattr(self, name)]
        seconds = ("clock_lead_max_s", "catalogue_s")
        faults += [f"{name}: must be above 0" for name in seconds if not getattr(self, name) > 0]
        if faults:
            raise ValueError("; ".join(faults))


def url_fault(url: str) -> str | None:
    """Say what is wrong with a gateway URL, None if nothing is: credentials are only sent to hosts on the list."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        return f"not a URL ({error})"
    if parts.scheme not in ("http", "https"):
        return "must begin with https://"
    if not host:
        return "has no host"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "must not carry a user, a query or a fragment"
    if _is_loopback(host):
        return None
    if parts.scheme != "https":
        return "plain http is only for this machine (127.0.0.1, ::1, localhost)"
    if not host.lower().endswith(_DOMAINS):
        return f"host {host} is not under topstepx.com or projectx.com"
    return None


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
