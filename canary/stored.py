"""The base of every model that is stored in Temporal."""

from pydantic import BaseModel, ConfigDict


class Stored(BaseModel):
    """A frozen value that outlives the code that wrote it.

    Unknown fields are ignored and fields are only ever added, each with a default: an error while a
    workflow's input is decoded would wedge the workflow, also after an upgrade or a downgrade.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
