"""Mutants: each one fits the code of today, and a mutation that would change nothing is refused."""

import ast
import importlib
import sys

import pytest

from tests.faults.mutations.mutants import MUTANTS, Change, UnfitMutation, apply, mutated
from tests.faults.mutations.scenarios import PROOFS
from tests.faults.mutations.trials import WHOLE, MutationResult, summary, table


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_every_mutation_fits_the_code_of_today_and_changes_what_it_does(mutant):
    for module in {change.module for change in mutant.changes}:
        source = importlib.util.find_spec(module).loader.get_source(module)
        changed = mutated(source, [change for change in mutant.changes if change.module == module])
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))


def test_every_mutant_has_a_scenario_that_must_catch_it():
    assert set(PROOFS) == set(MUTANTS)
    assert all(proof.anomalies for proof in PROOFS.values())


@pytest.mark.parametrize("source", ["", "x = 1\nx = 1\n"])
def test_a_place_that_is_not_there_exactly_once_is_refused(source):
    with pytest.raises(UnfitMutation, match="expected 'x = 1' once in m, found it"):
        mutated(source, [Change("m", "x = 1", "x = 2")])


def test_a_mutant_that_nobody_knows_is_refused_with_those_that_there_are():
    with pytest.raises(UnfitMutation, match="ledger-off"):
        apply("unknown")


def test_a_module_that_is_imported_already_cannot_be_mutated_any_more():
    import streams.runtime.agents  # noqa: F401

    before = list(sys.meta_path)
    with pytest.raises(UnfitMutation, match="imported already"):
        apply("take")
    assert sys.meta_path == before


def result(mutant: str, *, telling: tuple[str, ...] = (), **anomalies: int) -> MutationResult:
    return MutationResult(mutant, "a promise", "a scenario", anomalies, telling, 1.0)


@pytest.mark.parametrize(
    ("one", "right"),
    [
        (result("take", telling=("lost",), lost=3), True),
        (result("take", telling=("lost",), inexact=3), False),
        (result("take", telling=("lost",)), False),
        (result(WHOLE), True),
        (result(WHOLE, lost=1), False),
    ],
)
def test_a_mutant_must_be_caught_by_what_it_does_and_the_whole_worker_by_nothing(one, right):
    assert one.as_it_should_be is right


def test_the_summary_counts_mutants_and_controls_apart_and_the_table_shows_both():
    results = [result("take", telling=("lost",), lost=3), result("own-verdict", telling=("lost",)), result(WHOLE)]
    told = summary(results)
    assert (told["mutations"], told["mutations_caught"]) == (2, 1)
    assert (told["controls"], told["controls_clean"]) == (1, 1)
    assert "| take | a promise | a scenario | yes | lost 3 |" in table(results)
    assert "| own-verdict | a promise | a scenario | **no** | – |" in table(results)
