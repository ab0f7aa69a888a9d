"""Listens to both hubs with signalrcore and prints what it hears, one JSON object per line, until told to stop.

Runs in a virtual environment of its own that holds signalrcore and nothing of this project. When signalrcore gives up,
the application has to build a new connection, as this one does.
"""

# mypy: disable-error-code="import-not-found"

import json
import logging
import sys
import threading
import time
from typing import Any

from signalrcore.hub_connection_builder import HubConnectionBuilder

USER_HUB, MARKET_HUB, TOKEN, ACCOUNT_ID, CONTRACT_ID, OPTIONS = sys.argv[1:]
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
_writing = threading.Lock()


def say(step: str, hub: str, **more: Any) -> None:
    with _writing:
        sys.stdout.write(json.dumps({"step": step, "hub": hub, **more}) + "\n")
        sys.stdout.flush()


class Listener:
    """One hub, through as many connections as it takes."""

    def __init__(self, hub: str) -> None:
        self.hub = hub
        self.url, self.events, self.calls = HUBS[hub]
        self.is_over = threading.Event()
        self.connection: Any = None

    def run(self) -> None:
        while True:
            self.is_over.clear()
            self.connection = self.build()
            try:
                self.connection.start()
            except Exception as error:  # noqa: BLE001  whatever ends a foreign client is reported
                say("refused", self.hub, error=f"{type(error).__name__}: {error}")
            else:
                self.is_over.wait()
            time.sleep(0.05)

    def build(self) -> Any:
        is_skipping = json.loads(OPTIONS)["skip"]
        url = self.url.replace("http", "ws", 1) if is_skipping else self.url
        options = {"access_token_factory": lambda: TOKEN, "skip_negotiation": is_skipping}
        reconnecting = {"type": "raw", "keep_alive_interval": 5, "reconnect_interval": 0.05, "max_attempts": 3}
        connection = (
            HubConnectionBuilder()
            .with_url(f"{url}?access_token={TOKEN}", options=options)
            .configure_logging(logging.CRITICAL)
            .with_automatic_reconnect(reconnecting)
            .build()
        )
        connection.on_open(self.subscribe)
        connection.on_reconnect(self.resubscribe)
        connection.on_close(self.closed)
        connection.on_error(lambda message: say("failed", self.hub, error=message.error))
        for name in self.events:
            connection.on(name, self.hearing(name))
        return connection

    def subscribe(self) -> None:
        answers: list[Any] = []

        def answered(message: Any) -> None:
            answers.append(message.error or message.result)
            if len(answers) == len(self.calls):
                say("subscribed", self.hub, answers=answers)

        for method, arguments in self.calls:
            self.connection.send(method, arguments, on_invocation=answered)

    def resubscribe(self) -> None:
        say("reconnected", self.hub)
        self.subscribe()

    def closed(self) -> None:
        say("closed", self.hub)
        self.is_over.set()

    def hearing(self, name: str) -> Any:
        return lambda arguments: say("event", self.hub, name=name, arguments=arguments)


def main() -> None:
    listeners = [Listener(hub) for hub in HUBS]
    for each in listeners:
        threading.Thread(target=each.run, daemon=True).start()
    for line in sys.stdin:
        command, *values = line.split()
        if command == "stop":
            break
        if command == "call":
            listeners[0].connection.send(values[0], values[1:])


if __name__ == "__main__":
    main()
