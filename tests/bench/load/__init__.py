"""Finds what makes the load: C, compiled on first use, or Python where there is no compiler."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BUILT = ROOT / "bench-results" / "built"

# What the load does beyond the seconds it is asked for: connecting, and waiting for stragglers.
SPARE_S = 30.0


@dataclass(frozen=True)
class Load:
    """A program that publishes and reads; see load.c for its arguments.

    Attributes:
        name: What a table says of it.
        command: Its command line, without arguments.
    """

    name: str
    command: tuple[str, ...]

    def run(self, *arguments: object) -> dict[str, float]:
        """Runs it. Returns what it says."""
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
            check=True,
            timeout=float(str(arguments[-1])) + SPARE_S,
        )
        said: dict[str, float] = json.loads(done.stdout)
        return said


def find_load() -> Load:
    """The fastest there is on this machine."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return Load("Python processes", (sys.executable, "-m", "tests.bench.load.python_load"))
    source = HERE / "load.c"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    program = BUILT / f"load-{digest}"
    if not program.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-O2", "-pthread", "-o", str(program), str(source)], check=True)
    return Load("C", (str(program),))
