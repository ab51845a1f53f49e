"""How long a call may take within a request."""

import asyncio

import pytest

from memdeck_daemon.infra.resilience import deadline


async def test_without_a_request_a_call_has_its_own_timeout() -> None:
    """Background work has no deadline."""
    assert 11.0 == deadline.left(11.0)


async def test_a_call_has_what_is_left_if_that_is_less() -> None:
    """Never less than nothing; an outer deadline is not moved by an inner one."""
    with deadline.within(5.0):
        assert 2.0 == deadline.left(2.0)
        with deadline.within(60.0):
            assert 4.9 < deadline.left(60.0) <= 5.0
        with deadline.within(-1.0):
            assert 0.0 == deadline.left(60.0)
        assert 4.9 < deadline.left(60.0) <= 5.0
    assert 60.0 == deadline.left(60.0)


async def test_tasks_that_a_request_starts_inherit_it() -> None:
    """Others do not."""

    async def ask() -> float:
        return deadline.left(60.0)

    outside = asyncio.create_task(ask())
    with deadline.within(5.0):
        inside = asyncio.create_task(ask())
    assert pytest.approx(5.0, abs=0.1) == await inside
    assert 60.0 == await outside
