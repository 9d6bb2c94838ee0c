"""Everything that can fail, as one tree. Each message says what was expected, what came and what to do.

LikenessError
├── BadInput                  somebody gave us something that cannot be used: a file, an argument, a setting
│   ├── PolicyRefused         a policy that does not hold for this gallery or embedding space
│   └── SpaceMismatch         a gallery that was enrolled in another embedding space
├── DependencyUnavailable     Kafka, Triton, Milvus or the ledger does not answer: wait and try again
├── GeneratorRejected         a generator refuses this one request for what it asks
├── WeightsUnusable           weights that are missing, altered or incomplete
├── PartFailed                an embedded part that does not start or has died
├── ExaminerDied              the child process that examined one image alone has died
├── ImageMissing              the image store has no image of that content
├── ImageAltered              the image store holds other bytes than the pointer says
└── Unready                   this process must not run as it is installed or set up
"""


class LikenessError(Exception):
    """The root of everything that Likeness raises on purpose."""


class BadInput(LikenessError):
    """Something that was given cannot be used."""


class PolicyRefused(BadInput):
    """The policy does not hold for this gallery or this embedding space."""


class SpaceMismatch(BadInput):
    """The gallery was enrolled in another embedding space."""


class DependencyUnavailable(LikenessError):
    """A part does not answer for now. Never a reason to flag or to dead-letter: wait, then try again."""

    def __init__(self, dependency: str, detail: str) -> None:
        """Name the dependency (``triton``, ``milvus``, ``kafka``, ``ledger``, ``images``) and what it said."""
        super().__init__(f"{dependency} does not answer: {detail}")
        self.dependency = dependency


class GeneratorRejected(LikenessError):
    """The generator answers, and refuses this request for what it asks."""


class WeightsUnusable(LikenessError):
    """Weights are missing, altered or incomplete."""


class PartFailed(LikenessError):
    """An embedded part does not start, or has died."""


class ExaminerDied(LikenessError):
    """The child process that examined one image alone has died."""


class Unready(LikenessError):
    """This process must not run as it is installed or set up."""


class ImageMissing(LikenessError):
    """The image store has no image of that content."""


class ImageAltered(LikenessError):
    """The image store holds other bytes than the pointer says."""
