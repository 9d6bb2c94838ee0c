"""A difference in a person's words."""

from streams.core.explain.look import Measure, Region

#: What it is where a measure is smaller than the references', and where it is larger.
_MEASURES: dict[Measure, tuple[str, str]] = {
    Measure.EYE_HEIGHT: (
        "the eyes lie {z} nearer to the nose than in",
        "the eyes lie {z} farther from the nose than in",
    ),
    Measure.MOUTH_HEIGHT: (
        "the mouth lies {z} nearer to the nose than in",
        "the mouth lies {z} farther from the nose than in",
    ),
    Measure.MOUTH_WIDTH: ("the mouth is {z} narrower than in", "the mouth is {z} wider than in"),
    Measure.SKIN_TONE: ("the skin is rendered {z} darker than in", "the skin is rendered {z} lighter than in"),
    Measure.BRIGHTNESS: ("the picture is {z} darker than", "the picture is {z} brighter than"),
    Measure.EXPOSURE: (
        "{z} less of the picture is black or burnt out than in",
        "{z} more of the picture is black or burnt out than in",
    ),
    Measure.SHARPNESS: ("the face is {z} more blurred than in", "the face is {z} sharper than in"),
    Measure.STABILITY: (
        "the embedding is {z} less stable than those of",
        "the embedding is {z} more stable than those of",
    ),
}

_REGIONS: dict[Region, str] = {
    Region.EYES: "eye region",
    Region.NOSE: "nose region",
    Region.MOUTH: "mouth region",
    Region.UPPER_BAND: "upper band (boundary of the hair)",
}


def words(name: Measure | Region, z: float, references: int, *, own: bool) -> str:
    """Return one clause.

    Args:
        name: What differs.
        z: By how many standard deviations.
        references: From how many references.
        own: Whether the standard deviation is theirs; else it is that of other people's references.

    >>> words(Region.MOUTH, 3.14, 8, own=True)
    'mouth region differs by 3.1 σ from 8 references'
    >>> words(Measure.SKIN_TONE, -4.0, 1, own=False)
    "the skin is rendered 4.0 σ darker than in 1 reference, σ being other people's"
    """
    if isinstance(name, Region):
        how = f"differs by {z:.1f} σ from" if z > 0 else "differs no more than usual from"
        clause = f"{_REGIONS[name]} {how}"
    else:
        clause = _MEASURES[name][z > 0].format(z=f"{abs(z):.1f} σ")
    counted = f"{references} reference{'' if references == 1 else 's'}"
    return f"{clause} {counted}" + ("" if own else ", σ being other people's")
