"""Data of a file or of a line: nothing unknown in it, nothing converted, nothing changed afterwards."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """The base of such data."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
