import asyncio
import gc
import socket
import sys
import threading
from collections.abc import Sequence

import pytest

from notecast_runtime.redis.name_lookup import NameLookup
from tests.support.waiting import eventually


class Resolver:
    """One that answers when it is told to."""

    def __init__(self) -> None:
        self.questions = 0
        self.answers = threading.Event()
        self.failure: Exception | None = None

    def __call__(self, host: str) -> Sequence[str]:
        self.questions += 1
        assert self.answers.wait(10)
        if self.failure is not None:
            raise self.failure
        return [f"address {self.questions} of {host}"]


async def test_the_system_is_asked_for_a_name() -> None:
    assert set(await NameLookup("localhost").addresses()) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%lo"])
async def test_nobody_is_asked_for_an_address(address: str) -> None:
    resolver = Resolver()
    assert await NameLookup(address, resolver).addresses() == [address]
    assert resolver.questions == 0


async def test_a_caller_meanwhile_gets_the_same_answer_and_a_later_one_another() -> None:
    resolver = Resolver()
    lookup = NameLookup("redis", resolver)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await lookup.addresses()
    both = asyncio.gather(lookup.addresses(), lookup.addresses())
    resolver.answers.set()
    assert [list(each) for each in await both] == [["address 1 of redis"]] * 2
    assert await lookup.addresses() == ["address 2 of redis"]


async def test_a_failure_is_told_to_callers_that_wait_and_complained_of_to_nobody_else() -> None:
    resolver = Resolver()
    lookup = NameLookup("redis", resolver)
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    resolver.failure = socket.gaierror("nobody knows")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await lookup.addresses()
    resolver.answers.set()

    async def asked_again() -> bool:
        with pytest.raises(socket.gaierror):
            await lookup.addresses()
        return resolver.questions > 1

    await eventually(asked_again, "the question that was given up has failed")
    gc.collect()
    assert complaints == []


_ENDS_AMID_A_QUESTION = """
import asyncio, time, uvloop
from notecast_runtime.redis.name_lookup import NameLookup

async def main():
    async with asyncio.timeout(0.05):
        await NameLookup("redis", lambda _: time.sleep(60)).addresses()

try:
    uvloop.run(main())
except TimeoutError:
    print("given up", flush=True)
"""


async def test_a_process_ends_though_nobody_has_answered_yet() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ENDS_AMID_A_QUESTION, stdout=-1, stderr=-1
    )
    try:
        async with asyncio.timeout(10):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, output, errors) == (0, b"given up\n", b"")
