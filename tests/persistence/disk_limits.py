"""A disk that refuses, for real."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_writes_past(size: int) -> Iterator[None]:
    """Real write errors: the system refuses this process every byte past so many in any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
