"""The guard's computer: it runs the daemon as production does, and loses it without a farewell."""

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial

from risk_manager.config import GuardConfig
from risk_manager.ports.journal import JournalUnavailable
from risk_manager.runtime.daemon import Daemon
from risk_manager.runtime.guard import DecisionListener
from risk_manager.runtime.wiring import build_daemon
from risk_manager.venues.projectx.errors import ProjectXError
from tests.simulation.disk import DISK, Disk
from tests.simulation.network import MACHINE, Network

START_AGAIN_S = 1.0
"""How long the service manager waits after a program that could not start."""


class Machine:
    """Attributes: name: of the present run.   daemon: None while none is up.   config: what the next run reads."""

    def __init__(
        self, config: GuardConfig, network: Network, listener: DecisionListener, on_boot: Callable[[Daemon], None]
    ) -> None:
        self.config = config
        self.daemon: Daemon | None = None
        self.disk = Disk("0")
        self.runs = 0
        self._network = network
        self._listener = listener
        self._on_boot = on_boot
        self._task: asyncio.Task[None] | None = None
        self._reboot: asyncio.Task[None] | None = None
        self._is_stopped = False

    @property
    def name(self) -> str:
        return f"guard-{self.runs}"

    @property
    def is_down(self) -> bool:
        """Whether the program has ended and is not begun again yet."""
        return self._reboot is not None and not self._reboot.done()

    def boot(self) -> None:
        self.runs += 1
        self.disk = self.disk.successor(self.runs)
        self._task = asyncio.get_running_loop().create_task(self._live(self.name), context=self._context())
        self._task.add_done_callback(_tell_if_failed)

    def _context(self) -> Context:
        context = copy_context()
        context.run(MACHINE.set, self.name)
        context.run(DISK.set, self.disk)
        return context

    def crash(self, down_s: float, *, is_noticed: bool) -> None:
        """End the program this instant, and begin it again later. What it does while it unwinds reaches nobody."""
        if self.is_down or self._task is None:
            return
        self._network.kill(self.name, is_noticed=is_noticed)
        self.disk.is_gone = True
        self.daemon = None
        self._task.remove_done_callback(_tell_if_failed)
        self._task.cancel()
        self._reboot = asyncio.get_running_loop().create_task(self._begin_again(self._task, down_s))

    def change_rules(self, config: GuardConfig) -> None:
        """What the next run reads, and the present one takes over: its own doing, and not the world's."""
        self.config = config
        if self.daemon is not None:
            self._context().run(self.daemon.change_rules, config)

    async def stop(self) -> None:
        """End the program in an orderly way, and for good."""
        self._is_stopped = True
        if self._reboot is not None:
            await self._reboot
        if self.daemon is not None:
            self.daemon.stop()
        elif self._task is not None:
            self._task.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self.daemon = None

    async def _begin_again(self, ended: asyncio.Task[None], down_s: float) -> None:
        began_s = asyncio.get_running_loop().time()
        await asyncio.gather(ended, return_exceptions=True)
        await asyncio.sleep(max(0.0, began_s + down_s - asyncio.get_running_loop().time()))
        self.boot()

    async def _live(self, name: str) -> None:
        while True:
            is_renewed = asyncio.Event()
            try:
                daemon = await build_daemon(
                    self.config, listeners=(self._listener,), on_journal_back=partial(self._renew, is_renewed)
                )
            except (JournalUnavailable, ProjectXError):
                await asyncio.sleep(START_AGAIN_S)
                continue
            self.daemon = daemon
            self._on_boot(daemon)
            await daemon.run()
            if self._is_stopped or not is_renewed.is_set():
                return

    def _renew(self, is_renewed: asyncio.Event) -> None:
        """As `risk-manager run` does when the journal is back: end in good order, and begin anew."""
        is_renewed.set()
        if self.daemon is not None:
            self.daemon.stop()


def _tell_if_failed(task: asyncio.Task[None]) -> None:
    """A program that ends by an exception is not begun again here: it is a finding."""
    if not task.cancelled() and (error := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": "the program ended", "exception": error, "task": task})
