"""What must hold on the wire: how much is asked, what an answer is taken for, where it goes, and what it gives away."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable

import msgspec

from risk_manager.domain.events import SnapshotTaken
from risk_manager.venues.projectx.http import Reply

READS_PER_MINUTE = 140
ENFORCING_PER_MINUTE = 60
"""What is left of the venue's 200 calls. Closes and cancels may take more: then there is no room for all the reads."""
CALLS_PER_MINUTE = 140
"""What cancels may fill up before they go one by one."""

MINUTE_S = 60.0
"""The venue's window, near enough."""

MOST_CLOSES = 3
"""A close has no size: one that may be lost is sent again before the first is known to be."""

_READS = ("/Position/search", "/Order/v2", "/Trade/search", "/Account/search")
_CLOSES = ("/closeContract", "/partialCloseContract")
_ENFORCING = (*_CLOSES, "/Order/cancel", "/Order/place", "/Order/modify")
_LISTS = {"positions": ("/Position/search", b'"positions":['), "orders": ("/Order/", b'"orders":[')}


class Wire:
    """Args: fail: told the invariant and what is wrong.   elapsed_s: the loop's time.

    Attributes:
        secrets: what nobody may find anywhere.   origin: the only host and port there is business with.
        begun_s: when the present run of the program began; what the run before it called for, it can only reckon.
        crowded_out_s: by account, when the venue last refused a look at it (429) for what enforcement had asked, or the
            run before; "" stands for a login, which all looks wait for.
        fills_read_s: by account, when the guard was last answered with its fills.
    """

    def __init__(self, fail: Callable[[str, str], None], elapsed_s: Callable[[], float]) -> None:
        self.secrets: set[str] = set()
        self.origin: tuple[str, int] = "", 0
        self.begun_s = 0.0
        self._is_before_known = True
        self.crowded_out_s: dict[str, float] = defaultdict(float)
        self.fills_read_s: dict[str, float] = defaultdict(float)
        self._fail = fail
        self._elapsed_s = elapsed_s
        self._under_way: dict[tuple[str, str, str], int] = defaultdict(int)
        self._reads_s: dict[str, deque[float]] = defaultdict(deque)
        self._enforcing_s: deque[float] = deque()
        self._taken_s: deque[float] = deque()
        self._listed_s: dict[tuple[str, str, str], float] = {}

    def run_begins(self, machine: str, *, is_before_known: bool) -> None:
        """A run has begun; what another run of the same program has read, in a minute it cannot know all of, is its.

        Args:
            is_before_known: whether what the run before did is written down, so that it can be reckoned with.
        """
        self.begun_s = self._elapsed_s()
        self._is_before_known = is_before_known
        self._reads_s.pop(machine, None)

    def connects(self, machine: str, host: str, port: int) -> None:
        """I29: the guard has business with its gateway, and with nobody else."""
        if machine.startswith("guard") and (host, port) != self.origin:
            self._fail("I29", f"{machine} connects to {host}:{port}")

    def begins(self, machine: str, url: str, body: bytes) -> None:
        """I10, I11: reads within the budget, one sized call of a contract at a time."""
        if url.endswith(_CLOSES):
            key = machine, url, _target(body)
            self._under_way[key] += 1
            if self._under_way[key] > (MOST_CLOSES if url.endswith("/closeContract") else 1):
                self._fail("I11", f"{self._under_way[key]} {url} under way for {body!r}")
        elif any(part in url for part in _READS):
            self._reads_s[machine].append(self._elapsed_s())
            reads = self._in_last_minute(self._reads_s[machine])
            if reads > READS_PER_MINUTE:
                self._fail("I10", f"{reads} reads in a minute")

    def ends(self, machine: str, url: str, body: bytes) -> None:
        if url.endswith(_CLOSES):
            self._under_way[machine, url, _target(body)] -= 1

    def answered(self, machine: str, url: str, body: bytes, reply: Reply) -> None:
        """Note which lists of an account have been read, and which the venue had no room for."""
        if reply.status != 429:
            self._taken_s.append(self._elapsed_s())
            if url.endswith(_ENFORCING):
                self._enforcing_s.append(self._elapsed_s())
        is_young = self._elapsed_s() - self.begun_s < MINUTE_S
        is_look = "/Position/search" in url or "/Order/v2" in url or url.endswith("/loginKey")
        if (self.is_crowded() or is_young) and is_look and reply.status == 429:
            self.crowded_out_s[_account(body)] = self._elapsed_s()
        if "/Trade/search" in url and machine.startswith("guard") and b'"trades":[' in reply.body:
            self.fills_read_s[_account(body)] = self._elapsed_s()
        for name, (part, mark) in _LISTS.items():
            if part in url and reply.status == 200 and mark in reply.body:
                self._listed_s[machine, _account(body), name] = self._elapsed_s()

    def read(self, machine: str, snapshot: SnapshotTaken, began_s: float) -> None:
        """I14: what a snapshot says was in an answer; what no answer held is unknown, and never empty."""
        for name in _LISTS:
            listed_s = self._listed_s.get((machine, snapshot.account_id, name), 0.0)
            if getattr(snapshot, name) is not None and listed_s < began_s:
                self._fail("I14", f"{snapshot.account_id}: {name} {getattr(snapshot, name)}, which nobody has listed")

    def is_crowded(self) -> bool:
        """Whether enforcement has asked for so much in the last minute that the venue has hardly room for more.

        Or whether somebody has, of whom the present run cannot know.
        """
        enforcing, taken = self._in_last_minute(self._enforcing_s), self._in_last_minute(self._taken_s)
        is_unknown = not self._is_before_known and self._elapsed_s() - self.begun_s < MINUTE_S
        return taken > CALLS_PER_MINUTE and (enforcing > ENFORCING_PER_MINUTE or is_unknown)

    def _in_last_minute(self, times_s: deque[float]) -> int:
        while times_s and times_s[0] <= self._elapsed_s() - MINUTE_S:
            times_s.popleft()
        return len(times_s)

    def check_secret(self, where: str, texts: Iterable[str]) -> None:
        """I28: neither key nor tokens are written down."""
        for text in texts:
            if any(secret in text for secret in self.secrets):
                self._fail("I28", f"{where} gives a secret away")


def _target(body: bytes) -> str:
    payload = msgspec.json.decode(body, type=dict)
    return f"{payload['accountId']} {payload['contractId']}"


def _account(body: bytes) -> str:
    payload = msgspec.json.decode(body, type=dict)
    return str(payload.get("accountId", payload.get("filter", {}).get("accountId", "")))
