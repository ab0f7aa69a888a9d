"""The demo's live screen: the market, the trader, the limits, and what the guard does about it."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from risk_manager.cli.decision_text import decision_lines
from risk_manager.cli.screen import account_panel
from risk_manager.runtime.status import price

if TYPE_CHECKING:
    from risk_manager.domain.decision import Decision
    from risk_manager.runtime.demo import Demo
    from risk_manager.runtime.enforcements import Timing
    from risk_manager.runtime.guard import Guard

STAGES = {
    "disciplined": ("trades small and leaves early", "green"),
    "oversizer": ("buys more than the limits allow", "yellow"),
    "rule_breaker": ("trades a blocked product", "yellow"),
    "doubler": ("doubles his losers", "red"),
    "lockout_fighter": ("is locked out and fights it", "bold red"),
}
_EVENT_STYLES = {
    "BREACH": "bold red",
    "LOCKED": "bold white on red",
    "WARNING": "yellow",
    "PROVEN": "green",
    "SEND": "cyan",
    "UNLOCKED": "green",
}


class Tail:
    """The last lines that fit the height there is."""

    def __init__(self, lines: Iterable[Text]) -> None:
        self._lines = list(lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from self._lines[-(options.height or console.height) :]


class DemoScreen:
    """Keeps the newest picture of a running demo; a Rich renderable."""

    def __init__(self) -> None:
        self._lines: deque[Text] = deque(maxlen=200)
        self._picture: RenderableType = Text("connecting …")
        self._before: dict[str, int] = {}

    def __rich__(self) -> RenderableType:
        return self._picture

    def decided(self, guard: "Guard", decision: "Decision", timing: "Timing") -> None:
        """Take a decision into the list of events."""
        for line in decision_lines(msgspec.to_builtins(decision)):
            text = line.split(" ", 2)[-1].strip()
            word = text.split(" ", 1)[0]
            self._lines.append(Text(text, style=_EVENT_STYLES.get(word, ""), no_wrap=True, overflow="ellipsis"))

    def look(self, demo: "Demo") -> None:
        """Draw what is there now."""
        assert demo.daemon is not None, "the demo is not running yet"
        account = msgspec.to_builtins(demo.daemon.status().accounts[0])
        account["enforcements"] = []
        layout = Layout()
        layout.split_column(Layout(self._header(demo), size=3), Layout(name="body"))
        layout["body"].split_row(Layout(name="left", ratio=5), Layout(self._events(), ratio=6))
        layout["left"].split_column(Layout(self._quotes(demo), size=7), Layout(account_panel(account)))
        self._picture = layout

    def _header(self, demo: "Demo") -> Panel:
        what, style = STAGES.get(demo.script.stage or "", ("is done", "dim"))
        clock = demo.daemon.status().accounts[0].venue_time if demo.daemon is not None else None
        return Panel(
            Text.assemble(
                ("risk-manager", "bold"),
                "   the trader ",
                (what, style),
                f"   market {clock or ''}   step {demo.market.steps}",
            ),
            border_style="blue",
        )

    def _quotes(self, demo: "Demo") -> Panel:
        table = Table.grid(padding=(0, 2))
        for contract_id, listing in demo.exchange.contracts.items():
            top, contract = demo.exchange.top(contract_id), listing.contract
            moved = (top.bid_ticks or 0) - self._before.get(contract_id, top.bid_ticks or 0)
            self._before[contract_id] = top.bid_ticks or 0
            style = "green" if moved > 0 else "red" if moved < 0 else ""
            bid, ask = price(top.bid_ticks, contract), price(top.ask_ticks, contract)
            table.add_row(Text(contract.name, style="bold"), Text(f"{bid or '…'}", style=style), f"{ask or '…'}")
        return Panel(table, title=" market ", title_align="left", border_style="dim")

    def _events(self) -> Panel:
        return Panel(Tail(self._lines), title=" what the guard does ", title_align="left", border_style="dim")
