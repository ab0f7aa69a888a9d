"""First contact on real sockets: what it finds out, what it leaves behind, and that it touches nothing."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from risk_manager.simulator.faults import Failure
from risk_manager.simulator.server.limits import Window
from risk_manager.simulator.server.settings import SimSettings
from risk_manager.venues.projectx.probe import QUESTIONS, Answer, Findings, Pace, Probe
from risk_manager.venues.projectx.probe_files import write_findings
from risk_manager.venues.projectx.read_only import CALLS_MAX, Exchange, Frame, ReadOnlyTransport, Recording
from tests.venues.projectx.read_only_scene import ACCOUNT, KEY, USER, MachineClock, Scene, gateway

QUICK = Pace(between_s=0.0, settle_s=0.1, answer_s=1.0, leave_s=0.3)
ALLOWED = {
    "/api/Status/ping",
    "/api/Auth/loginKey",
    "/api/Auth/validate",
    "/api/Account/search",
    "/api/Contract/available",
    "/api/Order/v2/query",
    "/api/Order/search",
    "/hubs/user",
    "/hubs/market",
    "/hubs/user/negotiate",
    "/hubs/market/negotiate",
}


class Contact:
    """One examination of a scene's gateway."""

    def __init__(self, scene: Scene, *, seconds: float = 4.0, key: str = KEY, wanted: str = ACCOUNT) -> None:
        self.settings = scene.settings(key=key)
        self.transport = ReadOnlyTransport(self.settings)
        self.progress: list[str] = []
        self.probe = Probe(
            self.settings,
            self.transport,
            MachineClock(),
            seconds=seconds,
            wanted=frozenset({wanted}),
            on_progress=self.progress.append,
            pace=QUICK,
        )

    async def made(self) -> Findings:
        try:
            return await self.probe.run()
        finally:
            await self.transport.close()

    @property
    def recording(self) -> Recording:
        return self.transport.recording

    def write(self, folder: Path, findings: Findings) -> str:
        """Write everything; the report's text."""
        written = write_findings(
            folder, findings, self.recording, self.settings, known=[ACCOUNT], day="2026-11-21", version="0.1.0"
        )
        return written.report.read_text(encoding="utf-8")


def about(number: int, findings: Findings) -> Answer:
    return next(answer for answer in findings.answers if answer.number == number)


async def test_finds_out_what_can_be_found_out_by_reading() -> None:
    async with gateway(SimSettings(ping_s=0.4)) as scene:
        contact = Contact(scene, seconds=3.5)
        findings = await contact.made()

    assert (findings.is_logged_in, findings.stopped) == (True, "")
    assert [answer.number for answer in findings.answers] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 15]
    assert {answer.number for answer in findings.answers if answer.is_complete} == {2, 3, 4, 5, 6, 10}
    assert "without a token: status 401, body empty, headers WWW-Authenticate: Bearer" in about(1, findings).lines[0]
    assert (
        "user hub, negotiateVersion=1: status 200, WebSockets, ServerSentEvents, LongPolling; no redirect"
        in (about(2, findings).lines[1])
    )
    assert about(2, findings).lines[-1] == "a connection by the negotiated id: accepted"
    assert about(3, findings).lines[2:] == ("user hub, version 0: accepted", "user hub, version 2: accepted")
    assert about(4, findings).lines[0] == "SubscribeAccounts: completed with members type, invocationId, result"
    assert about(5, findings).lines[1] == "SubscribeOrders: no event within 0.1 s"
    assert about(5, findings).lines[4].startswith("SubscribeContractQuotes: GatewayQuote after ")
    assert about(6, findings).lines[0].startswith("user hub: ")
    assert " every 0.4 0.4 " in about(6, findings).lines[0]
    assert "pageSize 1, pageOffset 0: status 200, 1 rows of 2" in about(10, findings).lines
    assert about(11, findings).lines[-1].startswith("longer windows show no more orders")
    assert about(14, findings).lines == ("429 was not met, and is not provoked",)


async def test_changes_nothing_and_asks_little() -> None:
    async with gateway() as scene:
        contact = Contact(scene, seconds=2.0)
        await contact.made()

        assert scene.is_untouched()
        assert set(scene.paths) == ALLOWED
        assert len(scene.paths) < CALLS_MAX / 2
        sent = [frame.data for frame in contact.recording.frames if frame.is_sent]
        targets = {
            json.loads(record)["target"] for data in sent for record in data.split(b"\x1e") if b"target" in record
        }
        assert targets == {
            "SubscribeAccounts",
            "SubscribeOrders",
            "SubscribePositions",
            "SubscribeTrades",
            "SubscribeContractQuotes",
            "UnsubscribeContractQuotes",
        }


async def test_writes_nothing_that_names_anybody(tmp_path: Path) -> None:
    async with gateway() as scene:
        contact = Contact(scene, seconds=2.0)
        findings = await contact.made()
    report = contact.write(tmp_path, findings)

    secrets = [KEY, USER, ACCOUNT, str(scene.account_id), findings.token, "my own bot", "314159", "27182818"]
    secrets += [json.loads(one.received)["connectionId"] for one in contact.recording.exchanges if "nego" in one.path]
    secrets += [str(order.id) for order in scene.exchange.orders(scene.account_id)]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        text = path.read_text(encoding="utf-8").lower()
        assert [secret for secret in secrets if secret.lower() in text] == [], path.name
        assert "eyj" not in text, path.name
    for number, question in QUESTIONS.items():
        assert f"## {number}. {question}" in report
    accounts = json.loads((tmp_path / "replies" / "05-account-search.json").read_text())
    assert accounts["body"]["accounts"][0]["id"] == 2000000001
    assert accounts["body"]["accounts"][0]["name"] == "ACCOUNT-1"
    frames = [json.loads(line) for line in (tmp_path / "frames" / "01-user.jsonl").read_text().splitlines()]
    assert frames[0]["records"] == [{"protocol": "json", "version": 1}]
    subscribed = [record for frame in frames for record in frame.get("records", ()) if record.get("target")]
    assert subscribed[1] == {"type": 1, "invocationId": "1", "target": "SubscribeOrders", "arguments": [2000000001]}
    assert frames[-1].keys() >= {"at_ms", "ended"}


async def test_hides_in_what_came_early_whom_the_venue_names_late(tmp_path: Path) -> None:
    page = f"<html>jane's PRAC-V2-7 (77777777) is locked, 88888888 and {ACCOUNT} are not</html>".encode()
    listing = b'{"accounts":[{"id":77777777,"name":"PRAC-V2-7","canTrade":false}]}'
    order = b'{"type":1,"target":"GatewayUserOrder","arguments":[{"action":1,"data":{"accountId":88888888}}]}'
    async with gateway() as scene:
        contact = Contact(scene)
        await contact.transport.close()
    contact.recording.exchanges += [
        Exchange("POST", "/api/Account/search", b"{}", 403, (("X-Account", "PRAC-V2-7"),), page, 3),
        Exchange("POST", "/api/Account/search", b"{}", 200, (), listing, 3),
    ]
    contact.recording.frames.append(
        Frame("user", 1, 5, False, order + b'\x1e{"type":7,"error":"77777777 left"}\x1e{"cut":')
    )
    answers = (Answer(1, QUESTIONS[1], False, ("PRAC-V2-7 is locked",)),)
    report = contact.write(tmp_path, Findings(answers, True, f"{USER} and PRAC-V2-7 were logged out", "opaque-token"))

    early = json.loads((tmp_path / "replies" / "01-account-search.json").read_text())
    assert early["body"] == ("<html>jane's ACCOUNT-1 (2000000001) is locked, 2000000002 and ACCOUNT-2 are not</html>")
    assert early["headers"] == [["X-Account", "ACCOUNT-1"]]
    frame = json.loads((tmp_path / "frames" / "01-user.jsonl").read_text())
    assert (frame["at_ms"], frame["way"], frame["is_cut_off"]) == (5, "received", True)
    assert frame["records"][0]["arguments"] == [{"action": 1, "data": {"accountId": 2000000002}}]
    assert frame["records"][1:] == [{"type": 7, "error": "2000000001 left"}, '{"cut":']
    assert "- ACCOUNT-1 is locked" in report
    assert "It ended early: USER and ACCOUNT-1 were logged out." in report


async def test_stops_calling_at_the_first_429_and_records_it() -> None:
    async with gateway(SimSettings(calls=Window(6, 60.0), retry_after_s=1)) as scene:
        contact = Contact(scene, seconds=3.5)
        findings = await contact.made()

        statuses = [exchange.status for exchange in contact.recording.exchanges]
        assert statuses.count(429) == 1
        assert statuses[-1] == 429
    assert about(14, findings) == Answer(14, QUESTIONS[14], True, ("Retry-After: 1",))
    assert about(1, findings).is_complete
    assert about(1, findings).lines[-1].startswith("too many calls: status 429, body empty, headers Retry-After: 1")


async def test_learns_what_becomes_of_a_socket_whose_token_ends() -> None:
    async with gateway(SimSettings(token_lifetime_s=2)) as scene:
        findings = await Contact(scene, seconds=5.5).made()

    for line in about(8, findings).lines:
        assert " hub: the connection was open until " in line
        assert line.endswith(" s after the token's end")
    assert about(8, findings).is_complete
    assert about(15, findings).is_complete
    assert about(15, findings).lines[-1].startswith("our own token, after its end: status 401, body empty")


async def test_records_a_close_frame_it_did_not_ask_for() -> None:
    async with gateway() as scene:
        contact = Contact(scene, seconds=3.0)
        running = asyncio.create_task(contact.made())
        while not any(step.startswith("listening") for step in contact.progress):
            await asyncio.sleep(0.02)
        scene.server.close_hubs()
        findings = await running

    assert about(7, findings).is_complete
    assert about(7, findings).lines[0] == (
        "user hub, unasked: error 'Connection closed with an error.', allowReconnect True"
    )


async def test_reports_a_wrong_key_with_what_can_be_had_without_one(tmp_path: Path) -> None:
    async with gateway() as scene:
        contact = Contact(scene, key="a wrong key")
        findings = await contact.made()

    assert not findings.is_logged_in
    assert findings.stopped.startswith("login failed: invalid credentials (code 3)")
    assert scene.paths.count("/api/Auth/loginKey") == 1
    assert len(about(1, findings).lines) == 3
    report = contact.write(tmp_path, findings)
    assert "It ended early: login failed: invalid credentials (code 3)" in report
    assert "a wrong key" not in report


async def test_reports_a_venue_that_is_not_there(tmp_path: Path) -> None:
    async with gateway() as scene:
        await scene.server.stop()
        contact = Contact(scene)
        findings = await contact.made()

    assert not findings.is_logged_in
    assert findings.stopped.startswith("login failed: no answer (")
    assert "Connection refused" in contact.write(tmp_path, findings) or "connect" in findings.stopped.lower()


async def test_goes_on_when_one_question_fails() -> None:
    async with gateway() as scene:
        scene.server.fail_next("/hubs/market", Failure(status=503))
        scene.server.fail_next("Order/v2/query", Failure(status=500), count=5)
        findings = await Contact(scene, seconds=2.0).made()

    assert about(3, findings).lines[1] == (
        "market hub, version 1, without negotiation: the hub refused the upgrade with status 503"
    )
    assert about(4, findings).lines == ()
    assert about(10, findings).lines[0] == "defaults: status 500"
    assert len(about(11, findings).lines) == 5


async def test_keeps_to_its_time_however_slow_the_venue_is() -> None:
    async with gateway() as scene:
        scene.server.set_rest_delay(30.0)
        begun_s = time.monotonic()
        findings = await Contact(scene, seconds=1.0).made()
        assert time.monotonic() - begun_s < 2.5
    assert findings.stopped == "not everything was asked within 1 s"


async def test_ends_when_told_to_with_what_it_has() -> None:
    async with gateway() as scene:
        contact = Contact(scene, seconds=60.0)
        running = asyncio.create_task(contact.made())
        while "negotiation" not in contact.progress:
            await asyncio.sleep(0.02)
        contact.probe.stop()
        async with asyncio.timeout(3.0):
            findings = await running
    assert findings.stopped == "stopped by hand"
    assert about(4, findings).is_complete


@pytest.mark.parametrize(("wanted", "note"), [("nobody's", "no configured account is listed"), (ACCOUNT, "Subscribe")])
async def test_says_when_it_asks_about_another_account(wanted: str, note: str) -> None:
    async with gateway() as scene:
        findings = await Contact(scene, seconds=2.0, wanted=wanted).made()
    assert about(5, findings).lines[0].startswith(note)
