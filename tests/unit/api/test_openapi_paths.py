"""Addresses as the server and as the document write them."""

import re

import pytest

from memdeck_daemon.api.http.openapi import public_path
from memdeck_daemon.api.http.server import _matching_anything, _pattern


def test_patterns_of_parameters_are_not_shown() -> None:
    """The document names parameters only."""
    assert "/v1/{kind}/{name}/" == public_path("/v1/{kind:user|agent}/{name}/")


@pytest.mark.parametrize(
    ("path", "address", "fits"),
    [
        ("/v1/{kind:user|agent}/{name}/", "/v1/user/a{b}c/", True),
        ("/v1/{kind:user|agent}/{name}/", "/v1/app/x/", False),
        ("/v1/{name}/", "/v1/a/b/", False),
        ("/v1.0/x", "/v1a0/x", False),
    ],
)
def test_addresses_are_told_apart(path: str, address: str, *, fits: bool) -> None:
    """For 405, the table must match as aiohttp does."""
    assert fits is (re.fullmatch(_pattern(_matching_anything(path)), address) is not None)
