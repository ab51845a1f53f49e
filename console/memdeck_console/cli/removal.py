"""`memdeck forget|undo`: what takes memories away, and what brings them back.

Both show first what they are about to do and ask for the name of the instance.
"""

import argparse
from typing import TYPE_CHECKING, Final

from memdeck_common.errors import BadRequest, StoreUnavailable
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import clean, confirm
from memdeck_console.cli.wording import counted, excerpt

if TYPE_CHECKING:
    from memdeck_common.client import Client
    from memdeck_common.wire.memory import Done

UNSEEN: Final = "the database does not answer, so it cannot be shown before"


def add_confirm_option(parser: argparse.ArgumentParser) -> None:
    """`--confirm NAME`."""
    parser.add_argument(
        "--confirm", metavar="NAME", help="name of the instance, instead of typing it when asked"
    )


def _forget_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="one memory")
    scope.add_scope_options(parser, "or all memories that carry all of these")
    add_confirm_option(parser)


def _undo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="a memory: its last change is reverted")
    parser.add_argument("--event", metavar="EVENT", help="or a deletion: everything that it took comes back")
    add_confirm_option(parser)


async def forget(invocation: Invocation) -> int:
    """Delete one memory, or all that carry the identifiers."""
    options, terminal = invocation.options, invocation.terminal
    identifiers = scope.identifiers(options)
    if bool(options.id) == bool(identifiers):
        raise BadRequest(
            "Say what to forget: the id of a memory, or a scope (--user, --agent, --app, --run)."
        )
    async with invocation.client() as client:
        instance = (await client.health()).instance
        if options.id:
            confirm(terminal, instance, options.confirm, await _memory_consequence(client, options.id))
            done = await client.delete(options.id)
        else:
            confirm(terminal, instance, options.confirm, await _scope_consequence(client, identifiers))
            done = await client.delete_scope(**identifiers)
    if terminal.as_json:
        terminal.json({"message": done.message, "undo": _undo_words(done, options.id)} | _counted(done))
    else:
        terminal.say(_told(done))
        if done.count != 0:
            terminal.say(f"To take it back: memdeck {' '.join(_undo_words(done, options.id))}")
    return 0


async def _memory_consequence(client: "Client", memory_id: str) -> str:
    try:
        memory = await client.get(memory_id)
    except StoreUnavailable:
        return f"This forgets memory {clean(memory_id)}, if there is one: {UNSEEN}"
    return f"This forgets 1 memory: {excerpt(clean(memory.memory))}"


async def _scope_consequence(client: "Client", identifiers: dict[str, str]) -> str:
    parts = [{name: value} for name, value in identifiers.items()]
    whose = ", ".join(f"{name.removesuffix('_id')} {value}" for name, value in identifiers.items())
    where = {"AND": parts} if len(parts) > 1 else parts[0]
    try:
        page = await client.page(where, page_size=1, show_expired=True)
    except StoreUnavailable:
        return f"This forgets all memories of {clean(whose)}: {UNSEEN}"
    return f"This forgets {counted(page.count, 'memory', 'memories')} of {clean(whose)}"


def _undo_words(done: "Done", memory_id: str | None) -> list[str]:
    return ["undo", memory_id] if memory_id else ["undo", "--event", done.event_id or ""]


def _counted(done: "Done") -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    if done.event_id:
        found["event_id"] = done.event_id
    if isinstance(done.count, int):
        found["count"] = done.count
    if done.status:
        found["status"] = done.status
    return found


def _told(done: "Done") -> str:
    message = clean(done.message)
    if done.status == "PENDING":
        return f"queued  event {done.event_id}  {message}"
    counted = isinstance(done.count, int) and done.count > 1 and not any(map(str.isdigit, message))
    return f"{message} ({done.count:,})" if counted else message


async def undo(invocation: Invocation) -> int:
    """Revert the last change of a memory, or a whole deletion."""
    options, terminal = invocation.options, invocation.terminal
    if bool(options.id) == bool(options.event):
        raise BadRequest("Say what to undo: the id of a memory, or --event with the id that `forget` told.")
    async with invocation.client() as client:
        instance = (await client.health()).instance
        if options.id:
            confirm(terminal, instance, options.confirm, await _last_change(client, options.id))
            done = await client.undo(options.id)
        else:
            consequence = f"This brings back everything that the deletion {options.event} took"
            confirm(terminal, instance, options.confirm, consequence)
            done = await client.undo_event(options.event)
    if terminal.as_json:
        terminal.json(done)
    else:
        terminal.say(_told(done))
    return 0


async def _last_change(client: "Client", memory_id: str) -> str:
    try:
        entries = await client.history(memory_id)
    except StoreUnavailable:
        return f"This reverts the last change of memory {clean(memory_id)}, if there is one: {UNSEEN}"
    if not entries:
        return "This reverts the last change of the memory"
    last = entries[-1]
    now, then = last.new_memory or "deleted", last.old_memory or "not there"
    if now == then:
        return f"This reverts the last change ({last.event}); the text stays {excerpt(clean(now))!r}"
    return f"This reverts the last change ({last.event}): {excerpt(clean(now))!r} becomes {excerpt(clean(then))!r}"


COMMANDS = (
    Command(
        "forget",
        "delete memories; can be undone for 24 hours",
        forget,
        _forget_options,
        details="Delete one memory or all of a scope. Says first how many, and asks for the name of the instance.",
        examples=(
            "memdeck forget 0193c0de-0000-7000-8000-000000000001",
            "memdeck forget --user alice --agent ops",
            "memdeck forget --run 42 --confirm default --json",
        ),
    ),
    Command(
        "undo",
        "take back a change or a deletion",
        undo,
        _undo_options,
        examples=(
            "memdeck undo 0193c0de-0000-7000-8000-000000000001",
            "memdeck undo --event 0193c0de-0000-7000-8000-0000000000ee --confirm default",
        ),
    ),
)
