import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from risk_manager.venues.projectx.errors import HubClosed, HubRefused, Lost, NotSent, ProjectXError
from risk_manager.venues.projectx.transport import NetworkTransport

SECRET = "token-nobody-may-read"


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], total_s: float = 5.0
) -> AsyncIterator[tuple[NetworkTransport, str]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    transport = NetworkTransport(total_s=total_s)
    try:
        yield transport, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await transport.close()
        await runner.cleanup()


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return web.Response()


async def refuse(request: web.Request) -> web.StreamResponse:
    return web.Response(status=403)


async def move(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/elsewhere")


async def echo(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(f"{request.query['access_token']} {request.headers['Authorization']}")
    async for message in socket:
        await socket.send_str(message.data)
        if message.data == "bye":
            await socket.close()
    return socket


def shown(error: ProjectXError) -> str:
    """Everything of an error that a log could print."""
    return "".join(traceback.format_exception(error)) + repr(error)


async def test_says_what_was_lost_and_what_was_not_sent() -> None:
    async with serving(cut) as (transport, base):
        with pytest.raises(Lost) as lost:
            await transport.request("POST", base, headers={}, body=b"{}")
        assert lost.value.is_disconnect
    transport = NetworkTransport()
    with pytest.raises(NotSent):
        await transport.request("POST", "http://127.0.0.1:1", headers={}, body=b"{}")
    await transport.close()


async def test_gives_an_answer_up_after_its_time() -> None:
    async with serving(hang, total_s=0.05) as (transport, base):
        with pytest.raises(Lost) as lost:
            await transport.request("POST", base, headers={}, body=b"{}")
        assert not lost.value.is_disconnect


async def test_follows_no_redirect() -> None:
    async with serving(move) as (transport, base):
        assert (await transport.request("POST", base, headers={}, body=b"{}")).status == 302


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_takes_the_token_of_a_hub_nowhere_else(status: int) -> None:
    taken_to: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        taken_to.append(str(request.url))
        return await echo(request)

    async with serving(elsewhere) as (_, other):

        async def redirect(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": f"{other}{request.path_qs}"})

        async with serving(redirect) as (transport, base):
            with pytest.raises(HubRefused) as refused:
                await transport.open_hub(f"{base}/hubs/user", SECRET)
    assert refused.value.status == status
    assert taken_to == []


async def test_sends_the_token_both_ways_and_outlives_the_request_timeout() -> None:
    async with serving(echo, total_s=0.1) as (transport, base):
        link = await transport.open_hub(f"{base}/hubs/user", SECRET)
        assert await link.receive() == f"{SECRET} Bearer {SECRET}".encode()
        await asyncio.sleep(0.2)
        await link.send(b"bye")
        assert await link.receive() == b"bye"
        with pytest.raises(HubClosed):
            await link.receive()
        await link.close()
        await link.close()


@pytest.mark.parametrize(("handler", "kind"), [(refuse, HubRefused), (cut, Lost), (hang, Lost)])
async def test_never_shows_the_token(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], kind: type[ProjectXError]
) -> None:
    async with serving(handler, total_s=0.1) as (transport, base):
        with pytest.raises(kind) as failed:
            await transport.open_hub(f"{base}/hubs/user", SECRET)
        assert SECRET not in shown(failed.value)


async def test_never_shows_the_token_when_nobody_listens() -> None:
    transport = NetworkTransport()
    with pytest.raises(NotSent) as failed:
        await transport.open_hub("http://127.0.0.1:1/hubs/user", SECRET)
    assert SECRET not in shown(failed.value)
    await transport.close()
