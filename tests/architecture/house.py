"""A copy of the source tree to plant violations in, and the two linters run over it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCE = PROJECT / "src" / "risk_manager"
CORE = ("domain", "rules", "exits", "analytics", "enforcement", "engine")


@dataclass(frozen=True)
class House:
    """A copy of the project's source and settings; `root` is its folder."""

    root: Path

    @classmethod
    def copied_to(cls, root: Path) -> "House":
        shutil.copytree(PROJECT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "pyproject.toml", root / "pyproject.toml")
        return cls(root)

    def plant(self, module: str, text: str) -> None:
        """Write a module (`rules/planted.py`) into the copy, with its folder if that is new."""
        path = self.root / "src" / "risk_manager" / module
        if not path.parent.exists():
            path.parent.mkdir(parents=True)
            (path.parent / "__init__.py").touch()
        path.write_text(text)

    def broken_contracts(self) -> dict[str, str]:
        """What lint-imports says about each broken contract of the copy, by contract name; empty if all are kept."""
        # PYTHONPATH comes before the installed package, so the copy is what is read.
        settings = {"PYTHONPATH": str(self.root / "src"), "COLUMNS": "400", "NO_COLOR": "1"}
        code, text = self._run(["lint-imports", "--no-cache"], settings)
        details = text.partition("Broken contracts\n")[2]
        broken = _sections(details)
        assert code == (1 if broken else 0), text
        return broken

    def banned_calls(self) -> set[tuple[str, str]]:
        """The uses of banned functions ruff finds in the copy, as (`room/module.py`, function)."""
        code, text = self._run(
            ["ruff", "check", "--no-cache", "--select", "TID251", "--output-format", "concise", "src"]
        )
        found = {_banned_call(line) for line in text.splitlines() if ": TID251 " in line}
        assert code == (1 if found else 0), text
        return found

    def _run(self, command: list[str], settings: dict[str, str] | None = None) -> tuple[int, str]:
        tool = shutil.which(command[0], path=str(Path(sys.executable).parent))
        assert tool is not None, f"{command[0]} is not installed beside {sys.executable}"
        done = subprocess.run(
            [tool, *command[1:]],
            cwd=self.root,
            env=os.environ | (settings or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def _sections(text: str) -> dict[str, str]:
    """Text below each heading; a heading is a line underlined with dashes."""
    lines = text.splitlines()
    headings = [n for n, line in enumerate(lines[1:]) if line and set(line) == {"-"}]
    ends = [*headings[1:], len(lines)]
    return {lines[start]: "\n".join(lines[start + 2 : end]) for start, end in zip(headings, ends, strict=False)}


def _banned_call(line: str) -> tuple[str, str]:
    """`src/risk_manager/web/x.py:1:2: TID251 `time.time` is banned: …` as (`web/x.py`, `time.time`)."""
    place, _, message = line.partition(": TID251 ")
    module = place.split(":")[0].replace("\\", "/").removeprefix("src/risk_manager/")
    return module, message.split("`")[1]
