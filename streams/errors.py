"""Everything that can fail, as one tree. Each message says what was expected, what came and what to do.

LikenessError
├── BadInput                  somebody gave us something that cannot be used: a file, an argument, a setting
│   ├── PolicyRefused         a policy that does not hold for this gallery or embedding space
│   ├── RequestConflict       a request that was asked before, under the same name, with another content
│   └── SpaceMismatch         a gallery that was enrolled in another embedding space
├── DependencyUnavailable     a part does not answer, or cannot serve anybody as it is: wait and try again
│   └── ForgottenMeanwhile    somebody was forgotten while their samples were worked on: the same again knows it
├── GeneratorRejected         a generator cannot make what this one request asks, though it makes other things
├── VersionRetired            a generator is served, and no longer in the version that was asked for
├── WeightsUnusable           weights that are missing, altered or incomplete
├── PartFailed                an embedded part that does not start or has died
├── ExaminerDied              the child process that examined one image alone has died
├── ImageMissing              the image store has no image of that content
├── ImageAltered              the image store holds other bytes than the pointer says
└── Unready                   this process must not run as it is installed or set up
"""

#: Exit status of a process that must not run as it is set up, or was given something wrong: again changes nothing.
SETUP_STATUS = 2


class LikenessError(Exception):
    """The root of everything that Likeness raises on purpose."""


class BadInput(LikenessError):
    """Something that was given cannot be used."""


class PolicyRefused(BadInput):
    """The policy does not hold for this gallery or this embedding space."""


class RequestConflict(BadInput):
    """The request was asked before, under the same source and request_id, with another content."""


class SpaceMismatch(BadInput):
    """The gallery was enrolled in another embedding space."""


class DependencyUnavailable(LikenessError):
    """A part does not answer, or cannot serve anybody as it is. No reason to flag or dead-letter: wait, try again."""

    def __init__(self, dependency: str, detail: str) -> None:
        """Name the dependency and say why.

        It is one of ``triton``, ``milvus``, ``kafka``, ``ledger``, ``images``, ``examiner`` and ``intake``.
        """
        super().__init__(f"{dependency} is unavailable: {detail}")
        self.dependency = dependency
        self._detail = detail

    def with_remedy(self, remedy: str) -> "DependencyUnavailable":
        """Return the same error, saying what to do."""
        return DependencyUnavailable(self.dependency, f"{self._detail}; {remedy}")


class ForgottenMeanwhile(DependencyUnavailable):
    """Somebody was forgotten while their samples were worked on. Done again from the start, that is known."""

    def __init__(self) -> None:
        """Name nobody."""
        super().__init__("ledger", "somebody was forgotten while their samples were worked on; the same again knows it")


class GeneratorRejected(LikenessError):
    """The generator cannot make what this request asks, and the server is well: asking again changes nothing."""


class VersionRetired(LikenessError):
    """The generator is served, and no longer in the version that was asked for."""

    def __init__(self, model: str, version: str, served: str) -> None:
        """Name the model, the version that was asked for, and the one that the server would use now."""
        super().__init__(f"expected version {version} of model {model!r}, the server has {served}: ask for that one")
        self.served = served


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
