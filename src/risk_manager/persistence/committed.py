"""What a journal holds of an account, as it was written."""

from pathlib import Path

import msgspec

from risk_manager.domain.decision import Decision
from risk_manager.persistence.reading import Unreadable, reading

_BODIES = "SELECT sequence, body FROM decisions WHERE account_id = ? AND sequence > ? AND sequence <= ?"
_NO_END = (1 << 63) - 1


def committed_decisions(data: Path, account_id: str, after: int, up_to: int | None = None) -> dict[int, bytes]:
    """The JSON of every committed decision with a sequence above `after`, up to `up_to`, by its sequence.

    Raises:
        Unreadable: there is no journal, it cannot be read, or one of these is no decision; the message says why.
    """
    row = (account_id, after, _NO_END if up_to is None else up_to)
    with reading(data) as connection:
        return {sequence: _checked(sequence, body) for sequence, body in connection.execute(_BODIES, row)}


def _checked(sequence: int, body: str) -> bytes:
    try:
        msgspec.json.decode(body, type=Decision)
    except (msgspec.MsgspecError, TypeError) as error:
        raise Unreadable(f"decision {sequence} in the journal is none: {error}") from None
    return body.encode()
