"""A daemon that answers by script, behind the real client: what the command line asks for, without a socket."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from memdeck_common.client import Address, Answer, Client
from memdeck_common.errors import MemdeckError, NotFound

MEMORY: dict[str, Any] = {
    "id": "0193c0de-0000-7000-8000-000000000001",
    "memory": "Prefers window seats",
    "hash": "h",
    "metadata": None,
    "categories": None,
    "created_at": "2026-11-20T09:30:00+00:00",
    "updated_at": "2026-11-20T09:30:00+00:00",
    "user_id": "alice",
}
HEALTH: dict[str, Any] = {
    "status": "ok",
    "mode": "normal",
    "degraded": [],
    "instance": "studio",
    "version": "0.1.0",
    "boot_id": "b1",
    "started_at": "2026-11-20T09:00:00+00:00",
    "uptime_seconds": 3700.0,
    "services": [],
    "counts": {"memories": 12345, "users": 3},
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request that was made."""

    method: str
    path: str
    body: Any
    params: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(slots=True)
class ScriptedDaemon:
    """Answers by method and beginning of the path; the longest beginning wins."""

    answers: dict[tuple[str, str], Any] = field(default_factory=lambda: {("GET", "/health"): HEALTH})
    calls: list[Call] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)

    def on(self, method: str, path: str, answer: Any) -> None:
        """Answer with a value, raise an error, or call a function of the call."""
        self.answers[method, path] = answer

    def connect(self, address: Address) -> Client:
        """A client of this daemon."""
        self.addresses.append(address)
        return ScriptedClient(address, self)

    def sent(self, method: str, path: str) -> list[Call]:
        """The calls whose path begins like that."""
        return [call for call in self.calls if call.method == method and call.path.startswith(path)]

    def answer(self, call: Call) -> Any:
        """What the script says."""
        self.calls.append(call)
        fitting = [key for key in self.answers if key[0] == call.method and call.path.startswith(key[1])]
        if not fitting:
            raise NotFound
        answer = self.answers[max(fitting, key=lambda key: len(key[1]))]
        if isinstance(answer, MemdeckError):
            raise answer
        return answer(call) if callable(answer) else answer


class ScriptedClient(Client):
    """The real client with another transport."""

    def __init__(self, address: Address, daemon: ScriptedDaemon) -> None:
        super().__init__(address)
        self._daemon = daemon

    async def _call(
        self,
        method: str,
        path: str,
        answer_type: type[Answer],
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (200, 201, 202),
    ) -> Answer:
        del accept
        sent = msgspec.json.decode(msgspec.json.encode(body))
        answer = self._daemon.answer(Call(method, path, sent, params or {}, headers or {}))
        return msgspec.convert(answer, answer_type)
