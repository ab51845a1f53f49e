"""What the API promises, kept by the whole daemon: tests of tests/api, collected here with another `api` fixture."""

from tests.api.test_bad_input import *  # noqa: F403 - every test of it
from tests.api.test_mem0_cli import *  # noqa: F403
from tests.api.test_mem0_client import *  # noqa: F403
from tests.api.test_openapi import *  # noqa: F403
from tests.api.test_oss_dialect import *  # noqa: F403
from tests.api.test_platform_dialect import *  # noqa: F403
from tests.api.test_roles import *  # noqa: F403
