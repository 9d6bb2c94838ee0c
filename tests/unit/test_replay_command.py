"""`likeness replay` on a recording alone, with nothing running: results, gates, reports."""

import asyncio
import importlib.util
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli.main import build
from streams.errors import BadInput, PolicyRefused, Unready
from streams.ports import Services
from streams.testing.services import policy
from streams.tools.rates.policy_file import policy_text
from tests.absent import absent
from tests.recorded import recorded, trained


@pytest.fixture
async def folder(services: Services, tmp_path: Path) -> Path:
    """A recording, and a stricter policy beside it."""
    services.now.moment = datetime(2020, 1, 1, tzinfo=UTC)  # what is agreed to then holds now
    await services.consent.grant("anna", evidence="a test", at=services.now(), expires=None)
    await recorded(tmp_path / "recording", services, await trained(services))
    (tmp_path / "strict.toml").write_text(policy_text(policy(similarity=0.9)))
    return tmp_path


def replay(folder: Path, *arguments: str) -> Result:
    """Without the ledger of anybody."""
    environment = {"LIKENESS_DATA_DIR": str(folder / "data")}
    return CliRunner().invoke(build(), ["replay", *arguments], env=environment)


def regate(folder: Path, *arguments: str) -> Result:
    report = folder / "replay.html"
    asked = ["regate", str(folder / "recording"), "--report", str(report), "--json", *arguments]
    return replay(folder, *asked)


def strict(folder: Path, *arguments: str) -> Result:
    return regate(folder, "--policy", str(folder / "strict.toml"), *arguments)


def test_the_recorded_policy_changes_nothing(folder: Path):
    done = regate(folder, "--policy", "recorded", "--fail-if", "changed > 0")

    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert (said["samples"], said["changed"], said["gate"]["failed"]) == (60, 0, False)
    assert said["consent"] == "recorded"
    assert "no ledger is known" in done.stderr


def test_a_gate_that_fails_is_the_exit_status(folder: Path):
    done = strict(folder, "--fail-if", "newly_flagged > 1%", "--fail-if", "newly_leak > 0")

    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert [rule["failed"] for rule in said["gate"]["rules"]] == [True, False]
    assert said["by_reason"]["mismatch"]["gained"] == said["newly_flagged"] > 0


def test_the_same_replay_twice_is_the_same_to_the_byte(folder: Path):
    one = strict(folder, "--result", str(folder / "result.json"))
    first = [(folder / name).read_bytes() for name in ("replay.html", "result.json")]
    other = strict(folder, "--result", str(folder / "result.json"))

    assert one.stdout == other.stdout
    assert [(folder / name).read_bytes() for name in ("replay.html", "result.json")] == first
    result = json.loads(first[1])
    assert len(result["changes"]) == result["changed"] == json.loads(one.stdout)["changed"]


def test_the_report_shows_what_changed_and_needs_nothing_beside_itself(folder: Path):
    changed = json.loads(strict(folder).stdout)["changed"]

    page = (folder / "replay.html").read_text()

    assert 0 < changed <= 40
    assert page.count('class="card flagged"') == min(changed, 24)
    assert page.count('<img src="data:image/jpeg;base64,') == min(changed, 24)
    for heading in ("Mean similarity", "Share accepted", "Fréchet distance", "The embedding space"):
        assert heading in page
    assert page.count("http") == page.count('<meta http-equiv="Content-Security-Policy"') == 1


def test_without_a_report_none_is_written(folder: Path):
    assert strict(folder, "--no-report").exit_code == 0
    assert not (folder / "replay.html").exists()


def test_the_map_by_umap_is_the_same_to_the_byte_too(folder: Path):
    if importlib.util.find_spec("umap") is None:
        absent("umap-learn is not installed: pip install -e '.[umap]'")
    pages = []
    for _ in range(2):
        assert strict(folder, "--map", "umap").exit_code == 0
        pages.append((folder / "replay.html").read_bytes())

    assert pages[0] == pages[1]
    assert b"by UMAP" in pages[0]
    strict(folder)
    assert b"by UMAP" not in (folder / "replay.html").read_bytes()


def test_without_umap_nothing_is_replayed_and_the_remedy_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "umap", None)

    done = strict(folder, "--map", "umap")

    assert isinstance(done.exception, Unready)
    assert "pip install 'likeness-qc[umap]'" in str(done.exception)
    assert not (folder / "replay.html").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--policy", "synthetic"), PolicyRefused),
        (("--policy", "recorded", "--fail-if", "worse"), BadInput),
        (("--policy", "recorded", "--run", "run-1"), BadInput),
        (("--policy", "recorded", "--steps", "ten"), BadInput),
        (("--policy", "recorded", "--offsets", "0"), BadInput),
        (("--policy", "recorded", "--topic", "generation.requests"), BadInput),
        (("--policy", "recorded", "--since", "soon"), BadInput),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: tuple[str, ...], error: type[Exception]):
    done = regate(folder, *arguments)

    assert isinstance(done.exception, error), done.output


async def test_a_recording_of_nothing_is_replayed_and_passes_no_gate(services: Services, tmp_path: Path):
    await recorded(tmp_path / "recording", services, await trained(services, steps=1), run="nobody")

    done = await asyncio.to_thread(regate, tmp_path, "--policy", "recorded", "--fail-if", "newly_flagged > 1%")

    assert done.exit_code == 1
    said = json.loads(done.stdout)
    assert (said["samples"], said["changed"], said["gate"]["rules"][0]["value"]) == (0, 0, None)
    assert "Of 0 samples" in (tmp_path / "replay.html").read_text()
