"""`/openapi.json`: the description of the API, made of the table of routes and the wire types.

Owns the translation only. Every status that the border itself can answer is declared from what a route asks for (a key,
a body, a query), so that the document cannot promise less than the server does.
"""

import re
from http import HTTPStatus
from typing import Any, Final

import msgspec

from memdeck_common import __version__
from memdeck_common.wire.errors import OssRefusal, Refusal
from memdeck_daemon.api.http.decoding import lists_of
from memdeck_daemon.api.http.routing import Route

_REFS: Final = "#/components/schemas/{name}"
_TAGS: Final = {
    "oss": "mem0, self-hosted dialect",
    "platform": "mem0, platform dialect",
    "native": "memdeck",
    "ops": "operations",
}
_SECURITY: Final = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
    "Token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Authorization: Token KEY`, as mem0's clients send it.",
    },
}
_HEADERS: Final = {
    "X-Request-ID": {
        "description": "8 hexadecimal digits; the log has them too.",
        "schema": {"type": "string"},
    }
}


def document(routes: list[Route], url: str = "/") -> bytes:
    """The OpenAPI 3.1 document as JSON."""
    schemas, components = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schemas)
        paths.setdefault(public_path(route.path), {})[route.method.lower()] = operation
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "memdeck",
                "version": __version__,
                "description": "The memory of a fleet of AI agents. Two dialects of mem0, native routes and operations "
                "on one port. Errors: `{detail, code, request_id}`.",
            },
            "servers": [{"url": url}],
            "tags": [{"name": name} for name in _TAGS.values()],
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": _SECURITY},
        }
    )


def public_path(path: str) -> str:
    """The path without the patterns of its parameters."""
    return re.sub(r"\{(\w+):[^{}]+\}", r"{\1}", path)


def _answers(route: Route) -> tuple[Any, ...]:
    if route.answer is bytes:
        return ()
    return route.answer if isinstance(route.answer, tuple) else (route.answer,)


def _schemas(routes: list[Route]) -> tuple[dict[int, Any], dict[str, Any]]:
    """Schema by the identity of its type, and the components that schemas refer to."""
    types: list[Any] = [Refusal, OssRefusal]
    for route in routes:
        types += [kind for kind in (route.body, route.query) if kind is not None]
        types += _answers(route)
        types += [route.queued] if route.queued is not None else []
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFS)
    return {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}, components


def _operation(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z0-9]+', '_', public_path(route.path).lower())}".rstrip(
            "_"
        ),
        "tags": [_TAGS[route.dialect]],
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route, schemas),
        "security": [] if route.need == "public" else [{name: []} for name in _SECURITY],
        "x-memdeck-needs": route.need,
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        content: dict[str, Any] = {"schema": schemas[id(route.body)]}
        if route.example is not None:
            content["example"] = route.example
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    parameters = []
    for name, pattern in re.findall(r"\{(\w+)(?::([^{}]+))?\}", route.path):
        schema = dict(route.path_schemas.get(name, {"type": "string", "minLength": 1}))
        if pattern and re.fullmatch(r"[\w|]+", pattern):
            schema = {"type": "string", "enum": pattern.split("|")}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    return parameters


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components([route.query])
    found = components[route.query.__name__]
    lists = lists_of(route.query)
    parameters = []
    for name, schema in found["properties"].items():
        options = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
        flat = (
            options[0]
            if len(options) == 1
            else {k: v for k, v in schema.items() if k != "anyOf"} or {"anyOf": options}
        )
        if options and len(options) > 1:
            flat = {"anyOf": options}
        parameter = {
            "name": name,
            "in": "query",
            "required": name in found.get("required", []),
            "schema": flat,
        }
        if name in lists:
            parameter |= {"style": "form", "explode": True}
        parameters.append(parameter)
    return parameters


def _responses(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    answered: dict[str, Any] = {"description": HTTPStatus(route.status).phrase, "headers": _HEADERS}
    if route.content_type == "application/json":
        shapes = [schemas[id(kind)] for kind in _answers(route)]
        answered["content"] = {
            "application/json": {"schema": shapes[0] if len(shapes) == 1 else {"anyOf": shapes}}
        }
    elif route.status < HTTPStatus.MULTIPLE_CHOICES:
        answered["content"] = {route.content_type: {"schema": {"type": "string"}}}
    responses = {str(route.status): answered}
    if route.queued is not None:
        responses["202"] = {
            "description": "Kept on the disk and carried out later: the database does not answer.",
            "headers": _HEADERS,
            "content": {"application/json": {"schema": schemas[id(route.queued)]}},
        }
    refusal = schemas[id(Refusal)]
    for status in sorted(_refusals(route)):
        listed = route.dialect == "oss" and status == HTTPStatus.UNPROCESSABLE_ENTITY
        schema = schemas[id(OssRefusal)] if listed else refusal
        responses.setdefault(
            str(status),
            {
                "description": HTTPStatus(status).phrase,
                "headers": _HEADERS,
                "content": {"application/json": {"schema": schema}},
            },
        )
    return responses


def _refusals(route: Route) -> set[int]:
    """Every status of a refusal that this route can answer with."""
    found = {*route.refuses, 403, 421}  # pages of other origins, names of other hosts
    if route.need != "public":
        found |= {401, 429}
    if "{" in route.path:
        found |= {400} | ({404} if ":" in route.path else set())
    if route.body is not None or route.query is not None:
        found |= {400} | ({422} if route.dialect == "oss" else set())
    if route.method not in {"GET", "HEAD"}:
        found |= {400, 408, 413}
    if route.need != "public" or route.refuses:
        found |= {503, 504}
    if route.need in {"write", "admin"}:
        found.add(507)
    return found
