"""The guard against a venue that answers late, twice or not at all: risk only falls, and the goal is reached."""

from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.actions import ReducePosition
from risk_manager.domain.events import OperatorCommand
from risk_manager.domain.intent import IntentState
from risk_manager.domain.order import Side
from risk_manager.rules import DailyRealizedLoss, MaxContracts
from risk_manager.testing.events import ES, NQ
from tests.engine.model_venue import Fate, Script, World, never_grew

nets = st.integers(-8, 8)
scripts = st.builds(
    Script,
    fates=st.lists(st.sampled_from(Fate), max_size=12),
    delays_ms=st.lists(st.sampled_from((0, 1, 5, 30, 120, 700)), max_size=40),
    repeats=st.lists(st.booleans(), max_size=20),
)
orders = st.lists(
    st.tuples(st.sampled_from((ES, NQ)), st.sampled_from(Side), st.integers(1, 9), st.booleans()), max_size=12
)
held_to_the_limit = settings(max_examples=40, deadline=None)


@given(nets, nets, orders, scripts)
@held_to_the_limit
def test_brings_everything_to_flat_and_proves_it(es: int, nq: int, resting: list[tuple], script: Script) -> None:  # type: ignore[type-arg]
    world = World((), script)
    for product, net in ((ES, es), (NQ, nq)):
        if net:
            world.trades(product.id, net)
    for product, side, size, is_stop in resting:
        world.happens(world.scenario.order(product, side, size, stop=5000 if is_stop else None, limit=5000))
    world.run(2)
    world.happens(OperatorCommand(world.scenario.account_id, "flatten", "ann", 0, 0))
    world.run(60)
    assert never_grew(world)
    assert not world.scenario.positions
    assert not world.scenario.orders
    assert world.engine.enforcer.open_intents == ()
    (last,) = [intent for decision in world.decisions for intent in decision.intents][-1:]
    assert last.state is IntentState.VERIFIED


@given(st.integers(1, 9), st.booleans(), st.integers(1, 4), scripts)
@held_to_the_limit
def test_reduces_exactly_to_the_limit(size: int, is_long: bool, limit: int, script: Script) -> None:
    """A size is never sent twice: an idle trader is left with the limit, unless three unknowns in a row close all."""
    unknown = sum(fate in _UNKNOWN for fate in script.fates)
    world = World((MaxContracts(limit=limit),), script)
    world.trades(ES.id, size if is_long else -size)
    world.run(120)
    assert never_grew(world)
    assert world.oversized == []
    left = abs(world.net(ES.id))
    assert left == min(size, limit) or (left == 0 and unknown >= 3)
    assert world.engine.enforcer.open_intents == ()


_UNKNOWN = (Fate.UNKNOWN_DONE, Fate.UNKNOWN_NOT_DONE, Fate.UNKNOWN_LATE, Fate.SILENT_DONE)


@given(st.lists(st.tuples(st.sampled_from((ES.id, NQ.id)), st.integers(-4, 4)), min_size=1, max_size=8), scripts)
@held_to_the_limit
def test_never_adds_or_flips_whatever_the_trader_does_meanwhile(moves: list[tuple[str, int]], script: Script) -> None:
    world = World((MaxContracts(limit=2), DailyRealizedLoss(limit_micros=1)), script, poll_s=1)
    for contract_id, contracts in moves:
        if contracts:
            world.trades(contract_id, contracts)
        world.run(0.2)
    world.run(60)
    assert never_grew(world)
    assert sum(abs(world.net(contract_id)) for contract_id in (ES.id, NQ.id)) <= 2
    assert world.engine.enforcer.open_intents == ()


def test_sends_one_reduction_at_a_time() -> None:
    world = World((MaxContracts(limit=2),), Script(delays_ms=[5] * 30))
    world.trades(ES.id, 6)
    world.run(5)
    assert [action for _, action in world.sent if isinstance(action, ReducePosition)] == [
        ReducePosition("1001-2.1", "1001-1-1", ES.id, 4)
    ]
    assert world.net(ES.id) == 2
