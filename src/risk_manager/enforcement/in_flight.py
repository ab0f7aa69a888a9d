"""What has been sent and not yet shown its effect: the memory that keeps the planner from doubling anything."""

from enum import StrEnum

import msgspec

from risk_manager.domain.actions import Action, CancelOrder, ReducePosition, TakeSnapshot
from risk_manager.domain.events import ActionAccepted, ActionRejected, Outcome, Refusal
from risk_manager.enforcement.pacing import Pacing


class Stage(StrEnum):
    """How far an action got. The planner's whole behaviour per target follows from this table:

    | stage    | meaning                            | sent again                                                |
    |----------|------------------------------------|-----------------------------------------------------------|
    | SENT     | no outcome yet                     | never; becomes UNKNOWN after `lost_ns`                    |
    | ACCEPTED | taken, effect not seen             | `repeat_ns` after its effect shows, else after `effect_ns`|
    | REFUSED  | definitely not done                | after a wait that doubles up to `refused_most_ns`         |
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
        refusals, unknowns: of this target in a row, over repeated actions.
        agreeing: snapshots since the outcome that were read later than it.
    """

    action: Action
    net_at_send: int
    sent_ns: int
    outcome_ns: int
    stage: Stage = Stage.SENT
    refusal: Refusal | None = None
    refusals: int = 0
    unknowns: int = 0
    agreeing: int = 0


def target_of(action: Action) -> str:
    """The key under which at most one action may be in flight."""
    match action:
        case CancelOrder(order_id=order_id):
            return f"order:{order_id}"
        case TakeSnapshot():
            return "snapshot"
        case _:
            return f"position:{action.contract_id}"


class InFlight:
    """The registry: one entry per target, found again by action id."""

    def __init__(self, pacing: Pacing, entries: dict[str, Entry] | None = None) -> None:
        self.pacing = pacing
        self.entries: dict[str, Entry] = entries if entries is not None else {}

    def sent(self, action: Action, net_contracts: int, now_ns: int) -> None:
        """Note an action as handed to the venue; counts of the same target carry over."""
        before = self.entries.get(target_of(action))
        self.entries[target_of(action)] = Entry(
            action,
            net_contracts,
            now_ns,
            now_ns,
            refusals=before.refusals if before else 0,
            unknowns=before.unknowns if before else 0,
        )

    def learned(self, outcome: Outcome) -> None:
        """Note an outcome; one that belongs to no current entry is of no interest any more."""
        for target, entry in self.entries.items():
            if entry.action.id != outcome.action_id:
                continue
            changes: dict[str, object] = {"outcome_ns": outcome.received_ns}
            if isinstance(outcome, ActionAccepted):
                changes |= {"stage": Stage.ACCEPTED, "refusals": 0, "unknowns": 0}
            elif isinstance(outcome, ActionRejected):
                changes |= {"stage": Stage.REFUSED, "refusal": outcome.refusal, "refusals": entry.refusals + 1}
            else:
                changes |= {"stage": Stage.UNKNOWN, "unknowns": entry.unknowns + 1}
            self.entries[target] = msgspec.structs.replace(entry, **changes)
            return

    def snapshot_answered(self, requested_ns: int) -> None:
        """A snapshot has come, readable or not: the request for it is no longer under way."""
        entry = self.entries.get("snapshot")
        if entry is not None and requested_ns >= entry.sent_ns:
            self.entries["snapshot"] = msgspec.structs.replace(entry, stage=Stage.ACCEPTED, outcome_ns=requested_ns)

    def saw_snapshot(self, requested_ns: int) -> None:
        """Count a readable snapshot for every entry whose outcome is older."""
        for target, entry in self.entries.items():
            if entry.stage is not Stage.SENT and requested_ns > entry.outcome_ns:
                self.entries[target] = msgspec.structs.replace(entry, agreeing=entry.agreeing + 1)

    def lost_touch(self, now_ns: int) -> None:
        """Whatever has no outcome yet will not get one: the process or the link behind it is gone."""
        for target, entry in self.entries.items():
            if entry.stage is Stage.SENT:
                self.entries[target] = msgspec.structs.replace(
                    entry, stage=Stage.UNKNOWN, outcome_ns=now_ns, unknowns=entry.unknowns + 1
                )

    def age(self, now_ns: int) -> None:
        """Turn actions without an outcome for `lost_ns` into unknown ones."""
        for target, entry in self.entries.items():
            if entry.stage is Stage.SENT and now_ns >= entry.sent_ns + self.pacing.lost_ns:
                self.entries[target] = msgspec.structs.replace(
                    entry, stage=Stage.UNKNOWN, outcome_ns=now_ns, unknowns=entry.unknowns + 1
                )

    def is_pending(self, target: str) -> bool:
        entry = self.entries.get(target)
        return entry is not None and entry.stage is Stage.SENT

    def free_at_ns(self, target: str, net_contracts: int) -> int:
        """Local time from which a new action on the target may be sent: 0 for at once.

        `net_contracts` is the contract's position now: that it differs from the one at sending is the effect.
        """
        entry = self.entries.get(target)
        if entry is None:
            return 0
        pacing = self.pacing
        match entry.stage:
            case Stage.SENT:
                return entry.sent_ns + pacing.lost_ns
            case Stage.ACCEPTED:
                if isinstance(entry.action, TakeSnapshot):
                    return entry.sent_ns + pacing.proof_ns
                if not isinstance(entry.action, CancelOrder) and net_contracts != entry.net_at_send:
                    return entry.sent_ns + pacing.repeat_ns
                if isinstance(entry.action, ReducePosition):
                    return self._settled_at_ns(entry)
                return entry.outcome_ns + pacing.effect_ns
            case Stage.REFUSED:
                if entry.refusal in (Refusal.MARKET_CLOSED, Refusal.RATE_LIMITED):
                    return entry.outcome_ns + pacing.closed_market_ns
                wait = pacing.repeat_ns << min(entry.refusals - 1, 10)
                return entry.outcome_ns + min(wait, pacing.refused_most_ns)
            case Stage.UNKNOWN:
                if isinstance(entry.action, ReducePosition):
                    return self._settled_at_ns(entry)
                return entry.outcome_ns + pacing.repeat_ns

    def _settled_at_ns(self, entry: Entry) -> int:
        settled = entry.outcome_ns + self.pacing.settle_ns
        # Without two snapshots the wait has no end yet; look again when the next one may have come.
        return settled if entry.agreeing >= 2 else settled + self.pacing.proof_ns * (3 - entry.agreeing)

    def has_doubt(self) -> bool:
        """Whether some outcome leaves open what the venue holds, so that a snapshot is worth a call."""
        return any(
            entry.agreeing < 2
            and (entry.stage is Stage.UNKNOWN or (entry.stage is Stage.REFUSED and entry.refusal is Refusal.NOT_FOUND))
            for entry in self.entries.values()
            if not isinstance(entry.action, TakeSnapshot)
        )

    def latest_ns(self) -> int:
        """Local time of the last sending or outcome of any action that changes the account; 0 if none."""
        times = (entry.outcome_ns for entry in self.entries.values() if not isinstance(entry.action, TakeSnapshot))
        return max(times, default=0)

    def forget(self, targets: set[str], now_ns: int) -> None:
        """Drop finished entries that are not about any of `targets`.

        What awaits its outcome stays, and so does a sized action that may still be executed late.
        """
        for target, entry in list(self.entries.items()):
            late = isinstance(entry.action, ReducePosition) and entry.stage is Stage.UNKNOWN
            if target in targets or target == "snapshot" or entry.stage is Stage.SENT:
                continue
            if not late or now_ns >= entry.outcome_ns + self.pacing.settle_ns:
                del self.entries[target]
