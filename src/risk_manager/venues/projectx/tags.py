"""Which customTag an order of the guard's bears, and whose order a customTag says it is.

The venue takes a tag once per account, for ever as far as anybody has seen, and those of refused orders are spent, too
(projectx.md 1.8, 1.9). How long one may be is not known; 60 characters are known to pass.

An action's id, `<account>-<decision>.<n>`, is unique as long as the guard remembers how far it has counted. A guard
that has lost its memory, or a second one with a memory of its own, counts from the beginning, and its stop would be
refused as a repetition, again and again. So the id is followed by the run mark, which one start of the guard adds to
all its tags and no other start does:

| customTag                    | read as  | whose order it is                                    |
|------------------------------|----------|------------------------------------------------------|
| `<id>-<mark of this run>`    | `<id>`   | this run's, of just that attempt                     |
| `<id>-<mark of another run>` | as it is | an earlier run's, or another guard's of the account  |
| `<id>`                       | `<id>-`  | one of a run before there were marks                 |
| anything else                | as it is | somebody else's                                      |

The first three are a guard's own (`enforcement.protection.is_own`), and treated alike: nobody can tell an earlier run
of this guard from another guard, for what it remembered may be lost. They count for the contracts that are left of
them; one that is too small is enlarged, one at another price moved, a stop only ever tightened; of several the oldest
stays, on which two guards agree; and none outlives its position. But an attempt whose outcome is unknown is known again
by the whole tag alone: an equal id of another run says nothing about it.

So two guards of one account get along as long as their rules want the same. Where one wants a target and the other
none, the one goes on placing what the other cancels.
"""

import re
from hashlib import blake2s

LENGTH_MAX = 60

_JOINT = "-"
"""As the venue itself joins tags: it adds `-SL` and `-TP` for the legs of a bracket (projectx.md 1.9)."""

_WITHOUT_MARK = re.compile(r"[0-9]+-[0-9]+\.[0-9]+")
_HASH_BYTES = 8


class Tags:
    """The tags of one run, whose mark is letters and digits that no other run on the account has."""

    def __init__(self, run_mark: str) -> None:
        assert run_mark.isalnum(), run_mark
        self._ending = f"{_JOINT}{run_mark}"

    def of(self, action_id: str) -> str:
        """The customTag of the order an action places: unique per attempt and run.

        Of an id that would make it too long the account stays, which is a number of at most ten digits, and the rest
        becomes another number: the order is still known as the guard's, but not as this attempt's.
        """
        if len(action_id) + len(self._ending) > LENGTH_MAX:
            account_id, _, rest = action_id.rpartition("-")
            number = int.from_bytes(blake2s(rest.encode(), digest_size=_HASH_BYTES).digest())
            # No action is the 0th of its decision.
            action_id = f"{account_id}-{number}.0"
        return action_id + self._ending

    def read(self, custom_tag: str) -> str:
        """What `Order.tag` is to hold: the action's id where the order is the attempt of this run."""
        if custom_tag.endswith(self._ending):
            return custom_tag.removesuffix(self._ending)
        return f"{custom_tag}{_JOINT}" if _WITHOUT_MARK.fullmatch(custom_tag) else custom_tag
