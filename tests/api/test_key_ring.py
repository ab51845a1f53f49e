"""What several daemons on one database know of keys, and what is written down of their use."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from memdeck_common import errors
from memdeck_common.clock import SystemIdentity
from memdeck_common.wire.keys import NewKey
from memdeck_daemon.api.access.access import TOUCH_SECONDS, Access
from tests.api.serving import settings_of
from tests.fakes.clock import ManualClock
from tests.fakes.key_store import FakeKeyStore


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> FakeKeyStore:
    return FakeKeyStore()


@pytest.fixture
async def access(tmp_path: Path, store: FakeKeyStore, clock: ManualClock) -> Access:
    return await _access(tmp_path, store, clock)


async def _access(home: Path, store: FakeKeyStore, clock: ManualClock) -> Access:
    settings = settings_of(home)
    made = Access(settings.server, settings.home, store, clock, SystemIdentity(clock))
    await made.load()
    return made


def _sent(key: str) -> dict[str, Any]:
    return {"X-API-Key": key}


async def test_a_key_made_by_one_daemon_is_known_to_the_next_after_a_refresh(
    access: Access, tmp_path: Path, store: FakeKeyStore, clock: ManualClock
) -> None:
    """So is its end."""
    other = await _access(tmp_path, store, clock)
    made = await access.create(NewKey(label="x"))
    with pytest.raises(errors.Unauthenticated):
        other.authenticate(_sent(made.key))

    await other.refresh()
    assert made.id == other.authenticate(_sent(made.key)).caller.key_id
    await access.revoke(made.id)
    await other.refresh()
    with pytest.raises(errors.Unauthenticated):
        other.authenticate(_sent(made.key))


async def test_known_keys_stay_known_while_the_database_is_away(access: Access, store: FakeKeyStore) -> None:
    """A daemon that cannot ask does not turn everybody away."""
    made = await access.create(NewKey())
    store.available = False
    with pytest.raises(errors.StoreUnavailable):
        await access.refresh()
    assert made.id == access.authenticate(_sent(made.key)).caller.key_id


async def test_the_last_use_is_written_once_a_minute(
    access: Access, store: FakeKeyStore, clock: ManualClock
) -> None:
    """However often the key is used."""
    made = await access.create(NewKey())
    for _ in range(5):
        access.authenticate(_sent(made.key))
        await access._write_use()
        clock.advance(TOUCH_SECONDS / 5 - 0.01)
    assert 1 == store.touches

    clock.advance(1)
    access.authenticate(_sent(made.key))
    await access._write_use()
    assert 2 == store.touches
    (listed,) = (await access.list()).keys
    assert clock.now().isoformat(timespec="microseconds") == listed.last_used_at


async def test_a_use_that_cannot_be_written_now_is_written_later(access: Access, store: FakeKeyStore) -> None:
    """It is only a date, but it should come true."""
    made = await access.create(NewKey())
    access.authenticate(_sent(made.key))
    store.available = False
    with pytest.raises(errors.StoreUnavailable):
        await access._write_use()
    store.available = True
    await access._write_use()
    assert (await access.list()).keys[0].last_used_at is not None


async def test_keys_are_read_although_their_use_cannot_be_written(tmp_path: Path, clock: ManualClock) -> None:
    """A database that refuses this one statement neither stops the daemon nor keeps a revoked key alive."""

    class Refusing(FakeKeyStore):
        async def touch(self, used: Mapping[uuid.UUID, datetime]) -> None:
            del used
            raise errors.MemdeckError

    store = Refusing()
    one, other = await _access(tmp_path, store, clock), await _access(tmp_path, store, clock)
    made = await one.create(NewKey())
    await other.agree()
    assert made.id == other.authenticate(_sent(made.key)).caller.key_id
    await one.revoke(made.id)
    await other.agree()
    with pytest.raises(errors.Unauthenticated):
        other.authenticate(_sent(made.key))


async def test_a_revoked_key_ends_although_the_database_goes_away(tmp_path: Path, clock: ManualClock) -> None:
    """Its end is written down; nothing can be read any more after that."""

    class Leaving(FakeKeyStore):
        async def revoke(self, key_id: uuid.UUID, at: datetime) -> None:
            await super().revoke(key_id, at)
            self.available = False

    access = await _access(tmp_path, Leaving(), clock)
    made = await access.create(NewKey())
    access.authenticate(_sent(made.key))
    with pytest.raises(errors.StoreUnavailable):
        await access.revoke(made.id)
    with pytest.raises(errors.Unauthenticated):
        access.authenticate(_sent(made.key))


async def test_no_key_is_stored_as_it_is(access: Access, store: FakeKeyStore) -> None:
    """Only its digest, and twelve characters to tell it by."""
    made = await access.create(NewKey())
    (row,) = store.rows.values()
    assert made.key not in repr(row)
    assert (made.key[:12], 32) == (row.key_prefix, len(row.digest))


async def test_keys_are_checked_without_a_database(
    access: Access, tmp_path: Path, store: FakeKeyStore, clock: ManualClock
) -> None:
    """At a start, from a private file of hashes; a key that was revoked is not in it, and no key is."""
    kept = await access.create(NewKey(label="kept", role="agent", users=["alice"]))
    gone = await access.create(NewKey(label="gone"))
    await access.revoke(gone.id)
    file = tmp_path / "keys" / "known.json"
    assert 0o600 == file.stat().st_mode & 0o777
    assert not any(key.encode() in file.read_bytes() for key in (kept.key, gone.key, gone.id))
    store.available = False
    other = await _access(tmp_path, store, clock)
    found = other.authenticate(_sent(kept.key))
    assert (kept.id, "agent", ("alice",)) == (found.caller.key_id, found.role, found.caller.reach.users)
    with pytest.raises(errors.Unauthenticated):
        other.authenticate(_sent(gone.key))
    with pytest.raises(errors.StoreUnavailable):
        await other.create(NewKey(label="later"))
    store.available = True
    await other.refresh()
    assert kept.id == other.authenticate(_sent(kept.key)).caller.key_id


async def test_a_key_leaves_the_disk_before_its_end_is_written_down(
    access: Access, tmp_path: Path, store: FakeKeyStore, clock: ManualClock
) -> None:
    """A daemon that dies in between leaves no file that lets it in; one that lives puts it back."""
    made = await access.create(NewKey(label="x"))

    class Dying(FakeKeyStore):
        async def revoke(self, key_id: uuid.UUID, at: datetime) -> None:
            del key_id, at
            raise errors.StoreUnavailable

    dying = Dying()
    dying.rows = store.rows
    other = await _access(tmp_path, dying, clock)
    with pytest.raises(errors.StoreUnavailable):
        await other.revoke(made.id)
    assert made.id not in (tmp_path / "keys" / "known.json").read_text()
    await other.refresh()
    assert made.id in (tmp_path / "keys" / "known.json").read_text()


async def test_a_damaged_copy_lets_nobody_in_but_the_admin(
    access: Access, tmp_path: Path, store: FakeKeyStore, clock: ManualClock
) -> None:
    """It is written anew when the database answers."""
    made = await access.create(NewKey(label="x"))
    file = tmp_path / "keys" / "known.json"
    file.write_bytes(file.read_bytes()[:-9])
    store.available = False
    other = await _access(tmp_path, store, clock)
    with pytest.raises(errors.Unauthenticated):
        other.authenticate(_sent(made.key))
    admin = settings_of(tmp_path).home.admin_key.read_text().strip()
    assert "admin" == other.authenticate(_sent(admin)).role
