"""Evidence recall of a dialogue file: `python -m bench.recall FILE`.

Without a server the conversations are scored in this process, over the same blocks and the same formula as the daemon's,
once with everything and once without each feature. With `--start` or `--url` every turn is stored and every question asked
over HTTP, as a client does. Prints a table; `--json` prints the figures.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench import dialogue
from bench.daemon import NotReadyError, OwnDaemon
from memdeck_common.client import Address, Client
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.recall import fusion

GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "without vectors": frozenset({"dense_cosine", "neighbour_cosine"}),
    "without words": frozenset({"bm25", "session", "answers_question"}),
    "without boosts": frozenset({"speaker", "named_date", "time_word", "length", "is_question"}),
    "without neighbours": frozenset({"neighbour_cosine", "session", "answers_question"}),
    "cosine alone": frozenset(fusion.WEIGHTS) - {"dense_cosine"},
    "words alone": frozenset(fusion.WEIGHTS) - {"bm25"},
}
"""Features whose weight is set to 0, by the name of the row."""
Row = tuple[float, ...]


def ablation(conversations: Sequence[dialogue.Heard]) -> dict[str, Row]:
    """Mean recall at each of `dialogue.KS`, by what was left out."""
    variants: dict[str, frozenset[str]] = {"everything": frozenset(), **GROUPS}
    variants |= {f"without {name}": frozenset({name}) for name in fusion.WEIGHTS}
    rows: dict[str, list[Row]] = {name: [] for name in variants}
    for heard in conversations:
        for asked, evidence in zip(heard.asked, heard.evidence, strict=True):
            found = fusion.features(heard.block, asked)
            for name, dropped in variants.items():
                rows[name].append(dialogue.recall_of(_order(found, dropped), evidence))
    return {name: dialogue.mean(some) for name, some in rows.items()}


def _order(found: fusion.Features, dropped: frozenset[str]) -> list[int]:
    """The best rows, newer ones first among equals, as `fusion.best` has it."""
    total: NDArray[np.float32] = np.zeros(len(found.cosine), np.float32)
    for name, values in found.values.items():
        if name not in dropped:
            total += values * np.float32(fusion.WEIGHTS[name][0])
    order = np.lexsort((-np.arange(len(total)), -total))
    return [int(row) for row in order[: max(dialogue.KS)]]


def by_category(conversations: Sequence[dialogue.Heard]) -> dict[str, Row]:
    """Mean recall of the formula as it is, by the category of the question."""
    rows: dict[str, list[Row]] = {}
    for heard in conversations:
        ranked = zip(dialogue.answers(heard), heard.evidence, heard.categories, strict=True)
        for found, evidence, category in ranked:
            rows.setdefault(category or "questions", []).append(dialogue.recall_of(found, evidence))
    return {name: dialogue.mean(some) for name, some in sorted(rows.items())}


async def served(address: Address, conversations: Iterable[dialogue.Conversation]) -> dict[str, Any]:
    """Recall and latency of a server; what is stored for it is deleted again."""
    rows: list[Row] = []
    milliseconds: list[float] = []
    async with Client(address) as client:
        for conversation in conversations:
            user = f"bench_recall_{conversation.id}_{int(time.time()):x}"
            try:
                await _store(client, user, conversation)
                for question in conversation.questions:
                    began = time.perf_counter()
                    found = await client.search(
                        question.question, {"user_id": user}, top_k=max(dialogue.KS), threshold=0.0
                    )
                    milliseconds.append((time.perf_counter() - began) * 1e3)
                    ids = [(hit.metadata or {}).get("turn") for hit in found.results]
                    rows.append(dialogue.recall_of(ids, frozenset(question.evidence)))
            finally:
                await client.delete_scope(user_id=user)
    p50, p99 = np.percentile(milliseconds, (50, 99))
    return {
        "recall": dialogue.mean(rows),
        "questions": len(rows),
        "search_ms": {"p50": round(float(p50), 2), "p99": round(float(p99), 2)},
    }


async def _store(client: Client, user: str, conversation: dialogue.Conversation) -> None:
    for turn in conversation.turns:
        await client.add(
            [{"role": "user", "name": turn.speaker, "content": turn.text}],
            user_id=user,
            run_id=f"{user}-{turn.session}",
            timestamp=turn.time,
            metadata={"turn": turn.id},
        )


def main() -> int:
    """Command line."""
    given = _parser().parse_args()
    conversations = dialogue.read(given.file)
    try:
        found = _measured(given, conversations)
    except NotReadyError as error:
        print(error, file=sys.stderr)
        return 1
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        _show(found)
    return 0


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench.recall", description=__doc__)
    options.add_argument("file", type=Path, help="a dialogue file (bench/dialogue.py has its form)")
    server = options.add_mutually_exclusive_group()
    server.add_argument("--start", action="store_true", help="ask a daemon of its own")
    server.add_argument("--url", help="ask a server that runs; its key: MEMDECK_API_KEY")
    options.add_argument("--json", action="store_true", help="figures for programs")
    return options


def _measured(given: argparse.Namespace, conversations: Sequence[dialogue.Conversation]) -> dict[str, Any]:
    if given.url or given.start:
        with contextlib.ExitStack() as stack:
            address = Address(given.url, os.environ.get("MEMDECK_API_KEY", ""))
            if given.start:
                own = stack.enter_context(OwnDaemon())
                own.start()
                address = Address(own.url, own.key)
            return {"served": asyncio.run(served(address, conversations))}
    embedder = LocalEmbedder.load()
    heard = [dialogue.heard(one, embedder) for one in conversations]
    return {"ablation": ablation(heard), "categories": by_category(heard)}


def _show(found: Mapping[str, Any]) -> None:
    console = Console()
    titles = [f"recall@{k}" for k in dialogue.KS]
    for name in ("ablation", "categories"):
        if name in found:
            _table(console, name, titles, found[name])
    if "served" in found:
        _table(console, "over HTTP", titles, {"everything": found["served"]["recall"]})
        console.print(f"search ms {found['served']['search_ms']}, {found['served']['questions']} questions")


def _table(console: Console, title: str, columns: Sequence[str], rows: Mapping[str, Row]) -> None:
    table = Table(title=title)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in values))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
