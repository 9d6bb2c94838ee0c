"""deepface, in a process and an environment of its own: faces in, embeddings out, one by one or as a list.

Started as ``python peer_process.py images.npz``: a line ``one 8`` or ``list 32`` on standard input has it represent so
many of the images, and a line of JSON says how many these were. Detection is fastmtcnn, the network is FaceNet.
"""

import json
import os
import sys
from itertools import cycle, islice
from pathlib import Path

import numpy as np


def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    from deepface import DeepFace

    with np.load(Path(sys.argv[1])) as archive:
        images = cycle([archive[name][..., ::-1] for name in sorted(archive.files)])  # it takes BGR

    def represent(what: object) -> list[object]:
        found: list[object] = DeepFace.represent(
            what,
            model_name="Facenet",
            detector_backend="fastmtcnn",
            normalization="Facenet",
            align=True,
            enforce_detection=False,  # a sample without a face ends in a flag, not in an error
        )
        return found

    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        mode, count = line.split()
        some = list(islice(images, int(count)))
        found = represent(some) if mode == "list" else [represent(one) for one in some]
        answers.write(json.dumps({"represented": len(found)}) + "\n")


if __name__ == "__main__":
    main()
