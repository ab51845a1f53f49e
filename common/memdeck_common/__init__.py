"""What the daemon and its clients agree on: wire types, settings, errors, the typed client.

Imports nothing of the daemon or the console, neither `aiohttp.web` nor Textual: whoever holds this package can talk to
a daemon without being one.
"""

from importlib.metadata import version

__version__ = version("memdeck")
