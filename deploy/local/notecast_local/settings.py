"""What may be set: by option, or else by environment, or else as it stands here."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from notecast_runtime.settings import describe_bounds

PREFIX = "NOTECAST_LOCAL_"

_DESCRIPTION = (
    "Runs the whole system as local processes until Ctrl-C. Each option is also a variable"
    f" ({PREFIX}PORT for --port). Other NOTECAST_* variables reach the services, except the"
    " addresses that tie them together, which are chosen here."
)


class LocalSettings(BaseSettings):
    """What the local stack has to be told. Immutable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    port: int = Field(default=8080, ge=1, le=65535, description="the port for clients")
    tutorial_port: int = Field(
        default=11912, ge=1, le=65535, description="the port for clients of the gRPC chat tutorial"
    )
    gateways: int = Field(default=2, ge=1, le=16, description="how many gateways to run")
    data: str = Field(
        default=".run", min_length=1, description="the folder of Valkey's data and of the logs"
    )

    @property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return Path(self.data).absolute()


def read_settings(arguments: Sequence[str]) -> LocalSettings:
    """Reads the settings from the command line and the environment.

    Args:
        arguments: the command line without the program.

    Raises:
        SystemExit: with code 2 for an unknown option, which gets the usage, and for values
            that are not allowed, each of which was named on stderr with what is allowed; with
            code 0 after `--help`.
    """
    given = _parse(arguments)
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


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return PREFIX + name.upper()
