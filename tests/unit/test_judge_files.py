"""Files that are judged: what is said of them is what consent is asked about."""

from pathlib import Path

import pytest

from streams.core.consent import Terms
from streams.errors import BadInput
from streams.events import SampleJudged
from streams.ports import Services
from streams.testing.images import picture, png
from streams.testing.services import enrol
from streams.tools.judge_files import Said, judge_files

ANNA = [1.0, 0, 0, 0, 0, 0, 0, 0]


async def judged(services: Services, said: Said | None) -> SampleJudged:
    [(_, verdict)] = await judge_files([(Path("a.png"), png(picture(ANNA)))], "gina", services, said)
    assert isinstance(verdict, SampleJudged)
    return verdict


@pytest.fixture
async def agreed(services: Services) -> Services:
    """Gina agrees to be shown by one version of one model, in Germany."""
    await services.gallery.remove("anna")
    await enrol(services, "gina", ANNA, consent=False)
    terms = Terms(("face_gan@3",), ("DE",))
    await services.consent.grant("gina", evidence="a form", at=services.now(), expires=None, terms=terms)
    return services


@pytest.mark.parametrize(
    ("model", "territory", "decision"),
    [
        ("face_gan@3", "DE", "accepted"),
        ("face_gan@3", "DE-BE", "accepted"),
        ("face_gan@2", "DE", "flagged"),
        ("face_gan", "DE", "flagged"),
        ("other@3", "DE", "flagged"),
        ("face_gan@3", "FR", "flagged"),
        ("face_gan@3", None, "flagged"),
        (None, None, "flagged"),
    ],
)
async def test_a_file_is_accepted_where_what_is_said_of_it_is_what_was_agreed_to(agreed, model, territory, decision):
    verdict = await judged(agreed, Said.of(model, territory))
    assert verdict.decision == decision
    assert [reason.code for reason in verdict.reasons] == ([] if decision == "accepted" else ["no-consent"])


async def test_of_files_of_which_nothing_is_said_no_model_is_known(agreed):
    assert (await judged(agreed, None)).model == (await judged(agreed, Said.of(None, None))).model == "file"


@pytest.mark.parametrize(("model", "territory"), [("", "de"), ("a b", None), ("face_gan@", None), ("@3", None)])
def test_what_is_no_model_and_no_territory_is_refused(model, territory):
    with pytest.raises(BadInput):
        Said.of(model, territory)
