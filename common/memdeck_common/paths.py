"""Where things lie under a home directory (`DIR`, default `~/.memdeck`).

One place that knows the layout; nothing here creates anything.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """A daemon's home directory."""

    root: Path

    @property
    def env_file(self) -> Path:
        """Settings of this home; the environment overrides them."""
        return self.root / ".env"

    @property
    def run(self) -> Path:
        """State of the running daemon; may be deleted while none runs."""
        return self.root / "run"

    @property
    def daemon_file(self) -> Path:
        """`url`, `metrics_url`, `pid`, `boot_id` of the running daemon, as JSON."""
        return self.run / "daemon.json"

    @property
    def daemon_lock(self) -> Path:
        """Held with flock by the one daemon of this home, for as long as it lives."""
        return self.run / "daemon.lock"

    @property
    def log_file(self) -> Path:
        """Log of a daemon that `memdeck up` started."""
        return self.root / "logs" / "memdeckd.log"

    @property
    def keys(self) -> Path:
        """Secrets, 0700."""
        return self.root / "keys"

    @property
    def admin_key(self) -> Path:
        """The bare admin key, 0600."""
        return self.keys / "admin.key"

    @property
    def hash_key(self) -> Path:
        """The secret under which API keys are hashed, 0600."""
        return self.keys / "hmac.key"

    @property
    def known_keys(self) -> Path:
        """The HMACs of the keys in force, 0600: who may enter while the database cannot be asked."""
        return self.keys / "known.json"

    @property
    def postgres(self) -> Path:
        """The embedded cluster's pointer (`CURRENT`) and, unless the daemon runs as root, the clusters."""
        return self.root / "postgres"

    @property
    def indexes(self) -> Path:
        """Derived indexes: can be deleted, are rebuilt."""
        return self.root / "indexes"

    @property
    def spool(self) -> Path:
        """Writes that the database has not taken yet: never to be deleted while there are any."""
        return self.root / "spool"
