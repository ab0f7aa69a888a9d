"""`schedule`: a rule in force at certain times only.

Outside its schedule a rule finds nothing and shows no limit. It goes on counting and remembering, so what it finds at
the opening is what is true then, as at a start. Leaving the schedule releases nothing: a lockout set inside ends as it
would have; what releases it outside releases it. Until the venue has told the time the rule waits. Where the
calendar cannot answer, the rule is in force and says so: not known to be closed is not closed.
"""

from typing import Any

from risk_manager.domain.account import AccountView
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Gauge, Release, Skipped
from risk_manager.domain.schedule import Schedule
from risk_manager.rules._base import Rule, Slack, slack_of
from risk_manager.rules._compose.shape import Found, Layer, named, specialised, state_class
from risk_manager.rules._options.schedule import spelled_schedule

_FIELDS: tuple[tuple[str, Any, Any], ...] = (("is_open", bool, False), ("until_ns", int, 0))


class During(Layer, frozen=True, kw_only=True):
    """A rule in force during a schedule."""

    schedule: Schedule

    def renamed(self, name: str) -> Any:
        return during(self.schedule, named(self.rule, name))

    def around(self, inner: Any, own: Any) -> Any:
        return state_class("DuringState", (type(inner),), _FIELDS)(inner)

    def deadline_ns(self, state: Any) -> int | None:
        due_ns: int | None = self.rule.deadline_ns(state.inner)
        edge_ns: int | None = state.until_ns or None
        if due_ns is None or edge_ns is None:
            return edge_ns if due_ns is None else due_ns
        return min(due_ns, edge_ns)

    def gauges(self, state: Any, account: AccountView) -> tuple[Gauge, ...]:
        return self.rule.gauges(state.inner, account) if state.is_open else ()

    def slack(self, state: Any, account: AccountView) -> Slack | None:
        slack = slack_of(self.rule, state.inner, account)
        if slack is None or not state.until_ns:
            return None
        return Slack(slack.down_micros, slack.up_micros, min(slack.until_ns, state.until_ns))

    def step(self, state: Any, event: Event, account: AccountView) -> tuple[Any, Found]:
        inner, found = self.rule.step(state.inner, event, account)
        is_open, until_ns, lacks = state.is_open, state.until_ns, ""
        if account.now_ns >= until_ns and account.now_ns:
            is_open, until_ns, lacks = self._looked(account)
        if inner is not state.inner or until_ns != state.until_ns or is_open != state.is_open:
            state = type(state)(inner, is_open, until_ns)
        if not is_open:
            return state, tuple(item for item in found if isinstance(item, Release)) if found else ()
        return state, (*found, Skipped(self.name, f"schedule: {lacks}")) if lacks else found

    def _looked(self, account: AccountView) -> tuple[bool, int, str]:
        """Whether it is open now, until when, and what the calendar lacks to tell."""
        lacks = self.schedule.lacks(account.calendar)
        if lacks is not None:
            return True, 0, lacks
        span = self.schedule.span_at(account.now_ns, account.calendar)
        return span.is_open, span.until_ns, ""

    def spelled(self) -> dict[str, object]:
        return {"schedule": spelled_schedule(self.schedule)}


def during(schedule: Schedule, rule: Rule) -> Any:
    """The rule, in force during the schedule only; a warning layer around it stays outermost."""
    return specialised(During, rule.name, rule.listens_to)(rule=rule, schedule=schedule)
