"""Figures out of measurements."""

import io
from collections import Counter

import pytest
from rich.console import Console

from bench.driver import Outcome
from bench.measurement import Measured, Series, slices
from bench.processes import Usage
from bench.report import figure, percentile, ratio, ratios, report, show


def series(
    target: str = "memdeck", *, rates: tuple[float, ...] = (), outcome: Outcome | None = None
) -> Series:
    return Series(target, "add", 20, outcome or Outcome(), list(rates))


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, 5.0), (0.95, 10.0), (0.99, 10.0), (0.1, 1.0), (0.11, 2.0), (0.0, 1.0), (1.0, 10.0)],
)
def test_a_percentile_is_the_nearest_rank(share: float, expected: float) -> None:
    """The smallest value that at least this share does not exceed; nothing is interpolated."""
    values = [10.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0]
    assert expected == percentile(values, share)


def test_nothing_has_no_percentile() -> None:
    """Not zero, which would look fast."""
    assert percentile([], 0.5) is None


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that slows down in the second round slows both."""
    found = ratio(series(rates=(100.0, 50.0, 90.0)), series(rates=(10.0, 5.0, 10.0)))
    assert found is not None
    assert (10.0, 9.0, 10.0) == (found.median, found.least, found.greatest)


def test_a_round_without_an_answer_has_no_ratio() -> None:
    """A peer that was down is not infinitely slow."""
    assert ratio(series(rates=(100.0,)), series(rates=(0.0,))) is None
    assert [] == ratios([series(rates=(100.0,)), series("peer", rates=(0.0,))])


def test_one_server_has_no_ratios() -> None:
    """There is nothing to compare it with."""
    assert [] == ratios([series(rates=(100.0,))])


def test_failed_requests_are_no_part_of_rate_and_percentiles() -> None:
    """They are counted beside them."""
    found = figure(series(outcome=Outcome([1.0, 2.0, 3.0], Counter({"HTTP 503": 2}), seconds=2.0, unsent=5)))
    assert (3, 2, 5, 1.5) == (found.answered, found.failed, found.unsent, found.rate)
    assert (2.0, 3.0) == (found.p50, found.p99)


def test_a_server_that_answered_nothing_has_no_latency() -> None:
    """And its rate is 0."""
    found = figure(series(outcome=Outcome([], Counter({"ServerDisconnectedError": 9}), seconds=1.0)))
    assert (0.0, None, None) == (found.rate, found.p50, found.server_cpu)


def test_cpu_is_told_per_answer() -> None:
    """In ms; a database that the server did not start has no figure."""
    one = series(outcome=Outcome([1.0] * 100, seconds=1.0))
    one.used = Usage(0.2, None, waited=0.25)
    found = figure(one)
    assert 0.25 == found.waited
    assert found.server_cpu == pytest.approx(2.0)
    assert found.database_cpu is None


def test_errors_are_in_the_report_and_on_the_screen() -> None:
    """By server, operation and reason, with their number."""
    one = series(outcome=Outcome([1.0], Counter({"HTTP 500: [oops]": 3}), seconds=1.0))
    found = report(Measured([one], {"memdeck": 123.4}), {"clients": 20}, None)
    assert {"memdeck, add: HTTP 500: [oops]": 3} == found.errors
    screen = io.StringIO()
    show(found, Console(file=screen, width=150))
    assert "3 × memdeck, add: HTTP 500: [oops]" in screen.getvalue()
    assert "123 MB resident" in screen.getvalue()


def test_no_error_hides_another() -> None:
    """Phases of the same kind and the warm-up are counted together with all others."""
    phases = [series(outcome=Outcome([], Counter({"HTTP 500: no": count}))) for count in (3, 4)]
    measured = Measured(phases, warm_up_errors=Counter({"memdeck, warm-up: TimeoutError": 1}))
    found = report(measured, {}, None)
    assert {"memdeck, add: HTTP 500: no": 7, "memdeck, warm-up: TimeoutError": 1} == found.errors


@pytest.mark.parametrize(
    ("count", "rounds", "sizes"), [(10, 4, [2, 3, 2, 3]), (3, 5, [1, 1, 1]), (1, 1, [1])]
)
def test_rounds_share_the_requests(count: int, rounds: int, sizes: list[int]) -> None:
    """In order, nearly equally, each once."""
    bodies = [bytes([number]) for number in range(count)]
    parts = slices(bodies, rounds)
    assert sizes == [len(part) for part in parts]
    assert bodies == [body for part in parts for body in part]
