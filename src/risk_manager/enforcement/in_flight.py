"""What has been sent and not yet shown its effect: the memory that keeps the planner from doubling anything."""

from collections.abc import Callable, Container
from enum import StrEnum

import msgspec

from risk_manager.domain.actions import Action, CancelOrder, ClosePosition, ReducePosition, TakeSnapshot
from risk_manager.domain.events import ActionAccepted, ActionRejected, Outcome, Refusal
from risk_manager.enforcement.pacing import Pacing


class Stage(StrEnum):
    """How far an action got. The planner's whole behaviour per target follows from this table:

    | stage    | meaning                            | sent again                                                |
    |----------|------------------------------------|-----------------------------------------------------------|
    | SENT     | no outcome yet                     | never; becomes UNKNOWN after `lost_ns`                    |
    | ACCEPTED | taken by the venue                 | `repeat_ns` after sending once its effect has shown, or   |
    |          |                                    | all of a sized one has filled; until then size-free:      |
    |          |                                    | `effect_ns` after the outcome; sized: like UNKNOWN        |
    | REFUSED  | definitely not done                | after a wait that doubles up to `refused_most_ns`; what   |
    |          |                                    | was not found, up to `not_found_most_ns` until a snapshot |
    |          |                                    | is read; in a closed market after `closed_market_ns`      |
    | UNKNOWN  | may have been done                 | size-free: after `repeat_ns`; sized: after `settle_ns`    |
    |          |                                    | and two agreeing snapshots                                |
    """

    SENT = "sent"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One target's last action.

    Attributes:
        action: what was sent.   net_at_send: the contract's net position then.
        sent_ns, outcome_ns: local time; `outcome_ns` equals `sent_ns` while there is none.
        has_effect: since the action was sent the target was seen as demanded, or all of the action as executed.
        refusals, unknowns: of this target in a row, over repeated actions.
        agreeing: snapshots in a row, read after the outcome, that show the position as the guard knows it.
    """

    action: Action
    net_at_send: int
    sent_ns: int
    outcome_ns: int
    stage: Stage = Stage.SENT
    refusal: Refusal | None = None
    has_effect: bool = False
    refusals: int = 0
    unknowns: int = 0
    agreeing: int = 0


class Memory(msgspec.Struct):
    """All an `InFlight` remembers, for the engine's snapshot.

    Attributes:
        entries: by target.
        waits: by contract id, when (local time) a close first waited for cancels in the present episode.
        acted_ns: local time of the last sending or outcome of an action that changes the account; 0 if none.
        shrinks_ns, snapshots_ns: local times of the last closes and reductions, and of the last snapshots asked for.
    """

    entries: dict[str, Entry] = {}
    waits: dict[str, int] = {}
    acted_ns: int = 0
    shrinks_ns: list[int] = []
    snapshots_ns: list[int] = []


SNAPSHOT = "snapshot"
"""The target of TakeSnapshot."""


def order_target(order_id: str) -> str:
    return f"order:{order_id}"


def close_target(contract_id: str) -> str:
    return f"close:{contract_id}"


def reduce_target(contract_id: str) -> str:
    """Apart from the close's, so that an unanswered reduction never delays a close."""
    return f"reduce:{contract_id}"


def target_of(action: Action) -> str:
    """The key under which at most one action may be in flight."""
    match action:
        case TakeSnapshot():
            return SNAPSHOT
        case ClosePosition(contract_id=contract_id):
            return close_target(contract_id)
        case ReducePosition(contract_id=contract_id):
            return reduce_target(contract_id)
        case CancelOrder(order_id=order_id):
            return order_target(order_id)
        case _:
            return f"protect:{action.contract_id}"


class InFlight:
    """The registry: one entry per target, found again by action id."""

    def __init__(self, pacing: Pacing, memory: Memory | None = None) -> None:
        self.pacing = pacing
        self.memory = memory if memory is not None else Memory()

    @property
    def entries(self) -> dict[str, Entry]:
        return self.memory.entries

    @property
    def acted_ns(self) -> int:
        """Local time of the last sending or outcome of an action that changes the account; 0 if none."""
        return self.memory.acted_ns

    # -- what happened ------------------------------------------------------------------------------------------

    def sent(self, action: Action, net_contracts: int, now_ns: int) -> None:
        """Note an action as handed to the venue; counts of the same target carry over."""
        target = target_of(action)
        before = self.entries.get(target)
        refusals, unknowns = (before.refusals, before.unknowns) if before is not None else (0, 0)
        self.entries[target] = Entry(action, net_contracts, now_ns, now_ns, refusals=refusals, unknowns=unknowns)
        if target != SNAPSHOT:
            self._acted(now_ns)
        if isinstance(action, TakeSnapshot):
            _keep(self.memory.snapshots_ns, now_ns, self.pacing.busy_snapshots)
        elif isinstance(action, ClosePosition | ReducePosition):
            _keep(self.memory.shrinks_ns, now_ns, self.pacing.busy_closes)

    def learned(self, outcome: Outcome) -> Action | None:
        """Note an outcome and return its action; None for one of no current entry, which is of no interest any more."""
        for target, entry in self.entries.items():
            if entry.action.id != outcome.action_id:
                continue
            changes: dict[str, object] = {"outcome_ns": outcome.received_ns, "agreeing": 0}
            if isinstance(outcome, ActionAccepted):
                changes |= {"stage": Stage.ACCEPTED, "refusals": 0, "unknowns": 0}
            elif isinstance(outcome, ActionRejected):
                changes |= {"stage": Stage.REFUSED, "refusal": outcome.refusal, "refusals": entry.refusals + 1}
            else:
                changes |= {"stage": Stage.UNKNOWN, "unknowns": entry.unknowns + 1}
            self.entries[target] = msgspec.structs.replace(entry, **changes)
            if target != SNAPSHOT:
                self._acted(outcome.received_ns)
            return entry.action
        return None

    def snapshot_answered(self, requested_ns: int) -> None:
        """A snapshot has come, readable or not: the request for it is no longer under way."""
        entry = self.entries.get(SNAPSHOT)
        if entry is not None and requested_ns >= entry.sent_ns:
            self.entries[SNAPSHOT] = msgspec.structs.replace(entry, stage=Stage.ACCEPTED, outcome_ns=requested_ns)

    def saw_snapshot(self, requested_ns: int, differing: Container[str]) -> None:
        """Count a readable snapshot for every entry whose outcome is older.

        Args:
            differing: ids of the contracts it shows otherwise than the guard knows them; their count starts over.
        """
        for target, entry in self.entries.items():
            if isinstance(entry.action, TakeSnapshot) or entry.stage is Stage.SENT or requested_ns < entry.outcome_ns:
                continue
            agreeing = 0 if entry.action.contract_id in differing else entry.agreeing + 1
            self.entries[target] = msgspec.structs.replace(entry, agreeing=agreeing)

    def saw_executed(self, executed_contracts: Callable[[ReducePosition], int]) -> None:
        """Take an accepted reduction that has filled in full for done, though what is held may not be less for it.

        Whoever goes on adding meanwhile would otherwise win the time that a reduction without effect is waited for.
        """
        for target, entry in self.entries.items():
            action = entry.action
            if not isinstance(action, ReducePosition) or entry.stage is not Stage.ACCEPTED or entry.has_effect:
                continue
            if executed_contracts(action) >= action.size:
                self.entries[target] = msgspec.structs.replace(entry, has_effect=True)

    def lost_touch(self, now_ns: int) -> None:
        """Whatever has no outcome yet will not get one: the process or the link behind it is gone."""
        for target, entry in self.entries.items():
            if entry.stage is Stage.SENT:
                self._lose(target, entry, now_ns)

    def age(self, now_ns: int) -> None:
        """Turn actions without an outcome for `lost_ns` into unknown ones."""
        for target, entry in self.entries.items():
            if entry.stage is Stage.SENT and now_ns >= entry.sent_ns + self.pacing.lost_ns:
                self._lose(target, entry, now_ns)

    def suspect(self, contract_id: str, intent_id: str) -> None:
        """Assume a reduction under way that this registry does not remember: unknown from the next `age` on."""
        if reduce_target(contract_id) not in self.entries:
            self.entries[reduce_target(contract_id)] = Entry(ReducePosition("", intent_id, contract_id, 0), 0, 0, 0)

    def forget(self, wanted: Container[str], now_ns: int) -> None:
        """Drop what is over: every target that is not in `wanted` is as demanded.

        What awaits its outcome stays, what was sent a moment ago stays to pace the next, and so does a sized action
        that may still be executed late.
        """
        waits = self.memory.waits
        for contract_id in [contract_id for contract_id in waits if close_target(contract_id) not in wanted]:
            del waits[contract_id]
        for target, entry in list(self.entries.items()):
            if target in wanted:
                continue
            if entry.stage is not Stage.SENT and now_ns >= self._needed_until_ns(entry):
                del self.entries[target]
            elif not entry.has_effect:
                self.entries[target] = msgspec.structs.replace(entry, has_effect=True)

    def shift(self, by_ns: int) -> None:
        """Move every local time: the local clock has been set."""
        memory = self.memory
        memory.acted_ns += by_ns
        memory.shrinks_ns = [at_ns + by_ns for at_ns in memory.shrinks_ns]
        memory.snapshots_ns = [at_ns + by_ns for at_ns in memory.snapshots_ns]
        memory.waits = {contract_id: since_ns + by_ns for contract_id, since_ns in memory.waits.items()}
        for target, entry in memory.entries.items():
            memory.entries[target] = msgspec.structs.replace(
                entry, sent_ns=entry.sent_ns + by_ns, outcome_ns=entry.outcome_ns + by_ns
            )

    # -- what may be done ---------------------------------------------------------------------------------------

    def is_pending(self, target: str) -> bool:
        entry = self.entries.get(target)
        return entry is not None and entry.stage is Stage.SENT

    def is_close_answered(self, contract_id: str, net_contracts: int, now_ns: int) -> bool:
        """Whether the venue has just taken the close of such a position.

        Once the position was seen gone, or the close's effect is overdue, what is held may be another one. That it was
        not found says less than it seems: what the venue finds may lag behind a fresh fill. A look decides.
        """
        entry = self.entries.get(close_target(contract_id))
        if entry is None or entry.stage is not Stage.ACCEPTED or entry.has_effect:
            return False
        return entry.net_at_send == net_contracts and now_ns < entry.outcome_ns + self.pacing.effect_ns

    def unknowns(self, target: str) -> int:
        """Unknown outcomes of the target in a row."""
        entry = self.entries.get(target)
        return entry.unknowns if entry is not None else 0

    def free_at_ns(self, target: str, net_contracts: int, now_ns: int, quoted_ns: int | None = None) -> int:
        """Local time from which a new action on the target may be sent: 0 for at once.

        Args:
            net_contracts: the contract's position now; the difference to the one at sending is the effect.
            quoted_ns: local time of the contract's last quote; None where it is no sign of an open market.
        """
        entry = self.entries.get(target)
        if entry is None:
            return 0
        pacing = self.pacing
        is_sized = isinstance(entry.action, ReducePosition)
        match entry.stage:
            case Stage.SENT:
                return entry.sent_ns + pacing.lost_ns
            case Stage.ACCEPTED:
                if isinstance(entry.action, TakeSnapshot) or _shows_effect(entry, net_contracts):
                    return entry.sent_ns + self._pause_ns(entry)
                return self._settled_at_ns(entry, now_ns) if is_sized else entry.outcome_ns + pacing.effect_ns
            case Stage.REFUSED:
                if entry.refusal is Refusal.MARKET_CLOSED:
                    return self._reopens_at_ns(entry, quoted_ns, now_ns)
                if entry.refusal is Refusal.RATE_LIMITED:
                    return entry.outcome_ns + pacing.rate_limited_ns
                wait_ns = self._pause_ns(entry) << min(entry.refusals - 1, 10)
                return entry.outcome_ns + min(wait_ns, self._refused_most_ns(entry, net_contracts))
            case Stage.UNKNOWN:
                return self._settled_at_ns(entry, now_ns) if is_sized else entry.outcome_ns + self._pause_ns(entry)

    def waiting_since_ns(self, contract_id: str, now_ns: int) -> int:
        """Since when a close in the contract has been waiting for cancels; the wait begins with the first question."""
        return self.memory.waits.setdefault(contract_id, now_ns)

    def doubtful_from_ns(self) -> int | None:
        """Local time from which a snapshot is worth a call, to see what came of an action; None if of none."""
        times = (self._doubtful_from_ns(entry) for entry in self.entries.values() if entry.agreeing < 2)
        return min((at_ns for at_ns in times if at_ns is not None), default=None)

    # -- inside -------------------------------------------------------------------------------------------------

    def _acted(self, at_ns: int) -> None:
        self.memory.acted_ns = max(self.memory.acted_ns, at_ns)

    def _lose(self, target: str, entry: Entry, now_ns: int) -> None:
        self.entries[target] = msgspec.structs.replace(
            entry, stage=Stage.UNKNOWN, outcome_ns=now_ns, unknowns=entry.unknowns + 1, agreeing=0
        )
        if target != SNAPSHOT:
            self._acted(now_ns)

    def _needed_until_ns(self, entry: Entry) -> int:
        if isinstance(entry.action, ReducePosition) and entry.stage is Stage.UNKNOWN:
            return entry.outcome_ns + self.pacing.settle_ns
        return entry.sent_ns + self._pause_ns(entry)

    def _pause_ns(self, entry: Entry) -> int:
        """Least time between two actions on the entry's target, longer while many were sent lately."""
        pacing, memory = self.pacing, self.memory
        if isinstance(entry.action, TakeSnapshot):
            is_busy = _is_busy(memory.snapshots_ns, entry.sent_ns, pacing.busy_snapshots, pacing.busy_window_ns)
            return pacing.busy_snapshot_ns if is_busy else pacing.proof_ns
        if isinstance(entry.action, CancelOrder):
            return pacing.repeat_ns
        is_busy = _is_busy(memory.shrinks_ns, entry.sent_ns, pacing.busy_closes, pacing.busy_window_ns)
        return pacing.busy_close_ns if is_busy else pacing.repeat_ns

    def _refused_most_ns(self, entry: Entry, net_contracts: int) -> int:
        # Not found, and believed to be there still: only what is new makes it worth many calls.
        is_old = entry.agreeing == 0 and net_contracts == entry.net_at_send
        is_gone = entry.refusal is Refusal.NOT_FOUND and is_old
        return self.pacing.not_found_most_ns if is_gone else self.pacing.refused_most_ns

    def _settled_at_ns(self, entry: Entry, now_ns: int) -> int:
        settled_ns = entry.outcome_ns + self.pacing.settle_ns
        # Without two agreeing snapshots the wait has no end yet: look again when the next one may have come.
        return settled_ns if entry.agreeing >= 2 else max(settled_ns, now_ns + self.pacing.proof_ns)

    def _reopens_at_ns(self, entry: Entry, quoted_ns: int | None, now_ns: int) -> int:
        waits_ns = self.pacing.closed_market_ns
        tried = (entry.refusals - 1) // self.pacing.closed_tries
        until_ns = entry.outcome_ns + waits_ns[min(tried, len(waits_ns) - 1)]
        if quoted_ns is None or quoted_ns > entry.outcome_ns:
            return entry.outcome_ns + waits_ns[0]
        # A quote calls nobody: look for one from time to time.
        return min(until_ns, max(entry.outcome_ns, now_ns) + waits_ns[0])

    def _doubtful_from_ns(self, entry: Entry) -> int | None:
        if isinstance(entry.action, TakeSnapshot):
            return None
        if entry.stage is Stage.UNKNOWN or (entry.stage is Stage.REFUSED and entry.refusal is Refusal.NOT_FOUND):
            return entry.outcome_ns
        if entry.stage is Stage.ACCEPTED and isinstance(entry.action, ReducePosition) and not entry.has_effect:
            return entry.outcome_ns + self.pacing.effect_ns
        return None


def _keep(times_ns: list[int], now_ns: int, most: int) -> None:
    """Note a time; only the last `most` are kept."""
    times_ns.append(now_ns)
    del times_ns[:-most]


def _is_busy(times_ns: list[int], at_ns: int, most: int, window_ns: int) -> bool:
    """Whether `most` noted times lie within the window before `at_ns`."""
    return len(times_ns) >= most and times_ns[-most] > at_ns - window_ns


def _shows_effect(entry: Entry, net_contracts: int) -> bool:
    match entry.action:
        case CancelOrder():
            return entry.has_effect
        case ReducePosition(size=size):
            # A part of it is not enough: the rest may still be working at the venue.
            return entry.has_effect or abs(net_contracts) <= abs(entry.net_at_send) - size
        case _:
            return entry.has_effect or net_contracts != entry.net_at_send
