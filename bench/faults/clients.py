"""Clients that write down all that they do, against a daemon that may be gone at any moment.

Owns how an answer becomes an outcome: 2xx is acknowledged, 4xx and 503 are refused (503 promises that nothing was done),
everything else, a broken connection above all, is unknown. A client with idempotency keys repeats an add until it is
answered, with the same key; one without tries once. Answers that declare themselves degraded are not judged.
"""

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from bench.faults.history import GONE, History, Outcome, Subject

PATIENCE: Final = 10.0
"""Seconds for which a client waits for an answer."""
TEXT: Final = re.compile(r"(\S+) stands at (\d+)\.")
PAGE: Final = 200
PAUSE: Final = 0.05
"""Seconds before something is tried again."""
UNKNOWN: Final = "outcome_unknown"
"""The code of a refusal that promises nothing."""
KEPT: Final = 40
"""Memories of a client that it still changes and reads; older ones are only looked at in the end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 when nothing did."""

    status: int
    body: Any = None
    headers: Any = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """What it says of a write."""
        if 200 <= self.status < 300:
            return "ok"
        refused = 400 <= self.status < 500 or self.status in {503, 507}
        return "fail" if refused and self.body.get("code") != UNKNOWN else "unknown"

    @property
    def declared(self) -> bool:
        """Whether it says that it is not the whole truth."""
        return (
            bool(self.headers.get("Memdeck-Degraded"))
            or self.headers.get("Memdeck-Mode", "normal") != "normal"
        )


class Site:
    """The daemon as clients reach it: an address that stays, and a key."""

    def __init__(self, url: str, key: str, *, patience: float = PATIENCE) -> None:
        self._url, self._key = url, key
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=patience, sock_connect=2),
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
        )

    async def close(self) -> None:
        """End all connections."""
        await self._session.close()

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request; nothing is raised."""
        data = None if body is None else msgspec.json.encode(body)
        sent = {"X-API-Key": self._key, "Content-Type": "application/json", **headers}
        try:
            async with self._session.request(method, self._url + path, data=data, headers=sent) as answer:
                raw = await answer.read()
                return Answer(answer.status, msgspec.json.decode(raw) if raw else None, answer.headers)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return Answer(0)

    async def memories(self, user: str) -> list[tuple[str, int]]:
        """Token and version of all memories of a user.

        Raises:
            RuntimeError: the daemon does not answer, though all is over.
        """
        found: list[tuple[str, int]] = []
        for page in range(1, 10_000):
            path = f"/v3/memories/?page={page}&page_size={PAGE}"
            answer = await self.call("POST", path, {"filters": {"user_id": user}})
            if answer.status != 200:
                raise RuntimeError(f"the memories of {user} cannot be listed: {answer.status} {answer.body}")
            found += [known for row in answer.body["results"] if (known := parsed(row["memory"]))]
            if page * PAGE >= answer.body["count"]:
                break
        return found


def parsed(text: str) -> tuple[str, int] | None:
    """Token and version of a memory's text."""
    match = TEXT.fullmatch(text)
    return (match[1], int(match[2])) if match else None


class Writer:
    """One client and its memories; `run` until told to stop."""

    def __init__(self, name: str, site: Site, history: History, *, seed: int, keyed: bool) -> None:
        self.user, self._name, self._site, self._history, self._keyed = (
            f"user_{name}",
            name,
            site,
            history,
            keyed,
        )
        self._random, self._count = random.Random(f"{seed} {name}"), 0
        self.mine: list[Subject] = []
        self.others: list[Writer] = []

    async def run(self, stopping: Callable[[], bool]) -> None:
        """Write and read, one thing after the other; what was begun is finished."""
        while not stopping():
            chance = self._random.random()
            if chance < 0.45 or not self.mine:
                await self._add()
            elif chance < 0.6:
                await self._change(self._random.choice(self.mine), delete=False)
            elif chance < 0.7:
                await self._change(self._random.choice(self.mine), delete=True)
            else:
                await self._read()

    async def _add(self) -> None:
        self._count += 1
        token = f"{self._name}n{self._count}"
        subject = self._history.subject(token, self.user)
        body = {
            "messages": [{"role": "user", "content": subject.text(0)}], "user_id": self.user, "infer": False
        }  # fmt: skip
        headers = {"Idempotency-Key": token} if self._keyed else {}
        write = self._history.invoke(subject, 0)
        answer = await self._until_answered("POST", "/v3/memories/add/", body, **headers)
        self._history.complete(write, answer.outcome)
        if answer.outcome == "ok" and answer.body.get("results"):
            subject.id = answer.body["results"][0]["id"]
            self.mine = [*self.mine, subject][-KEPT:]

    async def _change(self, subject: Subject, *, delete: bool) -> None:
        version = GONE if delete else subject.next_version
        path, body = f"/v1/memories/{subject.id}/", None if delete else {"text": subject.text(version)}
        begun = self._history.now()
        write = self._history.invoke(subject, version)
        answer = await self._until_answered("DELETE" if delete else "PUT", path, body)
        if answer.status == 404:
            # A deletion that was repeated, or one whose outcome was not known, has happened; else something is lost.
            gone = delete and self._keyed
            self._history.complete(write, "ok" if gone else "fail")
            if not gone and not answer.declared:
                self._history.read(subject, GONE, begun)
        else:
            self._history.complete(write, answer.outcome)
        if delete:
            self.mine.remove(subject)

    async def _until_answered(self, method: str, path: str, body: Any, **headers: str) -> Answer:
        """The answer; a client with keys asks until there is one that is no refusal for now."""
        while True:
            answer = await self._site.call(method, path, body, **headers)
            if answer.outcome == "ok" or 400 <= answer.status < 500:
                return answer
            await asyncio.sleep(PAUSE)
            if not self._keyed:
                return answer

    async def _read(self) -> None:
        writer = self._random.choice([self, *self.others])
        if not writer.mine:
            return
        subject = writer._random.choice(writer.mine)  # noqa: SLF001 - one of us
        begun = self._history.now()
        if self._random.random() < 0.5:
            await self._get(subject, begun)
        else:
            await self._search(subject, begun)

    async def _get(self, subject: Subject, begun: float) -> None:
        answer = await self._site.call("GET", f"/v1/memories/{subject.id}/")
        if answer.declared or answer.status not in {200, 404}:
            self._history.counts["read declared" if answer.declared else f"read {answer.status}"] += 1
            return
        known = parsed(answer.body["memory"]) if answer.status == 200 else None
        self._history.read(subject, known[1] if known else GONE, begun)

    async def _search(self, subject: Subject, begun: float) -> None:
        """What is found is judged; what is not found may rank too low."""
        body = {"query": subject.token, "filters": {"user_id": subject.user}, "top_k": 5, "threshold": 0}
        answer = await self._site.call("POST", "/v3/memories/search/", body)
        if answer.declared or answer.status != 200:
            self._history.counts["read declared" if answer.declared else f"read {answer.status}"] += 1
            return
        for row in answer.body["results"]:
            if (known := parsed(row["memory"])) and known[0] == subject.token:
                self._history.read(subject, known[1], begun)


def crew(site: Site, history: History, *, seed: int, keyed: int, unkeyed: int) -> list[Writer]:
    """Clients with idempotency keys and without, each of which reads what the others write."""
    writers = [
        Writer(f"s{seed}w{number}", site, history, seed=seed, keyed=number < keyed)
        for number in range(keyed + unkeyed)
    ]
    for writer in writers:
        writer.others = [other for other in writers if other is not writer]
    return writers
