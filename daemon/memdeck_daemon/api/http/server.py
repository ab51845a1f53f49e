"""The listeners: routes become an aiohttp application, and addresses become sockets.

Owns what aiohttp would otherwise answer by itself (unknown addresses, wrong methods), the start-up sentences when a port
cannot be had, and the order of a stop: no new connections, streams end, requests under way get their time.
"""

import errno
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from memdeck_common import errors
from memdeck_common.log import action
from memdeck_common.settings import Server
from memdeck_daemon.api.http.endpoint import Border, Endpoint
from memdeck_daemon.api.http.hosts import Hosts
from memdeck_daemon.api.http.protocol import LINGER, EnvelopeRunner, Limits, Plain
from memdeck_daemon.api.http.routing import Call, Route
from memdeck_daemon.ports import Telemetry

log = logging.getLogger(__name__)
KEEP_ALIVE: Final = 75.0
"""Seconds that an idle connection stays open; aiohttp's own default is an hour."""
BACKLOG: Final = 512
BORDER: Final = web.AppKey("border", Border)
ROUTES: Final = web.AppKey("routes", list[Route])
PLAIN: Final = web.AppKey("plain", Plain)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the daemon really listens."""

    url: str
    metrics_url: str


def application(routes: Iterable[Route], border: Border) -> web.Application:
    """The API as an aiohttp application."""
    table = list(routes)
    app = web.Application(client_max_size=border.settings.max_body_bytes)
    app[BORDER], app[ROUTES], app[PLAIN] = border, table, {}
    for route in table:
        endpoint = Endpoint(route, border)
        path = _matching_anything(route.path)
        app.router.add_route(route.method, path, endpoint.serve, expect_handler=endpoint.expect)
        if "{" not in path:
            app[PLAIN][route.method, path] = endpoint.serve
        if route.method == "GET" and route.operation != "feed":
            app.router.add_route("HEAD", path, endpoint.serve, expect_handler=endpoint.expect)
    nowhere = Endpoint(_nowhere(table), border)
    app.router.add_route("*", "/{rest:.*}", nowhere.serve, expect_handler=nowhere.expect)
    app.on_shutdown.append(_end_streams)
    return app


def _matching_anything(path: str) -> str:
    """The path with parameters that take braces too, which those of aiohttp do not: identifiers may hold them."""
    return re.sub(r"\{(\w+)\}", r"{\1:[^/]+}", path)


def _nowhere(table: list[Route]) -> Route:
    """The last resort of the table: 404, or 405 where another method would do."""
    patterns = [(route.method, re.compile(_pattern(_matching_anything(route.path)))) for route in table]

    async def refuse(call: Call[None, None]) -> None:
        path = "/" + call.path["rest"]
        methods = {str(method) for method, pattern in patterns if pattern.fullmatch(path)}
        if methods:
            methods |= {"HEAD"} if "GET" in methods else set()
            raise errors.MethodNotAllowed(allow=", ".join(sorted(methods)))
        raise errors.NotFound

    return Route(
        method="GET", path="/{rest}", handler=refuse, operation="other", need="public", dialect="oss", summary="Nothing"
    )  # fmt: skip


def _pattern(path: str) -> str:
    literals = re.split(r"\{\w+:(.+?)\}(?=/|$)", path)
    return "".join(f"(?:{part})" if i % 2 else re.escape(part) for i, part in enumerate(literals))


async def _end_streams(app: web.Application) -> None:
    for task in list(app[BORDER].streams):
        task.cancel()


def metrics_application(telemetry: Telemetry, hosts: Hosts) -> web.Application:
    """The metrics listener: `/metrics` and nothing else."""

    async def metrics(request: web.Request) -> web.Response:
        try:
            hosts.check(request.headers)
        except errors.MemdeckError as error:
            return web.Response(status=error.status, text=f"{error}\n")
        body, content_type = telemetry.metrics()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    return app


@asynccontextmanager
async def serve(app: web.Application, settings: Server, telemetry: Telemetry) -> AsyncIterator[Addresses]:
    """Listen on both ports until the block is left; then requests under way get `shutdown_timeout`.

    Raises:
        ConfigurationError: an address cannot be had; the sentence names the variable and what to do.
    """
    async with AsyncExitStack() as stack:
        url = await _listen(stack, app, settings, settings.port, "MEMDECK_PORT")
        metrics = metrics_application(telemetry, Hosts(settings.host, settings.allowed_hosts))
        metrics_url = await _listen(stack, metrics, settings, settings.metrics_port, "MEMDECK_METRICS_PORT")
        log.info("listening on %s, metrics on %s", url, metrics_url, extra=action("listening", url=url))
        yield Addresses(url, metrics_url + "/metrics")


async def _listen(
    stack: AsyncExitStack, app: web.Application, settings: Server, port: int, variable: str
) -> str:
    runner = EnvelopeRunner(
        app,
        Limits(settings.max_connections, settings.receive_timeout, settings.request_timeout),
        app.get(PLAIN, {}),
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=KEEP_ALIVE,
        lingering_time=LINGER,
        shutdown_timeout=settings.shutdown_timeout,
        handle_signals=False,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, settings.host, port, backlog=BACKLOG).start()
    except OSError as error:
        raise _refused_address(error, settings.host, port, variable) from None
    host, real_port = runner.addresses[0][:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{real_port}"


def _refused_address(error: OSError, host: str, port: int, variable: str) -> errors.ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        return errors.ConfigurationError(
            f"Port {port} is in use. Is another daemon running? {variable} chooses another port, and `memdeck doctor` "
            "says who has this one."
        )
    if error.errno == errno.EACCES:
        return errors.ConfigurationError(
            f"Port {port} needs more rights than this user has; {variable} chooses another."
        )
    reason = "the name is unknown" if isinstance(error, socket.gaierror) else error.strerror or str(error)
    return errors.ConfigurationError(
        f"MEMDECK_HOST={host} cannot be listened on: {reason}. 127.0.0.1 always works."
    )
