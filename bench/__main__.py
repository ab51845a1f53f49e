"""Every benchmark that needs nothing but this checkout, one after the other, and their figures in one table: `make bench`.

Owns the order, the files under docs/reports and the summary. Each benchmark is a program of its own and can be run alone.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

REPORTS: Final = Path("docs/reports")
LIMIT: Final = 3_600.0
"""Seconds that one benchmark may take."""

Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark."""

    name: str
    arguments: tuple[str, ...]
    shown: Callable[[Report], Iterator[tuple[str, str]]]
    """What the summary says of its report: figure and value."""
    takes_peer: bool = False
    needs: str | None = None
    """A program that must be installed."""


def _load(found: Report) -> Iterator[tuple[str, str]]:
    for row in found["figures"]:
        if row["server"] == "memdeck":
            clients = f"{row['clients']} client(s)" if row["clients"] else "open loop"
            cpu = (row["server_cpu"] or 0) + (row["database_cpu"] or 0)
            times = f"p50 {row['p50']:.1f}, p95 {row['p95']:.1f}, p99 {row['p99']:.1f} ms, CPU {cpu:.2f} ms"
            yield f"{row['operation']}, {clients}", f"{row['rate']:,.0f}/s, {times}"
    for one in found["ratios"]:
        yield (
            f"{one['operation']}, {one['clients']} client(s), against the peer",
            f"{one['median']:.1f} times its rate",
        )
    if found["backfilled"]:
        yield "vectors of the embedder, adds included", f"{found['backfilled']:,.0f}/s"
    ready = found["readiness"]
    yield "ready, new home / later", f"{ready['first_start']:.2f} / {ready['later_start']:.2f} s"
    yield "resident, without the database", f"{found['resident_mb']['memdeck']:.0f} MB"


def _share(limit: str) -> Callable[[Report], Iterator[tuple[str, str]]]:
    def shown(found: Report) -> Iterator[tuple[str, str]]:
        rates = f"{found['memdeck_per_second']:,} of {found['bare_per_second']:,}/s"
        yield limit, f"{found['share']:.0%} ({rates})"

    return shown


def _scenarios(found: Report) -> Iterator[tuple[str, str]]:
    for name, label in (("alone", "own user"), ("together", "all for one")):
        if name in found:
            one = found[name]
            yield f"context recall, {label}", f"{one['context_recall']:.1%}, coverage {one['coverage']:.2f}"


def _scale(found: Report) -> Iterator[tuple[str, str]]:
    for name, one in found.items():
        if one["recall_dense"] is not None:
            yield (
                f"recall@10 of {name}, dense / fused",
                f"{one['recall_dense']:.3f} / {one['recall_fused']:.3f}",
            )
            yield f"bare loop over the arms of {name}", f"{one['bare_rate']:,.0f}/s"
        for row in one["searches"]:
            times = f"p50 {row['p50']:.1f}, p95 {row['p95']:.1f}, p99 {row['p99']:.1f} ms"
            yield f"{row['name']}, {name}", f"{row['rate']:,.0f}/s, {times}"


PARTS: Final = (
    Part("load", ("bench.load", "--start"), _load, takes_peer=True),
    Part("load-1536", ("bench.load", "--start", "--embedder"), _load, takes_peer=True),
    Part("cached", ("bench.cached",), _share("repeated search, of a bare aiohttp handler"), needs="wrk"),
    Part("bare", ("bench.bare",), _share("unique search, of a bare loop over the same arms")),
    Part("scenarios", ("bench.scenarios", "--start", "--report"), _scenarios),
    Part("scale", ("bench.scale", "--memories", "100000"), _scale),
)


def main() -> int:
    """Command line."""
    names = [part.name for part in PARTS]
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    options.add_argument(
        "--only", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names)
    )
    options.add_argument(
        "--peer", metavar="URL", help="a second server of the self-hosted dialect, measured in turns"
    )
    options.add_argument("--peer-pid", metavar="PID", help="its process, for CPU and memory")
    given = options.parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=150)  # a pipe has no width of its own
    REPORTS.mkdir(parents=True, exist_ok=True)
    failed = [part.name for part in PARTS if part.name in given.only and not _run(part, given, console)]
    _summary([part for part in PARTS if part.name in given.only and part.name not in failed], console)
    if failed:
        console.print(f"failed: {', '.join(failed)}", style="bold red")
    return 1 if failed else 0


def _run(part: Part, given: argparse.Namespace, console: Console) -> bool:
    console.rule(part.name, align="left")
    if part.needs and shutil.which(part.needs) is None:
        console.print(f"left out: {part.needs} is not installed (a package of that name)", style="yellow")
        return False
    command = [sys.executable, "-m", *part.arguments]
    if part.name != "scenarios":
        command += ["--json", str(_report_of(part))]
    if part.takes_peer and given.peer:
        command += ["--peer", given.peer, *(["--peer-pid", given.peer_pid] if given.peer_pid else [])]
    return subprocess.run(command, check=False, timeout=LIMIT).returncode == 0


def _summary(parts: list[Part], console: Console) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("BENCHMARK", "FIGURE", "HERE"):
        table.add_column(column)
    machine: Mapping[str, Any] = {}
    for part in parts:
        found = msgspec.json.decode(_report_of(part).read_bytes())
        machine = found.get("machine", machine)
        for figure, value in part.shown(found):
            table.add_row(part.name, figure, value)
    console.rule("all", align="left")
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), style="dim")


def _report_of(part: Part) -> Path:
    return REPORTS / f"{part.name}.json"


if __name__ == "__main__":
    sys.exit(main())
