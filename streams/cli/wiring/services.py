"""The composition root: from settings to services."""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from streams.adapters.faces.engine import FaceEngine, embedding_space
from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.faces.lone import LoneExaminer, known_good
from streams.adapters.images.decoder import UNPACK_ANY, DecoderProcess
from streams.adapters.images.store import ImageStore
from streams.adapters.ledger.charts.book import SqlChartBook
from streams.adapters.ledger.clips.book import SqlClipBook
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.samples import SqlLedger
from streams.adapters.milvus.gallery import MilvusGallery
from streams.adapters.milvus.originals import MilvusOriginals
from streams.adapters.second.chosen import second_space
from streams.adapters.triton.generator import TritonGenerator
from streams.cli.terminal.output import console
from streams.cli.wiring.addresses import addressed, answering
from streams.cli.wiring.database import opened_database
from streams.cli.wiring.plan import drift_plan
from streams.cli.wiring.policies import load_policy, policy_file
from streams.core.biometrics.cohort import Cohort
from streams.core.faces import EmbeddingSpace
from streams.core.imprints import Descriptor
from streams.core.policy import Policy, refuse_without_second
from streams.errors import SpaceMismatch
from streams.ports import Monitoring, SecondVerifier, Services
from streams.settings import Settings
from streams.tools.rates.cohort_file import read_cohort

T = TypeVar("T")


class Patiently(Protocol):
    """Runs work, and may run it again while a part is down."""

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what the work returns."""


def fetch_weights(cache_dir: Path, report: Callable[[str], None]) -> None:
    """Have every installed package put the weights of its served models into the cache."""
    for entry in importlib.metadata.entry_points(group="likeness.weights"):
        entry.load()(cache_dir, report)


def load_cohort(policy: Policy, settings: Settings) -> Cohort | None:
    """Return the strangers that the policy of these settings names, None where it names none.

    Raises:
        PolicyRefused: As ``read_cohort`` says.
    """
    if policy.normalisation is None:
        return None
    dimension = embedding_space(settings).dimension
    return read_cohort(policy, policy.normalisation, policy_file(settings.policy).parent, dimension=dimension)


async def at_once(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work`` once: what does not answer is an error. A worker waits instead."""
    return await work()


@asynccontextmanager
async def open_services(
    settings: Settings,
    examiner: FaceExaminer,
    *,
    create_gallery: bool = False,
    create_second: bool = False,
    patiently: Patiently = at_once,
) -> AsyncIterator[Services]:
    """Open everything that the steps use; close it at the end.

    Args:
        settings: With every address set.
        examiner: Opened where images are to be examined; only its space is used where not.
        create_gallery: Whether the gallery and the image store are made where there are none, as enrolment does;
            the gallery also beside one in another embedding space.
        create_second: Whether the second verifier's gallery alone is made where there is none.
        patiently: Runs what needs a part that may be down.

    Raises:
        PolicyRefused: If the policy requires a second verifier that the settings do not name, or a cohort that is not
            beside it.
    """
    policy = load_policy(settings.policy)
    cohort, space_of_second = load_cohort(policy, settings), second_space(settings)
    refuse_without_second(policy, space_of_second.fingerprint if space_of_second else None)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings, patiently=patiently))
        exactly = settings.model_copy(update={"precision": "fp32"})
        lone_examiner = LoneExaminer(partial(FaceEngine.load, exactly), examiner.space, canary=known_good())
        stack.push_async_callback(lone_examiner.close)
        generator = TritonGenerator(settings.address("triton"), timeout_seconds=settings.call_timeout_seconds)
        await generator.open()
        stack.push_async_callback(generator.close)
        gallery = _gallery(settings, examiner.space)
        stack.push_async_callback(gallery.close)
        await patiently(partial(gallery.open, create=create_gallery))
        second = None
        if space_of_second is not None:
            second_gallery = _gallery(settings, space_of_second)
            stack.push_async_callback(second_gallery.close)
            await _open_second(second_gallery, create=create_gallery or create_second, patiently=patiently)
            second = SecondVerifier(space_of_second, second_gallery)
        originals = await stack.enter_async_context(open_originals(settings, examiner.descriptor, patiently=patiently))
        images = ImageStore(settings.address("images"))
        await patiently(partial(images.open, create=create_gallery))
        yield Services(
            generator=generator,
            examiner=examiner,
            lone_examiner=lone_examiner,
            imprinter=examiner,
            describer=examiner,
            gallery=gallery,
            originals=originals,
            images=images,
            ledger=SqlLedger(database),
            consent=SqlConsentRegister(database),
            policy=policy,
            now=partial(datetime.now, UTC),
            cohort=cohort,
            second=second,
            explain=settings.explain,
        )


async def _open_second(gallery: MilvusGallery, *, create: bool, patiently: Patiently) -> None:
    try:
        await patiently(partial(gallery.open, create=create))
    except SpaceMismatch as error:
        raise SpaceMismatch(
            "expected a gallery for the second verifier beside the first one, got none: run `likeness index-second`, or"
            " unset LIKENESS_SECOND_EMBEDDER"
        ) from error


@asynccontextmanager
async def open_monitoring(
    settings: Settings, space: EmbeddingSpace, *, patiently: Patiently = at_once
) -> AsyncIterator[Monitoring]:
    """Open everything that the monitor uses; close it at the end.

    Args:
        settings: With the addresses of the ledger and of Milvus.
        space: The embedding space of the samples.
        patiently: Runs what needs a part that may be down.
    """
    plan = drift_plan(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings, patiently=patiently))
        gallery = _gallery(settings, space)
        stack.push_async_callback(gallery.close)
        await patiently(gallery.open)
        clips = SqlClipBook(database, quiet=timedelta(seconds=settings.clip_quiet_seconds))
        yield Monitoring(SqlChartBook(database, plan), clips, gallery, plan, partial(datetime.now, UTC))


@asynccontextmanager
async def gallery_services(settings: Settings) -> AsyncIterator[Services]:
    """Open everything for a command that looks at no image: the networks are not loaded."""
    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    await answering(settings, "milvus")
    async with open_services(settings, FaceExaminer(settings)) as services:
        yield services


@asynccontextmanager
async def examiner_of_files(settings: Settings) -> AsyncIterator[FaceExaminer]:
    """Load the networks for files of one's own, in any format that Pillow reads; no part needs to run."""
    examiner = FaceExaminer(settings, report=console.print, decoder=DecoderProcess(UNPACK_ANY))
    await examiner.open()
    try:
        yield examiner
    finally:
        await examiner.close()


@asynccontextmanager
async def open_originals(
    settings: Settings, descriptor: Descriptor, *, patiently: Patiently = at_once
) -> AsyncIterator[MilvusOriginals]:
    """Open the originals in Milvus by themselves; close them at the end."""
    originals = MilvusOriginals(
        settings.address("milvus"),
        settings.milvus_token.get_secret_value(),
        descriptor,
        timeout_seconds=settings.call_timeout_seconds,
    )
    try:
        await patiently(originals.open)
        yield originals
    finally:
        await originals.close()


@asynccontextmanager
async def examining_services(
    settings: Settings, *, create_gallery: bool = False, create_second: bool = False
) -> AsyncIterator[Services]:
    """Open everything, with the networks loaded, for a command that looks at images."""
    await answering(settings, "milvus")
    examiner = FaceExaminer(settings, report=console.print)
    # Loading the networks takes seconds: what can be refused without them, is.
    async with open_services(
        settings, examiner, create_gallery=create_gallery, create_second=create_second
    ) as services:
        await examiner.open()
        try:
            yield services
        finally:
            await examiner.close()


def _gallery(settings: Settings, space: EmbeddingSpace) -> MilvusGallery:
    token = settings.milvus_token.get_secret_value()
    return MilvusGallery(settings.address("milvus"), token, space, timeout_seconds=settings.call_timeout_seconds)
