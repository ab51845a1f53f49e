"""Who asks: roles, what each may do, and the principal that a request acts as.

Owns the role table of the whole API. Which memories a principal reaches is memory's business (`Reach`).
"""

from dataclasses import dataclass
from typing import Final, Literal

from memdeck_common.errors import AdminRequired, Forbidden
from memdeck_common.wire.keys import Role
from memdeck_daemon.memory.model import EVERYTHING, Caller, Reach

Need = Literal["public", "read", "write", "admin", "operator"]
"""What a route asks for. `operator`: the operations routes, for operators and administrators."""

GRANTS: Final[dict[Role, frozenset[Need]]] = {
    "admin": frozenset({"public", "read", "write", "admin", "operator"}),
    "operator": frozenset({"public", "read", "operator"}),
    "agent": frozenset({"public", "read", "write"}),
    "standard": frozenset({"public", "read", "write"}),
    "read": frozenset({"public", "read"}),
}
AuthType = Literal["api_key", "admin_api_key", "none"]


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose key was found good."""

    caller: Caller
    """The same caller as memory sees it."""
    role: Role
    limit: int
    """Requests per hour; 0: no limit."""
    auth_type: AuthType

    def check(self, need: Need) -> None:
        """Let it pass.

        Raises:
            AdminRequired: only administrators may do this.
            Forbidden: the role does not go that far.
        """
        if need in GRANTS[self.role]:
            return
        if need == "admin":
            raise AdminRequired
        if need == "operator":
            raise Forbidden("Operator or admin role required.", role=self.role)
        raise Forbidden(f"A key with the role {self.role} may only read.", role=self.role)

    def check_unpinned(self) -> None:
        """Let it pass to what concerns the whole daemon: who makes keys could make one without its own pins.

        Raises:
            Forbidden: its key is pinned.
        """
        if self.caller.reach.pinned:
            raise Forbidden(
                "This key is pinned: keys and embedding spaces are administered with one that is not."
            )


NOBODY: Final = Principal(Caller("", "", Reach()), "read", 0, "none")
"""Who calls a public address without a key: reaches nothing that takes a key."""
ANYBODY: Final = Principal(Caller("local", "auth-disabled", EVERYTHING), "admin", 0, "none")
"""Everybody, while authentication is disabled."""


def reach_of(role: Role, users: tuple[str, ...], agents: tuple[str, ...]) -> Reach:
    """What a key reaches: its pins; scopes may stay open (`*`, reset) for administrators without pins only."""
    return Reach(users=users, agents=agents, all_scopes=role == "admin" and not users and not agents)
