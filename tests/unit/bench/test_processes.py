"""What a server costs, from the lines of /proc."""

from bench.processes import Process, Usage, parse_stat, usage_of

STAT = "4711 (a (strange) name) S 17 4711 4711 0 -1 4194560 9 0 0 0 150 50 300 100 20 0 3 0 99 1 2 3"


def test_a_name_may_hold_spaces_and_parentheses() -> None:
    """The fields are counted from the last one."""
    assert Process(4711, "a (strange) name", 17, own=2.0, ended=4.0) == parse_stat(STAT, ticks=100)


def test_the_database_is_what_runs_below_the_server() -> None:
    """Backends that ended count through their postmaster; other people's databases do not count. All else is the server's."""
    processes = [
        Process(1, "memdeckd", 0, own=5.0, ended=9.0),
        Process(2, "postgres", 1, own=1.0, ended=2.0),
        Process(3, "postgres", 2, own=4.0, ended=0.0),
        Process(4, "python", 1, own=7.0, ended=0.0),
        Process(5, "postgres", 0, own=50.0, ended=50.0),
    ]
    assert Usage(12.0, 7.0) == usage_of(1, {process.pid: process for process in processes})


def test_a_server_without_a_database_of_its_own_has_no_figure_for_it() -> None:
    """None is not nothing."""
    alone = Process(1, "memdeckd", 0, own=5.0, ended=0.0)
    assert Usage(5.0, None) == usage_of(1, {1: alone})
    assert Usage(2.0, None, 0.5) == Usage(5.0, None, 2.0).since(Usage(3.0, 1.0, 1.5))
    assert Usage(8.0, None, 3.5) == Usage(5.0, None, 2.0).plus(Usage(3.0, 1.0, 1.5))


def test_a_process_that_is_gone_has_no_usage() -> None:
    """Its figures went with it."""
    assert usage_of(1, {}) is None
