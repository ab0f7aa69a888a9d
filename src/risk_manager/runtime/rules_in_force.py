"""Which rules are in force: what is stricter at once, what is looser with the next trading day, over restarts too.

The rules in force are written down in the data directory, in the trader's spelling, with the trading day. So a limit
raised in the file while the guard is stopped waits like any other; the guard's memory decides, not the file alone.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from risk_manager.persistence.whole_file import write_whole
from risk_manager.rules import (
    RULES,
    OptionsInvalid,
    Rule,
    build_rules,
    class_of,
    options_of,
    tightened,
    trial_faults,
)
from risk_manager.rules import Waiting as Waiting

FOLDER = "rules"

log = structlog.get_logger("rules")


class _Record(msgspec.Struct, frozen=True):
    """What is on disk: the day it was true on, and the sections in force."""

    trading_day: str
    sections: dict[str, dict[str, object]]


class RulesInForce:
    """The rules of one account, and what waits to become one of them.

    Attributes:
        rules: in force.   waiting: what is written differently and not in force yet.
    """

    def __init__(
        self, folder: Path, account_id: str, wanted: tuple[Rule, ...], classes: Mapping[str, type[Rule]]
    ) -> None:
        """Continue from what was in force last; without a record `wanted` is in force at once."""
        self._file = folder / FOLDER / f"{account_id}.json"
        self._account_id = account_id
        self._wanted = wanted
        record = self._read()
        self._since = "" if record is None else record.trading_day
        before = wanted if record is None else self._rebuilt(record, {**classes, **_classes_of(wanted)})
        self.rules, self.waiting = tightened(before, wanted)

    def offer(self, wanted: tuple[Rule, ...], trading_day: str) -> None:
        """Take other rules; what is stricter is in `rules` when this returns, the rest waits for another trading day.

        Args:
            trading_day: the label of the day it is now.
        """
        self._wanted, self._since = wanted, trading_day
        self.rules, self.waiting = tightened(self.rules, wanted)
        self._write()

    def see_day(self, trading_day: str) -> bool:
        """Take note of the trading day; whether what waited is in `rules` now."""
        if trading_day == self._since:
            return False
        is_over = bool(self.waiting) and bool(self._since)
        if is_over:
            self.rules, self.waiting = self._wanted, ()
        self._since = trading_day
        self._write()
        return is_over

    def _rebuilt(self, record: _Record, classes: Mapping[str, type[Rule]]) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        for name, section in record.sections.items():
            try:
                built = build_rules({name: section}, classes)
                problems = [problem for rule in built for problem in trial_faults(rule)]
            except OptionsInvalid as invalid:
                built, problems = (), [str(invalid)]
            if problems:
                # Its code is gone, or was changed: nothing is left to keep in force.
                error = "; ".join(problems)
                log.critical("rule cannot be kept in force", account=self._account_id, rule=name, error=error)
            else:
                rules.extend(built)
        return tuple(rules)

    def _read(self) -> _Record | None:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_Record)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.critical("rules in force not readable", file=str(self._file), error=str(error))
            return None

    def _write(self) -> None:
        """Store the record whole or not at all; a disk that refuses costs only what waits over a restart."""
        record = _Record(self._since, {rule.name: options_of(rule) for rule in self.rules})
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, msgspec.json.format(msgspec.json.encode(record), indent=2))
        except OSError as error:
            log.critical("rules in force not stored", file=str(self._file), error=str(error))


def _classes_of(rules: tuple[Rule, ...]) -> dict[str, type[Rule]]:
    """The classes of rules that came as objects, so that they can be built again."""
    found = {kind: made for rule in rules for kind, made in class_of(rule).items()}
    return {kind: made for kind, made in found.items() if kind not in RULES}
