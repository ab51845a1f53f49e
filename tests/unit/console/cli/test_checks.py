"""The checks of `memdeck doctor` that need no file and no socket; the others are in tests/e2e/cli."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from memdeck_common import __version__
from memdeck_common.client import Address
from memdeck_common.errors import Forbidden, StoreUnavailable, Unauthenticated
from memdeck_common.paths import Home
from memdeck_common.settings import load
from memdeck_common.wire.feed import Service
from memdeck_common.wire.health import DaemonFile, Health
from memdeck_console.cli.checks import configuration, daemon, database, machine
from memdeck_console.cli.checks.site import Check, Site
from memdeck_console.cli.terminal import Terminal
from tests.fakes.cli_daemon import HEALTH
from tests.unit.console.cli.conftest import Stream

HOME = Home(Path("/nonexistent/memdeck"))
LIVING = msgspec.convert(HEALTH | {"version": __version__}, Health)
FILE = DaemonFile(
    url="http://127.0.0.1:8888",
    metrics_url="http://127.0.0.1:9103/metrics",
    pid=7,
    boot_id="b1",
    version="0.1.0",
    instance="studio",
)
QUIET = Site(
    home=HOME,
    environ={},
    terminal=Terminal(Stream(), Stream(), Stream(), {}, as_json=False),
    settings=load({"MEMDECK_HOME": str(HOME.root)}, {}),
    settings_error="",
    file=None,
    locked=False,
    address=None,
    health=None,
    refusal=None,
)
ANSWERING = replace(QUIET, file=FILE, locked=True, address=Address(FILE.url, "k"), health=LIVING)


def states(check: Check, site: Site) -> list[str]:
    return [finding.state for finding in check(site)]


def told(check: Check, site: Site) -> str:
    return " ".join(f"{finding.summary} {finding.advice}" for finding in check(site))


@pytest.mark.parametrize(
    ("site", "state", "words"),
    [
        (ANSWERING, "pass", "ok at http://127.0.0.1:8888, up 1h01m"),
        (replace(ANSWERING, health=msgspec.structs.replace(LIVING, status="degraded")), "warn", "degraded"),
        (replace(ANSWERING, health=msgspec.structs.replace(LIVING, status="down")), "fail", "down"),
        (QUIET, "warn", "memdeck up"),
        (replace(QUIET, file=FILE), "warn", "pid 7"),
        (replace(QUIET, file=FILE, locked=True), "fail", "does not answer"),
        (replace(QUIET, locked=True, address=Address("http://x", "")), "fail", "nothing answers at http://x"),
    ],
)
def test_daemon(site: Site, state: str, words: str) -> None:
    """Well, unwell, silent, absent: each is told apart and says what to do."""
    assert [state] == states(daemon.alive, site)
    assert words in told(daemon.alive, site)


def test_only_services_that_are_not_well_are_told() -> None:
    """Three good ones are no news."""
    services = [Service(name="api", state="ok"), Service(name="graph", state="na")]
    bad = [Service(name="lexical", state="warn", note="lag 12"), Service(name="postgres", state="crit")]
    site = replace(ANSWERING, health=msgspec.structs.replace(LIVING, services=services + bad))
    assert ["warn", "fail"] == states(daemon.services, site)
    assert "lag 12" in told(daemon.services, site)


@pytest.mark.parametrize(
    ("site", "state"),
    [
        (ANSWERING, "pass"),
        (replace(ANSWERING, refusal=Forbidden()), "pass"),
        (replace(ANSWERING, refusal=Unauthenticated()), "fail"),
        (replace(ANSWERING, refusal=StoreUnavailable()), "warn"),
    ],
)
def test_key(site: Site, state: str) -> None:
    """A key that is pinned elsewhere is a good key; one that is not known is not."""
    assert [state] == states(daemon.key, site)
    assert "k" != told(daemon.key, site)


def test_other_version_of_the_daemon() -> None:
    """After an upgrade the old daemon still runs."""
    assert [] == states(daemon.version, ANSWERING)
    old = replace(ANSWERING, health=msgspec.structs.replace(LIVING, version="0.0.1"))
    assert ["warn"] == states(daemon.version, old)


def test_clock_that_differs() -> None:
    """The daemon's clock is its start plus its uptime."""
    assert ["warn"] == states(daemon.clock, ANSWERING)
    assert [] == states(daemon.clock, QUIET)


def test_bad_setting() -> None:
    """The sentence names the variable."""
    site = replace(QUIET, settings=None, settings_error="MEMDECK_PORT cannot be used: Expected `int`.")
    assert ["fail"] == states(configuration.usable, site)
    assert "MEMDECK_PORT" in told(configuration.usable, site)


def test_misspelt_setting() -> None:
    """A name that nobody reads gets a suggestion."""
    site = replace(
        QUIET, environ={"MEMDECK_PROT": "1", "MEMDECK_PORT": "1", "MEMDECK_INSTANCE": "x", "PATH": ""}
    )
    assert "MEMDECK_PROT in the environment is not read by this version did you mean MEMDECK_PORT?" == told(
        configuration.spelled, site
    )


def test_this_machine_can_run_memdeck() -> None:
    """Tests run where the product runs."""
    for check in (machine.python, machine.packages, machine.embedded):
        assert {"pass"} == set(states(check, QUIET))


def test_screen() -> None:
    """No terminal is nothing to complain about; one without UTF-8 is told of --ascii."""
    assert ["na"] == states(machine.screen, QUIET)
    tty = Stream(tty=True)
    tty.reconfigure(encoding="latin-1")
    latin = replace(QUIET, terminal=Terminal(Stream(), tty, Stream(), {}, as_json=False))
    assert ["warn"] == states(machine.screen, latin)
    assert "--ascii" in told(machine.screen, latin)


def test_database_is_asked_through_the_daemon_when_it_answers() -> None:
    """It knows best; without a home there is none yet."""
    assert [] == states(database.database, ANSWERING)
    assert ["na"] == states(database.database, QUIET)
