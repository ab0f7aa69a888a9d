"""The venue's list of accounts over time: which of ours is gone, and what may have come in its place.

After a failed evaluation or a reset the venue opens another account, with an id of its own, and knows the old one no
more. Which of the accounts listed then is meant is for the trader to say: none is taken for another here.
"""

from collections.abc import Mapping

from risk_manager.domain.account import Account

Listed = Mapping[str, Account]
"""Accounts by id."""


class AccountList:
    """Remembers of each account the last list that had it."""

    def __init__(self) -> None:
        self._last: dict[str, Listed] = {}

    def absence(self, account_id: str, listed: Listed) -> str | None:
        """What to tell the trader of an account that is not in the list; None where it is."""
        if account_id in listed:
            self._last[account_id] = listed
            return None
        text = f"the venue no longer lists account {account_id}"
        before = self._last.get(account_id)
        if before is None:
            return text
        name = before[account_id].name
        news = [account for key, account in sorted(listed.items()) if key not in before]
        for account in news:
            if account.name == name:
                return f"{text}; {name} is {account.id} now, which a restart takes if the configuration says the name"
        alike = [f"{account.name} ({account.id})" for account in news if _kind(account.name) == _kind(name)]
        if not alike:
            return f"{text}, {name}"
        return f"{text}, {name}; new is {', '.join(alike)}: to guard it, name it in the configuration and restart"


def _kind(name: str) -> str:
    """A name without its serial number: `50KTC-V2-100001` of `50KTC-V2-100001-30000001`."""
    return name.rpartition("-")[0]
