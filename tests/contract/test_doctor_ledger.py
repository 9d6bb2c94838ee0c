"""The doctor says whether the ledger's server answers, and never its password."""

from pathlib import Path

from streams.embedded.doctor import PartReport, examine
from streams.settings import Settings


async def ledger_at(url: str, folder: Path) -> PartReport:
    [report] = [each for each in await examine(Settings(ledger=url, data_dir=folder)) if each.part == "ledger"]
    return report


async def test_a_server_that_answers_runs(postgres_url: str, tmp_path: Path):
    report = await ledger_at(postgres_url, tmp_path)

    assert (report.running, report.advice) == (True, "")


async def test_a_server_that_does_not_answer_is_no_ledger_and_its_password_is_not_told(
    unused_tcp_port: int, tmp_path: Path
):
    report = await ledger_at(f"postgresql://likeness:secret@127.0.0.1:{unused_tcp_port}/ledger", tmp_path)

    assert not report.running
    assert report.address == f"postgresql://likeness:***@127.0.0.1:{unused_tcp_port}/ledger"
    assert "LIKENESS_LEDGER" in report.advice
    assert "secret" not in repr(report)
