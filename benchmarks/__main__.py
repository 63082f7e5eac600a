"""Runs the benchmarks one after the other: ``python -m benchmarks [registry sweep …]``, all by default."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Each in a process of its own, so that none warms up another. Returns the worst exit code."""
    known = {
        path.stem.removeprefix("bench_"): path for path in sorted(Path(__file__).parent.glob("bench_*.py"))
    }
    wanted = sys.argv[1:] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        sys.stderr.write(f"There is no benchmark {', '.join(unknown)}. Choose from {', '.join(known)}.\n")
        return 2
    worst = 0
    for name in wanted:
        sys.stdout.write(f"\n== {name}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", f"benchmarks.{known[name].stem}"]
        worst = max(worst, abs(subprocess.run(command, check=False).returncode))
    return worst


if __name__ == "__main__":
    sys.exit(main())
