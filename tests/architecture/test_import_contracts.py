"""Each import contract of pyproject.toml is broken on purpose in a copy of the source, and must be reported."""

from pathlib import Path

import pytest

from tests.architecture.house import House

ROOMS = "Rooms import only downward, siblings not at all, and every room has a place"
CORE = "The core does no I/O, reads no clock and draws no chance"
RULES = "A rule knows no other rule"
VENUES = "A venue knows no other venue"
AIOHTTP = "aiohttp stays in the rooms that own sockets"
SQLITE = "sqlite3 stays in persistence"
TYPER = "typer stays in cli"
SETTINGS = "pydantic and ruamel.yaml stay in config and in the venues' own settings and wire models"

# Importing module, imported module, and the contract that says no. One module may be planted with several imports.
PLANTED = [
    # upward
    ("domain.planted", "risk_manager.engine.planted", ROOMS),
    ("rules.planted", "risk_manager.enforcement.planted", ROOMS),
    ("exits.planted", "risk_manager.rules.planted", ROOMS),
    ("engine.planted", "risk_manager.ports.clock", ROOMS),
    ("ports.planted", "risk_manager.rulebook.planted", ROOMS),
    ("web.planted", "risk_manager.runtime.planted", ROOMS),
    ("venues.projectx.planted", "risk_manager.simulator.planted", ROOMS),
    ("runtime.planted", "risk_manager.testing.planted", ROOMS),
    ("config.planted", "risk_manager.cli.planted", ROOMS),
    # sideways
    ("persistence.planted", "risk_manager.web.planted", ROOMS),
    ("alerts.planted", "risk_manager.advisor.planted", ROOMS),
    ("exits.planted", "risk_manager.analytics.planted", ROOMS),
    ("replay.planted", "risk_manager.backtest.planted", ROOMS),
    ("testing.planted", "risk_manager.cli.planted", ROOMS),
    # a room with its own rules of residence
    ("rules.planted", "risk_manager.rules.planted_too", RULES),
    ("venues.planted.venue", "risk_manager.venues.projectx.planted", VENUES),
    # the world outside the core
    ("domain.planted", "decimal", CORE),
    ("rules.planted", "time", CORE),
    ("exits.planted", "random", CORE),
    ("analytics.planted", "os", CORE),
    ("enforcement.planted", "logging", CORE),
    ("enforcement.planted", "uuid", CORE),
    ("engine.planted", "asyncio", CORE),
    ("engine.planted", "aiohttp", CORE),
    ("engine.planted", "pathlib", CORE),
    ("engine.planted", "pydantic", CORE),
    ("engine.planted", "socket", CORE),
    ("engine.planted", "sqlite3", CORE),
    ("engine.planted", "threading", CORE),
    # libraries away from home
    ("persistence.planted", "aiohttp", AIOHTTP),
    ("simulator.planted", "aiohttp", AIOHTTP),
    ("runtime.planted", "sqlite3", SQLITE),
    ("web.planted", "typer", TYPER),
    ("runtime.planted", "pydantic", SETTINGS),
    ("venues.projectx.planted", "ruamel.yaml", SETTINGS),
]

# The same libraries at home: these must not be reported.
AT_HOME = [
    ("venues.projectx.planted", "aiohttp"),
    ("web.planted", "aiohttp"),
    ("simulator.server.planted", "aiohttp"),
    ("persistence.planted", "sqlite3"),
    ("cli.planted", "typer"),
    ("config.planted", "pydantic"),
    ("config.planted", "ruamel.yaml"),
    ("rules.planted", "risk_manager.exits.stop_loss"),
    ("rules.planted", "risk_manager.rules._base"),
    ("rules.planted", "risk_manager.rules._options.planted"),
]


def test_keeps_every_contract(tmp_path: Path) -> None:
    assert House.copied_to(tmp_path).broken_contracts() == {}


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What lint-imports says when everything above is planted at once, by contract."""
    house = House.copied_to(tmp_path_factory.mktemp("house"))
    imports: dict[str, list[str]] = {"rules.planted_too": []}
    for importer, imported in [*((a, b) for a, b, _ in PLANTED), *AT_HOME]:
        imports.setdefault(importer, []).append(imported)
        if imported.endswith(".planted"):
            imports.setdefault(imported.removeprefix("risk_manager."), [])
    for module, names in imports.items():
        house.plant(module.replace(".", "/") + ".py", "".join(f"import {name}\n" for name in names))
    house.plant("unplaced/planted.py", "")
    return house.broken_contracts()


@pytest.mark.parametrize(("importer", "imported", "contract"), PLANTED)
def test_reports_the_planted_import(reports: dict[str, str], importer: str, imported: str, contract: str) -> None:
    # Of an outside library the linter knows the first name only.
    target = imported if imported.startswith("risk_manager.") else imported.partition(".")[0]
    assert f"risk_manager.{importer} -> {target} (l." in reports[contract]


@pytest.mark.parametrize(("importer", "imported"), AT_HOME)
def test_allows_a_library_at_home(reports: dict[str, str], importer: str, imported: str) -> None:
    target = imported if imported.startswith("risk_manager.") else imported.partition(".")[0]
    assert f"risk_manager.{importer} -> {target} (l." not in "".join(reports.values())


def test_reports_a_room_without_a_place(reports: dict[str, str]) -> None:
    assert "unplaced" in reports[ROOMS]
