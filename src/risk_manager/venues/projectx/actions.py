"""Guard actions as gateway requests, and their verdicts as outcomes."""

from collections.abc import Callable, Mapping
from typing import Any

from risk_manager.domain.actions import (
    Action,
    CancelOrder,
    ClosePosition,
    ModifyOrder,
    PlaceStop,
    PlaceTarget,
    ReducePosition,
    TakeSnapshot,
)
from risk_manager.domain.events import ActionAccepted, ActionRejected, ActionUnknown, Outcome, Refusal
from risk_manager.domain.order import Side
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx.catalogue import Catalogue
from risk_manager.venues.projectx.contracts import price_json
from risk_manager.venues.projectx.errors import NotSent
from risk_manager.venues.projectx.gateway import Gateway, Ruling
from risk_manager.venues.projectx.limits import lanes_of
from risk_manager.venues.projectx.outcomes import Accepted, Mutation, Rejected
from risk_manager.venues.projectx.tags import Tags

_LIMIT = 1
_STOP = 4
_SIDES = {Side.BUY: 0, Side.SELL: 1}

Request = tuple[Mutation, Mapping[str, Any]]


class ActionSender:
    """Sends one action and says what is known of it."""

    def __init__(self, gateway: Gateway, catalogue: Catalogue, clock: Clock, tags: Tags) -> None:
        self._gateway = gateway
        self._catalogue = catalogue
        self._clock = clock
        self._tags = tags

    async def send(self, account_id: str, action: Action, is_due: Callable[[], bool] | None = None) -> Outcome:
        try:
            mutation, payload = await self._request(int(account_id), action)
        except (NotSent, ValueError) as error:
            ruling = Ruling(Rejected(Refusal.OTHER, f"not sent: {error}"), 0)
        else:
            (lane,) = lanes_of(action)
            ruling = await self._gateway.mutate(mutation, payload, lane, is_due)
        received_ns = self._clock.now_ns()
        verdict = ruling.verdict
        if isinstance(verdict, Accepted):
            return ActionAccepted(account_id, action.id, ruling.at_ns, received_ns)
        if isinstance(verdict, Rejected):
            return ActionRejected(account_id, action.id, verdict.refusal, verdict.message, ruling.at_ns, received_ns)
        return ActionUnknown(account_id, action.id, verdict.message, ruling.at_ns, received_ns)

    async def _request(self, account: int, action: Action) -> Request:
        """The request an action stands for.

        Raises:
            NotSent: its price cannot be written, for the contract is unknown, or it is none of the venue's.
            ValueError: an id is no number, which every id of this venue is.
        """
        match action:
            case CancelOrder():
                return Mutation.CANCEL, {"accountId": account, "orderId": int(action.order_id)}
            case ClosePosition():
                return Mutation.CLOSE, {"accountId": account, "contractId": action.contract_id}
            case ReducePosition():
                if action.size <= 0:
                    raise NotSent(f"a reduction by {action.size}")
                payload = {"accountId": account, "contractId": action.contract_id, "size": action.size}
                return Mutation.REDUCE, payload
            case PlaceStop():
                price = await self._price(action.contract_id, action.stop_ticks)
                return Mutation.PLACE, self._placed(account, action) | {"type": _STOP, "stopPrice": price}
            case PlaceTarget():
                price = await self._price(action.contract_id, action.limit_ticks)
                return Mutation.PLACE, self._placed(account, action) | {"type": _LIMIT, "limitPrice": price}
            case ModifyOrder():
                moved: dict[str, Any] = {"accountId": account, "orderId": int(action.order_id)}
                if action.stop_ticks is not None:
                    moved["stopPrice"] = await self._price(action.contract_id, action.stop_ticks)
                if action.limit_ticks is not None:
                    moved["limitPrice"] = await self._price(action.contract_id, action.limit_ticks)
                if action.size is not None:
                    moved["size"] = action.size
                return Mutation.MODIFY, moved
            case TakeSnapshot():
                raise NotSent("a snapshot is not an action of the venue")

    async def _price(self, contract_id: str, ticks: int) -> Any:
        contract = await self._catalogue.find(contract_id)
        if contract is None:
            raise NotSent(f"contract {contract_id} is unknown")
        return price_json(ticks, contract)

    def _placed(self, account: int, action: PlaceStop | PlaceTarget) -> dict[str, Any]:
        """What every order the guard places says, whatever its kind.

        Raises:
            NotSent: it is for no contract at all.
        """
        if action.size <= 0:
            raise NotSent(f"an order of {action.size}")
        return {
            "accountId": account,
            "contractId": action.contract_id,
            "side": _SIDES[action.side],
            "size": action.size,
            "customTag": self._tags.of(action.id),
        }
