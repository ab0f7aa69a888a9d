from pathlib import Path

import pytest

from risk_manager.persistence.start_log import FILE_NAME, StartLog
from tests.persistence.disk_limits import no_writes_past

S = 1_000_000_000
NOW_NS = 1_772_409_600 * S


@pytest.mark.parametrize(
    ("ages_s", "counted"),
    [((), 0), ((1, 2, 3), 3), ((60, 60), 2), ((61, 60, 5), 2), ((-5, -60, -61), 2)],
)
def test_counts_the_starts_of_the_last_minute_that_had_no_proper_end(
    ages_s: tuple[int, ...], counted: int, tmp_path: Path
) -> None:
    for age_s in ages_s:
        StartLog(tmp_path).begin(NOW_NS - age_s * S)
    assert StartLog(tmp_path).begin(NOW_NS) == counted


def test_forgets_them_after_a_proper_end(tmp_path: Path) -> None:
    for _ in range(3):
        StartLog(tmp_path).begin(NOW_NS)
    StartLog(tmp_path).end()
    assert StartLog(tmp_path).begin(NOW_NS) == 0


def test_takes_back_only_the_last(tmp_path: Path) -> None:
    for _ in range(3):
        StartLog(tmp_path).begin(NOW_NS)
    StartLog(tmp_path).withdraw()
    assert StartLog(tmp_path).begin(NOW_NS) == 2


def test_stays_small(tmp_path: Path) -> None:
    for _ in range(200):
        StartLog(tmp_path).begin(NOW_NS)
    assert (tmp_path / FILE_NAME).stat().st_size < 1000


@pytest.mark.parametrize("content", [b"", b"[1, 2", b'{"a": 1}', b'["x"]', b"\xff"])
def test_begins_anew_with_a_file_it_cannot_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert StartLog(tmp_path).begin(NOW_NS) == 0
    assert StartLog(tmp_path).begin(NOW_NS) == 1


def test_does_without_a_disk(tmp_path: Path) -> None:
    StartLog(tmp_path).begin(NOW_NS)
    with no_writes_past(0):
        assert StartLog(tmp_path).begin(NOW_NS) == 1
        StartLog(tmp_path).end()
    assert StartLog(tmp_path).begin(NOW_NS) == 1
    assert StartLog(tmp_path / "nowhere").begin(NOW_NS) == 0
