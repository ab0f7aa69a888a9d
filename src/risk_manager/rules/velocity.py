"""Stop when money goes too fast.

`max_loss` is how many dollars the day's result may fall within `window_seconds` (default 60, at most an hour). The
result is closed and open profit together; fees and commissions count (`include_fees: true`). It is measured from the
highest result inside the window, which slides: a slow bleed of the same size does not fire, for that is what the daily
loss is for. At the limit the rule fires (`inclusive: false`: only beyond it).

`action` says what happens:

- `flatten` (default): all positions are closed, all orders cancelled and the account locked.
- `pause`: orders that would add are cancelled and the account locked against new exposure; open positions stay.
- `alert`: nothing is done.

`lockout` (default `15m`) is how long; it may also be `reset`, the end of the trading day, or `false`. The fall that
fired is used up: after the lockout it takes another fall of `max_loss` to fire again. The window begins anew with each
trading day.

Example: `max_loss: 300` and `window_seconds: 60`. The day stands at +100 at 10:00:00 and at -200 at 10:00:59: a fall of
300 within the minute, everything is closed. Had the same fall taken until 10:01:01, nothing would have happened.

What it does not do: it cannot see a loss faster than the quotes come, and a position without a quote is reported as
not evaluated. What a position had lost before its first quote, or a fill the venue takes back, is no fall within the
window. Within a second only the highest result is remembered, in longer windows within a sixtieth of the window; that
can make the window longer by so much, never shorter.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.day_budget import DayBasis, day_result_micros
from risk_manager.domain.events import Event, FillReceived, PositionUpdated, QuoteUpdated, SnapshotTaken
from risk_manager.domain.finding import Breach, Finding, Gauge, Skipped, Unit
from risk_manager.domain.lockout import LockoutKind
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import LockTerms, LockUntil, Remedy, Slack, quote_missing
from risk_manager.rules._day_result import contradictions_of
from risk_manager.rules._options import Fault, dollars_text
from risk_manager.rules._stopping import Action, remedy_of

_SECOND_NS = 1_000_000_000
_BUCKETS = 60
_BASIS = DayBasis.REALIZED_PLUS_UNREALIZED


class Peak(msgspec.Struct, frozen=True, gc=False):
    """The highest result of a stretch of time; `bucket` is the stretch's number since 1970."""

    bucket: int
    result_micros: int


class Fall(msgspec.Struct, frozen=True):
    """What the rule remembers of a trading day.

    Attributes:
        peaks: those inside the window, each lower than the one before.
        has_fills: the day's fills have been read; what they brought before is no fall.
        unpriced: holdings that could not be valued at the last look.
    """

    label: str = ""
    peaks: tuple[Peak, ...] = ()
    has_fills: bool = False
    unpriced: tuple[str, ...] = ()


class Velocity(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the rule; see the module's text."""

    name: ClassVar[str] = "velocity"
    listens_to: ClassVar[frozenset[type]] = frozenset({PositionUpdated, FillReceived, QuoteUpdated})
    example: ClassVar[Mapping[str, object]] = {"max_loss": 300, "window_seconds": 60}
    aliases: ClassVar[Mapping[str, str]] = {"loss_limit": "max_loss", "limit": "max_loss"}

    max_loss_micros: Annotated[int, msgspec.Meta(gt=0)]
    window_ns: Annotated[int, msgspec.Meta(ge=_SECOND_NS, le=3600 * _SECOND_NS)] = 60 * _SECOND_NS
    inclusive: bool = True
    include_fees: bool = True
    action: Action = Action.FLATTEN
    lockout: LockTerms | None = LockTerms(LockUntil.DURATION, 900 * _SECOND_NS)

    @property
    def remedy(self) -> Remedy:
        return remedy_of(self.action, self.lockout, LockoutKind.COOLDOWN)

    def initial_state(self) -> Fall:
        return Fall()

    def deadline_ns(self, state: Fall) -> None:
        return None

    def step(self, state: Fall, event: Event, account: AccountView) -> tuple[Fall, tuple[Finding | Skipped, ...]]:
        result = day_result_micros(account, _BASIS, self.include_fees)
        if not state.has_fills and not _reads_fills(event, account):
            return state, ((Skipped(self.name, "fills_unknown"),) if account.holdings else ())
        skipped = quote_missing(self.name, account.unpriced)
        peaks = self._remembering(self._comparable(state, event, account), result, account)
        loss = peaks[0].result_micros - result
        if loss < self.max_loss_micros or (loss == self.max_loss_micros and not self.inclusive):
            return _fall(state, peaks, account), skipped
        # What has fired is used up: the next fall is measured from here.
        breach = self._breach(peaks[0].result_micros, result)
        return _fall(state, (Peak(peaks[-1].bucket, result),), account), (*skipped, breach)

    def slack(self, state: Fall, account: AccountView) -> Slack | None:
        if not state.has_fills:
            return None
        result = day_result_micros(account, _BASIS, self.include_fees)
        # Until a stretch begins or leaves the window, a result that is not the highest leaves the peaks as they are.
        stretch_ns, now_ns = self._bucket_ns, account.now_ns
        ends = (stretch_ns - now_ns % stretch_ns, stretch_ns - (now_ns - self.window_ns) % stretch_ns)
        until_ns = min(now_ns + min(ends), account.day.end_ns)
        first, last = state.peaks[0].result_micros, state.peaks[-1].result_micros
        return Slack(result - first + self.max_loss_micros, last - result + 1, until_ns)

    def gauges(self, state: Fall, account: AccountView) -> tuple[Gauge, ...]:
        peaks = self._inside(state, account)
        result = day_result_micros(account, _BASIS, self.include_fees)
        loss = peaks[0].result_micros - result if peaks else 0
        return (Gauge(f"loss in {self.window_ns // _SECOND_NS} s", max(0, loss), self.max_loss_micros, Unit.MICROS),)

    def contradictions(self) -> tuple[Fault, ...]:
        return tuple(contradictions_of(self.action, self.lockout))

    # -- inside -------------------------------------------------------------------------------------------------

    @property
    def _bucket_ns(self) -> int:
        return max(_SECOND_NS, self.window_ns // _BUCKETS)

    def _inside(self, state: Fall, account: AccountView) -> tuple[Peak, ...]:
        """The peaks that still lie in the window, oldest and highest first."""
        if state.label != account.day.label:
            return ()
        # A bucket counts until the last of it has left the window: what it holds may have been seen up to its end.
        oldest = (account.now_ns - self.window_ns) // self._bucket_ns
        if not state.peaks or state.peaks[0].bucket >= oldest:
            return state.peaks
        return tuple(peak for peak in state.peaks if peak.bucket >= oldest)

    def _comparable(self, state: Fall, event: Event, account: AccountView) -> tuple[Peak, ...]:
        """The peaks inside the window, as they would have been with what can be valued now."""
        peaks = self._inside(state, account)
        if type(event) is FillReceived and event.fill.is_voided:
            return ()
        if not state.unpriced and not account.unpriced:
            return peaks
        # One with a quote had a value before, which has left the result unseen; one without never had.
        lost = [account.holdings[one] for one in account.unpriced if one not in state.unpriced]
        if any(holding.quote is not None for holding in lost):
            return ()
        found = [account.holdings.get(one) for one in state.unpriced if one not in account.unpriced]
        jump = sum(one.unrealized_micros or 0 for one in found if one is not None)
        return tuple(Peak(peak.bucket, peak.result_micros + jump) for peak in peaks) if jump else peaks

    def _remembering(self, peaks: tuple[Peak, ...], result: int, account: AccountView) -> tuple[Peak, ...]:
        """The peaks with this result among them."""
        bucket = account.now_ns // self._bucket_ns
        # A peak at or below this result will never again be the highest in the window.
        higher = tuple(peak for peak in peaks if peak.result_micros > result)
        return higher if higher and higher[-1].bucket == bucket else (*higher, Peak(bucket, result))

    def _breach(self, highest: int, result: int) -> Breach:
        return Breach(
            self.name,
            "VELOCITY",
            result - highest,
            -self.max_loss_micros,
            Unit.MICROS,
            ACCOUNT,
            evidence=(
                ("window", f"{self.window_ns // _SECOND_NS} s"),
                ("from", dollars_text(highest)),
                ("to", dollars_text(result)),
            ),
        )


def _reads_fills(event: Event, account: AccountView) -> bool:
    return account.now_ns != 0 and type(event) is SnapshotTaken and event.fills is not None


def _fall(known: Fall, peaks: tuple[Peak, ...], account: AccountView) -> Fall:
    """The state with these peaks; the one that is known where they are in it."""
    fall = Fall(account.day.label, peaks, True, tuple(sorted(account.unpriced)))
    return known if fall == known else fall
