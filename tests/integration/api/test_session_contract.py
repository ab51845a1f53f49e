"""What the API promises of sessions, kept by the whole daemon; collected here with another `api` fixture."""

from tests.api.test_sessions import *  # noqa: F403 - every test of it
