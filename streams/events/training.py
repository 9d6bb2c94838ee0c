"""What is told of a training run: advice, step by step."""

from typing import Annotated, Literal

from pydantic import Field

from streams.events.body import Body


class TrainingAdvised(Body):
    """What the samples of one step of a training run say, and what to do."""

    run_id: str
    step: int
    revision: Annotated[int, Field(ge=1)]
    """Counts up as more samples of the step are judged: the highest one holds."""
    complete: bool
    """A later step has been seen, so no more samples of this one are waited for."""
    advice: Literal["continue", "best-so-far", "stop"]
    """``best-so-far``: this step is worse than ``best_step``, whose checkpoint should be kept."""
    reason: str
    best_step: int | None = None
    samples: int
    accepted: int
    flagged: dict[str, int]
    """Samples by reason; one with several counts with each."""
    measured: int | None = None
    """Samples with a face and a reference: what similarity and rank1 rest on."""
    similarity: float | None = None
    """Their mean similarity to the target."""
    similarity_sd: float | None = None
    rank1: float | None = None
    """Share of them that are nearer to the target than to anybody else."""
    copy_rate: float | None = None
    leak_rate: float | None = None
    abstention_rate: float | None = None
    """Shares of all samples."""
    embedded: int | None = None
    """Those measured whose embedding is there: what everything from here on rests on."""
    diversity: float | None = None
    """1 less the mean similarity of two samples of the same identity: 0 = all alike."""
    vendi: float | None = None
    """Vendi score of the step's samples: as how many different ones they count."""
    frechet: float | None = None
    """Squared Fréchet distance to the enrolled references, in the embedding space; biased upwards by few samples."""
    mmd2: float | None = None
    """Unbiased squared maximum mean discrepancy to them, kernel (x.y + 1)^2; around 0 where they are alike."""
    precision: float | None = None
    """Share of samples in reach of a reference, which is how far its fifth nearest is (Kynkäänniemi et al. 2019)."""
    recall: float | None = None
    """Share of references in reach of a sample, which is how far its fifth nearest is."""
    density: float | None = None
    """How many references' reach a sample lies in, in units of five (Naeem et al. 2020): 1 where both are alike."""
    coverage: float | None = None
    """Share of references that have a sample in their reach. These four: from 20 samples and 20 references on."""
    references: int = 0
    """Enrolled references that the step was compared with."""
    references_diversity: float | None = None
    references_vendi: float | None = None
    """The same of the references: what diversity and Vendi score may come down to."""
    embedding_space: str | None = None
