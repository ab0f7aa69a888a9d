"""Every remedy of every rule, from the breach to the exchange's own books: none silently does nothing.

The cases are made of the rules' types alone (`breaking.py`), so that a rule, or a remedy, without a scene fails here.
"""

import pytest

from risk_manager.domain.lockout import Lockout, OnLock
from risk_manager.rules import RULES, Rule
from risk_manager.simulator.records import SimContract
from tests.scenarios.breaking import (
    BREAKING,
    PARTS,
    Books,
    Breaking,
    Case,
    Part,
    blocks_only_what_is_new,
    books,
    cases,
    demanded,
    has_lockout,
    locks,
    remedy_options,
    set_scene,
    switched_parts,
)
from tests.scenarios.stage import ES, MNQ, SECOND_NS, Stage, on_stage

CASES = list(cases())


@pytest.mark.parametrize("rule_class", RULES.values(), ids=list(RULES))
def test_every_remedy_has_a_scene(rule_class: type[Rule]) -> None:
    """A new word for what is done, or a new part that does something, needs a scene in `breaking.py`."""
    words, parts = remedy_options(rule_class), switched_parts(rule_class)
    assert [option for option in words if (rule_class.name, option) not in BREAKING] == []
    assert [option for option in parts if (rule_class.name, option) not in PARTS] == []
    shown = {(case.option, case.word) for case in CASES if case.rule == rule_class.name}
    assert shown == {(option, word.value) for option, kind in words.items() for word in kind}
    assert words or parts, "a rule that can do nothing is no rule"
    locked = [case for case in CASES if case.rule == rule_class.name and case.lock]
    assert bool(locked) == has_lockout(rule_class)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_brings_the_account_to_what_it_demands(case: Case) -> None:
    breaking = BREAKING[case.rule, case.option]
    async with on_stage({case.rule: {**case.options, **(breaking.calm or {})}}) as stage:
        await set_scene(stage)
        assert (stage.codes(), stage.calls) == ([], [])
        await breaking.act(stage)
        if breaking.calm is not None:
            assert (stage.codes(), stage.calls) == ([], [])
            await stage.changes_rules({case.rule: case.options})
        await stage.passes(5)
        assert books(stage) == demanded(case)
        assert stage.unfinished() == []
        assert (stage.calls == []) == (case.word == "alert")
        assert await recorded(stage, case.rule)
        assert list(stage.lockouts()) == ([case.rule] if locks(case) else [])
        for lockout in stage.lockouts().values():
            assert_terms(case, breaking, lockout)
            await assert_held(stage, breaking, lockout)


@pytest.mark.parametrize(("key", "part"), PARTS.items(), ids=["-".join(key) for key in PARTS])
async def test_a_part_does_what_it_is_for(key: tuple[str, str], part: Part) -> None:
    rule, option = key
    assert option in part.options
    async with on_stage({rule: part.options}) as stage:
        await set_scene(stage)
        await part.act(stage)
        await stage.passes(5)
        assert books(stage) == part.after
        assert stage.calls != []
        assert await recorded(stage, rule)
        # What the guard has placed leaves with the position.
        if "ES" in part.after.nets:
            await stage.sells(ES, part.after.nets["ES"])
            assert [order for order in books(stage).orders if order.startswith("ES sell")] == []


async def recorded(stage: Stage, rule: str) -> bool:
    """Whether the journal tells of something the rule has found."""
    journal = await stage.daemon.decisions(None, 1000)
    return any(getattr(found, "rule", "") == rule for said in journal for found in said.findings)


def assert_terms(case: Case, breaking: Breaking, lockout: Lockout) -> None:
    """It lasts as long as it should, and blocks what it should."""
    only_new = blocks_only_what_is_new(case)
    assert lockout.on_lock is (OnLock.BLOCK_NEW if only_new else OnLock.FLATTEN)
    lasts_s = None if lockout.until_ns is None else (lockout.until_ns - lockout.set_ns) / SECOND_NS
    if breaking.cooldown_s is not None:
        assert lasts_s == pytest.approx(breaking.cooldown_s, abs=0.1)
    elif case.lock == "2m":
        assert lasts_s == 120
    elif breaking.ends_ns is None or case.flags.get("lock_until_changed"):
        assert lockout.until_ns is None
    else:
        assert lockout.until_ns == breaking.ends_ns


async def assert_held(stage: Stage, breaking: Breaking, lockout: Lockout) -> None:
    """What the trader orders under the lock goes again; what it does not cover stays."""
    if breaking.freed is not None:
        await breaking.freed(stage)
    before = books(stage)
    stage.forget()
    others: list[SimContract] = [] if lockout.scope.is_account else [MNQ]
    for contract in (breaking.offender, MNQ):
        is_covered = contract not in others
        await stage.rests(contract, 2)
        await stage.buys(contract, 1)
        await stage.passes(2)
        if is_covered:
            assert books(stage) == before
            assert stage.calls != []
        else:
            assert books(stage) == Books(
                {**before.nets, "MNQ": before.nets.get("MNQ", 0) + 1},
                before.orders | {"MNQ buy limit 2 at 40000"},
            )
            assert stage.calls == []
        stage.forget()
