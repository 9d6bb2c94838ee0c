"""``python -m tests.faults.checker.check MANIFEST --commits FILE --json``: does the road keep its promise?

A program of its own. It takes the manifest for what was asked, reads topics, ledger, image store and Milvus itself, and
runs nothing that a worker runs: it knows the names of the topics, and derives every id anew. Exit status: 0 = nothing
wrong, 1 = anomalies, 2 = it could not look.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymilvus import MilvusException
from sqlalchemy.exc import SQLAlchemyError

from streams import topics
from streams.errors import LikenessError
from streams.tools.audit.records import Raw, ask
from streams.tools.audit.topics import Offsets, Topics
from tests.faults.checker.ends import End, end
from tests.faults.checker.expected import Demands
from tests.faults.checker.ledger import Ledger
from tests.faults.checker.stores import embedding_faults, image_fault, left_over
from tests.faults.checker.weigh import ANOMALIES, Findings, Scales
from tests.faults.manifest import Manifest

#: Which consumer group reads which topics; each name stands behind the prefix of the groups.
READERS = {
    "generate": (topics.GENERATION_REQUESTS.name,),
    "judge": (topics.GENERATION_SAMPLES.name, topics.TRAINING_SAMPLES.name),
}

_KAFKA_SECONDS = 30.0


@dataclass(frozen=True)
class Result:
    """What the check found."""

    findings: Findings
    samples: int
    """Samples that must have a verdict."""
    images: int
    """Images that were looked at."""
    embeddings: int
    """Embeddings that were looked at."""
    commits: int
    """Commits that were watched."""
    left_over: tuple[str, ...]
    """Files that killed writers left in the image store: harmless."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        percent = 100 * self.findings.duplicates / max(1, self.findings.records)
        return {
            "sound": self.findings.sound,
            "samples": self.samples,
            "records": self.findings.records,
            "duplicates": self.findings.duplicates,
            "duplicates_percent": round(percent, 3),
            **self.findings.counts(),
            "images": self.images,
            "embeddings": self.embeddings,
            "commits": self.commits,
            "left_over": list(self.left_over),
            "anomalies": self.findings.told(),
        }


async def check(manifest: Manifest, commits: Path) -> Result:
    """Look at everything once. The road should have settled; whatever still waits is ``unaccounted``.

    Raises:
        LikenessError: If Kafka does not answer.
        SQLAlchemyError: If the ledger does not.
        MilvusException: If Milvus does not.
    """
    with Ledger(manifest.ledger) as ledger:
        rows, taken_back = ledger.everything(), ledger.taken_back()
    scales = Scales(Demands(manifest), rows, policies=manifest.policies, taken_back=taken_back)
    waiting: set[str] = set()
    async with Topics(manifest.kafka, timeout_seconds=_KAFKA_SECONDS) as reader:
        committed = await _committed(reader, manifest.group)
        async for raw in reader.records(await reader.ends(topic.name for topic in topics.ROAD)):
            if any(raw.topic == topic.name for topic in topics.ENDS):
                scales.see(end(raw))
            elif raw.offset >= committed.get((raw.topic, raw.partition), 0):
                waiting.update(_wanted(raw))
    findings = scales.settle(waiting)
    verdicts = {key: ends[-1] for key, ends in scales.ends.items() if ends[-1].decision != "dead"}
    root = Path(manifest.images)
    images = look_at_images(root, verdicts, findings)
    embeddings = _look_at_embeddings(manifest.milvus, verdicts, findings)
    watched = read_commits(commits, findings)
    return Result(findings, Demands(manifest).samples, images, embeddings, watched, tuple(left_over(root)))


async def _committed(reader: Topics, group: str) -> Offsets:
    committed: Offsets = {}
    for role, names in READERS.items():
        held = await reader.committed(f"{group}-{role}")
        committed |= {place: offset for place, offset in held.items() if place[0] in names}
    return committed


def _wanted(raw: Raw) -> Iterable[str]:
    asked = ask(raw)
    return (asked.own_id, *asked.sample_ids)


def look_at_images(root: Path, verdicts: Mapping[str, End], findings: Findings) -> int:
    pictures = {key: one.picture for key, one in verdicts.items() if one.picture is not None}
    for sample_id, picture in pictures.items():
        if (fault := image_fault(root, picture)) is not None:
            findings.add("missing_image", sample_id, fault)
    return len(pictures)


def _look_at_embeddings(milvus: str, verdicts: Mapping[str, End], findings: Findings) -> int:
    spaces = {key: one.space for key, one in verdicts.items() if one.space is not None}
    for sample_id, fault in embedding_faults(milvus, spaces).items():
        findings.add("missing_embedding", sample_id, fault)
    return len(spaces)


def read_commits(path: Path, findings: Findings) -> int:
    """Take over what the watch saw; return how many commits it saw."""
    watched = 0
    whole, _, _ = path.read_text().rpartition("\n")  # a watch that was killed may have left half a line
    for line in whole.splitlines():
        seen = json.loads(line)
        if seen["kind"] == "committed":
            watched += 1
        elif seen["kind"] == "early":
            findings.add("unordered_commit", seen["id"], seen["why"])
    if not watched:
        findings.add(
            "unwatched", str(path), f"{path} holds no commit: start tests.faults.checker.commits before the run"
        )
    return watched


def _show(result: Result) -> None:
    for kind, count in result.findings.counts().items():
        print(f"{kind:18} {count:6}  {ANOMALIES[kind]}")
    told = result.as_dict()
    print(f"{'duplicates':18} {told['duplicates']:6}  repeated records, the same to the byte")
    print(f"{'samples':18} {told['samples']:6}")
    for kind, cases in told["anomalies"].items():
        for case in cases:
            print(f"{kind} {case['id']}: {case['why']}")


def main() -> int:
    """Check, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker.check", description=__doc__)
    parser.add_argument("manifest", type=Path, help="what was asked")
    parser.add_argument("--commits", type=Path, required=True, help="what tests.faults.checker.commits wrote")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args()
    try:
        result = asyncio.run(check(Manifest.read(given.manifest), given.commits))
    except (LikenessError, SQLAlchemyError, MilvusException, OSError) as error:
        print(f"the check could not look: {error}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(result.as_dict()))
    else:
        _show(result)
    return 0 if result.findings.sound else 1


if __name__ == "__main__":
    sys.exit(main())
