"""What is told of the consent register: each of its entries."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from streams.events.body import Body


class ConsentChanged(Body):
    """One entry of the consent register: somebody agreed to something, or does so no longer."""

    entry: Annotated[int, Field(ge=1)]
    """Its number in the register. The same entry may come twice, and then says the same."""
    identity: str
    kind: Literal["granted", "withdrawn"]
    at: AwareDatetime
    """From when on it holds. A withdrawal ends every grant that was entered before it or is dated before it."""
    purpose: Literal["training", "generation", "protection"] | None = None
    """None: of a grant generation, of a withdrawal everything."""
    models: tuple[str, ...] = ()
    """What a grant is limited to, ``model`` or ``model@version``; none: no limit."""
    territories: tuple[str, ...] = ()
    """What a grant is limited to, ISO 3166 codes; none: no limit."""
    expires: AwareDatetime | None = None
    evidence: str | None = None
    """SHA-256 of the file that shows it."""
