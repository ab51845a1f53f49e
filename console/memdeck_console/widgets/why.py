"""Why a result stands where it stands, and where the time of the search went."""

from memdeck_common.wire.memory import Explanation, Score, Stage
from memdeck_console.core import formatting
from memdeck_console.core.charts.bar import GLYPH, stage
from memdeck_console.core.inquiry import Inquiry, explanation_of, score_of
from memdeck_console.core.line import BLANK, Line, Row, Span, left, plain, right, space, spread, wrapped
from memdeck_console.widgets.panel import Sheet
from memdeck_console.widgets.results import PARTS, SHOWN

NAME, RAW, PART = 17, 5, 7
TEXT_ROWS = 3
LEAST_PART = 0.005
"""What would be written as 0.00."""
SHORT = 30
"""Rows of the terminal below which the text of the memory is not repeated."""
STAGE_NAME, STAGE_BAR = 18, 20


class Why(Sheet):
    """The features of the selected result with what was measured and what it adds."""

    def __init__(self, inquiry: Inquiry, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._inquiry = inquiry

    def build(self, width: int) -> list[Row]:
        """Title with the score, text, features, threshold."""
        memory = self._inquiry.memory
        if memory is None:
            return []
        score = score_of(memory)
        stale = self._view is not None and self._view.stale
        ink = "stale-dim" if stale else "text"
        summary: Line = (Span(formatting.MISSING if score is None else f"{score:.2f}", ink, bold=not stale),)
        rows = [Row(self.head(f"Why #{self._inquiry.selected + 1}", width, summary=summary).line)]
        if self.app.size.height >= SHORT:
            rows += [
                Row((Span(line, ink),)) for line in wrapped(plain(memory.memory[:SHOWN]), width, TEXT_ROWS)
            ]
            rows.append(BLANK)
        explanation = explanation_of(memory)
        if explanation is None:
            return [
                *rows,
                Row((Span("No parts: the search was asked without explain. f turns it on.", "muted"),)),
            ]
        rows.append(Row((Span(f"{'FEATURE':{NAME}}{'raw':>{RAW}}{'part':>{PART}}", "muted"),)))
        ordered = sorted(explanation.parts, key=_position)
        most = max((abs(part.part) for part in ordered), default=0.0)
        counting = [part for part in ordered if abs(part.part) >= LEAST_PART]
        rows += [Row(_feature(part, most, width, stale=stale)) for part in counting]
        if silent := len(ordered) - len(counting):
            rows.append(Row((Span(f"{silent} more add nothing", "faint"),)))
        return [*rows, Row(_threshold(explanation, width, stale=stale))]


def _position(part: Score) -> int:
    return PARTS.index(part.group) if part.group in PARTS else len(PARTS)


def _feature(part: Score, most: float, width: int, *, stale: bool) -> Line:
    room = max(1, width - NAME - RAW - PART - 2)
    filled = max(1, round(abs(part.part) / most * room)) if part.part and most else 0
    group = part.group if part.group in PARTS else "recency"
    sign = "−" if part.part < 0 else ""
    return (
        left(feature_name(part.feature), NAME, "stale-dim" if stale else "text"),
        right(_raw(part.raw), RAW, "stale-dim" if stale else "muted"),
        right(f"{sign}{abs(part.part):.2f}", PART, "stale-dim" if stale else "text"),
        Span("  "),
        Span(GLYPH * filled, "stale-dim" if stale else group),
    )


def feature_name(feature: str) -> str:
    """`bm25_neighbours` is `BM25 neighbours`."""
    return plain(feature).replace("_", " ").replace("bm25", "BM25")


def _raw(value: float) -> str:
    if value == int(value) and abs(value) < 10_000:  # noqa: PLR2004 - five columns
        return f"{int(value)}"
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def _threshold(explanation: Explanation, width: int, *, stale: bool) -> Line:
    begin: Line = (Span(f"threshold {explanation.threshold:.2f} on cosine", "muted"),)
    margin = explanation.semantic_score - explanation.threshold
    if margin >= 0:
        end: Line = (Span("passed", "stale-dim" if stale else "ok"), Span(f" by {margin:.2f}", "muted"))
    elif explanation.keyword_hit:
        end = (Span("exempt, keyword hit", "muted"),)
    else:
        end = (Span(f"below by {-margin:.2f}", "muted"),)
    return spread(begin, end, width)


class Stages(Sheet):
    """The stages of the search as a waterfall; arms run beside one another."""

    def __init__(self, inquiry: Inquiry, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._inquiry = inquiry

    def build(self, width: int) -> list[Row]:
        """Title with the total against the objective, one row per stage, a sentence."""
        stages = self._inquiry.stages
        if not stages:
            return []
        whole = max(stage.begin_ms + stage.milliseconds for stage in stages)
        slo = next(
            (op.slo for op in (self._view.operations if self._view else ()) if op.name == "search"), None
        )
        total = formatting.latency(whole)
        words = f"{total} of {slo:.0f} ms" if slo and not total.endswith("s") else formatting.with_unit(whole)
        over = slo is not None and whole > slo
        summary: Line = (Span(words, "warn" if over else "text", bold=over),)
        arms = [stage for stage in stages if stage.parallel]
        slowest = max(arms or stages, key=lambda stage: stage.milliseconds)
        head = self.head("Stages", width, unit="ms", summary=summary)
        rows = [head, *(Row(_stage(each, whole, width, slowest=each is slowest)) for each in stages)]
        if arms:
            rows.append(Row((Span(f"arms run in parallel, {plain(slowest.name)} was the slowest", "muted"),)))
        return rows


def _stage(each: Stage, whole: float, width: int, *, slowest: bool) -> Line:
    name = ("  " if each.parallel else "") + plain(each.name).replace("_", " ")
    bar = stage(
        each.begin_ms, each.milliseconds, whole, max(1, width - STAGE_BAR), "crest" if slowest else "band"
    )
    return (
        left(name, STAGE_NAME - 5),
        right(formatting.latency(each.milliseconds), 5, "text" if slowest else "muted"),
        space(STAGE_BAR - STAGE_NAME),
        *bar,
    )
