"""Every verb of the fault language: how it is said, how long it lasts, and what it does to a server."""

import asyncio
from collections.abc import Callable
from enum import StrEnum

import msgspec

from risk_manager.simulator import fault_acts as acts
from risk_manager.simulator.fault_words import MS_PER_S
from risk_manager.simulator.faults import Answer, Failure
from risk_manager.simulator.hours import Phase
from risk_manager.simulator.server.poison import Poison
from risk_manager.simulator.server.server import SimServer

Act = Callable[..., None]
_NANOS_PER_MS = 1_000_000
_HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"
_GARBAGE = {
    "html": Failure(200, body=_HTML),
    "nothing": Failure(200, content_type="application/json"),
    "half": Failure(200, body=b'{"success":true,"errorCode":0,"err', content_type="application/json"),
}


class Lasting(StrEnum):
    """How long a fault may last, in the words of the page that describes it."""

    MOMENT = "a moment"
    EITHER = "a moment, or `for` a time"
    TIME = "`for` a time, or until stopped"
    CALLS = "one call, so many `times`, or `for` a time"


class Verb(msgspec.Struct, frozen=True):
    """One verb. Its acts take the server and the values of the form; what is in square brackets may be None.

    Attributes:
        form: what follows the name: words, kinds of `fault_words.KINDS` between angle brackets, at the end perhaps
            something in square brackets that may be left out.
        text: what it does, for the page.
        at_once: done whenever the sentence is thrown; raises Unknown when what it is about is not there.
        begin, end: done when the fault comes into force, and when the last of the same switch has ended.
        failure: makes what becomes of a call of the form's first value; that of a `CALLS` verb.
        switch: the verb whose switch it turns, where it is another's: the two may overlap like one.
    """

    name: str
    form: str
    lasting: Lasting
    text: str
    at_once: Act | None = None
    begin: Act | None = None
    end: Act | None = None
    failure: Callable[..., Failure | Answer] | None = None
    switch: str = ""

    @property
    def usage(self) -> str:
        """The whole sentence."""
        span = {
            Lasting.MOMENT: "",
            Lasting.EITHER: " [for <time>]",
            Lasting.TIME: " [for <time>]",
            Lasting.CALLS: " [<n> times | for <time>]",
        }
        return " ".join(f"{self.name} {self.form}".split()) + span[self.lasting]


def _moment(name: str, form: str, text: str, at_once: Act) -> Verb:
    return Verb(name, form, Lasting.MOMENT, text, at_once=at_once)


def _lasting(name: str, form: str, text: str, begin: Act, end: Act) -> Verb:
    return Verb(name, form, Lasting.TIME, text, begin=begin, end=end)


def _calls(name: str, form: str, text: str, failure: Callable[..., Failure | Answer]) -> Verb:
    return Verb(name, form, Lasting.CALLS, text, failure=failure)


def _defer_fills(server: SimServer, by_ms: int) -> None:
    server.exchange.fill_delay_ns = by_ms * _NANOS_PER_MS


def _halt(is_halted: bool) -> Act:
    return lambda server, contract_id: server.exchange.set_halted(contract_id, is_halted, server.exchange.now_ns)


def _curb(phase: Phase, is_curbed: bool) -> Act:
    return lambda server: server.exchange.curb_session(phase, is_curbed, server.exchange.now_ns)


def _hide(is_hidden: bool) -> Act:
    return lambda server, account_id: server.exchange.set_visible(account_id, not is_hidden, server.exchange.now_ns)


_TABLE = (
    # connections
    Verb(
        "drop",
        "<place>",
        Lasting.EITHER,
        "Cuts the connections there are without a word; with a time, new ones are cut too until it ends.",
        at_once=lambda server, place: server.cut(place),
        begin=lambda server, place: server.refuse(place),
        end=lambda server, place: server.refuse(place, False),
    ),
    _moment(
        "reset",
        "<place>",
        "Cuts the connections there are by a TCP reset.",
        lambda server, place: server.cut(place, resets=True),
    ),
    _lasting(
        "half-open",
        "<place>",
        "Leaves the connections there are half open: nothing is read or answered on them any more, and at the end they "
        "are cut. New connections are good.",
        lambda server, place: server.forsake(place),
        lambda server, place: server.release(place),
    ),
    _lasting(
        "stall",
        "<place>",
        "Silence on connections that stay up. What a hub would have sent is lost. REST calls wait, and are carried out "
        "at the end if their callers still wait.",
        acts.stall,
        acts.resume,
    ),
    _moment(
        "close",
        "<hub>",
        "Closes with an error (type 7) and leave to reconnect.",
        lambda server, hub: server.close_hubs(hub=hub),
    ),
    _moment(
        "end",
        "<hub>",
        "Closes with an error (type 7) and no leave to reconnect.",
        lambda server, hub: server.close_hubs(allow_reconnect=False, hub=hub),
    ),
    _moment("log out", "", "Sends `GatewayLogout` on both hubs.", lambda server: server.log_out()),
    # what the hubs send
    _lasting(
        "lose",
        "<share> of <hub>",
        "Loses events.",
        lambda server, share, hub: server.worsen(hub, lost=share / 100),
        lambda server, _, hub: server.worsen(hub, lost=0.0),
    ),
    _lasting(
        "duplicate",
        "<share> of <hub>",
        "Sends events twice.",
        lambda server, share, hub: server.worsen(hub, doubled=share / 100),
        lambda server, _, hub: server.worsen(hub, doubled=0.0),
    ),
    _lasting(
        "reorder",
        "<hub> within <time>",
        "Sends every event later by a random part of the time, so that they overtake each other.",
        lambda server, hub, within_ms: server.worsen(hub, late=1.0, late_s=within_ms / MS_PER_S),
        lambda server, hub, _: server.worsen(hub, late=0.0, late_s=0.0),
    ),
    _lasting(
        "split",
        "<hub> into <pieces>",
        "Cuts every message into so many WebSocket frames, each written in two goes.",
        lambda server, hub, pieces: server.split(hub, pieces),
        lambda server, hub, _: server.split(hub, 1),
    ),
    _lasting(
        "shape events as",
        "<shape>",
        "Wraps events as other builds do: user events `bare` or as a `list` of one, prints and depth in `rows` of "
        "their own or `padded` with nulls, quotes as `listed_quotes`.",
        acts.shape,
        acts.shape_no_more,
    ),
    # how late
    _lasting(
        "delay",
        "<place> by <time>",
        "Sends everything so much later, in its order; a REST call is carried out at once and answered late.",
        acts.delay,
        acts.delay_no_more,
    ),
    _lasting(
        "hold orders by",
        "<time>",
        "Carries out what places, changes, cancels or closes so much later than it was asked for.",
        lambda server, by_ms: server.hold_orders(lambda: asyncio.sleep(by_ms / MS_PER_S)),
        lambda server, _: server.hold_orders(None),
    ),
    _lasting(
        "defer fills by",
        "<time>",
        "Takes orders and closes at once, but brings them to the market so much later (in the venue's time).",
        lambda server, by_ms: _defer_fills(server, by_ms),
        lambda server, _: _defer_fills(server, 0),
    ),
    _lasting(
        "fill in parts",
        "",
        "Executes a random part of what an order has left, and the rest with later quotes.",
        lambda server: server.exchange.fill_in_parts(True),
        lambda server: server.exchange.fill_in_parts(None),
    ),
    _lasting(
        "age reads by",
        "<time>",
        "Answers reads of accounts, orders, positions and fills with what was true so long ago, but nothing from "
        "before the fault began.",
        lambda server, by_ms: server.age_reads(by_ms / MS_PER_S),
        lambda server, _: server.age_reads(None),
    ),
    _lasting(
        "lag bars by",
        "<time>",
        "Leaves bars younger than that out.",
        lambda server, by_ms: server.change_catalog(bars_lag_s=by_ms / MS_PER_S),
        lambda server, _: server.change_catalog(bars_lag_s=None),
    ),
    # what calls are answered
    _calls(
        "fail",
        "<call> with <status> [retry after <seconds>]",
        "Answers with an HTTP status and does nothing; a hub refuses to be negotiated with, or upgraded to.",
        lambda status, retry_after_s: Failure(status, retry_after_s=retry_after_s),
    ),
    _calls("lose request of", "<call>", "Cuts the connection; the call is not carried out.", Failure),
    _calls(
        "lose answer of",
        "<operation>",
        "Carries the call out and cuts the connection in place of the reply.",
        lambda: Failure(is_executed=True),
    ),
    _calls(
        "break",
        "<operation> with <status>",
        "Carries the call out and answers with an HTTP status all the same.",
        lambda status: Failure(status, is_executed=True),
    ),
    _calls(
        "garble",
        "<operation> with <garbage>",
        "Answers 200 with a proxy's page (`html`), `nothing`, or `half` a reply; the call is not carried out.",
        _GARBAGE.__getitem__,
    ),
    _calls(
        "reject",
        "<operation> with <code>",
        "Answers 200 with an error code of the endpoint's own, without a text.",
        Answer,
    ),
    _calls("pretend", "<operation>", "Claims success and does nothing.", lambda: Answer(0)),
    _calls(
        "empty",
        "<operation>",
        "Carries the call out and answers null in place of lists, records and tokens.",
        lambda: Answer(0, is_executed=True, drops_payload=True),
    ),
    _calls(
        "truncate",
        "<operation> to <rows>",
        "Cuts lists after so many rows.",
        lambda rows: Answer(0, is_executed=True, most_rows=rows),
    ),
    _lasting(
        "poison",
        "<source> with <bad value> [in <member>]",
        "Puts a bad value in place of numbers, or of one member wherever it is: `nan`, `huge` (1e308), `enormous` (no "
        "decimal type holds it), `negative`, `zero`, `nested` (200 lists deep), `wrong_type`, `null`, or nothing "
        "(`missing`). The last three replace anything.",
        lambda server, source, bad, member: server.poison(source, Poison(bad, member)),
        lambda server, source, *_: server.poison(source, None),
    ),
    # sessions
    _moment(
        "revoke tokens",
        "[of <user>]",
        "Refuses all tokens there are; open hubs stay.",
        lambda server, user: server.revoke_tokens(user),
    ),
    _lasting(
        "revoke key",
        "[of <user>]",
        "Refuses logins with the API key.",
        lambda server, user: server.revoke_key(user),
        lambda server, user: server.restore_key(user),
    ),
    _lasting(
        "refuse logins with",
        "<reason> [of <user>]",
        "Answers logins with a reason of the venue's.",
        lambda server, reason, user: server.refuse_logins(user, reason),
        lambda server, _, user: server.refuse_logins(user, None),
    ),
    _lasting(
        "shorten tokens to",
        "<time>",
        "Issues tokens that expire after so many whole seconds.",
        lambda server, lifetime_ms: server.set_token_lifetime(max(1, lifetime_ms // MS_PER_S)),
        lambda server, _: server.set_token_lifetime(None),
    ),
    # markets and listings
    _lasting("halt", "<contract>", "Halts trading: nothing fills and no order is taken.", _halt(True), _halt(False)),
    _moment(
        "pause",
        "<contract> by <time>",
        "Halts it for so long (in the venue's time), as the exchange does when prices move too fast.",
        acts.pause,
    ),
    _lasting(
        "stop taking orders",
        "",
        "Takes no orders and no closes any more, as in the last minutes of a Friday; what rests still fills.",
        _curb(Phase.LAST_MINUTES, True),
        _curb(Phase.LAST_MINUTES, False),
    ),
    _lasting(
        "end session",
        "",
        "Closes all markets early: nothing fills and no order is taken; orders for the day expire.",
        _curb(Phase.CLOSED, True),
        _curb(Phase.CLOSED, False),
    ),
    _moment("roll", "<delivery>", "Makes the next delivery the active one in its place.", acts.roll),
    _lasting("overlap", "<delivery>", "Has the next delivery active beside it.", acts.overlap, acts.overlap_no_more),
    _lasting(
        "live data",
        "<on or off>",
        "Whether `live: true` finds contracts and bars; users of simulated accounts are not entitled to it.",
        lambda server, is_on: server.change_catalog(has_live_data=is_on),
        lambda server, _: server.change_catalog(has_live_data=None),
    ),
    # accounts
    _lasting("block account", "<account>", "Lets the venue's own risk rules block it.", acts.block, acts.free),
    Verb(
        "lock out",
        "<account> [with <refusal>]",
        Lasting.TIME,
        "Locks it out as its trader can at the venue: cancels its orders, liquidates its positions and blocks it. "
        "Placing is refused as a violation unless told otherwise.",
        begin=acts.lock_out,
        end=acts.free,
        switch="block account",
    ),
    _moment(
        "liquidate",
        "<account>",
        "Cancels its orders and closes its positions by market orders it did not send.",
        lambda server, account_id: server.exchange.liquidate(account_id, server.exchange.now_ns),
    ),
    _moment(
        "stop out",
        "<account> at <loss limit> [with <refusal>]",
        "Liquidates and blocks it as if it had lost too much: at the `daily` limit until 17:00 in Chicago, at the "
        "`maximum` for good.",
        lambda server, account_id, breach, code: server.exchange.stop_out(
            account_id, breach, server.exchange.now_ns, code=code
        ),
    ),
    _lasting(
        "limit",
        "<loss limit> loss of <account> to <dollars>",
        "Has the venue stop it out once balance and open profit have lost so much: since the day began, or since the "
        "highest balance at the end of a day.",
        acts.limit_loss,
        lambda server, breach, account_id, _: acts.limit_loss(server, breach, account_id, None),
    ),
    _moment(
        "void fill",
        "<fill> of <account>",
        "Takes an execution back (busts it), with its profit and its costs, as if it had never happened.",
        acts.void,
    ),
    _lasting("hide account", "<account>", "Leaves it out of the list of active accounts.", _hide(True), _hide(False)),
    _lasting(
        "make follower",
        "<account>",
        "Makes it copy a leader: it may not cancel.",
        lambda server, account_id: server.change_account(account_id, is_follower=True),
        lambda server, account_id: server.change_account(account_id, is_follower=None),
    ),
    _lasting(
        "set brackets of",
        "<account> to <mode>",
        "The account's bracket mode: `position` refuses brackets on orders, `oco` takes them.",
        lambda server, account_id, mode: server.change_account(account_id, bracket_mode=mode),
        lambda server, account_id, _: server.change_account(account_id, bracket_mode=None),
    ),
    _moment(
        "replace account",
        "<account>",
        "Ends it and opens another under a like name and a new id, as after a reset.",
        acts.replace,
    ),
)

VERBS: dict[str, Verb] = {each.name: each for each in _TABLE}
"""Every verb by its name, in the order of the page."""
