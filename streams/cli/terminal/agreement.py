"""What it does to both error rates that two verifiers have to agree, as a table."""

from rich.table import Table

from streams.core.calibration import Agreement


def agreement_table(effect: Agreement) -> Table:
    """Return a row for each verifier alone, and one for both."""
    table = Table("matches", "FMR", "95 %", "FNMR", "95 %", box=None, pad_edge=False)
    for name, errors in (("first alone", effect.first), ("second alone", effect.second), ("both", effect.both)):
        spans = [f"{low:.3g} - {high:.3g}" for low, high in (errors.fmr_interval, errors.fnmr_interval)]
        table.add_row(name, f"{errors.fmr:.3g}", spans[0], f"{errors.fnmr:.3g}", spans[1])
    return table
