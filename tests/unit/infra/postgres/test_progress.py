"""Slow is waited for, stuck is not."""

from datetime import UTC, datetime

import pytest

from memdeck_daemon.infra.postgres.progress import Stalled, Wait


class SteppingClock:
    """Each look at it is a second later."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


async def test_what_moves_is_waited_for_beyond_the_limit() -> None:
    """Crash recovery may take as long as it needs; the person hears of it now and then."""
    told: list[float] = []
    moves = iter(range(100))
    wait = Wait(SteppingClock(), 3, lambda: next(moves), told.append)
    for _ in range(12):
        await wait.step()
    assert told == [2, 4, 6, 8, 10, 12]


async def test_what_does_not_move_is_given_up() -> None:
    """After the limit, not before."""
    wait = Wait(SteppingClock(), 5, lambda: "the same", lambda _: None)
    for _ in range(4):
        await wait.step()
    with pytest.raises(Stalled):
        await until_given_up(wait)


async def until_given_up(wait: Wait) -> None:
    for _ in range(3):
        await wait.step()
