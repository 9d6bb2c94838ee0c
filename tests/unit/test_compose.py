"""docker-compose.yml, its Dockerfiles and its manual name nothing that is not there; and a wrong name is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.compose import (
    COMPOSE,
    EXAMPLE,
    SCRAPED,
    faults,
    load,
    scrape_faults,
    variables_asked_for,
    variables_told,
)
from tests.deployment.images import DOCKERFILES, dockerfile_faults, image_faults
from tests.deployment.words import MANUAL, ROOT, command_faults, manual_faults

Services = dict[str, Any]


def test_the_file_keeps_the_specification_and_names_only_what_is_there():
    assert faults(load()) == []


MISTAKES: dict[str, tuple[Callable[[Services], object], str]] = {
    "a key that Compose does not know": (lambda s: s["judge"].update(restrat="always"), "restrat"),
    "a tag that moves": (lambda s: s["etcd"].update(image="coreos/etcd:latest"), "no exact tag"),
    "a port for everybody": (lambda s: s["intake"].update(ports=["8080:8080"]), "open beyond this machine"),
    "a service without a health check": (lambda s: s["judge"].pop("healthcheck"), "judge: a job has no health check"),
    "a worker that stays down": (lambda s: s["judge"].update(restart="no"), "judge: a job runs once"),
    "waiting for the health of a job": (
        lambda s: s["judge"]["depends_on"].update(topics={"condition": "service_healthy"}),
        "topics never comes to service_healthy",
    ),
    "waiting for a service that is not there": (
        lambda s: s["judge"]["depends_on"].update(redis={"condition": "service_healthy"}),
        "redis never comes to",
    ),
    "a setting that is not read": (
        lambda s: s["judge"]["environment"].update(LIKENESS_KAFAK="kafka-1:9092"),
        "judge: no setting is called LIKENESS_KAFAK",
    ),
    "a host that is no service": (
        lambda s: s["judge"]["environment"].update(LIKENESS_TRITON="tritn:8001"),
        "judge: there is no service tritn",
    ),
    "a port on which nobody listens": (
        lambda s: s["judge"]["environment"].update(LIKENESS_TRITON="triton:8000"),
        "judge: triton does not expose 8000",
    ),
    "a service out of reach": (lambda s: s["judge"].update(networks=["vectors"]), "shares no network with kafka-1"),
    "a command that is none": (lambda s: s["judge"].update(command=["wroker"]), "no command 'wroker'"),
    "a command of the other image that is none": (
        lambda s: s["weights"].update(command=["weights", "fetsch"]),
        "no command 'weights fetsch'",
    ),
    "a reconciler that waits for what it does not need": (
        lambda s: s["reconcile"]["depends_on"].update(milvus={"condition": "service_healthy"}),
        "reconcile: waits for milvus, which it does not need",
    ),
    "a judge that does not wait for the gallery": (
        lambda s: s["judge"]["depends_on"].pop("milvus"),
        "judge: does not wait for milvus",
    ),
    "a policy that may require a second verifier which nobody can name": (
        lambda s: s["judge"]["environment"].pop("LIKENESS_SECOND_EMBEDDER"),
        "judge: its policy may require a second verifier",
    ),
    "a second verifier whose weights nobody fetches": (
        lambda s: s["weights"]["environment"].pop("LIKENESS_SECOND_EMBEDDER"),
        "weights: fetches nothing for a second verifier",
    ),
    "a second verifier in an image that cannot run it": (
        lambda s: s["judge"]["build"].update(dockerfile="ops/docker/triton.Dockerfile"),
        "judge: its image lacks the extra second",
    ),
    "a build argument that nobody takes": (
        lambda s: s["judge"]["build"]["args"].update(PIP_EXTRA_INDEX_URL=""),
        "judge: its Dockerfile takes no PIP_EXTRA_INDEX_URL",
    ),
    "a role that is none": (
        lambda s: s["judge"].update(command=["worker", "--role", "juge", "--unsupervised"]),
        "'juge' is not one of",
    ),
    "one replica that may be missing too many": (
        lambda s: s["kafka-2"]["environment"].update(KAFKA_MIN_INSYNC_REPLICAS="1"),
        "kafka-2: expected min.insync.replicas=2",
    ),
    "two brokers of one name": (
        lambda s: s["kafka-2"]["environment"].update(KAFKA_NODE_ID="1"),
        "three brokers with ids of their own",
    ),
    "a folder that is not there": (lambda s: s["triton"].update(volumes=["./models:/models:ro"]), "no ./models"),
    "a container that may do anything": (lambda s: s["milvus"].pop("cap_drop"), "milvus: may do more"),
    "a service that may take all memory": (lambda s: s["milvus"].pop("deploy"), "milvus: has no limit of memory"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_file_is_found_and_named(mistake: str):
    make, said = MISTAKES[mistake]
    compose = load()

    make(compose["services"])

    assert [fault for fault in faults(compose) if said in fault]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("${NVIDIA_REGISTRY}/nvidia/tritonserver:25.06-py3", "older than"),
        ("milvusdb/milvus:v2.6.9", "older than"),
        ("milvusdb/milvus:v2.6", "no exact tag"),
        ("postgres:17", "no exact tag"),
        ("python", "no exact tag"),
        ("apache/kafka:3.9.1", "another release"),
        ("likeness/worker:0.0.0", "another release"),
    ],
)
def test_an_image_that_moves_or_is_too_old_is_refused(image: str, said: str):
    assert said in " ".join(image_faults(image))


@pytest.mark.parametrize("image", ["${NVIDIA_REGISTRY}/nvidia/tritonserver:25.07-py3", "milvusdb/milvus:v2.6.10"])
def test_the_oldest_release_that_will_do_is_taken(image: str):
    assert list(image_faults(image)) == []


def test_every_variable_of_the_file_is_told_in_the_example():
    asked = variables_asked_for(COMPOSE.read_text())

    assert asked == variables_told(EXAMPLE.read_text())


def test_no_password_is_in_the_file_nor_in_the_example():
    secret = ("PASSWORD", "SECRET", "TOKEN")
    values = {
        name: str(value)
        for service in load()["services"].values()
        for name, value in service.get("environment", {}).items()
        if any(word in name for word in secret)
    }

    assert values
    assert [name for name, value in values.items() if "${" not in value or ":?" not in value] == []
    told = [line for line in EXAMPLE.read_text().splitlines() if any(word in line.partition("=")[0] for word in secret)]
    assert [line for line in told if not line.startswith("#") and not line.endswith("=")] == []


def test_prometheus_scrapes_only_what_answers():
    services = load()["services"]

    assert list(scrape_faults(SCRAPED.read_text(), services)) == []


@pytest.mark.parametrize(("right", "wrong"), [("audit:9464", "audit:9465"), ("names: [judge]", "names: [juge]")])
def test_a_target_where_nobody_listens_is_found(right: str, wrong: str):
    text = SCRAPED.read_text()
    assert right in text

    assert "nothing exposes" in " ".join(scrape_faults(text.replace(right, wrong), load()["services"]))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_names_only_what_is_there(dockerfile: Path):
    assert dockerfile_faults(dockerfile.read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("[engine,postgres,replay,s3,second]", "[engine,mysql]", "no extra is called mysql"),
        ("COPY generators generators", "COPY models models", "there is no models"),
        ("COPY generators generators", "COPY tests tests", ".dockerignore keeps tests"),
        ("LIKENESS_CACHE_DIR", "LIKENESS_CACHE", "no setting is called LIKENESS_CACHE"),
        ("python:3.11.14-slim-bookworm", "python:3.11-slim", "no exact tag"),
        ("USER 1000:1000", "USER root", "user 1000:1000"),
    ],
)
def test_a_mistake_in_a_dockerfile_is_found_and_named(right: str, wrong: str, said: str):
    text = (ROOT / "ops" / "docker" / "worker.Dockerfile").read_text()
    assert right in text

    assert said in " ".join(dockerfile_faults(text.replace(right, wrong)))


def test_the_manual_names_only_what_is_there():
    assert manual_faults(MANUAL.read_text(), load()["services"]) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("set `LIKENESS_POLICE`", "no setting is called LIKENESS_POLICE"),
        ("docker compose run --rm cli adit", "no command 'adit'"),
        ("docker compose run --rm --volume ./p:/p:ro cli enrol --origin cartoon /p", "'cartoon' is not one of"),
        ("`likeness dlq redriv`", "no command 'dlq redriv'"),
        ("docker compose logs --follow juge", "there is no service juge"),
        ("docker compose up --detach --scale judge=3 juge", "there is no service juge"),
        ("look at `samples.rejected`", "there is no topic samples.rejected"),
    ],
)
def test_a_wrong_word_in_the_manual_is_found_and_named(text: str, said: str):
    assert said in " ".join(manual_faults(text, load()["services"]))


def test_a_command_is_parsed_as_the_command_line_parses_it():
    assert list(command_faults(["worker", "--role", "judge", "--unsupervised"])) == []
    assert list(command_faults(["worker", "--workers", "0"])) != []
