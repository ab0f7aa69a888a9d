"""Money lost too fast."""

from collections.abc import Mapping
from itertools import permutations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_manager.domain.finding import Skipped
from risk_manager.domain.lockout import LockoutKind, OnLock
from risk_manager.engine import Engine
from risk_manager.rules import OptionsInvalid, build_rule
from risk_manager.rules.velocity import Fall, Peak, Velocity
from risk_manager.testing.events import ES, MES, SECOND_NS, START_NS, Scenario, micros
from risk_manager.testing.guarded import Guarded


def guarded_by(options: Mapping[str, object] | None = None, venue: Scenario | None = None) -> Guarded:
    return Guarded(build_rule(Velocity, {"max_loss": 300, **(options or {})}), venue=venue)


@pytest.mark.parametrize(
    ("loss", "inclusive", "fires"),
    [
        ("-299.99", True, False),
        ("-300", True, True),
        ("-300.01", True, True),
        ("-299.99", False, False),
        ("-300", False, False),
        ("-300.01", False, True),
    ],
)
def test_fires_at_the_limit(loss: str, inclusive: bool, fires: bool) -> None:
    guarded = guarded_by({"inclusive": inclusive})
    guarded.feed(guarded.venue.result(loss))
    assert guarded.codes == (["VELOCITY"] if fires else [])


@pytest.mark.parametrize(("entry", "quotes"), [("buys", (5806, 5800.25, 5800)), ("sells", (5794, 5799.75, 5800))])
def test_counts_an_open_loss_from_the_windows_best_long_and_short(
    entry: str, quotes: tuple[float, float, float]
) -> None:
    """One ES moves 50 dollars a point: six points are the limit."""
    guarded = guarded_by()
    best, before, at_limit = quotes
    guarded.feed(getattr(guarded.venue, entry)(ES, 1, 5800), guarded.venue.quote(ES, best))
    guarded.feed(guarded.venue.quote(ES, before))
    assert guarded.codes == []
    guarded.feed(guarded.venue.quote(ES, at_limit))
    (breach,) = guarded.breaches
    assert (breach.measured, breach.limit) == (-micros(300), -micros(300))
    assert dict(breach.evidence) == {"window": "60 s", "from": "300.00", "to": "0.00"}


@pytest.mark.parametrize(("seconds", "fires"), [(59, True), (60, True), (61, False), (62, False)])
def test_forgets_what_has_left_the_window(seconds: int, fires: bool) -> None:
    """A second's best counts until the last of that second has left the window."""
    venue = Scenario(start_ns=START_NS - SECOND_NS // 2)
    guarded = guarded_by({"window_seconds": 60}, venue)
    guarded.feed(venue.result("-0.01"))
    venue.now_ns = START_NS + seconds * SECOND_NS - SECOND_NS + SECOND_NS // 2
    guarded.feed(venue.result(-100))
    guarded.feed(venue.result("-199.99"))
    assert bool(guarded.codes) is fires


def test_lets_a_slow_bleed_through_that_would_fire_as_a_burst() -> None:
    slow, burst = guarded_by({"window_seconds": 10}), guarded_by({"window_seconds": 10})
    for _ in range(10):
        for guarded, pause in ((slow, 11), (burst, 0)):
            guarded.venue.wait(pause)
            guarded.feed(guarded.venue.result(-100))
    assert slow.codes == []
    assert burst.codes[0] == "VELOCITY"


def test_locks_for_the_cooldown_and_needs_a_new_fall_afterwards() -> None:
    guarded = guarded_by({"lockout": "15m"})
    guarded.feed(guarded.venue.result(-300))
    (lockout,) = guarded.lockouts
    assert (lockout.kind, lockout.on_lock) == (LockoutKind.COOLDOWN, OnLock.FLATTEN)
    assert lockout.until_ns == lockout.set_ns + 900 * SECOND_NS
    guarded.feed(guarded.venue.result(-299))
    assert len(guarded.codes) == 1
    for _ in range(3):
        guarded.venue.wait(300)
        guarded.feed(guarded.venue.snapshot())
    guarded.feed(guarded.venue.account(), guarded.venue.result(10))
    assert guarded.lockouts == ()
    guarded.feed(guarded.venue.result(-309))
    assert guarded.codes == ["VELOCITY", "VELOCITY"]


def test_counts_fees_unless_told_not_to() -> None:
    for include, codes in ((True, ["VELOCITY"]), (False, [])):
        guarded = guarded_by({"include_fees": include})
        guarded.feed(guarded.venue.result(-290, fees=10))
        assert guarded.codes == codes


def test_begins_anew_with_the_trading_day() -> None:
    """The day's result falls back to zero at the turn: no loss."""
    guarded = guarded_by({"window_seconds": 3600})
    guarded.feed(guarded.venue.result(1000))
    guarded.venue.wait(8 * 3600)
    guarded.feed(guarded.venue.account(), guarded.venue.result(-299))
    assert guarded.codes == []
    guarded.feed(guarded.venue.result(-1))
    assert guarded.codes == ["VELOCITY"]


def test_goes_on_after_a_restart_inside_the_window() -> None:
    guarded = guarded_by()
    guarded.feed(guarded.venue.result(200))
    guarded.restart()
    guarded.venue.wait(30)
    guarded.feed(guarded.venue.result(-300))
    assert guarded.codes == ["VELOCITY"]


def test_says_what_it_cannot_value() -> None:
    guarded = guarded_by()
    guarded.feed(guarded.venue.buys(ES, 1, 5800))
    assert [skip.reason for skip in guarded.skipped] == [f"quote_missing {ES.id}"]


def test_waits_for_the_days_fills_and_for_the_time() -> None:
    rule, guarded = build_rule(Velocity, {"max_loss": 300}), Guarded()
    account, venue, state = guarded.engine.account, guarded.venue, Fall()
    whole = venue.snapshot()
    part = msgspec.structs.replace(whole, fills=None)
    assert rule.step(state, part, account) == (state, ())
    assert rule.step(state, venue.account(), account) == (state, ())
    account.now_ns, known_ns = 0, account.now_ns
    assert rule.step(state, whole, account) == (state, ())
    account.now_ns = 1
    assert rule.step(state, whole, account)[0].has_fills is True
    account.now_ns = known_ns
    guarded.feed(venue.buys(ES, 1, 5800))
    assert rule.step(state, part, account) == (state, (Skipped("velocity", "fills_unknown"),))


def test_keeps_its_state_while_nothing_changes() -> None:
    guarded = guarded_by()
    guarded.feed(guarded.venue.result(-100))
    slot = guarded.engine._slots[0]
    known = slot.state
    guarded.feed(guarded.venue.timer())
    assert slot.state is known


def test_remembers_the_highest_result_of_a_second_and_each_only_once() -> None:
    guarded = guarded_by()
    venue, slot = guarded.venue, guarded.engine._slots[0]
    guarded.feed(venue.result(100), venue.result(-50))
    (peak,) = slot.state.peaks
    assert peak == Peak(venue.now_ns // SECOND_NS, micros(100))
    venue.wait(1)
    guarded.feed(venue.result(-10))
    second = Peak(peak.bucket + 1, micros(50))
    assert slot.state.peaks == (peak, second)
    for bucket in (2, 3):
        venue.wait(1)
        guarded.feed(venue.timer())
        assert slot.state.peaks == (peak, second, Peak(peak.bucket + bucket, micros(40)))


def test_forgets_the_oldest_stretch_and_keeps_the_next() -> None:
    rule, account = build_rule(Velocity, {"max_loss": 300}), Guarded().engine.account
    oldest = account.now_ns // SECOND_NS - 60
    peaks = tuple(Peak(oldest + by, micros(dollars)) for by, dollars in ((-1, 90), (0, 70), (1, 50)))
    (gauge,) = rule.gauges(Fall(account.day.label, peaks, has_fills=True), account)
    assert gauge.used == micros(70)
    (gauge,) = rule.gauges(Fall("2020-01-01", peaks, has_fills=True), account)
    assert gauge.used == 0


class TestWhatIsNoFall:
    def test_a_profit_that_can_no_longer_be_valued(self) -> None:
        guarded = guarded_by()
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5810), venue.quote(ES, None))
        assert guarded.engine.account.unpriced == {ES.id}
        assert guarded.codes == []
        assert guarded.gauges[0].used == 0

    def test_a_first_quote_at_the_very_price_of_the_entry(self) -> None:
        guarded = guarded_by()
        guarded.feed(guarded.venue.buys(ES, 1, 5800), guarded.venue.quote(ES, 5800))
        assert guarded.gauges[0].used == 0

    def test_a_loss_that_was_open_before_the_guard_started(self) -> None:
        """Its first quote brings 800 at once, which may have taken hours."""
        venue = Scenario()
        venue.buys(ES, 2, 5800)
        guarded = guarded_by(venue=venue)
        guarded.feed(venue.quote(ES, 5792))
        assert guarded.codes == []
        guarded.feed(venue.quote(ES, 5789.25))
        assert guarded.codes == []
        guarded.feed(venue.quote(ES, 5789))
        assert guarded.codes == ["VELOCITY"]

    def test_a_first_quote_leaves_the_others_fall_as_it_is(self) -> None:
        venue = Scenario()
        venue.buys(ES, 2, 5800)
        guarded = guarded_by(venue=venue)
        guarded.feed(venue.result(-200, product=MES), venue.quote(ES, 5792), venue.result(-99, product=MES))
        assert guarded.codes == []
        guarded.feed(venue.result(-1, product=MES))
        assert guarded.codes == ["VELOCITY"]

    def test_losses_of_the_day_that_are_read_late(self) -> None:
        venue = Scenario()
        venue.result(-800)
        guarded = guarded_by()
        guarded.engine = Engine(guarded.settings)
        guarded.feed(msgspec.structs.replace(venue.snapshot(), fills=None), venue.snapshot())
        assert guarded.codes == []
        guarded.feed(venue.result(-300))
        assert guarded.codes == ["VELOCITY"]

    def test_a_win_the_venue_takes_back(self) -> None:
        guarded = guarded_by()
        win = guarded.venue.result(400)
        guarded.feed(win, guarded.venue.voided(*win))
        assert guarded.codes == []
        guarded.feed(guarded.venue.result(-300))
        assert guarded.codes == ["VELOCITY"]

    @pytest.mark.parametrize("order", list(permutations(range(3))))
    def test_the_messages_of_a_close_in_any_order(self, order: tuple[int, ...]) -> None:
        """A profit that is for a moment neither open nor closed would be a fall of 500."""
        guarded = guarded_by()
        venue = guarded.venue
        guarded.feed(venue.quote(ES, 5800), venue.buys(ES, 1, 5800), venue.quote(ES, 5810))
        messages = [*venue.closes(ES, 5810), venue.account()]
        guarded.feed(messages[index] for index in order)
        assert guarded.codes == []
        assert guarded.gauges[0].used == 0


def test_a_voided_loss_does_not_lift_the_lockout() -> None:
    guarded = guarded_by()
    fills = guarded.venue.result(-300)
    guarded.feed(fills, guarded.venue.voided(*fills))
    assert len(guarded.lockouts) == 1


def test_shows_the_loss_inside_the_window() -> None:
    guarded = guarded_by()
    guarded.feed(guarded.venue.result(100), guarded.venue.result(-150))
    (gauge,) = guarded.gauges
    assert (gauge.label, gauge.used, gauge.limit) == ("loss in 60 s", micros(150), micros(300))
    guarded.venue.wait(62)
    guarded.feed(guarded.venue.account())
    assert guarded.gauges[0].used == 0


@pytest.mark.parametrize(("action", "on_lock"), [("pause", OnLock.BLOCK_NEW), ("flatten", OnLock.FLATTEN)])
def test_pauses_or_flattens(action: str, on_lock: OnLock) -> None:
    guarded = guarded_by({"action": action})
    guarded.feed(guarded.venue.result(-300))
    assert [lockout.on_lock for lockout in guarded.lockouts] == [on_lock]


def test_only_says_so_when_asked_for_an_alert() -> None:
    guarded = guarded_by({"action": "alert"})
    guarded.feed(guarded.venue.result(-300), guarded.venue.result(-300))
    assert (guarded.codes, guarded.lockouts, guarded.actions) == (["VELOCITY", "VELOCITY"], (), [])


@pytest.mark.parametrize(
    "options",
    [{"max_loss": 0}, {"window_seconds": 0}, {"window_seconds": 3601}, {"action": "pause", "lockout": False}],
)
def test_refuses_options_that_make_no_sense(options: dict[str, object]) -> None:
    with pytest.raises(OptionsInvalid):
        guarded_by(options)


@settings(max_examples=60, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 90), st.integers(-200, 200)), max_size=40), st.sampled_from([10, 60, 3000]))
def test_sees_every_fall_a_full_memory_would_see(moves: list[tuple[int, int]], window_s: int) -> None:
    """Against a list of all results: whatever falls by the limit inside the window fires, at the latest then."""
    guarded = guarded_by({"window_seconds": window_s, "action": "alert"})
    venue = guarded.venue
    seen: list[tuple[int, int]] = [(venue.now_ns, 0)]
    total = 0
    for seconds, dollars in moves:
        venue.wait(seconds)
        before = len(guarded.codes)
        guarded.feed(venue.result(dollars))
        total += dollars
        inside = [value for at, value in seen if at > venue.now_ns - window_s * SECOND_NS]
        if max([*inside, total]) - total >= 300:
            assert len(guarded.codes) == before + 1
        seen = [(venue.now_ns, total)] if len(guarded.codes) > before else [*seen, (venue.now_ns, total)]
    slots = guarded.engine._slots
    assert len(slots[0].state.peaks) <= 62
