"""The store: what is known, how old it is, and which stretches of time are not."""

import pytest
from msgspec import structs

from memdeck_common.wire.feed import LogLine, Slot, Snapshot, Vitals
from memdeck_console.core.store import LinkState, Store
from tests.fakes import scenes
from tests.fakes.deck import FrozenClock, restarted, troubled

NOON = scenes.NOON


class Told:
    """A store and its clock, told a healthy snapshot at noon."""

    def __init__(self) -> None:
        self.clock = FrozenClock(NOON)
        self.store = Store(self.clock)
        self.say(scenes.snapshot(slots=[]))

    def say(self, snapshot: Snapshot) -> None:
        self.store.take(f"{snapshot.boot_id}:{snapshot.seq}", snapshot)

    def tick(self, after: float, vitals: Vitals | None = None, log: list[LogLine] | None = None) -> None:
        self.clock.seconds = NOON + after
        seq = 88_214 + int(after)
        self.store.take(f"boot:{seq}", scenes.tick(NOON + after, seq, vitals, log=log or []))

    def lose(self, after: float) -> None:
        self.clock.seconds = NOON + after
        self.store.link_is(LinkState.RECONNECTING, tries=1, retry_in=4, reason="refused")


@pytest.fixture
def told() -> Told:
    return Told()


def test_nothing_is_known_before_the_first_snapshot() -> None:
    view = Store(FrozenClock()).view()
    assert (LinkState.CONNECTING, None, False, ()) == (view.link.state, view.age, view.stale, view.services)


def test_a_snapshot_makes_the_link_live(told: Told) -> None:
    assert told.store.view().live


def test_age_is_measured_by_the_consoles_own_clock(told: Told) -> None:
    """The daemon's clock may be an hour off."""
    told.say(scenes.snapshot(NOON - 3600))
    told.clock.seconds += 1.5
    assert 1.5 == told.store.view().age


def test_a_late_tick_makes_what_is_shown_stale(told: Told) -> None:
    told.clock.seconds += 2.6
    view = told.store.view()
    assert (LinkState.STALE, True, "gap") == (view.link.state, view.stale, view.gaps[-1].cause)


def test_a_tick_makes_it_live_again(told: Told) -> None:
    told.tick(2.0)
    assert told.store.view().live


def test_what_was_known_stays_when_the_link_goes(told: Told) -> None:
    told.lose(10)
    view = told.store.view()
    assert (10, NOON, 6) == (view.age, view.true_at, len(view.services))
    assert view.stale


def test_the_gap_of_a_lost_link_grows(told: Told) -> None:
    told.lose(5)
    told.clock.seconds = NOON + 18
    view = told.store.view()
    assert ("no link", None, NOON) == (view.gaps[-1].cause, view.gaps[-1].end, view.gaps[-1].begin)
    assert 18 == view.at - view.gaps[-1].begin


def test_a_resumed_stream_closes_the_gap_with_what_was_missed(told: Told) -> None:
    """The daemon kept the seconds; nothing is missing, so nothing is shown as missing."""
    told.lose(2)
    told.clock.seconds = NOON + 20
    missed = [Slot(at=int(NOON) + second) for second in range(20)]
    told.say(scenes.snapshot(NOON + 20, 88_234, since=88_214, slots=missed, log=[]))
    view = told.store.view()
    assert (True, (), 20) == (view.live, view.gaps, len(view.slots))


def test_a_daemon_that_stood_still_leaves_a_gap(told: Told) -> None:
    """It was stopped for 20 seconds, so that it counted none of them."""
    told.lose(6)
    told.clock.seconds = NOON + 20
    told.say(scenes.snapshot(NOON + 20, 88_215, since=88_214, slots=[], log=[]))
    gap = told.store.view().gaps[-1]
    assert ("gap", 19) == (gap.cause, (gap.end or 0) - gap.begin)


def test_a_hole_between_two_ticks_is_a_gap(told: Told) -> None:
    told.tick(1)
    told.tick(14)
    gap = told.store.view().gaps[-1]
    assert ("gap", NOON + 1, NOON + 13) == (gap.cause, gap.begin, gap.end)


def test_another_boot_id_is_a_restart() -> None:
    """The gap reaches from the last word of the old process to the start of the new one."""
    clock = FrozenClock()
    store = Store(clock)
    restarted(store, clock)
    view = store.view()
    assert [("restart", NOON - 65, NOON - 40)] == [(gap.cause, gap.begin, gap.end) for gap in view.gaps]
    assert any("restarted" in line.message for line in view.log)


def test_what_the_old_process_measured_stays_in_the_graph() -> None:
    clock = FrozenClock()
    store = Store(clock)
    restarted(store, clock)
    assert store.view().slots[0].at < NOON - 65


def test_a_full_snapshot_of_the_same_life_replaces_what_was_known(told: Told) -> None:
    told.say(scenes.snapshot(slots=[Slot(at=int(NOON) - 9)]))
    told.say(scenes.snapshot(slots=[Slot(at=int(NOON) - 5)]))
    assert [int(NOON) - 5] == [slot.at for slot in told.store.view().slots]


def test_gaps_older_than_the_window_are_forgotten(told: Told) -> None:
    told.tick(10)
    told.tick(11)
    told.tick(400)
    told.tick(401)
    assert [NOON + 11] == [gap.begin for gap in told.store.view().gaps]


def test_a_fact_keeps_its_age_while_it_lasts(told: Told) -> None:
    slow = scenes.vitals(scenes.SLOW_GRAPH)
    for after in (1, 2, 3, 4):
        told.tick(after, slow)
    fact = told.store.view().facts[0]
    assert (NOON + 1, True) == (fact.since, fact.seen_begin)


def test_a_fact_that_was_there_at_the_first_snapshot_is_at_least_as_old() -> None:
    store = Store(FrozenClock())
    store.take("boot:1", scenes.snapshot(vitals=scenes.vitals(scenes.SLOW_GRAPH)))
    assert store.view().facts[0].seen_begin is False


def test_a_fact_that_comes_back_begins_anew(told: Told) -> None:
    slow = scenes.vitals(scenes.SLOW_GRAPH)
    told.tick(1, slow)
    told.tick(2)
    told.tick(3, slow)
    assert NOON + 3 == told.store.view().facts[0].since


def test_log_lines_of_the_daemon_cannot_move_the_cursor(told: Told) -> None:
    line = LogLine(seq=9, at=NOON, level="info", service="api", message="a\x1b[2Jb\r\n")
    told.tick(1, log=[line])
    shown = told.store.view().log[-1]
    assert ("INFO", True) == (shown.level, shown.message.isprintable())


def test_the_consoles_own_lines_tell_of_the_link(told: Told) -> None:
    told.lose(3)
    line = told.store.view().log[-1]
    assert (True, "link", "try 1 failed: refused") == (line.seq < 0, line.service, line.message)


def test_the_scene_of_the_mock_up_has_its_facts() -> None:
    """One silent service, one slow one, one broken objective; a gap of twelve seconds."""
    clock = FrozenClock()
    store = Store(clock)
    troubled(store, clock)
    view = store.view()
    assert ["scheduler", "neo4j", "graph"] == [fact.subject for fact in view.facts]
    assert [("gap", 12)] == [(gap.cause, round((gap.end or 0) - gap.begin)) for gap in view.gaps]


def test_unknown_operations_of_the_daemon_are_shown_by_their_objective(told: Told) -> None:
    told.say(structs.replace(scenes.snapshot(slots=[]), slo_ms={"ponder": 5.0}))
    assert ["ponder"] == [operation.name for operation in told.store.view().operations]
