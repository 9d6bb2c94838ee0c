"""A cohort of strangers as the file that lies beside a policy, named by its content."""

import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.core.biometrics.cohort import Cohort
from streams.core.policy import Normalisation, Policy
from streams.errors import BadInput, PolicyRefused

Vectors = npt.NDArray[np.float32]


def cohort_bytes(vectors: Vectors) -> bytes:
    """Return the file's content: unit vectors (k, d), little-endian float32, as NumPy writes them."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(vectors, dtype="<f4"), allow_pickle=False)
    return file.getvalue()


def digest(vectors: Vectors) -> str:
    """Return the SHA-256 of the file, in hex."""
    return hashlib.sha256(cohort_bytes(vectors)).hexdigest()


def write_cohort(vectors: Vectors, by: Normalisation, folder: Path) -> Path:
    """Write the file beside the policy that names it; blocks.

    Raises:
        BadInput: If it cannot be written.
    """
    path = folder / by.file_name
    try:
        path.write_bytes(cohort_bytes(vectors))
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}; write the policy to another folder") from error
    return path


def read_cohort(policy: Policy, by: Normalisation, folder: Path, *, dimension: int) -> Cohort:
    """Return the cohort that a policy names, from the folder that the policy lies in; blocks.

    Raises:
        PolicyRefused: If the file is absent, altered, or of another embedding space.
    """
    path = folder / by.file_name
    remedy = "copy it beside the policy, as `likeness calibrate` wrote it, or calibrate again"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PolicyRefused(
            f"policy {policy.version} normalises scores by the cohort in {path}, which cannot be read:"
            f" {error.strerror}; {remedy}"
        ) from error
    if (got := hashlib.sha256(content).hexdigest()) != by.cohort:
        raise PolicyRefused(f"expected {path} with sha256 {by.cohort}, got {got}; {remedy}")
    vectors = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float64)
    if vectors.shape != (by.strangers, dimension):
        raise PolicyRefused(
            f"expected {by.strangers} strangers of {dimension} numbers in {path}, got {vectors.shape}: the policy is"
            " one of another embedding space"
        )
    return Cohort(by.cohort, vectors, by.top)
