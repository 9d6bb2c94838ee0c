"""``likeness clips show`` on a ledger: what it prints for people and for programs."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.rows import samples
from streams.cli.main import main
from streams.cli.terminal.output import page
from streams.cli.watch_lines import for_reading
from tests.charted import BEGIN, Bench
from tests.clipped import clip, moving, remembered

SWAPPED = range(10, 14)
OPEN = clip("c-2", count=3, begin=BEGIN + timedelta(seconds=3))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A ledger with one clip in which somebody else is shown for a moment, and one that is not complete."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("LIKENESS_LEDGER", url)
    monkeypatch.setenv("LIKENESS_DATA_DIR", str(tmp_path))

    async def fill() -> Bench:
        database = Database(url)
        await database.open()
        bench = Bench(database, await remembered([*clip(), *OPEN], SWAPPED))
        await bench.read([*clip(), *OPEN])
        await database.close()
        return bench

    return asyncio.run(fill())


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["clips", "show", *arguments])
    return int(ended.value.code or 0)


def test_programs_get_every_clip_with_the_verdict_that_was_published(bench: Bench, capsys):
    assert run("--json") == 0
    judged, waiting = json.loads(capsys.readouterr().out)["clips"]
    [published] = bench.messages("clips.judged")
    assert (judged["clip_id"], judged["samples"], judged["waiting"]) == ("c-1", 24, False)
    assert judged["verdict"] == published
    assert (waiting["clip_id"], waiting["samples"], waiting["waiting"]) == ("c-2", 3, True)
    assert waiting["verdict"] is None


def test_people_see_every_clip_and_why_it_is_flagged(bench: Bench, capsys, monkeypatch):
    monkeypatch.setattr(page, "width", 200)
    assert run() == 0
    shown = capsys.readouterr().out
    assert "2 clips" in shown
    assert "24 of 24" in shown
    assert "frames 10 to 13 lie apart" in shown
    assert "not judged yet" in shown


def test_one_clip_is_shown_with_its_numbers_and_its_worst_frames(bench: Bench, capsys):
    assert run("c-1") == 0
    shown = capsys.readouterr().out
    assert "c-1 of shop: anna by face_gan: flagged, revision 1, 24 of 24 frames" in shown
    assert "flicker of the embedding, median" in shown
    assert "worst frames" in shown


def test_a_name_without_a_clip_is_told(bench: Bench, capsys):
    assert run("c-9") == 2
    assert "no clip 'c-9'" in capsys.readouterr().err


def test_whoever_watches_the_topic_reads_whether_a_clip_is_good_and_why_not(bench: Bench):
    [record] = [one for one in bench.told if one.topic == "clips.judged"]
    text = for_reading("clips.judged", record).plain
    assert text.startswith("✗ clip c-1 of shop  anna  24 frames\n    frames 10 to 13 lie apart")


def test_a_mouth_that_moves_unlike_before_is_shown_in_standard_deviations(bench: Bench, capsys):
    async def go_on() -> None:
        await bench.database.open()
        for number, amplitude in enumerate((0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.60)):
            one = clip(f"m-{number}", 4, frames=4, begin=BEGIN + timedelta(minutes=1 + number))
            await bench.database.transact(lambda c, one=one, by=amplitude: c.execute(samples.insert(), moving(one, by)))
            await bench.read(one)
        await bench.database.close()

    asyncio.run(go_on())
    assert run("m-6") == 0
    shown = capsys.readouterr().out
    assert "from earlier clips" in shown
    # Of the seven earlier clips one has no such measure; the others' steps are 0.10 to 0.15.
    assert re.search(r"mouth-width from frame to frame, median +0\.6000 +\+21\.4 σ", shown)
