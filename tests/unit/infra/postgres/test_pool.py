"""When a connection is asked whether it still answers."""

from typing import Any

import pytest

from memdeck_daemon.infra.postgres.pool import ConnectionStale, RestCheck


class FakeConnection:
    """Answers, or does not."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers
        self.asked = 0
        self.terminated = False

    def get_server_pid(self) -> int:
        return 7

    async def execute(self, _: str, **__: Any) -> None:
        self.asked += 1
        if not self.answers:
            raise TimeoutError

    def terminate(self) -> None:
        self.terminated = True


async def test_only_a_connection_that_rested_is_asked() -> None:
    """A busy pool pays nothing."""
    now = [0.0]
    check = RestCheck(lambda: now[0], rested=30)
    connection = FakeConnection()
    await check.after(connection)
    now[0] = 29
    await check.before(connection)
    assert connection.asked == 0
    await check.after(connection)
    now[0] = 60
    await check.before(connection)
    assert connection.asked == 1


async def test_one_that_does_not_answer_is_closed() -> None:
    """And the pool told to take another."""
    check = RestCheck(lambda: 0, rested=0)
    connection = FakeConnection(answers=False)
    await check.after(connection)
    with pytest.raises(ConnectionStale):
        await check.before(connection)
    assert connection.terminated
