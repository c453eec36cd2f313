"""What a user may tell a run, in the environment."""

import shlex
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class RunSettings(BaseSettings):
    """Each is its name in capitals; what is empty counts as not set."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    kubeconfig: Path | None = None
    """How a cluster is reached that is there already."""

    cluster_tool: Path | None = None
    """Starts a cluster where there is none: without arguments it prints the path of a
    kubeconfig, with `load IMAGE...` it hands images of the engine to the cluster, and with `down`
    it ends it."""

    cluster_load: Annotated[tuple[str, ...], NoDecode] = ()
    """With KUBECONFIG: the command that hands images to the cluster, as `kind load docker-image`;
    empty where the cluster sees the engine's images by itself."""

    cluster_keep: bool = False
    """Whether namespace and cluster stay, to be looked at."""

    cluster_streams: int = Field(default=60, ge=4, le=2_000)
    """How many readers there are."""

    cluster_notes: float = Field(default=30, gt=0, le=2_000)
    """How many notes are written in a second."""

    folder: Path = Field(default=Path(".run/kubernetes"), alias="CLUSTER_FOLDER")
    """Where all files go."""

    @field_validator("cluster_load", mode="before")
    @classmethod
    def _words(cls, value: object) -> object:
        return tuple(shlex.split(value)) if isinstance(value, str) else value
