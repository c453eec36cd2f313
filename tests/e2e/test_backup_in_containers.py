"""The commands of docs/operations.md that take a backup and restore it, on the Redis of Compose."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.containers import require_engine

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
BACKUP = "docker compose exec -T redis sh -c"
RESTORE = "docker compose run --rm --no-deps -T --entrypoint sh redis -c"
UNDO = "'rm -rf appendonlydir"
PASSWORD = "of-this-test"  # noqa: S105 - it is one

Shell = Callable[[str], str]


def command(begin: str, contained: str) -> str:
    """The one command of the page that begins so and contains that."""
    lines = [line for line in PAGE.splitlines() if line.startswith(begin)]
    (found,) = [line for line in lines if contained in line]
    return found


def backup_command(*, with_password: bool) -> str:
    """The page's command for a Redis that asks for a password, or for one that does not."""
    begin = f"{BACKUP} 'export REDISCLI_AUTH" if with_password else f"{BACKUP} 'redis-cli"
    return command(begin, "--rdb")


@pytest.fixture(params=["trial", "production"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """Runs commands as an operator would, here, where the Redis of Compose alone runs."""
    require_engine()
    (tmp_path / "redis.conf").write_text(f"requirepass {PASSWORD}\n")
    (tmp_path / "redis-url").write_text(f"redis://:{PASSWORD}@redis:6379/0\n")
    files = ["docker-compose.yml", "docker-compose.production.yml"]
    chosen = files[: 1 if request.param == "trial" else 2]
    environment = os.environ | {
        "COMPOSE_PROJECT_NAME": f"notecast-backup-{os.getpid()}",
        "COMPOSE_FILE": ":".join(f"deploy/{name}" for name in chosen),
        "NOTECAST_SECRETS": str(tmp_path),
        "BACKUP": str(tmp_path / "notes.rdb"),
    }
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # the container's user reads the secrets

    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line.replace("notes.rdb", '"$BACKUP"')],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("docker compose up --detach --wait redis")
        yield run
    finally:
        run("docker compose down --volumes --timeout 5")


def redis_cli(shell: Shell, words: str) -> str:
    """What Redis answers."""
    login = f"-e REDISCLI_AUTH={PASSWORD}"
    return shell(f"docker compose exec -T {login} redis redis-cli {words} 2>/dev/null").strip()


def test_the_commands_bring_back_what_the_backup_holds_and_take_that_back(
    shell: Shell, request: pytest.FixtureRequest
) -> None:
    asks = request.node.callspec.params["shell"] == "production"
    redis_cli(shell, "set place 'in the backup'")
    shell(backup_command(with_password=asks))
    redis_cli(shell, "set place later")

    shell("docker compose stop")
    restore = command(RESTORE, "restore.sh")
    shell('printf %040d 0 | cat notes.rdb - > "$BACKUP.damaged"')
    with pytest.raises(AssertionError, match="the backup is damaged: nothing was changed"):
        shell(restore.replace("< notes.rdb", '< "$BACKUP.damaged"'))
    shell(restore)
    shell("docker compose up --detach --wait redis")
    assert redis_cli(shell, "get place") == "in the backup"
    redis_cli(shell, "set written 'on the restored data'")
    shell("docker compose kill redis")
    shell("docker compose up --detach --wait redis")
    assert redis_cli(shell, "get written") == "on the restored data"

    shell("docker compose stop")
    shell(command(RESTORE, UNDO))
    shell("docker compose up --detach --wait redis")
    assert redis_cli(shell, "get place") == "later"
