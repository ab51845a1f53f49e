"""One typed settings tree, read from flags, the environment, `DIR/.env`, `./.env` and defaults, in this order.

Owns names, types, limits and defaults; each field is documented where it stands, and `.env.example` is checked against
this file. Refuses unknown values with a `ConfigurationError` that names the variable, never its secret.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from memdeck_common.errors import ConfigurationError
from memdeck_common.paths import Home

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]
Count = Annotated[int, Meta(ge=0)]

WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""What people write for a boolean."""


def env(name: str, *, secret: bool = False, default_doc: str = "") -> Meta:
    """The environment variable of a field."""
    return Meta(extra={"env": name, "secret": secret, "default_doc": default_doc})


class Server(Struct, frozen=True, kw_only=True):
    """Where the daemon listens and what it takes."""

    host: Annotated[str, env("MEMDECK_HOST")] = "127.0.0.1"
    """Address of both listeners. Anything but loopback needs keys."""
    port: Annotated[Port, env("MEMDECK_PORT")] = 8888
    """Port of the API; 0 lets the system choose."""
    metrics_port: Annotated[Port, env("MEMDECK_METRICS_PORT")] = 9103
    """Port of /metrics; 0 lets the system choose."""
    allowed_hosts: Annotated[str, env("MEMDECK_ALLOWED_HOSTS")] = ""
    """Names by which the daemon is reached beside `localhost` and addresses, separated by commas; web pages of these hosts may ask too. `*` switches the check off."""
    max_connections: Annotated[int, Meta(ge=1, le=100_000), env("MEMDECK_MAX_CONNECTIONS")] = 1_000
    """Most connections to one listener; more are answered with 503."""
    max_concurrent: Annotated[int, Meta(ge=1, le=100_000), env("MEMDECK_MAX_CONCURRENT")] = 200
    """Requests that are worked on at once; four times as many wait for their turn, for 2 seconds, then it is 503."""
    max_body_bytes: Annotated[Count, env("MEMDECK_MAX_BODY_BYTES")] = 2 * 1024 * 1024
    """Largest request body."""
    max_memory_bytes: Annotated[Count, env("MEMDECK_MAX_MEMORY_BYTES")] = 64 * 1024
    """Largest text of one memory, in bytes of UTF-8."""
    receive_timeout: Annotated[Positive, env("MEMDECK_RECEIVE_TIMEOUT")] = 10.0
    """Seconds in which the head of a request, and then its body, must have arrived."""
    request_timeout: Annotated[Positive, env("MEMDECK_REQUEST_TIMEOUT")] = 30.0
    """Seconds that a request may take in all."""
    shutdown_timeout: Annotated[Positive, env("MEMDECK_SHUTDOWN_TIMEOUT")] = 10.0
    """Seconds that requests under way get at a stop."""
    auth_disabled: Annotated[bool, env("AUTH_DISABLED")] = False
    """Open to everybody who reaches the port; only allowed on loopback."""
    rate_limit_agent: Annotated[Count, env("MEMDECK_RATE_LIMIT_AGENT")] = 10_000
    """Requests per hour of a key with the role agent; 0 switches the limit off."""
    rate_limit_standard: Annotated[Count, env("MEMDECK_RATE_LIMIT_STANDARD")] = 1_000
    """Requests per hour of a key with the role standard, read or operator; 0 switches the limit off."""
    log_level: Annotated[str, Meta(pattern="^(?i:DEBUG|INFO|WARNING|ERROR)$"), env("MEMDECK_LOG_LEVEL")] = (
        "INFO"
    )
    """DEBUG, INFO, WARNING or ERROR."""


class Database(Struct, frozen=True, kw_only=True):
    """PostgreSQL: embedded unless a URL is given."""

    url: Annotated[str | None, env("MEMDECK_DATABASE_URL", secret=True)] = None
    """An external PostgreSQL ≥ 15 with pgvector ≥ 0.8; without it the embedded one runs."""
    pool_min: Annotated[int, Meta(ge=1, le=100), env("MEMDECK_POSTGRES_POOL_MIN")] = 6
    """Connections opened before the daemon is ready."""
    pool_max: Annotated[int, Meta(ge=1, le=100), env("MEMDECK_POSTGRES_POOL_MAX")] = 6
    """Most connections; more than a few per core makes searches slower (docs/decisions)."""
    connect_timeout: Annotated[Positive, env("MEMDECK_POSTGRES_CONNECT_TIMEOUT")] = 1.0
    """Seconds to open a connection."""
    command_timeout: Annotated[Positive, env("MEMDECK_POSTGRES_COMMAND_TIMEOUT")] = 10.0
    """Seconds that one statement may take."""
    acquire_timeout: Annotated[Positive, env("MEMDECK_POSTGRES_ACQUIRE_TIMEOUT")] = 5.0
    """Seconds that a request waits for a connection."""
    idle_timeout: Annotated[Positive, env("MEMDECK_POSTGRES_IDLE_TIMEOUT")] = 300.0
    """Seconds after which an idle connection is closed."""
    start_timeout: Annotated[Positive, env("MEMDECK_POSTGRES_START_TIMEOUT")] = 60.0
    """Seconds without any progress after which a start is given up; crash recovery that progresses is waited for."""
    shared_buffers: Annotated[str | None, env("MEMDECK_POSTGRES_SHARED_BUFFERS")] = None
    """Overrides the size derived from the machine's memory, e.g. `2GB`."""
    system_root: Annotated[str, env("MEMDECK_POSTGRES_SYSTEM_ROOT")] = "/var/lib/memdeck"
    """Where a daemon that runs as root keeps its embedded clusters; an unprivileged user must be able to pass through."""


class Memory(Struct, frozen=True, kw_only=True):
    """How memories are kept and found."""

    undo_hours: Annotated[Positive, env("MEMDECK_UNDO_HOURS")] = 24.0
    """Hours for which a change or deletion can be undone."""
    default_threshold: Annotated[float, Meta(ge=0, le=1), env("MEMDECK_THRESHOLD")] = 0.1
    """Least cosine of a dense hit when a search names none; keyword hits are exempt."""
    hot_bytes: Annotated[Count, env("MEMDECK_HOT_BYTES")] = 64 * 1024 * 1024
    """Memory for the owners that were searched last; others are loaded when they are searched."""
    vector_bytes: Annotated[Count | None, env("MEMDECK_VECTOR_BYTES")] = None
    """Memory for the vectors of owners of more than 10,000 memories, mapped files included; a quarter of the machine's when not given, 0: none."""
    index_interval: Annotated[Positive, env("MEMDECK_INDEX_INTERVAL")] = 0.5
    """Seconds between commits of the lexical index while there is something to index."""
    spool_bytes: Annotated[Count, env("MEMDECK_SPOOL_BYTES")] = 128 * 1024 * 1024
    """Room on the disk for writes that the database does not take, set-aside ones included; 0 keeps none, and they are refused."""


class Cache(Struct, frozen=True, kw_only=True):
    """What is kept of answers in this process."""

    l1_bytes: Annotated[Count, env("MEMDECK_L1_BYTES")] = 256 * 1024 * 1024
    """Most memory for answers that are kept; they take what they need up to it. 0 keeps none."""


class Redis(Struct, frozen=True, kw_only=True):
    """A Redis as the second tier of caches; without a URL all works in this process."""

    url: Annotated[str | None, env("MEMORY_REDIS_URL", secret=True)] = None
    """`redis://`, `rediss://` for TLS, or the `https://` address that Upstash shows."""
    token: Annotated[str | None, env("MEMORY_REDIS_TOKEN", secret=True)] = None
    """Its password, where the URL holds none."""
    pool_max: Annotated[int, Meta(ge=10, le=50), env("MEMDECK_REDIS_POOL_MAX")] = 10
    """Most connections."""
    timeout: Annotated[float, Meta(gt=0, le=0.5), env("MEMDECK_REDIS_TIMEOUT")] = 0.25
    """Seconds that one answer of Redis may take; it is asked twice, then left alone for a moment."""


class Graph(Struct, frozen=True, kw_only=True):
    """A graph store that speaks Bolt: Neo4j or Aura; none unless a URL is given."""

    url: Annotated[str | None, env("MEMORY_GRAPH_URL")] = None
    """`bolt://HOST:7687`, `neo4j://…`, or `neo4j+s://…` as Aura shows it."""
    user: Annotated[str, env("MEMORY_GRAPH_USER")] = "neo4j"
    """A user of its own that may read and write."""
    password: Annotated[str | None, env("MEMORY_GRAPH_PASSWORD", secret=True)] = None
    """Its password."""
    pool_max: Annotated[int, Meta(ge=10, le=50), env("MEMDECK_GRAPH_POOL_MAX")] = 10
    """Most connections."""
    timeout: Annotated[Positive, env("MEMDECK_GRAPH_TIMEOUT")] = 2.0
    """Seconds that one query may take."""


class Qdrant(Struct, frozen=True, kw_only=True):
    """A Qdrant; none unless a URL is given."""

    url: Annotated[str | None, env("MEMDECK_QDRANT_URL")] = None
    """Address of its REST API, `http://HOST:6333`."""
    api_key: Annotated[str | None, env("MEMDECK_QDRANT_API_KEY", secret=True)] = None
    """Its key; sent to that address only."""
    timeout: Annotated[Positive, env("MEMDECK_QDRANT_TIMEOUT")] = 1.0
    """Seconds that one call may take."""


class Embedding(Struct, frozen=True, kw_only=True):
    """The remote embedder: none unless an address, or a key of OpenAI's, is given."""

    url: Annotated[str | None, env("MEMDECK_EMBEDDING_URL")] = None
    """An OpenAI-compatible address (`…/v1`), or one of Ollama; `OPENAI_API_KEY` alone selects OpenAI's; `fastembed:` embeds in this process."""
    model: Annotated[str | None, env("MEMDECK_EMBEDDING_MODEL")] = None
    """Name of the model there; of OpenAI's, text-embedding-3-small when none is given."""
    dims: Annotated[Annotated[int, Meta(ge=1)] | None, env("MEMDECK_EMBEDDING_DIMS")] = None
    """Dimensions of its vectors; asked of the embedder when not given."""
    api_key: Annotated[str | None, env("MEMDECK_EMBEDDING_API_KEY", secret=True)] = None
    """Its key; sent to the address above only."""
    openai_api_key: Annotated[str | None, env("OPENAI_API_KEY", secret=True)] = None
    """The key of OpenAI's, where no address is given."""
    query_budget: Annotated[Positive, env("MEMDECK_EMBEDDING_QUERY_BUDGET")] = 0.15
    """Seconds that a search waits for its query's vector; the local space answers after that, and the answer says so."""
    timeout: Annotated[Positive, env("MEMDECK_EMBEDDING_TIMEOUT")] = 30.0
    """Seconds that one request to the embedder may take."""
    batch: Annotated[int, Meta(ge=1, le=2048), env("MEMDECK_EMBEDDING_BATCH")] = 64
    """Most texts in one request."""
    concurrency: Annotated[int, Meta(ge=1, le=64), env("MEMDECK_EMBEDDING_CONCURRENCY")] = 4
    """Requests under way at once while memories are embedded; those of searches come beside them."""
    cache_bytes: Annotated[Count, env("MEMDECK_EMBEDDING_CACHE_BYTES")] = 16 * 1024 * 1024
    """Memory for the vectors of recent queries."""


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    home: Home
    instance: str
    server: Server = Server()
    database: Database = Database()
    memory: Memory = Memory()
    cache: Cache = Cache()
    redis: Redis = Redis()
    graph: Graph = Graph()
    qdrant: Qdrant = Qdrant()
    embedding: Embedding = Embedding()


AREAS: dict[str, type[Struct]] = {
    "server": Server,
    "database": Database,
    "memory": Memory,
    "cache": Cache,
    "redis": Redis,
    "graph": Graph,
    "qdrant": Qdrant,
    "embedding": Embedding,
}


def load(flags: Mapping[str, str | None] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings for this process.

    `flags` are values by variable name (`MEMDECK_PORT`) that the command line gave; None means not given.

    Raises:
        ConfigurationError: a value cannot be used; the message names the variable.
    """
    given = {k: v for k, v in (flags or {}).items() if v is not None}
    home = home_of(given, environ)
    values = {**read_env_file(Path(".env")), **read_env_file(home.env_file), **environ, **given}
    areas = {name: _area(area, values) for name, area in AREAS.items()}
    return Settings(home=home, instance=values.get("MEMDECK_INSTANCE") or "default", **areas)


def home_of(flags: Mapping[str, str | None], environ: Mapping[str, str] = os.environ) -> Home:
    """The home directory: the flag, `MEMDECK_HOME`, or `~/.memdeck`."""
    root = flags.get("MEMDECK_HOME") or environ.get("MEMDECK_HOME") or "~/.memdeck"
    return Home(Path(root).expanduser().absolute())


def read_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; comments, `export` and one pair of quotes are understood; a missing file is empty.

    Raises:
        ConfigurationError: a line cannot be read (its number is named), or the file cannot be opened.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign or not name.strip().isidentifier():
            raise ConfigurationError(f"{path} line {number}: expected NAME=value")
        values[name.strip()] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()


def variables() -> dict[str, tuple[str, str, Meta]]:
    """Every environment variable: its area, field and Meta, in the order of this file."""
    return {
        meta.extra["env"]: (area, field, meta)
        for area, struct in AREAS.items()
        for field, hint in get_type_hints(struct, include_extras=True).items()
        for meta in getattr(hint, "__metadata__", ())
        if meta.extra
    }


def _area(struct: type[Struct], values: Mapping[str, str]) -> Any:
    fields: dict[str, Any] = {}
    hints = get_type_hints(struct, include_extras=True)
    for area, field, meta in variables().values():
        name = (meta.extra or {})["env"]
        value = values.get(name, "")
        if AREAS[area] is struct and value != "":
            fields[field] = _value(name, value, hints[field])
    return struct(**fields)


def _value(name: str, text: str, hint: Any) -> Any:
    candidate = text.strip()
    if get_origin(hint) is Annotated and get_args(hint)[0] is bool:
        candidate = WORDS.get(candidate.lower(), candidate)
    try:
        return msgspec.convert(candidate, hint, strict=False)
    except msgspec.ValidationError as error:
        problem = str(error).split(" - at")[0]
        raise ConfigurationError(
            f"{name} cannot be used: {problem}. Look at .env.example for its form."
        ) from None
