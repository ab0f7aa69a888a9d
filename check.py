"""Every check of the project, the same here and in CI: `uv run check.py [step ...] [--fix]`.

Without a step all of them run, in the order below, and a failing one does not hide the next.
Ends with a summary; the exit code is 0 when every step passed, 1 when one failed, 2 for an unknown step.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
STEPS = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy"],
    "imports": ["lint-imports"],
    "docs": ["pytest", "-q", "tests/architecture/test_documents.py"],
    "tests": ["pytest"],
}
FIXES = {
    "format": ["ruff", "format", "."],
    "lint": ["ruff", "check", "--fix", "."],
}


def main() -> int:
    """Run the chosen steps and return the exit code."""
    arguments = _parse()
    commands = STEPS | FIXES if arguments.fix else STEPS
    results = {step: _run(step, commands[step]) for step in arguments.steps or STEPS}
    print("\nsummary")
    for step, (passed, seconds) in results.items():
        print(f"  {step:8} {'ok' if passed else 'FAILED':8} {seconds:6.1f} s")
    return 0 if all(passed for passed, _ in results.values()) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="step", help=f"any of: {' '.join(STEPS)} (default: all)")
    parser.add_argument("--fix", action="store_true", help="let format and lint repair what they can")
    arguments = parser.parse_args()
    if unknown := [step for step in arguments.steps if step not in STEPS]:
        parser.error(f"unknown step: {' '.join(unknown)}; the steps are: {' '.join(STEPS)}")
    return arguments


def _run(step: str, command: list[str]) -> tuple[bool, float]:
    """Whether the step passed, and how many seconds it took."""
    print(f"\n== {step}: {' '.join(command)}", flush=True)
    began = time.monotonic()
    passed = subprocess.run([_tool(command[0]), *command[1:]], cwd=ROOT, check=False).returncode == 0
    return passed, time.monotonic() - began


def _tool(name: str) -> str:
    """The tool beside this interpreter, so that the lock file decides its version and not the PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        sys.exit(f"{name} is not installed here; start this as: uv run check.py")
    return found


if __name__ == "__main__":
    sys.exit(main())
