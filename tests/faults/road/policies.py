"""The policy file that a road's workers are started with, and that changes while they work.

A worker reads it when it starts. So after a change a second judgement of the same sample would be another one: what
was decided once must hold all the same.
"""

from dataclasses import dataclass, field
from pathlib import Path

from streams.core.policy import parse
from streams.shipped import shipped

#: Limits that take turns; they are far enough apart that many samples change sides.
_LIMITS = ("0.60", "0.75", "0.85", "0.68")


@dataclass
class PolicyFile:
    """The synthetic policy, with a similarity limit that moves."""

    path: Path
    flips: int = 0
    versions: list[str] = field(default_factory=list)
    """Of every policy that was in force so far."""

    def __post_init__(self) -> None:
        """Write the first one."""
        self._write()

    def flip(self) -> None:
        """Put the next policy in force for every worker that starts from now on."""
        self.flips += 1
        self._write()

    def _write(self) -> None:
        shipped_text = (shipped("policies") / "synthetic.toml").read_text()
        before = f"similarity = {_LIMITS[0]}"
        if before not in shipped_text:
            raise AssertionError(f"expected {before!r} in the synthetic policy: this file is to follow it")
        text = shipped_text.replace(before, f"similarity = {_LIMITS[self.flips % len(_LIMITS)]}")
        trial = self.path.with_suffix(".tmp")
        trial.write_text(text)
        trial.replace(self.path)
        version = parse(text, str(self.path)).version
        if version not in self.versions:
            self.versions.append(version)
