"""Words to the service manager, over real sockets."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_manager.runtime.notify import Notifier, notifier_from


@contextlib.contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        listener.settimeout(5)
        yield listener


def made(**environ: str) -> Notifier:
    notifier = notifier_from(environ, 42)
    assert notifier is not None
    return notifier


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_sends_each_message_whole(kind: str, tmp_path: Path) -> None:
    address = str(tmp_path / "notify") if kind == "file" else f"@risk-manager-{tmp_path}"
    with listening(address) as listener, contextlib.closing(made(NOTIFY_SOCKET=address)) as notifier:
        notifier.tell("READY=1")
        notifier.tell("WATCHDOG=1", "STATUS=practice armed")
        assert [listener.recv(1000) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1\nSTATUS=practice armed"]


def test_is_not_held_up_by_a_service_manager_that_is_gone_or_does_not_read(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with contextlib.closing(made(NOTIFY_SOCKET=address)) as notifier:
        notifier.tell("READY=1")
        with listening(address) as listener:
            for _ in range(10_000):
                notifier.tell("WATCHDOG=1")
            assert listener.recv(1000) == b"WATCHDOG=1"


@pytest.mark.parametrize("address", [None, "", "relative", "127.0.0.1:1"])
def test_is_none_without_an_address_it_understands(address: str | None) -> None:
    assert notifier_from({} if address is None else {"NOTIFY_SOCKET": address}, 42) is None


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "15000000"}, 15.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "41"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
    ],
)
def test_knows_how_long_it_is_waited_for(environ: dict[str, str], watchdog_s: float | None) -> None:
    with contextlib.closing(made(NOTIFY_SOCKET="/nowhere", **environ)) as notifier:
        assert notifier.watchdog_s == watchdog_s
