"""Which processes belong to a cluster, where there is no /proc."""

from pathlib import Path

from memdeck_daemon.infra.postgres.processes import Residents, from_listing

LISTING = """
    1 /sbin/launchd
  501 /opt/venv/pginstall18/bin/postgres -D /srv/a b/postgres/main-1/data
  502 postgres: main-1: checkpointer
  503 postgres: main-1: memdeck memdeck [local] idle
  601 /opt/venv/pginstall18/bin/postgres -D /srv/a b/postgres/main-10/data
  602 postgres: main-10: checkpointer
  700 vim /srv/a b/postgres/main-1/data
  701 grep postgres: main-1: x
  702
"""


def test_only_processes_of_the_cluster_are_found() -> None:
    """Neighbours with a similar name and editors of its files are somebody else's."""
    found = from_listing(LISTING, Path("/srv/a b/postgres/main-1/data"), "main-1")
    assert found == Residents(frozenset({501}), frozenset({502, 503}))


def test_a_stopped_cluster_has_none() -> None:
    """Which is what a start waits for."""
    assert not from_listing(LISTING, Path("/elsewhere/data"), "other-2")
