"""The local API on a real socket: who may read it, what it refuses, and its stream."""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from yarl import URL

from risk_manager.ports.journal import JournalUnavailable, TooMuchAsked
from risk_manager.web.api import ANSWER_BYTES, LocalApi

PORT = "PORT"
"""Stands for the API's own port in the tables below."""


class Source:
    """Implements `StatusSource` with a counter for a status."""

    def __init__(self) -> None:
        self.value = 0
        self.asked: list[tuple[str | None, int]] = []
        self.is_broken = False
        self.is_too_much = False
        self.found: object = [{"sequence": 1}]

    def status(self) -> object:
        return {"value": self.value}

    async def decisions(self, account_id: str | None, most: int) -> object:
        if self.is_broken:
            raise JournalUnavailable("the disk is gone")
        if self.is_too_much:
            raise TooMuchAsked("they are long")
        self.asked.append((account_id, most))
        return self.found

    async def explain(self, intent_id: str) -> object | None:
        if self.is_broken:
            raise JournalUnavailable("the disk is gone")
        return {"id": intent_id, "rule": "max_contracts"} if intent_id == "1001-2-1" else None


@contextlib.asynccontextmanager
async def listening(
    now_s: Callable[[], float] | None = None, source: Source | None = None
) -> AsyncIterator[tuple[Source, int, aiohttp.ClientSession]]:
    """An API, and a client of it; by default a second passes with every request."""
    source = source or Source()
    api = LocalApi(source, 0, now_s=now_s or itertools.count().__next__)
    port = await api.start()
    try:
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}") as client:
            yield source, port, client
    finally:
        await api.stop()
        await api.stop()


HOSTS = {
    f"127.0.0.1:{PORT}": True,
    f"localhost:{PORT}": True,
    f"LOCALHOST:{PORT}": True,
    f"[::1]:{PORT}": True,
    "127.0.0.1": False,
    "127.0.0.1:80": False,
    f"evil.example:{PORT}": False,
    f"127.0.0.1.evil.example:{PORT}": False,
    f"0.0.0.0:{PORT}": False,
}
ORIGINS = {
    None: True,
    f"http://127.0.0.1:{PORT}": True,
    f"http://localhost:{PORT}": True,
    "null": False,
    "http://127.0.0.1:80": False,
    f"https://127.0.0.1:{PORT}": False,
    f"http://evil.example:{PORT}": False,
    f"127.0.0.1:{PORT}": False,
}


async def test_answers_only_this_machine_and_its_own_pages() -> None:
    async with listening() as (_, port, client):
        wrong = []
        for host, host_is_ours in HOSTS.items():
            for origin, origin_is_ours in ORIGINS.items():
                headers = {"Host": host.replace(PORT, str(port))}
                if origin is not None:
                    headers["Origin"] = origin.replace(PORT, str(port))
                for path in ("/api/status", "/api/decisions", "/api/none"):
                    async with client.get(path, headers=headers) as response:
                        allowed = 404 if path == "/api/none" else 200
                        if response.status != (allowed if host_is_ours and origin_is_ours else 403):
                            wrong.append((host, origin, path, response.status))
        assert wrong == []


async def test_refuses_a_page_of_another_site_whatever_it_says_of_itself() -> None:
    async with listening() as (_, _port, client):
        async with client.get("/api/status", headers={"Sec-Fetch-Site": "cross-site"}) as response:
            assert response.status == 403
        async with client.get("/api/status", headers={"Sec-Fetch-Site": "same-origin"}) as response:
            assert response.status == 200


async def test_tells_the_status_and_lets_nobody_keep_it() -> None:
    async with listening() as (source, _, client):
        source.value = 7
        async with client.get("/api/status") as response:
            assert (response.status, await response.json()) == (200, {"value": 7})
            assert response.headers["Cache-Control"] == "no-store"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("most", ["0", "1001", "-1", "many", "1.5", "", "٣", "9" * 5000])
async def test_refuses_a_number_of_decisions_that_is_none(most: str) -> None:
    async with listening() as (source, _, client), client.get("/api/decisions", params={"most": most}) as response:
        assert (response.status, source.asked) == (400, [])
        assert "1 to 1000" in (await response.json())["error"]


async def test_gives_the_last_decisions_of_one_account_or_of_all() -> None:
    async with listening() as (source, _, client):
        for query in ("", "?most=1", "?most=1000&account=practice"):
            async with client.get(f"/api/decisions{query}") as response:
                assert (response.status, await response.json()) == (200, [{"sequence": 1}])
        assert source.asked == [(None, 50), (None, 1), ("practice", 1000)]


async def test_says_why_it_cannot_tell_the_decisions() -> None:
    async with listening() as (source, _, client):
        source.is_broken = True
        async with client.get("/api/decisions") as response:
            assert (response.status, await response.json()) == (503, {"error": "the disk is gone"})


@pytest.mark.parametrize(
    ("length", "status"), [(0, 200), (ANSWER_BYTES - 1, 200), (ANSWER_BYTES, 200), (ANSWER_BYTES + 1, 400)]
)
async def test_gives_no_longer_answer_than_it_may(length: int, status: int) -> None:
    async with listening() as (source, _, client):
        source.found = "x" * max(length - len('""'), 0)
        async with client.get("/api/decisions") as response:
            assert response.status == status
            said = await response.json()
            assert said == (source.found if status == 200 else {"error": said["error"]})
            assert status == 200 or said["error"].endswith("ask for less")


async def test_says_that_less_may_be_asked_for() -> None:
    async with listening() as (source, _, client):
        source.is_too_much = True
        async with client.get("/api/decisions") as response:
            assert (response.status, await response.json()) == (400, {"error": "they are long; ask for less"})


class Gated(Source):
    """Begins to read when its gate is opened for one more."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Semaphore(0)
        self.under_way = 0
        self.most_under_way = 0

    async def decisions(self, account_id: str | None, most: int) -> object:
        return await self._told()

    async def explain(self, intent_id: str) -> object | None:
        return await self._told()

    async def _told(self) -> object:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.gate.acquire()
        self.under_way -= 1
        return {}


async def test_reads_for_one_client_at_a_time_and_tells_the_status_meanwhile() -> None:
    source = Gated()
    async with asyncio.timeout(5), listening(source=source) as (_, _port, client):
        asked = [asyncio.create_task(client.get(path)) for path in ("/api/decisions", "/api/enforcements/1001-2-1") * 3]
        async with client.get("/api/status") as response:
            assert response.status == 200
        for _ in asked:
            source.gate.release()
        for response in await asyncio.gather(*asked):
            assert (response.status, await response.json()) == (200, {})
        assert source.most_under_way == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("1001-2-1", 200), ("1001-2-2", 404), ("1001%2F2", 400), ("%00", 400), ("x" * 81, 400), ("a.b", 400)],
)
async def test_explains_an_enforcement_that_there_is(path: str, status: int) -> None:
    async with listening() as (source, _, client):
        async with client.get(URL(f"/api/enforcements/{path}", encoded=True)) as response:
            assert response.status == status
            assert ("error" in await response.json()) == (status != 200)
        source.is_broken = True
        async with client.get("/api/enforcements/1001-2-1") as response:
            assert (response.status, await response.json()) == (503, {"error": "the disk is gone"})


async def test_can_only_be_read() -> None:
    async with listening() as (_, _port, client):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with client.request(method, "/api/status") as response:
                assert response.status == 405


async def test_streams_every_change_of_the_status() -> None:
    async with listening() as (source, _, client), client.get("/api/stream") as response:
        assert response.content_type == "text/event-stream"
        async with asyncio.timeout(5):
            assert await response.content.readline() == b'data: {"value":0}\n'
            assert await response.content.readline() == b"\n"
            source.value = 1
            assert await response.content.readline() == b'data: {"value":1}\n'


async def test_ends_its_streams_with_the_api() -> None:
    async with asyncio.timeout(5):
        source = Source()
        api = LocalApi(source, 0)
        port = await api.start()
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/api/stream") as response:
            await response.content.readline()
            await api.stop()
            with contextlib.suppress(aiohttp.ClientError):
                await response.content.read()


async def test_answers_twenty_requests_a_second_and_refuses_the_others() -> None:
    now_s = 50.0
    async with listening(lambda: now_s) as (_, _port, client):

        async def answers(requests: int) -> list[int]:
            statuses = []
            for _ in range(requests):
                async with client.get("/api/status") as response:
                    statuses.append(response.status)
                    refused = {"error": "more than 20 requests in a second"}
                    assert await response.json() == (refused if response.status == 429 else {"value": 0})
            return statuses

        assert await answers(22) == [200] * 20 + [429] * 2
        now_s += 0.125
        assert await answers(3) == [200] * 2 + [429]
        now_s += 60
        assert await answers(21) == [200] * 20 + [429]


async def test_reads_no_further_when_it_has_refused() -> None:
    """All requests that fit into one packet would otherwise be answered before anything else is done."""
    async with asyncio.timeout(5), listening(lambda: 50.0) as (_, port, _client):
        for host, answered in ((f"127.0.0.1:{port}", [b"200"] * 20 + [b"429"]), ("evil.example", [b"403"])):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /api/status HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 50)
            assert re.findall(rb"HTTP/1.1 (\d+)", await reader.read()) == answered
            writer.close()
