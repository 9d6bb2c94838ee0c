"""Images: which ones are named, and what the Dockerfiles of our own rest on."""

import re
from collections.abc import Iterator
from pathlib import Path

from streams.embedded.kafka_jars import version
from tests.deployment.words import ROOT, project, unknown_settings

DOCKERFILES = tuple(sorted((ROOT / "ops" / "docker").glob("*.Dockerfile")))

#: The oldest releases without known holes that matter here.
OLDEST = {"nvidia/tritonserver": (25, 7), "milvusdb/milvus": (2, 6, 10)}

#: How many numbers make a tag exact; three where nothing is said.
_NUMBERS = {"nvidia/tritonserver": 2, "postgres": 2}

#: A release of MinIO.
_DATED = re.compile(r"RELEASE\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")


def image_faults(image: str) -> Iterator[str]:
    """Say whether the tag is exact, new enough, and that of this release where the image is ours."""
    # The host of a registry is whoever runs this to name: `${…}/`.
    repository, _, tag = re.sub(r"^\$\{[^}]*\}/", "", image).rpartition(":")
    if _DATED.fullmatch(tag):
        return
    numbers = tuple(int(number) for number in re.findall(r"\d+", tag.partition("-")[0]))
    if not repository or len(numbers) < _NUMBERS.get(repository, 3):
        yield f"{image} has no exact tag"
    elif numbers < OLDEST.get(repository, ()):
        yield f"{image} is older than {OLDEST[repository]}"
    elif repository == "apache/kafka" and tag != version():
        yield f"{image} is another release than the embedded {version()}"
    elif repository.startswith("likeness/") and tag != project()["version"]:
        yield f"{image} is another release than {project()['version']}"


def dockerfile_faults(text: str) -> list[str]:
    """Return whatever a Dockerfile of ours names that is not there, or should be otherwise."""
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    runs_as = re.findall(r"^USER (.+)", text, re.MULTILINE)[-1:]
    return [
        *(fault for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE) for fault in image_faults(image)),
        *(f"no setting is called {name}" for name in unknown_settings(text)),
        *(f"no extra is called {extra}" for extra in _extras(text) if extra not in project()["optional-dependencies"]),
        *(f"there is no {source}" for source in sources if not (ROOT / source).exists()),
        *(f".dockerignore keeps {source} from the engine" for source in sources if not _sent(source)),
        *([] if runs_as == ["1000:1000"] else ["it does not end as the user 1000:1000"]),
    ]


def extras(dockerfile: Path) -> list[str]:
    """Return the extras of ours that a Dockerfile installs."""
    return _extras(dockerfile.read_text())


def _extras(text: str) -> list[str]:
    return [extra for group in re.findall(r"\.\[([\w,-]+)\]", text) for extra in group.split(",")]


def _sent(source: str) -> bool:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in lines if line.startswith("!")]
    return any(source == one or source.startswith(f"{one}/") for one in kept)
