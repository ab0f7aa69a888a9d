"""Listens to both hubs with pysignalr and prints what it hears, one JSON object per line, until told to stop.

Runs in a virtual environment of its own that holds pysignalr and nothing of this project. pysignalr gives up on a
connection for good in several cases; the application has to run a new client then, as this one does.
"""

# mypy: disable-error-code="import-not-found"

import asyncio
import json
import sys
from typing import Any

from pysignalr.client import SignalRClient

USER_HUB, MARKET_HUB, TOKEN, ACCOUNT_ID, CONTRACT_ID, _OPTIONS = sys.argv[1:]
ACCOUNT_CALLS = [(f"Subscribe{name}", [int(ACCOUNT_ID)]) for name in ("Orders", "Positions", "Trades")]
HUBS: dict[str, tuple[str, list[str], list[tuple[str, list[Any]]]]] = {
    "user": (
        USER_HUB,
        ["GatewayUserAccount", "GatewayUserOrder", "GatewayUserPosition", "GatewayUserTrade", "GatewayLogout"],
        [("SubscribeAccounts", []), *ACCOUNT_CALLS],
    ),
    "market": (
        MARKET_HUB,
        ["GatewayQuote", "GatewayTrade", "GatewayLogout"],
        [("SubscribeContractQuotes", [CONTRACT_ID]), ("SubscribeContractTrades", [CONTRACT_ID])],
    ),
}


def say(step: str, hub: str, **more: Any) -> None:
    sys.stdout.write(json.dumps({"step": step, "hub": hub, **more}) + "\n")
    sys.stdout.flush()


class Listener:
    """One hub, through as many clients as it takes."""

    def __init__(self, hub: str) -> None:
        self.hub = hub
        self.url, self.events, self.calls = HUBS[hub]
        self.client: Any = None

    async def run(self) -> None:
        while True:
            self.client = self.build()
            try:
                await self.client.run()
            except Exception as error:  # noqa: BLE001  whatever ends a foreign client is reported
                say("ended", self.hub, error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(0.05)

    def build(self) -> Any:
        client = SignalRClient(
            f"{self.url}?access_token={TOKEN}", access_token_factory=lambda: TOKEN, retry_sleep=0.05, ping_interval=1
        )
        answers: list[Any] = []

        async def opened() -> None:
            answers.clear()
            # The state that `send` waits for is set before this is called, the socket too.
            for method, arguments in self.calls:
                await client.send(method, arguments, on_invocation=answered)

        async def answered(message: Any) -> None:
            answers.append(message.error or message.result)
            if len(answers) == len(self.calls):
                say("subscribed", self.hub, answers=answers)

        async def closed() -> None:
            say("lost", self.hub)

        async def failed(message: Any) -> None:
            say("failed", self.hub, error=message.error)

        client.on_open(opened)
        client.on_close(closed)
        client.on_error(failed)
        for name in self.events:
            client.on(name, self.hearing(name))
        return client

    def hearing(self, name: str) -> Any:
        async def heard(arguments: Any) -> None:
            say("event", self.hub, name=name, arguments=arguments)

        return heard


async def main() -> None:
    listeners = [Listener(hub) for hub in HUBS]
    tasks = [asyncio.create_task(each.run()) for each in listeners]
    loop = asyncio.get_running_loop()
    while line := (await loop.run_in_executor(None, sys.stdin.readline)).split():
        if line[0] == "stop":
            break
        if line[0] == "call":
            await listeners[0].client.send(line[1], line[2:], on_invocation=None)
            await listeners[0].client.send(line[1], line[2:], on_invocation=nothing)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def nothing(_: Any) -> None:
    """The error goes to `on_error`."""


if __name__ == "__main__":
    asyncio.run(main())
