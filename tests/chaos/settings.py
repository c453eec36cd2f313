"""What a user may tell a run, in the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tests.chaos.faults import KINDS
from tests.chaos.plan import Plan
from tests.chaos.sabotage import MECHANISMS


class ChaosSettings(BaseSettings):
    """Each is CHAOS_ and its name in capitals."""

    model_config = SettingsConfigDict(env_prefix="CHAOS_", frozen=True)

    seconds: float = Field(default=120, ge=5, le=3600)
    """How long faults are injected."""

    seed: int = 1
    """What all is drawn from."""

    faults: Annotated[tuple[str, ...], NoDecode] = tuple(KINDS)
    """Names of kinds of faults, with commas between."""

    without: str = ""
    """The mechanisms of the services to switch off, with commas between; empty: none."""

    folder: Path = Path(".run/chaos")
    """Where all files go."""

    @field_validator("faults", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("faults")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := set(value) - set(KINDS):
            raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(KINDS)}")
        return value

    @field_validator("without")
    @classmethod
    def _mechanism(cls, value: str) -> str:
        if unknown := set(filter(None, value.split(","))) - set(MECHANISMS):
            known = ", ".join(MECHANISMS)
            raise ValueError(f"no such mechanism: {', '.join(unknown)}; there are {known}")
        return value

    def plan(self) -> Plan:
        """The plan of the run."""
        return Plan(seed=self.seed, seconds=self.seconds, kinds=self.faults, without=self.without)
