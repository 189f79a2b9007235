"""What every table of the settings is made of."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
"""What people call things. Files and folders are called by it, by three of them together too, so it is far below the 255 bytes
that a file system takes."""

Seconds = Annotated[float, Field(gt=0)]
Hz = Annotated[float, Field(gt=0, le=1000)]


class Table(BaseModel):
    """A table of the settings: frozen, without unknown keys, its numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
