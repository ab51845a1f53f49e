"""Facts and the verdict: the worst first, in words that say since when and what to press."""

import pytest

from memdeck_common.wire.feed import Counts, Mode
from memdeck_console.core.facts import Fact, facts_of
from memdeck_console.core.store import LinkState, Store, View
from memdeck_console.core.verdict import link_words, verdict
from memdeck_console.core.window import Operation
from tests.fakes import deck, scenes
from tests.fakes.deck import FrozenClock


def seen(scene: deck.Scene) -> View:
    clock = FrozenClock()
    store = Store(clock)
    scene(store, clock)
    return store.view()


def facts(**changed: object) -> tuple[Fact, ...]:
    given: dict[str, object] = {
        "services": (),
        "operations": (),
        "mode": "normal",
        "degraded": [],
        "counts": Counts(),
    }
    return facts_of(**(given | changed))  # type: ignore[arg-type]  # by name


def operation(p99: float = 50, *, burn: float = 0, calls: int = 1000, errors: int = 0) -> Operation:
    return Operation(name="search", slo=100, p99=p99, burn=burn, calls=calls, errors=errors)


def test_all_is_well_without_facts() -> None:
    assert () == facts(services=scenes.FLEET, operations=[operation()], counts=scenes.COUNTS)


def test_a_silent_service_is_critical() -> None:
    (fact,) = facts(services=[scenes.SILENT])
    assert ("crit", "scheduler", "silent, 9s quiet") == (fact.severity, fact.subject, fact.sentence)


def test_a_slow_service_is_named_with_its_figure() -> None:
    (fact,) = facts(services=[scenes.SLOW_GRAPH])
    assert ("warn", "p95 84.0 ms, max 60") == (fact.severity, fact.sentence)


def test_a_service_that_is_not_there_is_nobodys_fault() -> None:
    assert () == facts(services=[scenes.service("redis", None, None, state="na")])


@pytest.mark.parametrize(("burn", "severity"), [(1.9, "warn"), (14.4, "crit")])
def test_a_broken_objective_is_critical_when_the_budget_burns_fast(burn: float, severity: str) -> None:
    (fact,) = facts(operations=[operation(140.2, burn=burn)])
    assert severity == fact.severity
    assert "p99 140 ms over SLO 100" == fact.headline


@pytest.mark.parametrize(("errors", "severity"), [(1, "warn"), (60, "crit")])
def test_failed_calls_are_critical_when_they_are_many(errors: int, severity: str) -> None:
    (fact,) = facts(operations=[operation(calls=1000, errors=errors)])
    assert severity == fact.severity


@pytest.mark.parametrize(
    ("mode", "severity"),
    [
        ("reduced-precision", "warn"),
        ("essential-only", "warn"),
        ("cache-only", "crit"),
        ("read-only", "crit"),
    ],
)
def test_a_mode_other_than_normal_is_a_fact(mode: Mode, severity: str) -> None:
    (fact,) = facts(mode=mode)
    assert (severity, mode.upper()) == (fact.severity, fact.headline)


def test_the_mode_comes_before_what_caused_it() -> None:
    """On every screen: what callers notice, then why."""
    (row,) = verdict(seen(deck.severed))
    assert ("CRIT", "mode CACHE-ONLY") == (row.word, row.headline)
    assert ", kept answers, unverified; writes are queued" == row.rest
    assert ("crit", "postgres unreachable") == row.aside


@pytest.mark.parametrize(("free", "severities"), [(0.11, []), (0.09, ["warn"]), (0.04, ["crit"])])
def test_a_disk_that_fills_is_a_fact(free: float, severities: list[str]) -> None:
    counts = Counts(disk_total_bytes=1000, disk_free_bytes=int(1000 * free))
    assert severities == [fact.severity for fact in facts(counts=counts)]


def test_critical_facts_come_first_and_others_in_fleet_order() -> None:
    found = facts(services=[scenes.SLOW_GRAPH, scenes.SILENT], operations=[operation(140, burn=2)])
    assert ["scheduler", "neo4j", "search"] == [fact.subject for fact in found]


def test_every_fact_says_what_to_do() -> None:
    counts = Counts(disk_total_bytes=100, disk_free_bytes=1)
    found = facts(
        services=[scenes.SLOW_GRAPH, scenes.SILENT],
        operations=[operation(140, errors=3)],
        mode="read-only",
        counts=counts,
    )
    assert all(fact.advice for fact in found)


def test_the_verdict_is_one_quiet_row_when_all_is_well() -> None:
    (row,) = verdict(seen(deck.healthy))
    assert ("ok", "OK", "6 of 6 services, every SLO met, 61% of the disk free") == (
        row.state,
        row.word,
        row.rest,
    )


def test_the_verdict_names_the_worst_and_the_next_worst() -> None:
    (row,) = verdict(seen(deck.troubled))
    assert ("CRIT", "scheduler silent", ", 9s quiet") == (row.word, row.headline, row.rest)
    assert ("warn", "neo4j p95 84.0 ms, max 60") == row.aside
    assert ("enter", "what to do") == row.key


def test_without_a_link_the_verdict_says_until_when_everything_was_true() -> None:
    first, second = verdict(seen(deck.degraded))
    assert "NO LINK" == first.word
    assert "daemon not reachable for 18s" == first.headline
    assert ", retry in 4s. Everything below was true at 12:04:31Z." == first.rest
    assert ("CRIT", True) == (second.word, second.last_known)


def test_before_any_daemon_was_heard_the_verdict_says_how_to_start_one() -> None:
    (row,) = verdict(seen(deck.never))
    assert "memdeck up" in row.rest


def test_a_refused_key_is_critical() -> None:
    (row,) = verdict(seen(deck.refused))
    assert ("crit", "AUTH FAILED", "Authentication required.") == (row.state, row.word, row.headline)


@pytest.mark.parametrize(
    ("state", "tries", "words"),
    [
        (LinkState.CONNECTING, 0, "CONNECTING"),
        (LinkState.RECONNECTING, 0, "RECONNECTING"),
        (LinkState.RECONNECTING, 3, "RECONNECTING 3"),
        (LinkState.AUTH_FAILED, 3, "AUTH FAILED"),
        (LinkState.VERSION_MISMATCH, 1, "VERSION MISMATCH"),
    ],
)
def test_the_link_is_named_with_the_number_of_tries(state: LinkState, tries: int, words: str) -> None:
    store = Store(FrozenClock())
    store.link_is(state, tries=tries)
    assert words == link_words(store.view())
