"""The wire formats of JSON and vectors."""

import numpy as np
import pytest

from memdeck_daemon.infra.postgres import codecs


def test_vectors_are_dimensions_then_big_endian_floats() -> None:
    """As pgvector's vector_recv and halfvec_recv read them."""
    assert codecs.encode_vector([1.0, -2.0]) == bytes.fromhex("0002 0000 3f800000 c0000000")
    assert codecs.encode_halfvec([1.0, -2.0]) == bytes.fromhex("0002 0000 3c00 c000")


def test_vectors_come_back_as_native_arrays_that_can_be_changed() -> None:
    """float32 and float16."""
    single = codecs.decode_vector(bytes.fromhex("0002 0000 3f800000 c0000000"))
    half = codecs.decode_halfvec(bytes.fromhex("0002 0000 3c00 c000"))
    assert (single.dtype, half.dtype) == (np.dtype("float32"), np.dtype("float16"))
    single[0] += half[1]
    assert single.tolist() == [-1.0, -2.0]


def test_an_element_that_is_encoded_already_is_left_alone() -> None:
    """The driver needs that for array parameters."""
    encoded = codecs.encode_halfvec([1.0])
    assert codecs.encode_halfvec(encoded) == encoded


def test_a_matrix_is_no_vector() -> None:
    """Nothing is flattened by chance."""
    with pytest.raises(ValueError, match="one dimension, not 2"):
        codecs.encode_vector([[1.0]])


def test_jsonb_has_a_version_before_its_text() -> None:
    """Version 1 is the only one."""
    assert codecs.encode_jsonb({"a": 1}) == b'\x01{"a":1}'
    assert codecs.decode_jsonb(b'\x01{"a": [1, null]}') == {"a": [1, None]}
