"""What must hold, whatever happens: held against the exchange's own books and against what is on the disk.

The numbers are those of `docs/simulation.md`. A check sees everything as it happens and says which invariant is broken;
it never asks the guard what is true, only what it believes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    PlaceStop,
    PlaceTarget,
    ReducePosition,
)
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import SnapshotTaken
from risk_manager.domain.intent import Flat, IntentState, SizesAtMost
from risk_manager.domain.lockout import Lockout, OnLock
from risk_manager.domain.order import OrderType
from risk_manager.domain.scope import ACCOUNT, Scope
from risk_manager.ports.latch import Latched
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.recovery import AMNESIA
from risk_manager.simulator.records import PlaceOrder, SimFill, SimOrder
from tests.simulation.books import Asked, Books, Filled
from tests.simulation.breaches import opens
from tests.simulation.decided import Decided
from tests.simulation.history import STOPS
from tests.simulation.script import Rules
from tests.simulation.wire import Wire

SECOND_NS = 1_000_000_000
EARLY_NS = 10_000_000
"""How much earlier than its end by the exchange's clock a lockout may go: nothing but rounding."""

CALM_S = 15.0
"""How long after a fault the waiting times it has caused may last."""

REACTION_S = 5.0
REACTION_PER_ORDER_S = 0.4
REACTION_PER_REENTRY_S = 0.1
"""For every fill of a trader's before the account is flat: whoever trades so is as quick as the guard."""
STALE_NS = 10 * SECOND_NS
"""For so long a sized call may go by what the account was before somebody else traded."""
RACE_NS = 2 * SECOND_NS
"""How long it may take to hear of the end of a position and to have its stop cancelled."""

FRESH_S = 10.0
"""How old the last whole snapshot may be while the venue answers."""

BUGS = frozenset(
    {
        "internal error",
        "decision not journaled",
        "task ended",
        "rule cannot be kept in force",
        "damaged journal put aside",
        "memory of earlier runs lost",
        "guard not stopped in good order",
    }
)
"""What the product logs when something is broken that is ours."""

LockKey = tuple[Scope, str]


class Checks:
    """Args: now_ns: the exchange's time.   elapsed_s: the loop's.

    Attributes:
        broken: what did not hold, in order.   rules: of the accounts whose rules were never changed.
        kept: what must stay in force although somebody has loosened it.   locks: what the disk holds.
        disturbed_until_s: when the last fault ends.
    """

    def __init__(
        self,
        books: Books,
        accounts: tuple[int, ...],
        calm: frozenset[int],
        now_ns: Callable[[], int],
        elapsed_s: Callable[[], float],
    ) -> None:
        self.books = books
        self.accounts = accounts
        self.broken: list[str] = []
        self.calm = calm
        self.disturbed_until_s = 0.0
        self.daemon: Daemon | None = None
        self.machine = ""
        self.rules: dict[int, Rules] = {}
        self.kept: dict[int, Rules] = {}
        self.day_end_ns: Callable[[int], int] = lambda at_ns: 0
        self.is_over = False
        self._now_ns = now_ns
        self._elapsed_s = elapsed_s
        self.locks: dict[int, dict[LockKey, Lockout]] = defaultdict(dict)
        self._sequence: dict[int, Decision] = {}
        self._actions: dict[int, list[Action]] = defaultdict(list)
        self._from_memory: set[tuple[str, str]] = set()
        self._unwritten: set[tuple[str, str]] = set()
        self._flat_ns: dict[int, int] = {}
        self._size_ns: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
        self._opened_ns: dict[tuple[int, str], int] = {}
        self._closed_ns: dict[tuple[int, str], int] = {}
        self._reduced_ns: dict[tuple[int, str], int] = {}
        self._traded_ns: dict[tuple[int, str], int] = defaultdict(int)
        self._exposed_since_s: dict[int, float] = {}
        self._reentries: dict[int, int] = defaultdict(int)
        self._crowded_s = 0.0
        self._read_s: dict[str, float] = {}
        self._opened_by_ns: dict[str, int] = {}
        self._latched: dict[int, Latched] = {}
        self._latched_ahead: dict[int, set[int]] = defaultdict(set)
        self._has_no_journal = self._is_latch_alone = False
        self._forgotten: set[int] = set()
        self.wire = Wire(self.fail, elapsed_s)
        self._decided = Decided(self.fail, self._is_excused)
        books.on_asked = self.asked
        books.on_filled = self.filled

    def fail(self, invariant: str, text: str) -> None:
        if not self.is_over:
            self.broken.append(f"{invariant} {text}")

    # -- at the exchange -----------------------------------------------------------------------------------------

    def asked(self, asked: Asked) -> None:
        if not asked.sender.startswith("guard"):
            self._traded_ns[asked.account_id, asked.contract_id] = asked.at_ns
            return
        if asked.account_id in self.calm - self._forgotten:
            self.fail("I18", f"asked for {asked.kind} on an account that keeps its rules: {asked}")
        self._check_written_ahead(asked)
        if asked.kind == "place":
            self._check_protection(asked)
        self._decided.asked(asked)
        if asked.refusal is not None:
            return
        if asked.kind == "close":
            self._closed_ns[asked.account_id, asked.contract_id] = asked.at_ns
        elif asked.kind == "reduce":
            self._check_reduction(asked)
        elif asked.kind == "cancel":
            self._check_cancel(asked)

    def _check_written_ahead(self, asked: Asked) -> None:
        """I5, I20, I23: somebody decided it, durably, for this account, before it arrived."""
        if any(_is_for(action, asked) for action in self._actions[asked.account_id]):
            return
        if (asked.sender, str(asked.account_id)) not in self._from_memory:
            self.fail("I5", f"no durable decision asks for {asked}")

    def _check_protection(self, asked: Asked) -> None:
        """I2: what the guard rests is against a position, and no larger."""
        order = asked.order
        assert isinstance(order, PlaceOrder)
        is_against = order.side.sign * asked.net_before < 0 and order.size <= abs(asked.net_before)
        key = asked.account_id, asked.contract_id
        # The guard's own close may have overtaken it: they are sent on connections of their own.
        is_overtaken = asked.at_ns - self._closed_ns.get(key, 0) < RACE_NS
        if not is_against and not is_overtaken and asked.at_ns - self._traded_ns[key] > STALE_NS:
            self.fail("I2", f"rests an order that would open: {asked}")

    def _check_reduction(self, asked: Asked) -> None:
        """I11: one excess is taken off once. Who traded since the last reduction may be unknown to the guard yet.

        So may be the end of what it closes itself in other contracts, which leaves more room for this one.
        """
        key = asked.account_id, asked.contract_id
        floor, left = self._floor(*key), abs(asked.net_before) - asked.size
        reduced_ns, self._reduced_ns[key] = self._reduced_ns.get(key, 0), asked.at_ns
        traded_ns = max(at_ns for (account, _), at_ns in self._traded_ns.items() if account == asked.account_id)
        shrunk = [*self._closed_ns.items(), *self._reduced_ns.items()]
        others_ns = [at_ns for (account, contract_id), at_ns in shrunk if account == key[0] and contract_id != key[1]]
        is_known = asked.at_ns - traded_ns > STALE_NS or traded_ns < reduced_ns
        is_known &= asked.at_ns - max(others_ns, default=0) > STALE_NS
        if floor is not None and left < floor and is_known:
            self.fail("I11", f"reduces below {floor} although nobody has traded since: {asked}")

    def _floor(self, account: int, contract_id: str) -> int | None:
        """How many contracts the account's only rule lets be; None where others have a say."""
        match self.rules.get(account):
            case {"max_contracts": {"limit": int(limit), **others}, **rest} if not others and not rest:
                held = sum(
                    abs(each.net_contracts) for each in self.books.positions(account) if each.contract_id != contract_id
                )
                return max(0, limit - held)
            case {"max_contracts_per_instrument": {"limits": dict(limits), "default_limit": int(default)}, **rest} if (
                not rest
            ):
                return int(limits.get(self.books.contracts[contract_id].contract.root, default))
        return None

    def _check_cancel(self, asked: Asked) -> None:
        """I12: as long as a position is held, its stops stay until it has been asked to be closed."""
        order, net = asked.order, asked.net_before
        if not isinstance(order, SimOrder) or not net:
            return
        is_stop = order.type in STOPS and order.side.sign * net < 0 and order.remaining <= abs(net)
        opened_ns = self._opened_ns.get((asked.account_id, asked.contract_id), asked.at_ns)
        closed_ns = self._closed_ns.get((asked.account_id, asked.contract_id), 0)
        traded_ns = self._traded_ns[asked.account_id, asked.contract_id]
        is_old = asked.at_ns - max(opened_ns, order.created_ns, traded_ns) > 2 * SECOND_NS
        covered = sum(
            each.remaining
            for each in self.books.live_orders(asked.account_id)
            if each.contract_id == asked.contract_id and each.type in STOPS and each.side is order.side
        )
        is_needed = is_stop and covered < abs(net) and not self.books.sender_of(order.id).startswith("guard")
        if is_needed and is_old and closed_ns < opened_ns and not self.is_disturbed():
            self.fail("I12", f"takes the stop of an open position away: {asked}")

    def filled(self, filled: Filled) -> None:
        fill, before, after = filled.fill, filled.net_before, filled.net_after
        key = fill.account_id, fill.contract_id
        if before == 0 or before * after < 0:
            self._opened_ns[key] = fill.at_ns
        self._size_ns[key].append((fill.at_ns, abs(after)))
        is_guards = filled.sender.startswith("guard")
        if not is_guards:
            self._traded_ns[key] = fill.at_ns
            self._reentries[fill.account_id] += 1
        elif (abs(after) >= abs(before) or before * after < 0) and not self._is_overtaken(fill):
            self.fail("I2", f"the guard's order {fill.order_id} took {before} to {after}: {fill}")
        self._decided.filled(filled)
        self.look()

    def _is_overtaken(self, fill: SimFill) -> bool:
        """Whether a stop or target was left behind when its position went, too shortly ago to be called back."""
        order = self.books.order(fill.account_id, fill.order_id)
        if order is None or order.type is OrderType.MARKET:
            return False
        key = fill.account_id, fill.contract_id
        return fill.at_ns - max(self._traded_ns[key], self._closed_ns.get(key, 0)) < RACE_NS or self.is_disturbed()

    def look(self) -> None:
        """Note which accounts are flat now, and since when the others are not."""
        for account in self.accounts:
            if not self.books.positions(account) and not self.opening_orders(account):
                self._flat_ns[account] = self._now_ns()
                self._exposed_since_s.pop(account, None)
                self._reentries.pop(account, None)
            elif self.books.is_closing(account):
                # The exchange fills it part by part, which nobody can hasten.
                self._exposed_since_s[account] = self._elapsed_s()
            else:
                self._exposed_since_s.setdefault(account, self._elapsed_s())

    def opening_orders(self, account: int) -> list[SimOrder]:
        nets = {each.contract_id: each.net_contracts for each in self.books.positions(account)}
        return [order for order in self.books.live_orders(account) if opens(order, nets.get(order.contract_id, 0))]

    # -- on the disk and in the guard ---------------------------------------------------------------------------

    def durable(self, decision: Decision) -> None:
        account = int(decision.account_id)
        last = self._sequence.get(account)
        if last is not None and last.sequence == decision.sequence:
            return
        # What a crash took from a journal that was out of order is known from the latch, at least that it was.
        before = {last.sequence if last is not None else 0} | self._latched_ahead[account]
        if decision.sequence - 1 not in before:
            self.fail("I23", f"decision {decision.sequence} follows {sorted(before)}")
        self._latched_ahead[account] = {one for one in self._latched_ahead[account] if one >= decision.sequence}
        self._sequence[account] = decision
        for intent in decision.intents:
            self._opened_by_ns.setdefault(intent.id, self._now_ns())
        self._decided.durable(decision, self._guard(account))
        self._actions[account].extend(decision.actions)
        locks = self.locks[account]
        for release in decision.lockouts_released:
            self._check_release(locks.pop((release.scope, release.rule), None), release.reason)
        for lockout in decision.lockouts_set:
            key = lockout.scope, lockout.rule
            if not _is_as_strict(lockout, locks.get(key)):
                self.fail("I1", f"{locks[key]} became {lockout}")
            self._check_end(account, lockout)
            locks[key] = lockout

    def _check_end(self, account: int, lockout: Lockout) -> None:
        """I26: a lockout until the reset lasts as long as the trading day it was set in."""
        options = self.rules.get(account, {}).get(lockout.rule, {})
        is_daily = options.get("lockout") == "reset" or lockout.rule == "daily_realized_loss"
        if not options or not is_daily or not lockout.set_ns or lockout.until_ns is None:
            return
        if lockout.until_ns < self.day_end_ns(lockout.set_ns):
            self.fail("I26", f"ends within its day: {lockout}")

    def latched(self, account: int, latched: Latched) -> None:
        """Note what the second memory holds: as good as the journal from then on."""
        self._latched[account] = latched
        self._latched_ahead[account].add(latched.sequence)

    def _ahead(self, account: int) -> Latched | None:
        """What the latch holds, if that is later than the journal's end."""
        latched, last = self._latched.get(account), self._sequence.get(account)
        return latched if latched is not None and (last is None or latched.sequence > last.sequence) else None

    def _is_disowned(self, lockout: Lockout) -> bool:
        """Whether the rule that would end it has been taken away: then it ends with the trading day (ADR 0012)."""
        guard = self._guard(int(lockout.account_id))
        return guard is None or lockout.rule not in {rule.name for rule in guard.engine.rules}

    def _guard(self, account: int) -> Guard | None:
        guards = () if self.daemon is None else self.daemon.guards
        return next((guard for guard in guards if guard.account_id == str(account)), None)

    def _check_release(self, lockout: Lockout | None, reason: str) -> None:
        if lockout is not None and reason == "rule removed" and not self._is_disowned(lockout):
            self.fail("I1", f"{lockout} still has its rule")
        if lockout is None or reason != "expired":
            return
        if lockout.until_ns is None or (self._now_ns() < lockout.until_ns - EARLY_NS and lockout.set_ns):
            self.fail("I16", f"expired {lockout} at {self._now_ns()}")

    def decided(self, guard: Guard, decision: Decision) -> None:
        for intent in decision.intents:
            if intent.state is not IntentState.VERIFIED:
                continue
            account = int(intent.account_id)
            # By the exchange's clock: the guard's own may have been set meanwhile.
            opened_ns = self._opened_by_ns.get(intent.id, intent.at_ns)
            if isinstance(intent.goal, Flat) and intent.goal.scope.is_account:
                if self._flat_ns.get(account, 0) < opened_ns and not self._is_flat(account):
                    self.fail("I13", f"{intent.id} closed, but the account was never flat")
            elif isinstance(intent.goal, SizesAtMost):
                self._check_sizes(account, intent.goal, opened_ns, intent.id)

    def _is_flat(self, account: int) -> bool:
        return not self.books.positions(account) and not self.opening_orders(account)

    def _check_sizes(self, account: int, goal: SizesAtMost, at_ns: int, intent_id: str) -> None:
        for target in goal.targets:
            history = self._size_ns[account, target.contract_id]
            sizes = [size for when_ns, size in history if when_ns >= at_ns] + [
                abs(self.books.net(account, target.contract_id))
            ]
            if min(sizes) > target.size:
                self.fail(
                    "I13", f"{intent_id} closed with {min(sizes)} {target.contract_id} held, {target.size} wanted"
                )

    def booted(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._is_latch_alone, self._has_no_journal = self._has_no_journal, False
        self.wire.run_begins(self.machine, is_before_known=not self._unwritten)
        self._unwritten.clear()
        for account in self._latched:
            # What was decided after the journal's last decision is known from the latch alone.
            if (ahead := self._ahead(account)) is not None:
                self.locks[account] = _by_key(ahead.lockouts)
        self.check_locks()
        for guard in () if self._is_latch_alone else daemon.guards:
            if (self.machine, guard.name) not in self._from_memory:
                self._decided.booted(guard)

    def crashed(self) -> None:
        self.daemon = None

    def read(self, snapshot: SnapshotTaken) -> None:
        """Note that the guard has been told everything about an account."""
        if snapshot.positions is not None and snapshot.orders is not None:
            self._read_s[snapshot.account_id] = self._elapsed_s()

    def check_sight(self) -> None:
        """I21: some seconds after everything works again, every account has been read, or enforcement took the room."""
        for account in map(str, self.accounts):
            refused_s = max(self.wire.crowded_out_s[account], self.wire.crowded_out_s[""])
            age_s = self._elapsed_s() - max(self._read_s.get(account, 0.0), refused_s)
            if age_s > FRESH_S:
                self.fail("I21", f"{account} was read {age_s:.1f} s ago")

    def check_locks(self) -> None:
        """I1: what is on the disk is in force."""
        for guard in () if self.daemon is None else self.daemon.guards:
            if (self.machine, guard.name) in self._from_memory:
                continue
            held = _by_key(guard.engine.account.lockouts)
            for key, lockout in self._known_locks(int(guard.account_id)).items():
                is_over = (
                    lockout.until_ns is not None and lockout.set_ns and self._now_ns() >= lockout.until_ns - EARLY_NS
                )
                is_held = _is_as_strict(held.get(key), lockout)
                if int(guard.account_id) in self._forgotten:
                    # It is locked as a whole, in place of what was not remembered, or remembers again.
                    is_held |= (ACCOUNT, AMNESIA.lower()) in held
                if not is_over and guard.is_idle and not is_held:
                    self.fail("I1", f"{lockout} is on the disk, in force is {held.get(key)}")

    def _known_locks(self, account: int) -> dict[LockKey, Lockout]:
        """What a guard can know of: without a journal what had reached the latch, a moment after each commit."""
        if not self._is_latch_alone or account not in self._latched:
            return self.locks[account]
        return _by_key(self._latched[account].lockouts)

    def check_liveness(self) -> None:
        """I3: under a lockout that flattens, there is an instant without exposure again and again."""
        if self.wire.is_crowded():
            self._crowded_s = self._elapsed_s()
        if self.daemon is None or self._is_excused():
            return
        for account, since_s in self._exposed_since_s.items():
            locks = [
                lock
                for lock in self.locks[account].values()
                if lock.on_lock is OnLock.FLATTEN and lock.scope.is_account
            ]
            set_ns = min((lock.set_ns for lock in locks if lock.set_ns), default=None)
            if set_ns is None:
                continue
            patience_s = reaction_s(len(self.books.live_orders(account)), self._reentries[account])
            since_s = max(since_s, self.disturbed_until_s + CALM_S, self._crowded_s)
            if self._elapsed_s() - since_s > patience_s and self._now_ns() - set_ns > patience_s * SECOND_NS:
                self.fail("I3", f"{account} is exposed for {self._elapsed_s() - since_s:.1f} s under {locks[0].rule}")

    def is_disturbed(self) -> bool:
        """Whether a fault, or the waiting it has caused, is not over."""
        return self._elapsed_s() < self.disturbed_until_s + CALM_S

    def _is_excused(self) -> bool:
        """Whether a fault, or the venue's limit of calls, may explain that something takes long."""
        return self.is_disturbed() or self.wire.is_crowded()

    def logged(self, event: str, fields: dict[str, object]) -> None:
        name = self.machine, str(fields.get("account", ""))
        if event == "journal unavailable, acting from memory":
            self._from_memory.add(name)
            self._unwritten.add(name)
        elif event == "journal complete again":
            self._from_memory.discard(name)
            self._unwritten.discard(name)
        elif event == "no journal, guarding with the latch alone":
            self._has_no_journal = True
        elif event == "latch not read" and self._has_no_journal:
            self._forgotten.add(int(str(fields["account"])))
        elif event in BUGS:
            self.fail("I22", f"{event}: {fields}")

    def forget(self) -> None:
        """Drop what only the past needs."""
        self._actions.clear()
        self._size_ns.clear()
        self._opened_by_ns.clear()


def reaction_s(orders: int, reentries: int) -> float:
    """How long the guard may take, with so many orders at work and the trader's fills since."""
    return REACTION_S + REACTION_PER_ORDER_S * orders + REACTION_PER_REENTRY_S * reentries


def _is_for(action: Action, asked: Asked) -> bool:
    order_id = str(asked.order.id) if isinstance(asked.order, SimOrder) else None
    match action:
        case ClosePosition():
            return asked.kind == "close" and action.contract_id == asked.contract_id
        case ReducePosition():
            return asked.kind == "reduce" and (action.contract_id, action.size) == (asked.contract_id, asked.size)
        case CancelOrder():
            return asked.kind == "cancel" and order_id in (action.order_id, None)
        case ModifyOrder():
            return asked.kind == "modify" and order_id in (action.order_id, None)
        case PlaceStop() | PlaceTarget():
            is_same = (action.contract_id, action.size) == (asked.contract_id, asked.size)
            return asked.kind == "place" and is_same
    return False


def _by_key(lockouts: Iterable[Lockout]) -> dict[LockKey, Lockout]:
    return {(lockout.scope, lockout.rule): lockout for lockout in lockouts}


def _is_as_strict(lockout: Lockout | None, than: Lockout | None) -> bool:
    if than is None:
        return True
    if lockout is None:
        return False
    if than.on_lock is OnLock.FLATTEN and lockout.on_lock is not OnLock.FLATTEN:
        return False
    if lockout.until_ns is None or lockout.set_ns == 0 or than.set_ns == 0:
        return True
    return than.until_ns is not None and lockout.until_ns >= than.until_ns
