"""Many memories of one user, or of many: `python -m bench.scale --memories 1000000`.

A daemon of the benchmark's own is filled with synthetic memories, its indexes are built, it is started anew, and then loops
are driven over it. Owns the order of the phases. Everything that is measured stands beside what limits it: recall beside
exact search, rates beside a bare loop over the same arms in this process. The driver shares the processors with the daemon.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray
from rich.console import Console

from bench import bulk, embedder, machine
from bench.daemon import NotReadyError, OwnDaemon
from bench.driver import ADD, ANY, Driver, Outcome
from bench.processes import resident_mb, searcher_of, usage
from bench.reference import TOP, Reference
from bench.scale_report import ScaleReport, SearchFigure, database_mb, figure, show
from bench.synthetic import Synthetic
from memdeck_daemon.memory.embedding.calibration import scale
from memdeck_daemon.memory.vectors.files import manifests

SPACE: Final = 2
AGENTS: Final = 20
POOL: Final = 2_000
OPEN_LINES: Final = 64
RECALL: Final = 200
FUSED: Final = 40
"""Questions for which the whole answer is compared with that of exact arms."""
PATIENCE: Final = 1_500.0
OTHERS: Final = 1_024
"""Vectors of texts that are no questions."""
WARM_USER: Final = "bench_warm"
CACHE: Final = str(512 * 1024 * 1024)


def main() -> int:
    """Command line."""
    given = _options().parse_args()
    console = Console() if sys.stdout.isatty() else Console(width=150)
    if given.smoke:
        given.memories, given.seconds, given.solo = 12_000, 1.0, 40
        # It shows that all of it works, on whatever machine: not how much of it there may be.
        given.rate, given.writes = 50.0, 10.0
    settings = dict(pair.split("=", 1) for pair in given.set)
    try:
        found = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(_whole(given, settings, console))
    except NotReadyError as error:
        console.print(str(error), style="bold red", markup=False)
        return 1
    show(found, console)
    if given.json:
        known = msgspec.json.decode(given.json.read_bytes()) if given.json.exists() else {}
        known[f"{given.memories} memories, {given.users} users"] = msgspec.to_builtins(found)
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(known)) + b"\n")
    return 1 if any(one.failed for one in found.searches) else 0


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__.splitlines()[0])
    options.add_argument("--memories", type=int, default=100_000, help="memories in all (100000)")
    options.add_argument("--users", type=int, default=1, help="users that they belong to (1)")
    options.add_argument("--dims", type=int, default=1536, help="dimensions (1536)")
    options.add_argument("--run-length", type=int, default=10, help="memories of a run; 0: no runs (10)")
    options.add_argument("--seconds", type=float, default=12.0, help="of each loop, about (12)")
    options.add_argument("--solo", type=int, default=600, help="searches with one agent (600)")
    options.add_argument(
        "--rate", type=float, default=1_000.0, help="requests per second of the open loop (1000)"
    )
    options.add_argument(
        "--writes", type=float, default=250.0, help="adds per second while searches go on (250)"
    )
    options.add_argument("--seed", type=int, default=1, help="the same seed makes the same memories (1)")
    options.add_argument("--folder", type=Path, help="where there is room: 12 GB for a million")
    options.add_argument("--json", type=Path, metavar="FILE", help="put the figures there as well")
    options.add_argument(
        "--smoke", action="store_true", help="a run of seconds that shows that all of it works"
    )
    options.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the daemon"
    )
    return options


async def _whole(given: argparse.Namespace, settings: dict[str, str], console: Console) -> ScaleReport:
    life = Synthetic(given.seed, given.dims)
    vectors = embedder.Told(life.batch(10**9, OTHERS).vectors)
    async with embedder.serving(vectors) as url:
        settings = {
            "MEMDECK_EMBEDDING_URL": url, "MEMDECK_EMBEDDING_MODEL": "synthetic",
            "MEMDECK_EMBEDDING_DIMS": str(given.dims), "MEMDECK_EMBEDDING_CACHE_BYTES": CACHE, **settings,
        }  # fmt: skip
        own = OwnDaemon(settings, folder=given.folder)
        try:
            return await Scale(given, own, life, vectors, console).run()
        finally:
            await asyncio.to_thread(own.__exit__)


class Scale:
    """One run."""

    def __init__(
        self,
        given: argparse.Namespace,
        own: OwnDaemon,
        life: Synthetic,
        vectors: embedder.Told,
        console: Console,
    ) -> None:
        self._given, self._own, self._life, self._told, self._console = given, own, life, vectors, console
        self._users = [f"bench_user_{number:05}" for number in range(given.users)]
        self._asked = life.batch(0, min(given.memories, bulk.BATCH))
        self._random = random.Random(given.seed)
        self._kinds = 0
        self.report = ScaleReport(
            machine=machine.described(), memories=given.memories, users=given.users, dimensions=given.dims,
            run_length=given.run_length,
        )  # fmt: skip

    def _say(self, sentence: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {sentence}", style="dim")

    async def run(self) -> ScaleReport:
        """All phases."""
        await self._load()
        await self._index()
        await self._restart()
        await self._recall()
        await self._loops()
        return self.report

    # --- filling ------------------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        given = self._given
        self.report.first_start_seconds = await asyncio.to_thread(self._own.start)
        connection = await bulk.connected(self._own.sandbox)
        began = time.perf_counter()
        try:
            loader = bulk.Loader(connection, self._life, self._users, SPACE, given.run_length)
            await loader.load(given.memories, self._progress(given.memories))
        finally:
            await connection.close()
        self.report.load_seconds = time.perf_counter() - began

    def _progress(self, whole: int) -> Any:
        def say(done: int) -> None:
            if done % max(1, whole // 10) < bulk.BATCH:
                self._say(f"loaded {done:,} of {whole:,}")

        return say

    async def _index(self) -> None:
        """The keyword index and, for one user, the vector index."""
        began = time.perf_counter()
        async with self._session() as session:
            before = (await self._status(session))["lexical"]["rebuilds"]
            for name in ("lexical", "vectors"):
                async with session.post(f"/ops/projections/{name}/rebuild") as answer:
                    answer.raise_for_status()
            body = self._bodies(["begin"])[0]
            lexical = vectors = 0.0
            while not (lexical and vectors):
                async with session.post("/search", data=body) as answer:
                    answer.raise_for_status()
                found = await self._status(session)
                elapsed = time.perf_counter() - began
                words = found["lexical"]
                if not lexical and words["rebuilds"] > before and words["complete"]:
                    lexical = elapsed
                    self._say(f"keyword index after {lexical:.0f} s")
                ready = any(
                    one["state"] == "ready" and one["memories"] for one in found["vectors"]["vectors"]
                )
                if not vectors and (ready or given_small(self._given)):
                    vectors = elapsed
                    self._say(f"vector index after {vectors:.0f} s")
                if elapsed > PATIENCE:
                    raise NotReadyError(f"the indexes are not ready: {found}")
                await asyncio.sleep(0.5)
        self.report.keyword_index_seconds, self.report.vector_index_seconds = lexical, vectors

    async def _status(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        """The projections by name."""
        async with session.get("/ops/projections") as answer:
            answer.raise_for_status()
            return {one["name"]: one for one in (await answer.json())["projections"]}

    def _session(self) -> aiohttp.ClientSession:
        headers = {"X-API-Key": self._own.key, "Content-Type": "application/json"}
        return aiohttp.ClientSession(self._own.url, headers=headers)

    def _driver(self) -> Driver:
        return Driver(self._own.url, self._own.key)

    async def _restart(self) -> None:
        """Seconds until it is ready, and until it answers quickly and with all arms."""
        self.report.files_mb = (
            sum(f.stat().st_size for f in self._own.home.glob("indexes/**/*") if f.is_file()) / 1e6
        )
        await asyncio.to_thread(self._own.stop)
        began = time.perf_counter()
        self.report.restart_seconds = await asyncio.to_thread(self._own.start)
        texts = self._questions(1_000)[0]
        async with self._driver() as driver:
            for body in self._bodies(texts):
                outcome = await driver.run(ANY, [body], clients=1)
                if not outcome.degraded and outcome.latencies and outcome.latencies[0] < 50:
                    break
                await asyncio.sleep(0.2)
        self.report.full_speed_seconds = time.perf_counter() - began
        self._say(
            f"ready after {self.report.restart_seconds:.1f} s, at full speed after {self.report.full_speed_seconds:.1f} s"
        )

    # --- asking -------------------------------------------------------------------------------------------------------

    def _questions(self, count: int) -> tuple[list[str], NDArray[np.float16]]:
        """Questions that nobody asked before; the embedder knows them."""
        self._kinds += 1
        texts, vectors = self._life.questions(self._asked, count, self._kinds)
        self._told.tell(texts, vectors)
        return texts, vectors

    def _bodies(self, texts: Sequence[str], user: str | None = None) -> list[bytes]:
        return [
            msgspec.json.encode(
                {
                    "query": text,
                    "filters": {"user_id": user or self._random.choice(self._users)},
                    "top_k": TOP,
                }
            )
            for text in texts
        ]

    async def _warmed(self, count: int) -> list[str]:
        """Questions whose vectors the daemon has in its cache, although they were not asked of these users."""
        texts, _ = self._questions(count)
        async with self._driver() as driver:
            await driver.run(ANY, self._bodies(texts, WARM_USER), clients=AGENTS, limit=120)
        return texts

    async def _recall(self) -> None:
        if len(self._users) > 1 or given_small(self._given):
            return
        texts, vectors = self._questions(RECALL)
        reference = await asyncio.to_thread(self._reference)
        exact = await asyncio.to_thread(reference.nearest, vectors, TOP)
        wide = vectors[:, :].astype(np.float32)
        some = reference.vectors.view.base[:20_000].astype(np.float32)
        self.report.median_cosine = float(np.median(wide @ some.T))
        best = [
            max(float(v) for v in reference.vectors.cosines(np.array(sorted(rows)), one))
            for rows, one in zip(exact, vectors, strict=True)
        ]
        self.report.top_cosine = statistics.median(best)
        found = [reference.proposed(one, TOP) for one in vectors]
        self.report.recall_dense = _overlap(exact, found)
        self.report.recall_fused = await self._fused(reference, texts[:FUSED], vectors[:FUSED])
        self._say(
            f"recall@10: dense {self.report.recall_dense:.3f}, fused {self.report.recall_fused:.3f}; "
            f"cosines: best {self.report.top_cosine:.2f}, median {self.report.median_cosine:.2f}"
        )
        texts, vectors = self._questions(int(400 * self._given.seconds))
        self.report.bare_rate = await asyncio.to_thread(reference.bare, texts, vectors)
        self._say(f"bare loop: {self.report.bare_rate:,.0f} answers/s")

    def _reference(self) -> Reference:
        owner = next(one for _, one in manifests(self._own.home / "indexes" / "vectors"))
        backgrounds: dict[int, float | None] = {}
        return Reference.opened(
            self._own.home / "indexes", owner.owner.partition(":")[2], scale(backgrounds, SPACE)
        )

    async def _fused(self, reference: Reference, texts: list[str], vectors: NDArray[np.float16]) -> float:
        """The daemon's answers against those of the same fusion with an exact dense arm."""
        arms = reference.arms(exact=True)
        wanted = [set(reference.answer(arms, *one)) for one in zip(texts, vectors, strict=True)]
        given = []
        async with self._session() as session:
            for body in self._bodies(texts):
                async with session.post("/search", data=body) as answer:
                    given.append({one["id"] for one in (await answer.json())["results"]})
        return _overlap(wanted, given)

    # --- loops --------------------------------------------------------------------------------------------------------

    async def _loops(self) -> None:
        given = self._given
        number = int(1_500 * given.seconds)
        new = self._bodies(await self._warmed(number))
        for clients, bodies in ((AGENTS, new), (1, self._bodies(await self._warmed(given.solo)))):
            async with self._driver() as driver:
                await self._measured(
                    f"new questions, {clients} agents",
                    driver.run(ANY, bodies, clients=clients, limit=given.seconds),
                )
        self._memory()
        pool = await self._warmed(POOL)
        pool_bodies = self._bodies(pool)
        async with self._driver() as driver:
            await driver.run(ANY, pool_bodies, clients=AGENTS, limit=60)
            count = int(given.rate * given.seconds)
            mixed, repeated = self._mixed(pool_bodies, await self._warmed(count // 5 + 1), count)
            found = await self._measured(
                f"open loop, {given.rate:.0f}/s",
                driver.paced(ANY, mixed, rate=given.rate, connections=OPEN_LINES, most=count),
            )
            found.pool_hits = found.hits / max(1, repeated)
            # The loop before waited in part for its own requests; answers are still kept.
            mixed, repeated = self._mixed(
                pool_bodies, await self._warmed(int(900 * given.seconds)), int(4_500 * given.seconds)
            )
            found = await self._measured(
                "closed loop of the same mix",
                driver.run(ANY, mixed, clients=AGENTS, limit=given.seconds),
            )
            mixed, repeated = self._mixed(pool_bodies, await self._warmed(count // 5 + 1), count)
            writing = asyncio.create_task(self._adds(1.0, given.seconds))
            found = await self._measured(
                "open loop, one add a second",
                driver.paced(ANY, mixed, rate=given.rate, connections=OPEN_LINES, most=count),
            )
            found.pool_hits = found.hits / max(1, repeated)
            await writing
        await self._written()

    def _mixed(self, pool: list[bytes], new: list[str], count: int) -> tuple[list[bytes], int]:
        """Four of five from the pool, one of five new; how many are from the pool."""
        fresh, bodies = iter(self._bodies(new)), list[bytes]()
        for number in range(count):
            body = next(fresh, None) if number % 5 == 4 else self._random.choice(pool)
            bodies.append(self._random.choice(pool) if body is None else body)
        return bodies, count - count // 5

    async def _written(self) -> None:
        """Adds at a rate, while as many searches go on as there is room for."""
        given = self._given
        bodies = self._bodies(await self._warmed(int(200 * given.seconds)))
        async with self._driver() as driver:
            writing = asyncio.create_task(self._adds(given.writes, given.seconds))
            searching = driver.paced(ANY, bodies[: int(100 * given.seconds)], rate=100, connections=4)
            await self._measured(f"new questions, 100/s beside {given.writes:.0f} adds/s", searching)
            self.report.searches.append(figure(f"adds, {given.writes:.0f}/s", await writing))

    async def _adds(self, rate: float, seconds: float) -> Outcome:
        batch = self._life.batch(10**8 + self._kinds, max(1, int(rate * seconds)))
        bodies = [
            msgspec.json.encode({
                "messages": [{"role": "user", "content": text}], "user_id": self._random.choice(self._users), "infer": False,
            })
            for text in batch.texts
        ]  # fmt: skip
        async with self._driver() as driver:
            return await driver.paced(ADD, bodies, rate=rate, connections=20)

    async def _measured(self, name: str, loop: Any) -> SearchFigure:
        before, own = usage(self._own.pid), time.process_time()
        outcome: Outcome = await loop
        after = usage(self._own.pid)
        used = after.since(before) if before is not None and after is not None else None
        found = figure(name, outcome, used, time.process_time() - own)
        self.report.searches.append(found)
        self._say(
            f"{name}: {found.rate:,.0f}/s, p50 {found.p50:.1f}, p95 {found.p95:.1f}, p99 {found.p99:.1f} ms {found.degraded or ''}"
        )
        return found

    def _memory(self) -> None:
        self.report.daemon_mb = resident_mb(self._own.pid)
        self.report.searcher_mb = resident_mb(searcher_of(self._own.pid))
        self.report.database_mb = database_mb(self._own.pid)


def given_small(given: argparse.Namespace) -> bool:
    """Whether each user's memories are searched whole."""
    return bool(given.memories / given.users <= 10_000)


def _overlap(wanted: Sequence[set[Any]], found: Sequence[set[Any]]) -> float:
    return statistics.fmean(len(a & b) / max(1, len(a)) for a, b in zip(wanted, found, strict=True))


if __name__ == "__main__":
    sys.exit(main())
