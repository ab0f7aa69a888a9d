"""What verbs of the fault language do to a server, where it is more than one call of its own."""

import itertools
import re

import msgspec

from risk_manager.simulator.fault_words import MS_PER_S, fill_called, next_delivery
from risk_manager.simulator.loss_limits import Breach
from risk_manager.simulator.records import RefusalCode, SimContract
from risk_manager.simulator.server.server import SimServer

_NANOS_PER_MS = 1_000_000
_MICROS_PER_DOLLAR = 1_000_000
_SHAPES: dict[str, dict[str, object]] = {
    "bare": {"user_events": "bare"},
    "list": {"user_events": "list"},
    "rows": {"are_batches_lists": False},
    "padded": {"pads_lists": True},
    "listed_quotes": {"is_quote_listed": True},
}


def delay(server: SimServer, place: str, by_ms: int) -> None:
    """Send everything so much later."""
    if place == "rest":
        server.set_rest_delay(by_ms / MS_PER_S)
    else:
        server.worsen(place, behind_s=by_ms / MS_PER_S)


def delay_no_more(server: SimServer, place: str, _: int) -> None:
    """End a delay."""
    if place == "rest":
        server.set_rest_delay(None)
    else:
        server.worsen(place, behind_s=0.0)


def stall(server: SimServer, place: str) -> None:
    """Silence on connections that stay up."""
    if place == "rest":
        server.stall_rest()
    else:
        server.stall(place)


def resume(server: SimServer, place: str) -> None:
    """End a stall."""
    if place == "rest":
        server.stall_rest(False)
    else:
        server.resume(place)


def shape(server: SimServer, form: str) -> None:
    """Wrap events in a form of another build."""
    server.reshape_events(**_SHAPES[form])


def shape_no_more(server: SimServer, form: str) -> None:
    """Wrap events as the server's settings say."""
    server.reshape_events(**dict.fromkeys(_SHAPES[form]))


def roll(server: SimServer, contract_id: str) -> None:
    """Make the next delivery the active one."""
    overlap(server, contract_id)
    _list(server, server.exchange.contracts[contract_id], is_active=False)


def overlap(server: SimServer, contract_id: str) -> None:
    """Make the next delivery active too."""
    _list(server, next_delivery(server.exchange, contract_id), is_active=True)


def overlap_no_more(server: SimServer, contract_id: str) -> None:
    """Make the next delivery inactive."""
    _list(server, next_delivery(server.exchange, contract_id), is_active=False)


def pause(server: SimServer, contract_id: str, for_ms: int) -> None:
    """Halt a contract for so long in the venue's time."""
    now_ns = server.exchange.now_ns
    server.exchange.pause(contract_id, now_ns, now_ns + for_ms * _NANOS_PER_MS)


def block(server: SimServer, account_id: int) -> None:
    """Let an account not trade."""
    server.exchange.set_can_trade(account_id, False, server.exchange.now_ns)


def lock_out(server: SimServer, account_id: int, code: RefusalCode | None) -> None:
    """Empty an account and let it not trade."""
    exchange = server.exchange
    exchange.liquidate(account_id, exchange.now_ns)
    exchange.set_can_trade(account_id, False, exchange.now_ns, code=code or RefusalCode.VIOLATION)


def free(server: SimServer, account_id: int, *_: object) -> None:
    """Let an account trade again."""
    server.exchange.set_can_trade(account_id, True, server.exchange.now_ns)


def limit_loss(server: SimServer, breach: Breach, account_id: int, dollars: int | None) -> None:
    """Hold an account to one loss limit, beside the other it may have; None takes it away."""
    exchange = server.exchange
    limit_micros = None if dollars is None else dollars * _MICROS_PER_DOLLAR
    limits = msgspec.structs.replace(exchange.loss_limits(account_id), **{f"{breach.value}_loss_micros": limit_micros})
    exchange.limit_losses(account_id, limits, exchange.now_ns)


def void(server: SimServer, fill: str, account_id: int) -> None:
    """Take a fill of an account's back.

    Raises:
        Unknown: it has no such fill.
    """
    server.exchange.void_fill(fill_called(server.exchange, account_id, fill).id, server.exchange.now_ns)


def replace(server: SimServer, account_id: int) -> None:
    """Put a new account in an account's place, under a name with another number at its end; twice is once."""
    exchange = server.exchange
    old = exchange.account(account_id)
    assert old is not None, account_id
    if old.is_closed:
        return
    taken = {each.name for each in exchange.accounts(old.user)}
    number = re.search(r"[0-9]*$", old.name)
    assert number is not None
    stem, first = old.name[: number.start()], int(number[0] or 0)
    name = next(each for step in itertools.count(1) if (each := f"{stem}{first + step}") not in taken)
    exchange.replace_account(account_id, name, old.balance_micros, exchange.now_ns)


def _list(server: SimServer, contract: SimContract, *, is_active: bool) -> None:
    changed = msgspec.structs.replace(contract.contract, is_active=is_active)
    server.exchange.list_contract(msgspec.structs.replace(contract, contract=changed))
