"""Runs other programs: with a deadline, and with what they said where they fail."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class CommandError(Exception):
    """A program failed, or did not end in time."""


async def run(
    *words: str,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
    told: bool = False,
) -> str:
    """Runs a program in the root of the tree; returns what it printed.

    Args:
        words: the program and its arguments.
        seconds: how long it may take.
        environment: beside this process's own.
        text: its standard input.
        told: whether what it says on its standard error is passed on while it runs.

    Raises:
        CommandError: it failed, or took too long.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
        stdin=DEVNULL if text is None else PIPE,
        stdout=PIPE,
        stderr=None if told else PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(None if text is None else text.encode())
    except TimeoutError:
        raise CommandError(f"`{' '.join(words)}` did not end within {seconds:g} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise CommandError(f"`{' '.join(words)}` fails:\n{(err or out).decode().strip()}")
    return out.decode()
