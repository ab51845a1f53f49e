"""How values travel between Python and PostgreSQL: JSON and vectors, both in binary.

Owns the wire formats of `jsonb` (a version byte, then text) and of pgvector's `vector` and `halfvec` (dimensions and a
reserved field as two big-endian 16-bit numbers, then IEEE floats, big-endian). Vectors are numpy arrays of one
dimension, float32 for `vector`, float16 for `halfvec`. For an array parameter (`$1::halfvec[]`) encode each element first,
`[encode_halfvec(v) for v in batch]`: the driver takes anything that can be iterated for one more dimension of the array.
"""

import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

HEADER = struct.Struct(">HH")
JSONB_VERSION = b"\x01"
EXTENSION_SCHEMA = """
select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'
"""
PUT_ON_PATH = """
select set_config('search_path', current_setting('search_path') || ', ' || quote_ident($1), false)
where not $1 = any (current_schemas(false))
"""

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


def encode_jsonb(value: Any) -> bytes:
    """Any value that JSON can hold."""
    return JSONB_VERSION + _to_json(value)


def decode_jsonb(data: bytes) -> Any:
    """Plain Python objects."""
    return _from_json(memoryview(data)[1:])


def encode_vector(values: ArrayLike) -> bytes:
    """A `vector`, from anything that numpy takes for one dimension of numbers."""
    return _encode(values, ">f4")


def decode_vector(data: bytes) -> NDArray[np.float32]:
    """A new float32 array."""
    return np.frombuffer(data, ">f4", offset=HEADER.size).astype(np.float32)


def encode_halfvec(values: ArrayLike) -> bytes:
    """A `halfvec`, from anything that numpy takes for one dimension of numbers."""
    return _encode(values, ">f2")


def decode_halfvec(data: bytes) -> NDArray[np.float16]:
    """A new float16 array."""
    return np.frombuffer(data, ">f2", offset=HEADER.size).astype(np.float16)


def _encode(values: ArrayLike, kind: str) -> bytes:
    if isinstance(values, bytes):  # an element of an array, encoded before
        return values
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"a vector has one dimension, not {array.ndim}")
    return HEADER.pack(len(array), 0) + array.astype(kind).tobytes()


async def register(connection: Any) -> None:
    """Teach a connection all of this; pgvector may live in any schema, which joins the search path if need be."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=encode_jsonb, decoder=decode_jsonb, format="binary"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_to_json, decoder=_from_json, format="binary"
    )
    schema = await connection.fetchval(EXTENSION_SCHEMA)
    if schema is None:
        return
    await connection.execute(PUT_ON_PATH, schema)
    for name, encode, decode in (
        ("vector", encode_vector, decode_vector),
        ("halfvec", encode_halfvec, decode_halfvec),
    ):
        await connection.set_type_codec(name, schema=schema, encoder=encode, decoder=decode, format="binary")
