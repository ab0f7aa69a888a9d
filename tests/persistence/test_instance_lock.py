import shutil
import subprocess
from pathlib import Path

import pytest

from risk_manager.persistence.instance_lock import LOCK_NAME, DirectoryInUse, InstanceLock, looking
from tests.persistence.disk_limits import no_writes_past


def test_is_held_on_a_full_disk_too(tmp_path: Path) -> None:
    with no_writes_past(0):
        lock = InstanceLock.acquire(tmp_path, wait_s=0)
        with pytest.raises(DirectoryInUse, match="another risk-manager is running on this data directory: "):
            InstanceLock.acquire(tmp_path, wait_s=0)
    lock.release()


def test_is_held_on_a_file_that_cannot_be_written_any_more(tmp_path: Path) -> None:
    # A program that runs is a file not even root may write.
    shutil.copy(shutil.which("sleep") or "", tmp_path / LOCK_NAME)
    with subprocess.Popen([str(tmp_path / LOCK_NAME), "60"]) as running:
        with pytest.raises(OSError, match="busy"):
            (tmp_path / LOCK_NAME).open("r+b")
        lock = InstanceLock.acquire(tmp_path, wait_s=0)
        with pytest.raises(DirectoryInUse):
            InstanceLock.acquire(tmp_path, wait_s=0)
        lock.release()
        InstanceLock.acquire(tmp_path, wait_s=0).release()
        running.kill()


def test_a_directory_that_is_not_there_is_no_directory_to_hold(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        InstanceLock.acquire(tmp_path / "nowhere", wait_s=0)


def test_a_look_leaves_no_trace_and_tells_who_is_there(tmp_path: Path) -> None:
    with looking(tmp_path, wait_s=0) as holder:
        assert holder is None
    assert list(tmp_path.iterdir()) == []
    lock = InstanceLock.acquire(tmp_path, wait_s=0)
    with looking(tmp_path, wait_s=0) as holder:
        assert holder is not None
        assert holder.startswith("another risk-manager is running on this data directory")
    lock.release()
    with looking(tmp_path, wait_s=0) as holder:
        assert holder is None
        with pytest.raises(DirectoryInUse):
            InstanceLock.acquire(tmp_path, wait_s=0)
    InstanceLock.acquire(tmp_path, wait_s=0).release()
