"""`warn_at`: a warning at percents of a rule's limits, for every rule by its gauges alone.

Each gauge warns once a trading day for each level; several levels passed at once are one warning, for the highest. What
warns is said to the engine once and enforces nothing. The code is `<RULE>_80_PCT`, with the gauge's label in it where
the rule shows several.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Gauge, Skipped, Unit, Warning
from risk_manager.domain.scope import ACCOUNT
from risk_manager.rules._base import RULE_ERRORS, UNBOUNDED, Rule, Slack, slack_of
from risk_manager.rules._compose.shape import Found, Layer, named, specialised, state_class

MOST_PCT = 99
Percent = Annotated[int, msgspec.Meta(ge=1, le=MOST_PCT)]

_FIELDS: tuple[tuple[str, Any, Any], ...] = (
    ("label", str, ""),
    ("reached", dict[str, int], msgspec.field(default_factory=dict)),
)


class Kept(msgspec.Struct, frozen=True):
    """The levels warned about in a trading day, by the gauge's label."""

    label: str
    reached: dict[str, int]


class WarnAt(Layer, frozen=True, kw_only=True):
    """A rule that also warns; `levels` are percents, lowest first."""

    levels: tuple[Percent, ...]

    def renamed(self, name: str) -> Any:
        return warned(named(self.rule, name), *self.levels)

    def around(self, inner: Any, own: Any) -> Any:
        made = state_class("WarnAtState", (type(inner),), _FIELDS)
        return made(inner) if own is None else made(inner, own.label, own.reached)

    def own_part(self, state: Any) -> Kept:
        return Kept(state.label, state.reached)

    def deadline_ns(self, state: Any) -> int | None:
        due_ns: int | None = self.rule.deadline_ns(state.inner)
        return due_ns

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        gauges: tuple[Gauge, ...] = self.rule.gauges(state.inner, account)
        return gauges

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, Found]:
        inner, found = self.rule.step(state.inner, event, account)
        reached = state.reached if state.label == account.day.label else {}
        risen = dict(reached)
        try:
            warnings = tuple(self._risen(self.rule.gauges(inner, account), risen))
        except RULE_ERRORS as error:  # a faulty gauge must not cost what the rule itself has found
            found = (*found, Skipped(self.name, f"its gauges failed: {error!r}"))
            warnings = ()
        if inner is not state.inner or risen != state.reached or state.label != account.day.label:
            state = type(state)(inner, account.day.label, risen)
        return state, (*found, *warnings)

    def slack(self, state: Any, account: AccountView) -> Slack | None:
        slack = slack_of(self.rule, state.inner, account)
        if slack is None:
            return None
        rooms = []
        for gauge in self.rule.gauges(state.inner, account):
            level = next((one for one in self.levels if one > state.reached.get(gauge.label, 0)), None)
            if level is None or gauge.limit <= 0:
                continue
            if gauge.unit is not Unit.MICROS:
                return None
            rooms.append(-(-gauge.limit * level // 100) - gauge.used)
        room = min(rooms, default=UNBOUNDED)
        return Slack(min(slack.down_micros, room), min(slack.up_micros, room), slack.until_ns)

    def _risen(self, gauges: tuple[Gauge, ...], reached: dict[str, int]) -> Iterator[Warning]:
        """A warning for each gauge that is at a higher level than `reached` says, which is brought up to date."""
        for gauge in gauges:
            level = self._level(gauge)
            if level <= reached.get(gauge.label, 0):
                continue
            reached[gauge.label] = level
            if gauge.used > gauge.limit:
                # The rule itself has the word.
                continue
            which = f"{_word(gauge.label)}_" if len(gauges) > 1 else ""
            yield Warning(
                self.name,
                f"{_word(self.name)}_{which}{level}_PCT",
                gauge.used,
                gauge.limit,
                gauge.unit,
                ACCOUNT,
                (("gauge", gauge.label), ("level", f"{level}%")),
            )

    def _level(self, gauge: Gauge) -> int:
        """The highest level reached, 0 if none; multiplied out so that no division rounds."""
        if gauge.limit <= 0 or 100 * gauge.used < gauge.limit * self.levels[0]:
            return 0
        return max(level for level in self.levels if 100 * gauge.used >= gauge.limit * level)

    def spelled(self) -> dict[str, object]:
        return {"warn_at": list(self.levels)}


def warned(rule: Rule, *levels: int) -> Any:
    """The rule with warnings at these percents of its limits, 1 to 99; the rule itself if there are none."""
    if not levels:
        return rule
    if not all(1 <= level <= MOST_PCT for level in levels):
        raise ValueError(f"levels are percents from 1 to {MOST_PCT}, not {levels}")
    made = specialised(WarnAt, rule.name, rule.listens_to)
    return made(rule=rule, levels=tuple(sorted(set(levels))))


def _word(text: str) -> str:
    """A label as part of a code: letters and digits in upper case, all else an underscore."""
    spaced = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in text)
    return "_".join(spaced.upper().split())
