"""An intent under way: what is left of it to prove."""

import msgspec
from msgspec.structs import replace

from risk_manager.domain.intent import Closed, Goal, Intent, IntentState, Protected, SizesAtMost
from risk_manager.domain.scope import Scope
from risk_manager.enforcement.proof import Proof

IntentKey = tuple[str, str, Scope]
"""Rule, code and scope; at most one intent of a key is open."""


class OpenIntent(msgspec.Struct, frozen=True):
    """An intent being worked on, with its proof so far."""

    intent: Intent
    proof: Proof = Proof()


def marked(work: OpenIntent, proof: Proof) -> Intent:
    """The intent with what the new proof says about it: reached for the first time, or lost again."""
    intent = work.intent
    if proof.reached_ns is None:
        is_lost_again = work.proof.reached_ns is not None and not isinstance(intent.goal, Protected)
        return replace(intent, reentries=intent.reentries + 1) if is_lost_again else intent
    return intent if intent.reached_ns is not None else replace(intent, reached_ns=proof.reached_ns)


def is_latched(work: OpenIntent) -> bool:
    """Whether a size was brought down already: what follows is judged by the rule, not by the old target."""
    return work.proof.reached_ns is not None and isinstance(work.intent.goal, SizesAtMost)


def is_observed(intent: Intent) -> bool:
    return intent.state is IntentState.OBSERVED


def is_contained(goal: Goal, known: Goal) -> bool:
    """Whether `goal` asks for nothing new: a breach that lasts names what is left of its positions."""
    if not isinstance(goal, Closed) or not isinstance(known, Closed):
        return goal == known
    return goal.scope == known.scope and set(goal.position_ids) <= set(known.position_ids)
