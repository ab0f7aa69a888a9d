"""Which rules a quote has to be shown to: those that have not said how far open profit may move, or where it has."""

from typing import Any, ClassVar

import msgspec
import pytest

from risk_manager.domain.events import FillReceived, QuoteUpdated
from risk_manager.domain.finding import Gauge
from risk_manager.engine.bands import Bands, _bands
from risk_manager.engine.slot import Slot
from risk_manager.rules import named
from risk_manager.rules._base import UNBOUNDED, Demand, Remedy, Slack
from risk_manager.testing.events import CL, ES, MES
from risk_manager.testing.guarded import Guarded

DOLLAR = 1_000_000


class Calm(msgspec.Struct, frozen=True):
    """Finds nothing, and need not look before open profit has moved so far."""

    name: ClassVar[str] = "calm"
    listens_to: ClassVar[frozenset[type]] = frozenset({QuoteUpdated})
    remedy: Remedy = Remedy(Demand.ALERT)
    own: Slack | None = None

    def initial_state(self) -> None:
        return None

    def deadline_ns(self, state: None) -> None:
        return None

    def gauges(self, state: None, account: Any) -> tuple[Gauge, ...]:
        return ()

    def step(self, state: None, event: Any, account: Any) -> tuple[None, tuple[Any, ...]]:
        return None, ()

    def slack(self, state: None, account: Any) -> Slack | None:
        return self.own if account.holdings else None


class Scene:
    """One ES long from 5800 under rules with these slacks, called a, b, c and so on; a tick is 12.50 dollars."""

    def __init__(self, *slacks: Slack | None) -> None:
        self.guarded = Guarded()
        self.venue = self.guarded.venue
        self.account = self.guarded.engine.account
        self.guarded.feed(self.venue.quote(ES, 5800), self.venue.buys(ES, 1, 5800), self.venue.quote(ES, 5800))
        self.slots = [Slot(named(Calm(own=slack), name)) for slack, name in zip(slacks, "abcd", strict=False)]
        self.bands = Bands(self.slots)

    def measure(self, asked: str = "abcd") -> None:
        self.bands.measure([slot for slot in self.slots if slot.name in asked], self.account)

    def concerned(self, price: float | str = 5800, *, product: Any = ES, now_ns: int = 5) -> str:
        """The rules to which a quote at that price is shown."""
        self.guarded.feed(self.venue.quote(product, price))
        return "".join(slot.name for slot in self.bands.concerned(self.account.holdings[product.id], now_ns))


def test_shows_a_quote_to_every_rule_until_they_have_said() -> None:
    scene = Scene(Slack(), None, Slack())
    assert scene.concerned() == "abc"
    scene.measure()
    assert scene.concerned() == "b"


@pytest.mark.parametrize(
    ("price", "shown"),
    [(5800, ""), ("5798.25", ""), (5798, "a"), ("5797.75", "a"), ("5803.75", ""), (5804, "a"), (5900, "a")],
)
def test_shows_it_from_the_bound_on(price: float | str, shown: str) -> None:
    scene = Scene(Slack(100 * DOLLAR, 200 * DOLLAR))
    scene.measure()
    assert scene.concerned(price) == shown


def test_shows_it_from_the_time_on() -> None:
    scene = Scene(Slack(until_ns=1_000), Slack(until_ns=2_000))
    scene.measure()
    assert [scene.concerned(now_ns=now_ns) for now_ns in (999, 1_000, 1_999, 2_000)] == ["", "a", "a", "ab"]


def test_goes_by_what_each_rule_has_said() -> None:
    near, far = Slack(50 * DOLLAR, 400 * DOLLAR), Slack(100 * DOLLAR, 200 * DOLLAR)
    scene = Scene(near, None, far)
    scene.measure()
    shown = {price: scene.concerned(price) for price in (5800, 5799, 5798, 5804, 5808)}
    assert shown == {5800: "b", 5799: "ab", 5798: "abc", 5804: "bc", 5808: "abc"}


def test_measures_anew_from_where_the_rule_has_looked() -> None:
    scene = Scene(Slack(50 * DOLLAR), Slack(200 * DOLLAR))
    scene.measure()
    assert scene.concerned(5799) == "a"
    scene.measure("a")
    assert [scene.concerned(price) for price in (5799, "5798.25", 5798, 5796)] == ["", "", "a", "ab"]


def test_shows_everything_to_a_rule_that_no_longer_says() -> None:
    scene = Scene(Slack(50 * DOLLAR), Slack(200 * DOLLAR))
    scene.measure()
    scene.slots[0].is_quiet = False
    assert scene.concerned(5799) == "a"
    scene.measure("a")
    assert (scene.concerned(5799), scene.concerned(5800)) == ("a", "a")
    scene.slots[0].is_quiet = True
    scene.measure("a")
    assert (scene.concerned(5800), scene.concerned(5799)) == ("", "a")


def test_stops_showing_it_to_a_rule_that_says_at_last() -> None:
    scene = Scene(Slack(50 * DOLLAR), Slack(200 * DOLLAR))
    scene.slots[0].is_quiet = False
    scene.measure()
    holding = scene.account.holdings[ES.id]
    scene.bands.measure(scene.bands.concerned(holding, 5), scene.account)
    asked = scene.bands.concerned(holding, 5)
    assert asked == [scene.slots[0]]
    scene.slots[0].is_quiet = True
    scene.bands.measure(asked, scene.account)
    assert [scene.concerned(price) for price in (5800, 5799, 5796)] == ["", "a", "ab"]


def test_forgets_what_was_said() -> None:
    scene = Scene(Slack(), Slack())
    scene.measure()
    assert scene.concerned() == ""
    scene.bands.forget()
    assert scene.concerned() == "ab"
    scene.measure("a")
    assert scene.concerned() == "b", "the other has not been asked since"


def test_shows_a_quote_of_what_was_not_held_to_every_rule() -> None:
    scene = Scene(Slack(), Slack())
    scene.measure()
    scene.guarded.feed(scene.venue.quote(CL, 70), scene.venue.buys(CL, 1, 70))
    assert scene.concerned(70, product=CL) == "ab"


def test_says_nothing_while_a_position_has_no_price() -> None:
    scene = Scene(Slack(), Slack())
    scene.measure()
    scene.guarded.feed(scene.venue.buys(CL, 1, 70))
    assert scene.account.unpriced == {CL.id}
    assert scene.bands.concerned(scene.account.holdings[CL.id], 5) is scene.slots
    scene.measure()
    assert scene.concerned() == "ab"


def test_says_nothing_while_a_position_is_in_doubt() -> None:
    """The fill is here, the position it made is not."""
    scene = Scene(Slack(), Slack())
    scene.guarded.feed(event for event in scene.venue.buys(ES, 1, 5800) if isinstance(event, FillReceived))
    assert scene.account.doubtful_since_ns() is not None
    scene.measure()
    assert scene.concerned() == "ab"


def test_shares_the_slack_out_evenly() -> None:
    scene = Scene()
    scene.guarded.feed(scene.venue.quote(MES, 5800), scene.venue.buys(MES, 1, 5800))
    scene.guarded.feed(scene.venue.quote(ES, 5801), scene.venue.quote(MES, 5798))
    bands, until_ns = _bands(Slack(101, 8, 99), scene.account)
    es, mes = 50 * DOLLAR, -10 * DOLLAR
    assert (bands, until_ns) == ({ES.id: (es - 51, es + 4), MES.id: (mes - 51, mes + 4)}, 99)
    bands, _ = _bands(Slack(), scene.account)
    assert bands[ES.id] == (es - UNBOUNDED // 2, es + UNBOUNDED // 2)
    assert _bands(Slack(0, -3), scene.account).bands[ES.id] == (es, es - 1)
