"""Structured logging: one line per record, for people on a terminal and as JSON elsewhere.

Owns the format and the rule that each record has an `action` in snake_case beside its sentence:
`log.info("stored 3 memories", extra=action("memory_stored", user="ops", ms=4.1))`. Refuses to know what is worth logging.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

FIELDS = "memdeck_fields"


def action(name: str, **fields: Any) -> dict[str, Any]:
    """The `extra` of a record: its action and its fields (plain values, never secrets or memory text)."""
    return {FIELDS: {"action": name, **fields}}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The action and fields of a record; the logger's name stands in for a missing action."""
    fields: dict[str, Any] = getattr(record, FIELDS, {})
    return fields or {"action": record.name.rsplit(".", 1)[-1]}


class JsonLines(logging.Formatter):
    """One JSON object per line: at, level, service, message, action, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        body: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": service_of(record),
            "message": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            body["error"] = self.formatException(record.exc_info)
        return msgspec.json.encode(body, enc_hook=str).decode()


class Plain(logging.Formatter):
    """A line for people: time in UTC, level, service, sentence, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S.%f")[:-3]
        fields = " ".join(f"{k}={v}" for k, v in fields_of(record).items() if k != "action")
        line = f"{at} {record.levelname:7} {service_of(record):9} {record.getMessage()}"
        line = f"{line}  {fields}" if fields else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def service_of(record: logging.LogRecord) -> str:
    """The part of the product that speaks: `memdeck_daemon.infra.postgres.pool` is `postgres`."""
    parts = record.name.split(".")
    if parts[0] not in {"memdeck_daemon", "memdeck_common", "memdeck_console"} or len(parts) == 1:
        return parts[0]
    if parts[1] in {"infra", "operations"} and len(parts) > 2:  # noqa: PLR2004 - wing, then the noun
        return parts[2]
    return parts[1]


def configure(level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    """Send all records to `stream`: plain on a terminal, JSON lines elsewhere."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Plain() if stream.isatty() else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel("WARNING")
