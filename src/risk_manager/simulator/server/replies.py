"""The envelope every operation answers with, and the error numbers, which mean something else on every endpoint."""

from collections.abc import Mapping
from enum import IntEnum

from risk_manager.simulator.records import RefusalCode, Refused
from risk_manager.simulator.server.shapes import Row

ACCOUNT_NOT_FOUND = 1
CONTRACT_NOT_FOUND = 1
ORDER_NOT_FOUND = 1
VALIDATE_EXPIRED = 3
BARS_UNIT_INVALID = 2
BARS_UNIT_NUMBER_INVALID = 3
BARS_LIMIT_INVALID = 4


class Login(IntEnum):
    """Why a login is refused."""

    USER_NOT_FOUND = 1
    PASSWORD_VERIFICATION_FAILED = 2
    INVALID_CREDENTIALS = 3
    APP_NOT_FOUND = 4
    APP_VERIFICATION_FAILED = 5
    INVALID_DEVICE = 6
    AGREEMENTS_NOT_SIGNED = 7
    UNKNOWN_ERROR = 8
    API_SUBSCRIPTION_NOT_FOUND = 9
    API_KEY_AUTHENTICATION_DISABLED = 10


Numbers = Mapping[RefusalCode, int]

PLACE: Numbers = {
    RefusalCode.ACCOUNT_NOT_FOUND: 1,
    RefusalCode.REJECTED: 2,
    RefusalCode.INVALID_SIZE: 2,
    RefusalCode.INSUFFICIENT_FUNDS: 3,
    RefusalCode.VIOLATION: 4,
    RefusalCode.OUTSIDE_HOURS: 5,
    RefusalCode.CONTRACT_NOT_FOUND: 8,
    RefusalCode.CONTRACT_NOT_ACTIVE: 9,
    RefusalCode.ACCOUNT_REJECTED: 10,
}
MODIFY: Numbers = {
    RefusalCode.ACCOUNT_NOT_FOUND: 1,
    RefusalCode.ORDER_NOT_FOUND: 2,
    RefusalCode.REJECTED: 3,
    RefusalCode.ACCOUNT_REJECTED: 6,
    RefusalCode.CONTRACT_NOT_FOUND: 7,
}
CANCEL: Numbers = {
    RefusalCode.ACCOUNT_NOT_FOUND: 1,
    RefusalCode.ORDER_NOT_FOUND: 2,
    RefusalCode.REJECTED: 3,
    RefusalCode.ACCOUNT_REJECTED: 6,
}
CLOSE: Numbers = {
    RefusalCode.ACCOUNT_NOT_FOUND: 1,
    RefusalCode.POSITION_NOT_FOUND: 2,
    RefusalCode.CONTRACT_NOT_FOUND: 3,
    RefusalCode.CONTRACT_NOT_ACTIVE: 4,
    RefusalCode.REJECTED: 5,
    RefusalCode.ACCOUNT_REJECTED: 8,
}
PARTIAL_CLOSE: Numbers = {
    RefusalCode.ACCOUNT_NOT_FOUND: 1,
    RefusalCode.POSITION_NOT_FOUND: 2,
    RefusalCode.CONTRACT_NOT_FOUND: 3,
    RefusalCode.CONTRACT_NOT_ACTIVE: 4,
    RefusalCode.INVALID_SIZE: 5,
    RefusalCode.REJECTED: 6,
    RefusalCode.ACCOUNT_REJECTED: 9,
}


def success(**payload: object) -> Row:
    """A reply that says yes."""
    return {**payload, "success": True, "errorCode": 0, "errorMessage": None}


def failure(code: int, message: str | None = None, **payload: object) -> Row:
    """A reply that says no, still with HTTP 200; `code` is the endpoint's own, never 0."""
    assert code != 0, message
    return {**payload, "success": False, "errorCode": code, "errorMessage": message}


def refusal(refused: Refused, numbers: Numbers, **payload: object) -> Row:
    """The exchange's refusal in the numbers of an endpoint; what the endpoint has no number for is its rejection."""
    code = numbers.get(refused.code, numbers[RefusalCode.REJECTED])
    return failure(code, refused.message, **payload)
