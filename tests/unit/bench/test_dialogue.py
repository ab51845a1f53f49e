"""Dialogue files, and what is measured on them; a made-up file, because none is part of the project."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from bench import dialogue, fit_weights, recall
from memdeck_daemon.memory.embedding.local import Vectors
from memdeck_daemon.memory.recall.fusion import WEIGHTS

TEXTS = (
    "Hey, good to see you!", "I adopted a terrier called Biscuit", "What a name!", "The violin lesson was hard",
    "I bought a kettle", "We hiked to the old lighthouse", "Rain again", "My brother builds model ships",
)  # fmt: skip
FILE = {
    "licence": "none",
    "conversations": [
        {
            "id": f"c{number}",
            "turns": [
                {
                    "id": f"D{place // 4 + 1}:{place}",
                    "session": place // 4 + 1,
                    "time": f"2026-0{number + 1}-0{place + 1}T10:00:00+00:00",
                    "speaker": "Ada" if place % 2 else "Bob",
                    "text": text,
                }
                for place, text in enumerate(TEXTS)
            ],
            "questions": [
                {"question": "What is Ada's terrier called?", "evidence": ["D1:1"], "category": "single"},
                {
                    "question": "Where did Ada hike and what does her brother build?",
                    "evidence": ["D2:5", "D2:7"],
                },
            ],
        }
        for number in range(3)
    ],
}


class WordEmbedder:
    """A fixed direction per word: texts that share words are near each other."""

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), 256), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, sum(word.encode()) % 256] += 1
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors


@pytest.fixture
def heard(tmp_path: Path) -> list[dialogue.Heard]:
    path = tmp_path / "dialogue.json"
    path.write_text(json.dumps(FILE), encoding="utf-8")
    return [dialogue.heard(one, WordEmbedder()) for one in dialogue.read(path)]


def test_a_conversation_becomes_a_block_of_linked_turns(heard: list[dialogue.Heard]) -> None:
    """One run per session; evidence as rows; the named speaker is known."""
    one = heard[0]
    assert 8 == len(one.block)
    assert [-1, -1, 1, 2] == one.block.links.values[0].tolist()
    assert [-1, -1, 5, 6] == one.block.links.values[4].tolist()
    assert [frozenset({1}), frozenset({5, 7})] == list(one.evidence)
    assert one.block.actors["Ada"] == one.asked[0].actor


def test_recall_counts_the_evidence_among_the_first() -> None:
    """At 5, 10 and 20."""
    assert (0.5, 1.0, 1.0) == dialogue.recall_of([3, 0, 0, 0, 0, 7], frozenset({3, 7}))
    assert (25.0, 50.0, 75.0) == dialogue.mean([(0.0, 0.5, 1.0), (0.5, 0.5, 0.5)])


def test_the_ablation_agrees_with_the_formula(heard: list[dialogue.Heard]) -> None:
    """With everything it ranks as searches do; each feature has a row of its own."""
    found = recall.ablation(heard)
    ranked = [
        dialogue.recall_of(rows, wanted)
        for one in heard
        for rows, wanted in zip(dialogue.answers(one), one.evidence, strict=True)
    ]
    assert dialogue.mean(ranked) == found["everything"]
    assert {f"without {name}" for name in WEIGHTS} <= found.keys()
    assert {"single", "questions"} == recall.by_category(heard).keys()


def test_fitting_prefers_what_finds_the_evidence(heard: list[dialogue.Heard]) -> None:
    """From nothing it learns that shared words matter, and reports what it was never shown."""
    sheets = [fit_weights.sheet(one, 10.0, (0.4, 0.7, 0.7, 0.4)) for one in heard]
    nothing = np.zeros(len(fit_weights.NAMES))
    weights = fit_weights.fitted(sheets, nothing, 0.001, 60)
    assert weights[fit_weights.NAMES.index("bm25")] > 0
    found = fit_weights.trial(sheets, nothing, 0.001, 30)
    assert found["held_out"][0] >= 50
    assert {"in_use", "train", "held_out", "everything", "weights"} == found.keys()
    assert pytest.approx(WEIGHTS["bm25"][0]) == found["weights"]["bm25"]
