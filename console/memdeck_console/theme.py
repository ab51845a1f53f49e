"""The looks: dark, light and high contrast, each one Textual theme whose variables are the tokens `$md-…`.

Owns every colour of the console. The chrome of a `prd` profile is a class on the app, not a theme, so that it holds in
each look. Refuses to know where a token is used.
"""

from textual.theme import Theme

_DARK = {
    "bg": "#0E1217", "surface": "#161C24", "raised": "#212A35", "rule": "#303B48",
    "text": "#DCE3EB", "muted": "#93A0AF", "faint": "#74808D", "accent": "#6FB7F2",
    "ok": "#67BF8A", "warn": "#EDB64C", "crit": "#FF6E6E",
    "stale": "#A79CC8", "stale-dim": "#827B99", "stale-band": "#403C52",
    "warn-tint": "#2A2414", "crit-tint": "#3A181D", "stale-tint": "#221F2E", "accent-tint": "#17293A",
    "band": "#4E7391", "crest": "#6FB7F2",
    "dense": "#57A5C6", "lexical": "#D59BD0", "graph": "#7CC6BB", "recency": "#93A0AF",
}  # fmt: skip
_LIGHT = {
    "bg": "#FBFAF7", "surface": "#F0EEE8", "raised": "#E3E0D7", "rule": "#CFCBC0",
    "text": "#1D2329", "muted": "#59636E", "faint": "#6B737B", "accent": "#0B62A8",
    "ok": "#1D7A45", "warn": "#8F5B00", "crit": "#BE1E2D",
    "stale": "#67549B", "stale-dim": "#746B89", "stale-band": "#D5D0E0",
    "warn-tint": "#FBEFD2", "crit-tint": "#FBE0E0", "stale-tint": "#EBE6F5", "accent-tint": "#DFECF8",
    "band": "#6A93B4", "crest": "#0B62A8",
    "dense": "#2F769D", "lexical": "#96478F", "graph": "#1E766B", "recency": "#59636E",
}  # fmt: skip
_CONTRAST = {
    **_DARK,
    "bg": "#000000", "surface": "#000000", "raised": "#333333", "rule": "#8C8C8C",
    "text": "#FFFFFF", "muted": "#FFFFFF", "faint": "#FFFFFF", "accent": "#7CC4FF",
    "ok": "#7CE3A1", "warn": "#FFD05C", "crit": "#FF8585",
    "stale": "#D3C8F5", "stale-dim": "#D3C8F5", "stale-band": "#8C86A3",
    "warn-tint": "#000000", "crit-tint": "#000000", "stale-tint": "#000000", "accent-tint": "#000000",
    "band": "#7FA9C9", "crest": "#A6D9FF",
}  # fmt: skip

TINTS = ("warn-tint", "crit-tint", "stale-tint", "accent-tint")
TOKENS = tuple(_DARK)
REVERSING = "memdeck-contrast"
"""The look without tints: rows that have one elsewhere are reversed in it."""


def _theme(name: str, tokens: dict[str, str], *, dark: bool) -> Theme:
    return Theme(
        name=name,
        dark=dark,
        primary=tokens["accent"],
        secondary=tokens["muted"],
        accent=tokens["accent"],
        warning=tokens["warn"],
        error=tokens["crit"],
        success=tokens["ok"],
        foreground=tokens["text"],
        background=tokens["bg"],
        surface=tokens["surface"],
        panel=tokens["raised"],
        variables={f"md-{token}": colour for token, colour in tokens.items()}
        | {
            "input-cursor-background": tokens["accent"],
            "input-cursor-foreground": tokens["bg"],
            "input-selection-background": tokens["accent-tint"],
            "scrollbar": tokens["rule"],
            "scrollbar-background": tokens["bg"],
            "scrollbar-background-hover": tokens["bg"],
            "scrollbar-background-active": tokens["bg"],
            "scrollbar-hover": tokens["muted"],
            "scrollbar-active": tokens["accent"],
            "scrollbar-corner-color": tokens["bg"],
        },
    )


THEMES = {
    "dark": _theme("memdeck-dark", _DARK, dark=True),
    "light": _theme("memdeck-light", _LIGHT, dark=False),
    "contrast": _theme(REVERSING, _CONTRAST, dark=True),
}
