"""Which rules are in force: what is stricter at once, what is looser with the next trading day, over restarts too.

The rules in force are written down in the data directory, in the trader's spelling, with the trading day. So a limit
raised in the file while the guard is stopped waits like any other; the guard's memory decides, not the file alone. So
does another reset: the day under way ends when it would have, or whoever moves the reset would have a new day at once.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from risk_manager.domain.trading_day import TradingDay
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
    """What is on disk: the sections in force, the day they were that on, and the reset it began under."""

    sections: dict[str, dict[str, object]]
    day: TradingDay | None = None
    reset: str = ""


class RulesInForce:
    """The rules of one account, and what waits to become one of them.

    Attributes:
        rules: in force.   waiting: what is written differently and not in force yet.
    """

    def __init__(
        self,
        folder: Path,
        account_id: str,
        wanted: tuple[Rule, ...],
        classes: Mapping[str, type[Rule]],
        *,
        reset: str = "",
    ) -> None:
        """Continue from what was in force last; without a record `wanted` is in force at once.

        Args:
            reset: when trading days begin by the configuration, in words.
        """
        self._file = folder / FOLDER / f"{account_id}.json"
        self._account_id = account_id
        self._wanted = wanted
        self._wanted_reset = reset
        record = _read(self._file)
        self._day = None if record is None else record.day
        self._reset = reset if record is None or record.day is None else record.reset
        before = wanted if record is None else self._rebuilt(record, {**classes, **_classes_of(wanted)})
        self.rules: tuple[Rule, ...]
        self.waiting: tuple[Waiting, ...]
        self._tighten(before)
        if record is not None:
            # What became stricter while the guard was stopped cannot be taken back by stopping it again.
            self._write()

    def offer(self, wanted: tuple[Rule, ...]) -> None:
        """Take other rules; what is stricter is in `rules` when this returns, the rest waits for another trading day
        than the last one seen.
        """
        self._wanted = wanted
        self._tighten(self.rules)
        self._write()

    def see_day(self, day: TradingDay) -> bool:
        """Take note of the trading day; whether what waited is in `rules` now.

        A day counts as another only once the last one is over: neither an earlier one nor the same by another reset.
        """
        last = self._day
        if last is not None and (day.label <= last.label or day.start_ns < last.end_ns):
            return False
        is_over = last is not None and bool(self.waiting)
        if is_over:
            self.rules = self._wanted
        self._day, self._reset = day, self._wanted_reset
        self._tighten(self.rules)
        self._write()
        return is_over

    def _tighten(self, before: tuple[Rule, ...]) -> None:
        self.rules, waiting = tightened(before, self._wanted)
        if self._reset != self._wanted_reset:
            waiting = (*waiting, Waiting("reset", "", self._reset, self._wanted_reset))
        self.waiting = waiting

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

    def _write(self) -> None:
        """Store the record whole or not at all; a disk that refuses costs only what waits over a restart."""
        record = _Record({rule.name: options_of(rule) for rule in self.rules}, self._day, self._reset)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, msgspec.json.format(msgspec.json.encode(record), indent=2))
        except OSError as error:
            log.critical("rules in force not stored", file=str(self._file), error=str(error))


def days_under_way(folder: Path) -> tuple[TradingDay, ...]:
    """The trading day each account of a data directory was last seen on, as it was to end then."""
    records = [_read(file) for file in sorted((folder / FOLDER).glob("*.json"))]
    return tuple(record.day for record in records if record is not None and record.day is not None)


def _read(file: Path) -> _Record | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Record)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.critical("rules in force not readable", file=str(file), error=str(error))
        return None


def _classes_of(rules: tuple[Rule, ...]) -> dict[str, type[Rule]]:
    """The classes of rules that came as objects, so that they can be built again."""
    found = {kind: made for rule in rules for kind, made in class_of(rule).items()}
    return {kind: made for kind, made in found.items() if kind not in RULES}
