"""A search as a person puts it: the words, the filters, and the command that asks the same without a screen.

Owns the translation into the filter grammar of the API and into the headless twin. Refuses what cannot be meant, with a
sentence that says what is expected.
"""

import json
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

SPANS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
DEFAULT_LIMIT, MOST = 10, 200
EVERYTHING: dict[str, Any] = {"OR": [{f"{kind}_id": "*"} for kind in ("user", "agent", "app", "run")]}
"""The filter of one who means every scope."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to search for, and where."""

    text: str = ""
    user: str = ""
    agent: str = ""
    run: str = ""
    since: str = ""
    """`90d`, `12h`, `2w`; empty: any age."""
    limit: int = DEFAULT_LIMIT
    threshold: float | None = None
    """Least cosine of a hit; None: the daemon's own."""
    explain: bool = True

    def filters(self, now: datetime) -> dict[str, Any]:
        """The filters of the API. Without an identifier every scope is meant, which takes an admin key."""
        named = (("user_id", self.user), ("agent_id", self.agent), ("run_id", self.run))
        parts: list[dict[str, Any]] = [{name: value} for name, value in named if value]
        if not parts:
            parts = [EVERYTHING]
        if self.since:
            parts.append({"created_at": {"gte": (now - span_of(self.since)).astimezone(UTC).isoformat()}})
        return {"AND": parts} if len(parts) > 1 else parts[0]

    def fields(self) -> dict[str, Any]:
        """The other fields of the request."""
        fields: dict[str, Any] = {"top_k": self.limit, "explain": self.explain}
        return fields if self.threshold is None else {**fields, "threshold": self.threshold}

    def twin(self, now: datetime) -> str:
        """The same search on the command line."""
        words = ["memdeck", "search", quoted(self.text)]
        named = (("--user", self.user), ("--agent", self.agent), ("--run", self.run))
        for option, value in named:
            words += [option, shlex.quote(value)] if value else []
        words += ["--explain"] if self.explain else []
        words.append("--json")
        words += ["--limit", str(self.limit)] if self.limit != DEFAULT_LIMIT else []
        words += ["--threshold", f"{self.threshold:g}"] if self.threshold is not None else []
        if (extra := self._filter(now)) is not None:
            words += ["--filter", shlex.quote(json.dumps(extra, separators=(",", ":")))]
        return " ".join(words)

    def _filter(self, now: datetime) -> dict[str, Any] | None:
        """What the options of the command cannot say."""
        parts = [] if self.user or self.agent or self.run else [EVERYTHING]
        if self.since:
            exact = self.since[-1].lower() in "mh"
            begin = (now - span_of(self.since)).astimezone(UTC)
            parts.append({"created_at": {"gte": begin.strftime("%Y-%m-%dT%H:%MZ" if exact else "%Y-%m-%d")}})
        return {"AND": parts} if len(parts) > 1 else parts[0] if parts else None


def quoted(text: str) -> str:
    """In double quotes as far as a shell reads them literally, else in single ones."""
    return shlex.quote(text) if any(letter in text for letter in '"$`\\!') else f'"{text}"'


def span_of(text: str) -> timedelta:
    """`90d` as a length of time.

    Raises:
        ValueError: it is not a number and one of m, h, d, w.
    """
    number, unit = text[:-1], text[-1:].lower()
    if unit not in SPANS or not number.isdigit() or not 0 < int(number) * SPANS[unit] < 10**9 * 3:
        raise ValueError(f"{text!r} is no length of time: write 30m, 12h, 90d or 2w")
    return timedelta(seconds=int(number) * SPANS[unit])


def question_of(text: str, values: dict[str, str]) -> Question:
    """The question that the fields of the form mean.

    Raises:
        ValueError: a field cannot be meant; the sentence says which and what is expected.
    """
    since = values.get("since", "").strip()
    if since:
        span_of(since)
    return Question(
        text=text,
        user=values.get("user", "").strip(),
        agent=values.get("agent", "").strip(),
        run=values.get("run", "").strip(),
        since=since,
        limit=_limit(values.get("limit", "").strip()),
        threshold=_threshold(values.get("threshold", "").strip()),
        explain=values.get("explain", "on").strip().lower() not in {"off", "no", "false", "0"},
    )


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        raise ValueError(f"limit is a number from 1 to {MOST}")
    return int(text)


def _threshold(text: str) -> float | None:
    if not text or text == "default":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("threshold is a cosine from 0 to 1, like 0.30")
    return value
