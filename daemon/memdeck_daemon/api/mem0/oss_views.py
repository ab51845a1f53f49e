"""What memory answers, as mem0's self-hosted dialect shows it."""

import uuid
from typing import Any, Final

import msgspec
from msgspec import UNSET

from memdeck_common.wire import oss
from memdeck_daemon.api.mem0.views import day_or_none, iso
from memdeck_daemon.memory import model


def item(
    found: model.Memory, score: float | Any | None = UNSET, details: dict[str, Any] | Any = UNSET
) -> oss.OssMemory:
    """One memory; `score` is UNSET in lists and None for a single memory."""
    names = found.identifiers
    return oss.OssMemory(
        id=str(found.id),
        memory=found.text,
        hash=found.hash,
        metadata=found.metadata or None,
        score=score,
        created_at=iso(found.created_at),
        updated_at=iso(found.updated_at),
        user_id=names.user or UNSET,
        agent_id=names.agent or UNSET,
        app_id=names.app or UNSET,
        run_id=names.run or UNSET,
        actor_id=found.actor or UNSET,
        role=found.role or UNSET,
        expiration_date=day_or_none(found.expiration_date) or UNSET,
        score_details=details,
    )


class Answer(msgspec.Struct, frozen=True):
    """The answer of a search, `oss.OssFound`, with its results encoded already."""

    results: list[msgspec.Raw]
    degraded: list[str]


def searched(found: model.Found, explain: bool) -> Answer:
    """The answer of a search."""
    if explain:
        items = [item(hit.memory, hit.score, _details(hit, found.threshold)) for hit in found.hits]
        results = [msgspec.Raw(msgspec.json.encode(one)) for one in items]
    else:
        results = [
            msgspec.Raw(b'%b,"score":%b}' % (_kept(hit.memory), b"%r" % hit.score)) for hit in found.hits
        ]
    return Answer(results, [*found.degraded])


MOST_KEPT: Final = 16_384
LONGEST_KEPT: Final = 1_000
"""Bytes; together they take 16 MB at most, 6 MB with memories of a sentence."""
_encoded: Final[dict[uuid.UUID, tuple[model.Memory, bytes]]] = {}


def _kept(memory: model.Memory) -> bytes:
    """A memory as JSON without its last brace.

    The same ones are found again and again. None changes in place: another object may hold another text.
    """
    known = _encoded.get(memory.id)
    if known is not None and known[0] is memory:
        return known[1]
    encoded = msgspec.json.encode(item(memory))[:-1]
    if len(encoded) <= LONGEST_KEPT:
        if len(_encoded) >= MOST_KEPT:
            del _encoded[next(iter(_encoded))]
        _encoded[memory.id] = memory, encoded
    return encoded


def _details(found: model.Hit, threshold: float) -> dict[str, Any]:
    """mem0's `score_details`, and beside them the parts that memdeck adds up."""
    lexical = [part for part in found.parts if part.group == "lexical"]
    return {
        "semantic_score": max(0.0, found.cosine),
        "bm25_score": sum(part.part for part in lexical),
        "entity_boost": sum(part.part for part in found.parts if part.group == "graph"),
        "raw_score": sum(part.part for part in found.parts),
        "max_possible_score": 1.0,
        "final_score": found.score,
        "threshold": threshold,
        "keyword_hit": found.keyword,
        "parts": [
            {"feature": part.feature, "group": part.group, "raw": part.raw, "part": part.part}
            for part in found.parts
        ],
    }


def row(found: model.Memory) -> oss.OssRow:
    """One memory in an administrator's list of everything: what is not a column lies in its metadata."""
    names = found.identifiers
    extra = {
        "app_id": names.app,
        "role": found.role,
        "actor_id": found.actor,
        "memory_type": found.memory_type,
    }
    return oss.OssRow(
        id=str(found.id),
        memory=found.text,
        user_id=names.user,
        agent_id=names.agent,
        run_id=names.run,
        hash=found.hash,
        expiration_date=day_or_none(found.expiration_date),
        metadata={**found.metadata, **{name: value for name, value in extra.items() if value is not None}},
        created_at=iso(found.created_at),
        updated_at=iso(found.updated_at),
    )


def added(receipt: model.Receipt, infer: bool) -> oss.OssAdded:
    """The answer of an add: what was stored; with `infer`, items hold id, text and event only, as mem0's do."""
    return oss.OssAdded(
        results=[
            oss.OssAddedItem(
                id=str(outcome.id),
                memory=outcome.text,
                event=str(outcome.event),
                actor_id=UNSET if infer else outcome.actor,
                role=UNSET if infer else outcome.role,
                duplicate_of=str(outcome.duplicate_of) if outcome.duplicate_of else UNSET,
            )
            for outcome in receipt.outcomes
            if outcome.event is not model.Event.NONE
        ],
        event_id=str(receipt.id),
        status=receipt.status if receipt.queued else UNSET,
        message=receipt.note or UNSET,
    )


def history_entry(entry: model.HistoryEntry) -> oss.OssHistoryEntry:
    """One change of a memory."""
    return oss.OssHistoryEntry(
        id=str(entry.id),
        memory_id=str(entry.memory_id),
        old_memory=entry.old_text,
        new_memory=entry.new_text,
        event=str(entry.event),
        created_at=iso(entry.created_at),
        updated_at=iso(entry.changed_at),
        is_deleted=entry.event is model.Event.DELETE,
        actor_id=entry.actor,
        role=entry.role,
    )


def entity(found: model.Entity) -> oss.OssEntity:
    """A user, agent, app or run."""
    return oss.OssEntity(
        id=found.identifier.value,
        type=found.identifier.kind,
        total_memories=found.memories,
        created_at=iso(found.created_at),
        updated_at=iso(found.updated_at),
    )
