"""How long the unit tests take together; they are run all the time, so they have to stay fast."""

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.servers import in_ci

UNIT = Path(__file__).resolve().parent.parent / "unit"

LIMIT = 10.0
"""Seconds for all of them. CI holds the CPU time to it, because its wall clock is shared."""


class UnitTime:
    """A pytest plugin that adds up the time of the tests below tests/unit."""

    def __init__(self) -> None:
        self.count = 0
        self.wall = 0.0
        self.cpu = 0.0

    @property
    def exceeded(self) -> bool:
        """Whether CI should refuse the run."""
        return in_ci() and self.cpu > LIMIT

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        wall, cpu = time.perf_counter(), time.process_time()
        result = yield
        if UNIT in item.path.parents:
            self.count += 1
            self.wall += time.perf_counter() - wall
            self.cpu += time.process_time() - cpu
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.exceeded and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.count:
            line = (
                f"unit tests: {self.count} in {self.wall:.1f} s, {self.cpu:.1f} s of CPU (limit {LIMIT:g} s)"
            )
            terminalreporter.write_line(line, red=self.cpu > LIMIT)
