"""Rules around rules and of rules: warnings for every rule, schedules, and `all_of`, `any_of`, `not_`.

Each is a rule like any other: the engine steps it, its state is in the snapshot, its lockouts go by its name.
"""

from risk_manager.rules._compose import sections
from risk_manager.rules._compose.during import during
from risk_manager.rules._compose.logic import all_of, any_of, not_
from risk_manager.rules._compose.sections import COMPOSITIONS, options_of, rule_of
from risk_manager.rules._compose.shape import (
    class_of,
    core_of,
    kind_of,
    named,
    put_together,
    schedules_of,
    signature_of,
    taken_apart,
)
from risk_manager.rules._compose.strictness import Waiting, tightened
from risk_manager.rules._compose.trial import trial_faults
from risk_manager.rules._compose.warn_at import warned

__all__ = [
    "COMPOSITIONS",
    "Waiting",
    "all_of",
    "any_of",
    "class_of",
    "core_of",
    "during",
    "kind_of",
    "named",
    "not_",
    "options_of",
    "put_together",
    "rule_of",
    "schedules_of",
    "sections",
    "signature_of",
    "taken_apart",
    "tightened",
    "trial_faults",
    "warned",
]
