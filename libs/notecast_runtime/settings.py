"""Reads settings from the environment, once, at the start; a wrong one ends the process."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, get_args

import structlog
from pydantic import Field, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from notecast_environment.variables import PREFIX, unknown_variables
from notecast_runtime.redis.url import RedisUrlError, check_redis_url, redacted

ENVIRONMENT_PREFIX = PREFIX

_log = structlog.get_logger(__name__)


class ServiceSettings(BaseSettings):
    """The settings of every service. Immutable.

    A field `redis_url` is the variable `NOTECAST_REDIS_URL`. Its constraints say what is allowed,
    its description what it is for.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True, extra="ignore")

    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        pattern=r"^(redis|rediss|unix)://",
        description="Redis, as redis://[user:password@]host:port/database; rediss:// for TLS;"
        " unix://[user:password@]/path?db=database for a socket",
        repr=False,
    )
    redis_timeout_seconds: float = Field(
        default=2.0, ge=0.05, le=60, description="the longest wait for one answer of Redis"
    )
    listen_host: str = Field(default="0.0.0.0", min_length=1, description="the address to serve on")  # noqa: S104 - a service in a container
    listen_port: int = Field(default=50051, ge=0, le=65535, description="the port; 0: any free one")
    shutdown_grace_seconds: float = Field(
        default=6.0,
        ge=0,
        le=300,
        description="longest time of an orderly end, counted from the signal",
    )
    log_level: str = Field(
        default="info",
        pattern="^(debug|info|warning|error)$",
        description="the lowest level that is logged",
    )

    @field_validator("redis_url")
    @classmethod
    def _leads_to_a_database(cls, value: str) -> str:
        check_redis_url(value)
        return value


_BOUNDS = {
    "ge": "at least",
    "gt": "more than",
    "le": "at most",
    "lt": "less than",
    "min_length": "of length at least",
    "max_length": "of length at most",
    "pattern": "matching",
}

SettingsType = TypeVar("SettingsType", bound=ServiceSettings)


def variable_of(field: str) -> str:
    """Returns the environment variable that sets a field of a service's settings."""
    return f"{ENVIRONMENT_PREFIX}{field.upper()}"


SECRETS = Path("/run/secrets")
"""The folder where container engines put secrets."""


def refuse_arguments(program: str, kind: type[ServiceSettings], arguments: Sequence[str]) -> None:
    """Ends a service that is started with arguments: it only takes settings from variables.

    Args:
        program: the name of its command.
        kind: its settings.
        arguments: the command line without the program.

    Raises:
        SystemExit: with code 0 after `--help`, which lists the variables with their defaults; with
            code 2 for any other argument, which is named on stderr.
    """
    lines = [
        f"  {variable_of(name)}={field.default}\n"
        f"      {field.description}; {describe_values(kind, name)}"
        for name, field in kind.model_fields.items()
    ]
    parser = argparse.ArgumentParser(
        prog=program,
        usage=f"{program} [--help]",
        description="Serves until SIGTERM or Ctrl-C. All settings are environment variables.",
        epilog="\n".join(["environment variables, with their defaults:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.parse_args(arguments)


def load_settings(kind: type[SettingsType], secrets: Path = SECRETS) -> SettingsType:
    """Reads the settings from the environment, or from secrets.

    Args:
        kind: the service's settings class.
        secrets: a folder, which need not exist. A file `notecast_redis_url` in it replaces
            NOTECAST_REDIS_URL, for values that the environment should not show.

    Raises:
        SystemExit: a value is not allowed. Each such variable is named on stderr with its value
            and what is allowed; the exit code is 2.
    """
    make: Callable[..., SettingsType] = kind  # its fields are all that checkers see
    try:
        return make(_secrets_dir=secrets if secrets.is_dir() else None)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0])
            print(_refusal(kind, name, problem), file=sys.stderr)
        raise SystemExit(2) from None


def warn_of_unknown_variables() -> None:
    """Logs each variable of the environment that begins with the prefix and that no program reads.

    It is no error: another version may have left it there. But it has no effect.
    """
    for fault in unknown_variables(os.environ):
        _log.warning("variable_unknown", fault=fault)


def _refusal(kind: type[BaseSettings], name: str, problem: ErrorDetails) -> str:
    """Describes a wrong variable in one line; shows only a part of a value with a password."""
    value = problem["input"]
    if isinstance(value, str) and (not kind.model_fields[name].repr or "@" in value):
        value = redacted(value)
    fault = problem.get("ctx", {}).get("error")
    why = f"; {fault}" if isinstance(fault, RedisUrlError) else ""
    return f"{variable_of(name)}={value!r} is not allowed: {describe_bounds(kind, name)}{why}"


def describe_bounds(kind: type[BaseSettings], name: str) -> str:
    """Describes a setting in words: its type, its bounds, and what it is for."""
    description = kind.model_fields[name].description
    return f"it takes {describe_values(kind, name)} ({description})"


def describe_values(kind: type[BaseSettings], name: str) -> str:
    """Describes the values of a setting in words: its type and its bounds."""
    field = kind.model_fields[name]
    types = [
        part for part in get_args(field.annotation) or (field.annotation,) if part is not type(None)
    ]
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    text = " or ".join(words.get(part, getattr(part, "__name__", str(part))) for part in types)
    for constraint in field.metadata:
        for attribute, phrase in _BOUNDS.items():
            value = getattr(constraint, attribute, None)
            if value is not None:
                text += f", {phrase} {value}"
    return text
