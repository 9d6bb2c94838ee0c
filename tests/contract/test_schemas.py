"""What other programs rely on: a change of any message's schema must be a decision, not an accident."""

import json
from pathlib import Path

from streams.core.schemas import schemas

GOLDEN = Path(__file__).with_name("schemas.json")


def test_the_schemas_are_those_that_were_agreed():
    """Regenerate after a change that is meant: likeness schema | python -m json.tool > tests/contract/schemas.json."""
    assert schemas() == json.loads(GOLDEN.read_bytes()), test_the_schemas_are_those_that_were_agreed.__doc__


def test_a_schema_can_be_read_without_the_code():
    """Every field that is required is described, and every reference leads somewhere within the same schema."""
    for entry in schemas().values():
        schema = entry["schema"]
        assert set(schema["required"]) <= set(schema["properties"])
        for reference in _references(schema):
            assert reference.removeprefix("#/$defs/") in schema["$defs"]


def _references(node: object) -> list[str]:
    if isinstance(node, list):
        return [found for each in node for found in _references(each)]
    if isinstance(node, dict):
        here = [node["$ref"]] if "$ref" in node else []
        return here + [found for each in node.values() for found in _references(each)]
    return []
