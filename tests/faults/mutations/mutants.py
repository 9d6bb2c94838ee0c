"""Workers with one promise broken: a few characters of the shipped source, changed while it is imported.

``python -m tests.faults.mutations.mutants NAME MODULE [ARGUMENT …]`` runs a module, which should be a worker, as the
mutant. What runs is the product's code of today with one change; where the code has moved on so that a change no longer
fits, it is refused, for a mutation that changes nothing would be "caught" by nobody.
"""

import importlib.abc
import runpy
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


@dataclass(frozen=True)
class Change:
    """One place in one module."""

    module: str
    old: str
    """Occurs there exactly once."""
    new: str


@dataclass(frozen=True)
class Mutant:
    """One promise of the delivery, and how it is broken."""

    name: str
    breaks: str
    changes: tuple[Change, ...]


_AGENTS, _APP, _JUDGE = "streams.runtime.agents", "streams.runtime.app", "streams.steps.judge"
_CONSUMER = "streams.runtime.consumer"

_DECIDE = "await services.ledger.decide(ended) if ended else []"
_OWN_RESULT = Change(_JUDGE, f"return {_DECIDE}", f"{_DECIDE}; return ended")
_JUDGED_ONCE = " and held[c.subject.sample_id].state is State.IN_FLIGHT"
_REMEMBERING = "    remembering = asyncio.ensure_future(_remember(appraised, services))\n"
_AWAIT_IT = "        await remembering  # or"

#: Our consumer lets nothing be done before what comes before it, nor commits past that. Faust's own one does both.
_FAUSTS_COUNT = (
    Change(_CONSUMER, "        self._readings[message.tp].done(message.offset)\n", ""),
    Change(_CONSUMER, "def _new_offset(", "def _own_offset("),
    Change(_CONSUMER, "def _add_gap(", "def _own_gap("),
)

MUTANTS = {
    mutant.name: mutant
    for mutant in (
        Mutant(
            "ledger-off",
            "the ledger decides once: what comes again is judged again, and that is published",
            (Change(_JUDGE, _JUDGED_ONCE, ""), _OWN_RESULT),
        ),
        Mutant(
            "own-verdict",
            "what the ledger holds is published, not what was just found out",
            (_OWN_RESULT,),
        ),
        Mutant(
            "take",
            "nothing is acknowledged before it is done: take() acknowledges in a finally",
            (
                Change(
                    _AGENTS,
                    "in batches(stream, role.batch_size(settings), ",
                    "in stream.take_events(role.batch_size(settings), ",
                ),
                Change(_AGENTS, "stream.enable_acks = False", "pass"),
                Change(_AGENTS, "await stream.ack(event)", "pass"),
            ),
        ),
        Mutant(
            "acks-as-it-reads",
            "what is read is not acknowledged for that: a stream does so as soon as the next message is asked for",
            (Change(_AGENTS, "stream.enable_acks = False", "pass"), *_FAUSTS_COUNT),
        ),
        Mutant(
            "unawaited-send",
            "every delivery is awaited: a send returns before a broker has the record",
            (Change(_AGENTS, "    await asyncio.gather(*deliveries)\n", ""),),
        ),
        Mutant(
            "concurrency-2",
            "acknowledged in the order in which it was read: two agents overtake each other",
            (Change(_AGENTS, "concurrency=1", "concurrency=2"), *_FAUSTS_COUNT),
        ),
        Mutant(
            "skipped-ack",
            "an error ends the process: going on with the next batch commits past the one that failed",
            (Change(_AGENTS, "                raise\n", "                continue\n"), *_FAUSTS_COUNT),
        ),
        Mutant(
            "default-max-poll",
            "a worker that waits stays in its group; 1000 s, the default, scaled to the outage: 2 s",
            (Change(_APP, "broker_max_poll_interval=1e9", "broker_max_poll_interval=2.0"),),
        ),
        Mutant(
            "embedding-after-decision",
            "the embedding is stored before the ledger decides: what is decided is never examined again",
            (
                Change(_JUDGE, _REMEMBERING, "    late = _remember(appraised, services)\n"),
                Change(
                    _JUDGE,
                    _AWAIT_IT,
                    "        asyncio.get_running_loop().call_later(0.5, asyncio.ensure_future, late)  #",
                ),
            ),
        ),
        Mutant(
            "outage-is-a-verdict",
            "an outage is waited for: a store that is away is no reason for a dead letter",
            (Change(_JUDGE, "except ImageMissing as error", "except (ImageMissing, DependencyUnavailable) as error"),),
        ),
    )
}


class UnfitMutation(Exception):
    """A mutation cannot be made: the code that it changes is another one, or is imported already."""


def apply(name: str) -> None:
    """Have the mutant's modules imported with its changes from now on.

    Raises:
        UnfitMutation: If there is no such mutant, or it is too late.
    """
    if name not in MUTANTS:
        raise UnfitMutation(f"expected a mutant, one of {', '.join(MUTANTS)}; got {name!r}")
    changes: dict[str, list[Change]] = defaultdict(list)
    for change in MUTANTS[name].changes:
        changes[change.module].append(change)
    if late := sorted(changes.keys() & sys.modules.keys()):
        raise UnfitMutation(
            f"{', '.join(late)} is imported already, expected to come first: start the worker by"
            f" `python -m tests.faults.mutations.mutants {name} MODULE`"
        )
    sys.meta_path.insert(0, _Finder(changes))


def mutated(source: str, changes: Sequence[Change]) -> str:
    """Return the source with every change made.

    Raises:
        UnfitMutation: If a place is not there exactly once.
    """
    for change in changes:
        if (found := source.count(change.old)) != 1:
            raise UnfitMutation(
                f"expected {change.old!r} once in {change.module}, found it {found} times: have the mutation follow"
                " the code in tests/faults/mutations/mutants.py"
            )
        source = source.replace(change.old, change.new)
    return source


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, changes: Mapping[str, Sequence[Change]]) -> None:
        self._changes = changes

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._changes:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._changes[fullname])
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, fullname: str, path: str, changes: Sequence[Change]) -> None:
        super().__init__(fullname, path)
        self._changes = changes

    def get_code(self, fullname: str) -> CodeType:
        """Compile the changed source; what is cached beside it, or cached of it, is another one's."""
        source = self.get_data(self.path).decode()
        return compile(mutated(source, self._changes), self.path, "exec", dont_inherit=True)


def main() -> None:
    """Run a module as a mutant; ``none`` changes nothing."""
    name, module, *arguments = sys.argv[1:]
    if name != "none":
        apply(name)
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
