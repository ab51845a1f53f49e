"""The table of what is answered while parts are down."""

import pytest

from memdeck_daemon.api.degradation import (
    CONTEXT,
    KINDS,
    KNOWN,
    NEW,
    PARTS,
    WITHOUT_EFFECT,
    WRITE,
    Kind,
    subsets,
)
from scripts.degradation import TARGET, document


def test_the_document_is_made_from_it() -> None:
    """`python -m scripts.degradation` writes it."""
    assert document() == TARGET.read_text(encoding="utf-8")


def test_every_set_of_parts_is_in_it_once() -> None:
    """The empty one too."""
    found = list(subsets())
    assert (2 ** len(PARTS), frozenset[str](), frozenset(PARTS)) == (len(set(found)), found[0], found[-1])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_parts_without_effect_have_none(kind: Kind) -> None:
    """In no set."""
    for down in subsets():
        assert kind.answer(down) == kind.answer(down - set(WITHOUT_EFFECT))


def test_nothing_is_answered_as_fresh_without_the_database() -> None:
    """What is answered at all says so."""
    for down in subsets():
        if "postgres" in down:
            assert "unverified" == KNOWN.answer(down).cache
            assert all(kind.answer(down).degraded for kind in (KNOWN, NEW, CONTEXT, WRITE))
