"""Rows of text: widths, cutting, titles, and what comes from outside."""

import pytest
from rich.cells import cell_len

from memdeck_console.core.glyphs import ascii_text
from memdeck_console.core.line import (
    Span,
    cut,
    cut_line,
    left,
    plain,
    right,
    spread,
    title,
    width_of,
    wrapped,
)


@pytest.mark.parametrize(
    "text", ["a\x1b[2Jb", "a\rb", "a\nb\tc", "a\x00b", "a\u202eb", "a\u2028b", "a\x9bb", "a\u200bb"]
)
def test_nothing_from_outside_can_move_the_cursor(text: str) -> None:
    """Control, format and bidi characters become spaces."""
    assert plain(text).isprintable()


def test_plain_text_of_any_script_stays() -> None:
    assert "Grüße 東京 🙂" == plain("Grüße 東京 🙂")


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abc def", 5, "abc…"),
        ("東京都", 5, "東京…"),
        ("ab", 0, ""),
    ],
)
def test_cut_text_ends_in_an_ellipsis(text: str, width: int, expected: str) -> None:
    assert expected == cut(text, width)


def test_words_are_left_and_numbers_right() -> None:
    assert ("ab   ", "   12") == (left("ab", 5).text, right("12", 5).text)


def test_a_number_is_never_cut() -> None:
    assert "123456" == right("123456", 3).text


def test_a_row_is_as_wide_as_asked_whatever_is_in_it() -> None:
    assert [20] * 3 == [width_of(spread((Span("東京" * n),), (Span("end"),), 20)) for n in (1, 5, 50)]


def test_lines_are_cut_at_the_end_of_their_room() -> None:
    assert "abc…" == "".join(span.text for span in cut_line((Span("abc"), Span("def")), 4))


def test_a_title_has_a_hairline_to_its_summary() -> None:
    line = title("Latency", 30, unit="ms", summary=(Span("over 5 min", "muted"),))
    assert "Latency ms ──────── over 5 min" == "".join(span.text for span in line)


def test_the_title_of_the_focused_section_is_accent() -> None:
    assert {"accent"} == {span.ink for span in title("Log", 20, focused=True)}


def test_text_is_wrapped_between_words_and_the_rest_is_cut() -> None:
    assert ["the staging", "database b…"] == wrapped("the staging database belongs to infra", 11, 2)


def test_a_word_that_is_too_long_is_broken() -> None:
    assert ["aaaaa", "aaaaa", "aa"] == wrapped("a" * 12, 5, 9)


@pytest.mark.parametrize("text", ["● OK", "━━╌│┼▸", "abc…", "─owned_by→", "⣿⣀⠿", "▁▂▇█", "“x” – y×2"])
def test_ascii_keeps_the_width(text: str) -> None:
    made = ascii_text(text, "text")
    assert made.isascii()
    assert cell_len(text) == cell_len(made)


@pytest.mark.parametrize(
    ("text", "ink", "expected"),
    [
        ("●▲■◌–", "text", "+!X?-"),
        ("▁▂▃▄▅▆▇", "band", ".:-=+*#"),
        ("▁▂▃", "warn", "###"),
        ("⣿⡇", "crest", "oo"),
        ("⣿⡇", "warn", "##"),
        ("long wor…", "text", "long w..."),
        ("─→", "text", "->"),
    ],
)
def test_ascii_has_the_glyphs_of_the_look(text: str, ink: str, expected: str) -> None:
    assert expected == ascii_text(text, ink)
