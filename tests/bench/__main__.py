"""`python -m tests.bench [name ...]`: runs the benches, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    known = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    asked = sys.argv[1:] or list(known)
    unknown = [name for name in asked if name not in known]
    if unknown:
        print(f"no bench is called {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    failed = 0
    for name in asked:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"tests.bench.bench_{name}"]
        failed |= subprocess.run(command, cwd=HERE.parents[1], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
