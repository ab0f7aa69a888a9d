"""Draws docs/demo.svg, the README's picture: `uv run python docs/picture.py`.

Plays the demo and keeps its screen as it stands shortly before the end, with the table of enforcements below it.
"""

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from risk_manager.cli.demo_screen import DemoScreen
from risk_manager.cli.screen import enforcement_table
from risk_manager.runtime.demo import Demo, DemoOptions
from risk_manager.runtime.log import configure_log

WIDTH, HEIGHT = 128, 30
TARGET = Path(__file__).with_name("demo.svg")


async def _play() -> tuple[DemoScreen, list[dict[str, Any]]]:
    screen = DemoScreen()
    demo = Demo(DemoOptions(seconds=6.0), screen.decided)
    task = asyncio.create_task(demo.run())
    while not task.done():
        await asyncio.wait((task,), timeout=0.05)
        if demo.daemon is not None and demo.script.stage is not None:
            screen.look(demo)
    return screen, list(msgspec.to_builtins((await task).enforcements))


def main() -> None:
    configure_log(level="warning")
    screen, records = asyncio.run(_play())
    console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO(), force_terminal=True)
    console.print(screen)
    console.print(enforcement_table(records))
    picture = console.export_svg(title="risk-manager demo")
    # A picture in a README fetches nothing: the reader's own monospaced font will do.
    TARGET.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
