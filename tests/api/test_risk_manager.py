"""The library as the README uses it, against the simulated gateway on real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from risk_manager import AiUnavailable, RiskManager
from risk_manager.domain.finding import Breach
from risk_manager.domain.intent import Intent
from risk_manager.domain.lockout import Lockout
from risk_manager.domain.order import OrderType, Side
from risk_manager.rules import (
    DailyLossRule,
    MaxContracts,
    MaxPositionRule,
    OptionsInvalid,
    Remedy,
    any_of,
    named,
    options_of,
)
from risk_manager.runtime.enforcements import Timing
from risk_manager.runtime.guard import Guard
from risk_manager.runtime.risk_manager import SHORTHANDS
from risk_manager.runtime.wiring import AccountNotFound
from risk_manager.simulator.catalog import listed
from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import PlaceOrder
from risk_manager.simulator.server import SimServer
from tests.persistence.samples import decision, lockout, release

ES = listed("ES", "Z26")
ACCOUNT = "PRAC-V2-100001-30000001"


class Gateway:
    """A simulated gateway in this event loop, with one account and a quoted ES."""

    def __init__(self, exchange: Exchange, account_id: int, port: int) -> None:
        self.exchange = exchange
        self.account_id = account_id
        self.urls: dict[str, Any] = {
            "api_url": f"http://127.0.0.1:{port}",
            "user_hub_url": f"http://127.0.0.1:{port}/hubs/user",
            "market_hub_url": f"http://127.0.0.1:{port}/hubs/market",
        }

    def quote(self, bid_ticks: int) -> None:
        self.exchange.quote(ES.id, bid_ticks, bid_ticks + 1, time.time_ns())

    def buy(self, size: int) -> None:
        order = PlaceOrder(ES.id, OrderType.MARKET, Side.BUY, size)
        assert isinstance(self.exchange.place(self.account_id, order, time.time_ns()), int)

    @property
    def net(self) -> int:
        position = self.exchange.position(self.account_id, ES.id)
        return position.net_contracts if position is not None else 0


@asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    exchange = Exchange([ES])
    account_id = exchange.open_account(user="pat", name=ACCOUNT, balance_micros=50_000_000_000)
    server = SimServer(exchange, users={"pat": "key-of-pat-0123"}, wall_clock=time.time_ns)
    exchange.quote(ES.id, 27_400, 27_401, time.time_ns())
    port = await server.start()
    try:
        yield Gateway(exchange, account_id, port)
    finally:
        await server.stop()


async def make(at: Gateway, folder: Path, *, account: str | None = ACCOUNT, **arguments: Any) -> RiskManager:
    return await RiskManager.create(
        account=account,
        instruments=["ES"],
        username="pat",
        api_key="key-of-pat-0123",
        data_dir=folder,
        **at.urls,
        **arguments,
    )


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_flattens_locks_and_tells_when_a_shorthand_limit_is_reached(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, rules={"max_daily_loss": -500, "max_contracts": 5})
        told: list[object] = []

        @rm.on("breach")
        def breach(found: Breach) -> None:
            told.append((found.rule, found.limit))

        @rm.on("locked")
        async def locked(lockout: Lockout) -> None:
            told.append((str(lockout.scope), lockout.rule))

        @rm.on("verified")
        def verified(intent: Intent) -> None:
            told.append(intent.state)

        await rm.start()
        at.buy(2)
        await until(lambda: rm.status is not None and rm.status.positions)
        # 2 ES bought at 27,401; 21 ticks of 12.50 lower at the bid is 525 open, and 5.60 went on fees.
        at.quote(27_380)
        await until(lambda: at.net == 0)
        await until(lambda: "verified" in told)
        assert told == [("daily_realized_loss", -500_000_000), ("account", "daily_realized_loss"), "verified"]
        await rm.stop()


async def test_tells_of_a_lock_that_takes_the_place_of_another_after_its_release() -> None:
    rm = await RiskManager.create(account=1, rules={"max_daily_loss": -500}, username="pat", api_key="key")
    told: list[object] = []
    rm.on("locked")(told.append)
    rm.on("released")(told.append)
    ended, new, guard = release(), lockout(), cast(Guard, None)
    rm._decided(guard, decision(1, lockouts_set=(new,), lockouts_released=(ended,)), Timing(0, 0))
    assert told == [ended, new]


async def test_a_lockout_is_in_force_again_after_a_restart(tmp_path: Path) -> None:
    async with gateway() as at:
        first = await make(at, tmp_path, rules={"max_daily_loss": -500})
        await first.start()
        at.buy(2)
        await until(lambda: first.status is not None and first.status.positions)
        at.quote(27_380)
        await until(lambda: at.net == 0)
        await first.stop()
        at.buy(1)
        second = await make(at, tmp_path, rules={"max_daily_loss": -500})
        await second.start()
        assert second.status is not None
        assert [lockout.rule for lockout in second.status.lockouts] == ["daily_realized_loss"]
        await until(lambda: at.net == 0)
        await second.stop()


async def test_an_added_rule_is_enforced(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, rules={})
        rm.add_rule(MaxPositionRule(max_contracts=1))
        await rm.start()
        at.buy(3)
        await until(lambda: at.net == 1)
        await rm.stop()


async def test_a_shorthand_for_stops_takes_effect(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, rules={"require_stop_loss": 1})
        told: list[Breach] = []
        rm.on("breach")(told.append)
        await rm.start()
        at.buy(1)

        def is_flat() -> bool:
            # The exchange's clock goes by its market.
            at.quote(27_400)
            return at.net == 0

        await until(is_flat)
        assert [breach.rule for breach in told] == ["no_stop_loss_grace"]
        await rm.stop()


@pytest.mark.parametrize(("value", "rules"), [(True, ["no_stop_loss_grace"]), (False, [])])
async def test_the_shorthand_for_stops_is_a_switch_too(value: bool, rules: list[str]) -> None:
    rm = await RiskManager.create(account=1, rules={"require_stop_loss": value}, username="pat", api_key="key")
    assert [rule.name for rule in rm.rules] == rules


@pytest.mark.parametrize("key", SHORTHANDS)
async def test_every_shorthand_means_an_option_there_is(key: str) -> None:
    name, option = SHORTHANDS[key]
    value: object = ["CL"] if key == "blocked_symbols" else 500
    rm = await RiskManager.create(account=1, rules={key: value}, username="pat", api_key="key")
    assert [rule.name for rule in rm.rules] == [name]
    assert option in options_of(rm.rules[0])


async def test_rules_change_while_it_runs(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, rules={"max_contracts": 5})
        await rm.start()
        at.buy(4)
        await until(lambda: rm.status is not None and rm.status.positions)
        assert rm.change_rules({"max_contracts": 2}) == ()
        await until(lambda: at.net == 2)
        (waiting,) = rm.change_rules({"max_contracts": 3})
        assert (waiting.option, waiting.now, waiting.then) == ("limit", "2", "3")
        assert options_of(rm.rules[0])["limit"] == 2
        rm.add_rule(named(MaxPositionRule(max_contracts=1), "one_at_most"))
        await until(lambda: at.net == 1)
        with pytest.raises(OptionsInvalid):
            rm.change_rules({"max_contracts": 0})
        await rm.stop()


async def test_a_rule_that_contradicts_itself_cannot_be_added() -> None:
    rm = await RiskManager.create(account=1, rules={}, username="pat", api_key="key")
    with pytest.raises(ValueError, match="the members do different things"):
        rm.add_rule(any_of(MaxPositionRule(max_contracts=1), DailyLossRule(limit=-5)))


async def test_a_rule_that_fails_with_its_settings_cannot_be_added() -> None:
    class Moody(MaxContracts, frozen=True, kw_only=True):
        name: ClassVar[str] = "moody"

        @property
        def remedy(self) -> Remedy:
            return {5: super().remedy}[self.limit]

    rm = await RiskManager.create(account=1, rules={}, username="pat", api_key="key")
    with pytest.raises(ValueError, match="moody fails before the first event: KeyError: 6"):
        rm.add_rule(Moody(limit=6))


async def test_observe_sends_nothing(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, rules={"max_contracts": 1}, observe=True)
        told: list[Breach] = []
        rm.on("breach")(told.append)
        await rm.start()
        at.buy(3)
        await until(lambda: told)
        await asyncio.sleep(0.1)
        assert at.net == 3
        await rm.stop()


async def test_a_handler_that_fails_does_not_stop_the_guard(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, rules={"max_contracts": 1})

        @rm.on("breach")
        def fails(_: Breach) -> None:
            raise ZeroDivisionError

        await rm.start()
        at.buy(3)
        await until(lambda: at.net == 1)
        await rm.stop()


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ({"max_daily_loss": 0}, "limit"),
        ({"max_daily_los": -500}, "max_daily_loss"),
        ({"daily_realized_loss": -500}, "mapping"),
        ({"max_contracts": True}, "limit"),
        ({"require_stop_loss": 0}, "grace_period_seconds"),
        ({"require_stop_los": True}, "did you mean require_stop_loss"),
        ({"max_daily_loss": 500, "daily_realized_loss": {"limit": 400}}, "says limit of daily_realized_loss again"),
    ],
)
async def test_a_rule_it_cannot_take_is_an_error(rules: dict[str, object], word: str) -> None:
    with pytest.raises(OptionsInvalid, match=word):
        await RiskManager.create(account=1, rules=rules, username="pat", api_key="key")


async def test_a_rule_given_twice_is_an_error() -> None:
    rm = await RiskManager.create(account=1, rules={"max_daily_loss": -500}, username="pat", api_key="key")
    with pytest.raises(ValueError, match="daily_realized_loss is there already"):
        rm.add_rule(DailyLossRule(limit=-1000, action="flatten"))


async def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROJECT_X_API_KEY", raising=False)
    monkeypatch.delenv("PROJECT_X_USERNAME", raising=False)
    with pytest.raises(ValueError, match="username, api_key missing"):
        await RiskManager.create(account=1, rules={})


async def test_behaviour_intelligence_says_that_it_is_not_there() -> None:
    rm = await RiskManager.create(account=1, rules={}, username="pat", api_key="key", enable_ai=True)
    assert not rm.ai.is_available
    with pytest.raises(AiUnavailable):
        rm.ai.get_learned_patterns()


async def test_an_event_that_does_not_exist_is_an_error() -> None:
    rm = await RiskManager.create(account=1, rules={}, username="pat", api_key="key")
    with pytest.raises(ValueError, match="breach"):
        rm.on("braech")


async def test_guards_the_only_account_of_the_user_and_never_the_first_of_several(tmp_path: Path) -> None:
    async with gateway() as at:
        rm = await make(at, tmp_path, account=None, rules={"max_contracts": 1})
        await rm.start()
        assert rm.status is not None
        assert rm.status.id == str(at.account_id)
        await rm.stop()
        at.exchange.open_account(user="pat", name="PRAC-V2-100001-30000002", balance_micros=1)
        again = await make(at, tmp_path, account=None, rules={"max_contracts": 1})
        with pytest.raises(AccountNotFound, match="PRAC-V2-100001-30000001, PRAC-V2-100001-30000002"):
            await again.start()
