"""The numbers of each dependency's breaker.

Failures, open period and trials of postgresql, neo4j and openai_api are contract; the others follow from how much a call
that fails costs, and how soon it is missed.
"""

from dataclasses import replace
from typing import Final

from memdeck_daemon.infra.resilience.breaker import Policy

POSTGRESQL: Final = Policy(consecutive=5, open_seconds=30.0, half_open=3, slow_seconds=10.0)
"""Its health look closes it as soon as the server answers, so nobody waits for the half minute to end."""
POSTGRESQL_UNWATCHED: Final = replace(POSTGRESQL, open_seconds=1.0)
"""In a process that has no health look: it has to try for itself."""
NEO4J: Final = Policy(consecutive=3, open_seconds=45.0, half_open=1, slow_seconds=5.0)
OPENAI_API: Final = Policy(consecutive=10, open_seconds=60.0, half_open=1, slow_seconds=20.0)
"""Any remote embedder; the local one answers meanwhile. A batch of memories may take a while."""
REDIS: Final = Policy(consecutive=2, open_seconds=3.0, half_open=1, slow_seconds=0.4, window=10.0)
"""A failed call costs a search up to twice its timeout, and going without costs little."""
QDRANT: Final = Policy(consecutive=3, open_seconds=15.0, half_open=1, slow_seconds=1.0)
