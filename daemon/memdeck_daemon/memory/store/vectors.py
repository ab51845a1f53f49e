"""The local vectors, many at once."""

import uuid
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memdeck_daemon.infra.postgres.codecs import encode_halfvec

# One statement for all of them: the triggers that follow it (0004_spaces.sql) run once and not once a vector.
INSERT: Final = """
INSERT INTO memory.vectors_1 (owner, id, embedding) SELECT * FROM unnest($1::text[], $2::uuid[], $3::halfvec[])
"""


async def insert(connection: Any, rows: Sequence[tuple[str, uuid.UUID, NDArray[np.float32]]]) -> None:
    """Vectors of memories that have none yet, as (owner, id, vector)."""
    owners, ids, vectors = zip(*rows, strict=True)
    await connection.execute(INSERT, owners, ids, [encode_halfvec(vector) for vector in vectors])
