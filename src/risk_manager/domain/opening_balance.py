"""The balance a trading day began with: what makes an equity of the day's result without counting anything twice.

The venue tells an account's balance and its fills apart, and neither waits for the other. Balance plus open profit is
therefore wrong for a moment at every close: the profit is counted twice, or not at all. Instead the day's opening
balance is kept, and equity is that, plus the day's closed result less fees, plus open profit: the latter two come from
one ledger, which a fill moves as a whole. A balance the venue tells is only held against it, and believed when no fill
is near.

Until that is so, the opening balance is known within bounds: what may or may not be contained in a record widens them.
Whoever looks for a loss takes the upper bound, whoever remembers a peak the lower one.
"""

import msgspec
from msgspec.structs import replace

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import AccountUpdated, Event, FillReceived, SnapshotTaken
from risk_manager.domain.fill import Fill

SETTLE_NS = 2_000_000_000
"""How far what the venue tells in one place may lag behind another (projectx.md 2.4: 50-200 ms, seconds at worst)."""

CARRY_NS = 60_000_000_000
"""How long a day's opening balance that is only computed waits for the venue's own word before it is believed."""


class OpeningBalance(msgspec.Struct, frozen=True):
    """The opening balance of a trading day, money in micros.

    Attributes:
        low_micros, high_micros: its bounds, equal when it is known; low None while nothing is known.
        net_micros: the day's closed result, fees off, when last followed.
        has_fills: whether the day's fills have been read; before that no balance says what the day began with.
        is_settled: nothing that is under way can change the bounds any more.
        told_ns: venue time of the record the bounds were read from; 0 where they were carried over from a day before.
        due_ns: venue time at which they settle by themselves; None: only another record settles them.
        held: contracts that were held when the record was read: their closing may be in it already.
        doubt_micros, doubt_ns: another opening balance the venue has spoken for, and since when.
        ignored_micros: money that came by no fill; it is in the venue's balance and not in ours.
        taken_micros: money that left by no fill today; it is in neither.
    """

    day: str = ""
    day_end_ns: int = 0
    low_micros: int | None = None
    high_micros: int = 0
    net_micros: int = 0
    has_fills: bool = False
    is_settled: bool = False
    told_ns: int = 0
    due_ns: int | None = None
    held: tuple[str, ...] = ()
    last_fill_ns: int = 0
    doubt_micros: int | None = None
    doubt_ns: int = 0
    ignored_micros: int = 0
    taken_micros: int = 0

    @property
    def is_exact(self) -> bool:
        """Whether it is one figure that no closing under way is suspected to be in."""
        return self.low_micros == self.high_micros and (self.is_settled or not self.told_ns)


def followed(known: OpeningBalance, event: Event, account: AccountView, *, is_trusted: bool = False) -> OpeningBalance:
    """What is known after an event the account has taken in; quotes need not be followed within a day.

    Args:
        is_trusted: take a changed balance as the venue tells it, though no fill explains it.
    """
    net = net_micros(account)
    opening = _in_day(known, account)
    match event:
        case FillReceived(fill=fill):
            opening = _after_fill(opening, fill, net, account)
        case AccountUpdated():
            opening = _told(opening, event.account.balance_micros, (), net, account, is_trusted=is_trusted)
        case SnapshotTaken():
            opening = _after_snapshot(opening, event, net, account, is_trusted=is_trusted)
    if not opening.is_settled and opening.due_ns is not None and account.now_ns >= opening.due_ns:
        opening = replace(opening, is_settled=True, due_ns=None, held=())
    return opening if opening.net_micros == net else replace(opening, net_micros=net)


def net_micros(account: AccountView) -> int:
    """The day's closed result, fees and commissions taken off."""
    return account.realized_micros - account.fees_micros


def uncertain_loss_micros(opening: OpeningBalance, account: AccountView) -> int:
    """How much of the open losses, >= 0, the balance may contain already; 0 once that would have been heard of."""
    if account.now_ns >= opening.told_ns + SETTLE_NS:
        return 0
    held = (account.holdings.get(contract_id) for contract_id in opening.held)
    return -sum(min(0, one.unrealized_micros or 0) for one in held if one is not None)


# -- inside -----------------------------------------------------------------------------------------------------


def _in_day(known: OpeningBalance, account: AccountView) -> OpeningBalance:
    """The same in the account's trading day: where a day ended, the next begins."""
    day = account.day
    if known.day == day.label:
        return known
    fresh = replace(
        known, day=day.label, day_end_ns=day.end_ns, net_micros=0, doubt_micros=None, taken_micros=0, held=()
    )
    if known.day_end_ns != day.start_ns:
        # Days went by unseen: only the venue knows what they brought, and no fill of this one has been read.
        return replace(fresh, low_micros=None, has_fills=False, is_settled=False, told_ns=0, due_ns=None)
    if known.low_micros is None:
        return fresh
    return replace(
        fresh,
        low_micros=known.low_micros + known.net_micros,
        high_micros=known.high_micros + known.net_micros,
        is_settled=False,
        told_ns=0,
        due_ns=account.now_ns + CARRY_NS,
    )


def _after_fill(opening: OpeningBalance, fill: Fill, net: int, account: AccountView) -> OpeningBalance:
    opening = replace(opening, last_fill_ns=max(opening.last_fill_ns, fill.at_ns), doubt_micros=None)
    if fill.at_ns < account.day.start_ns:
        # A fill of the day before may have come too late for the sum that was carried over.
        carried = opening.low_micros is not None and opening.is_settled
        return replace(opening, is_settled=False, told_ns=0, due_ns=account.now_ns + CARRY_NS) if carried else opening
    is_after = fill.at_ns > opening.told_ns
    is_new = is_after and (fill.contract_id not in opening.held or fill.at_ns > opening.told_ns + SETTLE_NS)
    return opening if is_new else _widened(opening, net)


def _widened(opening: OpeningBalance, net: int) -> OpeningBalance:
    """The bounds when what has just changed the day's result may be in the record they were read from."""
    change = net - opening.net_micros
    if opening.low_micros is None or opening.is_settled or not opening.told_ns or not change:
        return opening
    low = opening.low_micros + min(0, -change)
    high = opening.high_micros + max(0, -change)
    return replace(opening, low_micros=low, high_micros=high, due_ns=None)


def _after_snapshot(
    opening: OpeningBalance, event: SnapshotTaken, net: int, account: AccountView, *, is_trusted: bool
) -> OpeningBalance:
    recent: tuple[Fill, ...] = ()
    if event.fills is not None:
        last_ns = max([opening.last_fill_ns, *[fill.at_ns for fill in event.fills]])
        if not opening.has_fills or last_ns != opening.last_fill_ns:
            opening = replace(opening, has_fills=True, last_fill_ns=last_ns)
        since_ns = event.at_ns - SETTLE_NS
        if last_ns > since_ns:
            recent = tuple(one for one in event.fills if one.at_ns > since_ns and not one.is_voided)
        if net != opening.net_micros:
            opening = replace(_widened(opening, net), doubt_micros=None)
    if event.account is None or (event.fills is None and not _is_calm(opening, account)):
        return opening
    return _told(opening, event.account.balance_micros, recent, net, account, is_trusted=is_trusted)


def _told(
    opening: OpeningBalance,
    balance: int,
    recent: tuple[Fill, ...],
    net: int,
    account: AccountView,
    *,
    is_trusted: bool,
) -> OpeningBalance:
    """What is known after the venue has told the balance.

    Args:
        recent: fills of the moment that were read with it, each of which it may contain or not.
    """
    if not opening.has_fills:
        return opening
    spoken = balance - opening.ignored_micros - net
    if opening.is_settled:
        return _doubted(opening, spoken, account, is_trusted=is_trusted)
    is_calm = _is_calm(opening, account)
    if opening.low_micros == opening.high_micros == spoken:
        # Carried over and told: two witnesses. Told twice, it waits for the fills that may still come.
        return replace(opening, is_settled=True, due_ns=None) if is_calm and not opening.told_ns else opening
    if not is_calm and not recent:
        return opening
    changes = [(fill.pnl_micros or 0) - fill.fees_micros for fill in recent]
    low = spoken + sum(change for change in changes if change < 0)
    high = spoken + sum(change for change in changes if change > 0)
    return replace(
        opening,
        low_micros=low,
        high_micros=high,
        told_ns=account.now_ns,
        due_ns=account.now_ns + SETTLE_NS if low == high else None,
        held=tuple(sorted(account.holdings)),
    )


def _doubted(opening: OpeningBalance, spoken: int, account: AccountView, *, is_trusted: bool) -> OpeningBalance:
    """Hold what the venue tells against what is known: a difference counts when told twice and no fill is near."""
    if spoken == opening.low_micros or not _is_calm(opening, account):
        return opening if opening.doubt_micros is None else replace(opening, doubt_micros=None)
    if spoken != opening.doubt_micros:
        return replace(opening, doubt_micros=spoken, doubt_ns=account.now_ns)
    if account.now_ns - opening.doubt_ns < SETTLE_NS:
        return opening
    opening = replace(opening, doubt_micros=None)
    if is_trusted:
        return replace(opening, low_micros=spoken, high_micros=spoken)
    return _moved(opening, spoken - (opening.low_micros or 0))


def _moved(opening: OpeningBalance, by_micros: int) -> OpeningBalance:
    """Money that came or left by no fill: what comes is not counted, what leaves is; what returns undoes it."""
    before = opening.low_micros or 0
    if by_micros > 0:
        returned = min(by_micros, opening.taken_micros)
        after, taken = before + returned, opening.taken_micros - returned
        ignored = opening.ignored_micros + by_micros - returned
    else:
        undone = min(-by_micros, opening.ignored_micros)
        after, taken = before + by_micros + undone, opening.taken_micros - by_micros - undone
        ignored = opening.ignored_micros - undone
    return replace(opening, low_micros=after, high_micros=after, taken_micros=taken, ignored_micros=ignored)


def _is_calm(opening: OpeningBalance, account: AccountView) -> bool:
    """Whether the last fill is long enough ago for every place at the venue to have told of it."""
    return account.now_ns - opening.last_fill_ns >= SETTLE_NS
