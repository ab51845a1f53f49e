"""The settings: readable, usable, and spelled as they are read."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from memdeck_common.errors import ConfigurationError
from memdeck_common.settings import read_env_file, variables
from memdeck_console.cli.checks.site import Finding, Site

OTHER_NAMES = frozenset(
    {"MEMDECK_HOME", "MEMDECK_INSTANCE", "MEMDECK_URL", "MEMDECK_API_KEY", "MEMDECK_DEBUG"},
)
"""Names that are read outside the settings tree."""


def usable(site: Site) -> Iterator[Finding]:
    """Values that the daemon can start with."""
    if site.settings_error:
        yield Finding(
            "settings", "fail", site.settings_error, "correct it; the daemon does not start like this"
        )
    else:
        yield Finding("settings", "pass", f"instance {site.settings.instance if site.settings else ''}")


def spelled(site: Site) -> Iterator[Finding]:
    """Names that this version reads."""
    known = OTHER_NAMES | variables().keys()
    for place, values in _places(site):
        for name in sorted(values):
            if name.startswith("MEMDECK_") and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                advice = f"did you mean {near[0]}?" if near else ".env.example lists all names"
                yield Finding("settings", "warn", f"{name} in {place} is not read by this version", advice)


def _places(site: Site) -> Iterator[tuple[str, Mapping[str, str]]]:
    yield "the environment", site.environ
    for path in (site.home.env_file, Path(".env")):
        try:
            yield str(path), read_env_file(path)
        except ConfigurationError:
            continue  # told by `usable`


CHECKS = (usable, spelled)
