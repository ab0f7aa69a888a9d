"""I4: every breach the exchange's books show is acted on, unless it is over before anybody could know of it.

What is owed, and from when on:

- A breach is owed once the books have shown it, without a break and with nothing disturbed, for as long as a frame
  takes to reach the guard at most. Every frame until then shows it, so what the rule's remedy says has to come about,
  even if the breach is over by then: a quote may come back. What lasted less is not owed, as no frame that has reached
  the guard need have shown it together with what was held.
- Where the rule has to wait for a list of orders (`no_stop_loss_grace`) that is as long as the list may be old.
- What a fault interrupts before it was acted on is owed anew if the books still show it when the fault and the waiting
  it has caused are over, and not otherwise.
- From then on there are `REACTION_S` seconds and what `Checks` adds to them, as for a lockout; none of a crowded minute
  count, and none of those in which the exchange fills the guard's own orders part by part.
- Where the rule locks, what it wants is owed again and again until the lock ends: there is an instant of it within as
  many seconds after each exposure. A lock is owed from when the breach was acted on, for as long as the rule says from
  when the books showed it: the guard knows of it later, never earlier.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from risk_manager.domain.order import OrderStatus, OrderType
from risk_manager.domain.trading_day import TradingDay
from risk_manager.simulator.emissions import AccountChanged, Emission, FillHappened, OrderChanged, QuoteChanged
from risk_manager.simulator.records import SimOrder
from tests.simulation.books import Asked, Books
from tests.simulation.breaches import Goal, Options, Picture, Remedy, Shown, duration_ns, remedy_of, shown
from tests.simulation.history import History
from tests.simulation.loop import SECOND_NS
from tests.simulation.network import PEER

LOOK_S = 2.7
"""So often one account is looked at, one after the other, when enforcement has used up the venue's calls."""

ORDERS_READ_S = 10.0
"""How old the guard's last list of orders may be while the venue answers, at least."""

SETTLE_S = 18.0
"""For so long the guard lets a reduction have its effect before the next: seven seconds and two looks. It waits in vain
for one whose order has been cancelled, be it by itself, when the order seemed too large for what was left; and for one
whose order it takes for another's, where a close before it has met more than was known of, or the reduction itself a
position that has been turned round: it goes by the size, and by the side. With many accounts two looks take longer.
"""

BURST_NS = SECOND_NS
"""For so long what is held may still change of which a pause lets be as much as there was."""

LOCKED = " lock"
"""Ends the name under which what a rule's lock forbids is judged."""


class Tally(msgspec.Struct):
    """Breaches of a rule: owed; ended after the guard did something, ended without, and neither in time."""

    owed: int = 0
    acted: int = 0
    passed: int = 0
    missed: int = 0

    @property
    def seen(self) -> int:
        return self.acted + self.passed + self.missed


class Case(msgspec.Struct):
    """A breach, from when the books show it until it is over.

    Attributes:
        since_ns, since_s: when it was first shown, or the last disturbance with its waiting was over.
        nets: what was held then and has not been gone since.   orders: those that could open then, and still work.
        least, most: held since, for a moment, by contract.
        fills: of the trader's own since.   calls: the guard's doings at the exchange since.
        is_settled: it was acted on.   is_missed: it was not, and was told; once is enough.
    """

    rule: str
    scope: str
    remedy: Remedy
    until_ns: int | None
    since_ns: int
    since_s: float
    nets: dict[str, int]
    orders: set[int]
    least: dict[str, int]
    most: dict[str, int]
    fills: int = 0
    calls: int = 0
    is_owed: bool = False
    is_settled: bool = False
    is_missed: bool = False


class Lock(msgspec.Struct, frozen=True):
    """What a rule forbids for a while: everything (FLAT), or more than was held (PAUSED)."""

    goal: Goal
    until_ns: int
    least: dict[str, int]
    most: dict[str, int]


class Judge:
    """Args:
        rules: of the accounts that are judged; may change at any time.
        elapsed_s: the loop's time.   heard_s: how long a frame takes to the guard at most.
        patience_s: given the orders that work and the trader's fills meanwhile.
        is_disturbed: whether a fault, or the waiting after it, is not over for an account.
        is_crowded: whether the venue has no room for more calls.
        fail: told the invariant and what is wrong.

    Attributes:
        tallies: by rule.
    """

    def __init__(
        self,
        books: Books,
        accounts: Collection[int],
        rules: Mapping[int, Mapping[str, Options]],
        day_of: Callable[[int], TradingDay],
        *,
        elapsed_s: Callable[[], float],
        heard_s: float,
        patience_s: Callable[[int, int], float],
        is_disturbed: Callable[[int], bool],
        is_crowded: Callable[[], bool],
        fail: Callable[[str, str], None],
    ) -> None:
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._books = books
        self._rules = rules
        self._elapsed_s = elapsed_s
        self._heard_s = heard_s
        self._patience_s = patience_s
        self._is_disturbed = is_disturbed
        self._is_crowded = is_crowded
        self._fail = fail
        heard_ns = round(heard_s * SECOND_NS)
        round_s = LOOK_S * len(accounts)
        self._orders_read_s = max(ORDERS_READ_S, round_s)
        self._settle_s = max(SETTLE_S, 7 + 2 * round_s)
        self._histories = {account: History(books, account, day_of, heard_ns) for account in accounts}
        self._armed: dict[int, dict[str, Any]] = {}
        self._cases: defaultdict[int, dict[tuple[str, str], Case]] = defaultdict(dict)
        self._locks: defaultdict[int, dict[str, Lock]] = defaultdict(dict)
        self._traded_ns: dict[tuple[int, str], int] = {}
        self._hindered_s: dict[int, float] = {}
        self._closing_s: defaultdict[int, float] = defaultdict(float)
        self._crowded_s = 0.0
        books.subscribe(self._receive)

    # -- what is seen --------------------------------------------------------------------------------------------

    def asked(self, asked: Asked) -> None:
        """Note a close, or a reduction, that has met what the guard cannot have heard of."""
        if asked.refusal is not None or not asked.sender.startswith("guard"):
            return
        changed_ns = 0
        if asked.kind == "close":
            changed_ns = self._traded_ns.get((asked.account_id, asked.contract_id), 0)
        elif asked.kind == "reduce":
            changed_ns = self._histories[asked.account_id].gone_ns.get(asked.contract_id, 0)
        if asked.at_ns - changed_ns < 2 * self._heard_s * SECOND_NS:
            self._hinder(asked.account_id)

    def locked_by(self, account: int) -> list[str]:
        """The rules that have to keep an account locked now."""
        now_ns = self._books.now_ns
        return [rule for rule, lock in self._locks[account].items() if now_ns < lock.until_ns]

    def look(self) -> None:
        """Judge all accounts: some things become wrong by the mere passing of time."""
        for account in self._histories:
            self._judge(account)

    def _receive(self, emission: Emission) -> None:
        match emission:
            case FillHappened() if not emission.is_resend or emission.fill.is_voided:
                self._histories[emission.account_id].filled(emission.fill)
                key = emission.account_id, emission.fill.contract_id
                if not self._books.sender_of(emission.fill.order_id).startswith("guard"):
                    self._traded_ns[key] = emission.at_ns
                    for case in self._cases[emission.account_id].values():
                        case.fills += 1
                self._judge(emission.account_id)
            case OrderChanged():
                self._note_deed(emission.account_id, emission.order)
                self._judge(emission.account_id)
            case AccountChanged():
                self._judge(emission.account_id)
            case QuoteChanged():
                for account in self._histories:
                    if self._books.net(account, emission.contract_id):
                        self._judge(account)

    def _note_deed(self, account: int, order: SimOrder) -> None:
        """What the guard has done about an order, or somebody about one of the guard's."""
        is_guards_deed = PEER.get().startswith("guard")
        is_guards = order.type is OrderType.MARKET and self._books.sender_of(order.id).startswith("guard")
        for case in self._cases[account].values():
            case.calls += is_guards_deed
        if is_guards and order.status is OrderStatus.CANCELLED:
            self._hinder(account)

    def _hinder(self, account: int) -> None:
        """Note that a reduction may be waited for in vain."""
        self._hindered_s[account] = self._elapsed_s()

    # -- judging -------------------------------------------------------------------------------------------------

    def _judge(self, account: int) -> None:
        rules = self._rules.get(account, {})
        history, now_ns = self._histories[account], self._books.now_ns
        history.turn_day(now_ns)
        is_disturbed = self._is_disturbed(account)
        if is_disturbed:
            history.unsettle()
        if rules != self._armed.get(account, {}):
            self._arm(account, rules)
        cases = self._cases[account]
        is_let_be = not self._locks[account] and all(
            case.is_settled or case.rule == "trade_management" for case in cases.values()
        )
        picture = Picture(self._books, account, now_ns, history, is_let_be=is_let_be)
        history.see(now_ns, picture.result_micros, picture.positions, picture.orders)
        if not rules:
            return
        found = self._shown(account, rules, picture)
        for key, (one, remedy) in found.items():
            known = cases.get(key)
            if known is None or (known.is_settled and (one.until_ns or 0) > (known.until_ns or 0)):
                cases[key] = self._opened(key, one, remedy, picture)
        if self._is_crowded():
            self._crowded_s = self._elapsed_s()
        if self._books.is_closing(account):
            self._closing_s[account] = self._elapsed_s()
        for key, case in list(cases.items()):
            is_over = self._step(account, case, picture, is_shown=key in found, is_disturbed=is_disturbed)
            if is_over:
                del cases[key]

    def _arm(self, account: int, rules: Mapping[str, Options]) -> None:
        """Other rules: what those that are gone have demanded, nobody owes any more."""
        self._armed[account] = dict(rules)
        self._histories[account].unsettle()
        names = {*self._armed[account], *(f"{rule}{LOCKED}" for rule in self._armed[account])}
        self._cases[account] = {key: case for key, case in self._cases[account].items() if key[0] in names}
        self._locks[account] = {rule: lock for rule, lock in self._locks[account].items() if rule in names}

    def _shown(
        self, account: int, rules: Mapping[str, Options], picture: Picture
    ) -> dict[tuple[str, str], tuple[Shown, Remedy]]:
        """Every breach the books show now, with its remedy; what a lock forbids is one, too."""
        found = {}
        for rule, options in rules.items():
            for one in shown(rule, options, picture):
                found[rule, one.scope] = one, remedy_of(rule, options)
        locks = self._locks[account]
        for rule, lock in list(locks.items()):
            if picture.now_ns >= lock.until_ns:
                del locks[rule]
            elif not _is_reached(lock.goal, picture, lock.least, lock.most):
                found[f"{rule}{LOCKED}", ""] = Shown(), Remedy(Goal.GONE)
        return found

    def _opened(self, key: tuple[str, str], one: Shown, remedy: Remedy, picture: Picture) -> Case:
        case = Case(*key, remedy, one.until_ns, 0, 0.0, {}, set(), {}, {})
        self._begin(case, picture)
        return case

    def _begin(self, case: Case, picture: Picture) -> None:
        """Count from now on."""
        case.since_ns, case.since_s, case.is_owed = picture.now_ns, self._elapsed_s(), False
        case.nets, case.least, case.most = dict(picture.nets), dict(picture.nets), dict(picture.nets)
        case.orders = {order.id for order in picture.openers}

    def _step(self, account: int, case: Case, picture: Picture, *, is_shown: bool, is_disturbed: bool) -> bool:
        """Go on with a case; whether it is over."""
        if case.is_missed or case.is_settled:
            # Without a lock what comes after an enforcement is a breach of its own.
            return not is_shown or (case.is_settled and case.remedy.lock is None)
        if is_disturbed:
            if is_shown:
                self._begin(case, picture)
                return False
            self._count_end(case, picture)
            return True
        waits_s = self._orders_read_s if case.rule == "no_stop_loss_grace" else self._heard_s
        tally = self.tallies[case.rule]
        if not case.is_owed and self._elapsed_s() - case.since_s >= waits_s:
            case.is_owed = True
            tally.owed += 1
        case.nets = {key: net for key, net in case.nets.items() if picture.nets.get(key, 0) * net > 0}
        case.orders &= {order.id for order in picture.openers}
        if picture.now_ns - case.since_ns <= BURST_NS:
            for contract_id in {*picture.nets, *case.most}:
                net = picture.nets.get(contract_id, 0)
                case.least[contract_id] = min(case.least.get(contract_id, 0), net)
                case.most[contract_id] = max(case.most.get(contract_id, 0), net)
        if not case.is_owed:
            if not is_shown:
                self._count_end(case, picture)
            return not is_shown
        if self._is_done(case, picture, is_shown=is_shown):
            self._count_end(case, picture)
            case.is_settled = True
            self._lock(account, case)
            return not is_shown
        hindered_s = self._hindered_s.get(account, -self._settle_s) + self._settle_s
        late_s = self._elapsed_s() - max(case.since_s + waits_s, self._crowded_s, self._closing_s[account], hindered_s)
        if late_s > self._patience_s(len(picture.orders), case.fills):
            tally.missed += 1
            case.is_missed = True
            self._fail("I4", f"{account} {case.rule} {case.scope}: {_told(case, picture)}")
        return False

    def _count_end(self, case: Case, picture: Picture) -> None:
        """Count a breach that is over, but one of an instant: an order is told before it is refused."""
        tally = self.tallies[case.rule]
        if case.calls:
            tally.acted += 1
        elif picture.now_ns > case.since_ns or case.is_owed:
            tally.passed += 1

    def _is_done(self, case: Case, picture: Picture, *, is_shown: bool) -> bool:
        match case.remedy.goal:
            case Goal.GONE:
                return not is_shown
            case Goal.CLOSED:
                return case.scope not in case.nets
            case Goal.EMPTIED:
                return not case.nets and not case.orders
            case goal:
                return _is_reached(goal, picture, case.least, case.most)

    def _lock(self, account: int, case: Case) -> None:
        if case.remedy.lock is None:
            return
        until_ns = case.until_ns
        if until_ns is None and case.remedy.lasts == "reset":
            until_ns = self._histories[account].day.end_ns
            # A breach of yesterday that was acted on today has locked yesterday.
            if case.since_ns < self._histories[account].day.start_ns:
                return
        elif until_ns is None:
            until_ns = case.since_ns + duration_ns(case.remedy.lasts)
        known = self._locks[account].get(case.rule)
        if known is None or known.until_ns < until_ns:
            self._locks[account][case.rule] = Lock(case.remedy.lock, until_ns, case.least, case.most)


def _is_reached(goal: Goal, picture: Picture, least: Mapping[str, int], most: Mapping[str, int]) -> bool:
    """Whether an account is as a remedy or a lock wants it at this instant."""
    if goal is Goal.FLAT:
        return not picture.is_exposed
    if picture.adding:
        return False
    return all(
        min(0, least.get(contract_id, 0)) <= net <= max(0, most.get(contract_id, 0))
        for contract_id, net in picture.nets.items()
    )


def _told(case: Case, picture: Picture) -> str:
    orders = [(order.id, order.type.name, order.side.name, order.remaining) for order in picture.orders]
    return (
        f"shown since {case.since_ns} (the loop's {case.since_s:.2f} s), {case.calls} calls of the guard since; "
        f"held {picture.nets}, orders {orders}, result {picture.result_micros / 1e6:.2f}, open {picture.open_micros}"
    )
