"""`memdeck add|get|edit|search|list|history`: memories one by one.

Owns options, tables and sentences; what is stored and found is the daemon's business.
"""

import argparse
from typing import TYPE_CHECKING, Any, Final

from memdeck_common.errors import BadRequest
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import Cell, Column, Terminal, Tone, clean
from memdeck_console.cli.wording import MISSING, counted, excerpt, instant, milliseconds

if TYPE_CHECKING:
    from msgspec import UnsetType

    from memdeck_common.wire.memory import Added, HistoryEntry, Memory, Receipt, SearchAnswer

CUT = Column("MEMORY", cut=True)
LEAST_PART: Final = 0.0005
"""Parts of a score below it would be shown as 0 and are left out."""
CHANGE_TONES: dict[str, Tone] = {"ADD": "ok", "UPDATE": "", "DELETE": "warn"}


# --- options --------------------------------------------------------------------------------------------------------


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="what to remember; - reads it from stdin")
    scope.add_scope_options(parser, "whose memory it is (at least one)")
    _content_options(parser)
    parser.add_argument(
        "--created-at", metavar="TIME", type=scope.moment, help="when it happened, if not now"
    )
    parser.add_argument("--role", default="user", help="who speaks: user (default), assistant, …")
    parser.add_argument("--actor", metavar="NAME", help="name of who said it")
    parser.add_argument("--infer", action="store_true", help="let a language model extract the facts")


def _content_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metadata", metavar="KEY=VALUE|JSON", type=scope.metadata, action="append", help="may be repeated"
    )
    parser.add_argument(
        "--expires", metavar="DATE", type=scope.day, help="last day on which it is found, 2026-12-31"
    )


def _edit_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the memory")
    parser.add_argument("--text", help="the new text; - reads it from stdin")
    _content_options(parser)
    parser.add_argument("--never-expires", action="store_true", help="take the expiry date away")


def _id_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="id of the memory")


def _found_options(parser: argparse.ArgumentParser) -> None:
    scope.add_scope_options(parser, "whose memories (at least one, or --filter)")
    parser.add_argument(
        "--filter",
        metavar="JSON",
        type=scope.json_object,
        help='more conditions: {"created_at": {"gte": "2026-11-01"}}',
    )
    parser.add_argument("--expired", action="store_true", help="show expired ones as well")


def _search_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", metavar="QUERY", help="a question or some words")
    _found_options(parser)
    parser.add_argument("--limit", type=scope.between(1, 1000), default=10, help="most hits (10)")
    parser.add_argument(
        "--threshold", type=scope.share, help="least similarity, 0 to 1; keyword hits are exempt"
    )
    parser.add_argument("--explain", action="store_true", help="show what each score is made of")


def _list_options(parser: argparse.ArgumentParser) -> None:
    _found_options(parser)
    parser.add_argument("--all", action="store_true", help="of everybody (administrators)")
    parser.add_argument("--limit", type=scope.between(1, 200), default=50, help="memories on a page (50)")
    parser.add_argument("--page", type=scope.between(1, 10**9), default=1, help="which page, 1 is the newest")


# --- commands -------------------------------------------------------------------------------------------------------


async def add(invocation: Invocation) -> int:
    """Store one memory."""
    options = invocation.options
    fields: dict[str, Any] = {**scope.required_identifiers(options), "infer": options.infer}
    fields |= _given(
        metadata=scope.merged(options.metadata) or None,
        expiration_date=options.expires,
        timestamp=options.created_at,
    )
    message = {"role": options.role, "content": _text(options.text, invocation.terminal)}
    message |= _given(name=options.actor)
    async with invocation.client() as client:
        receipt = await client.add([message], **fields)
    if invocation.terminal.as_json:
        invocation.terminal.json(receipt)
    else:
        for line in _receipt_lines(receipt):
            invocation.terminal.say(line)
    return 0


async def get(invocation: Invocation) -> int:
    """Show one memory."""
    async with invocation.client() as client:
        memory = await client.get(invocation.options.id)
    _show(invocation.terminal, memory)
    return 0


async def edit(invocation: Invocation) -> int:
    """Change text, metadata or expiry date of one memory."""
    from memdeck_common.wire.memory import Done  # late: start-up

    options = invocation.options
    text = None if options.text is None else _text(options.text, invocation.terminal)
    fields = _given(
        text=text, metadata=scope.merged(options.metadata) or None, expiration_date=options.expires
    )
    if options.never_expires:
        fields["expiration_date"] = None
    if not fields:
        raise BadRequest("Say what to change: --text, --metadata, --expires or --never-expires.")
    async with invocation.client() as client:
        memory = await client.update(options.id, **fields)
    if isinstance(memory, Done):
        if invocation.terminal.as_json:
            invocation.terminal.json(memory)
        else:
            invocation.terminal.say(f"queued  event {memory.event_id}  {clean(memory.message)}")
        return 0
    _show(invocation.terminal, memory)
    invocation.terminal.note(f"To take it back: memdeck undo {memory.id}")
    return 0


async def search(invocation: Invocation) -> int:
    """Find memories."""
    options, terminal = invocation.options, invocation.terminal
    fields = _given(threshold=options.threshold)
    if options.expired:
        fields["show_expired"] = True
    async with invocation.client() as client:
        answer = await client.search(
            _text(options.query, terminal),
            scope.scope_filter(options),
            top_k=options.limit,
            explain=options.explain,
            **fields,
        )
    if terminal.as_json:
        terminal.json(answer)
    else:
        _show_hits(terminal, answer, explain=options.explain)
    return 0


async def listing(invocation: Invocation) -> int:
    """Show a page of memories, newest first."""
    options, terminal = invocation.options, invocation.terminal
    fields = {"show_expired": True} if options.expired else {}
    async with invocation.client() as client:
        page = await client.page(
            scope.scope_filter(options), page=options.page, page_size=options.limit, **fields
        )
    if terminal.as_json:
        terminal.json(page)
        return 0
    rows: list[list[Cell | str]] = [
        [m.id, m.memory, _whose(m), Cell(instant(m.created_at), "muted")] for m in page.results
    ]
    if rows:
        terminal.table((Column("ID"), CUT, Column("OF", cut=True), Column("CREATED")), rows)
    first = (options.page - 1) * options.limit
    shown = f"{first + 1:,} to {first + len(rows):,} of " if page.count > len(rows) and rows else ""
    more = f"; go on with --page {options.page + 1}" if page.next else ""
    terminal.note(f"{shown}{counted(page.count, 'memory', 'memories')}{more}")
    _show_lacking(terminal, page.degraded)
    return 0


async def history(invocation: Invocation) -> int:
    """Show what happened to a memory."""
    terminal = invocation.terminal
    async with invocation.client() as client:
        entries = await client.history(invocation.options.id)
    if terminal.as_json:
        terminal.json(entries)
        return 0
    columns = (
        Column("WHEN"),
        Column("CHANGE"),
        Column("BY", cut=True),
        Column("TEXT", cut=True),
        Column("UNDO UNTIL"),
    )
    terminal.table(columns, [_change(entry) for entry in entries])
    return 0


# --- what people see ------------------------------------------------------------------------------------------------


def _change(entry: "HistoryEntry") -> list[Cell | str]:
    text = entry.old_memory if entry.event == "DELETE" else entry.new_memory
    return [
        instant(entry.updated_at),
        Cell(entry.event, CHANGE_TONES.get(entry.event, "")),
        entry.changed_by,
        text or MISSING,
        Cell(instant(entry.undo_until), "muted"),
    ]


def _show(terminal: Terminal, memory: "Memory") -> None:
    if terminal.as_json:
        terminal.json(memory)
        return
    terminal.facts(_facts(memory))
    terminal.say("")
    terminal.say("\n".join(clean(line) for line in memory.memory.splitlines()))
    _show_lacking(terminal, memory.degraded)


def _facts(memory: "Memory") -> dict[str, Cell | str]:
    from msgspec import json  # late: start-up

    facts = {
        "id": memory.id,
        "of": _whose(memory),
        "said by": " ".join(filter(None, (memory.actor_id, memory.role and f"({memory.role})"))),
        "metadata": json.encode(memory.metadata).decode() if memory.metadata else "",
        "categories": ", ".join(memory.categories or []),
        "created": instant(memory.created_at),
        "changed": instant(memory.updated_at),
        "expires": memory.expiration_date or "",
    }
    return {name: value for name, value in facts.items() if value}


def _show_hits(terminal: Terminal, answer: "SearchAnswer", *, explain: bool) -> None:
    if not answer.results:
        terminal.note("Nothing found. A lower --threshold or other words may help.")
    else:
        rows: list[list[Cell | str]] = [
            [Cell(f"{m.score or 0:.3f}", "strong"), m.id, m.memory, _whose(m)] for m in answer.results
        ]
        columns = [Column("SCORE", right=True), Column("ID"), CUT, Column("OF", cut=True)]
        if explain:
            columns.insert(2, Column("PARTS"))
            for row, memory in zip(rows, answer.results, strict=True):
                row.insert(2, _parts(memory))
        terminal.table(columns, rows)
    if explain and answer.stages:
        stages = ", ".join(f"{stage.name} {milliseconds(stage.milliseconds)}" for stage in answer.stages)
        terminal.note(f"stages: {stages}")
    _show_lacking(terminal, answer.degraded)


def _show_lacking(terminal: Terminal, degraded: "list[str] | UnsetType") -> None:
    if degraded:
        terminal.note(f"{terminal.glyph('warn')} WARN made without: {', '.join(degraded)}")


def _parts(memory: "Memory") -> str:
    if not memory.score_details:
        return MISSING
    parts = memory.score_details.parts
    return " ".join(f"{part.feature}={part.part:.3f}" for part in parts if abs(part.part) >= LEAST_PART)


def _receipt_lines(receipt: "Receipt") -> list[str]:
    lines = [_outcome(added) for added in receipt.results or []]
    if receipt.status != "SUCCEEDED" or not lines:
        lines.append(f"{receipt.status.lower()}  event {receipt.event_id}  {clean(receipt.message)}")
    return lines


def _outcome(added: "Added") -> str:
    text = excerpt(clean(added.memory))
    if added.event == "NONE":
        return f"not stored  {clean(added.reason or '')}  {text}"
    twin = f"  (the same text is there as {added.duplicate_of})" if added.duplicate_of else ""
    word = "queued" if added.outcome == "queued" else "stored"
    return f"{word}  {added.id}  {text}{twin}"


def _whose(memory: "Memory") -> str:
    run = memory.run_id or memory.session_id
    named = (("user", memory.user_id), ("agent", memory.agent_id), ("app", memory.app_id), ("run", run))
    return " ".join(f"{kind}:{value}" for kind, value in named if value)


def _text(text: str, terminal: Terminal) -> str:
    if text == "-":
        text = terminal.stdin.read().strip()
    if not text.strip():
        raise BadRequest("The text is empty.")
    return text


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


COMMANDS = (
    Command(
        "add",
        "store a memory",
        add,
        _add_options,
        examples=(
            'memdeck add "Prefers window seats" --user alice',
            'memdeck add "Deploys on Fridays" --user alice --agent ops --metadata source=chat --expires 2026-12-31',
            "git log -1 --format=%B | memdeck add - --agent builder --json",
        ),
    ),
    Command(
        "search",
        "find memories by meaning and by words",
        search,
        _search_options,
        examples=(
            'memdeck search "where does she like to sit" --user alice',
            'memdeck search deploys --agent ops --limit 5 --filter \'{"metadata": {"source": "chat"}}\' --explain',
        ),
    ),
    Command(
        "list",
        "show memories, newest first",
        listing,
        _list_options,
        examples=("memdeck list --user alice", "memdeck list --all --limit 200 --page 2 --json"),
    ),
    Command(
        "get",
        "show one memory",
        get,
        _id_option,
        examples=("memdeck get 0193c0de-0000-7000-8000-000000000001",),
    ),
    Command(
        "edit",
        "change a memory",
        edit,
        _edit_options,
        examples=(
            'memdeck edit 0193c0de-0000-7000-8000-000000000001 --text "Prefers aisle seats"',
            "memdeck edit 0193c0de-0000-7000-8000-000000000001 --never-expires",
        ),
    ),
    Command(
        "history",
        "show what happened to a memory",
        history,
        _id_option,
        examples=("memdeck history 0193c0de-0000-7000-8000-000000000001",),
    ),
)
