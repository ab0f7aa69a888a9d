"""A start on files with faults takes the last configuration that had none, exactly as it was."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from risk_manager.config import ConfigInvalid, load_config
from risk_manager.runtime.accepted import FILE_NAME, _keep, load_and_keep, load_or_last
from tests.config.files import ACCOUNTS, ENVIRONMENT, RISK, write

EXAMPLE = Path(__file__).parents[2] / "examples" / "no_adding_to_losers.py"
OWN = "custom_rules: [own/mine.py]\nrules:\n  no_adding_to_losers: {from_loss: 50}\n  max_contracts: {limit: 5}\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration with a rule of the user's own, accepted once."""
    folder = tmp_path / "config"
    (folder / "state").mkdir(parents=True)
    (folder / "own").mkdir()
    shutil.copyfile(EXAMPLE, folder / "own" / "mine.py")
    write(folder, risk=OWN)
    load_and_keep(folder, ENVIRONMENT)
    return folder


def changed(name: str, old: str, new: str) -> Callable[[Path], object]:
    def apply(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return apply


@pytest.mark.parametrize(
    "harm",
    [
        changed("risk_config.yaml", "limit: 5", "limit: 0"),
        changed("risk_config.yaml", "from_loss", "form_loss"),
        changed("risk_config.yaml", "rules:", "rules: ["),
        changed("risk_config.yaml", "own/mine.py", "own/yours.py"),
        changed("own/mine.py", "class", "class class"),
        changed("accounts.yaml", "id: 123", "id: abc"),
        changed("accounts.yaml", "venue:", "venue: }"),
        lambda folder: (folder / "risk_config.yaml").unlink(),
        lambda folder: (folder / "risk_config.yaml").write_bytes(b"\xff\xfe"),
        lambda folder: (folder / "own/mine.py").unlink(),
    ],
)
def test_a_fault_brings_the_last_accepted_one_back(directory: Path, harm: Callable[[Path], object]) -> None:
    before = load_config(directory, ENVIRONMENT)
    harm(directory)
    config, invalid = load_or_last(directory, ENVIRONMENT)
    assert invalid is not None
    assert len(invalid.faults) >= 1
    assert (config.revision, config.data_dir) == (before.revision, directory / "state")
    assert config.accounts == before.accounts
    # Reading it has not made it what is written, and it can be done again.
    assert load_or_last(directory, ENVIRONMENT)[0].revision == before.revision


def test_what_is_written_and_sound_comes_first(directory: Path) -> None:
    changed("risk_config.yaml", "limit: 5", "limit: 4")(directory)
    config, invalid = load_or_last(directory, ENVIRONMENT)
    assert invalid is None
    assert config.revision == load_config(directory, ENVIRONMENT).revision
    # Looking is not accepting.
    changed("risk_config.yaml", "limit: 4", "limit: 0")(directory)
    assert "limit 5" in _limits(directory)


def _limits(directory: Path) -> list[str]:
    config, _ = load_or_last(directory, ENVIRONMENT)
    return [f"limit {getattr(rule, 'limit', None)}" for rule in config.accounts[0].rules]


def test_the_newest_accepted_one_counts(directory: Path) -> None:
    changed("risk_config.yaml", "limit: 5", "limit: 4")(directory)
    load_and_keep(directory, ENVIRONMENT)
    changed("risk_config.yaml", "limit: 4", "limit: 0")(directory)
    with pytest.raises(ConfigInvalid):
        load_and_keep(directory, ENVIRONMENT)
    assert "limit 4" in _limits(directory)


@pytest.mark.parametrize("where", ["default", "service"])
def test_is_found_where_accounts_yaml_is_gone(tmp_path: Path, where: str) -> None:
    folder, data = tmp_path / "config", tmp_path / "data"
    folder.mkdir()
    data.mkdir()
    write(folder, accounts=ACCOUNTS.replace("data_dir: state\n", ""))
    revision = load_and_keep(folder, ENVIRONMENT).revision
    environ = dict(ENVIRONMENT)
    if where == "service":
        environ["STATE_DIRECTORY"] = str(data.rename(tmp_path / "elsewhere"))
    (folder / "accounts.yaml").unlink()
    config, invalid = load_or_last(folder, environ)
    assert invalid is not None
    assert config.revision == revision


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: (data / FILE_NAME).unlink(),
        lambda data: (data / FILE_NAME).write_bytes(b"torn"),
        lambda data: (data / FILE_NAME).write_bytes((data / FILE_NAME).read_bytes().replace(b"config", b"others")),
    ],
    ids=["gone", "torn", "of another directory"],
)
def test_says_what_is_wrong_where_nothing_can_take_its_place(directory: Path, harm: Callable[[Path], object]) -> None:
    harm(directory / "state")
    changed("risk_config.yaml", "limit: 5", "limit: 0")(directory)
    with capture_logs(), pytest.raises(ConfigInvalid, match="must be above 0"):
        load_or_last(directory, ENVIRONMENT)


def test_holds_no_credentials(directory: Path) -> None:
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in ENVIRONMENT.items()), "utf-8")
    load_and_keep(directory, {})
    assert ENVIRONMENT["PROJECT_X_API_KEY"].encode() not in (directory / "state" / FILE_NAME).read_bytes()
    (directory / ".env").unlink()
    with capture_logs(), pytest.raises(ConfigInvalid, match="PROJECT_X_API_KEY"):
        load_or_last(directory, {})


@pytest.mark.parametrize("limit", [9, 0])
def test_keeps_only_what_leads_to_what_was_accepted(directory: Path, limit: int) -> None:
    """The files may be written again between reading and keeping them."""
    config = load_config(directory, ENVIRONMENT)
    changed("risk_config.yaml", "limit: 5", f"limit: {limit}")(directory)
    before = (directory / "state" / FILE_NAME).read_bytes()
    _keep(config, directory, ENVIRONMENT)
    assert (directory / "state" / FILE_NAME).read_bytes() == before


def test_a_disk_that_refuses_costs_only_that(tmp_path: Path) -> None:
    write(tmp_path, risk=RISK)
    (tmp_path / "state").write_text("a file is in the way")
    with capture_logs() as said:
        assert load_and_keep(tmp_path, ENVIRONMENT).revision
    assert [line["event"] for line in said] == ["accepted configuration not kept"]
