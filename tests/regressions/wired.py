"""An engine under rules behind the real venue client, which hears a gateway that spells payloads as the venue does."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from risk_manager.config.trading_days import build_trading_days
from risk_manager.domain.actions import Action, TakeSnapshot
from risk_manager.domain.decision import Decision
from risk_manager.domain.events import Event
from risk_manager.domain.finding import Breach
from risk_manager.engine import Engine, EngineSettings
from risk_manager.rules import Rule, build_rules
from risk_manager.venues.projectx.venue import ProjectXVenue
from tests.venues.projectx.fake_gateway import (
    ACCOUNT,
    ES_RECORD,
    MNQ_RECORD,
    RUN_MARK,
    SECOND_NS,
    FakeClock,
    FakeGateway,
    FakeLink,
    ok,
    settings,
)

DAYS = build_trading_days("17:00", "America/Chicago", 2026, 2026)
NQ_RECORD = MNQ_RECORD | {"id": "CON.F.US.ENQ.U26", "name": "NQU6", "tickValue": 5, "symbolId": "F.US.ENQ"}
ES_DECEMBER_RECORD = ES_RECORD | {"id": "CON.F.US.EP.Z26", "name": "ESZ6", "activeContract": False}
CL_RECORD = ES_RECORD | {
    "id": "CON.F.US.CLE.U26",
    "name": "CLU6",
    "tickSize": 0.01,
    "tickValue": 10,
    "symbolId": "F.US.CLE",
}
RECORDS: Mapping[str, Mapping[str, Any]] = {
    str(record["id"]): record for record in (ES_RECORD, ES_DECEMBER_RECORD, NQ_RECORD, MNQ_RECORD, CL_RECORD)
}
ES, ES_DECEMBER, NQ, MNQ, CL = RECORDS

POSITIONS, ORDERS, FILLS = "/api/Position/searchOpen", "/api/Order/v2/query", "/api/Trade/search"


class Wired:
    """Attributes:
    decisions: everything the engine said.   known: ids of the contracts the venue describes.
    """

    def __init__(
        self, *rules: Rule, instruments: tuple[str, ...] = (), known: tuple[str, ...] = tuple(RECORDS)
    ) -> None:
        self.clock = FakeClock()
        self.gateway = FakeGateway(self.clock)
        self.gateway.answers |= {
            "/api/Contract/available": ok(contracts=[RECORDS[contract_id] for contract_id in known]),
            "/api/Position/closeContract": ok(),
            "/api/Position/partialCloseContract": ok(),
            "/api/Order/cancel": ok(),
        }
        self.venue = ProjectXVenue(
            settings(instruments=instruments), self.gateway, self.clock, lambda code, detail: None, run_mark=RUN_MARK
        )
        self.engine = Engine(EngineSettings(ACCOUNT, DAYS, rules))
        self.decisions: list[Decision] = []
        self.events: list[Event] = []
        self._ids = 3_004_518_355

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Wired"]:
        """Connect, and have the account read once."""
        run = asyncio.create_task(self.venue.run((ACCOUNT,), self._deliver))
        try:
            await settled()
            yield self
        finally:
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run

    # -- what the venue says ------------------------------------------------------------------------------------

    async def hears(self, target: str, *records: Mapping[str, Any]) -> None:
        """Events of the user hub, a millisecond apart."""
        for record in records:
            self.wait(0.001)
            self.user_link.event(target, {"action": 1, "data": record})
            await settled()

    async def quoted(self, contract_id: str, **members: Any) -> None:
        self.wait(0.001)
        self.gateway.links["market"][-1].event("GatewayQuote", contract_id, {"timestamp": self.stamp, **members})
        await settled()

    async def reads(self, *, full: bool = True, **lists: list[dict[str, Any]]) -> None:
        """The account over REST, with what it shows from now on (`positions`, `orders`, `trades`)."""
        paths = {"positions": POSITIONS, "orders": ORDERS, "trades": FILLS}
        self.gateway.answers |= {paths[name]: ok(**{name: rows}) for name, rows in lists.items()}
        self._deliver(await self.venue.snapshot(ACCOUNT, full=full))

    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        now = datetime.fromtimestamp(self.clock.ns // SECOND_NS, UTC)
        self.gateway.date = format_datetime(now, usegmt=True)

    @property
    def user_link(self) -> FakeLink:
        return self.gateway.links["user"][-1]

    # -- records, of now ----------------------------------------------------------------------------------------

    @property
    def stamp(self) -> str:
        at = datetime.fromtimestamp(self.clock.ns / SECOND_NS, UTC)
        return at.isoformat(timespec="microseconds")

    def position(self, net: int, price: float = 4500, contract_id: str = ES, **changes: Any) -> dict[str, Any]:
        """A netted position: its size is positive on either side, the type says which; a flat one keeps its price."""
        return {
            "id": 825245547,
            "accountId": int(ACCOUNT),
            "contractId": contract_id,
            "creationTimestamp": self.stamp,
            "type": (net > 0) + 2 * (net < 0),
            "size": abs(net),
            "averagePrice": price,
        } | changes

    def order(self, side: int, size: int, kind: int, *, status: int = 1, **changes: Any) -> dict[str, Any]:
        self._ids += 1
        return {
            "id": self._ids,
            "accountId": int(ACCOUNT),
            "contractId": ES,
            "creationTimestamp": self.stamp,
            "updateTimestamp": self.stamp,
            "status": status,
            "type": kind,
            "side": side,
            "size": size,
            "fillVolume": 0,
        } | changes

    def fill(
        self, signed: int, price: float = 4500, pnl: float | None = None, contract_id: str = ES, **changes: Any
    ) -> dict[str, Any]:
        """The venue calls it a trade; an opening one has no profit."""
        self._ids += 1
        return {
            "id": self._ids,
            "accountId": int(ACCOUNT),
            "contractId": contract_id,
            "creationTimestamp": self.stamp,
            "price": price,
            "profitAndLoss": pnl,
            "fees": 0,
            "commissions": 0,
            "side": int(signed < 0),
            "size": abs(signed),
            "voided": False,
            "orderId": self._ids,
        } | changes

    # -- what came of it ----------------------------------------------------------------------------------------

    @property
    def breaches(self) -> list[Breach]:
        return [item for made in self.decisions for item in made.findings if isinstance(item, Breach)]

    @property
    def codes(self) -> list[str]:
        return [breach.code for breach in self.breaches]

    @property
    def actions(self) -> list[Action]:
        """What the engine wants done, its reads left out."""
        return [act for made in self.decisions for act in made.actions if not isinstance(act, TakeSnapshot)]

    @property
    def contract_ids(self) -> set[str]:
        """What the engine wants something done about."""
        actions = (act for made in self.decisions for act in made.actions)
        return {act.contract_id for act in actions if not isinstance(act, TakeSnapshot)}

    async def sends(self) -> list[tuple[str, dict[str, Any]]]:
        """Carry all actions out; the requests they became."""
        before = len(self.gateway.requests)
        for action in self.actions:
            await self.venue.execute(ACCOUNT, action)
        return [(path, payload) for path, payload, _ in self.gateway.requests[before:]]

    def net(self, contract_id: str = ES) -> int:
        holding = self.engine.account.holdings.get(contract_id)
        return holding.net_contracts if holding is not None else 0

    def _deliver(self, event: Event) -> None:
        self.events.append(event)
        decision = self.engine.receive(event)
        if decision:
            self.decisions.append(decision)


def rules(**sections: dict[str, Any]) -> tuple[Rule, ...]:
    """The rules of a configuration's sections."""
    return build_rules(sections)


async def settled(turns: int = 40) -> None:
    """Let everything that waits for nothing outside go on."""
    for _ in range(turns):
        await asyncio.sleep(0)
