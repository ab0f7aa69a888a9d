"""`risk-manager probe`, as a process against the simulated gateway."""

from pathlib import Path

from tests.config.files import write
from tests.e2e.processes import Guarded, call, simulator

RULES = "  max_contracts: {limit: 5}\n"


def test_writes_a_report_and_fixtures_that_name_nobody(tmp_path: Path) -> None:
    config, out = tmp_path / "config", tmp_path / "found"
    config.mkdir()
    with simulator("--accounts", "1") as sim:
        Guarded(sim, config, RULES)
        done = call("probe", "--config", str(config), "--out", str(out), "--seconds", "6")

    assert (done.returncode, done.stderr) == (0, "")
    assert "logging in" in done.stdout
    # The venue is given time for events after each subscription: so few seconds are not enough for all.
    assert " 3 open Which handshake versions are accepted?" in done.stdout
    assert "It ended early: not everything was asked within 6 s" in done.stdout
    assert str(out / "report.md") in done.stdout
    assert out.stat().st_mode & 0o077 == 0
    assert (out / "report.md").read_text().startswith("# First contact\n")
    assert len(list((out / "replies").iterdir())) == 6
    assert len(list((out / "frames").iterdir())) == 2
    secrets = [*sim.credentials.values(), *sim.accounts, *map(str, sim.account_ids)]
    for path in (path for path in out.rglob("*") if path.is_file()):
        text = path.read_text()
        # The simulator's user is called demo, which is also a word.
        assert [secret for secret in secrets if secret != "demo" and secret in text] == [], path


def test_ends_with_1_where_it_cannot_log_in(tmp_path: Path) -> None:
    config, out = tmp_path / "config", tmp_path / "found"
    config.mkdir()
    with simulator("--accounts", "1") as sim:
        Guarded(sim, config, RULES)
        wrong = {"PROJECT_X_API_KEY": "another key"}
        done = call("probe", "--config", str(config), "--out", str(out), "--seconds", "6", environ=wrong)

    assert (done.returncode, done.stderr) == (1, "")
    assert "It ended early: login failed: invalid credentials (code 3)" in done.stdout
    assert "another key" not in done.stdout + (out / "report.md").read_text()


def test_refuses_before_it_asks_anything(tmp_path: Path) -> None:
    out = tmp_path / "found"
    write(tmp_path, risk="rules: {max_contracts: {limmit: 5}}\n")
    broken = call("probe", "--config", str(tmp_path), "--out", str(out))
    assert broken.returncode == 2
    assert "limmit" in broken.stderr
    assert not out.exists()

    write(tmp_path)
    credentials = {"PROJECT_X_USERNAME": "nobody", "PROJECT_X_API_KEY": "nothing"}
    out.mkdir()
    (out / "report.md").write_text("of another day")
    taken = call("probe", "--config", str(tmp_path), "--out", str(out), environ=credentials)
    assert (taken.returncode, taken.stdout) == (2, "")
    assert taken.stderr == f"probe: --out {out} is not empty; name a new directory\n"
    file = call("probe", "--config", str(tmp_path), "--out", str(out / "report.md"), environ=credentials)
    assert file.returncode == 2
    assert file.stderr.startswith(f"probe: --out {out / 'report.md'}: ")
