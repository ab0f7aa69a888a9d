"""How options are shown, described and written back, and how a fault repeats what was written."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from msgspec import Meta

from risk_manager.domain.lockout import OnLock
from risk_manager.domain.schedule import Schedule
from risk_manager.rules._base import LockTerms, LockUntil
from risk_manager.rules._options import Fault, Option, OptionsInvalid, build_rule, describe, options_of

SECOND_NS = 1_000_000_000


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    cap_micros: int | None = None
    rest_ns: int = 0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the kinds that are easily written wrong."""

    name: ClassVar[str] = "sample"

    floors_micros: Mapping[str, Annotated[int, Meta(ge=-5_000_000)]] = {}
    wait_ns: Annotated[int, Meta(gt=500_000_000)] = 1_500_000_000
    rest_ns: int | None = None
    floor_micros: Annotated[int, Meta(lt=100_500_000)] = 0
    caps_micros: tuple[int, ...] = ()
    share: Annotated[int, Meta(le=99)] = 0
    part: Terms = Terms()
    parts: tuple[Terms, ...] = ()
    hours: Schedule | None = None
    lockout: LockTerms | None = LockTerms()


class Waits(Sample, frozen=True):
    """Settings with a list of durations as well."""

    waits_ns: tuple[Annotated[int, Meta(le=90 * SECOND_NS)], ...] = ()


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """Settings one of which is called as an option of every rule."""

    name: ClassVar[str] = "marked"

    warn_at_pct: int

    def contradictions(self) -> tuple[Fault, ...]:
        return (Fault("warn_at_pct", "is no luck"),) if self.warn_at_pct == 13 else ()


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """Settings with a lock that is not called `lockout`, of which older spellings say nothing."""

    name: ClassVar[str] = "resting"

    pause: LockTerms | None = None


def built(**options: object) -> Any:
    kind: Any = Waits if any(name.startswith("waits") for name in options) else Sample
    return build_rule(kind, options)


def faults(**options: object) -> list[str]:
    with pytest.raises(OptionsInvalid) as raised:
        built(**options)
    assert raised.value.rule == "sample"
    return [str(fault) for fault in raised.value.faults]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"floors": {"ES": -5, "NQ": "2.50"}}, Sample(floors_micros={"ES": -5_000_000, "NQ": 2_500_000})),
        ({"waits_seconds": [90, "2s", 0.5]}, Waits(waits_ns=(90 * SECOND_NS, 2 * SECOND_NS, 500_000_000))),
        ({"waits_ms": [1500]}, Waits(waits_ns=(1_500_000_000,))),
        ({"waits": ["1m"]}, Waits(waits_ns=(60 * SECOND_NS,))),
        ({"wait_ms": 501}, Sample(wait_ns=501_000_000)),
        ({"rest": "7m"}, Sample(rest_ns=420 * SECOND_NS)),
        ({"rest_seconds": None}, Sample()),
        ({"floor": Decimal("100.49")}, Sample(floor_micros=100_490_000)),
        ({"floor": -1_000_000_000}, Sample(floor_micros=-1_000_000_000_000_000)),
        ({"caps": [1_000_000_000, "-0.5"]}, Sample(caps_micros=(10**15, -500_000))),
        ({"rest": "168h"}, Sample(rest_ns=604_800 * SECOND_NS)),
        ({"share": 99}, Sample(share=99)),
        ({"part": {"cap": -1, "rest_ms": 1}}, Sample(part=Terms(cap_micros=-1_000_000, rest_ns=1_000_000))),
        ({"part": {"cap": None}}, Sample()),
        ({"parts": ({"cap": 1}, {})}, Sample(parts=(Terms(cap_micros=1_000_000), Terms()))),
        ({"hours": None}, Sample()),
        ({"hours": "exchange"}, Sample(hours=Schedule())),
        ({"lockout": None}, Sample(lockout=None)),
    ],
)
def test_reads_what_is_written(options: dict[str, object], settings: Sample) -> None:
    assert built(**options) == settings


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"floors": {"ES": -6}}, "floors.ES: must be at least -5, not -6"),
        ({"waits_seconds": [1, 91]}, "waits_seconds[1]: must be at most 90, not 91"),
        ({"wait": "500ms"}, "wait: must be above 500000000/1000000000, not '500ms'"),
        ({"floor": 100.5}, "floor: must be below 100500000/1000000, not 100.5"),
        ({"share": 100}, "share: must be at most 99, not 100"),
        ({"part": {"cap": "x"}}, "part.cap: must be an amount in dollars such as 500 or 499.99, not 'x'"),
        ({"part": None}, "part: must be a mapping of options, not None"),
        ({"parts": [{}, {"rest": 5}]}, "parts[1].rest: must be a duration such as 90s, 30m or 1h, not 5"),
        ({"hours": "mornings"}, "hours: must be exchange, or a mapping such as {start: "),
        ({"share": "x" * 38}, f"share: must be a whole number, not '{'x' * 38}'"),
        ({"share": "x" * 39}, f"share: must be a whole number, not '{'x' * 36}..."),
        ({"rest_ms": "x"}, "rest_ms: must be a number of milliseconds or a duration such as 90s, 30m or 1h, not 'x'"),
        ({"rest_ms": 0.5}, "rest_ms: must be whole milliseconds, not 0.5"),
        ({"rest_ms": 604_800_001}, "rest_ms: must be at most seven days, not 604800001"),
        ({"floor": -1_000_000_001}, "floor: is larger than any account: -1000000001"),
        ({"shares": 5}, "shares: is not known; did you mean share?"),
        ({"SHARE": 5}, "SHARE: is not known; did you mean share?"),
        (
            {"xyzzy": 5},
            "xyzzy: is not known; there is caps, floor, floors, hours, lockout, part, parts, rest_seconds, share, "
            "wait_seconds",
        ),
        ({"warn_at": [5]}, "warn_at: belongs around the rule: warned(rule, 50, 80)"),
        ({"warn_at_pct": [5]}, "warn_at_pct: belongs around the rule: warned(rule, 50, 80)"),
        ({"schedule": "exchange"}, "schedule: belongs around the rule: during(schedule, rule)"),
        ({"rest": "1s", "rest_ms": 5, "rest_seconds": 1}, "rest_seconds: is said twice, also as rest_ms, rest"),
        ({"enabled": 1}, "enabled: must be true or false"),
    ],
)
def test_says_what_is_wrong(options: dict[str, object], fault: str) -> None:
    (said,) = faults(**options)
    assert said == fault or (fault.endswith("{start: ") and said.startswith(fault))


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        (
            "never",
            "lockout.until: permanent is not offered: a lock without an end could only be lifted by editing the "
            "guard's memory; use reset (the end of the trading day) or a duration",
        ),
        (
            "until_condition",
            "lockout.until: this rule has no condition that could end the lock; use reset or a duration",
        ),
        ("condition", "lockout.until: this rule has no condition that could end the lock; use reset or a duration"),
        ("soon", "lockout.until: must be reset or a duration such as 30m, not 'soon'"),
        ("0s", "lockout: needs a duration above 0, such as duration: 30m"),
        ({"until": "duration"}, "lockout: needs a duration above 0, such as duration: 30m"),
        (
            {"until": "reset", "duration": "5m"},
            "lockout: has a duration but ends with the trading day; write until: duration",
        ),
        (
            {"length": 1},
            "lockout.length: is not known; a lockout has until, duration, duration_seconds, duration_ms, on_lock, "
            "whole_account",
        ),
        ({"duration_ms": "x"}, "lockout.duration_ms: must be a number of milliseconds or a duration such as 90s, "),
        ({"on_lock": 5}, "lockout.on_lock: must be one of flatten, block_new, not 5"),
        ({"whole_account": None}, "lockout.whole_account: must be true or false, not None"),
    ],
)
def test_says_what_is_wrong_with_a_lockout(written: object, fault: str) -> None:
    (said,) = faults(lockout=written)
    assert said == fault or (fault.endswith(", ") and said.startswith(fault))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"lockout": "reset", "lockout_until": "1h", "on_lock": "flatten"},
            "lockout: is said twice; leave out lockout_until, on_lock",
        ),
        ({"lockout_on_breach": "yes"}, "lockout_on_breach: must be true or false, not 'yes'"),
    ],
)
def test_says_what_is_wrong_with_its_older_spellings(options: dict[str, object], fault: str) -> None:
    assert faults(**options) == [fault]


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ({"lockout_duration_seconds": 5}, LockTerms(LockUntil.DURATION, 5 * SECOND_NS)),
        ({"lockout_on_lock": "block_new"}, LockTerms(on_lock=OnLock.BLOCK_NEW)),
        ({"lockout_on_breach": True, "lockout_until": "1h"}, LockTerms(LockUntil.DURATION, 3_600 * SECOND_NS)),
        ({"lockout": False, "on_lock": "block_new"}, None),
        ({"lockout": {"duration_ms": 1500}}, LockTerms(LockUntil.DURATION, 1_500_000_000)),
        ({"lockout": {"duration_seconds": 2, "whole_account": False}},
         LockTerms(LockUntil.DURATION, 2 * SECOND_NS, whole_account=False)),
    ],
)  # fmt: skip
def test_reads_a_lockout_in_all_its_spellings(options: dict[str, object], terms: LockTerms | None) -> None:
    assert built(**options).lockout == terms


def test_writes_back_what_it_has_read() -> None:
    rule = Sample(
        floors_micros={"ES": 499_990_000},
        wait_ns=2 * SECOND_NS,
        rest_ns=1_500_000_000,
        floor_micros=-500_000_000,
        caps_micros=(1_000_000, 2_500_000),
        part=Terms(cap_micros=1_000_000, rest_ns=SECOND_NS),
        hours=Schedule(),
        lockout=LockTerms(LockUntil.DURATION, 1_500_000_000, OnLock.BLOCK_NEW, False),
    )
    spelled = {
        "floors": {"ES": "499.99"},
        "wait_seconds": 2,
        "rest_ms": 1500,
        "floor": -500,
        "caps": [1, "2.50"],
        "share": 0,
        "part": {"cap": 1, "rest_seconds": 1},
        "parts": [],
        "hours": "exchange",
        "lockout": {"until": "duration", "duration_ms": 1500, "on_lock": "block_new", "whole_account": False},
    }
    made: Any = rule
    assert options_of(made) == spelled
    assert str(options_of(made)) == str(spelled), "with whole numbers where they are whole"
    assert built(**spelled) == rule


def test_describes_its_options() -> None:
    kind: Any = Sample
    assert describe(kind) == (
        Option("floors", "mapping of name to: dollars", "{}"),
        Option("wait_seconds", "seconds, or 90s | 30m | 1h", "1500ms"),
        Option("rest_seconds", "seconds, or 90s | 30m | 1h", "none"),
        Option("floor", "dollars", "0.00"),
        Option("caps", "list of: dollars", "[]"),
        Option("share", "whole number", "0"),
        Option("part", "mapping with cap, rest_seconds", '{"cap":null,"rest_seconds":0}'),
        Option("parts", "list of: mapping with cap, rest_seconds", "[]"),
        Option(
            "hours",
            'exchange, or a mapping such as {start: "09:30", end: "16:00", timezone: America/New_York}',
            "none",
        ),
        Option(
            "lockout",
            "true, false, reset, a duration, or a mapping",
            '{"until":"reset","on_lock":"flatten","whole_account":true}',
        ),
    )


def test_describes_a_list_of_durations() -> None:
    kind: Any = Waits
    assert describe(kind)[0] == Option("waits_seconds", "list of: seconds, or 90s | 30m | 1h", "[]")


def test_puts_all_faults_into_words() -> None:
    invalid = OptionsInvalid("sample", (Fault("a", "is wrong"), Fault("b[0]", "too")))
    assert (str(invalid), invalid.rule, len(invalid.faults)) == ("sample.a: is wrong; sample.b[0]: too", "sample", 2)


def test_an_option_of_its_own_comes_first() -> None:
    kind: Any = Marked
    assert build_rule(kind, {"warn_at_pct": 80}) == Marked(warn_at_pct=80)


def test_says_what_its_options_contradict() -> None:
    kind: Any = Marked
    with pytest.raises(OptionsInvalid) as raised:
        build_rule(kind, {"warn_at_pct": 13})
    assert (str(raised.value), raised.value.rule) == ("marked.warn_at_pct: is no luck", "marked")


def test_older_spellings_are_of_the_lockout_alone() -> None:
    kind: Any = Resting
    assert build_rule(kind, {"pause": "reset"}) == Resting(pause=LockTerms())
    with pytest.raises(OptionsInvalid, match=r"^resting\.on_lock: is not known; there is pause$"):
        build_rule(kind, {"on_lock": "flatten"})
