"""What the guard may ask of the venue. None of these can raise |position|."""

import msgspec

from risk_manager.domain.order import Side


class CancelOrder(msgspec.Struct, frozen=True, gc=False, tag="cancel_order"):
    """Cancel one working order."""

    id: str
    intent_id: str
    contract_id: str
    order_id: str


class ClosePosition(msgspec.Struct, frozen=True, gc=False, tag="close_position"):
    """Close whatever is open in a contract; carries no size, so it can neither add nor flip."""

    id: str
    intent_id: str
    contract_id: str


class ReducePosition(msgspec.Struct, frozen=True, gc=False, tag="reduce_position"):
    """Close `size` contracts of an open position, size > 0; single-flight, never repeated blindly."""

    id: str
    intent_id: str
    contract_id: str
    size: int


class PlaceStop(msgspec.Struct, frozen=True, gc=False, tag="place_stop"):
    """Rest a protective stop against an open position."""

    id: str
    intent_id: str
    contract_id: str
    side: Side
    size: int
    stop_ticks: int


class ModifyOrder(msgspec.Struct, frozen=True, gc=False, tag="modify_order"):
    """Move a protective order to a tighter price."""

    id: str
    intent_id: str
    contract_id: str
    order_id: str
    stop_ticks: int | None
    limit_ticks: int | None


class TakeSnapshot(msgspec.Struct, frozen=True, gc=False, tag="take_snapshot"):
    """Read the account over REST, answered by SnapshotTaken; `full` includes the account record and the fills."""

    id: str
    reason: str
    full: bool


Action = CancelOrder | ClosePosition | ReducePosition | PlaceStop | ModifyOrder | TakeSnapshot
