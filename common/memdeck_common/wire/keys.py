"""`/ops/keys`: API keys. The key itself is told once, when it is made."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Role = Literal["admin", "operator", "agent", "standard", "read"]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]


class NewKey(Struct, frozen=True, kw_only=True):
    """What a key is to be."""

    label: Annotated[str, Meta(max_length=200)] = ""
    role: Role = "agent"
    users: Annotated[list[Pattern], Meta(max_length=100)] = field(default_factory=list)
    """User ids that it may reach, `*` stands for any text: `workspace_7_*`. Empty: any user that a request names."""
    agents: Annotated[list[Pattern], Meta(max_length=100)] = field(default_factory=list)
    """The same for agent ids; with both, both must match."""
    rate_limit: Annotated[int, Meta(ge=0)] | None = None
    """Requests per hour instead of its role's; 0 switches the limit off."""


class Key(Struct, frozen=True, kw_only=True):
    """A key as it is listed."""

    id: str
    label: str
    key_prefix: str
    """The first 12 characters."""
    role: Role
    users: list[str]
    agents: list[str]
    rate_limit: int | None
    created_at: str
    last_used_at: str | None
    revoked_at: str | None


class CreatedKey(Key, frozen=True, kw_only=True):
    """A key as it is made."""

    key: str
    """The secret; it is shown this once."""


class Keys(Struct, frozen=True, kw_only=True):
    """All keys, newest first."""

    keys: list[Key]
