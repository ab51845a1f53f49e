"""`memdeck keys create|list|revoke`: API keys. A new key is told once, alone on stdout, so that it can be piped."""

import argparse
from typing import TYPE_CHECKING

from memdeck_common.errors import KeyNotFound
from memdeck_console.cli import scope
from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.removal import add_confirm_option
from memdeck_console.cli.terminal import Cell, Column, clean, confirm
from memdeck_console.cli.wording import instant, number

if TYPE_CHECKING:
    from memdeck_common.wire.keys import Key

ROLES = ("admin", "operator", "agent", "standard", "read")
COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("PREFIX"),
    Column("ROLE"),
    Column("LABEL", cut=True),
    Column("REACHES", cut=True),
    Column("PER HOUR", right=True),
    Column("LAST USED"),
)


def _create_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--label", default="", help="what it is for")
    parser.add_argument("--role", choices=ROLES, default="agent", help="what it may do (agent)")
    parser.add_argument(
        "--user",
        metavar="PATTERN",
        nargs="+",
        action="extend",
        default=[],
        help="only these users; workspace_7_*",
    )
    parser.add_argument(
        "--agent", metavar="PATTERN", nargs="+", action="extend", default=[], help="only these agents"
    )
    parser.add_argument(
        "--rate-limit",
        metavar="N",
        type=scope.between(0, 10**9),
        help="requests per hour instead of the role's; 0: none",
    )


def _revoke_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id", metavar="ID", help="id of the key, or an unambiguous beginning of it or of the key"
    )
    add_confirm_option(parser)


async def create(invocation: Invocation) -> int:
    """Make a key."""
    from memdeck_common.wire.keys import NewKey  # late: start-up

    options, terminal = invocation.options, invocation.terminal
    new = NewKey(
        label=options.label,
        role=options.role,
        users=options.user,
        agents=options.agent,
        rate_limit=options.rate_limit,
    )
    async with invocation.client() as client:
        created = await client.create_key(new)
    if terminal.as_json:
        terminal.json(created)
        return 0
    terminal.note(f"Made key {created.id} ({created.role}). It is shown this once; keep it now:")
    terminal.say(created.key)
    return 0


async def listing(invocation: Invocation) -> int:
    """Show all keys."""
    async with invocation.client() as client:
        found = await client.keys()
    if invocation.terminal.as_json:
        invocation.terminal.json(found)
        return 0
    invocation.terminal.table(COLUMNS, [_row(key) for key in found.keys])
    return 0


def _row(key: "Key") -> list[Cell | str]:
    state = Cell(f"revoked {instant(key.revoked_at)}", "warn") if key.revoked_at else Cell("valid", "ok")
    return [
        key.id,
        state,
        key.key_prefix,
        key.role,
        key.label,
        _reach(key),
        "unlimited" if key.rate_limit == 0 else number(key.rate_limit),
        Cell(instant(key.last_used_at), "muted"),
    ]


def _reach(key: "Key") -> str:
    pins = [*(f"user:{p}" for p in key.users), *(f"agent:{p}" for p in key.agents)]
    return " ".join(pins) or "any"


async def revoke(invocation: Invocation) -> int:
    """End a key at once."""
    options, terminal = invocation.options, invocation.terminal
    async with invocation.client() as client:
        instance = (await client.health()).instance
        key = _meant((await client.keys()).keys, options.id)
        what = f"This ends key {key.id} ({key.key_prefix}…, {clean(key.label) or 'no label'}, {key.role}) at once"
        confirm(terminal, instance, options.confirm, what)
        revoked = await client.revoke_key(key.id)
    if terminal.as_json:
        terminal.json(revoked)
    else:
        terminal.say(f"revoked  {revoked.id}  {clean(revoked.label)}")
    return 0


def _meant(keys: list["Key"], text: str) -> "Key":
    """The one key whose id or prefix begins like that."""
    found = [key for key in keys if key.id == text] or [
        key for key in keys if text and (key.id.startswith(text) or key.key_prefix.startswith(text))
    ]
    if len(found) > 1:
        raise KeyNotFound(f"{text!r} is the beginning of {len(found)} keys; give more of the id.")
    if not found:
        raise KeyNotFound
    return found[0]


COMMANDS = (
    Command(
        "keys",
        "make, show and end API keys",
        details="API keys. Only their hashes are stored; a key is shown once, when it is made.",
        examples=("memdeck keys create --label ci", "memdeck keys list", "memdeck keys revoke 0193c0de"),
        parts=(
            Command(
                "create",
                "make a key; it is printed once",
                create,
                _create_options,
                examples=(
                    "memdeck keys create --label ci > ci.key",
                    "memdeck keys create --label workspace-7 --role standard --user 'workspace_7_*' --rate-limit 500",
                ),
            ),
            Command("list", "show keys", listing, examples=("memdeck keys list --json",)),
            Command(
                "revoke",
                "end a key at once",
                revoke,
                _revoke_options,
                examples=("memdeck keys revoke 0193c0de --confirm default",),
            ),
        ),
    ),
)
