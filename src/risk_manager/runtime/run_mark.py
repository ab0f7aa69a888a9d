"""The one thing drawn by chance: what tells the orders of one start of the guard from those of every other."""

from secrets import token_hex

_BYTES = 4


def draw_run_mark() -> str:
    """Eight hexadecimal digits.

    They are drawn anew at every start and kept nowhere: what is kept can be lost with the rest, or copied with it. For
    a tag to be repeated two starts would have to draw the same one of four thousand million, and count alike.
    """
    return token_hex(_BYTES)
