"""The operations of the REST API that do not place or change orders, and what an operation is."""

from collections.abc import Callable
from typing import Any

import msgspec

from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.records import RefusalCode, Refused, SimAccount, SimContract
from risk_manager.simulator.server import binding, replies, shapes
from risk_manager.simulator.server.bars import MAX_BARS, BarStore, BarUnit
from risk_manager.simulator.server.replies import Login, failure, refusal, success
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.shapes import Row
from risk_manager.simulator.server.times import NANOS_PER_SECOND
from risk_manager.simulator.server.tokens import Session, TokenMint
from risk_manager.simulator.server.users import User, UserBook, login_text

_MAX_SEARCH_ROWS = 20


class Call(msgspec.Struct, frozen=True):
    """One bound call.

    Attributes:
        session: who calls; None on the public operations only.
        values: the request's members by name, None where absent.
        at_ns: the venue's time.
        token: what the caller showed.
    """

    session: Session | None
    values: dict[str, Any]
    at_ns: int
    token: str = ""

    @property
    def user(self) -> str:
        assert self.session is not None, "a public operation has no user"
        return self.session.user


class Operation(msgspec.Struct, frozen=True):
    """One POST operation.

    Attributes:
        path: below `/api/`, as the venue spells it.
        payload: the members of the reply beside the envelope.
        is_public: needs no token.
        is_bars: counts against the budget for bars.
    """

    path: str
    members: tuple[binding.Member, ...]
    handle: Callable[[Call], Row]
    payload: tuple[str, ...] = ()
    is_public: bool = False
    is_bars: bool = False


def owned(exchange: Exchange, call: Call) -> SimAccount | None:
    """The account a call names, None when it is unknown or someone else's."""
    account = exchange.account(call.values["accountId"])
    if account is None or account.user != call.user or account.is_closed:
        return None
    return account


class AuthOperations:
    """Login, validation and logout."""

    def __init__(self, users: UserBook, mint: TokenMint, settings: RestSettings) -> None:
        self._users = users
        self._mint = mint
        self._settings = settings

    def table(self) -> tuple[Operation, ...]:
        """The operations."""
        key_members = (binding.string("userName"), binding.string("apiKey"))
        app_members = tuple(map(binding.string, ("userName", "password", "deviceId", "appId", "verifyKey")))
        return (
            Operation("Auth/loginKey", key_members, self._login_key, ("token",), is_public=True),
            Operation("Auth/loginApp", app_members, self._login_app, ("token",), is_public=True),
            Operation("Auth/validate", (), self._validate, ("newToken",)),
            Operation("Auth/logout", (), self._logout),
        )

    def _login_key(self, call: Call) -> Row:
        return self._logged_in(self._users.by_key(call.values["userName"], call.values["apiKey"]))

    def _login_app(self, call: Call) -> Row:
        names = ("userName", "password", "deviceId", "appId", "verifyKey")
        return self._logged_in(self._users.by_app(*(call.values[name] for name in names)))

    def _logged_in(self, found: User | Login) -> Row:
        if isinstance(found, Login):
            return failure(found, login_text(found), token=None)
        return success(token=self._mint.issue(found.name, found.number))

    def _validate(self, call: Call) -> Row:
        if not self._settings.validation_renews:
            return success(newToken=call.token)
        user = self._users.user(call.user)
        return success(newToken=self._mint.issue(user.name, user.number))

    def _logout(self, call: Call) -> Row:
        assert call.session is not None
        if self._settings.logout_ends_user:
            self._mint.revoke_user(call.user)
        else:
            self._mint.end(call.session)
        return success()


class CatalogOperations:
    """Contracts and bars."""

    def __init__(self, exchange: Exchange, bars: BarStore, settings: RestSettings) -> None:
        self._exchange = exchange
        self._bars = bars
        self._settings = settings

    def table(self) -> tuple[Operation, ...]:
        """The operations."""
        live = binding.boolean("live")
        bar_members = (
            binding.string("contractId"),
            live,
            binding.instant("startTime"),
            binding.instant("endTime"),
            *map(binding.int32, ("unit", "unitNumber", "limit")),
            binding.boolean("includePartialBar"),
        )
        return (
            Operation("Contract/available", (live,), self._available, ("contracts",)),
            Operation("Contract/search", (binding.string("searchText"), live), self._search, ("contracts",)),
            Operation("Contract/searchById", (binding.string("contractId"),), self._by_id, ("contract",)),
            Operation("History/retrieveBars", bar_members, self._retrieve_bars, ("bars",), is_bars=True),
        )

    def _available(self, call: Call) -> Row:
        return success(contracts=[shapes.contract_row(each) for each in self._listed(call)])

    def _search(self, call: Call) -> Row:
        text = call.values["searchText"].lower()
        hits = [each for each in self._listed(call) if text in f"{each.contract.name} {each.description}".lower()]
        return success(contracts=[shapes.contract_row(each) for each in hits[:_MAX_SEARCH_ROWS]])

    def _listed(self, call: Call) -> list[SimContract]:
        if self._lacks_data(call):
            return []
        return [each for each in self._exchange.contracts.values() if each.contract.is_active]

    def _lacks_data(self, call: Call) -> bool:
        """Users of simulated accounts hold no live entitlement as a rule: `live` finds nothing."""
        return call.values["live"] and not self._settings.has_live_data

    def _by_id(self, call: Call) -> Row:
        contract = self._exchange.contract(call.values["contractId"])
        if contract is None:
            return failure(replies.CONTRACT_NOT_FOUND, contract=None)
        return success(contract=shapes.contract_row(contract))

    def _retrieve_bars(self, call: Call) -> Row:
        values = call.values
        contract = self._exchange.contract(values["contractId"])
        if contract is None:
            return failure(replies.CONTRACT_NOT_FOUND, bars=None)
        try:
            unit = BarUnit(values["unit"])
        except ValueError:
            return failure(replies.BARS_UNIT_INVALID, bars=None)
        if values["unitNumber"] < 1:
            return failure(replies.BARS_UNIT_NUMBER_INVALID, bars=None)
        if not 1 <= values["limit"] <= MAX_BARS:
            return failure(replies.BARS_LIMIT_INVALID, bars=None)
        if self._lacks_data(call):
            return success(bars=[])
        bars = self._bars.bars(contract.id, unit, values["unitNumber"], values["startTime"], values["endTime"])
        seen_ns = call.at_ns - round(self._settings.bars_lag_s * NANOS_PER_SECOND)
        if not values["includePartialBar"]:
            bars = [bar for bar in bars if bar.end_ns <= seen_ns]
        elif self._settings.bars_lag_s > 0:
            bars = [bar for bar in bars if bar.start_ns <= seen_ns]
        return success(bars=[bar.row(contract) for bar in bars[: -values["limit"] - 1 : -1]])


class AccountOperations:
    """Accounts, positions and fills."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def table(self) -> tuple[Operation, ...]:
        """The operations."""
        account = binding.int32("accountId")
        contract = binding.string("contractId")
        window = (binding.instant("startTimestamp").optional(), binding.instant("endTimestamp").optional())
        return (
            Operation("Account/search", (binding.boolean("onlyActiveAccounts"),), self._search, ("accounts",)),
            Operation("Position/searchOpen", (account,), self._positions, ("positions",)),
            Operation("Position/closeContract", (account, contract), self._close),
            Operation("Position/partialCloseContract", (account, contract, binding.int32("size")), self._partial_close),
            Operation("Trade/search", (account, *window), self._fills, ("trades",)),
        )

    def _search(self, call: Call) -> Row:
        only_active = call.values["onlyActiveAccounts"]
        accounts = [each for each in self._exchange.accounts(call.user) if each.is_visible or not only_active]
        return success(accounts=[shapes.account_row(each) for each in accounts])

    def _positions(self, call: Call) -> Row:
        account = owned(self._exchange, call)
        if account is None:
            return failure(replies.ACCOUNT_NOT_FOUND, positions=None)
        contracts = self._exchange.contracts
        positions = self._exchange.positions(account.id)
        return success(positions=[shapes.position_row(each, contracts[each.contract_id]) for each in positions])

    def _close(self, call: Call) -> Row:
        if owned(self._exchange, call) is None:
            return refusal(Refused(RefusalCode.ACCOUNT_NOT_FOUND), replies.CLOSE)
        values = call.values
        refused = self._exchange.close_contract(values["accountId"], values["contractId"], call.at_ns)
        return success() if refused is None else refusal(refused, replies.CLOSE)

    def _partial_close(self, call: Call) -> Row:
        if owned(self._exchange, call) is None:
            return refusal(Refused(RefusalCode.ACCOUNT_NOT_FOUND), replies.PARTIAL_CLOSE)
        values = call.values
        refused = self._exchange.partial_close(values["accountId"], values["contractId"], values["size"], call.at_ns)
        return success() if refused is None else refusal(refused, replies.PARTIAL_CLOSE)

    def _fills(self, call: Call) -> Row:
        account = owned(self._exchange, call)
        if account is None:
            return failure(replies.ACCOUNT_NOT_FOUND, trades=None)
        contracts = self._exchange.contracts
        fills = self._exchange.fills(account.id, call.values["startTimestamp"] or 0, call.values["endTimestamp"])
        return success(trades=[shapes.fill_row(each, contracts[each.contract_id]) for each in reversed(fills)])
