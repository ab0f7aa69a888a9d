import copy
import pickle
from pathlib import Path

import pytest

from risk_manager.config.credentials import Credentials, Secret, read_credentials
from risk_manager.config.faults import Fault

_BOTH = "PROJECT_X_USERNAME=me\nPROJECT_X_API_KEY=abc\n"


def _read(directory: Path, environ: dict[str, str] | None = None) -> tuple[Credentials | None, list[str]]:
    faults: list[Fault] = []
    found = read_credentials(directory, environ or {}, faults)
    return found, [str(fault) for fault in faults]


@pytest.mark.parametrize(
    "content",
    [
        _BOTH,
        "# a comment\n\n  PROJECT_X_USERNAME = me \nPROJECT_X_API_KEY='abc'\nOTHER=1\n",
        'PROJECT_X_API_KEY="abc"\r\nPROJECT_X_USERNAME=me\r\n',
        "\ufeffPROJECT_X_USERNAME=me\nPROJECT_X_API_KEY=abc",
    ],
)
def test_reads_the_file_beside_the_configuration(tmp_path: Path, content: str) -> None:
    (tmp_path / ".env").write_text(content, encoding="utf-8", newline="")
    assert _read(tmp_path) == (Credentials("me", Secret("abc")), [])


def test_keeps_equals_signs_and_inner_quotes_in_a_value(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PROJECT_X_USERNAME=me\nPROJECT_X_API_KEY=a=b'c==\n")
    found, _ = _read(tmp_path)
    assert found is not None
    assert found.api_key.reveal() == "a=b'c=="


def test_prefers_the_environment_then_the_nearer_file(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / ".env").write_text(_BOTH)
    assert _read(tmp_path / "config")[0] == Credentials("me", Secret("abc"))
    (tmp_path / "config" / ".env").write_text("PROJECT_X_API_KEY=nearer\n")
    assert _read(tmp_path / "config")[0] == Credentials("me", Secret("nearer"))
    environ = {"PROJECT_X_USERNAME": "you", "PROJECT_X_API_KEY": " "}
    assert _read(tmp_path / "config", environ)[0] == Credentials("you", Secret("nearer"))


def test_names_both_when_they_are_missing(tmp_path: Path) -> None:
    found, faults = _read(tmp_path)
    assert found is None
    assert faults == [
        "environment: PROJECT_X_USERNAME and PROJECT_X_API_KEY are not set; set PROJECT_X_USERNAME and "
        f"PROJECT_X_API_KEY there, or in a file .env in {tmp_path} or its parent"
    ]
    (tmp_path / ".env").write_text("PROJECT_X_USERNAME=me\nPROJECT_X_API_KEY=\n")
    assert _read(tmp_path)[1][0].startswith("environment: PROJECT_X_API_KEY is not set; set PROJECT_X_USERNAME and")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PROJECT_X_API_KEY abc\n", ".env, line 1, column 1: is not a line of the form NAME=value"),
        (_BOTH.encode() + b"export A=1\n", ".env, line 3, column 1: is not a line of the form NAME=value"),
        (_BOTH.encode() + b"PROJECT_X_API_KEY=two\n", ".env, line 3, column 1, PROJECT_X_API_KEY: is set twice"),
        (b"\xff\xfe", "is not UTF-8 text; save the file as UTF-8"),
        (
            b"PROJECT_X_USERNAME=me\nPROJECT_X_API_KEY=${KEY}\n",
            "PROJECT_X_API_KEY holds control characters or a variable",
        ),
    ],
)
def test_refuses_a_file_it_cannot_be_sure_of(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    faults = _read(tmp_path)[1]
    assert message in faults[0]
    assert "abc" not in "".join(faults)


def test_never_shows_a_secret() -> None:
    secret = Secret("abc")
    assert "abc" not in f"{secret} {secret!r} {Credentials('me', secret)} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    assert secret == Secret("abc") != Secret("abd")
