"""Ports put together, with the values beside them: what each part of the road is given."""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeVar

from streams.core.biometrics.cohort import Cohort
from streams.core.drift.plan import Plan
from streams.core.faces import EmbeddingSpace
from streams.core.policy import Policy
from streams.ports.books import ChartBook, ClipBook
from streams.ports.consent import Agreed, ConsentRegister
from streams.ports.examining import Describer, Examiner, Imprinter, TwofoldExaminer
from streams.ports.gallery import Gallery, Searched
from streams.ports.images import Images
from streams.ports.ledger import Ledger
from streams.ports.making import Generator
from streams.ports.originals import Compared, Originals
from streams.settings import Explained

S = TypeVar("S")


class Clock(Protocol):
    """What time it is."""

    def __call__(self) -> datetime:
        """Return the time now, with a time zone."""


@dataclass(frozen=True)
class SecondVerifier:
    """Who is enrolled for the second verifier, in its own embedding space. Its embeddings come from the examiner."""

    space: EmbeddingSpace
    gallery: Gallery


class Appraising(Protocol):
    """What a verdict on an image needs, wherever the image comes from; ``Services`` has it among the rest."""

    @property
    def examiner(self) -> TwofoldExaminer:
        """Looks at the image."""

    @property
    def imprinter(self) -> Imprinter:
        """Makes what copies are recognised by."""

    @property
    def gallery(self) -> Searched:
        """Whom it may show."""

    @property
    def originals(self) -> Compared:
        """What it may be a copy of."""

    @property
    def consent(self) -> Agreed:
        """Who agreed."""

    @property
    def policy(self) -> Policy:
        """The limits."""

    @property
    def now(self) -> Clock:
        """When it is."""

    @property
    def cohort(self) -> Cohort | None:
        """Strangers against whom scores are normalised; None where they are not."""

    @property
    def second(self) -> SecondVerifier | None:
        """Who else has to agree; None: nobody."""


#: What services hold beside ports: values, which are nobody's answer to wait for. Only in ``second`` lies a port.
_VALUES = ("policy", "plan", "now", "cohort", "second", "explain")


def each_port(services: S, instead: Callable[[str, Any], Any]) -> S:
    """Return services, which are a dataclass, with ``instead(name, port)`` in the place of every port.

    The gallery of the second verifier is one of them, by the name ``second.gallery``.
    """
    if not is_dataclass(services) or isinstance(services, type):
        raise TypeError(f"expected services as a dataclass, got {type(services).__name__}")
    held = {field.name: getattr(services, field.name) for field in fields(services)}
    changed = {name: instead(name, port) for name, port in held.items() if name not in _VALUES}
    if isinstance(second := held.get("second"), SecondVerifier):
        changed["second"] = replace(second, gallery=instead("second.gallery", second.gallery))
    return replace(services, **changed)


@dataclass(frozen=True)
class Services:
    """All that ``generate`` and ``judge`` use. Built once, by the composition root."""

    generator: Generator
    examiner: TwofoldExaminer
    lone_examiner: Examiner
    """Examines in a child process of its own, so that an image that kills its reader kills no other; never rough."""
    imprinter: Imprinter
    describer: Describer
    gallery: Gallery
    originals: Originals
    images: Images
    ledger: Ledger
    consent: ConsentRegister
    policy: Policy
    now: Clock
    cohort: Cohort | None = None
    """Strangers by whom the policy has similarities normalised; None where it compares plain ones."""
    second: SecondVerifier | None = None
    """None where one verifier is enough."""
    explain: Explained = "flagged"
    """Which verdicts say how the face differs from the references."""


@dataclass(frozen=True)
class Monitoring:
    """All that ``monitor`` uses. Built once, by the composition root."""

    charts: ChartBook
    clips: ClipBook
    gallery: Gallery
    plan: Plan
    now: Clock
