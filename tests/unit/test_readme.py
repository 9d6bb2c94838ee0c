"""The README says what can be installed, and nothing that cannot."""

import re

from tests.deployment.words import ROOT, project


def test_every_extra_is_told_and_no_other():
    text = (ROOT / "README.md").read_text()
    table = text.partition("\n## Extras\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `([a-z0-9]+)` \|", table, re.MULTILINE)

    assert told
    assert sorted(told) == sorted(project()["optional-dependencies"])
