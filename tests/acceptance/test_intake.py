"""What the intake acknowledged has its end, though the broker lost its disk: with real parts, over HTTP."""

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.acceptance.conftest import LIKENESS, Likeness, eventually

#: Acknowledged before the broker is stopped, and while it is down.
BEFORE = [f"before-{number}" for number in range(10)]
DURING = [f"during-{number}" for number in range(10)]
SOON = {"LIKENESS_RECONCILE_EVERY_SECONDS": "0.5", "LIKENESS_RECONCILE_AFTER_SECONDS": "2"}


@contextmanager
def intake(likeness: Likeness, err: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run the intake; gives its address and its process. It ends in order."""
    with err.open("wb") as log:
        process = subprocess.Popen(
            [*LIKENESS, "intake", "--listen", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=likeness.environment,
        )
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.readline().decode()
        assert said.startswith("listening on "), err.read_text()
        yield said.split()[-1], process
        process.terminate()
        assert process.wait(60) == 0
    assert "Traceback" not in err.read_text()


def asked(url: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Ask for one sample under each of these names, in one call; return the receipts."""
    lines = [{"source": "shop", "request_id": name, "identity": "synthetic-01", "seed": 7} for name in names]
    call = urllib.request.Request(  # noqa: S310 - an address of our own
        url + "/requests", b"\n".join(json.dumps(line).encode() for line in lines), method="POST"
    )
    call.add_header("Content-Type", "application/x-ndjson")
    with urllib.request.urlopen(call, timeout=60) as answer:  # noqa: S310
        assert answer.status == 202
        receipts: list[dict[str, Any]] = json.load(answer)["requests"]
        return receipts


def standing(url: str, sample_id: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/samples/{sample_id}", timeout=60) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


def test_a_broker_that_loses_its_disk_costs_no_request_that_was_acknowledged(likeness: Likeness, tmp_path: Path):
    likeness.env["LIKENESS_POLICY"] = "synthetic"
    assert likeness("up", "--detach").status == 0
    assert likeness("enrol", "--synthetic", "2").status == 0
    with intake(likeness, tmp_path / "first.txt") as (url, _):
        receipts = asked(url, BEFORE)
        assert {one["published"] for one in receipts} == {True}
        assert likeness("down").status == 0
        receipts += asked(url, DURING)
        assert {one["published"] for one in receipts[len(BEFORE) :]} == {False}
    shutil.rmtree(likeness.data_dir / "kafka")

    assert likeness("up", "--detach").status == 0
    worker = likeness.start("worker", err=tmp_path / "worker.txt", **SOON)
    with intake(likeness, tmp_path / "second.txt") as (url, _):
        ids = [sample_id for one in receipts for sample_id in one["sample_ids"]]
        assert eventually(lambda: all(standing(url, one)["state"] != "in_flight" for one in ids))
        ends = [standing(url, one) for one in ids]
        assert eventually(lambda: likeness("audit", "--json").json["in_flight"] == 0)
    worker.terminate()
    assert worker.wait(60) == 0

    assert len(set(ids)) == len(BEFORE) + len(DURING)
    assert {one["verdict"]["identity"] for one in ends} == {"synthetic-01"}
    audit = likeness("audit", "--json")
    assert (audit.status, audit.json["sound"], audit.json["requested"]) == (0, True, len(ids))
    assert audit.json["dead"] == 0
