"""What can be tried of a rule before any event comes: it is somebody's code, and may fail for some settings only."""

from typing import Any

import msgspec

from risk_manager.rules._base import RULE_ERRORS, remedy_of


def trial_faults(rule: Any) -> tuple[str, ...]:
    """Why a rule, with the settings it has, cannot be put in force; sentences without their subject, none if it can."""
    try:
        remedy_of(rule)
        state = rule.initial_state()
        due_ns = rule.deadline_ns(state)
        msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state))
    except RULE_ERRORS as error:  # whatever it raises, it is told
        return (f"fails before the first event: {type(error).__name__}: {error}",)
    problems = []
    if state is not None and not isinstance(state, msgspec.Struct):
        problems.append("needs a state that is a frozen msgspec.Struct, or None")
    if due_ns is not None and type(due_ns) is not int:
        problems.append(f"needs a deadline in whole nanoseconds or None, not {due_ns!r}")
    return tuple(problems)
