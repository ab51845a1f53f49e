"""Figures of the validation harness."""

from bench.scenarios import Asked, figures, markdown, passed


def asked(scenario: str, degraded: tuple[str, ...] = (), **ranks: int | None) -> Asked:
    return Asked(scenario, "names", ("de", "en"), "Who?", ranks, 100, degraded, 1.5)


def test_recall_is_the_share_of_what_is_expected() -> None:
    """A mean over questions; what comes after the cut is missing."""
    found = figures([asked("s", a=1, b=6), asked("s", a=None), asked("t", a=5)], 5)
    assert 0.5 == found["context_recall"]
    assert [["b"], ["a"]] == [one["turns"] for one in found["missed"]]
    assert [0.1667, 0.0] == found["curve"]["1"]
    assert {"de en": 0.5} == found["by_language"]


def test_coverage_wants_something_for_every_question() -> None:
    """One question without anything, or a degraded answer, and its scenario is not covered."""
    assert 1.0 == figures([asked("s", a=1, b=None), asked("t", a=2)], 5)["coverage"]
    assert 0.5 == figures([asked("s", a=1), asked("s", a=None), asked("t", a=2)], 5)["coverage"]
    assert 0.5 == figures([asked("s", ("lexical",), a=1), asked("t", a=2)], 5)["coverage"]


def test_the_gate_is_above_95_per_cent() -> None:
    """And every scenario has to be covered."""
    assert passed({"context_recall": 0.96, "coverage": 1.0})
    assert not passed({"context_recall": 0.95, "coverage": 1.0})
    assert not passed({"context_recall": 1.0, "coverage": 0.99})


def test_the_report_names_what_is_missing() -> None:
    """For people, with the command that made it."""
    one = figures([asked("s", a=None), asked("t", a=1)], 5)
    report = markdown(
        {
            "version": "1", "machine": {"cpus": 2}, "token_budget": 600, "alone": one, "together": one,
        }
    )  # fmt: skip
    assert "python -m bench.scenarios --start --report" in report
    assert "| own user | 2 | 2 | 5 | 50.0% | 0.50 | 1.5 |" in report
    assert "- s: Who? (a)" in report
