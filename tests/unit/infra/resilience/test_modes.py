"""Which mode the daemon is in."""

from collections.abc import Callable

import pytest

from memdeck_common.wire.feed import Mode
from memdeck_daemon.infra.resilience.modes import MODES, Modes
from tests.fakes.clock import ManualClock

LONG = 60.0


def with_room(clock: ManualClock) -> Modes:
    modes = Modes(clock)
    modes.spool(full=False)
    return modes


@pytest.mark.parametrize(
    ("report", "expected", "without"),
    [
        (lambda _: None, "normal", []),
        (lambda m: m.embedder(slow=True), "reduced-precision", ["embedder"]),
        (lambda m: m.dense(slow=True), "reduced-precision", ["dense"]),
        (lambda m: m.database("slow"), "essential-only", ["history"]),
        (lambda m: m.database("away"), "cache-only", ["postgres"]),
        (lambda m: m.spool(full=True), "normal", []),
        (lambda m: (m.database("away"), m.spool(full=True)), "read-only", ["postgres", "spool"]),
        (lambda m: (m.database("slow"), m.embedder(slow=True)), "essential-only", ["history", "embedder"]),
        (lambda m: m.read_only(told=True), "read-only", ["writes"]),
        (lambda m: m.writes(refused=True), "read-only", ["writes"]),
        (lambda m: (m.read_only(told=True), m.spool(full=True)), "read-only", ["writes", "spool"]),
        (lambda m: (m.read_only(told=True), m.database("away")), "cache-only", ["postgres"]),
    ],
)
def test_each_mode_has_its_conditions(
    report: Callable[[Modes], object], expected: Mode, without: list[str]
) -> None:
    """The worst one counts."""
    clock = ManualClock()
    modes = with_room(clock)
    report(modes)
    clock.advance(LONG)
    assert (expected, without) == (modes.current, modes.without())


def test_without_a_spool_an_absent_database_means_read_only() -> None:
    """Writes fail, and nothing takes them."""
    modes = Modes(ManualClock())
    modes.database("away")
    assert "read-only" == modes.current


def test_a_refused_write_counts_until_one_is_taken() -> None:
    """Or for a minute: nobody may write any more, and nobody would see its end."""
    clock = ManualClock()
    modes = with_room(clock)
    modes.writes(refused=True)
    assert "read-only" == mode_of(modes)
    modes.writes(refused=False)
    assert "normal" == mode_of(modes)
    modes.writes(refused=True)
    clock.advance(60)
    assert "read-only" == mode_of(modes)
    clock.advance(0.1)
    assert "normal" == mode_of(modes)


def mode_of(modes: Modes) -> Mode:
    """A function, because a type checker takes a property for constant."""
    return modes.current


def test_a_mode_is_entered_and_left_after_a_while() -> None:
    """A moment changes nothing; the breaker's word holds at once, it has waited already."""
    clock = ManualClock()
    modes = with_room(clock)
    modes.database("slow")
    clock.advance(4.9)
    assert "normal" == mode_of(modes)
    clock.advance(0.1)
    assert "essential-only" == mode_of(modes)
    for _ in range(20):  # flickers
        modes.database("well")
        clock.advance(1)
        modes.database("slow")
        clock.advance(1)
        assert "essential-only" == mode_of(modes)
    modes.database("well")
    clock.advance(10)
    assert "normal" == mode_of(modes)
    modes.database("away")
    assert "cache-only" == mode_of(modes)
    modes.database("well")
    assert "normal" == mode_of(modes)
    assert [2, 0, 1, 1, 0] == [modes.transitions[mode] for mode in MODES]


def test_what_nobody_reports_any_more_ends() -> None:
    """There may be no searches to see that the dense arm is quick again."""
    clock = ManualClock()
    modes = with_room(clock)
    modes.dense(slow=True)
    clock.advance(1)
    assert "reduced-precision" == mode_of(modes)
    clock.advance(61)
    assert "normal" == mode_of(modes)


def test_each_transition_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Worse as a warning."""
    caplog.set_level("INFO")
    modes = with_room(ManualClock())
    modes.database("away")
    assert modes.current == modes.current == "cache-only"
    modes.database("well")
    assert "normal" == mode_of(modes)
    assert ["WARNING", "INFO"] == [record.levelname for record in caplog.records]
