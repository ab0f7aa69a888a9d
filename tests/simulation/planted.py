"""Bugs planted into the product one after the other: a simulation that cannot find them finds nothing.

Each is a small change of real code, put in place for one world and taken out again. `hunt` runs worlds until one breaks
that holds without the bug.
"""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

import structlog
from msgspec.structs import replace

from risk_manager.domain.actions import CancelOrder, ClosePosition, PlaceStop, ReducePosition
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import ActionUnknown, FillReceived, SnapshotTaken
from risk_manager.domain.lockout import OnLock
from risk_manager.domain.order import Side
from risk_manager.domain.scope import Scope
from risk_manager.enforcement import planner
from risk_manager.enforcement.in_flight import InFlight, Stage
from risk_manager.engine import enforcer
from risk_manager.engine.account import AccountState
from risk_manager.engine.enforcer import Enforcer
from risk_manager.engine.engine import Engine
from risk_manager.persistence.recorder import Recording
from risk_manager.persistence.store import Store
from risk_manager.runtime.commits import Commits
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.rules_in_force import RulesInForce
from risk_manager.venues.projectx.actions import ActionSender
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.errors import Lost
from risk_manager.venues.projectx.gateway import Gateway
from risk_manager.venues.projectx.hubs import HubSession
from risk_manager.venues.projectx.limits import CallBudget, Lane
from risk_manager.venues.projectx.outcomes import Mutation
from risk_manager.venues.projectx.snapshots import SnapshotReader
from risk_manager.venues.projectx.transport import NetworkTransport
from tests.simulation.script import draw
from tests.simulation.shrink import first_broken
from tests.simulation.world import simulate

MOST_SEEDS = 300
PROCESSES = 2
Plant = Callable[[], AbstractContextManager[object]]


class Bug(NamedTuple):
    """Attributes: breaks: what goes wrong with it."""

    name: str
    breaks: str
    plant: Plant


def hunt(say: Callable[[str], None]) -> int:
    """Look for every bug, and print the first world that finds it; 1 if one was not found."""
    missed = 0
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        for bug, found in zip(BUGS, pool.imap(_first_found, range(len(BUGS))), strict=True):
            missed += found is None
            where = "not found" if found is None else f"seed {found[0]:3} {found[1]}"
            say(f"{bug.name:44} {where:16} {bug.breaks}")
    say(f"{len(BUGS)} bugs, {missed} not found")
    return min(1, missed)


def _first_found(number: int) -> tuple[int, str] | None:
    """The first world that breaks with the bug and holds without it."""
    for seed in range(MOST_SEEDS):
        why = caught(BUGS[number], seed)
        if why is not None and first_broken(simulate(draw(seed))) is None:
            return seed, why
    return None


def caught(bug: Bug, seed: int) -> str | None:
    """The invariant that breaks first in a world with the bug; None if everything holds."""
    with bug.plant():
        result = simulate(draw(seed))
    if result.broken and "TypeError" in result.broken[0]:
        # It would be "found" in any world, and show nothing.
        raise AssertionError(f"{bug.name} does not fit what it is planted into: {result.broken[0]}")
    return first_broken(result)


BUGS: list[Bug] = []


def planting(
    bugs: list[Bug], name: str, breaks: str, owner: Any, attribute: str
) -> Callable[[Callable[..., Any]], None]:
    """Plant by wrapping: the function is given the real one first."""

    def add(changed: Callable[..., Any]) -> None:
        @contextmanager
        def plant() -> Iterator[None]:
            real = owner.__dict__[attribute]
            is_bound = isinstance(real, classmethod)
            inner = real.__func__ if is_bound else real

            def wrapped(*args: Any, **options: Any) -> Any:
                return changed(inner, *args, **options)

            with mock.patch.object(owner, attribute, classmethod(wrapped) if is_bound else wrapped):
                yield

        bugs.append(Bug(name, breaks, plant))

    return add


bug = partial(planting, BUGS)


# -- lockouts ----------------------------------------------------------------------------------------------------------


@bug("lockouts are not upheld", "what is opened under a lockout stays", Enforcer, "_uphold_lockouts")
def _(real: Any, self: Enforcer, step: Any) -> None:
    return None


@bug("lockouts are kept in memory only", "a restart frees the account", Engine, "restore")
def _(real: Any, cls: Any, *args: Any, **options: Any) -> Any:
    return real(cls, *args, **options | {"lockouts": ()})


@bug("lockouts end a little early", "the account is free before its time", Engine, "_next_turn_ns")
def _(real: Any, self: Engine) -> Any:
    self.account.lockouts = tuple(
        replace(lockout, until_ns=lockout.until_ns - 5_000_000_000) if lockout.until_ns else lockout
        for lockout in self.account.lockouts
    )
    return real(self)


@bug("the shorter of two lockouts counts", "breaking a rule again shortens the lockout", enforcer, "lockout_of_breach")
def _(real: Any, *args: Any) -> Any:
    lockout = real(*args)
    if lockout is None or lockout.until_ns is None:
        return lockout
    return replace(lockout, until_ns=lockout.set_ns + 2_000_000_000)


@bug("a second lockout replaces the first", "a flattening lockout becomes one that blocks", Enforcer, "_put")
def _(real: Any, self: Enforcer, step: Any, lockout: Any) -> Any:
    known = [held for held in self._account.lockouts if (held.scope, held.rule) == (lockout.scope, lockout.rule)]
    return real(self, step, replace(lockout, on_lock=OnLock.BLOCK_NEW) if known else lockout)


@bug("a lockout of the account covers one product", "the rest of the account stays free", Scope, "covers")
def _(real: Any, self: Scope, contract_id: str, contract: Any) -> bool:
    return ".MNQ." in contract_id if self.is_account else bool(real(self, contract_id, contract))


@bug("a looser rule counts at once", "the trader takes the limit away", RulesInForce, "offer")
def _(real: Any, self: RulesInForce, wanted: Any) -> None:
    self.rules, self.waiting = wanted, ()


# -- enforcement -------------------------------------------------------------------------------------------------------


@bug("it acts before it commits", "a crash forgets what was done", Commits, "commit")
async def _(real: Any, self: Commits) -> None:
    self._begin(real(self))


@bug("a sized call is sent again without a look", "a reduction is executed twice", Gateway, "mutate")
async def _(real: Any, self: Gateway, mutation: Mutation, payload: Any, *rest: Any) -> Any:
    ruling = await real(self, mutation, payload, *rest)
    if (mutation is Mutation.REDUCE and "no answer" in str(ruling)) or "disconnected" in str(ruling):
        return await real(self, mutation, payload, *rest)
    return ruling


@bug("two calls at a time", "a sized call overtakes its own double", InFlight, "free_at_ns")
def _(real: Any, self: InFlight, target: str, *args: Any) -> int:
    entry = self.entries.get(target)
    is_out = entry is not None and entry.stage is Stage.SENT and not target.startswith("snapshot")
    return 0 if is_out else int(real(self, target, *args))


@bug("a reduction takes everything", "less is left than the rule allows", planner, "_shrink")
def _(real: Any, contract_id: str, demanded: Any, account: Any, *rest: Any) -> Any:
    action = real(contract_id, demanded, account, *rest)
    if isinstance(action, ReducePosition):
        return replace(action, size=abs(account.holdings[contract_id].net_contracts))
    return action


@bug("it closes once and is done", "a close without effect is not repeated", InFlight, "free_at_ns")
def _(real: Any, self: InFlight, target: str, *args: Any) -> int:
    entry = self.entries.get(target)
    is_done = entry is not None and entry.stage is not Stage.SENT and target.startswith("close")
    return 1 << 61 if is_done else int(real(self, target, *args))


@bug("it gives up after three refusals", "a halt outlasts the guard", InFlight, "free_at_ns")
def _(real: Any, self: InFlight, target: str, *args: Any) -> int:
    entry = self.entries.get(target)
    return 1 << 61 if entry is not None and entry.refusals >= 3 else int(real(self, target, *args))


@bug("orders are left to themselves", "a resting order opens a position under a lockout", ActionSender, "send")
async def _(real: Any, self: ActionSender, account_id: str, action: Any, is_due: Any) -> Any:
    if isinstance(action, CancelOrder):
        return ActionUnknown(account_id, action.id, "never sent", 0, self._clock.now_ns())
    return await real(self, account_id, action, is_due)


@bug("every account is flattened", "somebody else's breach closes my position", ActionSender, "send")
async def _(real: Any, self: ActionSender, account_id: str, action: Any, is_due: Any) -> Any:
    if isinstance(action, ClosePosition):
        await real(self, str(int(account_id) + 1), action, is_due)
    return await real(self, account_id, action, is_due)


@bug("a stop is placed on the wrong side", "the protective order opens a position", ActionSender, "send")
async def _(real: Any, self: ActionSender, account_id: str, action: Any, is_due: Any) -> Any:
    if isinstance(action, PlaceStop):
        wrong = Side.BUY if action.side is Side.SELL else Side.SELL
        action = replace(action, side=wrong)
    return await real(self, account_id, action, is_due)


@bug("a stop is placed twice as large", "the protective order turns the position round", ActionSender, "send")
async def _(real: Any, self: ActionSender, account_id: str, action: Any, is_due: Any) -> Any:
    if isinstance(action, PlaceStop):
        action = replace(action, size=2 * action.size)
    return await real(self, account_id, action, is_due)


@bug("the market is closed through an order", "a close becomes an order that may open", ActionSender, "send")
async def _(real: Any, self: ActionSender, account_id: str, action: Any, is_due: Any) -> Any:
    if isinstance(action, ClosePosition):
        payload = {"accountId": int(account_id), "contractId": action.contract_id}
        order = payload | {"type": 2, "side": 1, "size": 1, "customTag": action.id}
        await self._gateway.mutate(Mutation.PLACE, order, Lane.CLOSE)
    return await real(self, account_id, action, is_due)


@bug("one look is proof", "an enforcement counts as done before it is", enforcer, "after_snapshot")
def _(real: Any, proof: Any, is_shown: bool, *args: Any) -> Any:
    return proof, True


# -- what is known of the account --------------------------------------------------------------------------------------


@bug("a missing list is an empty one", "a failed read makes the account flat", SnapshotReader, "_values")
def _(real: Any, self: SnapshotReader, account_id: str, envelope: Any, key: str, value: Any) -> Any:
    read = real(self, account_id, envelope, key, value)
    return () if read is None and key in ("positions", "orders") else read


@bug("nobody polls", "what the stream lost is never seen", Guard, "_poll")
def _(real: Any, self: Guard) -> None:
    return None


@bug("fills are counted again", "a fill told twice is two", AccountState, "on_fill")
def _(real: Any, self: AccountState, event: Any) -> Any:
    real(self, event)
    self.realized_micros += event.fill.pnl_micros or 0
    return real(self, replace(event, fill=replace(event.fill, id=f"{event.fill.id}+")))


@bug("orders only ever come", "what the venue no longer lists stays in the books", AccountState, "on_snapshot")
def _(real: Any, self: AccountState, event: SnapshotTaken) -> Any:
    return real(self, replace(event, orders=None))


@bug("an exception ends it", "one odd event stops the guarding", Engine, "receive")
def _(real: Any, self: Engine, event: Any) -> Decision:
    if isinstance(event, SnapshotTaken) and event.positions is None:
        raise RuntimeError("planted")
    decision: Decision = real(self, event)
    return decision


# -- the venue ---------------------------------------------------------------------------------------------------------


@bug("three connections and no more", "a long outage leaves the stream dead", HubSession, "run")
async def _(real: Any, self: HubSession) -> None:
    for attempt in range(3):
        self._on_down(await self._connect_and_serve())
        await asyncio.sleep(self._pause_s(attempt, self._timings.backoff_cap_s))
    await asyncio.Event().wait()


@bug("a refused token is used on", "after a revocation nothing is read any more", Auth, "rejected")
def _(real: Any, self: Auth, token: str) -> None:
    return None


@bug("there is no call budget", "the venue shuts us out", CallBudget, "ask")
def _(real: Any, self: CallBudget, lane: Any, now_ns: int) -> int:
    return 0


@bug("a lost answer ends the task", "an exception nobody takes", Gateway, "mutate")
async def _(real: Any, self: Gateway, mutation: Mutation, payload: Any, *rest: Any) -> Any:
    ruling = await real(self, mutation, payload, *rest)
    if "no answer" in str(ruling) or "disconnected" in str(ruling):
        raise Lost("planted")
    return ruling


# -- the journal -------------------------------------------------------------------------------------------------------


@bug("a decision that failed is forgotten", "the journal has a gap", Commits, "_failed")
def _(real: Any, self: Commits, text: str) -> None:
    real(self, text)
    del self._uncommitted[:1]


@bug("the journal is tried once", "a disk that recovers is not used again", Commits, "_recommit")
async def _(real: Any, self: Commits) -> None:
    await asyncio.Event().wait()


@bug("numbers begin anew", "a restart writes over what was decided", Engine, "restore")
def _(real: Any, cls: Any, settings: Any, snapshot: Any, **options: Any) -> Any:
    return real(cls, settings, None, **options | {"sequence": 0})


@bug("commits are acknowledged at once", "a crash forgets a lockout that was said to be safe", Store, "commit")
def _(real: Any, self: Store, decision: Decision) -> None:
    self.late = [*getattr(self, "late", []), decision]  # type: ignore[attr-defined]
    if len(self.late) > 3:  # type: ignore[attr-defined]
        for each in self.late:  # type: ignore[attr-defined]
            real(self, each)
        self.late = []  # type: ignore[attr-defined]


# -- what is written down, and who may know it -------------------------------------------------------------------------


@bug("the recorder leaves fills out", "a replay comes to other decisions", Recording, "take")
def _(real: Any, self: Recording, event: Any) -> None:
    if not isinstance(event, FillReceived):
        real(self, event)


@bug("every breach begins anew", "two enforcements work on one breach", Enforcer, "_join")
def _(real: Any, self: Enforcer, step: Any, key: Any, work: Any, breach: Any, goal: Any) -> None:
    self.open(step, breach, goal)


@bug("open enforcements are forgotten", "after a restart nobody proves what was begun", Engine, "restore")
def _(real: Any, cls: Any, *args: Any, **options: Any) -> Any:
    return real(cls, *args, **options | {"intents": ()})


@bug("a close becomes a reduction", "what has to be closed is merely made smaller", planner, "_shrink")
def _(real: Any, contract_id: str, *rest: Any) -> Any:
    action = real(contract_id, *rest)
    if isinstance(action, ClosePosition):
        return ReducePosition(action.id, action.intent_id, contract_id, 1)
    return action


@bug("every reading leaves a task behind", "a long day fills the memory", SnapshotReader, "read")
async def _(real: Any, self: SnapshotReader, *args: Any, **options: Any) -> Any:
    asyncio.get_running_loop().create_task(asyncio.sleep(3_600.0))
    return await real(self, *args, **options)


@bug("a refused token is logged", "who reads the log can trade", Auth, "rejected")
def _(real: Any, self: Auth, token: str) -> None:
    structlog.get_logger("auth").warning("token refused", token=token)
    real(self, token)


@bug("the stream comes from elsewhere", "somebody else gets the token", NetworkTransport, "open_hub")
async def _(real: Any, self: NetworkTransport, url: str, token: str) -> Any:
    return await real(self, url.replace("127.0.0.1", "127.0.0.2"), token)


@bug("a decision is written over", "the journal tells another story", Store, "tidy")
def _(real: Any, self: Store) -> None:
    real(self)
    self.connect().execute("UPDATE decisions SET body = replace(body, 'breach', 'broken') WHERE rowid = 2")


@bug("the journal's end is cut off", "what was decided last was never decided", Store, "finish")
def _(real: Any, self: Store) -> None:
    if self._connection is not None:
        self._connection.execute("DELETE FROM decisions WHERE rowid = (SELECT max(rowid) FROM decisions)")
    real(self)
