"""A local API that answers what it is told to, in a thread: the commands under test are processes of their own."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ACCOUNT: dict[str, Any] = {
    "id": "1001",
    "name": "practice",
    "mode": "enforce",
    "state": "locked",
    "missing": ["market_hub: closed by the server"],
    "trading_day": "2026-03-02",
    "day_ends": "2026-03-02T23:00:00.000Z",
    "venue_time": "2026-03-02T14:30:00.000Z",
    "can_trade": True,
    "balance_usd": 49_187.5,
    "realized_usd": -800.0,
    "fees_usd": 12.5,
    "unrealized_usd": 25.0,
    "day_pnl_usd": -787.5,
    "positions": [
        {
            "contract": "CON.F.US.MNQ.H26",
            "symbol": "MNQH6",
            "net_contracts": -2,
            "average_price": 24_800.25,
            "mark_bid": 24_787.5,
            "mark_ask": 24_787.75,
            "unrealized_usd": 25.0,
            "quote_age_s": 0.2,
        }
    ],
    "orders": [],
    "lockouts": [
        {
            "scope": "account",
            "rule": "daily_realized_loss",
            "kind": "hard",
            "reason": "DAILY_LOSS",
            "on_lock": "flatten",
            "set_at": "2026-03-02T14:29:00.000Z",
            "until": "2026-03-02T23:00:00.000Z",
            "remaining_s": 30_660.0,
            "is_timed": True,
        }
    ],
    "limits": [{"rule": "daily_realized_loss", "label": "day loss", "used": 787.5, "limit": 800.0, "unit": "usd"}],
    "open_intents": 1,
    "enforcements": [],
    "last_sequence": 12,
    "coalesced_quotes": 0,
}
STATUS = {
    "version": "0.1.0",
    "process_id": 1,
    "started_at": "2026-03-02T14:00:00.000Z",
    "configuration": "abc",
    "accounts": [ACCOUNT],
}
DECISIONS = [
    {
        "sequence": 12,
        "account_id": "1001",
        "trading_day": "2026-03-02",
        "cause": None,
        "findings": [
            {
                "type": "breach",
                "rule": "daily_realized_loss",
                "code": "DAILY_LOSS",
                "measured": -806_560_000,
                "limit": -800_000_000,
                "unit": "micros",
                "scope": {},
                "evidence": [["realized", "-806.56"]],
            }
        ],
        "lockouts_set": [
            {
                "scope": {},
                "rule": "daily_realized_loss",
                "set_ns": 1_772_461_740_000_000_000,
                "until_ns": 1_772_492_400_000_000_000,
            }
        ],
        "actions": [{"type": "close_position", "contract_id": "CON.F.US.MNQ.H26"}],
    }
]
EXPLANATION: dict[str, Any] = {
    "id": "1001-12-1",
    "account_id": "1001",
    "trading_day": "2026-03-02",
    "rule": "daily_realized_loss",
    "code": "DAILY_LOSS",
    "scope": "account",
    "state": "verified",
    "cause": "fill_received",
    "breach_time": "2026-03-02T14:29:00.000Z",
    "measured": -806.56,
    "limit": -800.0,
    "worst": -806.56,
    "overshoot": 6.56,
    "unit": "usd",
    "evidence": [["realized", "-806.56"]],
    "demanded": "flat",
    "lockouts": [{"scope": "account", "until": "2026-03-02T23:00:00.000Z", "is_timed": True}],
    "decided_us": 310.0,
    "durable_us": 540.0,
    "flat_ms": 92.0,
    "proven_ms": 3100.0,
    "reentries": 0,
    "actions": 1,
    "calls": [
        {
            "action_id": "1001-12.1",
            "kind": "close_position",
            "contract_id": "CON.F.US.MNQ.H26",
            "size": None,
            "order_id": None,
            "answer": "accepted",
            "took_ms": 84.0,
        }
    ],
    "steps": [12, 13],
}
ANSWERS: Mapping[str, Any] = {
    "/api/status": STATUS,
    "/api/decisions": DECISIONS,
    "/api/enforcements/1001-12-1": EXPLANATION,
}


@contextlib.contextmanager
def answering(answers: Mapping[str, Any] = ANSWERS, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """The address of the API, and the targets it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps(answers.get(self.path.partition("?")[0], {"error": "no such page"})).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
