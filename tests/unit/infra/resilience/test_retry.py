"""What is tried again, how often, and within which budget."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import stamina

from memdeck_common.errors import BadRequest, StoreLost, StoreUnavailable
from memdeck_daemon.infra.resilience import deadline
from memdeck_daemon.infra.resilience.retry import ATTEMPTS, SAVED, Retries


@pytest.fixture
def unwaited() -> Iterator[None]:
    """Without the pauses."""
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


@dataclass(slots=True)
class Work:
    """Fails as it is told to, then answers."""

    errors: Sequence[Exception]
    calls: int = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= len(self.errors):
            raise self.errors[self.calls - 1]
        return "done"


@pytest.mark.usefixtures("unwaited")
async def test_what_was_lost_on_the_way_is_tried_again() -> None:
    """Twice."""
    work, retries = Work([StoreLost(), StoreLost()]), Retries()
    assert "done" == await retries.call(work)
    assert (ATTEMPTS, 2) == (work.calls, retries.made)


@pytest.mark.usefixtures("unwaited")
async def test_after_three_attempts_the_last_error_is_told() -> None:
    """Nobody waits for a fourth."""
    errors = [StoreLost(str(number)) for number in range(ATTEMPTS)]
    work = Work(errors)
    with pytest.raises(StoreLost, match="2"):
        await Retries().call(work)
    assert ATTEMPTS == work.calls


@pytest.mark.parametrize("error", [StoreUnavailable(), BadRequest(), KeyError()])
async def test_anything_else_is_told_at_once(error: Exception) -> None:
    """A timeout does not get shorter, a mistake not right."""
    work = Work([error])
    with pytest.raises(type(error)):
        await Retries().call(work)
    assert 1 == work.calls


@pytest.mark.usefixtures("unwaited")
async def test_when_everything_fails_only_a_tenth_is_tried_again() -> None:
    """After what was saved up."""
    retries = Retries(budget=0.0)
    calls = 0
    for _ in range(100):
        work = Work([StoreLost()] * ATTEMPTS)
        with pytest.raises(StoreLost):
            await retries.call(work)
        calls += work.calls
    assert 105 <= calls <= 110
    assert retries.refused
    for _ in range(1000):
        await retries.call(Work([]))
    assert SAVED == retries.budget


async def test_nothing_is_tried_beyond_the_deadline() -> None:
    """The request would not hear of it."""
    work = Work([StoreLost()] * ATTEMPTS)
    with deadline.within(0.01), pytest.raises(StoreLost):
        await Retries().call(work)
    assert ATTEMPTS > work.calls
