"""Reads that take long, in steps: between two of them the thread that carries them out is free for other calls."""

from collections.abc import Generator

type Steps[Answer] = Generator[None, None, Answer]


def next_step[Answer](steps: Steps[Answer]) -> tuple[Answer] | None:
    """Carry out one step; the answer, alone in a tuple, once it was the last one."""
    try:
        next(steps)
    except StopIteration as end:
        return (end.value,)
    return None


def all_steps[Answer](steps: Steps[Answer]) -> Answer:
    """The answer of a read that keeps nobody waiting."""
    while (ended := next_step(steps)) is None:
        pass
    return ended[0]
