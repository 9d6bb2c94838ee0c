"""What a regate would be in pandas, as one would write it down; also a script of its own: FOLDER and the limits."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

#: Those that the product reads too; the test of the bench holds the two together.
COLUMNS = [
    *("decision", "reasons", "embedding_space", "references", "protected", "faces", "face_side", "sharpness"),
    *("similarity", "margin", "copy_bits", "copy_similarity"),
    *("others_similarity", "others_resemble_target", "others_protected"),
    *("identity", "kind", "model", "model_version", "territory"),
]


def by_pandas(folder: Path, limits: Mapping[str, float]) -> int:
    """Read the columns, compare, count. No consent, no reasons, no copies."""
    frame = pd.read_parquet(folder / "samples", columns=COLUMNS)
    nearest = frame["others_similarity"].explode().astype("float64").groupby(level=0).max()
    flagged = (
        (frame["similarity"] < limits["similarity"])
        | (frame["margin"] < limits["margin"])
        | (frame["face_side"] < limits["face_side"])
        | (frame["sharpness"] < limits["sharpness"])
        | (frame["faces"] != 1)
        | (frame["references"] == 0)
        | (nearest >= limits["other_similarity"])
    )
    return int((flagged != (frame["decision"] == "flagged")).sum())


if __name__ == "__main__":
    print(by_pandas(Path(sys.argv[1]), json.loads(sys.argv[2])))
