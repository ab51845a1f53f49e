"""Fits the weights of recall's fusion on a dialogue file: `python -m bench.fit_weights FILE`.

Owns the search and its honesty. For every way to leave two conversations out, weights are fitted on the others and
measured on those two. The fit maximises the probability that a softmax over all turns of a conversation gives to the
annotated ones: a smooth aim, which generalises better than climbing recall@k itself, whose steps it would learn by heart.
A penalty keeps the weights near those that are in use (or near zero: `--from-zero`).
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench import dialogue
from memdeck_daemon.memory.embedding.local import LocalEmbedder
from memdeck_daemon.memory.recall import fusion

Floats = NDArray[np.float32]
Weights = NDArray[np.float64]

NAMES: Final = tuple(fusion.WEIGHTS)
IN_USE: Final = np.array([fusion.WEIGHTS[name][0] for name in NAMES])
SHARPNESS: Final = 8.0
"""Weights are as large as this times those in use while they are fitted: a softmax needs contrast."""
RATE: Final = 0.15
HALVES: Final = (6.0, 8.0, 10.0, 12.0)
WINDOWS: Final = (
    (0.4, 0.7, 0.7, 0.4),
    (0.3, 0.6, 0.6, 0.3),
    (0.25, 0.5, 0.5, 0.25),
    (0.2, 0.5, 0.7, 0.4),
    (0.5, 0.8, 0.6, 0.3),
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One conversation: what every question finds, and what it should find."""

    features: Floats
    """Shape (questions, rows, features)."""
    wanted: Floats
    """Shape (questions, rows): the annotated turns, 1 in all for each question."""


def sheet(heard: dialogue.Heard, half: float, window: Sequence[float]) -> Sheet:
    """The features of a conversation; those that say nothing about a question are 0."""
    rows = len(heard.block)
    features = np.zeros((len(heard.asked), rows, len(NAMES)), np.float32)
    wanted = np.zeros((len(heard.asked), rows), np.float32)
    for number, (asked, evidence) in enumerate(zip(heard.asked, heard.evidence, strict=True)):
        found = fusion.features(heard.block, asked, half=half, window=np.array(window, np.float32))
        for column, name in enumerate(NAMES):
            if name in found.values:
                features[number, :, column] = found.values[name]
        wanted[number, list(evidence)] = 1 / len(evidence)
    return Sheet(features, wanted)


def fitted(sheets: Sequence[Sheet], start: Weights, penalty: float, steps: int) -> Weights:
    """Weights by Adam on the cross entropy, sum of squares of what they moved times `penalty` / 2 added."""
    anchor = start * SHARPNESS
    weights, mean, square = anchor.copy(), np.zeros(len(anchor)), np.zeros(len(anchor))
    questions = sum(len(one.wanted) for one in sheets)
    for step in range(1, steps + 1):
        slope = sum((_slope(one, weights) for one in sheets), np.zeros(len(anchor))) / questions
        slope += penalty * (weights - anchor)
        mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        rate = RATE if step < 0.6 * steps else 0.3 * RATE
        weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    return weights


def _slope(one: Sheet, weights: Weights) -> Weights:
    scores = one.features @ weights.astype(np.float32)
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    slope: Weights = np.einsum("qr,qrf->f", scores - one.wanted, one.features).astype(np.float64)
    return slope


def recall(sheets: Iterable[Sheet], weights: Weights) -> NDArray[np.float64]:
    """Evidence recall at each of `dialogue.KS`, over all questions."""
    found = []
    for one in sheets:
        scores = one.features @ weights.astype(np.float32)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : max(dialogue.KS)]
        share = np.cumsum(np.take_along_axis(one.wanted, order, 1), axis=1)
        found.append(share[:, [min(k, share.shape[1]) - 1 for k in dialogue.KS]])
    mean: NDArray[np.float64] = np.concatenate(found).mean(axis=0)
    return mean


def in_use_scale(weights: Weights) -> dict[str, float]:
    """The weights by name, scaled so that BM25 weighs what it weighs in use."""
    scale = IN_USE[NAMES.index("bm25")] / weights[NAMES.index("bm25")]
    return {name: round(float(value * scale), 3) for name, value in zip(NAMES, weights, strict=True)}


def trial(sheets: Sequence[Sheet], start: Weights, penalty: float, steps: int) -> dict[str, Any]:
    """Recall of the weights in use, of fits on those left out and on the rest, and the weights fitted on everything."""
    held, trained, before = [], [], []
    for out in itertools.combinations(range(len(sheets)), 2):
        inside = [one for number, one in enumerate(sheets) if number not in out]
        outside = [sheets[number] for number in out]
        weights = fitted(inside, start, penalty, steps)
        held.append(recall(outside, weights))
        trained.append(recall(inside, weights))
        before.append(recall(outside, IN_USE))
    everything = fitted(sheets, start, penalty, steps)
    return {
        "in_use": _shown(np.mean(before, axis=0)),
        "train": _shown(np.mean(trained, axis=0)),
        "held_out": _shown(np.mean(held, axis=0)),
        "everything": _shown(recall(sheets, everything)),
        "weights": in_use_scale(everything),
    }


def _shown(values: NDArray[np.float64]) -> list[float]:
    return [round(100 * float(value), 1) for value in values]


def main() -> int:
    """Command line."""
    options = argparse.ArgumentParser(prog="python -m bench.fit_weights", description=__doc__)
    options.add_argument("file", type=Path, help="a dialogue file with at least three conversations")
    options.add_argument("--penalty", type=float, nargs="+", default=[0.003, 0.01, 0.03])
    options.add_argument("--half", type=float, nargs="+", default=list(HALVES))
    options.add_argument("--windows", action="store_true", help="try other windows of neighbours, too")
    options.add_argument("--from-zero", action="store_true", help="forget the weights in use")
    options.add_argument("--steps", type=int, default=150)
    options.add_argument("--json", action="store_true", help="a JSON object per line")
    given = options.parse_args()
    embedder = LocalEmbedder.load()
    heard = [dialogue.heard(one, embedder) for one in dialogue.read(given.file)]
    start = np.zeros(len(NAMES)) if given.from_zero else IN_USE
    for half, window in itertools.product(given.half, WINDOWS if given.windows else WINDOWS[:1]):
        sheets = [sheet(one, half, window) for one in heard]
        for penalty in given.penalty:
            found = {"half": half, "window": window, "penalty": penalty}
            found |= trial(sheets, start, penalty, given.steps)
            print(json.dumps(found) if given.json else _line(found), flush=True)
    return 0


def _line(found: dict[str, Any]) -> str:
    figures = "  ".join(
        f"{name} {'/'.join(map(str, found[name]))}" for name in ("in_use", "train", "held_out", "everything")
    )
    return f"half {found['half']:g} window {found['window']} penalty {found['penalty']:g}: {figures}\n  {found['weights']}"


if __name__ == "__main__":
    sys.exit(main())
