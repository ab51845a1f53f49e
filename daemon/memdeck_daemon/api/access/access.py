"""Keys: who may enter, as whom, and how often.

Owns the daemon's picture of all keys (digest → principal), which is loaded at the start, after each change and every few
seconds, so that several daemons on one database agree; at a start without a database, from the copy on the disk. Checking a key is arithmetic: no I/O, no slow hash (keys are 256
random bits, so HMAC-SHA-256 is enough). Refuses to log or keep a key.
"""

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from memdeck_common import errors
from memdeck_common.clock import Clock, Identity
from memdeck_common.log import action
from memdeck_common.paths import Home
from memdeck_common.settings import Server
from memdeck_common.wire.keys import CreatedKey, Key, Keys, NewKey
from memdeck_daemon.api.access import secrets_on_disk
from memdeck_daemon.api.access.keys_on_disk import KeysOnDisk
from memdeck_daemon.api.access.limits import Allowance, Limiter
from memdeck_daemon.api.access.principals import ANYBODY, Principal, reach_of
from memdeck_daemon.api.access.store import KeyRow, KeyStore
from memdeck_daemon.memory.model import EVERYTHING, Caller

log = logging.getLogger(__name__)
REFRESH_SECONDS: Final = 3.0
TOUCH_SECONDS: Final = 60.0
"""How often the last use of one key is written at most."""
PREFIX_LENGTH: Final = 12
REFUSAL_LOG_SECONDS: Final = 10.0
MOST_PER_HOUR: Final = 2_000_000_000
NO_KEY: Final = "Authentication required. Provide a Bearer token or X-API-Key header."
WRONG_KEY: Final = "Invalid API key."


class Access:
    """All keys of this daemon. `load` before use; `run` for as long as it serves."""

    def __init__(
        self, settings: Server, home: Home, store: KeyStore, clock: Clock, identity: Identity
    ) -> None:
        self._settings, self._home, self._store = settings, home, store
        self._clock, self._identity = clock, identity
        self._disk = KeysOnDisk(home.known_keys)
        self._secret = b""
        self._admin: dict[bytes, Principal] = {}
        self._principals: dict[bytes, Principal] = {}
        # Plain SHA-256 of keys that were found good since the last refresh: an eighth of the HMAC's time.
        self._recent: dict[bytes, Principal] = {}
        # A refresh that read its rows before a change must not end after it: a new key would be unknown for seconds.
        self._changing = asyncio.Lock()
        self._limiter = Limiter()
        self._used: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}
        self._refused, self._refusal_logged = 0, float("-inf")

    async def load(self) -> None:
        """Read or make the secrets of the home, then read all keys.

        Raises:
            ConfigurationError: a secret cannot be used, or authentication is disabled on an address that others reach.
        """
        if self._settings.auth_disabled:
            check_open(self._settings.host)
            log.warning(
                "authentication is disabled: whoever reaches the port is admin", extra=action("auth_disabled")
            )
        self._secret = await asyncio.to_thread(secrets_on_disk.hash_key, self._home)
        admin = await asyncio.to_thread(secrets_on_disk.admin_key, self._home, self._identity.token)
        caller = Caller("admin", "admin", EVERYTHING)
        self._admin = {self._digest(admin): Principal(caller, "admin", 0, "admin_api_key")}
        try:
            await self.refresh()
        except errors.Unavailable:
            rows = await asyncio.to_thread(self._disk.read)
            self._take(rows)
            log.warning(
                "the database does not answer: the %d keys that were known last are checked meanwhile",
                len(rows),
                extra=action("keys_from_disk", keys=len(rows)),
            )

    async def refresh(self) -> None:
        """Read all keys again."""
        async with self._changing:
            await self._read()

    async def _read(self) -> None:
        rows = await self._store.all()
        self._take(rows)
        await self._copy(rows)

    async def _copy(self, rows: Sequence[KeyRow]) -> None:
        try:
            await asyncio.to_thread(self._disk.write, rows)
        except OSError as error:
            raise errors.Unavailable(
                f"{self._disk.path} can neither be written nor removed ({error.strerror}); nothing was changed."
            ) from None

    def _take(self, rows: Sequence[KeyRow]) -> None:
        self._principals = {row.digest: self._principal(row) for row in rows if row.revoked_at is None}
        self._recent.clear()

    async def run(self) -> None:
        """Keep the keys fresh and write down their use, until cancelled; what is pending is written at the end."""
        try:
            while True:
                await asyncio.sleep(REFRESH_SECONDS)
                await self.agree()
        finally:
            with contextlib.suppress(errors.MemdeckError):
                await self._write_use()

    async def agree(self) -> None:
        """Read the keys and write down their use, each as far as the database lets it; it may take no writes at all."""
        for step in (self.refresh, self._write_use):
            with contextlib.suppress(errors.MemdeckError):
                await step()

    # --- on every request -------------------------------------------------------------------------------------------

    def authenticate(self, headers: Mapping[str, str], remote: str | None = None) -> Principal:
        """The principal of a request.

        Raises:
            Unauthenticated: no key, or none that is known.
        """
        text = _key_of(headers)
        found = self._found(text) if text else None
        if found is not None:
            self._note_use(found)
            return found
        if self._settings.auth_disabled:
            return ANYBODY
        if not text:
            raise errors.Unauthenticated(NO_KEY)
        self._note_refusal(remote)
        raise errors.Unauthenticated(WRONG_KEY)

    def spend(self, principal: Principal) -> Allowance | None:
        """Take one request from what the principal may do this hour; None where there is no limit."""
        if not principal.limit:
            return None
        now = self._clock.now().timestamp()
        return self._limiter.spend(principal.caller.key_id, principal.limit, self._clock.monotonic(), now)

    # --- administration ---------------------------------------------------------------------------------------------

    async def create(self, new: NewKey) -> CreatedKey:
        """Make a key; the answer is the only place where it is told.

        Raises:
            BadField: a rate limit beyond what can be counted.
        """
        if new.rate_limit is not None and new.rate_limit > MOST_PER_HOUR:
            raise errors.BadField(f"rate_limit must be at most {MOST_PER_HOUR:,}.", field="rate_limit")
        key = secrets_on_disk.PREFIX + self._identity.token(secrets_on_disk.KEY_BYTES)
        row = KeyRow(
            id=self._identity.uuid(),
            label=new.label,
            key_prefix=key[:PREFIX_LENGTH],
            digest=self._digest(key),
            role=new.role,
            users=tuple(new.users),
            agents=tuple(new.agents),
            rate_limit=new.rate_limit,
            created_at=self._clock.now(),
        )
        async with self._changing:
            await self._store.insert(row)
            self._principals[row.digest] = self._principal(row)
            with contextlib.suppress(errors.Unavailable):  # the next refresh sees to the copy
                await self._read()
        fields = action("key_created", key_id=str(row.id), role=row.role, label=row.label)
        log.info("made key %s", row.key_prefix, extra=fields)
        return CreatedKey(key=key, **{name: getattr(_listed(row), name) for name in Key.__struct_fields__})

    async def list(self) -> Keys:
        """All keys, newest first."""
        return Keys(keys=[_listed(row) for row in await self._store.all()])

    async def revoke(self, reference: str) -> Key:
        """End a key at once, named by its id, its prefix, or an unambiguous beginning of either.

        Raises:
            KeyNotFound: there is none.
            Conflict: several begin like that, or it has been revoked before.
        """
        rows = await self._store.all()
        row = _named(rows, reference)
        if row.revoked_at is not None:
            raise errors.Conflict(f"Key {row.key_prefix} has been revoked already.")
        async with self._changing:
            # First the copy: should the daemon end now, no later one takes the key for good.
            await self._copy([other for other in rows if other.id != row.id])
            await self._store.revoke(row.id, self._clock.now())
            # Not only with the next rows: the database may be gone before they are read.
            self._principals.pop(row.digest, None)
            self._recent.clear()
            await self._read()
        log.info("revoked key %s", row.key_prefix, extra=action("key_revoked", key_id=str(row.id)))
        return _listed(_named(await self._store.all(), str(row.id)))

    # ----------------------------------------------------------------------------------------------------------------

    def _found(self, key: str) -> Principal | None:
        """By digests only: what the time of a look-up could tell says nothing of the key."""
        fingerprint = hashlib.sha256(key.encode(errors="surrogatepass")).digest()
        found = self._recent.get(fingerprint)
        if found is None:
            digest = self._digest(key)
            found = self._principals.get(digest) or self._admin.get(digest)
            if found is not None:
                self._recent[fingerprint] = found
        return found

    def _digest(self, key: str) -> bytes:
        return hmac.digest(self._secret, key.encode(errors="surrogatepass"), "sha256")

    def _principal(self, row: KeyRow) -> Principal:
        by_role = {"admin": 0, "agent": self._settings.rate_limit_agent}
        limit = (
            by_role.get(row.role, self._settings.rate_limit_standard)
            if row.rate_limit is None
            else row.rate_limit
        )
        name = row.label or row.key_prefix
        caller = Caller(name, str(row.id), reach_of(row.role, row.users, row.agents))
        return Principal(caller, row.role, limit, "api_key")

    def _note_use(self, principal: Principal) -> None:
        if principal.auth_type == "api_key":
            self._used[principal.caller.key_id] = self._clock.now()

    async def _write_use(self) -> None:
        due = {
            key_id: at
            for key_id, at in self._used.items()
            if key_id not in self._written or (at - self._written[key_id]).total_seconds() >= TOUCH_SECONDS
        }
        if due:
            await self._store.touch({uuid.UUID(key_id): at for key_id, at in due.items()})
            self._written |= due

    def _note_refusal(self, remote: str | None) -> None:
        """One line in ten seconds, with how many there were: a flood of wrong keys must not fill the log."""
        self._refused += 1
        now = self._clock.monotonic()
        if now - self._refusal_logged >= REFUSAL_LOG_SECONDS:
            fields = action("key_refused", remote=remote, times=self._refused)
            log.warning("refused an unknown API key", extra=fields)
            self._refused, self._refusal_logged = 0, now


def check_open(host: str) -> None:
    """Let an address pass that only this machine reaches.

    Raises:
        ConfigurationError: others reach it, so authentication must stay on.
    """
    if not _is_loopback(host):
        raise errors.ConfigurationError(
            f"AUTH_DISABLED=true is only allowed on loopback, and MEMDECK_HOST is {host}: everybody who reaches it could "
            "read and delete all memories. Set MEMDECK_HOST=127.0.0.1 or remove AUTH_DISABLED."
        )


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _key_of(headers: Mapping[str, str]) -> str:
    if key := headers.get("X-API-Key"):
        return key.strip()
    scheme, _, value = headers.get("Authorization", "").strip().partition(" ")
    return value.strip() if scheme.lower() in {"token", "bearer"} else ""


def _named(rows: list[KeyRow], reference: str) -> KeyRow:
    exact = [row for row in rows if str(row.id) == reference.lower()]
    begun = [
        row
        for row in rows
        if reference and (str(row.id).startswith(reference) or row.key_prefix.startswith(reference))
    ]
    found = exact or begun
    if not found:
        raise errors.KeyNotFound
    if len(found) > 1:
        raise errors.Conflict(f"{len(found)} keys begin with {reference}; give more of it.")
    return found[0]


def _listed(row: KeyRow) -> Key:
    return Key(
        id=str(row.id),
        label=row.label,
        key_prefix=row.key_prefix,
        role=row.role,
        users=list(row.users),
        agents=list(row.agents),
        rate_limit=row.rate_limit,
        created_at=_iso(row.created_at),
        last_used_at=_iso(row.last_used_at) if row.last_used_at else None,
        revoked_at=_iso(row.revoked_at) if row.revoked_at else None,
    )


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
