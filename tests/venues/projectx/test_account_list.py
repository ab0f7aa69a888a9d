"""An account that is gone: what is told of it, and that no other is taken for it."""

import pytest

from risk_manager.domain.account import Account
from risk_manager.domain.events import ConnectionChanged, Link, SnapshotTaken
from risk_manager.venues.projectx.account_list import AccountList
from tests.venues.projectx.fake_gateway import ACCOUNT, ok
from tests.venues.projectx.test_against_simulator import running
from tests.venues.projectx.test_venue import Desk

NAME = "50KTC-V2-100001-30000001"
GONE = "the venue no longer lists account 1"


def listed(**names: str) -> dict[str, Account]:
    """Accounts by id, given as `_1="name"`."""
    return {key[1:]: Account(key[1:], name, 0, True) for key, name in names.items()}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (listed(_1=NAME), None),
        (listed(), f"{GONE}, {NAME}"),
        (listed(_2="50KTC-V2-100001-30000002"), f"{GONE}, {NAME}"),
        (
            listed(_3=NAME),
            f"{GONE}; {NAME} is 3 now, which a restart takes if the configuration says the name",
        ),
        (
            listed(_2="50KTC-V2-100001-30000002", _3="50KTC-V2-100001-30000003", _4="PRAC-V2-100001-30000004"),
            f"{GONE}, {NAME}; new is 50KTC-V2-100001-30000003 (3): to guard it, name it in the configuration and "
            "restart",
        ),
    ],
)
def test_tells_what_may_have_come_in_the_account_s_place(now: dict[str, Account], told: str | None) -> None:
    accounts = AccountList()
    accounts.absence("1", listed(_1=NAME, _2="50KTC-V2-100001-30000002"))
    # Another account of ours has been looked for in the meantime.
    accounts.absence("2", now)
    assert accounts.absence("1", now) == told


def test_knows_nothing_of_an_account_it_has_never_seen_listed() -> None:
    assert AccountList().absence("1", listed(_2=NAME)) == GONE


async def test_the_link_of_the_account_is_down_until_it_is_listed_again() -> None:
    desk = Desk()
    accounts = desk.gateway.answers["/api/Account/search"]
    async with desk.running():
        link = await desk.connected()
        for answer in (ok(accounts=[]), accounts):
            desk.gateway.answers["/api/Account/search"] = answer
            await desk.venue.snapshot(ACCOUNT, full=False)
            await desk.venue.snapshot(ACCOUNT, full=True)
        assert [up for name, up in desk.links() if name == "user_hub"] == [True, False, True]

        desk.gateway.answers["/api/Account/search"] = ok(accounts=[])
        link.drop()
        await desk.until(lambda: len(desk.of(SnapshotTaken)) == 2)
        # Connected again, and still not listed.
        await desk.until(lambda: [up for name, up in desk.links() if name == "user_hub"][3:] == [False, True, False])


async def test_a_replaced_account_is_told_of_and_no_other_is_touched() -> None:
    async with running() as world:
        new = world.exchange.replace_account(world.number, "50KTC-V2-1-1", 50_000_000_000, world.exchange.now_ns)
        taken = await world.venue.snapshot(world.account_id, full=True)
        down = await world.seen(ConnectionChanged, lambda event: event.link is Link.USER_HUB and not event.is_up)
        assert down.reason == (
            f"the venue no longer lists account {world.account_id}; 50KTC-V2-1-1 is {new} now, "
            "which a restart takes if the configuration says the name"
        )
        assert (taken.positions, taken.orders, taken.is_account_missing) == (None, None, True)
        # What a restart finds under the name.
        assert [(account.id, account.name) for account in await world.venue.accounts()] == [(str(new), "50KTC-V2-1-1")]
