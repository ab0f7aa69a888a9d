"""Which operations the REST API has, and out of which books they answer right now."""

import asyncio
from typing import cast

import msgspec

from risk_manager.simulator.exchange import Exchange
from risk_manager.simulator.server.bars import BarStore
from risk_manager.simulator.server.operations import (
    AccountOperations,
    AuthOperations,
    Call,
    CatalogOperations,
    Operation,
)
from risk_manager.simulator.server.orders import OrderOperations
from risk_manager.simulator.server.past import Past
from risk_manager.simulator.server.rest_settings import RestSettings
from risk_manager.simulator.server.shapes import Row

ACCOUNT_READS = frozenset(
    "Account/search Position/searchOpen Trade/search Order/search Order/searchOpen Order/searchById "
    "Order/v2/query".split()
)


class Repertoire:
    """All operations; those that read can be made to answer out of date, those of the catalog by other settings."""

    def __init__(self, exchange: Exchange, bars: BarStore, settings: RestSettings, auth: AuthOperations) -> None:
        self._exchange = exchange
        self._bars = bars
        self._settings = self._own_settings = settings
        self._past: Past | None = None
        self._operations = {
            each.path: each for each in (*auth.table(), *self._catalog(), *_account_operations(exchange, settings))
        }
        self._answering = dict(self._operations)

    def table(self) -> tuple[Operation, ...]:
        """The operations, which answer as they should at the time of a call."""
        return tuple(
            msgspec.structs.replace(each, handle=lambda call, path=each.path: self._answer(path, call))
            for each in self._operations.values()
        )

    def age_reads(self, lag_s: float | None) -> None:
        """Let reads of accounts tell what was true so long ago, but nothing from before now; None is the present."""
        if lag_s is not None and self._past is not None:
            self._past.lag_s = lag_s
            return
        if self._past is not None:
            self._past.end()
        self._past = None if lag_s is None else Past(self._exchange, lag_s, asyncio.get_running_loop().time)
        # The operations only ask it what a view can tell.
        books = self._exchange if self._past is None else cast("Exchange", self._past)
        reads = _account_operations(books, self._settings)
        self._answering.update({each.path: each for each in reads if each.path in ACCOUNT_READS})

    def change_catalog(self, **settings: object) -> None:
        """Answer about contracts and bars by other settings (`bars_lag_s`, `has_live_data`); None is as at first."""
        own = {name: getattr(self._own_settings, name) for name in settings}
        changes = {name: own[name] if value is None else value for name, value in settings.items()}
        self._settings = msgspec.structs.replace(self._settings, **changes)
        self._answering.update({each.path: each for each in self._catalog()})

    def _catalog(self) -> tuple[Operation, ...]:
        return CatalogOperations(self._exchange, self._bars, self._settings).table()

    def _answer(self, path: str, call: Call) -> Row:
        return self._answering[path].handle(call)


def _account_operations(books: Exchange, settings: RestSettings) -> tuple[Operation, ...]:
    return (*AccountOperations(books).table(), *OrderOperations(books, settings).table())
