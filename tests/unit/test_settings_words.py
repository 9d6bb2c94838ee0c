"""What can be set: every name that the code speaks of exists, and what cannot be meant is refused."""

from pathlib import Path

import pytest

from streams.errors import BadInput
from streams.settings import Settings, read_settings
from tests.deployment.words import ROOT, unknown_settings

SOURCES = sorted(path for folder in ("streams", "generators") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_that_the_code_names_is_read(path: Path):
    assert unknown_settings(path.read_text()) == []


def test_a_variable_that_nobody_reads_is_found():
    assert unknown_settings('f"correct LIKENESS_PROVIDER"') == ["LIKENESS_PROVIDER"]


@pytest.mark.parametrize("said", ["cuda", "CUDAExecutionProvider CPUExecutionProvider", "CPUExecutionProvider,"])
def test_what_onnxruntime_cannot_run_on_is_refused_with_an_example(said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIKENESS_PROVIDERS", said)

    with pytest.raises(BadInput, match="LIKENESS_PROVIDERS: should be such as CUDAExecutionProvider,"):
        read_settings()


def test_several_execution_providers_are_taken_in_their_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIKENESS_PROVIDERS", "CUDAExecutionProvider,CPUExecutionProvider")

    assert read_settings() == Settings(providers="CUDAExecutionProvider,CPUExecutionProvider")
