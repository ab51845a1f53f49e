"""Embedding spaces without a database: the local one, and what was added."""

from dataclasses import dataclass, field

import msgspec

from memdeck_common.errors import Conflict
from memdeck_common.wire.spaces import Comparison, NewSpace, Role, Space, Spaces


def space(number: int, role: Role, model: str = "m", dimensions: int = 256) -> Space:
    """A space that holds nothing."""
    return Space(
        id=number, provider="test", model=model, dimensions=dimensions, role=role, url="", memories=0, embedded=0,
        waiting=0, parked=0, percent=100.0, background=None, filled_at=None, created_at="2026-11-20T09:30:00+00:00",
    )  # fmt: skip


@dataclass(slots=True)
class FakeSpaces:
    """Fulfils `ports.SpaceOperations`."""

    held: dict[int, Space] = field(default_factory=lambda: {1: space(1, "local")})
    last: int = 1

    async def listed(self) -> Spaces:
        return Spaces(spaces=list(self.held.values()))

    async def add(self, new: NewSpace) -> Space:
        roles = {one.role for one in self.held.values()}
        if "candidate" in roles:
            raise Conflict
        self.last += 1
        role: Role = "candidate" if "primary" in roles else "primary"
        self.held[self.last] = space(self.last, role, new.model, new.dims or 256)
        return self.held[self.last]

    async def switch(self, space_id: int, *, force: bool) -> Space:
        del force
        found = self.held.get(space_id)
        if found is None or found.role != "candidate":
            raise Conflict
        for one in list(self.held.values()):
            if one.role == "primary":
                self.held[one.id] = msgspec.structs.replace(one, role="retired")
        self.held[space_id] = msgspec.structs.replace(found, role="primary")
        return self.held[space_id]

    async def drop(self, space_id: int, *, force: bool) -> Space:
        found = self.held.get(space_id)
        if found is None or found.role == "local" or (found.role == "primary" and not force):
            raise Conflict
        return self.held.pop(space_id)

    async def compare(self, queries: int) -> Comparison:
        if "candidate" not in {one.role for one in self.held.values()}:
            raise Conflict
        return Comparison(queries=min(queries, 0), overlap_at_10=None, primary=None, candidate=None)
