"""How a bench says what it measured: a table to read, and JSON to keep."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[2] / "bench-results"

Row = Mapping[str, object]


def report(name: str, title: str, rows: Sequence[Row]) -> None:
    """Prints the rows, whose keys are the columns, and writes them to bench-results/NAME.json."""
    table = Table()
    for column in rows[0]:
        table.add_column(column, justify="left" if column == next(iter(rows[0])) else "right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    console = Console(width=120)
    console.print(f"\n{title}", style="bold")
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    document = {
        "name": name,
        "title": title,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": f"{platform.system()} {platform.machine()} Python {platform.python_version()}",
        "rows": list(rows),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie; not a number when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _shown(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
