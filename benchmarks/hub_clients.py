"""How long a quote takes from the gateway's write to our code, by WebSocket client.

    uv run --with websockets --with picows python -m benchmarks.hub_clients

Prints, for each client that is installed, the median and the 99th percentile of frames that come one by one after a
pause, as quotes do, and the frames a second it takes when they come as fast as they can. Behind decision record 0016.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

import aiohttp
from aiohttp import web

from benchmarks.machine import spread

QUIET, BUSY = 400, 40_000
PAUSE_S = 0.02
_QUOTE = (
    b'{"type":1,"target":"GatewayQuote","arguments":["CON.F.US.EP.Z26",{"symbol":"F.US.EP","lastPrice":6850.25,'
    b'"bestBid":6850.25,"bestAsk":6850.5,"timestamp":"2026-11-20T15:00:00.1234567Z","at":%020d}]}\x1e'
)
Taken = Callable[[bytes], bool]
Client = Callable[[str, Taken], Awaitable[None]]


async def with_aiohttp(url: str, taken: Taken) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, compress=0, decode_text=False) as socket:
        while not taken((await socket.receive()).data):
            pass


async def with_websockets(url: str, taken: Taken) -> None:
    from websockets.asyncio.client import connect  # type: ignore[import-not-found]

    async with connect(url, compression=None, proxy=None) as socket:
        while not taken(await socket.recv(decode=False)):
            pass


async def with_picows(url: str, taken: Taken) -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect  # type: ignore[import-not-found]

    class Listener(WSListener):  # type: ignore[misc]
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT and taken(frame.get_payload_as_bytes()):
                transport.disconnect()

    transport, _ = await ws_connect(Listener, url)
    await transport.wait_disconnected()


CLIENTS: dict[str, Client] = {"aiohttp": with_aiohttp, "websockets": with_websockets, "picows": with_picows}


def serve(pipe: Connection) -> None:
    """A gateway that sends quotes: one by one, then all at once."""

    async def hub(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await asyncio.sleep(0.3)
        for _ in range(QUIET):
            await asyncio.sleep(PAUSE_S)
            await socket.send_str((_QUOTE % time.perf_counter_ns()).decode())
        for _ in range(BUSY):
            await socket.send_str((_QUOTE % time.perf_counter_ns()).decode())
        await socket.receive()
        return socket

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/", hub)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.to_thread(pipe.recv)

    asyncio.run(run())


async def measure(client: Client, url: str) -> tuple[float, float, float]:
    """Median and 99th percentile in us, and frames a second."""
    late_us: list[float] = []
    ends: list[int] = []

    def taken(data: bytes) -> bool:
        now_ns = time.perf_counter_ns()
        if len(late_us) < QUIET:
            late_us.append((now_ns - int(data[-24:-4])) / 1000)
        ends.append(now_ns)
        return len(ends) == QUIET + BUSY

    await client(url, taken)
    found = spread(late_us[20:])
    return found.p50, found.p99, BUSY / ((ends[-1] - ends[QUIET]) / 1e9)


def main() -> None:
    ours, theirs = get_context("spawn").Pipe()
    server = get_context("spawn").Process(target=serve, args=(theirs,))
    server.start()
    url = f"ws://127.0.0.1:{ours.recv()}/"
    print(f"{os.cpu_count()} cores, Python {sys.version[:6]}")
    print(f"{'client':12} {'p50 us':>8} {'p99 us':>8} {'frames/s':>10}")
    for name, client in CLIENTS.items():
        try:
            p50, p99, rate = asyncio.run(measure(client, url))
        except ImportError:
            print(f"{name:12} not installed")
            continue
        print(f"{name:12} {p50:8.0f} {p99:8.0f} {rate:10,.0f}")
    ours.send("end")
    server.join()


if __name__ == "__main__":
    main()
