"""What all bodies are, and the types that fields of several bodies have."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]
"""An identity, model, run or source: letters, digits and ``. _ : / @ + -``, at most 200."""

SampleId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

Similarity = Annotated[float, Field(ge=-1, le=1)]
"""Cosine similarity in [-1, 1]; larger is nearer."""


class Body(BaseModel):
    """One message's body."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    version: Literal[1] = 1
