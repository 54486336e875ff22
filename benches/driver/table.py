"""The table."""

import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HEADER = ("", "ours", "peer", "compared", "target", "met")


@dataclass
class Row:
    """One thing that was measured. What has no target is there to compare with."""

    group: str
    what: str
    ours: str = ""
    peer: str = ""
    compared: str = ""
    target: str = ""
    met: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """The row for programs."""
        return asdict(self)

    def cells(self) -> tuple[str, ...]:
        """The row for people."""
        met = {None: "", True: "yes", False: "NO"}[self.met]
        return (self.what, self.ours, self.peer, self.compared, self.target, met)


def show(rows: list[Row]) -> str:
    """The rows under each other, by group."""
    measured = [row.cells() for row in rows if row.ours] + [HEADER]
    widths = [max(len(cells[column]) for cells in measured) for column in range(len(HEADER))]

    def line(cells: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    lines = [line(HEADER), "-" * len(line(tuple("-" * width for width in widths)))]
    group = ""
    for row in rows:
        if group not in ("", row.group):
            lines.append("")
        group = row.group
        lines.append(line(row.cells()) if row.ours else f"{row.group}: {row.what}")
    met = [row.met for row in rows if row.met is not None]
    lines += ["", f"{sum(met)} of {len(met)} targets met"]
    return "\n".join(lines)


def describe_machine() -> str:
    """What the figures depend on."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    load = " ".join(f"{part:.1f}" for part in os.getloadavg())
    return f"{processor()}, {cores} cores, {platform.system()} {platform.release()}; load {load}"


def processor() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
