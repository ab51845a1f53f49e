"""The glyphs of the look and their ASCII twins.

Owns the mark and word of each state, and the one translation by which every drawn row becomes ASCII. Rows are always
made with the full glyphs; `ascii_text` keeps their width, so that nothing moves.
"""

import re

MARKS = {"ok": "●", "warn": "▲", "crit": "■", "stale": "◌", "na": "–"}
WORDS = {"ok": "OK", "warn": "WARN", "crit": "CRIT", "stale": "STALE", "na": "N/A"}
INKS = {"ok": "ok", "warn": "warn", "crit": "crit", "stale": "stale", "na": "muted"}

SPARK = "▁▂▃▄▅▆▇"
_ASCII = str.maketrans(
    {
        "●": "+", "▲": "!", "■": "X", "◌": "?", "–": "-", "✓": "v", "✗": "x", "◆": "*", "◇": "o",
        "━": "=", "╸": "=", "╺": "=", "╾": "=", "╼": "=", "─": "-", "╴": "-", "╶": "-", "╌": "-",
        "│": "|", "┃": "|", "┼": "|", "┤": "|", "┿": "|", "┥": "|", "┽": "|", "├": "|", "┝": "|",
        "▸": ">", "▌": ">", "×": "x", "−": "-", "·": ".", "█": "#", "“": '"', "”": '"', "’": "'",
        "▁": ".", "▂": ":", "▃": "-", "▄": "=", "▅": "+", "▆": "*", "▇": "#",
    }
)  # fmt: skip
_BRAILLE = re.compile("[\u2801-\u28ff]")
_OVER = re.compile(f"[{SPARK}]")
_CUT = re.compile("..…")
_ARROWS = re.compile("[─-]→|←[─-]|→|←")


def ascii_text(text: str, ink: str) -> str:
    """The same cells in ASCII; chart marks above the objective (ink `warn`) become `#`.

    Letters of other scripts stay: they are the user's words, not ours.
    """
    if text.isascii():
        return text
    over = ink == "warn"
    text = _BRAILLE.sub("#" if over else "o", text)
    if over:
        text = _OVER.sub("#", text)
    text = _CUT.sub("...", text).replace("…", ".")
    text = _ARROWS.sub(lambda found: _arrow(found.group()), text)
    return text.translate(_ASCII)


def _arrow(text: str) -> str:
    if len(text) == 1:
        return ">" if text == "→" else "<"
    return "->" if text[1] == "→" else "<-"
