"""The balance a trading day began with, from what the venue tells in any order."""

import msgspec

from risk_manager.domain.events import Event
from risk_manager.domain.opening_balance import OpeningBalance, followed, uncertain_loss_micros
from risk_manager.engine import Engine
from risk_manager.testing.events import ES, HOUR_NS, NQ, SECOND_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded


class Following:
    """An account whose opening balance is followed event by event."""

    def __init__(self, venue: Scenario) -> None:
        self.venue = venue
        self.guarded = Guarded()
        self.guarded.engine = Engine(self.guarded.settings)
        self.opening = OpeningBalance()

    def feed(self, *events: Event, is_trusted: bool = False) -> OpeningBalance:
        for event in events:
            self.guarded.feed(event)
            self.opening = followed(self.opening, event, self.guarded.engine.account, is_trusted=is_trusted)
        return self.opening

    def told(self, times: int = 2, every_s: int = 2, *, is_trusted: bool = False) -> OpeningBalance:
        """The balance, told some times."""
        for _ in range(times):
            self.venue.wait(every_s)
            self.feed(self.venue.account(), is_trusted=is_trusted)
        return self.opening

    @property
    def bounds(self) -> tuple[int | None, int]:
        low = self.opening.low_micros
        return (None if low is None else low // 1_000_000), self.opening.high_micros // 1_000_000


def started(realized: int = 0) -> Following:
    """Settled, the day so far having brought so much."""
    venue = Scenario()
    if realized:
        venue.result(realized)
        venue.wait(60)
    following = Following(venue)
    following.feed(venue.snapshot(), venue.timer(after_s=3))
    assert following.opening.is_settled
    return following


def test_is_the_balance_without_what_the_day_has_brought() -> None:
    assert started(-700).bounds == (50_000, 50_000)


def test_knows_nothing_before_the_days_fills_are_read() -> None:
    following = Following(Scenario())
    blind = msgspec.structs.replace(following.venue.snapshot(), fills=None)
    assert following.feed(blind, following.venue.account()).low_micros is None


def test_is_not_settled_before_what_was_under_way_has_come() -> None:
    following = Following(Scenario())
    opening = following.feed(following.venue.snapshot())
    assert (opening.is_settled, opening.is_exact, opening.due_ns) == (False, False, opening.told_ns + 2_000_000_000)
    before = following.feed(following.venue.timer(after_s=1.998))
    assert not before.is_settled
    assert following.feed(following.venue.timer()).is_settled  # 2 seconds, to the nanosecond


def test_is_told_within_bounds_when_a_fill_of_the_moment_may_be_in_it_or_not() -> None:
    venue = Scenario()
    record = venue.account().account
    venue.result(-500, fees=4)
    following = Following(venue)
    torn = msgspec.structs.replace(venue.snapshot(), account=record)
    following.feed(torn)
    assert following.bounds == (50_000, 50_504)
    # Whichever it is: the account has not less than its balance nor more than its best.
    following.told()
    assert following.bounds == (50_000, 50_000)


def test_a_close_of_what_was_held_may_be_in_the_balance_already() -> None:
    venue = Scenario()
    venue.buys(ES, 1, 5800)
    venue.wait(60)
    following = Following(venue)
    following.feed(venue.snapshot(), venue.quote(ES, 5790))
    assert uncertain_loss_micros(following.opening, following.guarded.engine.account) == micros(500)
    following.feed(*venue.closes(ES, 5790))
    assert following.bounds == (50_000, 50_500)
    assert uncertain_loss_micros(following.opening, following.guarded.engine.account) == 0
    assert not following.told(1).is_settled
    assert following.bounds == (50_000, 50_000)
    assert following.told(1).is_settled


def test_an_open_loss_is_certain_once_no_close_can_be_under_way() -> None:
    venue = Scenario()
    venue.buys(ES, 1, 5800)
    following = Following(venue)
    following.feed(venue.snapshot(), venue.quote(ES, 5790), venue.timer(after_s=2))
    assert uncertain_loss_micros(following.opening, following.guarded.engine.account) == 0


def test_an_open_profit_is_no_loss_in_doubt() -> None:
    venue = Scenario()
    venue.buys(ES, 1, 5800)
    venue.buys(NQ, 1, 21_000)
    following = Following(venue)
    following.feed(venue.snapshot(), venue.quote(ES, 5790), venue.quote(NQ, 21_010))
    account = following.guarded.engine.account
    assert uncertain_loss_micros(following.opening, account) == micros(500)
    account.now_ns = following.opening.told_ns + 2 * SECOND_NS - 1
    assert uncertain_loss_micros(following.opening, account) == micros(500)
    account.now_ns += 1
    assert uncertain_loss_micros(following.opening, account) == 0


def test_a_position_opened_since_is_certain_at_once() -> None:
    venue = Scenario()
    following = Following(venue)
    following.feed(venue.snapshot(), venue.quote(ES, 5800), *venue.buys(ES, 1, 5800), venue.quote(ES, 5790))
    assert uncertain_loss_micros(following.opening, following.guarded.engine.account) == 0
    following.feed(*venue.closes(ES, 5790))
    assert following.bounds == (50_000, 50_000)


def test_money_that_comes_is_ignored_and_money_that_leaves_counts() -> None:
    following = started()
    following.venue.balance_micros += micros(5000)
    assert following.told(1).ignored_micros == 0
    opening = following.told(1)
    assert (following.bounds, opening.ignored_micros) == ((50_000, 50_000), micros(5000))
    following.venue.balance_micros -= micros(6000)
    opening = following.told()
    assert (following.bounds, opening.ignored_micros) == ((49_000, 49_000), 0)
    assert opening.taken_micros == micros(1000)
    following.venue.balance_micros += micros(1000)
    opening = following.told()
    assert (following.bounds, opening.ignored_micros, opening.taken_micros) == ((50_000, 50_000), 0, 0)


def test_a_balance_told_once_is_not_believed() -> None:
    following = started()
    following.venue.balance_micros -= micros(1000)
    following.told(1)
    following.venue.balance_micros += micros(1000)
    assert following.told(3).taken_micros == 0


def test_a_balance_told_beside_a_fill_is_not_believed() -> None:
    following = started()
    venue = following.venue
    stale = venue.account()
    for _ in range(4):
        venue.wait(1)
        following.feed(*venue.result(100), msgspec.structs.replace(stale, at_ns=venue.now_ns, received_ns=venue.now_ns))
    assert following.told().ignored_micros == 0
    assert following.bounds == (50_000, 50_000)


def test_a_change_that_was_announced_is_taken_as_told() -> None:
    following = started()
    following.venue.balance_micros += micros(3000)
    following.told(is_trusted=True)
    assert following.bounds == (53_000, 53_000)
    following.venue.balance_micros += micros(500)
    for _ in range(2):
        following.venue.wait(2)
        following.feed(following.venue.snapshot(), is_trusted=True)
    assert following.bounds == (53_500, 53_500)


class TestNextDay:
    def turned(self, realized: int = 200) -> Following:
        following = started()
        following.feed(*following.venue.result(realized))
        following.venue.now_ns = START_NS + 8 * HOUR_NS
        following.feed(following.venue.quote(ES, 5800))
        return following

    def test_begins_where_the_day_before_ended(self) -> None:
        following = self.turned()
        assert following.bounds == (50_200, 50_200)
        assert (following.opening.is_exact, following.opening.is_settled) == (True, False)

    def test_is_settled_by_the_venue_saying_the_same(self) -> None:
        assert self.turned().told(1).is_settled

    def test_is_settled_by_a_minute_without_a_word(self) -> None:
        following = self.turned()
        assert not following.feed(following.venue.timer(after_s=59)).is_settled
        assert following.feed(following.venue.timer(after_s=1)).is_settled

    def test_is_what_the_venue_says_where_that_differs(self) -> None:
        following = self.turned()
        following.venue.balance_micros -= micros(30)
        following.told()
        assert following.bounds == (50_170, 50_170)
        assert following.told(1).is_settled

    def test_is_unknown_after_days_nobody_saw_until_the_venue_is_asked(self) -> None:
        following = started()
        following.venue.result(-900)
        following.venue.now_ns = START_NS + 40 * HOUR_NS
        assert following.feed(following.venue.quote(ES, 5800)).low_micros is None
        # The day's own fills are not read yet: what the venue tells now may hold their result.
        assert following.told().low_micros is None
        following.feed(following.venue.snapshot())
        assert following.bounds == (49_100, 49_100)

    def test_is_unknown_after_days_nobody_saw_though_the_last_one_was_not_settled(self) -> None:
        following = Following(Scenario())
        assert not following.feed(following.venue.snapshot()).is_settled
        following.venue.now_ns = START_NS + 40 * HOUR_NS
        assert not following.feed(following.venue.quote(ES, 5800)).is_settled
        for _ in range(3):
            following.venue.wait(3)
            following.feed(following.venue.snapshot())
        assert (following.bounds, following.opening.ignored_micros) == ((50_000, 50_000), 0)
