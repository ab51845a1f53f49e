"""What holds for every test: a clean environment, no network beyond this machine, and an event loop that is not blocked.

Warnings are errors by pyproject.toml. Fixtures here are those that more than one folder of tests uses.
"""

from tests.support import environment

# Before any import of ours: Textual and mem0 read their settings when they are imported.
_HOME = environment.isolate()

import contextlib  # noqa: E402 - see above
import gc  # noqa: E402
import re  # noqa: E402
import uuid  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from tests.support import servers, unit_time  # noqa: E402
from tests.support.daemon import DaemonFactory, RunningDaemon  # noqa: E402
from tests.support.loop_watch import CPU_LIMIT, LoopWatch  # noqa: E402
from tests.support.network import NetworkGuard  # noqa: E402

_NETWORK = NetworkGuard()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "loop_limit(seconds): CPU time that one callback may use here; say why in a comment"
    )
    config.pluginmanager.register(unit_time.UnitTime())
    # No deadline: an example is not slow because somebody else uses the machine. In CI the same examples each time.
    hypothesis.settings.register_profile("memdeck", deadline=None, derandomize=servers.in_ci(), database=None)
    hypothesis.settings.load_profile("memdeck")
    _NETWORK.arm()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What fails fast comes first, while the process is small.
    items.sort(key=lambda item: unit_time.UNIT not in item.path.parents)


def pytest_collection_finish() -> None:
    # What was imported and collected stays to the end: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    _NETWORK.disarm()
    environment.remove(_HOME)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = servers.summary()
    if lines:
        terminalreporter.section("servers that are not installed", yellow=True)
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def unblocked_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test when one callback, its own steps included, holds an event loop for too long."""
    marker = request.node.get_closest_marker("loop_limit")
    with LoopWatch(cpu_limit=marker.args[0] if marker else CPU_LIMIT) as watch:
        yield
    if watch.complaints:
        pytest.fail("the event loop was blocked:\n" + "\n".join(watch.complaints), pytrace=False)


@pytest.fixture
def scope(request: pytest.FixtureRequest) -> str:
    """A user id that no other test has, for tests that share a daemon."""
    name = re.sub(r"\W+", "_", request.node.name)[:40].strip("_")
    return f"{name}_{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def daemon() -> Iterator[RunningDaemon]:
    """The daemon that tests share: they use scopes of their own and neither stop it nor change its settings."""
    shared = RunningDaemon()
    try:
        yield shared.start()
    finally:
        shared.dispose()


@pytest.fixture
def make_daemon() -> Iterator[DaemonFactory]:
    """Starts daemons that the test may kill: `make_daemon(environment={…}, arguments=(…), start=False)`."""
    with contextlib.ExitStack() as made:

        def make(*, start: bool = True, **options: Any) -> RunningDaemon:
            one = RunningDaemon(**options)
            made.callback(one.dispose)
            return one.start() if start else one

        yield make
