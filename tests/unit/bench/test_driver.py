"""Which answers count as right."""

import msgspec
import pytest

from bench.driver import Outcome, check_add, check_search, detail_of


def encoded(*results: dict[str, object]) -> bytes:
    return msgspec.json.encode({"results": list(results)})


def found(score: object) -> dict[str, object]:
    return {"id": "1", "memory": "text", "score": score, "user_id": "u"}


def test_an_add_that_stored_its_memory_is_right() -> None:
    """As both servers answer with infer=false."""
    assert "" == check_add(
        encoded({"id": "1", "memory": "text", "event": "ADD", "role": "user", "actor_id": None})
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b'{"detail": "no"}',
        encoded(),
        encoded({"id": "1", "memory": "", "event": "ADD"}),
        encoded({"id": "1", "memory": "text", "event": "NONE"}),
    ],
)
def test_an_add_that_stored_nothing_is_wrong(body: bytes) -> None:
    """Even with status 200."""
    assert "" != check_add(body)


def test_a_search_that_found_something_is_right() -> None:
    """The best first; equal scores are in order."""
    assert "" == check_search(encoded(found(0.9), found(0.5), found(0.5)))


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        encoded(),
        encoded({"id": "1", "memory": "x"}),
        encoded(found(None)),
        encoded(found(0.1), found(0.2)),
    ],
)
def test_a_search_that_found_nothing_is_wrong(body: bytes) -> None:
    """So is one without scores, or with scores out of order."""
    assert "" != check_search(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"detail": "Invalid API key.", "request_id": "96c31d70"}', "Invalid API key."),
        (b'{"detail": [{"loc": ["body"], "msg": "no"}]}', "[{'loc': ['body'], 'msg': 'no'}]"),
        (b"Bad Gateway", "Bad Gateway"),
        (b'"no"', '"no"'),
        (b"", ""),
        (b"x" * 1000, "x" * 120),
    ],
)
def test_equal_failures_are_counted_as_one_reason(body: bytes, said: str) -> None:
    """Request ids are left out; what is no error of either server is shown as it came, but not at length."""
    assert said == detail_of(body)


def test_rounds_add_up() -> None:
    """Times, errors and what was left over."""
    one = Outcome(latencies=[1.0], seconds=1.0, unsent=1)
    one.errors["timeout"] += 2
    other = Outcome(latencies=[2.0], seconds=0.5)
    other.errors["timeout"] += 1
    one.merge(other)
    assert ([1.0, 2.0], 1.5, 1, 3) == (one.latencies, one.seconds, one.unsent, one.failed)
