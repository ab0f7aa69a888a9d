"""The venue's refusal texts, as they were captured or documented; each is a fact about the wire, spelled as seen."""

from risk_manager.simulator.records import RefusalCode, Refused

AGREEMENTS = "Please log into the ProjectX platform and complete the required agreements"
BRACKETS_IN_POSITION_MODE = "Brackets cannot be used with Position Brackets. You must enable Auto OCO Brackets."
CANNOT_TRAIL = "Cannot trail without a last price"
FOLLOWER_CANNOT_CANCEL = "Follower accounts cannot cancel orders"
INVALID_SIZE = "Invalid order size specified."
INVALID_SYMBOL = "Invalid symbol"
INVALID_TYPE = "Invalid order type specified."
LIVE_NOT_SUPPORTED = "Live accounts not supported"
MARGIN_TOO_SMALL = "Not enough margin."
MISALIGNED_LIMIT = "Invalid limit price. Price is not aligned to tick size."
MISALIGNED_STOP = "Invalid stop price. Price is not aligned to tick size."
MISALIGNED_TRAIL = "Invalid trail price. Price is not aligned to tick size."
OUTSIDE_HOURS = "Outside of trading hours."
PRICE_OUTSIDE_RANGE = "Invalid price. Price is outside allowed range."
TAG_IN_USE = "Order rejected: custom tag already in use."
TRADING_UNAVAILABLE = "Trading is currently unavailable. The instrument is not in an active trading status."
TRAIL_NOT_SET = "Trail Distance not set."
TRAIL_TOO_FAR = "Trail Distance exceeds maximum (1000)"

# No capture shows what a missing price is answered with; the wording follows its neighbors.
INVALID_SIDE = "Invalid order side specified."
LIMIT_NOT_SET = "Invalid limit price. Price is not set."
STOP_NOT_SET = "Invalid stop price. Price is not set."

# Reported without the rest of the sentence.
POSITION_TOO_LARGE = "Maximum position exceeded."
ORDER_TOO_LARGE = "Maximum order size exceeded."


def locked_out(reason: str) -> str:
    """The text for an account the venue has blocked."""
    return f"Your account is locked out: {reason}. Please wait until your lockout expires."


def stop_loss_type(name: str) -> str:
    """The text for a stop-loss bracket that is neither a stop nor a trailing stop; `name` as the venue spells it."""
    return f"Invalid stop loss type ({name})"


def take_profit_type(name: str) -> str:
    """Not captured: the mirror of the stop loss's text."""
    return f"Invalid take profit type ({name})"


def stop_loss_positive(ticks: int) -> str:
    return f"Invalid stop loss ticks ({ticks}). Ticks should be less than zero when longing."


def stop_loss_near(ticks: int) -> str:
    return f"Invalid stop loss ticks ({ticks}). Stop loss tick value should be at least 4 ticks."


def take_profit_positive(ticks: int) -> str:
    return f"Invalid take profit ticks ({ticks}). Ticks should be less than zero when going short."


def take_profit_negative(ticks: int) -> str:
    """Not captured: the mirror of the short's text."""
    return f"Invalid take profit ticks ({ticks}). Ticks should be greater than zero when longing."


def rejected(message: str | None) -> Refused:
    """A refusal of the common kind; the venue records the order as rejected."""
    return Refused(RefusalCode.REJECTED, message)
