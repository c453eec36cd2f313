"""Every test of this folder runs on asyncio's own loop and on uvloop."""

from tests.wire.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
