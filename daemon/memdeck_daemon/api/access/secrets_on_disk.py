"""The two secrets of a home: the admin key and the secret under which keys are hashed.

Owns their files (0600, in a directory of 0700), made once, atomically. Refuses to keep a secret in any other form: a
file that others may read is narrowed, one that cannot be read is an error with what to do.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from memdeck_common.errors import ConfigurationError
from memdeck_common.paths import Home

PREFIX: Final = "m0sk_"
"""What keys begin with, as those of mem0's own server do."""
KEY_BYTES: Final = 32
"""43 characters of URL-safe text."""
_PRIVATE: Final = 0o600


def admin_key(home: Home, token: Callable[[int], str]) -> str:
    """The admin key of this home; made at the first start.

    Raises:
        ConfigurationError: the file cannot be read or made, or holds nothing usable.
    """
    text = _kept(home.admin_key, (PREFIX + token(KEY_BYTES)).encode).decode(errors="replace").strip()
    if not text or not text.isascii() or any(c.isspace() for c in text):
        raise ConfigurationError(
            f"{home.admin_key} must hold the bare admin key; delete the file to have a new one made at the next start."
        )
    return text


def hash_key(home: Home) -> bytes:
    """The secret under which keys are hashed; made at the first start. Without it no key is known any more.

    Raises:
        ConfigurationError: the file cannot be read or made.
    """
    secret = _kept(home.hash_key, lambda: secrets.token_hex(KEY_BYTES).encode()).strip()
    if len(secret) < KEY_BYTES:
        raise ConfigurationError(
            f"{home.hash_key} is damaged: restore it from a backup, or delete it and all keys."
        )
    return secret


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        _write_once(path, make())
        return _read(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be used ({error.strerror or error}); check who owns {path.parent} and its permissions."
        ) from None


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(_PRIVATE)
    return content


def _write_once(path: Path, content: bytes) -> None:
    """Appear whole or not at all; who comes second leaves the first one's file alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink()
