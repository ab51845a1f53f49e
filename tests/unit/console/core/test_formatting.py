"""Numbers, durations, sizes and times, as the look writes them."""

import pytest

from memdeck_console.core import formatting


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"), (0.04, "0.0"), (9.84, "9.8"), (140.2, "140.2"), (999.94, "999.9"), (999.96, "1.00s"),
        (1200, "1.20s"), (9994, "9.99s"), (9996, "10.0s"), (12_500, "12.5s"), (160_000, "160s"),
    ],
)  # fmt: skip
def test_latency_has_one_decimal_and_seconds_from_1000_ms(value: float | None, expected: str) -> None:
    assert expected == formatting.latency(value)


@pytest.mark.parametrize(("value", "expected"), [(84, "84.0 ms"), (1490, "1.49s"), (None, "–")])
def test_latency_in_text_names_its_unit_once(value: float | None, expected: str) -> None:
    assert expected == formatting.with_unit(value)


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "–"), (0, "0.0×"), (1.94, "1.9×"), (9.96, "10×"), (14.2, "14×")]
)
def test_burn_loses_its_decimal_from_10(value: float | None, expected: str) -> None:
    assert expected == formatting.burn(value)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "–"),
        (-3, "0s"),
        (9.9, "9s"),
        (250, "4m10s"),
        (3840, "1h04m"),
        (533_000, "6d04h"),
        (9e6, "104d"),
    ],
)
def test_durations_are_compact(seconds: float | None, expected: str) -> None:
    assert expected == formatting.duration(seconds)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (118e6, "118 MB"),
        (4.2e9, "4.2 GB"),
        (999.9e6, "1.0 GB"),
    ],
)
def test_sizes_are_spaced(octets: float | None, expected: str) -> None:
    assert expected == formatting.size(octets)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(None, "–"), (0, "0%"), (0.001, "1%"), (0.614, "61%"), (0.999, "99%"), (1, "100%")],
)
def test_percent_is_100_only_when_all_and_0_only_when_none(share: float | None, expected: str) -> None:
    assert expected == formatting.percent(share)


def test_times_are_utc() -> None:
    assert ("12:04:31Z", "20 Nov 12:04Z") == (formatting.clock(1795176271), formatting.day(1795176271))


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T12:04:31Z", "2026-11-20T12:04:31+00:00", "2026-11-20T13:04:31+01:00", "2026-11-20T12:04:31"],
)
def test_instants_are_read_in_any_zone_and_without_one_as_utc(text: str) -> None:
    assert 1795176271 == formatting.epoch_of(text)


@pytest.mark.parametrize("text", [None, "", "yesterday"])
def test_what_is_no_instant_is_missing(text: str | None) -> None:
    assert formatting.epoch_of(text) is None


def test_long_ids_show_groups_of_four_digits_of_their_end() -> None:
    identifier = "0193c0de-4a17-7c21-9b4e-0a527f3a91c2"
    assert ("7f3a 91c2", "7f3a91c2") == (formatting.short_id(identifier), formatting.typed_id(identifier))


def test_short_ids_stay_whole() -> None:
    assert "deploy-214" == formatting.short_id("deploy-214")
