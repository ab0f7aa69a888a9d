"""What the guard may ask of the venue. None of these can raise |position|."""

import msgspec

from risk_manager.domain.order import Side


class CancelOrder(msgspec.Struct, frozen=True, gc=False, tag="cancel_order"):
    """Cancel one working order.

    Attributes:
        is_urgent: the order is the guard's own, which must not open a position because others are cancelled first.
    """

    id: str
    intent_id: str
    contract_id: str
    order_id: str
    is_urgent: bool = False


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
    """Rest a protective stop against an open position: on its other side, of no more contracts; never repeated blindly.

    Attributes:
        id: also the order's `tag`, by which the guard knows its own orders.
    """

    id: str
    intent_id: str
    contract_id: str
    side: Side
    size: int
    stop_ticks: int


class PlaceTarget(msgspec.Struct, frozen=True, gc=False, tag="place_target"):
    """Rest a limit order that takes the profit of an open position; otherwise like PlaceStop."""

    id: str
    intent_id: str
    contract_id: str
    side: Side
    size: int
    limit_ticks: int


class ModifyOrder(msgspec.Struct, frozen=True, gc=False, tag="modify_order"):
    """Move a protective order, or fit it to its position's size; what is None stays as it is.

    Attributes:
        size: contracts of the whole order, what has filled included.
        is_urgent: it is larger than the position and could turn it round.
    """

    id: str
    intent_id: str
    contract_id: str
    order_id: str
    stop_ticks: int | None
    limit_ticks: int | None
    size: int | None = None
    is_urgent: bool = False


class TakeSnapshot(msgspec.Struct, frozen=True, gc=False, tag="take_snapshot"):
    """Read the account over REST, answered by SnapshotTaken; `full` includes the account record and the fills."""

    id: str
    reason: str
    full: bool


Action = CancelOrder | ClosePosition | ReducePosition | PlaceStop | PlaceTarget | ModifyOrder | TakeSnapshot
