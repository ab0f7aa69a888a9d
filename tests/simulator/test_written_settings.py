"""Settings of the simulated gateway as words."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_manager.simulator.manners import Manners
from risk_manager.simulator.server import SimSettings, Window
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.stream_shapes import StreamShapes
from risk_manager.simulator.written_settings import SETTINGS, Settings, SettingsRefused, read_settings


def test_knows_every_member_of_every_class() -> None:
    groups: list[tuple[str, Any]] = [("", SimSettings), ("rest.", RestSettings), ("stream.", StreamShapes)]
    groups += [("manners.", Manners), ("calls.", Window), ("bar_calls.", Window)]
    members = {f"{prefix}{name}" for prefix, group in groups for name in group.__struct_fields__}
    assert set(SETTINGS) == members - {"rest", "stream", "calls", "bar_calls"}


@pytest.mark.parametrize("name", SETTINGS)
def test_says_what_each_is_and_takes_its_own_default(name: str) -> None:
    setting = SETTINGS[name]
    assert len(setting.meaning) > 10
    assert setting.takes
    assert read_settings([f"{name}={setting.default}"]) == Settings()


@pytest.mark.parametrize(
    ("word", "settings"),
    [
        ("event_pace=0", Settings(server=SimSettings(event_pace=0.0))),
        ("account_echoes_s=[0.1, 2]", Settings(server=SimSettings(account_echoes_s=(0.1, 2.0)))),
        ("account_echoes_s=[]", Settings(server=SimSettings(account_echoes_s=()))),
        (
            'event_delays_s={"GatewayUserOrder": 1.5}',
            Settings(server=SimSettings(event_delays_s={"GatewayUserOrder": 1.5})),
        ),
        ("retry_after_s=7", Settings(server=SimSettings(retry_after_s=7))),
        ("signing_key=12", Settings(server=SimSettings(signing_key="12"))),
        ('signing_key="a b"', Settings(server=SimSettings(signing_key="a b"))),
        ("signing_key=a=b", Settings(server=SimSettings(signing_key="a=b"))),
        ("calls.calls=3", Settings(server=SimSettings(calls=Window(3, 60.0)))),
        ("rest.cancel_done_code=5", Settings(server=SimSettings(rest=RestSettings(cancel_done_code=5)))),
        ('rest.apps={"app": "key"}', Settings(server=SimSettings(rest=RestSettings(apps={"app": "key"})))),
        ("stream.user_events=bare", Settings(server=SimSettings(stream=StreamShapes(user_events="bare")))),
        ("manners.closed_text=null", Settings(manners=Manners(closed_text=None))),
        ("manners.closed_text=Not now.", Settings(manners=Manners(closed_text="Not now."))),
        ("manners.stop_out_code=rejected", Settings(manners=Manners(stop_out_code="rejected"))),
    ],
)
def test_reads_a_word(word: str, settings: Settings) -> None:
    assert read_settings([word]) == settings


def test_keeps_what_other_words_have_set() -> None:
    words = ["rest.seed=3", "rest.pads_decimals=true", "ping_s=1", "manners.orders_expire=true"]
    assert read_settings(words) == Settings(
        server=SimSettings(ping_s=1.0, rest=RestSettings(seed=3, pads_decimals=True)),
        manners=Manners(orders_expire=True),
    )


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("event_pac=1", "event_pac=1: nothing is called event_pac; did you mean event_pace?"),
        ("xyzzy=1", "xyzzy=1: nothing is called xyzzy"),
        ("rest={}", "rest={}: nothing is called rest; did you mean rest.seed?"),
        ("event_pace", "event_pace: write NAME=VALUE"),
        ("", ": write NAME=VALUE"),
        ("event_pace=", "event_pace=: event_pace takes a number from 0 to 1000"),
        ("event_pace=-0.1", "event_pace=-0.1: event_pace takes a number from 0 to 1000"),
        ("event_pace=1000.1", "event_pace=1000.1: event_pace takes a number from 0 to 1000"),
        ("event_pace=true", "event_pace=true: event_pace takes a number from 0 to 1000"),
        ("event_pace=nan", "event_pace=nan: event_pace takes a number from 0 to 1000"),
        ("ping_s=0", "ping_s=0: ping_s takes a number above 0 and up to 86400"),
        ("ping_s=1e999", "ping_s=1e999: ping_s takes a number above 0 and up to 86400"),
        ("rest.seed=1.5", "rest.seed=1.5: rest.seed takes a whole number"),
        ("rest.cancel_done_code=0", "rest.cancel_done_code=0: rest.cancel_done_code takes a whole number from 1 to 99"),
        ("is_binding_lenient=1", "is_binding_lenient=1: is_binding_lenient takes true or false"),
        ("stream.user_events=Bare", "stream.user_events=Bare: stream.user_events takes bare, envelope or list"),
        (
            "account_echoes_s=[1, -1]",
            "account_echoes_s=[1, -1]: account_echoes_s takes [a number from 0 to 86400, ...], or null",
        ),
        ('rest.apps={"app": 1}', 'rest.apps={"app": 1}: rest.apps takes {a text: a text, ...}'),
        (
            "manners.closed_code=order_not_found",
            "manners.closed_code=order_not_found: manners.closed_code takes outside_hours or rejected",
        ),
    ],
)
def test_says_what_is_wrong_with_a_word(word: str, problem: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings([word])
    assert str(refused.value) == problem


def test_refuses_an_event_that_is_none() -> None:
    with pytest.raises(SettingsRefused, match=r"event_delays_s takes \{GatewayDepth, "):
        read_settings(['event_delays_s={"GatewayUserFill": 1}'])


def test_tells_all_that_is_wrong_at_once() -> None:
    with pytest.raises(SettingsRefused) as refused:
        read_settings(["ping_s=0", "ping_s=1", "event_pace=2", "pings=3", "rest.seed=x"])
    assert str(refused.value).splitlines() == [
        "ping_s=0: ping_s takes a number above 0 and up to 86400",
        "ping_s=1: ping_s is set twice",
        "pings=3: nothing is called pings; did you mean ping_s?",
        "rest.seed=x: rest.seed takes a whole number",
    ]


@given(st.lists(st.tuples(st.sampled_from([*SETTINGS, "no", ""]), st.text(max_size=20)), max_size=4))
def test_reads_or_refuses_anything(words: list[tuple[str, str]]) -> None:
    with suppress(SettingsRefused):
        assert isinstance(read_settings(f"{name}={text}" for name, text in words), Settings)
