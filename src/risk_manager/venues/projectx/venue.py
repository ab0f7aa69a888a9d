"""The ProjectX Gateway as a Venue: both hubs kept open, REST for truth and for action."""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn

from risk_manager.domain.account import Account
from risk_manager.domain.actions import Action
from risk_manager.domain.contract import Contract
from risk_manager.domain.events import Event, Link, Outcome, SnapshotTaken
from risk_manager.ports.clock import Clock
from risk_manager.venues.projectx.account_list import Listed
from risk_manager.venues.projectx.actions import ActionSender
from risk_manager.venues.projectx.auth import Auth
from risk_manager.venues.projectx.catalogue import Catalogue
from risk_manager.venues.projectx.errors import HubClosed, HubError
from risk_manager.venues.projectx.feed import Feed
from risk_manager.venues.projectx.followups import FollowUps
from risk_manager.venues.projectx.gateway import Gateway
from risk_manager.venues.projectx.hubs import HubConnection, HubSession
from risk_manager.venues.projectx.limits import CallBudget, lanes_of
from risk_manager.venues.projectx.problems import Problems, Report
from risk_manager.venues.projectx.records import Reader
from risk_manager.venues.projectx.rest import RestClient
from risk_manager.venues.projectx.settings import ProjectXSettings
from risk_manager.venues.projectx.snapshots import SnapshotReader
from risk_manager.venues.projectx.tags import Tags
from risk_manager.venues.projectx.transport import Transport
from risk_manager.venues.projectx.venue_time import VenueTime

_RESUBSCRIBE_S = 5.0
_RESUBSCRIBE_MAX_S = 30.0


class ProjectXVenue:
    """One user's connection to a ProjectX gateway; implements `ports.venue.Venue`.

    Args:
        report: called with (code, detail) for what is odd about the venue's messages; logs by default.
        budget: our share of the venue's calls; None takes the published 200 in 60 s.
        run_mark: letters and digits that no other run has had on these accounts; see `tags`.
    """

    def __init__(
        self,
        settings: ProjectXSettings,
        transport: Transport,
        clock: Clock,
        report: Report | None = None,
        budget: CallBudget | None = None,
        *,
        run_mark: str,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._problems = Problems(report)
        self._time = VenueTime(settings.clock_lead_max_s)
        self._rest = RestClient(settings, transport, clock, self._time, self._problems, self._on_link, budget)
        self._auth = Auth(settings, self._rest, clock, self._problems, self._on_link)
        gateway = Gateway(self._rest, self._auth)
        self._catalogue = Catalogue(gateway, self._problems, live=settings.live, every_s=settings.catalogue_s)
        tags = Tags(run_mark)
        self._reader = Reader(self._problems, tags)
        self._snapshots = SnapshotReader(
            gateway, self._catalogue, self._reader, clock, self._time, self._problems, settings.day_start_ns
        )
        self._actions = ActionSender(gateway, self._catalogue, clock, tags)
        self._followups = FollowUps(self._catalogue)
        self._catalogue.on_listing = self._on_listing
        self._snapshots.on_records = self._on_records
        self._catalogue.on_found = self._followups.contract_found
        self._feed: Feed | None = None
        self._rest_state: tuple[bool, str] | None = None

    @property
    def problem_counts(self) -> Mapping[str, int]:
        """How often each oddity was met."""
        return self._problems.counts

    def recall(self, asked: Iterable[tuple[int, Action]]) -> None:
        """Take in what an earlier run has asked for and when (local time): the venue still counts it against us."""
        self._rest.recall((lane, at_ns) for at_ns, action in asked for lane in lanes_of(action))

    def contracts(self) -> tuple[Contract, ...]:
        """The contracts known so far."""
        return self._catalogue.book.all()

    async def accounts(self) -> tuple[Account, ...]:
        """Every active account of the user, so that names can be resolved to ids.

        Raises:
            ProjectXError: the venue could not be asked, or refused.
        """
        return await self._snapshots.read_accounts()

    async def run(self, account_ids: tuple[str, ...], deliver: Callable[[Event], None]) -> None:
        assert self._feed is None, "run() is already running"
        feed = self._feed = Feed(
            account_ids,
            deliver,
            self._catalogue.book.get,
            self._followups,
            self._reader,
            self._clock,
            self._time,
            self._problems,
        )
        if self._rest_state is not None:
            feed.link(Link.REST, *self._rest_state)
        self._want_listed(feed)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._auth.keep())
                tasks.create_task(self._catalogue.keep())
                tasks.create_task(self._catalogue.keep_looking())
                tasks.create_task(self._followups.keep_taking(self._take_snapshot))
                tasks.create_task(self._user_hub(feed).run())
                tasks.create_task(self._market_hub(feed).run())
                if self._settings.warm_connections > 0:
                    tasks.create_task(self._keep_warm())
        finally:
            self._feed = None

    async def snapshot(self, account_id: str, *, full: bool) -> SnapshotTaken:
        taken = await self._snapshots.read(account_id, full=full)
        if self._feed is not None:
            self._feed.listed(account_id, self._snapshots.absences.get(account_id))
            self._feed.see(taken)
        return taken

    async def execute(self, account_id: str, action: Action, is_due: Callable[[], bool] | None = None) -> Outcome:
        return await self._actions.send(account_id, action, is_due)

    async def close(self) -> None:
        await self._transport.close()

    def _user_hub(self, feed: Feed) -> HubSession:
        async def on_open(connection: HubConnection) -> None:
            for account_id in feed.account_ids:
                feed.hold(account_id)
            await connection.call("SubscribeAccounts")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._until_deaf(Link.USER_HUB))
                for account_id in feed.account_ids:
                    tasks.create_task(self._open_account(feed, connection, account_id))

        return HubSession(
            self._settings.user_hub_url,
            self._transport,
            self._auth,
            self._settings.hub,
            self._problems,
            random.Random(f"user {self._settings.user_name}"),
            on_open=on_open,
            on_invocation=feed.on_user,
            on_down=lambda reason: feed.link(Link.USER_HUB, False, reason),
        )

    def _market_hub(self, feed: Feed) -> HubSession:
        async def on_open(connection: HubConnection) -> None:
            feed.quotes.forget_prices()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._until_deaf(Link.MARKET_HUB))
                tasks.create_task(self._keep_subscribing(feed, connection))

        return HubSession(
            self._settings.market_hub_url,
            self._transport,
            self._auth,
            self._settings.hub,
            self._problems,
            random.Random(f"market {self._settings.user_name}"),
            on_open=on_open,
            on_invocation=feed.on_market,
            on_down=lambda reason: feed.link(Link.MARKET_HUB, False, reason),
            hot_target="GatewayQuote",
        )

    async def _until_deaf(self, link: Link) -> NoReturn:
        """Give a new connection up when it turns out to be deaf.

        Raises:
            HubClosed: it is.
        """
        reopening = self._followups.reopening[link]
        reopening.clear()
        await reopening.wait()
        raise HubClosed("connected, and tells nothing")

    async def _open_account(self, feed: Feed, connection: HubConnection, account_id: str) -> None:
        """Subscribe one account, read it, deliver what was read and then what came meanwhile."""
        pause_s = _RESUBSCRIBE_S
        number = int(account_id)
        while True:
            feed.hold(account_id)
            try:
                await asyncio.gather(
                    connection.call("SubscribeOrders", number),
                    connection.call("SubscribePositions", number),
                    connection.call("SubscribeTrades", number),
                )
                break
            except HubError as error:
                # One account may be gone while the others are fine: only its own link is down.
                feed.link(Link.USER_HUB, False, str(error), (account_id,))
                await asyncio.sleep(pause_s)
                pause_s = min(_RESUBSCRIBE_MAX_S, 2 * pause_s)
        taken = await self._snapshots.read(account_id, full=True)
        feed.link(Link.USER_HUB, True, "subscribed", (account_id,))
        self._hand_over(feed, taken)
        feed.release(account_id)

    async def _keep_subscribing(self, feed: Feed, connection: HubConnection) -> NoReturn:
        """Subscribe every contract somebody listens to, now and whenever one is added."""
        subscribed: set[str] = set()
        wanted = self._followups.quotes_wanted
        while True:
            wanted.clear()
            missing = [contract_id for contract_id in feed.quotes.contract_ids() if contract_id not in subscribed]
            done = await asyncio.gather(*(self._subscribe_quotes(connection, contract_id) for contract_id in missing))
            subscribed.update(contract_id for contract_id, is_done in zip(missing, done, strict=True) if is_done)
            feed.link(Link.MARKET_HUB, True, "subscribed")
            try:
                async with asyncio.timeout(None if all(done) else _RESUBSCRIBE_S):
                    await wanted.wait()
            except TimeoutError:
                continue

    async def _subscribe_quotes(self, connection: HubConnection, contract_id: str) -> bool:
        try:
            await connection.call("SubscribeContractQuotes", contract_id)
        except HubError as error:
            self._problems.note("quotes_refused", f"{contract_id}: {error}")
            return False
        return True

    async def _take_snapshot(self, account_id: str, reason: str) -> None:
        feed = self._feed
        if feed is not None:
            self._hand_over(feed, await self._snapshots.read(account_id, full=True))

    def _hand_over(self, feed: Feed, taken: SnapshotTaken) -> None:
        feed.listed(taken.account_id, self._snapshots.absences.get(taken.account_id))
        feed.snapshot(taken)
        if taken.positions is None or taken.orders is None:
            self._followups.snapshot(taken.account_id, "the last one was incomplete")

    def _on_records(self, listed: Listed, requested_ns: int) -> None:
        if self._feed is not None:
            self._feed.records(listed, requested_ns)

    def _on_listing(self) -> None:
        self._followups.listing_read()
        if self._feed is not None:
            self._feed.quotes.forget_scales()
            self._want_listed(self._feed)

    def _want_listed(self, feed: Feed) -> None:
        """Quote the listed contracts of the configured products for every account."""
        for symbol in self._settings.instruments:
            listed = self._catalogue.book.listed(symbol)
            if not listed and self._catalogue.book.all():
                self._problems.note("product_not_listed", symbol)
            for contract in listed:
                for account_id in feed.account_ids:
                    feed.want_quotes(account_id, contract.id)

    def _on_link(self, link: Link, is_up: bool, reason: str) -> None:
        self._rest_state = (is_up, reason)
        if self._feed is not None:
            self._feed.link(link, is_up, reason)

    async def _keep_warm(self) -> NoReturn:
        """Keep some REST connections open: a TLS handshake costs most when a flatten has to wait for it."""
        while True:
            await asyncio.gather(*(self._rest.ping() for _ in range(self._settings.warm_connections)))
            await asyncio.sleep(self._settings.warm_every_s)
