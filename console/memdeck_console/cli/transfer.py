"""`memdeck import|export`: the two commands; what they do stands in `importing` and `exporting`, imported when they run."""

import argparse

from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="JSON lines; - reads stdin")
    scope.add_scope_options(parser, "identifiers for lines that carry none")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad lines out instead of stopping")
    parser.add_argument(
        "--again", action="store_true", help="store also what the same file stored within the last 24 hours"
    )


def _export_options(parser: argparse.ArgumentParser) -> None:
    scope.add_scope_options(parser, "whose memories (or --all, or --filter)")
    parser.add_argument("--filter", metavar="JSON", type=scope.json_object, help="more conditions")
    parser.add_argument("--all", action="store_true", help="of everybody (administrators)")
    parser.add_argument("--output", metavar="FILE", default="-", help="where to; - is stdout (default)")


async def _import(invocation: Invocation) -> int:
    from memdeck_console.cli import importing  # late: aiohttp

    return await importing.run(invocation)


async def _export(invocation: Invocation) -> int:
    from memdeck_console.cli import exporting  # late: aiohttp

    return await exporting.run(invocation)


COMMANDS = (
    Command(
        "import",
        "store memories from a file of JSON lines",
        _import,
        _import_options,
        details=(
            "Store memories from JSON lines: one object per line with `memory` or `messages`, identifiers, `metadata`,\n"
            "`created_at`. All lines are checked before the first is stored. Running the same import again within\n"
            "24 hours stores only what was not stored yet."
        ),
        examples=(
            "memdeck import memories.jsonl",
            "memdeck import notes.jsonl --user alice --skip-bad",
            "memdeck export --user alice --home ~/test | memdeck import - --home ~/prd",
        ),
    ),
    Command(
        "export",
        "write memories as JSON lines, oldest first",
        _export,
        _export_options,
        examples=(
            "memdeck export --user alice --output alice.jsonl",
            "memdeck export --all > everything.jsonl",
        ),
    ),
)
