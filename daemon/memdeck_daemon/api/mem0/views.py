"""What memory answers, as the platform dialect shows it; the self-hosted shapes stand in `oss_views.py`."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET

from memdeck_common.wire import memory as wire
from memdeck_common.wire.platform import EventRecord
from memdeck_daemon.api.answers import DEGRADED
from memdeck_daemon.api.http.routing import Reply
from memdeck_daemon.memory import model

Answer = TypeVar("Answer")


@lru_cache(maxsize=4_096)  # the same memories are shown again and again
def iso(at: datetime) -> str:
    """ISO 8601 in UTC with microseconds: `2026-01-31T12:00:00.000000+00:00`."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")


def iso_or_none(at: datetime | None) -> str | None:
    """The same, or None."""
    return None if at is None else iso(at)


def day_or_none(day: date | None) -> str | None:
    """YYYY-MM-DD, or None."""
    return None if day is None else day.isoformat()


def memory(found: model.Memory, hit: model.Hit | None = None, threshold: float | None = None) -> wire.Memory:
    """One memory; with a hit its score, with a threshold also the explanation."""
    names = found.identifiers
    return wire.Memory(
        id=str(found.id),
        memory=found.text,
        hash=found.hash,
        metadata=found.metadata or None,
        categories=list(found.categories) or None,
        created_at=iso(found.created_at),
        updated_at=iso(found.updated_at),
        user_id=names.user,
        agent_id=names.agent,
        app_id=names.app,
        run_id=names.run,
        session_id=names.run,
        actor_id=found.actor,
        role=found.role,
        expiration_date=day_or_none(found.expiration_date),
        immutable=found.immutable,
        score=UNSET if hit is None else hit.score,
        score_details=UNSET if hit is None or threshold is None else explanation(hit, threshold),
    )


def explanation(hit: model.Hit, threshold: float) -> wire.Explanation:
    """Why a hit stands where it stands."""
    return wire.Explanation(
        parts=[
            wire.Score(feature=part.feature, group=part.group, raw=part.raw, part=part.part)
            for part in hit.parts
        ],
        final_score=hit.score,
        threshold=threshold,
        semantic_score=max(0.0, hit.cosine),
        keyword_hit=hit.keyword,
    )


def search_answer(found: model.Found, explain: bool) -> wire.SearchAnswer:
    """The answer of a search."""
    threshold = found.threshold if explain else None
    return wire.SearchAnswer(
        results=[memory(hit.memory, hit, threshold) for hit in found.hits],
        degraded=list(found.degraded),
        total=found.total if explain else UNSET,
        stages=[
            wire.Stage(name=s.name, begin_ms=s.begin_ms, milliseconds=s.milliseconds, parallel=s.parallel)
            for s in found.stages
        ]
        if explain
        else UNSET,
    )


def only(fields: list[str] | None, answer: Any) -> Any:
    """The answer with only these fields in each result, and the id; the whole answer when none are named."""
    if not fields:
        return answer
    kept = {"id", *fields}
    plain = msgspec.to_builtins(answer)
    plain["results"] = [{name: row[name] for name in row if name in kept} for row in plain["results"]]
    return plain


def noted(answer: Answer, degraded: tuple[str, ...]) -> Answer | Reply:
    """The answer, and what it had to do without: in the header, and in its body where that is an object."""
    if not degraded:
        return answer
    said: Any = answer
    if isinstance(said, msgspec.Struct):
        said = msgspec.structs.replace(said, degraded=list(degraded))
    elif isinstance(said, dict):
        said = said | {"degraded": list(degraded)}
    return Reply(said, headers=degraded_header(degraded))


def degraded_header(degraded: tuple[str, ...]) -> dict[str, str]:
    """What an answer had to do without, as a header; empty when that was nothing."""
    return {DEGRADED: ", ".join(degraded)}


def links(base_url: str, path: str, page: int, size: int, count: int) -> tuple[str | None, str | None]:
    """Addresses of the next and the previous page."""

    def at(number: int) -> str:
        return f"{base_url}{path}?{urlencode({'page': number, 'page_size': size})}"

    return at(page + 1) if page * size < count else None, at(page - 1) if page > 1 else None


OUTCOMES: Final = {
    model.Event.ADD: "stored",
    model.Event.UPDATE: "changed",
    model.Event.DELETE: "deleted",
    model.Event.NONE: "dropped",
}


def added(outcome: model.Outcome, *, queued: bool = False) -> wire.Added:
    """What became of one message."""
    waits = queued and outcome.event is not model.Event.NONE
    return wire.Added(
        id=str(outcome.id) if outcome.id else "",
        memory=outcome.text,
        data={"memory": outcome.text},
        event=str(outcome.event),
        role=outcome.role,
        actor_id=outcome.actor,
        outcome="queued" if waits else OUTCOMES[outcome.event],
        duplicate_of=str(outcome.duplicate_of) if outcome.duplicate_of else UNSET,
        reason=outcome.reason or UNSET,
    )


def results(receipt: model.Receipt) -> list[wire.Added]:
    """What became of each message."""
    return [added(outcome, queued=receipt.queued) for outcome in receipt.outcomes]


def status_of(receipt: model.Receipt) -> int | None:
    """202 where the write waits on the disk; None: the route's own."""
    return HTTPStatus.ACCEPTED if receipt.queued else None


def done(receipt: model.Receipt, answer: Answer) -> Answer | Reply:
    """The answer of a change; another one, with 202, where it waits on the disk."""
    return waits(receipt) if receipt.queued else answer


def waits(receipt: model.Receipt) -> Reply:
    """The answer of a change that waits on the disk."""
    said = wire.Done(message=receipt.note, event_id=str(receipt.id), status=receipt.status)
    return Reply(said, status=HTTPStatus.ACCEPTED)


def stored_sentence(receipt: model.Receipt) -> str:
    """What an add did, in words: how many were stored, what was passed over, what else there is to know."""
    count = sum(outcome.event is model.Event.ADD for outcome in receipt.outcomes)
    skipped = len(receipt.outcomes) - count
    sentences = [
        f"{'Queued' if receipt.queued else 'Stored'} {count} {'memory' if count == 1 else 'memories'}."
    ]
    if skipped:
        sentences.append(
            f"{skipped} without text or from the system {'was' if skipped == 1 else 'were'} passed over."
        )
    if receipt.note:
        sentences.append(receipt.note)
    return " ".join(sentences)


def history_entry(entry: model.HistoryEntry) -> wire.HistoryEntry:
    """One change of a memory."""
    said = entry.new_text if entry.new_text is not None else entry.old_text
    return wire.HistoryEntry(
        id=str(entry.id),
        memory_id=str(entry.memory_id),
        input=[{"role": entry.role or "user", "content": said}] if said is not None else [],
        old_memory=entry.old_text,
        new_memory=entry.new_text,
        user_id=entry.identifiers.user,
        event=str(entry.event),
        metadata=entry.metadata or None,
        created_at=iso(entry.created_at),
        updated_at=iso(entry.changed_at),
        is_deleted=entry.event is model.Event.DELETE,
        actor_id=entry.actor,
        role=entry.role,
        changed_by=entry.changed_by,
        undo_until=iso_or_none(entry.undo_until),
    )


def entities(found: Iterable[model.Entity], owner: str) -> list[wire.Entity]:
    """Users, agents, apps and runs."""
    return [
        wire.Entity(
            id=entity.identifier.value,
            name=entity.identifier.value,
            type=entity.identifier.kind,
            created_at=iso(entity.created_at),
            updated_at=iso(entity.updated_at),
            owner=owner,
            metadata=None,
            total_memories=entity.memories,
        )
        for entity in found
    ]


def event(receipt: model.Receipt) -> EventRecord:
    """What became of a write."""
    return EventRecord(
        id=str(receipt.id),
        event_type=receipt.kind.upper(),
        status=receipt.status,
        message=receipt.note,
        results=results(receipt),
        count=receipt.count,
        latency=receipt.milliseconds,
        error=receipt.error,
        created_at=iso(receipt.created_at),
        updated_at=iso(receipt.undone_at or receipt.created_at),
        undone_at=iso_or_none(receipt.undone_at),
    )
