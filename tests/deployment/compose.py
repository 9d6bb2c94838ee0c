"""Holds docker-compose.yml against the code that it runs: every finding is a sentence."""

import copy
import functools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema import Draft202012Validator

from streams.cli.work import DEPENDENCIES, RoleName
from streams.embedded import kafka
from tests.deployment.images import extras, image_faults
from tests.deployment.words import ROOT, command_faults, unknown_settings

COMPOSE = ROOT / "docker-compose.yml"
SCRAPED = ROOT / "ops" / "docker" / "prometheus.yml"
EXAMPLE = ROOT / "ops" / "docker" / "example.env"

Services = Mapping[str, Any]

#: Services that end when their work is done; all others run for ever, and can be asked for their health.
JOBS = frozenset({"topics", "weights", "buckets", "cli"})

#: Broker properties that say where a node is, how large, and how soon it is missed; not how it keeps records.
_OF_ONE_MACHINE = frozenset(
    {
        *("process.roles", "node.id", "controller.quorum.voters", "listeners", "advertised.listeners"),
        *("controller.listener.names", "inter.broker.listener.name", "listener.security.protocol.map", "log.dirs"),
        *("log.cleaner.dedupe.buffer.size", "broker.session.timeout.ms", "broker.heartbeat.interval.ms"),
    }
)


def load() -> dict[str, Any]:
    """Return the file with its anchors resolved; no service shares a part of itself with another."""
    loaded = copy.copy(_parsed())
    loaded["services"] = {name: copy.deepcopy(service) for name, service in loaded["services"].items()}
    return loaded


@functools.cache
def _parsed() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


@functools.cache
def _specification() -> Draft202012Validator:
    return Draft202012Validator(get_builtin_schema("vendor.compose-spec"))


def faults(compose: dict[str, Any]) -> list[str]:
    """Return whatever is wrong with the file; where it breaks the specification, nothing else is asked."""
    errors = _specification().iter_errors(compose)
    broken = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]
    return broken or [fault for check in _CHECKS for fault in check(compose["services"])]


def _images(services: Services) -> Iterator[str]:
    for name, service in services.items():
        yield from (f"{name}: {fault}" for fault in image_faults(service["image"]))


def _ports(services: Services) -> Iterator[str]:
    for name, service in services.items():
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: port {port} is open beyond this machine"


def _health(services: Services) -> Iterator[str]:
    for name, service in services.items():
        if (name in JOBS) == ("healthcheck" in service):
            yield f"{name}: a job has no health check, everything else has one"
        if (name in JOBS) != (service.get("restart") == "no"):
            yield f"{name}: a job runs once, everything else is started again"


def _order(services: Services) -> Iterator[str]:
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in JOBS else "service_healthy"
            if other not in services or how["condition"] != wanted:
                yield f"{name}: {other} never comes to {how['condition']}"


def _variables(services: Services) -> Iterator[str]:
    for name, service in services.items():
        for variable in unknown_settings(" ".join(service.get("environment", {}))):
            yield f"{name}: no setting is called {variable}"


def _addresses(services: Services) -> Iterator[str]:
    """Whatever looks like service:port must be exposed there, on a network that both are in."""
    for name, service in services.items():
        said = [*service.get("environment", {}).values(), *service.get("command", [])]
        for host, port in re.findall(r"(?<![\w.$-])([a-z][a-z0-9-]*):(\d+)\b", " ".join(map(str, said))):
            other = services.get(host)
            if other is None:
                yield f"{name}: there is no service {host}, for {host}:{port}"
            elif port not in map(str, other.get("expose", [])):
                yield f"{name}: {host} does not expose {port}"
            elif not set(service["networks"]) & set(other["networks"]):
                yield f"{name}: shares no network with {host}"


def _commands(services: Services) -> Iterator[str]:
    for name, service in services.items():
        # Triton's own server is no command of ours.
        if service["image"].startswith("likeness/") and service["command"][0] != "tritonserver":
            yield from (f"{name}: {fault}" for fault in command_faults(service["command"]))


def _builds(services: Services) -> Iterator[str]:
    for name, service in services.items():
        build = service.get("build")
        if build is None:
            continue
        declared = set(re.findall(r"^ARG (\w+)", (ROOT / build["dockerfile"]).read_text(), re.MULTILINE))
        yield from (f"{name}: its Dockerfile takes no {arg}" for arg in sorted(build.get("args", {}).keys() - declared))


def _needs(services: Services) -> Iterator[str]:
    """A worker of one role waits for what its role needs; the reconciler, which mends, waits for nothing else."""
    job_of = {"kafka": "topics", "ledger": "postgres", "images": "buckets", "examiner": "weights"}
    for role, parts in DEPENDENCIES.items():
        needs = {job_of.get(part, part) for part in parts}
        for name, service in services.items():
            if service.get("command", [])[:3] != ["worker", "--role", role.value]:
                continue
            waits = set(service["depends_on"])
            yield from (f"{name}: does not wait for {other}" for other in sorted(needs - waits))
            if role is RoleName.RECONCILE:
                yield from (f"{name}: waits for {other}, which it does not need" for other in sorted(waits - needs))


def _second(services: Services) -> Iterator[str]:
    """Whoever reads the policy can be told of a second verifier, and runs in an image that has it."""
    for name, service in services.items():
        environment = service.get("environment", {})
        if "LIKENESS_POLICY" not in environment:
            continue
        if "LIKENESS_SECOND_EMBEDDER" not in environment:
            yield f"{name}: its policy may require a second verifier, and LIKENESS_SECOND_EMBEDDER does not reach it"
        if "second" not in extras(ROOT / service["build"]["dockerfile"]):
            yield f"{name}: its image lacks the extra second"
    if "LIKENESS_SECOND_EMBEDDER" not in services["weights"]["environment"]:
        yield "weights: fetches nothing for a second verifier: LIKENESS_SECOND_EMBEDDER does not reach it"


def _kafka(services: Services) -> Iterator[str]:
    brokers = {name: service for name, service in services.items() if service["image"].startswith("apache/kafka:")}
    nodes = [kafka.Node(number, Path("/data"), 0, 0) for number in (1, 2, 3)]
    lines = kafka.properties(nodes[0], nodes).splitlines()
    wanted = {key: value for key, _, value in (line.partition("=") for line in lines) if key not in _OF_ONE_MACHINE}
    for name, broker in brokers.items():
        for key, value in wanted.items():
            got = broker["environment"].get(f"KAFKA_{key.upper().replace('.', '_')}")
            if got != value:
                yield f"{name}: expected {key}={value} as the embedded Kafka has it, got {got}"
    if len({broker["environment"]["KAFKA_NODE_ID"] for broker in brokers.values()}) != len(nodes):
        yield f"expected three brokers with ids of their own, got {', '.join(brokers)}"


def _mounts(services: Services) -> Iterator[str]:
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith(".") and not (ROOT / source).exists():
                yield f"{name}: there is no {source} to mount"


def _confinement(services: Services) -> Iterator[str]:
    for name, service in services.items():
        if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: may do more than it needs"
        if name not in JOBS and "memory" not in service.get("deploy", {}).get("resources", {}).get("limits", {}):
            yield f"{name}: has no limit of memory"


_CHECKS: tuple[Callable[[Services], Iterator[str]], ...] = (
    *(_images, _ports, _health, _order, _variables, _addresses, _commands, _builds, _needs),
    *(_second, _kafka, _mounts, _confinement),
)


def scrape_faults(text: str, services: Services) -> Iterator[str]:
    """Say which targets of a Prometheus configuration are no service of ours, or expose nothing there."""
    for job in yaml.safe_load(text)["scrape_configs"]:
        fixed = [target for group in job.get("static_configs", []) for target in group["targets"]]
        looked_up = [(name, group["port"]) for group in job.get("dns_sd_configs", []) for name in group["names"]]
        for name, port in [*(target.split(":") for target in fixed), *looked_up]:
            if str(port) not in map(str, services.get(name, {}).get("expose", [])):
                yield f"{job['job_name']}: nothing exposes {name}:{port}"


def variables_asked_for(text: str) -> set[str]:
    """Return what the file takes from outside, with a default or without."""
    return set(re.findall(r"\$\{(\w+)", text))


def variables_told(text: str) -> set[str]:
    """Return what an example of an environment file sets."""
    return set(re.findall(r"^(\w+)=", text, re.MULTILINE))
