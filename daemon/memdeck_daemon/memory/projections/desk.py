"""What is derived from the memories, as operators see it: the keyword index and the vector indexes of big owners."""

from dataclasses import dataclass

import msgspec

from memdeck_common.wire.index import IndexStatus
from memdeck_daemon.memory.projections.lexical import LexicalProjection
from memdeck_daemon.memory.projections.vectors import VectorIndexes


@dataclass(frozen=True, slots=True)
class IndexDesk:
    """Both together."""

    lexical: LexicalProjection
    vectors: VectorIndexes

    async def status(self) -> IndexStatus:
        """What they hold and how far they are.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        return msgspec.structs.replace(await self.lexical.status(), vectors=self.vectors.status())

    def rebuild_soon(self) -> None:
        """Have all of them built anew in the background; searches go on."""
        self.lexical.rebuild_soon()
        self.vectors.rebuild_soon()
