"""The status of the guard as a screen of text; plain data in, Rich renderables out."""

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from risk_manager.cli.decision_text import clock, end_untold

STATE_STYLES = {
    "armed": "bold green",
    "starting": "bold yellow",
    "degraded": "bold yellow",
    "blind": "bold white on red",
    "locked": "bold white on red",
    "stopping": "dim",
}
LABELS = {
    "MAX_CONTRACTS": "account size",
    "MAX_CONTRACTS_PER_INSTRUMENT": "product size",
    "DAILY_LOSS": "daily loss",
    "UNREALIZED_LOSS": "open loss",
    "DAY_BUDGET": "open loss past the day's limit",
    "SYMBOL_BLOCKED": "blocked symbol",
    "UNDER_LOCKOUT": "while locked",
    "ORPHANED_ORDERS": "left-over orders",
}
"""Codes of the common breaches in a trader's words; others show the rule's name."""

_BAR_WIDTH = 20
_WARM, _HOT = 0.7, 0.9


def status_screen(status: dict[str, Any]) -> RenderableType:
    """Everything the local API's status says, one panel an account."""
    return Group(*(account_panel(account) for account in status["accounts"]))


def account_panel(account: dict[str, Any]) -> Panel:
    """One account: state, money, limits, positions, lockouts, last enforcements."""
    parts: list[RenderableType] = [_money(account)]
    if account["limits"]:
        parts.append(limit_bars(account["limits"]))
    if account["positions"]:
        parts.append(_positions(account["positions"]))
    if not account["can_trade"]:
        parts.append(Text("BLOCKED by the venue: canTrade is false", style="bold red"))
    parts.extend(_lockout(lockout) for lockout in account["lockouts"])
    parts.extend(_waiting(change) for change in account.get("waiting_rules", ()))
    parts.extend(Text(f"missing: {missing}", style="yellow") for missing in account["missing"])
    parts.extend(_coverage(account["coverage"]) if "coverage" in account else ())
    if account["enforcements"]:
        parts.append(enforcement_table(account["enforcements"][-8:]))
    state = account["state"]
    title = Text.assemble(
        (f" {account['name']} ", "bold"), (f" {state.upper()} ", STATE_STYLES[state]), f" {account['mode']} "
    )
    return Panel(Group(*parts), title=title, title_align="left", border_style="red" if state == "locked" else "blue")


def _coverage(coverage: dict[str, Any]) -> list[Text]:
    """What of the trading day was not watched; nothing where all of it was."""
    missed = [(coverage[f"{cover}_s"], cover) for cover in ("blind", "degraded") if coverage[f"{cover}_s"] >= 1]
    if not missed:
        return []
    told = ", ".join(f"{cover} {clock(seconds)}" for seconds, cover in missed)
    last = coverage["gaps"][-1]
    return [Text(f"coverage today: {told}; last {last['began'][11:19]} UTC: {last['cause']}", style="dim")]


def limit_bars(limits: list[dict[str, Any]]) -> Table:
    """A bar for each limit: how much is used and what is left."""
    table = Table.grid(padding=(0, 1))
    for limit in limits:
        used, most = limit["used"], limit["limit"]
        share = used / most if most else float(used > 0)
        style = "red" if share >= _HOT else "yellow" if share >= _WARM else "green"
        filled = min(_BAR_WIDTH, round(share * _BAR_WIDTH))
        bar = Text("█" * filled, style=style) + Text("░" * (_BAR_WIDTH - filled), style="dim")
        table.add_row(limit["label"], bar, f"{quantity(used, limit['unit'])} of {quantity(most, limit['unit'])}")
    return table


def enforcement_table(records: list[dict[str, Any]], title: str | None = None) -> Table:
    """Every enforcement: what broke, how fast it was seen, durable and flat, how far past the limit it went.

    `again` counts how often the trader came back before the proof. Fits a terminal of 80 columns.
    """
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="bold underline")
    for name in ("what", "where"):
        table.add_column(name, no_wrap=True)
    for name in ("measured", "limit", "seen ms", "durable", "flat ms", "again", "past"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("ok", no_wrap=True)
    for record in records:
        unit = record["unit"]
        flat_ms = record["time_to_flat_ms"]
        table.add_row(
            LABELS.get(record["code"], record["rule"]),
            record["scope"],
            quantity(record["measured"], unit),
            quantity(record["limit"], unit),
            f"{record['detection_us'] / 1000:,.2f}",
            f"{record['lock_commit_us'] / 1000:,.2f}",
            f"{flat_ms:,.0f}" if flat_ms is not None else "…",
            f"{record['reentries'] or ''}",
            quantity(record["overshoot"], unit),
            Text("yes", style="green") if record["verified_flat"] else Text("…", style="yellow"),
        )
    return table


def quantity(value: float, unit: str) -> str:
    """A number with its unit, short: `-$512.50`, `4`."""
    if unit == "usd":
        digits = 0 if value == int(value) else 2
        return f"{'-' if value < 0 else ''}${abs(value):,.{digits}f}"
    return f"{value:g}"


def signed_usd(value: float) -> Text:
    """Dollars in green or red."""
    return Text(quantity(value, "usd"), style="green" if value > 0 else "red" if value < 0 else "")


def _money(account: dict[str, Any]) -> Text:
    return Text.assemble(
        "day ",
        signed_usd(account["day_pnl_usd"]),
        "   realized ",
        signed_usd(account["realized_usd"]),
        "   fees ",
        quantity(account["fees_usd"], "usd"),
        "   open ",
        signed_usd(account["unrealized_usd"]),
        f"   trading day {account['trading_day']}",
    )


def _positions(positions: list[dict[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for position in positions:
        net = position["net_contracts"]
        open_usd = position["unrealized_usd"]
        table.add_row(
            Text(f"{net:+d} {position['symbol']}", style="bold"),
            f"at {position['average_price']}",
            f"{position['mark_bid']} / {position['mark_ask']}",
            signed_usd(open_usd) if open_usd is not None else Text("no quote", style="yellow"),
        )
    return table


def _lockout(lockout: dict[str, Any]) -> Text:
    left = lockout["remaining_s"]
    until = f"until {end_untold(is_timed=lockout['is_timed'])}" if left is None else f"for another {clock(left)}"
    return Text(f"LOCKED {lockout['scope']} {until}: {lockout['reason']} ({lockout['rule']})", style="bold red")


def _waiting(change: dict[str, Any]) -> Text:
    what = f"{change['rule']}.{change['option']}" if change["option"] else change["rule"]
    return Text(f"waits for the next trading day: {what}, now {change['now']}, then {change['then']}", style="cyan")
