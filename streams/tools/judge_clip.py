"""Judge image files as the frames of one clip; nothing is stored and nothing is published."""

import re
from collections.abc import Sequence
from pathlib import Path

from streams.core.clips.frames import Frame
from streams.core.clips.verdict import ClipVerdict, judge_clip
from streams.core.faces import Undecodable
from streams.errors import BadInput
from streams.events import ReasonCode
from streams.ports import Services
from streams.steps.appraise import Appraised
from streams.tools.judge_files import appraise_files, read_files
from streams.tools.originals import IMAGE_SUFFIXES

#: Frames that are examined at a time.
BATCH = 32


def frames_in(folder: Path) -> list[tuple[int, Path]]:
    """Return the images of a folder in order, each with its place in the clip; blocks.

    The place is the last number in the name, where every image has one of its own; else images are counted by name.

    Raises:
        BadInput: If there is none, or the folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror}; expected a folder of frames") from error
    if not paths:
        raise BadInput(f"{folder} has no images: expected the frames of one clip")
    found = [re.findall(r"[0-9]+", path.stem) for path in paths]
    numbers = [int(each[-1]) if each else None for each in found]
    if None in numbers or len(set(numbers)) < len(paths):
        return list(enumerate(paths))
    return sorted((number, path) for number, path in zip(numbers, paths, strict=True) if number is not None)


async def judge_frames(numbered: Sequence[tuple[int, Path]], identity: str, services: Services) -> ClipVerdict:
    """Return the verdict on the clip that these frames are, each given with its place in it.

    Raises:
        BadInput: If ``identity`` is no name, or a file cannot be read or is no image.
    """
    frames: list[Frame] = []
    for start in range(0, len(numbered), BATCH):
        part = numbered[start : start + BATCH]
        appraised = await appraise_files(read_files([path for _, path in part]), identity, services)
        # Nothing is looked into of whom consent does not cover.
        agreed = [one.face is not None and _agreed(one.result) for one in appraised]
        faces = [one.face for one, may in zip(appraised, agreed, strict=True) if may and one.face]
        looks = iter(await services.describer.describe(faces) if faces else ())
        for (index, _), one, may in zip(part, appraised, agreed, strict=True):
            if isinstance(one.result, Undecodable):
                raise BadInput(f"{one.path} is no image that can be judged: {one.result.detail}; take it out")
            judged, look = one.result.judged, next(looks) if may else None
            measures = look.measures if look else {}
            about = (judged.decision, judged.similarity, one.result.embedding, measures)
            frames.append(Frame(index, judged.sample_id, *about))
    return judge_clip(frames)


def _agreed(result: Appraised | Undecodable) -> bool:
    if isinstance(result, Undecodable):
        return False
    return all(reason.code is not ReasonCode.NO_CONSENT for reason in result.judged.reasons)
