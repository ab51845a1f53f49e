"""Tables that fit the terminal."""

import pytest

from memdeck_console.cli.terminal import Column, clean, fitted

COLUMNS = (Column("ID"), Column("MEMORY", cut=True), Column("OF", cut=True), Column("CREATED"))


@pytest.mark.parametrize(
    ("width", "widths"),
    [
        (200, [36, 90, 20, 20]),  # all of it
        (120, [36, 38, 20, 20]),  # the text gives way
        (100, [36, 18, 20, 20]),
        (86, [36, 12, 12, 20]),  # then the other one
        (80, [36, 28, 12, 0]),  # then the last column drops and leaves its room to the text
        (40, [36, 0, 0, 0]),  # ids are never cut
    ],
)
def test_widths(width: int, widths: list[int]) -> None:
    """Ids and times stay whole; texts are cut; columns drop from the right."""
    assert widths == fitted(COLUMNS, [36, 90, 20, 20], width)


def test_clean_takes_what_moves_or_hides() -> None:
    """Escapes, line breaks and direction marks become a blank; letters of all scripts stay."""
    assert "a b c" == clean("a\x1b\x07b\r\n\tc\n")
    assert "x y" == clean("x\u202ey")
    assert "日本 ñ" == clean("日本 ñ")
