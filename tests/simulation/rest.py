"""What must hold after a quiet while with everything in order: accounts are as their rules want them, and known so."""

import asyncio
from collections.abc import Mapping

from risk_manager.domain.lockout import Lockout, OnLock
from risk_manager.rules import options_of
from risk_manager.runtime.guard import DENIED, Guard
from tests.simulation.checks import Checks
from tests.simulation.history import STOPS
from tests.simulation.judge import Judge
from tests.simulation.loop import SECOND_NS, VirtualLoop

PROVEN_WITHIN_NS = 12 * SECOND_NS
"""How long an enforcement may take with everything in order, its proof included."""


MOST_TASKS, MOST_ENDS = 100, 100
"""Tasks, and ends of connections, of guard and gateway together; most worlds have a third of them. The guard keeps the
connections of a burst, 16 for each lane, for a minute, and the gateway has a task and two ends for each."""


def check_at_rest(checks: Checks, judge: Judge) -> None:
    """I3, I4, I15, I17, I24, I25."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    tasks, ends = len(asyncio.all_tasks()), loop.network.count()
    if tasks > MOST_TASKS or ends > MOST_ENDS:
        checks.fail("I24", f"{tasks} tasks and {ends} ends of connections at rest")
    if checks.daemon is None:
        checks.fail("I25", "the daemon is not running")
        return
    for guard in checks.daemon.guards:
        account = int(guard.account_id)
        _check_model(checks, guard, account)
        _check_finished(checks, guard)
        _check_kept(checks, guard, account)
        for lockout in guard.engine.account.lockouts:
            _check_lock_kept(checks, guard, account, lockout)
        for rule in judge.locked_by(account):
            # Nobody may have tried anything since.
            if rule not in {key[1] for key in checks.locks[account]}:
                checks.fail("I4", f"{account} is not locked by {rule}, on the disk are {checks.locks[account]}")


def _check_model(checks: Checks, guard: Guard, account: int) -> None:
    """I15: what is believed is what the exchange's books say."""
    model, books = guard.engine.account, checks.books
    nets = {each.contract_id: each.net_contracts for each in books.positions(account)}
    if nets != {key: book.net_contracts for key, book in model.holdings.items()}:
        checks.fail("I15", f"held {nets}, believed {dict(model.holdings)}")
    if {str(order.id) for order in books.live_orders(account)} != set(model.orders):
        checks.fail("I15", f"orders {books.live_orders(account)}, believed {list(model.orders)}")
    record = books.account(account)
    assert record is not None
    if (record.balance_micros, record.can_trade) != (model.balance_micros, model.can_trade):
        checks.fail("I15", f"{record}, believed {model.balance_micros} {model.can_trade}")


def _check_finished(checks: Checks, guard: Guard) -> None:
    """I3, I25: nothing is still being worked on, and nothing is missing."""
    now_ns = guard.engine.account.received_ns
    for intent in guard.engine.enforcer.open_intents:
        if now_ns - intent.opened_ns > PROVEN_WITHIN_NS:
            checks.fail("I3", f"still open: {intent}")
    missing = guard.health.missing
    if not guard.engine.enforcer.open_intents:
        # What the venue did not allow it may allow by now; with nothing to ask for, nobody can know.
        missing = tuple(each for each in missing if not each.startswith(f"{DENIED}: "))
    if missing:
        checks.fail("I25", f"still missing: {missing}")


def _check_kept(checks: Checks, guard: Guard, account: int) -> None:
    """I17: what was loosened today still counts."""
    in_force = {rule.name: options_of(rule) for rule in guard.engine.rules}
    for name, options in checks.kept.get(account, {}).items():
        is_looser = name not in in_force or _limit(in_force[name]) > _limit(options)
        if is_looser:
            checks.fail("I17", f"{account} had {name} {options}, in force is {in_force.get(name)}")


def _limit(options: Mapping[str, object]) -> int:
    limit = options.get("limit", 0)
    return limit if isinstance(limit, int) else 0


def _check_lock_kept(checks: Checks, guard: Guard, account: int, lockout: Lockout) -> None:
    """I3: what a lockout covers is as it demands."""
    contracts = guard.engine.account.contracts

    def is_covered(contract_id: str) -> bool:
        return lockout.scope.covers(contract_id, contracts.get(contract_id))

    held = [each for each in checks.books.positions(account) if is_covered(each.contract_id)]
    orders = [each for each in checks.opening_orders(account) if is_covered(each.contract_id)]
    if lockout.on_lock is OnLock.FLATTEN and held:
        checks.fail("I3", f"held {held} under {lockout}")
    # A stop that is larger than what is left of its position is let be: without it, that would have none.
    if [order for order in orders if not held or order.type not in STOPS]:
        checks.fail("I3", f"orders {orders} under {lockout}")
