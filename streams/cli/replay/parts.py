"""What a replay is made of: the recording, the policy, who agrees, and what looks at images."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from streams.cli.replay.record import recorded, tell
from streams.cli.terminal.output import console
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.core.biometrics.cohort import Cohort
    from streams.core.gallery import Reference
    from streams.core.policy import Policy
    from streams.tools.recording.manifest import Selection
    from streams.tools.recording.reader import Recording
    from streams.tools.replay.rejudge import Bench
    from streams.tools.replay.standing import Standing

#: Stands for the policy that was in force where it was recorded.
RECORDED = "recorded"

#: Who is enrolled: as it was recorded, or as it is in Milvus now.
WhichGallery = Literal["recorded", "now"]


@asynccontextmanager
async def opened(folder: Path | None, settings: Settings, wanted: "Selection") -> "AsyncIterator[Recording]":
    """Open the recording; where there is none, make one of the stream that is gone afterwards."""
    from streams.tools.recording.reader import Recording

    if folder is not None:
        yield Recording(folder)
        return
    with tempfile.TemporaryDirectory(prefix="likeness-replay-") as temporary:
        passing = Path(temporary) / "recording"
        await recorded(settings, passing, wanted, report=tell)
        yield Recording(passing)


def policy_named(name: str, recording: "Recording") -> "Policy":
    """Return a policy by name or file, or the recorded one."""
    from streams.cli.wiring.policies import load_policy

    return recording.manifest.policy if name == RECORDED else load_policy(name)


def cohort_of(policy: "Policy", name: str, settings: Settings) -> "Cohort | None":
    """Return the strangers by whom a policy has scores normalised: their file lies beside its own.

    Raises:
        PolicyRefused: If there is none, as of a recorded policy.
    """
    from streams.cli.wiring.services import load_cohort
    from streams.errors import PolicyRefused

    if policy.normalisation is None:
        return None
    if name == RECORDED:
        raise PolicyRefused(
            f"policy {policy.version} normalises scores, and a recording holds no cohort: name the policy's own file"
        )
    return load_cohort(policy, settings.model_copy(update={"policy": name}))


async def standing_of(settings: Settings, recording: "Recording") -> "Standing":
    """Ask who agrees now, where the ledger is known."""
    from streams.embedded import state
    from streams.tools.replay.standing import as_now, as_recorded

    now = datetime.now(UTC)
    if settings.ledger is None and state.read(settings.data_dir) is None:
        tell("no ledger is known: consent is as it was recorded, and whoever was forgotten since is not left out")
        return as_recorded(recording, now)
    from streams.adapters.ledger.consent import SqlConsentRegister
    from streams.adapters.ledger.samples import SqlLedger
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database

    async with opened_database(addressed(settings, "ledger")) as database:
        return await as_now(recording, SqlLedger(database), SqlConsentRegister(database), now)


@asynccontextmanager
async def bench_for(
    settings: Settings,
    recording: "Recording",
    policy: "Policy",
    standing: "Standing",
    gallery: WhichGallery,
    cohort: "Cohort | None" = None,
) -> "AsyncIterator[tuple[Bench, str, Sequence[Reference]]]":
    """Load the networks, and give what judges, with the gallery's version and references."""
    from streams.adapters.faces.examiner import FaceExaminer
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.core.policy import refuse_elsewhere, refuse_without_second
    from streams.tools.replay.enrolled import gallery_for
    from streams.tools.replay.rejudge import Bench, OriginalsAsRecorded, Register

    register, now = Register(standing.entries), partial(datetime.now, UTC)
    if gallery == "now":
        async with examining_services(addressed(settings)) as live:
            space, domain = live.examiner.space.fingerprint, await live.gallery.domain()
            refuse_elsewhere(policy, embedding_space=space, domain=domain)
            names = await live.gallery.names()
            references = [one for name in names for one in await live.gallery.references(name)]
            bench = Bench(
                live.examiner, live.imprinter, live.gallery, live.originals, register, policy, now, cohort, live.second
            )
            yield bench, await live.gallery.version(), references
        return
    refuse_without_second(policy, None)  # a recording has references of the first verifier alone
    examiner = FaceExaminer(settings, report=console.print)
    refuse_elsewhere(policy, embedding_space=examiner.space.fingerprint, domain=None)
    await examiner.open()
    try:
        enrolled = await gallery_for(recording, examiner, standing.forgotten)
        held = recording.manifest.gallery
        bench = Bench(examiner, examiner, enrolled, OriginalsAsRecorded(), register, policy, now, cohort)
        yield bench, held.version if held is not None else "", enrolled.references
    finally:
        await examiner.close()
