"""How long to fuzz."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class FuzzSettings(BaseSettings):
    """From the environment, as FUZZ_SECONDS."""

    model_config = SettingsConfigDict(env_prefix="FUZZ_", frozen=True)

    seconds: int = Field(default=60, ge=1, le=86_400)
