"""The fault language: what it takes, what it refuses, and that what it prints reads back."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from risk_manager.simulator.fault_script import (
    MOST_STEPS,
    Script,
    ScriptRefused,
    Sentence,
    Step,
    parse_script,
    parse_sentence,
    script_of,
)
from risk_manager.simulator.fault_verbs import VERBS, Lasting, Verb
from risk_manager.simulator.fault_words import NotUnderstood, duration_ms, duration_word, parts_of

SCRIPT = """\
# Friday afternoon
at 12s: drop user_hub for 90s
at 1m30s:
  - delay rest by 200ms for 30s
  - fail Order/place with 502, 3 times
  - lose answer of Position/closeContract            # executed, the reply lost
  - "halt ES for 3s"

every 5m: revoke tokens
"""


def test_reads_a_script() -> None:
    assert parse_script(SCRIPT) == Script(
        (
            Step(12_000, False, Sentence("drop", ("user_hub",), for_ms=90_000)),
            Step(90_000, False, Sentence("delay", ("rest", 200), for_ms=30_000)),
            Step(90_000, False, Sentence("fail", ("Order/place", 502, None), times=3)),
            Step(90_000, False, Sentence("lose answer of", ("Position/closeContract",))),
            Step(90_000, False, Sentence("halt", ("ES",), for_ms=3_000)),
            Step(300_000, True, Sentence("revoke tokens", (None,))),
        )
    )


def test_puts_steps_in_the_order_of_time_and_keeps_that_of_one_instant() -> None:
    script = parse_script("every 1s: log out\nat 2s: close hubs\nat 0s:\n- reset rest\n- drop rest")
    assert str(script) == "at 0s:\n  - reset rest\n  - drop rest\nat 2s: close hubs\nevery 1s: log out\n"


@pytest.mark.parametrize("text", ["", "\n", "# nothing goes wrong\n", "---\n"])
def test_takes_a_script_without_faults(text: str) -> None:
    assert parse_script(text) == Script(())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("DROP User_Hub FOR 1m", Sentence("drop", ("user_hub",), for_ms=60_000)),
        ("fail order/PLACE with 429 retry after 5", Sentence("fail", ("Order/place", 429, 5))),
        ("log out", Sentence("log out")),
        ("lose 20% of hubs", Sentence("lose", (20, "hubs"))),
        ("lose request of rest, 2 times", Sentence("lose request of", ("rest",), times=2)),
        ("poison rest with nan", Sentence("poison", ("rest", "nan", None))),
        ("poison rest with nan in size", Sentence("poison", ("rest", "nan", "size"))),
        ("refuse logins with unknown_error of Pat", Sentence("refuse logins with", ("unknown_error", "Pat"))),
        ("block account 50KTC-V2-1-2", Sentence("block account", ("50KTC-V2-1-2",))),
        ("lock out 1 for 1h", Sentence("lock out", ("1", None), for_ms=3_600_000)),
        ("stop out 1 at Maximum with 10", Sentence("stop out", ("1", "maximum", "10"))),
        ("limit daily loss of 1 to 1000", Sentence("limit", ("daily", "1", 1000))),
        ("void fill LAST of 1", Sentence("void fill", ("last", "1"))),
        ("end session", Sentence("end session")),
        ("end user_hub", Sentence("end", ("user_hub",))),
    ],
)
def test_reads_a_sentence(text: str, sentence: Sentence) -> None:
    assert parse_sentence(text) == sentence


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no verb begins with nothing; there are drop, "),
        ("frobnicate rest", "no verb begins with 'frobnicate'; there are drop, "),
        ("lose", "<share> is missing; write: lose <share> of <hub> [for <time>]"),
        ("drop user_hob", "'user_hob' is not user_hub, market_hub, hubs, rest or everything"),
        ("delay rest 5s", "'by' is missing instead of '5s'; write: delay <place> by <time> [for <time>]"),
        ("delay rest by 5", "'5' is not a time above zero such as 200ms, 12s or 1m30s"),
        ("delay rest by 0s", "'0s' is not a time above zero"),
        ("drop rest for ever", "'ever' is not a time above zero"),
        ("drop rest at noon", "'at noon' is too much; write: drop <place> [for <time>]"),
        ("drop rest, 2 times", "'drop' is not counted in times; write: drop <place> [for <time>]"),
        ("log out for 3s", "'log out' is done in a moment, and no time can be given; write: log out"),
        ("fail rest with 199", "'199' is not an HTTP status from 200 to 599"),
        ("fail rest with 600", "'600' is not an HTTP status from 200 to 599"),
        ("fail rest with \u0665\u0660\u0660", "is not an HTTP status from 200 to 599"),
        ("fail rest with 500, 0 times", "'0' times: write a number from 1 to 1000000"),
        ("fail rest with 500, some times", "'some' times: write a number from 1 to 1000000"),
        ("fail rest with 500 retry", "'after' is missing; write: fail <call> with <status> [retry after <seconds>]"),
        ("lose 0% of hubs", "'0%' is not a share of all from 1% to 100%"),
        ("lose 20 of hubs", "'20' is not a share of all from 1% to 100%"),
        ("lose answer of user_hub", "'user_hub' is not rest or one of Auth/loginKey, "),
        ("garble Order/place with soup", "'soup' is not html, nothing, half"),
        ("revoke tokens of p:t", "'p:t' is not the name of a user"),
        ("lock out 1 with 3", "'3' is not the error code of Order/place: 2 (rejected), 4 (violation) or 10"),
        ("void fill 0 of 1", "'0' is not last, or a fill's number in order of its account's fills, or its id"),
        ("limit daily loss of 1 to 0", "'0' is not whole dollars from 1 to 1000000"),
    ],
)
def test_says_what_is_wrong_with_a_sentence_and_what_it_knows(text: str, problem: str) -> None:
    with pytest.raises(NotUnderstood) as refused:
        parse_sentence(text)
    assert problem in str(refused.value)


def test_tells_all_faults_of_a_script_by_line() -> None:
    text = """\
at 12: drop user_hub
at 1s:
at 3s: halt
  - log out
at 3000ms: log out
after 4s:
- drop user_hob
- drop everything
every 0s: [log out]
{at 5s: log}
\tat 6s: log out
at 7s:log out
at 8s:
"""
    with pytest.raises(ScriptRefused) as refused:
        parse_script(text)
    told = [(fault.line, fault.key, fault.problem.partition(";")[0]) for fault in refused.value.faults]
    time = "write `at 12s` or `every 5m`, with a time such as 200ms, 12s or 1m30s"
    line = "neither `time: sentence` nor `- sentence` in a list under a time"
    assert told == [
        (1, "at 12", time),
        (2, "at 1s", "nothing is said to happen"),
        (3, "at 3s", "<contract> is missing"),
        (4, "at 3s", line),
        (5, "at 3000ms", "this time is written twice, first in line 3"),
        (6, "after 4s", time),
        (7, "after 4s", "'user_hob' is not user_hub, market_hub, hubs, rest or everything"),
        (9, "every 0s", time),
        (9, "every 0s", "no verb begins with '[log'"),
        (10, "{at 5s", time),
        (10, "{at 5s", "no verb begins with 'log}'"),
        (11, "{at 5s", line),
        (12, "{at 5s", line),
        (13, "at 8s", "nothing is said to happen"),
    ]
    assert str(refused.value).startswith("line 1, at 12: write `at 12s`")


def test_reads_a_document_that_was_read_before() -> None:
    document: Mapping[str, str | list[str]] = {"at 2s": ["log out", "drop rest"], "every 1m": "close hubs"}
    assert str(script_of(document)) == "at 2s:\n  - log out\n  - drop rest\nevery 1m: close hubs\n"
    with pytest.raises(ScriptRefused) as refused:
        script_of({"at 2s": "jump", "at 2000ms": "log out"})
    assert [str(fault).partition(";")[0] for fault in refused.value.faults] == [
        "at 2s: no verb begins with 'jump'",
        "at 2000ms: this time is written twice",
    ]


def test_bounds_how_much_can_happen() -> None:
    with pytest.raises(ScriptRefused, match="more than 10000 faults"):
        script_of({"at 1s": ["log out"] * (MOST_STEPS + 1)})


@pytest.mark.parametrize(
    ("word", "time_ms"),
    [
        ("0s", 0),
        ("1ms", 1),
        ("200ms", 200),
        ("1.5s", 1_500),
        ("1m30s", 90_000),
        ("2h", 7_200_000),
        ("0.001s", 1),
        ("1.001s", 1_001),
    ],
)
def test_reads_times(word: str, time_ms: int) -> None:
    assert duration_ms(word) == time_ms


@pytest.mark.parametrize("word", ["", "5", "s", "5 s", "-5s", "5sec", "1e3s", "0.5ms", "1.2345s", "5s!", "\u0665s"])
def test_refuses_what_is_no_time(word: str) -> None:
    with pytest.raises(NotUnderstood):
        duration_ms(word)


@given(st.integers(0, 10**10))
def test_writes_times_that_read_back(time_ms: int) -> None:
    assert duration_ms(duration_word(time_ms)) == time_ms


WORDS: dict[str, st.SearchStrategy[Any]] = {
    "place": st.sampled_from(["user_hub", "market_hub", "hubs", "rest", "everything"]),
    "hub": st.sampled_from(["user_hub", "market_hub", "hubs"]),
    "operation": st.sampled_from(["Order/place", "Auth/validate", "rest"]),
    "call": st.sampled_from(["Order/place", "rest", "user_hub", "market_hub/negotiate"]),
    "source": st.sampled_from(["Order/v2/query", "rest", "hubs"]),
    "time": st.integers(1, 10**9),
    "share": st.integers(1, 100),
    "status": st.integers(200, 599),
    "code": st.integers(1, 99),
    "rows": st.integers(0, 1000),
    "pieces": st.integers(2, 100),
    "seconds": st.integers(0, 3600),
    "garbage": st.sampled_from(["html", "nothing", "half"]),
    "bad value": st.sampled_from(["nan", "wrong_type"]),
    "member": st.sampled_from(["size", "averagePrice"]),
    "shape": st.sampled_from(["bare", "listed_quotes"]),
    "user": st.text("abcXYZ019.@_-/+", min_size=1, max_size=80),
    "reason": st.sampled_from(["user_not_found", "invalid_device"]),
    "contract": st.sampled_from(["ES", "CON.F.US.EP.Z26", "6E"]),
    "delivery": st.sampled_from(["ES", "ESZ6"]),
    "account": st.sampled_from(["1", "20000001", "PRAC-V2-1-1"]),
    "fill": st.sampled_from(["last", "1", "3004000001"]),
    "refusal": st.sampled_from(["2", "4", "10"]),
    "loss limit": st.sampled_from(["daily", "maximum"]),
    "dollars": st.integers(1, 1_000_000),
    "mode": st.sampled_from(["position", "oco"]),
    "on or off": st.sampled_from(["on", "off"]),
}


@st.composite
def sentences(draw: st.DrawFn) -> Sentence:
    verb: Verb = draw(st.sampled_from(list(VERBS.values())))
    keeps_option = draw(st.booleans())
    values: list[int | str | None] = [
        draw(WORDS[part]) if keeps_option or not is_optional else None
        for is_optional, part in parts_of(verb.form)
        if part in WORDS
    ]
    for_ms = draw(st.none() | st.integers(1, 10**9)) if verb.lasting is not Lasting.MOMENT else None
    is_counted = verb.lasting is Lasting.CALLS and for_ms is None
    times = draw(st.none() | st.integers(1, 1_000_000)) if is_counted else None
    return Sentence(verb.name, tuple(values), for_ms, times)


STEPS = st.builds(Step, st.integers(1, 10**9), st.booleans(), sentences())


@given(st.lists(STEPS, max_size=8))
def test_prints_what_reads_back(steps: list[Step]) -> None:
    script = Script.of(steps)
    assert parse_script(str(script)) == script


@given(st.lists(STEPS, min_size=1, max_size=8))
def test_prints_yaml(steps: list[Step]) -> None:
    script = Script.of(steps)
    assert script_of(YAML(typ="safe", pure=True).load(str(script))) == script


def test_is_read_by_yaml_readers_alike() -> None:
    assert script_of(YAML(typ="safe", pure=True).load(SCRIPT)) == parse_script(SCRIPT)


@given(st.text("at every0123456789ms:-# '\"[]{}\n\tdroplogut", max_size=60))
def test_reads_or_refuses_anything(text: str) -> None:
    try:
        script = parse_script(text)
    except ScriptRefused:
        return
    assert parse_script(str(script)) == script
