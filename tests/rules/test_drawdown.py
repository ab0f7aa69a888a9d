"""The high-water mark and the floor below it."""

from collections.abc import Mapping
from itertools import permutations
from typing import ClassVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.finding import Breach, Gauge, Unit, Warning
from risk_manager.domain.opening_balance import OpeningBalance
from risk_manager.domain.scope import ACCOUNT
from risk_manager.engine import Engine
from risk_manager.rules import OptionsInvalid, build_rule, build_rules
from risk_manager.rules.drawdown import Drawdown, Mode, Water
from risk_manager.testing.events import CL, DAY_NS, ES, HOUR_NS, MNQ, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded

COMBINE = {"max_drawdown": 2000, "starting_balance": 50_000, "lock_at": 50_000}


def guarded_by(options: Mapping[str, object], venue: Scenario | None = None) -> Guarded:
    return Guarded(build_rule(Drawdown, options), venue=venue)


def floor(guarded: Guarded) -> float:
    """The floor now, in dollars."""
    (slot,) = guarded.engine._slots
    (rule,) = guarded.settings.rules
    assert isinstance(rule, Drawdown)
    return rule.floor_micros(slot.state) / 1_000_000


def fresh(options: Mapping[str, object], venue: Scenario) -> Guarded:
    """A guard that has not seen the venue yet."""
    guarded = guarded_by(options)
    guarded.venue, guarded.engine = venue, Engine(guarded.settings)
    return guarded


def settled_with(options: Mapping[str, object], venue: Scenario) -> Guarded:
    guarded = guarded_by(options, venue)
    guarded.feed(venue.timer(after_s=3))
    guarded.feed(venue.account(), venue.timer(after_s=3))
    return guarded


def settled(options: Mapping[str, object]) -> Guarded:
    """Some seconds after the start, when nothing of it is under way any more."""
    guarded = guarded_by(options)
    guarded.feed(guarded.venue.timer(after_s=3))
    return guarded


def closes_at(guarded: Guarded, balance: int) -> None:
    """Bring the balance there with one result, and let the trading day end."""
    venue = guarded.venue
    difference = balance - venue.balance_micros // 1_000_000
    if difference:
        guarded.feed(venue.result(difference), venue.account())
    venue.wait(24 * 3600)
    guarded.feed(venue.account())


def with_balance(dollars: int) -> Scenario:
    """On the week's first trading day."""
    venue = Scenario(start_ns=START_NS - 2 * DAY_NS)
    venue.balance_micros = micros(dollars)
    return venue


def test_v1_trails_the_highest_close_and_locks_at_the_start() -> None:
    guarded = guarded_by(COMBINE, with_balance(50_000))
    seen = [floor(guarded)]
    for close in (50_500, 50_000, 52_500, 60_000):
        closes_at(guarded, close)
        seen.append(floor(guarded))
    assert seen == [48_000, 48_500, 48_500, 50_000, 50_000]
    assert guarded.codes == []


def test_v2_counts_from_zero_and_stands_at_zero_from_a_payout_on() -> None:
    options = {"max_drawdown": 2000, "starting_balance": 0, "lock_at": 0}
    guarded = guarded_by(options, with_balance(0))
    seen = [floor(guarded)]
    for close in (500, 2000):
        closes_at(guarded, close)
        seen.append(floor(guarded))
    assert seen == [-2000, -1500, 0]
    payout = {**options, "floors": [{"from_day": "2025-01-14", "floor": 0}]}
    guarded = guarded_by(payout, with_balance(0))
    closes_at(guarded, 1000)
    assert floor(guarded) == 0


@pytest.mark.parametrize("frame", ["account", "profit"])
def test_v3_locks_the_instant_an_open_profit_reaches_the_trigger(frame: str) -> None:
    levels = {"lock_at": 100, "trigger_at": 2100}
    options = {"max_drawdown": 2000, "mode": "intraday_trailing", "starting_balance": 0, **levels}
    guarded = guarded_by(options, with_balance(0))
    if frame == "profit":
        guarded = guarded_by({**options, "frame": "profit", "starting_balance": 50_000})
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5830))
    assert floor(guarded) == -500
    guarded.feed(venue.quote(ES, 5842))
    assert floor(guarded) == 100
    guarded.feed(venue.quote(ES, "5802.25"))
    assert guarded.codes == []
    guarded.feed(venue.quote(ES, 5802))
    (breach,) = guarded.breaches
    assert (breach.measured, breach.limit) == (micros(100), micros(100))


@pytest.mark.parametrize(("ticks", "expected"), [(20_999, 50_099.5), (21_000, 50_100), (30_000, 50_100)])
def test_v4_trails_the_peak_up_to_the_lock(ticks: int, expected: float) -> None:
    """One MNQ tick is half a dollar: 4,200 ticks are 2,100 dollars."""
    guarded = guarded_by(
        {"max_drawdown": 2000, "mode": "intraday_trailing", "starting_balance": 50_000, "lock_at": 50_100}
    )
    venue = guarded.venue
    price = 20_000 + (ticks - 21_000 + 4_200) / 4
    guarded.feed(venue.buys(MNQ, 1, 20_000), venue.quote(MNQ, price))
    assert floor(guarded) == expected


def test_v5_locks_above_the_start_only_where_a_lock_is_written() -> None:
    base = {"max_drawdown": 2500, "starting_balance": 50_000}
    locked = {**base, "lock_at": 53_000, "trigger_at": 55_000}
    with_lock, without = guarded_by(locked, with_balance(50_000)), guarded_by(base, with_balance(50_000))
    seen: list[tuple[float, float]] = []
    for close in (54_999, 55_000, 58_000):
        for guarded in (with_lock, without):
            closes_at(guarded, close)
        seen.append((floor(with_lock), floor(without)))
    assert seen == [(52_499, 52_499), (53_000, 52_500), (53_000, 55_500)]


def test_v6_locks_at_the_trigger_or_at_a_payout() -> None:
    options = {"max_drawdown": 2000, "starting_balance": 50_000, "lock_at": 50_100, "trigger_at": 52_100}
    guarded = guarded_by(options)
    closes_at(guarded, 52_100)
    assert floor(guarded) == 50_100
    paid = guarded_by({**options, "floors": [{"from_day": "2025-01-16", "floor": 50_100}]})
    assert floor(paid) == 48_000
    closes_at(paid, 51_000)
    assert floor(paid) == 50_100


def test_v7_intraday_dies_where_static_lives() -> None:
    codes = {}
    for mode in ("intraday_trailing", "static"):
        guarded = guarded_by({"max_drawdown": 3000, "mode": mode, "starting_balance": 100_000}, with_balance(100_000))
        venue = guarded.venue
        guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5840), venue.closes(ES, 5800))
        guarded.feed(venue.result(-1500))
        codes[mode] = (floor(guarded), guarded.codes)
    assert codes == {"intraday_trailing": (99_000, ["DRAWDOWN"]), "static": (97_000, [])}


def test_v7_the_spike_of_a_day_does_not_raise_the_floor_but_its_close_does() -> None:
    guarded = guarded_by({"max_drawdown": 3000, "starting_balance": 100_000}, with_balance(100_000))
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5880), venue.closes(ES, 5800))
    closes_at(guarded, 99_500)
    assert floor(guarded) == 97_000
    closes_at(guarded, 104_500)
    assert floor(guarded) == 101_500
    guarded.feed(venue.result(-3500))
    assert guarded.codes == ["DRAWDOWN"]


@pytest.mark.parametrize(("profit", "codes"), [(150, []), (50, ["DRAWDOWN"]), (100, ["DRAWDOWN"])])
def test_v8_a_lock_above_the_start_takes_the_last_hundred(profit: int, codes: list[str]) -> None:
    guarded = guarded_by({**COMBINE, "lock_at": 50_100})
    closes_at(guarded, 52_100)
    guarded.feed(guarded.venue.result(profit - 2100))
    assert guarded.codes == codes


@pytest.mark.parametrize(("mode", "room"), [("eod_trailing", 500), ("static", 1500), ("trail_on_closed", 500)])
def test_v9_the_room_left_after_a_day_up_and_a_day_down(mode: str, room: int) -> None:
    guarded = guarded_by({"max_drawdown": 1000, "mode": mode, "starting_balance": 25_000}, with_balance(25_000))
    closes_at(guarded, 26_000)
    closes_at(guarded, 25_500)
    assert 25_500 - floor(guarded) == room


def test_v10_one_move_through_two_floors_names_both_the_higher_one_first() -> None:
    rules = build_rules(
        {
            "drawdown": {"max_drawdown": 1000, "starting_balance": 50_000, "mode": "static"},
            "wide": {"rule": "drawdown", "max_drawdown": 1500, "starting_balance": 50_000, "mode": "static"},
        }
    )
    guarded = Guarded(*rules)
    guarded.feed(guarded.venue.result(-2000))
    assert [(breach.rule, breach.limit) for breach in guarded.breaches] == [
        ("drawdown", micros(49_000)),
        ("wide", micros(48_500)),
    ]


@pytest.mark.parametrize(
    ("loss", "inclusive", "fires"),
    [("1999.99", True, False), (2000, True, True), ("2000.01", True, True), (2000, False, False)],
)
def test_fires_at_the_floor(loss: str | int, inclusive: bool, fires: bool) -> None:
    guarded = guarded_by({**COMBINE, "inclusive": inclusive})
    guarded.feed(guarded.venue.result(f"-{loss}"))
    assert guarded.codes == (["DRAWDOWN"] if fires else [])
    assert len(guarded.lockouts) == fires


@pytest.mark.parametrize(("entry", "at_floor", "above"), [("buys", 5760, "5760.25"), ("sells", 5840, "5839.75")])
def test_an_open_loss_counts_long_and_short(entry: str, at_floor: int, above: str) -> None:
    guarded = guarded_by(COMBINE)
    venue = guarded.venue
    guarded.feed(getattr(venue, entry)(ES, 1, 5800), venue.quote(ES, above))
    assert guarded.codes == []
    guarded.feed(venue.quote(ES, at_floor))
    assert guarded.codes == ["DRAWDOWN"]


def test_takes_fees_off() -> None:
    guarded = guarded_by(COMBINE)
    guarded.feed(guarded.venue.result("-1995.60", fees="4.40"))
    assert guarded.codes == ["DRAWDOWN"]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("price", [5761, 5820])
def test_no_order_of_a_closes_messages_makes_a_phantom(order: tuple[int, ...], price: int) -> None:
    """Neither a floor that is raised by a profit counted twice, nor a breach by one that is not counted yet."""
    guarded = guarded_by({"max_drawdown": 2000, "mode": "intraday_trailing", "starting_balance": 50_000})
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5820 if price == 5820 else 5800), venue.quote(ES, price))
    fill, position = venue.closes(ES, price)
    messages = [fill, position, venue.account()]
    for index in order:
        guarded.feed(msgspec.structs.replace(messages[index], received_ns=venue.timer().received_ns))
    assert guarded.codes == []
    assert floor(guarded) == (49_000 if price == 5820 else 48_000)


class TestPhantoms:
    """Equities that never were: the venue tells balance, fills and positions one after the other, in any order."""

    INTRADAY: ClassVar[dict[str, object]] = {
        "max_drawdown": 2000,
        "mode": "intraday_trailing",
        "starting_balance": 50_000,
    }

    @pytest.mark.parametrize("order", list(permutations(range(4))))
    @pytest.mark.parametrize("is_settled", [True, False])
    def test_a_reversal_in_any_order(self, order: tuple[int, ...], *, is_settled: bool) -> None:
        """1,000 closed and as much opened on the other side: two fills, a position, a balance."""
        guarded = settled(self.INTRADAY) if is_settled else guarded_by(self.INTRADAY)
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5820))
        messages = [*venue.sells(ES, 2, 5820), venue.account()]
        guarded.feed(messages[index] for index in order)
        guarded.feed(venue.timer(after_s=4), venue.account())
        assert guarded.codes == []
        assert floor(guarded) == 49_000
        guarded.feed(venue.quote(ES, 5830))
        assert (guarded.gauges[0].used, floor(guarded)) == (micros(500), 49_000)

    @pytest.mark.parametrize("order", list(permutations(range(2))))
    @pytest.mark.parametrize(("price", "expected"), [(5785, 48_000), (5815, 49_500)])
    def test_a_start_amid_a_close(self, order: tuple[int, ...], price: float, expected: float) -> None:
        """The balance has it already, fills and positions do not: 1,500 would count twice."""
        venue = Scenario()
        venue.buys(ES, 2, 5800)
        before, quote = venue.snapshot(), venue.quote(ES, price)
        messages = venue.closes(ES, price)
        torn = msgspec.structs.replace(before, account=venue.account().account)
        guarded = fresh(self.INTRADAY, venue)
        guarded.feed(torn, quote, [messages[index] for index in order])
        guarded.feed(venue.timer(after_s=3), venue.account(), venue.timer(after_s=3))
        assert guarded.codes == []
        assert floor(guarded) == expected

    def test_a_start_with_the_balance_behind(self) -> None:
        """The fills have it already, the balance does not."""
        venue = Scenario()
        record = venue.account().account
        venue.result(1500)
        guarded = fresh(self.INTRADAY, venue)
        guarded.feed(msgspec.structs.replace(venue.snapshot(), account=record))
        guarded.feed(venue.account(), venue.timer(after_s=3), venue.account(), venue.timer(after_s=3))
        guarded.feed(venue.result(-1600), venue.timer(after_s=3), venue.account())
        assert guarded.codes == []
        assert floor(guarded) == 49_500

    def test_an_open_loss_at_the_start_is_believed_once_no_close_can_be_under_way(self) -> None:
        venue = Scenario()
        venue.buys(ES, 1, 5800)
        guarded = guarded_by(self.INTRADAY, venue)
        guarded.feed(venue.quote(ES, 5760))
        assert guarded.codes == []
        guarded.feed(venue.timer(after_s=2))
        assert guarded.codes == ["DRAWDOWN"]

    def test_fills_of_the_day_that_are_read_late(self) -> None:
        venue = Scenario()
        venue.result(-1500)
        guarded = fresh(self.INTRADAY, venue)
        guarded.feed(msgspec.structs.replace(venue.snapshot(), fills=None), venue.snapshot())
        assert guarded.codes == []
        assert floor(guarded) == 48_000

    def test_a_balance_that_comes_late(self) -> None:
        """For seconds nothing but quotes; then it says what the fills have said long ago."""
        guarded = settled({**COMBINE, "mode": "static"})
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.result(300))
        for _ in range(6):
            venue.wait(1)
            guarded.feed(venue.quote(ES, 5800))
        for _ in range(6):
            venue.wait(1)
            guarded.feed(venue.account())
        assert guarded.warnings == []
        assert guarded.gauges[0].used == 0
        guarded.feed(venue.result(-2299))
        assert guarded.codes == []

    def test_a_fill_of_the_day_before_that_comes_late(self) -> None:
        guarded = settled({**COMBINE, "mode": "static"})
        venue = guarded.venue
        late = venue.result(900)
        venue.now_ns = START_NS + 8 * HOUR_NS
        guarded.feed(venue.quote(ES, 5800), late)
        for _ in range(4):
            venue.wait(2)
            guarded.feed(venue.account())
        guarded.feed(venue.result(-2899))
        assert (guarded.codes, guarded.warnings) == ([], [])
        guarded.feed(venue.result(-1))
        assert guarded.codes == ["DRAWDOWN"]

    def test_a_winner_without_the_loser_beside_it(self) -> None:
        """What an unpriced position hides raises no mark."""
        guarded = settled(self.INTRADAY)
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.buys(MNQ, 10, 21_000))
        guarded.feed(venue.quote(ES, 5820))
        assert floor(guarded) == 48_000
        guarded.feed(venue.quote(MNQ, 20_960))
        assert floor(guarded) == 48_200

    def test_a_withdrawal_that_comes_back(self) -> None:
        guarded = settled({**COMBINE, "mode": "static"})
        venue = guarded.venue
        for amount in (-1500, 1500):
            venue.balance_micros += micros(amount)
            for _ in range(3):
                venue.wait(2)
                guarded.feed(venue.account())
        assert [(one.code, one.measured) for one in guarded.warnings] == [
            ("BALANCE_UNEXPLAINED", micros(-1500)),
            ("BALANCE_UNEXPLAINED", micros(1500)),
        ]
        guarded.feed(venue.result(-1999))
        assert guarded.codes == []


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(-40, 40), st.permutations(range(3)), st.booleans()), max_size=8))
def test_the_order_of_messages_never_matters(trades: list[tuple[int, list[int], bool]]) -> None:
    """Closing fills, positions and balances shuffled: floor and verdicts are those of the right order."""
    said = []
    for is_shuffled in (False, True):
        guarded = settled(TestPhantoms.INTRADAY)
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800))
        for points, order, is_long in trades:
            price = 5800 + (points if is_long else -points)
            guarded.feed((venue.buys if is_long else venue.sells)(ES, 1, 5800), venue.quote(ES, price))
            messages = [*venue.closes(ES, price), venue.account()]
            guarded.feed([messages[index] for index in order] if is_shuffled else messages)
            guarded.feed(venue.quote(ES, 5800))
        said.append((floor(guarded), [(one.code, one.measured) for one in guarded.breaches]))
    assert said[0] == said[1]


class TestFrames:
    """A level from one frame on an account of the other looks like endless room, and guards nothing."""

    ZERO: ClassVar[dict[str, object]] = {"max_drawdown": 2000, "lock_at": 0}

    def test_a_lock_below_where_the_floor_begins_is_refused(self) -> None:
        with pytest.raises(OptionsInvalid, match="lock_at: is below where the floor begins"):
            guarded_by({**self.ZERO, "starting_balance": 50_000})

    def test_the_same_levels_guard_in_their_own_frame(self) -> None:
        guarded = guarded_by({**self.ZERO, "starting_balance": 50_000, "frame": "profit"})
        assert floor(guarded) == -2000
        guarded.feed(guarded.venue.result(-2000))
        (breach,) = guarded.breaches
        assert (breach.measured, breach.limit) == (micros(-2000), micros(-2000))

    def test_endless_room_is_warned_about(self) -> None:
        guarded = guarded_by({**self.ZERO, "starting_balance": 0})
        assert [(one.code, one.measured) for one in guarded.warnings] == [("FLOOR_FAR", micros(50_000))]


def test_warns_of_a_position_held_over_the_close() -> None:
    guarded = settled(COMBINE)
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5810))
    venue.wait(8 * 3600)
    guarded.feed(venue.quote(ES, 5810), venue.account())
    assert [(one.code, one.measured) for one in guarded.warnings] == [("HELD_OVER_CLOSE", micros(500))]
    assert floor(guarded) == 48_000


def test_takes_the_last_close_before_the_guard_began_as_the_first_mark() -> None:
    venue = with_balance(51_000)
    venue.result(-400)
    assert floor(settled_with(COMBINE, venue)) == 49_000


def test_corrects_a_mistyped_start_by_the_right_one() -> None:
    guarded = settled({"max_drawdown": 2000, "starting_balance": 55_000, "action": "alert"})
    assert guarded.codes == ["DRAWDOWN"]
    guarded.change_rules(build_rule(Drawdown, {"max_drawdown": 2000, "starting_balance": 50_000}))
    assert floor(guarded) == 48_000


@given(st.lists(st.integers(0, 60), max_size=15), st.sampled_from(list(Mode)))
def test_never_fires_while_the_equity_only_rises(steps: list[int], mode: Mode) -> None:
    guarded = guarded_by({"max_drawdown": 100, "mode": mode.value})
    venue = guarded.venue
    guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800))
    price, floors = 5800, [floor(guarded)]
    for step in steps:
        price += step
        guarded.feed(venue.quote(ES, price))
        floors.append(floor(guarded))
    assert guarded.codes == []
    assert floors == sorted(floors)


@given(st.lists(st.integers(-300, 300), max_size=12), st.sampled_from(["static", "eod_trailing", "trail_on_closed"]))
def test_the_floor_never_falls(results: list[int], mode: str) -> None:
    guarded = guarded_by({"max_drawdown": 500, "mode": mode, "lock_at": 50_000})
    seen = [floor(guarded)]
    for dollars in results:
        guarded.feed(guarded.venue.result(dollars), guarded.venue.account(), guarded.venue.timer(after_s=3600))
        seen.append(floor(guarded))
    assert seen == sorted(seen)


def test_a_deposit_buys_no_room_and_is_said() -> None:
    guarded = settled({**COMBINE, "mode": "static"})
    venue = guarded.venue
    venue.balance_micros += micros(5000)
    guarded.feed(venue.account())
    assert guarded.warnings == []
    venue.wait(2)
    guarded.feed(venue.account())
    (warning,) = guarded.warnings
    evidence = (("balance", "55000.00"), ("amount", "5000.00"))
    code = "BALANCE_UNEXPLAINED"
    assert warning == Warning("drawdown", code, micros(5000), 0, Unit.MICROS, ACCOUNT, evidence)
    guarded.feed(venue.result(-2000))
    assert guarded.codes == ["DRAWDOWN"]


def test_money_that_left_is_gone_after_a_moment() -> None:
    guarded = settled({**COMBINE, "mode": "static"})
    venue = guarded.venue
    venue.balance_micros -= micros(2000)
    guarded.feed(venue.account())
    assert guarded.codes == []
    venue.wait(2)
    guarded.feed(venue.account())
    assert guarded.codes == ["DRAWDOWN"]


def test_holds_over_the_days_until_the_account_is_above_the_floor() -> None:
    guarded = guarded_by(COMBINE)
    venue = guarded.venue
    guarded.feed(venue.result(-2000))
    venue.wait(24 * 3600)
    guarded.feed(venue.snapshot(), venue.buys(ES, 1, 5800), venue.quote(ES, 5800))
    assert len(guarded.lockouts) == 1


def test_locked_by_condition_only_changed_levels_end_it() -> None:
    options = {**COMBINE, "lock_until_changed": True}
    guarded = guarded_by(options)
    venue = guarded.venue
    guarded.feed(venue.result(-2000), venue.result(500), venue.account())
    assert [lockout.until_ns for lockout in guarded.lockouts] == [None]
    guarded.restart()
    venue.wait(48 * 3600)
    guarded.feed(venue.snapshot())
    assert [lockout.until_ns for lockout in guarded.lockouts] == [None]
    guarded.change_rules(build_rule(Drawdown, {**options, "max_drawdown": 2500}))
    assert len(guarded.lockouts) == 0


def test_restarts_anew_from_a_day() -> None:
    guarded = guarded_by({**COMBINE, "restarts": [{"from_day": "2025-01-16", "starting_balance": 50_000}]})
    closes_at(guarded, 49_000)
    assert floor(guarded) == 48_000
    guarded.restart()
    guarded.feed(guarded.venue.snapshot())
    assert floor(guarded) == 48_000


def test_starts_in_breach() -> None:
    guarded = guarded_by(COMBINE, with_balance(47_999))
    assert guarded.codes == ["DRAWDOWN"]


def test_goes_on_after_a_restart_with_its_mark() -> None:
    guarded = guarded_by({"max_drawdown": 2000, "mode": "intraday_trailing", "starting_balance": 50_000})
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5830), venue.closes(ES, 5800))
    guarded.restart()
    guarded.feed(venue.snapshot())
    assert floor(guarded) == 49_500


def test_wants_to_look_again_when_the_balance_can_be_believed() -> None:
    guarded = guarded_by(COMBINE)
    # Two seconds after the snapshot that told it.
    assert guarded.engine.next_deadline_ns() == START_NS + 2_002_000_000
    guarded.feed(guarded.venue.timer(after_s=2))
    assert guarded.engine.next_deadline_ns() is None


def test_says_how_it_came_to_the_breach() -> None:
    guarded = guarded_by(COMBINE)
    venue = guarded.venue
    guarded.feed(venue.buys(ES, 1, 5800), venue.quote(ES, 5790), venue.result(-1500))
    assert guarded.breaches == [
        Breach(
            "drawdown",
            "DRAWDOWN",
            micros(48_000),
            micros(48_000),
            Unit.MICROS,
            ACCOUNT,
            evidence=(
                ("mode", "eod_trailing"),
                ("mark", "50000.00"),
                ("floor", "48000.00"),
                ("balance", "48500.00"),
                ("unrealized", "-500.00"),
            ),
        )
    ]


@pytest.mark.parametrize("pause_s", [0, 3])
def test_daily_trailing_forgets_a_mark_that_was_certain(pause_s: int) -> None:
    guarded = settled({"max_drawdown": 500, "mode": "daily_trailing"})
    venue = guarded.venue
    guarded.feed(venue.result(1200), venue.timer(after_s=pause_s), venue.account())
    assert floor(guarded) == 50_700
    closes_at(guarded, 51_000)
    assert floor(guarded) == 50_500


def test_daily_trailing_forgets_the_mark_with_the_day() -> None:
    guarded = guarded_by({"max_drawdown": 500, "mode": "daily_trailing"})
    guarded.feed(guarded.venue.result(1200), guarded.venue.account())
    assert floor(guarded) == 50_700
    closes_at(guarded, 51_000)
    assert floor(guarded) == 50_500


def test_an_account_without_money_is_a_breach_whatever_the_drawdown() -> None:
    guarded = guarded_by({"max_drawdown": 60_000, "starting_balance": 50_000})
    guarded.feed(guarded.venue.result(-50_000))
    assert guarded.codes == ["DRAWDOWN"]


def test_says_what_it_cannot_value_and_judges_the_rest() -> None:
    guarded = guarded_by(COMBINE)
    guarded.feed(guarded.venue.buys(CL, 1, 70))
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {CL.id}"]
    guarded.feed(guarded.venue.result(-2000))
    assert guarded.codes == ["DRAWDOWN"]


def test_a_voided_loss_gives_the_room_back_but_not_the_lockout() -> None:
    guarded = guarded_by(COMBINE)
    fills = guarded.venue.result(-2000)
    guarded.feed(fills, guarded.venue.voided(*fills))
    assert len(guarded.lockouts) == 1
    assert guarded.gauges[0].used == 0


def test_shows_how_much_of_the_drawdown_is_used() -> None:
    guarded = guarded_by(COMBINE)
    closes_at(guarded, 51_000)
    guarded.feed(guarded.venue.result(-500))
    (gauge,) = guarded.gauges
    assert gauge == Gauge("drawdown", micros(500), micros(2000), Unit.MICROS)


def test_knows_nothing_before_the_venue_has_told_the_balance() -> None:
    rule = build_rule(Drawdown, COMBINE)
    assert rule.initial_state() == Water()
    assert Breach not in rule.listens_to


# -- an opening balance that is known within bounds only -------------------------------------------------------------


def doubtful(low: int, high: int, tide: int, mark: int | None = None) -> Water:
    opening = OpeningBalance(day="2026-03-02", low_micros=micros(low), high_micros=micros(high))
    return Water(opening, None if mark is None else micros(mark), micros(tide))


@pytest.mark.parametrize(
    ("options", "state", "expected"),
    [
        # The day has had 1,200: at a result of 700, half a thousand below that, 10,000 of doubt change nothing.
        ({"mode": "daily_trailing"}, doubtful(40_000, 50_000, 1200), 50_700),
        ({"mode": "intraday_trailing"}, doubtful(40_000, 50_000, 1200), 50_700),
        ({"mode": "intraday_trailing"}, doubtful(40_000, 50_000, 1200, 60_000), 59_500),
        ({"mode": "trail_on_closed"}, doubtful(40_000, 50_000, 1200, 45_000), 50_700),
        ({"mode": "eod_trailing"}, doubtful(40_000, 50_000, 1200, 45_000), 49_500),
        ({"mode": "intraday_trailing", "lock_at": 45_000}, doubtful(40_000, 50_000, 1200), 45_000),
        ({"mode": "intraday_trailing", "lock_at": 50_000, "trigger_at": 51_000}, doubtful(49_000, 50_000, 0), 49_500),
        # At 51,200 the floor would jump to 51,000; from the lower bound it has not.
        (
            {"mode": "intraday_trailing", "lock_at": 51_000, "trigger_at": 51_000},
            doubtful(40_000, 50_000, 1200),
            40_700,
        ),
        (
            {"mode": "intraday_trailing", "lock_at": 51_000, "trigger_at": 51_200},
            doubtful(50_000, 50_100, 1200),
            51_000,
        ),
    ],
)
def test_counts_mark_and_equity_from_one_opening_balance(
    options: dict[str, object], state: Water, expected: int
) -> None:
    rule = build_rule(Drawdown, {"max_drawdown": 500, **options})
    assert isinstance(rule, Drawdown)
    assert rule.floor_micros(state) == micros(expected)


@settings(max_examples=500)
@given(st.data())
def test_in_doubt_it_finds_nothing_that_the_truth_would_not_show(data: st.DataObject) -> None:
    """Below the floor from the upper bound is below the floor from whatever the day began with."""
    dollars = st.integers(-5, 5)
    mode = data.draw(st.sampled_from(list(Mode)))
    lock_at = data.draw(st.none() | dollars) if mode is not Mode.DAILY_TRAILING else None
    trigger_at = None if lock_at is None else data.draw(st.none() | st.integers(lock_at, 8))
    rule = Drawdown(
        max_drawdown_micros=data.draw(st.integers(1, 5)),
        mode=mode,
        lock_at_micros=lock_at,
        trigger_at_micros=trigger_at,
        starting_balance_micros=data.draw(st.none() | dollars) if mode is not Mode.DAILY_TRAILING else None,
    )
    low, opening, high = sorted(data.draw(st.lists(dollars, min_size=3, max_size=3)))
    result = data.draw(dollars)
    tide = max(result, data.draw(dollars))
    mark = data.draw(st.none() | dollars)
    in_doubt = Water(OpeningBalance(day="2026-03-02", low_micros=low, high_micros=high), mark, tide)
    in_truth = Water(OpeningBalance(day="2026-03-02", low_micros=opening, high_micros=opening), mark, tide)
    if high + result <= rule.floor_micros(in_doubt):
        assert opening + result <= rule.floor_micros(in_truth)


BALANCES = {"max_drawdown": 2000, "starting_balance": 50_000}
DAILY = {"max_drawdown": 2000, "mode": "daily_trailing"}
FLOOR = {"from_day": "2026-03-02", "floor": 1}
RESTART = {"from_day": "2026-03-02", "starting_balance": 1}
NO_DATE = 'must be a quoted date such as "2026-03-02"'
NO_ALERT = "lockout: an alert does nothing to the account; choose flatten to lock it"
ANEW = "mode: daily_trailing begins anew every day: no lock_at, floors or restarts"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"max_drawdown": 0}, "max_drawdown: must be above 0, not 0"),
        ({**BALANCES, "trigger_at": 52_000}, "trigger_at: needs lock_at: where the floor is to stand from then on"),
        (
            {**BALANCES, "trigger_at": "49999.99", "lock_at": 50_000},
            "trigger_at: is below lock_at: the account would be below the floor at once",
        ),
        (
            {**BALANCES, "lock_at": "47999.99", "restarts": [RESTART]},
            "lock_at: is below where the floor begins; is it written in the other frame?",
        ),
        (
            {"max_drawdown": 2000, "frame": "profit"},
            "starting_balance: is missing: what does the venue show at a profit of 0?",
        ),
        ({**DAILY, "lock_at": 50_000}, ANEW),
        ({**DAILY, "floors": [FLOOR]}, ANEW),
        ({**DAILY, "restarts": [RESTART]}, ANEW),
        ({**BALANCES, "floors": [{**FLOOR, "from_day": "2.3.2026"}]}, f"floors[0].from_day: {NO_DATE}"),
        ({**BALANCES, "floors": [FLOOR, {**FLOOR, "from_day": "2026-3-2"}]}, f"floors[1].from_day: {NO_DATE}"),
        ({**BALANCES, "restarts": [{**RESTART, "from_day": "2026-03-0x"}]}, f"restarts[0].from_day: {NO_DATE}"),
        ({**BALANCES, "restarts": [{**RESTART, "from_day": "2026-03-0\u0663"}]}, f"restarts[0].from_day: {NO_DATE}"),
        ({**BALANCES, "action": "alert", "lockout": "15m"}, NO_ALERT),
        ({**BALANCES, "action": "alert", "lock_until_changed": True}, NO_ALERT),
        ({**BALANCES, "lock_until_changed": True, "lockout": "15m"}, "lockout: has no meaning with lock_until_changed"),
    ],
)
def test_refuses_options_that_make_no_sense(options: dict[str, object], fault: str) -> None:
    with pytest.raises(OptionsInvalid) as refused:
        guarded_by(options)
    assert str(refused.value) == f"drawdown.{fault}"


def test_refuses_an_option_it_does_not_know() -> None:
    with pytest.raises(OptionsInvalid, match=r"drawdown\.max_loss: is not known"):
        guarded_by({**BALANCES, "max_loss": 3})


@pytest.mark.parametrize(
    "options",
    [
        {**BALANCES, "trigger_at": 50_000, "lock_at": 50_000},
        {**BALANCES, "lock_at": 48_000},
        {"max_drawdown": 2000, "lock_at": 10},
        {**BALANCES, "action": "alert"},
        {**BALANCES, "lock_until_changed": True},
    ],
)
def test_takes_options_at_the_edge_of_sense(options: dict[str, object]) -> None:
    assert build_rule(Drawdown, options).max_drawdown_micros == micros(2000)
