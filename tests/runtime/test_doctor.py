"""The doctor over real sockets and real directories: every trouble has its line, its advice, and what it hides."""

import asyncio
import os
import resource
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from risk_manager.persistence.database import FILE_NAME
from risk_manager.persistence.sqlite_journal import SqliteJournal
from risk_manager.runtime.checks import Check, Verdict
from risk_manager.runtime.doctor import directory_checks, examine
from risk_manager.runtime.doctor_venue import VENUE_CHECKS, clock_check
from risk_manager.simulator.faults import Failure
from risk_manager.simulator.server.settings import SimSettings
from tests.e2e.processes import free_port
from tests.venues.projectx.read_only_scene import ACCOUNT, KEY, USER, gateway

SECOND_NS = 1_000_000_000
NOBODY = 65534
EXAMPLE = Path(__file__).parents[2] / "examples" / "no_adding_to_losers.py"
ENVIRONMENT = {"PROJECT_X_USERNAME": USER, "PROJECT_X_API_KEY": KEY}
NOT_THERE = "http://127.0.0.1:9"


class Patient:
    """A configuration directory to be examined."""

    def __init__(self, folder: Path, base: str, *, account: str = f"name: {ACCOUNT}", mode: str = "enforce") -> None:
        self.folder = folder
        self.data = folder / "state"
        self.port = free_port()
        self.urls = {"api_url": base, "user_hub_url": f"{base}/hubs/user", "market_hub_url": f"{base}/hubs/market"}
        self.account = f"{account}, mode: {mode}"
        self.instruments = "MNQ"
        self.rules = "max_contracts: {limit: 5}"
        self.environment = dict(ENVIRONMENT)
        self.free_bytes = 10 << 30

    async def examined(self) -> list[Check]:
        urls = ", ".join(f"{name}: '{url}'" for name, url in self.urls.items())
        (self.folder / "accounts.yaml").write_text(
            f"venue: {{instruments: [{self.instruments}], {urls}}}\naccounts: [{{{self.account}}}]\n"
            f"api: {{port: {self.port}}}\ndata_dir: state\n"
        )
        (self.folder / "risk_config.yaml").write_text(f"rules: {{{self.rules}}}\n")
        return [check async for check in examine(self.folder, self.environment, free=lambda _: self.free_bytes)]

    async def found(self, name: str) -> Check:
        """The one check of that name."""
        (check,) = [check for check in await self.examined() if check.name.startswith(name)]
        return check


def of_verdict(checks: list[Check], verdict: Verdict) -> list[str]:
    return [check.name for check in checks if check.verdict is verdict]


async def test_finds_everything_well(tmp_path: Path) -> None:
    async with gateway() as scene:
        checks = await Patient(tmp_path, scene.base).examined()

        assert {check.name: check.found for check in checks if check.verdict is not Verdict.OK} == {}
        assert [check.name.split(" ")[0] for check in checks] == (
            "program configuration rules calendar data disk another journal local name socket gateway clock login"
            " account user market steady"
        ).split(" ")
        by_name = {check.name: check.found for check in checks}
        assert by_name[f"account {ACCOUNT}"] == f"id {scene.account_id}, may trade, simulated, mode enforce"
        assert by_name["login"] == "accepted; the token lives 24.0 h"
        assert by_name["user hub"] == "negotiates and shakes hands"
        assert by_name["calendar of MNQ"] == "covers today and all days until 2027-12-31"
        assert by_name[f"rules of {ACCOUNT}"] == "1 in mode enforce: max_contracts"
        assert scene.is_untouched()
        assert scene.paths == [
            "/api/Status/ping",
            "/api/Auth/loginKey",
            "/api/Account/search",
            "/hubs/user/negotiate",
            "/hubs/user",
            "/hubs/market/negotiate",
            "/hubs/market",
        ]
    assert not (tmp_path / "state").exists()


async def test_says_every_fault_of_a_broken_configuration_and_skips_the_rest(tmp_path: Path) -> None:
    patient = Patient(tmp_path, NOT_THERE, mode="enforced")
    patient.rules = "max_contracts: {limmit: 5}"
    patient.environment = {}
    checks = await patient.examined()

    faults = " ".join(check.found for check in checks if check.verdict is Verdict.PROBLEM)
    for word in ("mode", "limmit", "PROJECT_X_USERNAME"):
        assert word in faults
    skipped = [check for check in checks if check.verdict is Verdict.SKIPPED]
    assert [check.name for check in skipped][-len(VENUE_CHECKS) :] == list(VENUE_CHECKS)
    assert {check.found for check in skipped} == {"needs a configuration without faults"}


async def test_survives_a_rule_file_that_fails_in_its_own_way(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise RuntimeError('not today')\n")
    patient = Patient(tmp_path, NOT_THERE)
    patient.rules = "max_contracts: {limit: 5}}\ncustom_rules: [mine.py]\noverrides: {"
    checks = await patient.examined()
    assert any("not today" in check.found for check in checks if check.verdict is Verdict.PROBLEM)


async def test_says_when_a_rule_of_the_traders_own_cannot_begin(tmp_path: Path) -> None:
    code = EXAMPLE.read_text(encoding="utf-8")
    # With its own example, of 50 dollars, it can.
    picky = "return Losers({'': 1 // (self.from_loss_micros == 50_000_000)})"
    (tmp_path / "mine.py").write_text(code.replace("return Losers()", picky))
    patient = Patient(tmp_path, NOT_THERE)
    patient.rules = "no_adding_to_losers: {from_loss: 60}}\ncustom_rules: [mine.py]\noverrides: {"
    fault = await patient.found("configuration")
    assert fault.verdict is Verdict.PROBLEM
    assert "no_adding_to_losers" in fault.found
    assert "ZeroDivisionError: integer division or modulo by zero" in fault.found


@pytest.mark.parametrize(
    ("key", "failure", "found", "advice"),
    [
        ("wrong", None, "login failed: invalid credentials (code 3)", "PROJECT_X_API_KEY"),
        (KEY, Failure(status=503), "login failed: status 503", "an outage passes"),
        (KEY, Failure(status=429), "login failed: status 429", "wait a minute"),
        (KEY, Failure(), "login failed: no answer (", "an outage passes"),
    ],
)
async def test_says_why_the_login_fails(
    tmp_path: Path, key: str, failure: Failure | None, found: str, advice: str
) -> None:
    async with gateway() as scene:
        if failure is not None:
            scene.server.fail_next("Auth/loginKey", failure)
        patient = Patient(tmp_path, scene.base)
        patient.environment["PROJECT_X_API_KEY"] = key
        checks = await patient.examined()

    (login,) = [check for check in checks if check.name == "login"]
    assert login.verdict is Verdict.PROBLEM
    assert login.found.startswith(found)
    assert advice in login.advice
    assert of_verdict(checks, Verdict.SKIPPED) == ["accounts", "user hub", "market hub"]
    assert all(key not in f"{check.found} {check.advice}" for check in checks)


async def test_warns_of_a_token_that_ends_soon(tmp_path: Path) -> None:
    async with gateway(SimSettings(token_lifetime_s=600)) as scene:
        login = await Patient(tmp_path, scene.base).found("login")
    assert (login.verdict, login.found) == (Verdict.WARNING, "accepted; the token lives 0.2 h")


async def test_logs_in_again_when_the_token_has_expired_meanwhile(tmp_path: Path) -> None:
    async with gateway() as scene:
        scene.server.fail_next("Account/search", Failure(status=401))
        account = await Patient(tmp_path, scene.base).found("account")
        assert account.verdict is Verdict.OK
        assert scene.paths.count("/api/Auth/loginKey") == 2


async def test_says_when_accounts_cannot_be_read(tmp_path: Path) -> None:
    async with gateway() as scene:
        scene.server.fail_next("Account/search", Failure(status=500))
        accounts = await Patient(tmp_path, scene.base).found("account")
    assert accounts.verdict is Verdict.PROBLEM
    assert accounts.found == "cannot be read: /api/Account/search: status 500"


async def test_says_when_the_host_cannot_be_reached(tmp_path: Path) -> None:
    checks = await Patient(tmp_path, NOT_THERE).examined()

    assert of_verdict(checks, Verdict.PROBLEM) == ["socket to 127.0.0.1:9"]
    (reason,) = {check.found for check in checks if check.verdict is Verdict.SKIPPED}
    assert reason == f"needs a way to {NOT_THERE}"


async def test_says_when_only_a_hub_cannot_be_reached(tmp_path: Path) -> None:
    async with gateway() as scene:
        patient = Patient(tmp_path, scene.base)
        patient.urls["market_hub_url"] = f"{NOT_THERE}/hubs/market"
        checks = await patient.examined()

    assert of_verdict(checks, Verdict.PROBLEM) == ["socket to 127.0.0.1:9"]
    assert of_verdict(checks, Verdict.SKIPPED) == ["market hub"]


async def test_says_when_a_name_cannot_be_resolved(tmp_path: Path) -> None:
    host = f"{'a' * 64}.topstepx.com"  # too long for any name server to be asked
    checks = await Patient(tmp_path, f"https://{host}").examined()
    assert of_verdict(checks, Verdict.PROBLEM) == [f"name of {host}"]
    assert f"socket to {host}:443" in of_verdict(checks, Verdict.SKIPPED)


async def test_says_when_the_other_side_speaks_no_tls(tmp_path: Path) -> None:
    async with gateway() as scene:
        checks = await Patient(tmp_path, scene.base.replace("http:", "https:")).examined()
    (problem,) = [check for check in checks if check.verdict is Verdict.PROBLEM]
    assert problem.name.startswith("socket to 127.0.0.1:")
    assert "WRONG_VERSION_NUMBER" in problem.found


async def test_says_when_an_account_is_configured_twice(tmp_path: Path) -> None:
    """Once by its id and once by its name, which only the venue can tell; a start is refused then."""
    async with gateway() as scene:
        patient = Patient(tmp_path, scene.base, account=f"id: {scene.account_id}, mode: observe}}, {{name: {ACCOUNT}")
        checks = [check for check in await patient.examined() if check.name == "accounts"]
    assert [(check.verdict, check.found, check.advice) for check in checks] == [
        (
            Verdict.PROBLEM,
            f"accounts '{scene.account_id}' and '{ACCOUNT}' are one at the venue, id {scene.account_id}; "
            "name each account once in accounts.yaml",
            "the guard does not start before that",
        )
    ]


async def test_says_which_accounts_there_are_when_one_is_not_found(tmp_path: Path) -> None:
    async with gateway() as scene:
        account = await Patient(tmp_path, scene.base, account="id: 5").found("account")
        assert (account.verdict, account.found) == (Verdict.PROBLEM, "is not among the active accounts")
        assert f"{ACCOUNT} (id {scene.account_id})" in account.advice


async def test_warns_of_an_account_the_venue_has_blocked(tmp_path: Path) -> None:
    async with gateway() as scene:
        scene.exchange.set_can_trade(scene.account_id, False, time.time_ns())
        account = await Patient(tmp_path, scene.base).found("account")
    assert (account.verdict, account.found) == (Verdict.WARNING, "found, but the venue does not let it trade")


@pytest.mark.parametrize(("mode", "verdict"), [("enforce", Verdict.PROBLEM), ("observe", Verdict.WARNING)])
async def test_says_that_a_live_account_cannot_be_enforced(tmp_path: Path, mode: str, verdict: Verdict) -> None:
    async with gateway() as scene:
        scene.exchange.open_account(user=USER, name="LIVE-1", balance_micros=1, is_simulated=False)
        account = await Patient(tmp_path, scene.base, account="name: LIVE-1", mode=mode).found("account")
    assert (account.verdict, account.found) == (verdict, "is a live account")


@pytest.mark.parametrize(
    ("path", "failure", "found"),
    [
        ("/hubs/market/negotiate", Failure(status=503), "negotiation is answered with status 503"),
        ("/hubs/market", Failure(status=403), "the hub refused the upgrade with status 403"),
        ("/hubs/market", Failure(), "no hub connection ("),
    ],
)
async def test_says_what_is_wrong_with_a_hub(tmp_path: Path, path: str, failure: Failure, found: str) -> None:
    async with gateway() as scene:
        scene.server.fail_next(path, failure, count=2)  # aiohttp repeats an upgrade that was cut off
        checks = await Patient(tmp_path, scene.base).examined()
    (problem,) = [check for check in checks if check.verdict is Verdict.PROBLEM]
    assert problem.name == "market hub"
    assert problem.found.startswith(found)


async def test_says_when_the_gateway_is_in_maintenance(tmp_path: Path) -> None:
    async with gateway() as scene:
        scene.server.fail_next("Status/ping", Failure(status=502))
        found = await Patient(tmp_path, scene.base).found("gateway")
    assert found.verdict is Verdict.PROBLEM
    assert found.found.startswith("status 502 in ")


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "found"),
    [
        (0, Verdict.OK, "the venue's"),
        (10, Verdict.WARNING, "s behind the venue's"),
        (-10, Verdict.WARNING, "s ahead of the venue's"),
        (60, Verdict.PROBLEM, "s behind the venue's"),
        (-60, Verdict.PROBLEM, "s ahead of the venue's"),
    ],
)
async def test_compares_the_clocks(tmp_path: Path, ahead_s: int, verdict: Verdict, found: str) -> None:
    async with gateway(venue_clock=lambda: time.time_ns() + ahead_s * SECOND_NS) as scene:
        clock = await Patient(tmp_path, scene.base).found("clock")
    assert clock.verdict is verdict
    assert found in clock.found


@pytest.mark.parametrize(
    ("local_ms", "verdict", "found"),
    [
        # A Date of 100 s is told from 100.0 to 100.999 s: it is taken for 100.5 s.
        (100_500, Verdict.OK, "0.0 s behind"),
        (100_900, Verdict.OK, "0.4 s ahead of"),
        (102_999, Verdict.OK, "2.5 s ahead of"),
        (103_000, Verdict.WARNING, "2.5 s ahead of"),
        (98_000, Verdict.WARNING, "2.5 s behind"),
        (130_499, Verdict.WARNING, "30.0 s ahead of"),
        (130_500, Verdict.PROBLEM, "30.0 s ahead of"),
        (70_500, Verdict.PROBLEM, "30.0 s behind"),
    ],
)
def test_judges_the_difference(local_ms: int, verdict: Verdict, found: str) -> None:
    check = clock_check(100 * SECOND_NS, local_ms * 1_000_000)
    assert (check.verdict, check.found) == (verdict, f"{found} the venue's, whose seconds are whole")


def test_warns_when_the_venue_does_not_tell_its_time() -> None:
    assert clock_check(0, 5).verdict is Verdict.WARNING


async def test_says_when_no_rule_is_enabled_and_a_product_has_no_calendar(tmp_path: Path) -> None:
    async with gateway() as scene:
        patient = Patient(tmp_path, scene.base)
        patient.rules, patient.instruments = "max_contracts: {enabled: false, limit: 5}", "ZZZ"
        checks = await patient.examined()
    assert set(of_verdict(checks, Verdict.WARNING)) == {"configuration", f"rules of {ACCOUNT}", "calendar of ZZZ"}


# -- the machine's own side ------------------------------------------------------------------------------------------


async def test_leaves_a_journal_as_it_was(tmp_path: Path) -> None:
    async with gateway() as scene:
        patient = Patient(tmp_path, scene.base)
        await (await SqliteJournal.open(patient.data)).close()
        before = (patient.data / FILE_NAME).read_bytes()
        journal = await patient.found("journal")
    assert (journal.verdict, journal.found) == (Verdict.OK, "opens and is whole, 0 decisions")
    assert (patient.data / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"this is no database" * 100, "file is not a database"), (None, "it belongs to another program")],
)
async def test_says_when_the_journal_cannot_be_used(tmp_path: Path, content: bytes | None, found: str) -> None:
    patient = Patient(tmp_path, NOT_THERE)
    patient.data.mkdir(mode=0o700)
    if content is not None:
        (patient.data / FILE_NAME).write_bytes(content)
    else:
        with closing(sqlite3.connect(patient.data / FILE_NAME)) as other:
            other.execute("CREATE TABLE theirs (x)")
    journal = await patient.found("journal")
    assert journal.verdict is Verdict.PROBLEM
    assert found in journal.found


async def test_finds_a_damaged_journal(tmp_path: Path) -> None:
    patient = Patient(tmp_path, NOT_THERE)
    await (await SqliteJournal.open(patient.data)).close()
    path = patient.data / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 2 + 8] = b"\xff" * 8
    path.write_bytes(content)
    journal = await patient.found("journal")
    assert journal.verdict is Verdict.PROBLEM


async def test_finds_a_journal_that_opens_and_is_not_whole(tmp_path: Path) -> None:
    patient = Patient(tmp_path, NOT_THERE)
    await (await SqliteJournal.open(patient.data)).close()
    with closing(sqlite3.connect(patient.data / FILE_NAME)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute("INSERT INTO decisions VALUES ('1', 0, '2026-11-20', 0, 0, '', '', zeroblob(32))")
        connection.commit()
    journal = await patient.found("journal")
    assert (journal.verdict, journal.found) == (
        Verdict.PROBLEM,
        f"{patient.data}: it is damaged: CHECK constraint failed in decisions",
    )


async def test_leaves_a_running_guard_alone(tmp_path: Path) -> None:
    async with gateway() as scene:
        patient = Patient(tmp_path, scene.base)
        running = await SqliteJournal.open(patient.data)
        api = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", patient.port)
        try:
            checks = {check.name: check for check in await patient.examined()}
        finally:
            await running.close()
            api.close()
    assert f"(process {os.getpid()})" in checks["another guard"].found
    assert checks["another guard"].verdict is Verdict.OK
    assert checks["journal"].verdict is Verdict.SKIPPED
    assert checks["local port"].verdict is Verdict.OK


async def test_says_when_somebody_else_has_the_port(tmp_path: Path) -> None:
    patient = Patient(tmp_path, NOT_THERE)
    with socket.create_server(("127.0.0.1", patient.port)):
        port = await patient.found("local port")
    assert port.verdict is Verdict.PROBLEM
    assert port.found.startswith(f"{patient.port} cannot be listened on: ")


def test_warns_when_others_can_read_the_data(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = {check.name: check for check in directory_checks(tmp_path) if check.verdict is Verdict.WARNING}
    assert found["data directory"].advice == f"chmod 700 {tmp_path}"
    tmp_path.chmod(0o700)
    assert [check.verdict for check in directory_checks(tmp_path)] == [Verdict.OK, Verdict.OK]


async def test_warns_when_others_can_read_the_key(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PROJECT_X_API_KEY={KEY}\n")
    (tmp_path / ".env").chmod(0o644)
    file = await Patient(tmp_path, NOT_THERE).found("credentials file")
    assert file.advice == f"chmod 600 {tmp_path / '.env'}"


@pytest.mark.parametrize(
    ("free_bytes", "verdict"),
    [
        ((100 << 20) - 1, Verdict.PROBLEM),
        (100 << 20, Verdict.WARNING),
        ((1 << 30) - 1, Verdict.WARNING),
        (1 << 30, Verdict.OK),
    ],
)
def test_looks_at_the_room_on_the_disk(tmp_path: Path, free_bytes: int, verdict: Verdict) -> None:
    *_, space = directory_checks(tmp_path, lambda _: free_bytes)
    assert (space.name, space.verdict) == ("disk space", verdict)


@contextmanager
def full_disk() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_says_when_the_disk_takes_nothing(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with full_disk():
        directory, _ = directory_checks(tmp_path)
    assert directory.verdict is Verdict.PROBLEM
    assert directory.found.startswith(f"{tmp_path} cannot be written: ")
    assert "make room" in directory.advice


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Root may write everywhere; whoever else runs the tests is ordinary already."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_says_when_the_directory_is_read_only() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        place = Path(folder)
        (place / "state").mkdir()
        (place / "state").chmod(0o555)
        place.chmod(0o755)
        with as_an_ordinary_user():
            directory, *_ = directory_checks(place / "state")
            (unmade, *_) = directory_checks(place / "state" / "deeper")
        assert directory.verdict is Verdict.PROBLEM
        assert directory.found == f"{place / 'state'} cannot be written: Permission denied"
        assert unmade.found == f"{place / 'state'} cannot be written: Permission denied"


async def test_says_when_the_directory_is_a_file(tmp_path: Path) -> None:
    patient = Patient(tmp_path, NOT_THERE)
    patient.data.write_text("a file")
    checks = {check.name: check for check in await patient.examined()}
    assert checks["data directory"].found == f"{patient.data} is a file"
    assert checks["journal"].found == "needs a data directory that can be used"
