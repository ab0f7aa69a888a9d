"""The log of a running guard."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from risk_manager.runtime.log import configure_log
from tests.persistence.disk_limits import no_writes_past


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_says_what_happened_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log()
    structlog.get_logger("guard").critical("journal unavailable", account="practice")
    assert "[critical ] journal unavailable" in capsys.readouterr().err


def test_a_disk_that_refuses_the_log_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard logs in the middle of an enforcement."""
    with (tmp_path / "log").open("w", buffering=1) as file:
        monkeypatch.setattr(sys, "stderr", file)
        configure_log()
        with no_writes_past(0):
            for _ in range(3):
                structlog.get_logger("guard").critical("journal unavailable")
        structlog.get_logger("guard").critical("journal complete again")
    assert "journal complete again" in (tmp_path / "log").read_text()
