"""The command line of `benches/run`."""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from driver import build, rows
from driver.measure import Bench, Failed
from driver.table import Row, describe_machine, show


def main() -> int:
    """Measures what was asked for. The exit status tells whether all of it ran, not whether a target was met."""
    arguments = parse()
    try:
        bench = prepare(arguments)
    except Failed as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failures = 0
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as folder:
        bench.folder = Path(folder)
        for name, measure in rows.GROUPS.items():
            if arguments.only and name not in arguments.only:
                continue
            begun = time.monotonic()
            print(f"==> {name}", file=sys.stderr, flush=True)
            try:
                found += measure(bench)
            except Failed as error:
                failures += 1
                found.append(Row(name, f"not measured: {error}"))
            print(f"    {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(f"{describe_machine()}; profile {build.PROFILE}")
    print(show(found))
    if arguments.json:
        arguments.json.write_text(json.dumps([row.as_json() for row in found], indent=1) + "\n")
    return 1 if failures else 0


def parse() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(prog="benches/run", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(rows.GROUPS), help="only this group of rows; may repeat"
    )
    parser.add_argument("--quick", action="store_true", help="a third of the rounds")
    parser.add_argument(
        "--repeats", type=at_least_once, metavar="N", help="`trips` says each sentence N times in each noise"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there too")
    parser.add_argument("--no-package", action="store_true", help="measure the packages that are installed already")
    parser.add_argument("--greenroom", type=Path, metavar="PROGRAM", help="instead of dist/greenroom")
    parser.add_argument("--python", type=Path, metavar="PROGRAM", help="with greenroom and livekit-agents installed")
    parser.add_argument(
        "--node-folder", type=Path, metavar="FOLDER", help="with greenroom and @livekit/agents installed"
    )
    return parser.parse_args()


def at_least_once(text: str) -> int:
    """A count from the command line."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no count; give 1 or more")
    return int(text)


def prepare(arguments: argparse.Namespace) -> Bench:
    """Builds and finds what is measured."""
    given = arguments.greenroom, arguments.python, arguments.node_folder
    if not arguments.no_package and not any(given):
        build.packages()
    programs = build.rust()
    node = shutil.which("node")
    if node is None:
        raise Failed("there is no node on PATH; install Node.js 20 or newer")
    return Bench(
        rust=programs["greenroom-benches"],
        peer=programs["greenroom-test-peer"],
        greenroom=(arguments.greenroom or build.DIST / "greenroom").absolute(),
        # Not resolved: an environment's interpreter knows its environment by its path.
        python=(arguments.python or build.SUITES_PYTHON).absolute(),
        node=Path(node),
        node_folder=(arguments.node_folder or build.SUITES_NODE).absolute(),
        rounds_divisor=3 if arguments.quick else 1,
        repeats=arguments.repeats,
    )
