"""The end of the journal is written down elsewhere: in a file, at a web address, by mail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email import message_from_string
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from threading import Event, current_thread

import msgspec
import pytest

from risk_manager.alerts.mail import Mail
from risk_manager.config import AnchorConfig
from risk_manager.persistence import recorder
from risk_manager.persistence.anchor import Anchor, read
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.persistence.verification import verify
from risk_manager.runtime import anchoring, guard
from risk_manager.runtime.anchoring import Anchoring, Place, places_of
from risk_manager.runtime.clock import SystemClock
from risk_manager.runtime.service import systemd
from tests.persistence.samples import chain_link

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handle: Handler) -> AsyncIterator[int]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


class Scene:
    """A real journal, and the faults told of its anchors."""

    def __init__(self, journal: SqliteJournal, config: AnchorConfig) -> None:
        self.faults: list[str | None] = []
        self.anchoring = Anchoring(
            journal, places_of(config), SystemClock(), lambda name, text: self.faults.append(text if name else None)
        )


async def test_a_file_gets_a_line_whenever_the_journal_has_grown(tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    journal = await SqliteJournal.open(tmp_path / "data")
    scene = Scene(journal, AnchorConfig(file=file))
    await scene.anchoring.write()
    for sequence in (1, 2):
        await journal.commit(chain_link(sequence))
        await scene.anchoring.write()
        await scene.anchoring.write()
    await scene.anchoring.finish()
    await journal.close()
    assert [anchor.rows for anchor in read(file)] == [0, 1, 2]
    assert verify(tmp_path / "data", anchors=read(file)).is_sound
    assert scene.faults == [None] * 6


async def test_a_place_that_cannot_be_reached_is_reported_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "not mounted"
    journal = await SqliteJournal.open(tmp_path / "data")
    scene = Scene(journal, AnchorConfig(file=folder / "anchors"))
    await scene.anchoring.write()
    assert "No such file" in (scene.faults[-1] or "")
    folder.mkdir()
    await scene.anchoring.write()
    assert scene.faults[-1] is None
    assert len(read(folder / "anchors")) == 1
    await journal.close()


async def test_a_journal_that_is_closed_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "data")
    await journal.close()
    scene = Scene(journal, AnchorConfig(file=tmp_path / "anchors"))
    await scene.anchoring.write()
    assert "closed" in (scene.faults[-1] or "")


@pytest.mark.parametrize(("status", "fault"), [("204 No Content", None), ("403 Forbidden", "status 403")])
async def test_a_web_address_is_told_as_json(tmp_path: Path, status: str, fault: str | None) -> None:
    bodies: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        bodies.append(await reader.readexactly(length))
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    journal = await SqliteJournal.open(tmp_path / "data")
    await journal.commit(chain_link(1))
    async with serving(handle) as port:
        scene = Scene(journal, AnchorConfig(url=f"http://127.0.0.1:{port}/secret-of-mine"))
        await scene.anchoring.write()
    await journal.close()
    assert msgspec.json.decode(bodies[0], type=Anchor).rows == 1
    told = scene.faults[-1]
    assert told is None if fault is None else told is not None and fault in told
    assert "secret" not in (told or "")


async def test_a_mail_goes_out_once_a_day_and_at_the_end(tmp_path: Path) -> None:
    mails: list[str] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relay\r\n")
        while line := await reader.readline():
            word = line.strip().upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                break
        writer.close()

    journal = await SqliteJournal.open(tmp_path / "data")
    async with serving(relay) as port:
        mail = Mail("me@example.com", "guard@example.com", "127.0.0.1", port, starttls=False)
        scene = Scene(journal, AnchorConfig(mail=mail))
        await scene.anchoring.write()
        await journal.commit(chain_link(1))
        await scene.anchoring.write()
        assert len(mails) == 1
        await scene.anchoring.finish()
    await journal.close()
    assert scene.faults == [None, None, None]
    texts = [message_from_string(mail, policy=default) for mail in mails]
    assert [text["To"] for text in texts] == ["me@example.com"] * 2
    lines = [next(line for line in _content(text).splitlines() if line.startswith("{")) for text in texts]
    (tmp_path / "saved").write_text("\n".join(lines) + "\n", encoding="utf-8")
    anchors = read(tmp_path / "saved")
    assert [anchor.rows for anchor in anchors] == [0, 1]
    assert verify(tmp_path / "data", anchors=anchors).is_sound


async def test_a_place_that_hangs_holds_up_neither_the_stop_nor_the_other_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchoring, "LAST_S", 0.2)
    file, let_go = tmp_path / "elsewhere", Event()
    daemonic: list[bool] = []

    def hang(anchor: Anchor) -> None:
        daemonic.append(current_thread().daemon)
        let_go.wait(60)

    journal = await SqliteJournal.open(tmp_path / "data")
    await journal.commit(chain_link(1))
    places = (Place("dead", hang, 0.0), *places_of(AnchorConfig(file=file)))
    try:
        await Anchoring(journal, places, SystemClock(), lambda name, text: None).finish()
    finally:
        let_go.set()
    await journal.close()
    assert [anchor.rows for anchor in read(file)] == [1]
    # The program ends without such a thread.
    assert daemonic == [True]


async def test_a_place_that_does_not_answer_is_told_of_and_left_alone_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchoring, "PATIENCE_S", 0.1)
    file, let_go, faults = tmp_path / "elsewhere", Event(), list[str | None]()
    calls: list[int] = []

    def hang(anchor: Anchor) -> None:
        calls.append(anchor.rows)
        let_go.wait(60)
        raise OSError("gone after all")

    journal = await SqliteJournal.open(tmp_path / "data")
    dead, near = Place("dead", hang, 0.0), places_of(AnchorConfig(file=file))
    at_work = Anchoring(journal, (dead, *near), SystemClock(), lambda name, text: faults.append(text))
    try:
        for sequence in (1, 2, 3):
            await journal.commit(chain_link(sequence))
            await at_work.write()
        assert [anchor.rows for anchor in read(file)] == [1, 2, 3]
        assert calls == [1]
        assert faults == ["dead: does not answer", *["dead: has not answered yet"] * 2]
    finally:
        let_go.set()
    await _until(lambda: not is_busy(dead))
    await at_work.write()
    assert calls == [1, 3]
    assert faults[-1] == "dead: gone after all"
    await journal.close()


def is_busy(place: Place) -> bool:
    return place._telling is not None and not place._telling.done()


def test_the_last_anchor_leaves_time_to_close_everything_within_the_units_limit() -> None:
    assert anchoring.LAST_S == 5.0
    assert guard.STOP_S + guard.LAST_LATCH_S + recorder.STOP_S + anchoring.LAST_S <= systemd.STOP_S - 5


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def _content(message: Message) -> str:
    assert isinstance(message, EmailMessage)
    content = message.get_content()
    assert isinstance(content, str)
    return content
