"""Writing down elsewhere, again and again, how long the journal is and what its last seal is."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import NoReturn, Protocol

import msgspec
import structlog

from risk_manager.alerts.mail import send
from risk_manager.alerts.webhook import post
from risk_manager.config import AnchorConfig
from risk_manager.persistence import anchor as anchor_file
from risk_manager.persistence.anchor import Anchor
from risk_manager.ports.clock import Clock
from risk_manager.ports.journal import JournalUnavailable
from risk_manager.runtime.instants import iso

EVERY_S = 300.0
MAIL_EVERY_S = 86_400.0
FAULT = "anchor"
PATIENCE_S = 60.0
"""How long the other places wait for one that does not answer; it is left alone from then on until it does."""
LAST_S = 5.0
"""How long a stop waits for the last anchor; the places may be anywhere, and the journal is still to be closed then."""

log = structlog.get_logger("anchor")


class Anchored(Protocol):
    """A journal whose end can be anchored."""

    async def anchor(self, at: str) -> Anchor:
        """The anchor of its present end.

        Raises:
            JournalUnavailable: it cannot be read now.
        """


class Place:
    """Somewhere an anchor is kept; told at most so often, and only of a journal that has grown."""

    def __init__(self, name: str, keep: Callable[[Anchor], None], every_s: float) -> None:
        self.name = name
        self._keep = keep
        self._every_s = every_s
        self._rows = -1
        self._next_s = 0.0
        self._telling: asyncio.Future[None] | None = None

    async def take(self, anchor: Anchor, now_s: float, *, is_last: bool) -> None:
        """Keep the anchor if there is something new to say, and it is time or the last chance.

        Raises:
            OSError: it could not be kept, or not within `PATIENCE_S`, or the one before still is not.
        """
        if self._telling is not None and not self._telling.done():
            raise TimeoutError("has not answered yet")
        if anchor.rows == self._rows or (now_s < self._next_s and not is_last):
            return
        self._telling = _beside(partial(self._keep, anchor))
        if not (await asyncio.wait({self._telling}, timeout=PATIENCE_S))[0]:
            raise TimeoutError("does not answer")
        self._telling.result()
        self._rows, self._next_s = anchor.rows, now_s + self._every_s


def places_of(config: AnchorConfig) -> tuple[Place, ...]:
    """The places a configuration names."""
    places = []
    if config.file is not None:
        places.append(Place(f"file {config.file}", partial(anchor_file.append, config.file), 0.0))
    url, mail = config.url, config.mail
    if url is not None:
        places.append(Place("web address", lambda anchor: post(url, msgspec.json.encode(anchor)), 0.0))
    if mail is not None:
        places.append(Place(f"mail to {mail.to}", lambda anchor: send(mail, _SUBJECT, _text(anchor)), MAIL_EVERY_S))
    return tuple(places)


_SUBJECT = "risk-manager: anchor of the journal"


def _text(anchor: Anchor) -> str:
    return (
        f"On {anchor.at} the journal held {anchor.rows:,} decisions. Keep this mail; the line below, saved as a file,\n"
        f"shows with `risk-manager audit verify --anchor FILE` whether the journal was changed since.\n\n"
        f"{msgspec.json.encode(anchor).decode()}\n"
    )


class Anchoring:
    """Keeps the anchors of one journal current.

    Args:
        report: told what is wrong with the anchors, or None when nothing is.
    """

    def __init__(
        self, journal: Anchored, places: tuple[Place, ...], clock: Clock, report: Callable[[str, str | None], None]
    ) -> None:
        self._journal = journal
        self._places = places
        self._clock = clock
        self._report = report

    async def run(self) -> NoReturn:
        """Anchor the journal every five minutes in which it has grown."""
        while True:
            await self.write()
            await asyncio.sleep(EVERY_S)

    async def finish(self) -> None:
        """Anchor its end one last time, as far as that can be done quickly."""
        try:
            async with asyncio.timeout(LAST_S):
                await self.write(is_last=True)
        except TimeoutError:
            log.warning("no last anchor", reason="the places did not answer in time")

    async def write(self, *, is_last: bool = False) -> None:
        """Tell every place; what cannot be kept now is reported and tried again with the next anchor."""
        try:
            anchor = await self._journal.anchor(iso(self._clock.now_ns()))
        except JournalUnavailable as error:
            self._report(FAULT, f"the journal cannot be read: {error}")
            return
        now_s = asyncio.get_running_loop().time()
        # At once, or one that does not answer would cost the others their last anchor.
        told = await asyncio.gather(*(_fault_of(place, anchor, now_s, is_last) for place in self._places))
        self._report(FAULT, "; ".join(fault for fault in told if fault is not None) or None)


async def _fault_of(place: Place, anchor: Anchor, now_s: float, is_last: bool) -> str | None:
    try:
        await place.take(anchor, now_s, is_last=is_last)
    except OSError as error:
        log.warning("anchor not kept", place=place.name, error=str(error))
        return f"{place.name}: {error}"
    return None


def _beside(work: Callable[[], None]) -> asyncio.Future[None]:
    """Have it done by a thread that nobody waits for at the program's end: a place may hang for minutes."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    # Nobody may be left to take what it ends with.
    done.add_done_callback(lambda ended: ended.cancelled() or ended.exception())

    def tell(error: BaseException | None) -> None:
        # A loop that has closed meanwhile has nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_end, done, error)

    def carry_out() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised again where it is awaited
            tell(error)
        else:
            tell(None)

    Thread(target=carry_out, name="anchor", daemon=True).start()
    return done


def _end(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
