"""The compose file for production: Redis asks for a password, which comes from files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers import Containers, docker, require_engine, running_containers
from tests.support.reading_client import ReadingClient
from tests.support.sending import send_all
from tools.check_compose import SECRETS, fault_of

pytestmark = [pytest.mark.containers, pytest.mark.timeout(900)]

FILES = ("deploy/docker-compose.yml", "deploy/docker-compose.production.yml")
PASSWORD = "correct-horse"  # noqa: S105 - of a Redis that lives for a test


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The stack with a password."""
    require_engine()
    secrets = tmp_path_factory.mktemp("secrets")
    write(secrets / "redis.conf", f"requirepass {PASSWORD}\n")
    write(secrets / "redis-url", f"redis://:{PASSWORD}@redis:6379/0\n")
    with running_containers(*FILES, environment={SECRETS: str(secrets)}) as running:
        yield running


def write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o644)


def test_without_secrets_nothing_starts_and_the_variable_is_named() -> None:
    require_engine()
    files = [word for file in FILES for word in ("--file", file)]
    assert f"required variable {SECRETS} is missing" in fault_of(*files)


async def test_chat_goes_through_a_redis_with_a_password(secured: Containers) -> None:
    async with ReadingClient(secured.target, "chat", from_start=True) as reader:
        await send_all([secured.target], "chat", ["hello"])
        await reader.holds(1)


def test_redis_answers_nobody_without_the_password(secured: Containers) -> None:
    assert secured.redis("GET", "anything") == "NOAUTH Authentication required."


def test_the_password_is_not_in_what_describes_a_container(secured: Containers) -> None:
    for service in ("chat-gateway", "history", "redis"):
        for container in secured.of(service):
            assert PASSWORD not in docker("inspect", container)
            assert PASSWORD not in docker("top", container, "-o", "pid,args")
            assert PASSWORD not in docker("logs", container)
