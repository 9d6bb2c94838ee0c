"""All services of a step at once, on stand-ins, with a clock that stands still."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from streams.core.gallery import Identity, Origin, Reference, reference_id
from streams.core.policy import Domain, Limits, Policy
from streams.core.similarity import unit
from streams.ports import ConsentRegister, Ledger, Services
from streams.testing.examiner import STUB_DESCRIPTOR, STUB_SPACE, StubExaminer
from streams.testing.gallery import InMemoryGallery
from streams.testing.generator import StubGenerator
from streams.testing.images import MemoryImages
from streams.testing.originals import InMemoryOriginals


class FrozenClock:
    """Implements ``ports.Clock``: time passes only when told to."""

    def __init__(self, moment: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)) -> None:
        """Stand still at ``moment``."""
        self.moment = moment

    def __call__(self) -> datetime:
        """Return the moment."""
        return self.moment

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.moment += timedelta(seconds=seconds)


def policy(**limits: float) -> Policy:
    """Return a policy for the stand-ins' embedding space; ``limits`` replace single numbers."""
    numbers = {"similarity": 0.6, "other_similarity": 0.5, "margin": 0.1, "face_side": 40.0, "sharpness": 20.0}
    return Policy(
        name="stand-in",
        calibrated=False,
        provenance="chosen for pictures that are drawn",
        holds_for=Domain(domain=Origin.SYNTHETIC, embedding_space=STUB_SPACE.fingerprint, comparator="centroid/raw"),
        limits=Limits(**(numbers | limits)),
    )


async def enrol(
    services: Services,
    identity: str,
    vector: Sequence[float],
    *,
    protected: bool = False,
    consent: bool = True,
    model: str = "face_gan",
) -> None:
    """Enrol somebody with one reference; the stand-in generator shows the same vector.

    Args:
        services: Where to.
        identity: Who.
        vector: Eight values, of any length.
        protected: Enrol only so that nobody generates them.
        consent: Whether consent is granted, from now on.
        model: The model that can show this identity.
    """
    direction = unit(np.asarray(vector, np.float32))
    sha256 = hashlib.sha256(identity.encode()).hexdigest()
    reference = Reference(reference_id(identity, sha256), identity, Origin.SYNTHETIC, sha256, direction)
    conditioning = {model: tuple(float(value) for value in direction)}
    someone = Identity(identity, Origin.SYNTHETIC, direction, 1, 1.0, protected, conditioning)
    await services.gallery.enrol(someone, [reference])
    if consent:
        await services.consent.grant(identity, evidence="a test", at=services.now(), expires=None)


def services(*, ledger: Ledger, consent: ConsentRegister, **overrides: Any) -> Services:
    """Return services on stand-ins; ``overrides`` replace single ones.

    The ledger and the consent register have no stand-in: give the real ones on a SQLite file.
    """
    examiner = StubExaminer()
    parts: dict[str, Any] = {
        "generator": StubGenerator(),
        "examiner": examiner,
        "lone_examiner": StubExaminer(),
        "imprinter": examiner,
        "describer": examiner,
        "gallery": InMemoryGallery(STUB_SPACE),
        "originals": InMemoryOriginals(STUB_DESCRIPTOR),
        "images": MemoryImages(),
        "policy": policy(),
        "now": FrozenClock(),
    }
    return Services(ledger=ledger, consent=consent, **(parts | overrides))
