"""From the trader's spelling to the settings of a rule, and back."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from risk_manager.domain.finding import Gauge
from risk_manager.domain.lockout import OnLock
from risk_manager.rules._base import Demand, LockTerms, LockUntil, Remedy
from risk_manager.rules._options import (
    Fault,
    OptionsInvalid,
    build_rule,
    describe,
    dollars_text,
    options_of,
)


class Color(StrEnum):
    DARK_RED = "dark_red"
    BLUE = "blue"


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    grace_ns: int = 0
    cap_micros: Annotated[int, Meta(gt=0)] | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A rule with an option of every kind, which finds nothing."""

    name: ClassVar[str] = "sample"
    listens_to: ClassVar[frozenset[type]] = frozenset()
    aliases: ClassVar[Mapping[str, str]] = {"max_loss": "loss"}
    elsewhere: ClassVar[Mapping[str, str]] = {"timezone": "belongs to the account"}

    loss_micros: Annotated[int, Meta(gt=0)]
    floor_micros: int = 0
    wait_ns: Annotated[int, Meta(ge=1_000_000_000)] = 10_000_000_000
    pause_ns: int | None = None
    color: Color = Color.BLUE
    count: Annotated[int, Meta(ge=0, lt=10)] = 1
    is_on: bool = False
    title: str = "none"
    symbols: tuple[str, ...] = ()
    caps_micros: tuple[int, ...] = ()
    sizes: Mapping[str, Annotated[int, Meta(ge=0)]] = {}
    inner: Inner = Inner()
    lockout: LockTerms | None = None

    @property
    def remedy(self) -> Remedy:
        return Remedy(Demand.ALERT, self.lockout)

    def initial_state(self) -> None:
        return None

    def step(self, state: Any, event: Any, account: Any) -> Any:
        return state, ()

    def deadline_ns(self, state: Any) -> None:
        return None

    def gauges(self, state: Any, account: Any) -> tuple[Gauge, ...]:
        return ()


def built(**options: Any) -> Sample:
    return build_rule(Sample, {"loss": 1, **options})


def faults(**options: Any) -> list[str]:
    with pytest.raises(OptionsInvalid) as raised:
        built(**options)
    return [str(fault) for fault in raised.value.faults]


class TestDollars:
    @pytest.mark.parametrize(
        ("written", "micros"),
        [
            (500, 500_000_000),
            (-500, -500_000_000),
            (0, 0),
            (-0.0, 0),
            (499.99, 499_990_000),
            (0.1, 100_000),
            (1e3, 1_000_000_000),
            ("500", 500_000_000),
            ("-499.990000", -499_990_000),
            ("0.000001", 1),
            ("0.0000010", 1),
            (Decimal("499.99"), 499_990_000),
            (Decimal("1E+3"), 1_000_000_000),
            (Decimal("-0.50"), -500_000),
        ],
    )
    def test_are_read_exactly(self, written: object, micros: int) -> None:
        assert built(floor=written).floor_micros == micros

    @pytest.mark.parametrize(
        "written",
        [
            True,
            None,
            "",
            "abc",
            "1e3",
            "1,000",
            "$5",
            " 5",
            "+5",
            ".5",
            "5.",
            "５",  # noqa: RUF001
            "nan",
            float("nan"),
            float("-inf"),
            Decimal("NaN"),
            Decimal("Infinity"),
            "0.0000001",
            1e-7,
            1 + 2j,
            Fraction(1, 3),
            [5],
        ],
    )
    def test_are_refused_when_they_are_no_plain_amount(self, written: object) -> None:
        (fault,) = faults(floor=written)
        assert fault.startswith("floor: must be an amount in dollars")

    def test_are_refused_beyond_reason(self) -> None:
        assert faults(floor=10**10) == ["floor: is larger than any account: 10000000000"]
        assert faults(floor=1e300)[0].startswith("floor: ")

    @pytest.mark.parametrize("written", [5, -5, "5", "-5.00", 5.0])
    def test_mean_the_same_with_either_sign_where_only_the_magnitude_counts(self, written: object) -> None:
        assert build_rule(Sample, {"loss": written}).loss_micros == 5_000_000

    @pytest.mark.parametrize("written", [0, -0.0, "0", "-0.00"])
    def test_may_not_be_zero_where_the_magnitude_counts(self, written: object) -> None:
        (fault,) = faults(loss=written)
        assert fault.startswith("loss: must be above 0, not ")

    def test_are_shown_with_cents(self) -> None:
        shown = [dollars_text(micros) for micros in (-499_500_000, 0, 1_000_000_000, 12_345_678, -1)]
        assert shown == ["-499.50", "0.00", "1000.00", "12.345678", "-0.000001"]


@given(st.integers(-(10**15), 10**15))
def test_dollars_are_spelled_as_they_are_read(micros: int) -> None:
    assert built(floor=dollars_text(micros)).floor_micros == micros


class TestDurations:
    @pytest.mark.parametrize(
        ("option", "written", "ns"),
        [
            ("wait_seconds", 90, 90_000_000_000),
            ("wait_seconds", 1.5, 1_500_000_000),
            ("wait_seconds", "90s", 90_000_000_000),
            ("wait_seconds", "2m", 120_000_000_000),
            ("wait_ms", 1500, 1_500_000_000),
            ("wait_ms", "2s", 2_000_000_000),
            ("wait", "1h", 3_600_000_000_000),
            ("wait", "1500ms", 1_500_000_000),
        ],
    )
    def test_are_read_in_the_unit_of_their_name(self, option: str, written: object, ns: int) -> None:
        assert built(**{option: written}).wait_ns == ns

    @pytest.mark.parametrize(
        ("option", "written", "message"),
        [
            ("wait", 90, "wait: must be a duration such as"),
            ("wait_seconds", "90", "wait_seconds: must be a number of seconds or a duration"),
            ("wait_seconds", "1d", "wait_seconds: must be a number of seconds or a duration"),
            ("wait_seconds", "1h30m", "wait_seconds: must be a number of seconds or a duration"),
            ("wait_seconds", True, "wait_seconds: must be a number of seconds or a duration"),
            ("wait_seconds", -5, "wait_seconds: must be a number of seconds or a duration"),
            ("wait_seconds", 0.5, "wait_seconds: must be at least 1, not 0.5"),
            ("wait_seconds", 1.0001, "wait_seconds: must be whole milliseconds"),
            ("wait", "999h", "wait: must be at most seven days"),
            ("wait_seconds", None, "wait_seconds: must be a number of seconds or a duration"),
        ],
    )
    def test_are_refused_when_unclear(self, option: str, written: object, message: str) -> None:
        (fault,) = faults(**{option: written})
        assert fault.startswith(message)

    def test_may_be_none_where_the_field_may(self) -> None:
        assert built(pause_seconds=None).pause_ns is None
        assert built(pause="5s").pause_ns == 5_000_000_000

    def test_are_said_once(self) -> None:
        assert faults(wait_ms=2000, wait_seconds=2) == ["wait_seconds: is said twice, also as wait_ms"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": "dark_blue"}, "color: must be one of dark_red, blue, not 'dark_blue'"),
        ({"color": 1}, "color: must be one of dark_red, blue, not 1"),
        ({"count": 10}, "count: must be below 10, not 10"),
        ({"count": -1}, "count: must be at least 0, not -1"),
        ({"count": 1.0}, "count: must be a whole number, not 1.0"),
        ({"count": "1"}, "count: must be a whole number, not '1'"),
        ({"is_on": "true"}, "is_on: must be true or false, not 'true'"),
        ({"is_on": 1}, "is_on: must be true or false, not 1"),
        ({"title": 5}, "title: must be text, not 5 (quote it)"),
        ({"symbols": "ES"}, "symbols: must be a list such as ['ES'], not 'ES'"),
        ({"symbols": ["ES", None]}, "symbols[1]: must be text, not None (quote it)"),
        ({"caps": [1, "x"]}, "caps[1]: must be an amount in dollars such as 500 or 499.99, not 'x'"),
        ({"sizes": {"ES": -1}}, "sizes.ES: must be at least 0, not -1"),
        ({"sizes": {6: 1}}, "sizes.6: must be text, not 6 (quote it)"),
        ({"sizes": [1]}, "sizes: must be a mapping such as {ES: 2}, not [1]"),
        ({"inner": {"grace_seconds": "x"}}, "inner.grace_seconds: must be a number of seconds or a duration such as"),
        ({"inner": {"cap": 0}}, "inner.cap: must be above 0, not 0"),
        ({"inner": 5}, "inner: must be a mapping of options, not 5"),
        ({"sybmols": ["ES"]}, "sybmols: is not known; did you mean symbols?"),
        ({"inner": {"grace": "5s", "gap": 1}}, "inner.gap: is not known; did you mean cap?"),
        ({"qqq": 1}, "qqq: is not known; there is caps, color, count, "),
        ({"timezone": "UTC"}, "timezone: belongs to the account"),
        ({"max_loss": 5}, "loss: is said more than once: loss, max_loss"),
        ({"enabled": "yes"}, "enabled: must be true or false"),
        ({"title": "x" * 99 + "\0"}, "title: must not be empty, padded with spaces or hold control characters: 'xxx"),
    ],
)
def test_refuses_with_the_reason_and_the_remedy(options: dict[str, Any], message: str) -> None:
    (fault,) = faults(**options)
    assert fault.startswith(message)


def test_lists_every_fault_at_once() -> None:
    with pytest.raises(OptionsInvalid) as raised:
        build_rule(
            Sample, {"count": 99, "sizes": {"ES": True, "NQ": -1}, "nonsense": 1, "lockout": {"until": "x", "y": 1}}
        )
    assert [fault.option for fault in raised.value.faults] == [
        "loss",
        "count",
        "sizes.ES",
        "sizes.NQ",
        "lockout.y",
        "lockout.until",
        "nonsense",
    ]
    assert raised.value.rule == "sample"
    assert str(raised.value).startswith("sample.loss: is missing; sample.count: must be below 10, not 99; ")


def test_reads_words_in_any_case_and_collections_whole() -> None:
    rule = built(color="Dark_Red", symbols=["ES", "NQ"], caps=[1, -0.5], sizes={"ES": 0}, inner={"cap": -3})
    assert rule.color is Color.DARK_RED
    assert (rule.symbols, rule.caps_micros, rule.sizes) == (("ES", "NQ"), (1_000_000, -500_000), {"ES": 0})
    assert rule.inner == Inner(cap_micros=3_000_000)


def test_leaves_enabled_to_the_caller() -> None:
    assert built(enabled=False) == built(enabled=True) == built()


class TestLockout:
    @pytest.mark.parametrize(
        ("written", "terms"),
        [
            (None, None),
            (False, None),
            (True, LockTerms()),
            ("reset", LockTerms()),
            ("daily_reset", LockTerms()),
            ("until_reset", LockTerms()),
            ("30m", LockTerms(LockUntil.DURATION, 1_800_000_000_000)),
            ({}, LockTerms()),
            ({"until": "30m"}, LockTerms(LockUntil.DURATION, 1_800_000_000_000)),
            ({"duration": "30m"}, LockTerms(LockUntil.DURATION, 1_800_000_000_000)),
            ({"until": "duration", "duration_seconds": 60}, LockTerms(LockUntil.DURATION, 60_000_000_000)),
            ({"on_lock": "block_new"}, LockTerms(on_lock=OnLock.BLOCK_NEW)),
            ({"whole_account": False}, LockTerms(whole_account=False)),
        ],
    )
    def test_is_read_from_a_word_or_a_mapping(self, written: object, terms: LockTerms | None) -> None:
        assert built(lockout=written).lockout == terms

    @pytest.mark.parametrize(
        ("options", "terms"),
        [
            ({"lockout_on_breach": True}, LockTerms()),
            ({"lockout_on_breach": False, "lockout_until": "reset"}, None),
            ({"lockout": True, "lockout_duration": "1h"}, LockTerms(LockUntil.DURATION, 3_600_000_000_000)),
            (
                {"lockout_until": "duration", "lockout_duration_seconds": 5},
                LockTerms(LockUntil.DURATION, 5_000_000_000),
            ),
            ({"lockout_until": "reset", "on_lock": "block_new"}, LockTerms(on_lock=OnLock.BLOCK_NEW)),
        ],
    )
    def test_is_read_from_older_spellings(self, options: dict[str, Any], terms: LockTerms | None) -> None:
        assert built(**options).lockout == terms

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"lockout": "permanent"}, "lockout.until: permanent is not offered"),
            ({"lockout_until": "forever"}, "lockout.until: permanent is not offered"),
            ({"lockout": "condition"}, "lockout.until: this rule has no condition"),
            ({"lockout": 30}, "lockout.until: must be reset or a duration such as 30m, not 30"),
            ({"lockout": {"until": "tomorrow"}}, "lockout.until: must be reset or a duration"),
            ({"lockout": {"until": "duration"}}, "lockout: needs a duration above 0"),
            ({"lockout": "0s"}, "lockout: needs a duration above 0"),
            (
                {"lockout": {"until": "reset", "duration": "5m"}},
                "lockout: has a duration but ends with the trading day",
            ),
            ({"lockout": {"duration": 5}}, "lockout.duration: must be a duration"),
            ({"lockout": {"on_lock": "freeze"}}, "lockout.on_lock: must be one of flatten, block_new"),
            ({"lockout": {"whole_account": 1}}, "lockout.whole_account: must be true or false"),
            ({"lockout": {"length": 1}}, "lockout.length: is not known; a lockout has until, "),
            ({"lockout": "reset", "lockout_until": "1h"}, "lockout: is said twice; leave out lockout_until"),
            ({"lockout_on_breach": "yes"}, "lockout_on_breach: must be true or false"),
        ],
    )
    def test_is_refused_when_unclear(self, options: dict[str, Any], message: str) -> None:
        (fault,) = faults(**options)
        assert fault.startswith(message)


@given(
    loss=st.integers(1, 10**14),
    wait_ms=st.integers(1000, 10**8),
    sizes=st.dictionaries(st.sampled_from(["ES", "NQ", "6E"]), st.integers(0, 9)),
    lockout=st.sampled_from([None, LockTerms(), LockTerms(LockUntil.DURATION, 90_000_000, OnLock.BLOCK_NEW, False)]),
)
def test_spells_a_rule_so_that_reading_gives_it_back(
    loss: int, wait_ms: int, sizes: dict[str, int], lockout: LockTerms | None
) -> None:
    rule = Sample(loss_micros=loss, wait_ns=wait_ms * 1_000_000, sizes=sizes, lockout=lockout, symbols=("ES",))
    assert build_rule(Sample, options_of(rule)) == rule


def test_describes_every_option() -> None:
    described = {option.name: (option.meaning, option.default) for option in describe(Sample)}
    assert described == {
        "loss": ("dollars, either sign", "required"),
        "floor": ("dollars", "0.00"),
        "wait_seconds": ("seconds, or 90s | 30m | 1h", "10s"),
        "pause_seconds": ("seconds, or 90s | 30m | 1h", "none"),
        "color": ("dark_red | blue", "blue"),
        "count": ("whole number", "1"),
        "is_on": ("true or false", "false"),
        "title": ("text", "none"),
        "symbols": ("list of: text", "[]"),
        "caps": ("list of: dollars", "[]"),
        "sizes": ("mapping of name to: whole number", "{}"),
        "inner": ("mapping with grace_seconds, cap", '{"grace_seconds":0,"cap":null}'),
        "lockout": ("true, false, reset, a duration, or a mapping", "false"),
    }


def test_shows_a_fault_with_its_path() -> None:
    assert str(Fault("lockout.until", "is wrong")) == "lockout.until: is wrong"
