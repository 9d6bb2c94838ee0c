import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streams.embedded import folder, state
from streams.embedded.state import Running
from streams.errors import BadInput
from streams.settings import Settings


@pytest.fixture
def running() -> Running:
    return Running(
        kafka="127.0.0.1:1",
        triton="127.0.0.1:2",
        milvus="http://127.0.0.1:3",
        ledger="sqlite:////d/ledger.db",
        images="/d/images",
        pid=os.getpid(),
        started=state.started(),
        versions={"kafka": "4.1.2"},
        logs={"kafka": "/d/logs/kafka.log"},
        children={"kafka": 1},
    )


def test_what_was_written_is_read(tmp_path: Path, running: Running):
    state.write(tmp_path, running)
    assert state.read(tmp_path) == running
    assert [path.name for path in tmp_path.iterdir()] == ["running.json"]


def test_nothing_runs_where_nothing_was_written(tmp_path: Path):
    assert state.read(tmp_path) is None


def test_an_owner_that_is_gone_runs_nothing(tmp_path: Path, running: Running):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    state.write(tmp_path, dataclasses.replace(running, pid=ended.pid))
    assert state.read(tmp_path) is None


def test_an_owner_whose_number_another_process_has_now_runs_nothing(tmp_path: Path, running: Running):
    state.write(tmp_path, dataclasses.replace(running, started=running.started - 60))
    assert state.read(tmp_path) is None


def test_an_owner_that_holds_its_folder_lives_though_the_clock_was_set_meanwhile(tmp_path: Path, running: Running):
    state.write(tmp_path, dataclasses.replace(running, started=running.started - 3600))
    with folder.held(folder.lock_path(tmp_path), 0):
        assert state.read(tmp_path) is not None


@pytest.mark.parametrize("text", ["", "[]", '{"kafka": "127.0.0.1:1"}', '{"unknown": 1}'])
def test_a_state_file_of_another_kind_is_as_good_as_none(tmp_path: Path, text: str):
    (tmp_path / "running.json").write_text(text)
    assert state.read(tmp_path) is None


def test_only_addresses_that_are_not_set_are_filled(running: Running):
    filled = running.fill(Settings(kafka="cluster:9092", images="s3://bucket"))
    assert (filled.kafka, filled.images) == ("cluster:9092", "s3://bucket")
    assert (filled.triton, filled.milvus, filled.ledger) == (running.triton, running.milvus, running.ledger)


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path, running: Running):
    state.write(tmp_path, running)
    refusal = state.already_up(tmp_path)
    assert refusal is not None
    assert f"process {os.getpid()}" in str(refusal)
    with (
        folder.held(folder.lock_path(tmp_path), 0),
        pytest.raises(BadInput, match="likeness down"),
        folder.held(folder.lock_path(tmp_path), 600, lambda: state.already_up(tmp_path)),
    ):
        pass


def test_down_says_so_where_nothing_runs(tmp_path: Path):
    assert state.down(tmp_path) is False
    assert state.down(tmp_path / "never-made") is False
    assert not list(tmp_path.iterdir())


def test_down_ends_the_owner_and_waits_for_everyone_who_holds_the_folder(tmp_path: Path, running: Running):
    holder = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print(1, flush=True); time.sleep(600)"
    )
    path = folder.lock_path(tmp_path)
    with subprocess.Popen([sys.executable, "-c", holder, str(path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        assert folder.is_held(tmp_path)
        created = psutil.Process(owner.pid).create_time()
        state.write(tmp_path, dataclasses.replace(running, pid=owner.pid, started=created))
        assert state.down(tmp_path, timeout=30) is True
        assert not psutil.pid_exists(owner.pid)
    assert not folder.is_held(tmp_path)
    assert state.read(tmp_path) is None


def test_a_folder_with_somebody_elses_data_is_refused_and_left_alone(tmp_path: Path):
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "thesis.txt").write_text("years")
    with pytest.raises(BadInput, match="'kafka', which Likeness did not put there"):
        folder.claim(tmp_path)
    with pytest.raises(BadInput, match="nothing was deleted"):
        folder.wipe(tmp_path)
    assert (tmp_path / "kafka" / "thesis.txt").read_text() == "years"


def test_wiping_deletes_the_parts_data_and_nothing_else(tmp_path: Path):
    folder.claim(tmp_path)
    for name in ("kafka", "milvus", "images", "logs", "photos"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    (tmp_path / "ledger.db").write_text("")
    folder.claim(tmp_path)  # it is ours, whatever is in it
    folder.wipe(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"likeness.folder", "logs", "photos"}


def test_wiping_does_not_follow_a_link(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("")
    data_dir = tmp_path / "data"
    folder.claim(data_dir)
    (data_dir / "images").symlink_to(elsewhere)
    folder.wipe(data_dir)
    assert (elsewhere / "file").exists()
    assert not (data_dir / "images").is_symlink()


def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/data cannot be written .*LIKENESS_DATA_DIR"):
        folder.claim(tmp_path / "file" / "data")


def test_a_full_disk_is_called_that(tmp_path: Path):
    with pytest.raises(BadInput, match="is on a full disk"), folder.writable(tmp_path):
        raise OSError(28, "No space left on device", "x")


def test_the_state_file_is_json_for_other_programs(tmp_path: Path, running: Running):
    state.write(tmp_path, running)
    assert json.loads((tmp_path / "running.json").read_text())["kafka"] == running.kafka
