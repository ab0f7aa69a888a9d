"""What one step of the engine has gathered so far; becomes a Decision."""

from risk_manager.domain.actions import Action
from risk_manager.domain.finding import Finding, Skipped
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout, LockoutRelease
from risk_manager.domain.scope import Scope
from risk_manager.enforcement.planner import ActionIds


class Step:
    """A decision in the making.

    Attributes:
        id: of the decision, `<account>-<sequence>`; ids of intents and actions begin with it.
    """

    __slots__ = (
        "action_ids",
        "actions",
        "findings",
        "id",
        "intents",
        "lockouts_released",
        "lockouts_set",
        "skipped",
    )

    def __init__(self, decision_id: str) -> None:
        self.id = decision_id
        self.action_ids = ActionIds(decision_id)
        self.findings: list[Finding] = []
        self.lockouts_set: dict[tuple[Scope, str], Lockout] = {}
        self.lockouts_released: list[LockoutRelease] = []
        self.intents: dict[str, Intent] = {}
        self.actions: list[Action] = []
        self.skipped: list[Skipped] = []

    @property
    def has_news(self) -> bool:
        return bool(
            self.findings or self.lockouts_set or self.lockouts_released or self.intents or self.actions or self.skipped
        )
