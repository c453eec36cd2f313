"""Both services serve with Redis behind a socket's path, credentials and database included."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from notecast_runtime.keyspace import log_key
from tests.support.services import from_start, running_gateway, running_history, texts
from tests.support.valkey import ValkeyProcess
from tests.support.waiting import eventually


@pytest.fixture
def socket_path(tmp_path: Path) -> Path:
    return tmp_path / "redis.sock"


@pytest.fixture
def behind_a_path(tmp_path: Path, socket_path: Path) -> Iterator[ValkeyProcess]:
    with ValkeyProcess(tmp_path / "data", ("--unixsocket", str(socket_path))) as valkey:
        yield valkey


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("unix://{path}", 0),
        ("unix://ann:p%2Fw%20d%40@{path}?db=3", 3),
        ("unix://{path}?db=3&username=ann&password=p%2Fw%20d%40", 3),
    ],
)
async def test_a_note_goes_its_whole_way_over_the_socket(
    behind_a_path: ValkeyProcess, socket_path: Path, url: str, database: int
) -> None:
    with behind_a_path.client() as client:
        client.acl_setuser(
            "ann",
            enabled=True,
            passwords=["+p/w d@"],
            keys=["*"],
            channels=["*"],
            commands=["+@all"],
        )
    target = url.format(path=socket_path)
    async with (
        running_history(target) as history,
        running_gateway(target, history) as gateway,
        gateway.read("lobby") as reader,
    ):
        await gateway.send("lobby", "hello")
        assert texts(await reader.notes(1)) == ["hello"]
        with redis.Redis(port=behind_a_path.port, db=database) as client:
            await eventually(lambda: client.xlen(log_key("lobby")) == 1, "it is persisted")
        async with gateway.read(from_start("lobby")) as replayed:
            assert texts(await replayed.notes(1)) == ["hello"]
