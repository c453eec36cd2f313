"""Reads the settings: from options, or else the environment, or else the defaults here."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from notecast_environment.variables import unknown_variables
from notecast_local.edge import STREAMS_PER_CONNECTION, Edge
from notecast_runtime.settings import ENVIRONMENT_PREFIX, describe_bounds

HOST = "127.0.0.1"
"""The address on which everything listens."""
PREFIX = ENVIRONMENT_PREFIX
"""The services' own prefix: a name means the same in all programs."""

CHOSEN_HERE = (
    "NOTECAST_REDIS_URL",
    "NOTECAST_HISTORY_TARGET",
    "NOTECAST_LISTEN_HOST",
    "NOTECAST_LISTEN_PORT",
    "NOTECAST_TRUSTED_PROXIES",
)
"""Settings that connect the services. The environment's values are not used."""

_HOST = re.compile(r"\*|(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\]")
_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?")

_DESCRIPTION = (
    "Runs the whole system as local processes until Ctrl-C. Each option is also a variable"
    f" ({PREFIX}PORT for --port). Other NOTECAST_* variables reach the services, except the"
    " addresses that connect them, which are chosen here."
)

_WHY_NOT_USED = (
    "the local stack runs a Valkey of its own and chooses the addresses of its parts; to use other"
    " ones, start chat-gateway and history themselves"
)


class LocalSettings(BaseSettings):
    """The settings of the local stack. Immutable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    port: int = Field(
        default=8080,
        ge=1,
        le=65535,
        description="the port for clients, on this machine only; may begin with 127.0.0.1:",
    )
    tutorial_port: int = Field(
        default=11912,
        ge=1,
        le=65535,
        description="the same for clients of the gRPC chat tutorial",
    )
    gateways: int = Field(default=2, ge=1, le=16, description="how many gateways to run")
    data: str = Field(
        default=".run", min_length=1, description="the folder of Valkey's data and of the logs"
    )
    allowed_hosts: str = Field(
        default="",
        description="host names that clients may use besides localhost, 127.0.0.1 and [::1], as"
        " chat.example.com,*.example.com in lower case without ports; *: any",
    )
    allowed_origins: str = Field(
        default="",
        description="origins of web pages that may call, as"
        " https://chat.example.com,https://example.com in lower case; empty: pages of this machine",
    )
    trusted_hops: int = Field(
        default=1,
        ge=1,
        le=16,
        description="how many proxies a call passes, the local Envoy included",
    )
    streams_per_connection: int = Field(
        default=STREAMS_PER_CONNECTION,
        ge=1,
        le=1000,
        description="how many calls one connection may have open at a time",
    )

    @field_validator("port", "tutorial_port", mode="before")
    @classmethod
    def _without_its_address(cls, value: object) -> object:
        """Removes the address: Compose takes the same variable with the address to publish at."""
        return value.removeprefix(f"{HOST}:") if isinstance(value, str) else value

    @field_validator("allowed_hosts", "allowed_origins")
    @classmethod
    def _are_what_clients_send(cls, value: str, info: ValidationInfo) -> str:
        form = _HOST if info.field_name == "allowed_hosts" else _ORIGIN
        if not all(form.fullmatch(word) for word in _words(value)):
            raise ValueError("a word is of another form")
        return value

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data).absolute()

    @property
    def edge(self) -> Edge:
        """The settings for Envoy."""
        return Edge(
            _words(self.allowed_hosts),
            _words(self.allowed_origins),
            self.trusted_hops,
            self.streams_per_connection,
        )


def read_settings(arguments: Sequence[str]) -> LocalSettings:
    """Reads the settings from the command line and the environment.

    Warns on stderr about each variable that is unknown, or set though it is chosen here.

    Args:
        arguments: the command line without the program.

    Raises:
        SystemExit: with code 2 for an unknown option, which gets the usage, and for values
            that are not allowed, each of which was named on stderr with what is allowed; with
            code 0 after `--help`.
    """
    given = _parse(arguments)
    for fault in unknown_variables(os.environ):
        print(f"warning: {fault}", file=sys.stderr)
    for name in CHOSEN_HERE:
        if name in os.environ:
            print(f"warning: {name} is not used: {_WHY_NOT_USED}", file=sys.stderr)
    try:
        settings = LocalSettings(**given)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0])
            source = _option(name) if name in given else _variable(name)
            allowed = describe_bounds(LocalSettings, name)
            print(f"{source}={problem['input']!r} is not allowed: {allowed}", file=sys.stderr)
        raise SystemExit(2) from None
    if settings.port == settings.tutorial_port:
        print(
            f"{_variable('port')} and {_variable('tutorial_port')} are both {settings.port}:"
            " each needs a port of its own",
            file=sys.stderr,
        )
        raise SystemExit(2)
    return settings


def _parse(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="notecast-local", description=_DESCRIPTION, allow_abbrev=False
    )
    for name, field in LocalSettings.model_fields.items():
        parser.add_argument(
            _option(name),
            metavar=name.rsplit("_", maxsplit=1)[-1].upper(),
            default=None,
            help=f"{field.description} ({field.default})",
        )
    options = vars(parser.parse_args(arguments))
    return {name: value for name, value in options.items() if value is not None}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return PREFIX + name.upper()
