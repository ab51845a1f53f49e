"""The one line for 3 a.m.: the worst fact, the next worst, and the key that tells what to do.

Owns the words of the verdict and of the link. Two rows when the link is down: first since when and until when everything
was true, then the worst last known fact.
"""

from dataclasses import dataclass

from memdeck_console.core import formatting
from memdeck_console.core.facts import Fact
from memdeck_console.core.store import LinkState, View

STEADY = (LinkState.LIVE, LinkState.STALE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row of the verdict."""

    state: str
    """`ok`, `warn`, `crit` or `stale`."""
    word: str
    headline: str
    """In bold."""
    rest: str = ""
    aside: tuple[str, str] | None = None
    """State and words of the next worst fact."""
    last_known: bool = False
    key: tuple[str, str] | None = None
    """What to press, and what it does."""


def verdict(view: View) -> tuple[Verdict, ...]:
    """One row; two when there is no link and something is known to be wrong."""
    rows: list[Verdict] = []
    if not view.live:
        rows.append(_link(view))
    if view.facts:
        rows.append(_worst(view.facts, last_known=not view.live))
    return tuple(rows) or (_fine(view),)


def link_words(view: View) -> str:
    """State of the link with the number of tries: `RECONNECTING 3`."""
    link = view.link
    counted = link.state is LinkState.RECONNECTING and link.tries
    return f"{link.state.value} {link.tries}" if counted else link.state.value


def _link(view: View) -> Verdict:
    state, age = view.link.state, view.age
    key = None if state in {*STEADY, LinkState.CONNECTING} else ("ctrl+r", "retry now")
    until = f" Everything below was true at {formatting.clock(view.true_at)}." if view.true_at else ""
    retry = "" if view.retry_in is None else f", retry in {_whole_seconds(view.retry_in)}"
    if state is LinkState.STALE:
        return Verdict(
            "stale", "STALE", f"no word from the daemon for {formatting.duration(age)}", "." + until
        )
    if state is LinkState.CONNECTING:
        return Verdict("stale", "CONNECTING", "looking for the daemon", until)
    if state is LinkState.AUTH_FAILED:
        return Verdict(
            "crit", "AUTH FAILED", view.link.reason or "the daemon refuses the key", retry, key=key
        )
    if state is LinkState.VERSION_MISMATCH:
        return Verdict("crit", "VERSION MISMATCH", view.link.reason, retry, key=key)
    if age is None:
        advice = ". `memdeck up` starts the daemon."
        return Verdict("stale", "NO LINK", "daemon not reachable", retry + advice, key=key)
    headline = f"daemon not reachable for {formatting.duration(age)}"
    return Verdict("stale", "NO LINK", headline, f"{retry}.{until}", key=key)


def _whole_seconds(seconds: float) -> str:
    return formatting.duration(seconds + 0.999)


def _worst(facts: tuple[Fact, ...], *, last_known: bool) -> Verdict:
    worst = facts[0]
    others = [fact for fact in facts[1:] if fact.subject != worst.subject]
    aside = (others[0].severity, f"{others[0].subject} {others[0].sentence}") if others else None
    return Verdict(
        worst.severity,
        worst.severity.upper(),
        f"{worst.subject} {worst.headline}",
        f", {worst.detail}" if worst.detail else "",
        None if last_known else aside,
        last_known,
        ("enter", "what to do"),
    )


def _fine(view: View) -> Verdict:
    counted = [service for service in view.services if service.state != "na"]
    words = [f"{len(counted)} of {len(counted)} services"]
    words += ["every SLO met"] if any(operation.calls for operation in view.operations) else ["no calls yet"]
    counts = view.counts
    if counts.disk_total_bytes:
        words.append(
            f"{formatting.percent(counts.disk_free_bytes / counts.disk_total_bytes)} of the disk free"
        )
    return Verdict("ok", "OK", "", ", ".join(words))
