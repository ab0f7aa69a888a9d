"""What is wrong with a rule's options: every fault at once, never only the first."""

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing to correct.

    Attributes:
        option: its path as written (`lockout.until`, `blocked_symbols[2]`).
        message: what is wrong and what would be right.
    """

    option: str
    message: str

    def __str__(self) -> str:
        return f"{self.option}: {self.message}"


ALERT_LOCKS = Fault("lockout", "an alert does nothing to the account; choose another action to lock it")


class OptionsInvalid(ValueError):
    """The options of one rule cannot be used; `faults` holds every reason."""

    def __init__(self, rule: str, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{rule}.{fault}" for fault in faults))
        self.rule = rule
        self.faults = faults


class Refused(Exception):
    """One value cannot be read; becomes a `Fault` where the option's path is known."""
