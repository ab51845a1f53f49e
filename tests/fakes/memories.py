"""Memories, explanations, stages and a history: the facts of the Memory mock-up."""

from typing import Any

from msgspec import structs

from memdeck_common.wire.memory import Explanation, HistoryEntry, Memory, Score, SearchAnswer, Stage

QUESTION = "who owns the staging database"
_DAYS = ("2026-11-20T10:02:00+00:00", "2026-11-03T16:40:00+00:00", "2026-09-28T08:15:00+00:00")
_HITS = (
    (0.91, "The staging database belongs to the data platform team", "run", "deploy-214", _DAYS[0], (0.48, 0.21, 0.14, 0.08)),
    (0.84, "Priya took over staging-db from Tom on 3 November", "run", "handover", "2026-11-03T09:00:00+00:00", (0.44, 0.23, 0.12, 0.05)),
    (0.77, "staging-db runs on pg-stg-02, owner label data-platform", "agent", "infra", "2026-10-27T09:00:00+00:00", (0.38, 0.17, 0.17, 0.05)),
    (0.63, "Ask #data-platform before a schema change on staging", "run", "schema-9", "2026-10-20T09:00:00+00:00", (0.38, 0.19, 0.06, 0.0)),
    (0.58, "Tom owned the staging database until November", "run", "handover", "2026-11-03T08:00:00+00:00", (0.33, 0.11, 0.14, 0.0)),
    (0.46, "Production and staging databases have separate owners", "agent", "infra", "2026-10-11T09:00:00+00:00", (0.32, 0.07, 0.07, 0.0)),
    (0.41, "Staging is rebuilt from the daily set every Monday", "agent", "ops", "2026-11-08T09:00:00+00:00", (0.28, 0.07, 0.06, 0.0)),
    (0.34, "Owner field is required in every database manifest", "run", "audit-3", "2026-09-15T09:00:00+00:00", (0.22, 0.12, 0.0, 0.0)),
)  # fmt: skip
_TAILS = ("7f3a91c2", "51be03d8", "88d0e17a", "2ac94f60", "0be717c4", "c4410a9e", "9d02c81b", "e7715da3")


def memory(index: int, **fields: Any) -> Memory:
    """One of the eight, without a score unless it came from a search."""
    _, text, kind, name, created, _ = _HITS[index]
    made = Memory(
        id=f"0193c0de-4a17-7c21-9b4e-0a52{_TAILS[index]}", memory=text, hash="d41d8cd98f00b204", categories=None,
        metadata={"source": "deploy-bot", "channel": "#data-platform"} if index == 0 else None,
        created_at=_DAYS[2] if index == 0 else created, updated_at=created, user_id="ops",
        agent_id=name if kind == "agent" else None, run_id=name if kind == "run" else None,
        actor_id="tom" if index == 0 else None,
    )  # fmt: skip
    return structs.replace(made, **fields)


def hit(index: int) -> Memory:
    """One of the eight as a search finds it."""
    score, parts = _HITS[index][0], _HITS[index][5]
    return structs.replace(memory(index), score=score, score_details=explanation(score, parts))


def explanation(score: float, parts: tuple[float, float, float, float]) -> Explanation:
    """Six features in four groups; the dense and lexical parts are split between own text and neighbours."""
    dense, lexical, graph, recency = parts
    features = [
        Score(feature="dense_cosine", group="dense", raw=0.83, part=round(dense * 0.8125, 2)),
        Score(feature="neighbour_cosine", group="dense", raw=0.79, part=round(dense * 0.1875, 2)),
        Score(feature="bm25_own_turn", group="lexical", raw=11.2, part=round(lexical * 0.762, 2)),
        Score(feature="bm25_neighbours", group="lexical", raw=4.1, part=round(lexical * 0.238, 2)),
        Score(feature="graph_links", group="graph", raw=3, part=graph),
        Score(feature="recency", group="recency", raw=0.98, part=recency),
    ]
    return Explanation(
        parts=features, final_score=score, threshold=0.3, semantic_score=0.83, keyword_hit=lexical > 0
    )


STAGES = [
    Stage(name="embed_query", begin_ms=0.0, milliseconds=3.1),
    Stage(name="dense", begin_ms=3.1, milliseconds=4.8, parallel=True),
    Stage(name="lexical", begin_ms=3.1, milliseconds=2.0, parallel=True),
    Stage(name="graph", begin_ms=3.1, milliseconds=6.9, parallel=True),
    Stage(name="recency", begin_ms=3.1, milliseconds=0.9, parallel=True),
    Stage(name="fusion", begin_ms=10.0, milliseconds=0.6),
    Stage(name="hydrate", begin_ms=10.6, milliseconds=1.5),
]


def answer(number: int = 8) -> SearchAnswer:
    """The first hits, explained."""
    return SearchAnswer(results=[hit(i) for i in range(number)], total=1_204_881, stages=STAGES)


def _entry(index: int, event: str, who: str, old: str | None, new: str | None) -> HistoryEntry:
    return HistoryEntry(
        id=f"0193c0de-0000-7000-8000-00000000000{index}", memory_id=memory(0).id, input=[], old_memory=old,
        new_memory=new, user_id="ops", event=event, metadata=None, created_at=_DAYS[2 - index],
        updated_at=_DAYS[2 - index], is_deleted=False, actor_id=None, role=None, changed_by=who, undo_until=None,
    )  # fmt: skip


_FIRST = "The staging database belongs to the infra team"
HISTORY = [
    _entry(0, "ADD", "tom", None, "The staging database belongs to infra"),
    _entry(
        1,
        "UPDATE",
        "priya",
        "The staging database belongs to infra",
        "The staging database belongs to the infra team",
    ),
    _entry(2, "UPDATE", "deploy-bot", _FIRST, "The staging database belongs to the data platform team"),
]
