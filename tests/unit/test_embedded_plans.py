"""What the parts are told, without starting any."""

import dataclasses
import hashlib
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest

from streams.embedded import doctor, kafka, kafka_jars, parts, triton
from streams.errors import BadInput, DependencyUnavailable, PartFailed, Unready
from streams.settings import Settings


def as_dict(properties: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in properties.splitlines())


def test_one_node_listens_on_loopback_and_keeps_one_replica(tmp_path: Path):
    (node,) = kafka.plan(tmp_path)
    told = as_dict(kafka.properties(node, [node]))
    addresses = re.findall(r"//([^:,]+):", told["listeners"] + told["advertised.listeners"])
    assert set(addresses) == {"127.0.0.1"}
    assert told["auto.create.topics.enable"] == "false"
    assert told["offsets.topic.replication.factor"] == told["min.insync.replicas"] == "1"
    assert told["transaction.state.log.replication.factor"] == told["transaction.state.log.min.isr"] == "1"


def test_three_nodes_vote_together_and_keep_three_replicas(tmp_path: Path):
    nodes = kafka.plan(tmp_path, nodes=3)
    told = [as_dict(kafka.properties(node, nodes)) for node in nodes]
    assert len({one["controller.quorum.voters"] for one in told}) == 1
    assert len({one["log.dirs"] for one in told}) == len({one["listeners"] for one in told}) == 3
    assert {(one["default.replication.factor"], one["min.insync.replicas"]) for one in told} == {("3", "2")}


def test_a_property_of_somebody_elses_overrides_ours(tmp_path: Path):
    (node,) = kafka.plan(tmp_path)
    ours = as_dict(kafka.properties(node, [node]))
    told = as_dict(kafka.properties(node, [node], {"advertised.listeners": "PLAINTEXT://proxy:1", "added": "x"}))
    assert told == ours | {"advertised.listeners": "PLAINTEXT://proxy:1", "added": "x"}


@pytest.mark.parametrize("count", [0, 2, 4])
async def test_there_are_one_or_three_nodes(tmp_path: Path, count: int):
    with pytest.raises(BadInput, match=f"expected 1 or 3 Kafka nodes, got {count}"):
        async with parts.start(Settings(data_dir=tmp_path / "data"), kafka_nodes=count):
            pass
    assert not (tmp_path / "data").exists()


async def test_nodes_are_not_asked_for_beside_a_kafka_of_somebody_elses(tmp_path: Path):
    with pytest.raises(BadInput, match=r"LIKENESS_KAFKA names one that somebody else runs, broker:9092"):
        async with parts.start(Settings(data_dir=tmp_path / "data", kafka="broker:9092"), kafka_nodes=3):
            pass


@pytest.mark.parametrize(("there", "wanted"), [(1, 3), (3, 1)])
def test_a_folder_that_was_formatted_for_another_number_of_nodes_is_refused(tmp_path: Path, there: int, wanted: int):
    nodes = kafka.plan(tmp_path, there)
    nodes[0].data.mkdir(parents=True)
    for node in nodes:
        node.data.with_suffix(".properties").write_text(kafka.properties(node, nodes))
    kafka.plan(tmp_path, wanted)  # nothing was formatted yet
    (nodes[0].data / "meta.properties").write_text("")
    kafka.plan(tmp_path, there)
    with pytest.raises(BadInput, match=rf"holds the data of {there} Kafka node.*--kafka-nodes {there}, .*--fresh"):
        kafka.plan(tmp_path, wanted)


def test_a_node_that_dies_soon_again_comes_back_ever_later():
    comeback, pauses, now = parts.Comeback(), [], 0.0
    for lived in (0, 1, 1, 1, 1, 1, 1, parts.HEALTHY_SECONDS + 1):
        now += comeback.pause + lived
        comeback = comeback.next(now)
        pauses.append(comeback.pause)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 1]


def test_data_stays_where_it_is_though_ports_change(tmp_path: Path):
    (first,), (second,) = kafka.plan(tmp_path), kafka.plan(tmp_path)
    assert first.data == second.data


def test_every_pinned_jar_has_a_checksum_and_its_own_name():
    jars = kafka_jars.pinned()
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    assert len({jar.filename for jar in jars}) == len(jars)
    assert kafka_jars.version().startswith("4.1.")


@pytest.fixture
def three_jars(monkeypatch: pytest.MonkeyPatch) -> list[kafka_jars.Jar]:
    names = ("kafka_2.13", "a", "b")
    jars = [kafka_jars.Jar(hashlib.sha256(name.encode()).hexdigest(), "org.example", name, "1") for name in names]
    monkeypatch.setattr(kafka_jars, "pinned", lambda: jars)
    return jars


def honest(jar: kafka_jars.Jar, into: Path) -> Path:
    path = into / f"{jar.artifact}.download"
    path.write_text(jar.artifact)
    return path


def unreachable(jar: kafka_jars.Jar, into: Path) -> Path:
    raise PartFailed("no network")


def test_jars_are_fetched_once(three_jars, tmp_path: Path):
    said: list[str] = []
    assert kafka_jars.missing(tmp_path) == 3
    paths = kafka_jars.fetch(tmp_path, said.append, threading.Event(), download=honest)
    assert [path.read_text() for path in paths] == ["kafka_2.13", "a", "b"]
    assert len(said) == 3
    assert kafka_jars.missing(tmp_path) == 0
    assert kafka_jars.fetch(tmp_path, said.append, threading.Event(), download=unreachable) == paths
    assert len(said) == 3


def test_a_jar_that_was_altered_in_the_cache_is_fetched_again(three_jars, tmp_path: Path):
    paths = kafka_jars.fetch(tmp_path, print, threading.Event(), download=honest)
    paths[1].write_text("malice")
    assert kafka_jars.fetch(tmp_path, print, threading.Event(), download=honest)[1].read_text() == "a"


def test_a_jar_that_comes_altered_is_refused_and_not_kept(three_jars, tmp_path: Path):
    def malicious(jar: kafka_jars.Jar, into: Path) -> Path:
        path = honest(jar, into)
        if jar.artifact == "a":
            path.write_text("malice")
        return path

    with pytest.raises(PartFailed, match=r"expected a-1\.jar with SHA-256 ca978112"):
        kafka_jars.fetch(tmp_path, print, threading.Event(), download=malicious)
    assert not (tmp_path / "kafka" / "1" / "a-1.jar").exists()


def test_fetching_that_was_cancelled_ends_early(three_jars, tmp_path: Path):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(PartFailed, match="cancelled"):
        kafka_jars.fetch(tmp_path, print, cancelled, download=honest)
    assert kafka_jars.missing(tmp_path) == 3


@pytest.fixture
def triton_plan(tmp_path: Path) -> triton.Plan:
    pytest.importorskip("pytriton", reason="the extra `embedded` is not installed")
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / "models" / "m" / "config.pbtxt").write_text("")
    return triton.plan(tmp_path / "data", tmp_path / "cache", tmp_path / "models")


def test_triton_opens_grpc_on_loopback_and_nothing_else(triton_plan: triton.Plan):
    command = triton.command(triton_plan)
    assert "--grpc-address=127.0.0.1" in command
    closed = ("http", "metrics", "sagemaker", "vertex-ai")
    assert {f"--allow-{name}=false" for name in closed} <= set(command)
    assert "--model-control-mode=none" in command


def test_tritons_interpreter_sees_the_packages_of_this_one(triton_plan: triton.Plan):
    triton.prepare(triton_plan)
    triton.prepare(triton_plan)  # again, over what is there
    environment = triton.environment(triton_plan)
    ask = "import streams, tritonclient, sys; print(sys.prefix)"
    # -I: the backend's interpreter ignores PYTHONPATH as well.
    said = subprocess.run(["python3", "-I", "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(triton_plan.home / "python")
    assert environment["LIKENESS_CACHE_DIR"] == str(triton_plan.cache_dir)


def test_triton_serves_those_models_alone_that_are_named(triton_plan: triton.Plan):
    one_of_two = dataclasses.replace(triton_plan, served=("m",))
    (triton_plan.models / "other").mkdir()
    (triton_plan.models / "other" / "config.pbtxt").write_text("")

    triton.prepare(one_of_two)

    assert f"--model-repository={one_of_two.repository}" in triton.command(one_of_two)
    assert [found.parent.name for found in one_of_two.repository.glob("*/config.pbtxt")] == ["m"]


def test_a_model_that_is_not_there_cannot_be_served(triton_plan: triton.Plan):
    with pytest.raises(BadInput, match="expected models among m, got nobody"):
        triton.prepare(dataclasses.replace(triton_plan, served=("m", "nobody")))


def test_triton_needs_models(triton_plan: triton.Plan, tmp_path: Path):
    with pytest.raises(Unready, match="expected served models"):
        triton.prepare(dataclasses.replace(triton_plan, models=tmp_path))


def test_shared_memory_of_another_data_folder_is_left_alone(triton_plan: triton.Plan, tmp_path: Path):
    other = triton.plan(tmp_path / "other", tmp_path / "cache", tmp_path / "models")
    assert other.shared_memory_prefix != triton_plan.shared_memory_prefix
    again = triton.plan(tmp_path / "data", tmp_path / "cache", tmp_path / "models")
    assert again.shared_memory_prefix == triton_plan.shared_memory_prefix


NOBODY = {"kafka": "127.0.0.1:1", "triton": "127.0.0.1:1", "milvus": "http://127.0.0.1:1"}


async def test_a_part_with_an_address_is_asked_and_not_started(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", **NOBODY)
    with pytest.raises(DependencyUnavailable, match=r"no connection to 127\.0\.0\.1:1"):
        async with parts.start(settings):
            pass
    assert not (tmp_path / "data" / "logs").exists()


async def test_the_doctor_says_what_to_do(tmp_path: Path):
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", kafka="127.0.0.1:1")
    reports = {report.part: report for report in await doctor.examine(settings)}
    assert list(reports) == ["kafka", "triton", "milvus", "ledger", "images"]
    assert not any(report.running for report in reports.values())
    assert "unset LIKENESS_KAFKA" in reports["kafka"].advice
    assert "likeness up" in reports["ledger"].advice
    assert not os.listdir(tmp_path)
