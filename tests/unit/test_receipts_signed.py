"""A receipt that was kept: whoever has the public key can tell whether it is as it was signed."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from streams.adapters.receipts.ed25519 import holds, read_private_key, read_public_key, signed, text_of
from streams.cli.main import build
from streams.core.erasure import Receipt, Remains
from streams.core.signed import Signature, document, parsed, signed_bytes
from streams.errors import BadInput

RECEIPT = Receipt(
    receipt="5d1f",
    identity="Åsa",
    called="forgotten-5d1f",
    began_at="2026-01-31T12:00:00+00:00",
    finished_at="2026-01-31T12:00:09+00:00",
    found={"references": 3},
    deleted={"references": 3},
    remains=[Remains("rows", "they are counted")],
    left={},
    verified=["byte by byte"],
)
SEED = bytes(range(32))


def key_file(folder: Path, name: str = "key.pem", seed: bytes = SEED) -> Path:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    file = folder / name
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file


def public_file(private: Path) -> Path:
    key = read_private_key(private).public_key()
    file = private.with_suffix(".pub")
    file.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


def kept(folder: Path, key: Path | None) -> Path:
    file = folder / "receipt.json"
    written = signed(document(RECEIPT), None if key is None else read_private_key(key))
    file.write_text(json.dumps(written, indent=2), encoding="utf-8")
    return file


def check(*arguments: object, **environment: str) -> tuple[int, Any]:
    ended = CliRunner().invoke(
        build(), ["forget", "--check", *map(str, arguments), "--json"], env=environment, catch_exceptions=False
    )
    return ended.exit_code, json.loads(ended.stdout)


def test_a_receipt_is_as_it_was_signed_whatever_its_layout(tmp_path: Path):
    key = key_file(tmp_path)
    file = kept(tmp_path, key)

    status, said = check(file, "--public-key", public_file(key))

    assert (status, said["valid"], said["finding"]) == (0, True, "it is as it was signed")
    assert said["signed_by"] == text_of(read_public_key(key))
    assert check(file, LIKENESS_RECEIPT_KEY=str(key)) == (status, said)


def test_an_altered_receipt_is_found_out(tmp_path: Path):
    key = key_file(tmp_path)
    file = kept(tmp_path, key)
    file.write_text(file.read_text().replace('"references": 3', '"references": 2'))
    assert check(file, "--public-key", key)[1]["finding"] == "it was altered after it was signed"


def test_a_receipt_that_somebody_else_signed_anew_is_found_out(tmp_path: Path):
    own, other = key_file(tmp_path), key_file(tmp_path, "other.pem", b"\1" * 32)
    status, said = check(kept(tmp_path, other), "--public-key", own)
    assert (status, said["valid"]) == (1, False)
    assert said["finding"].startswith("it is signed by another key")


def test_without_a_key_to_compare_with_it_is_said_that_this_is_left_to_do(tmp_path: Path):
    status, said = check(kept(tmp_path, key_file(tmp_path)))
    assert (status, said["valid"]) == (0, True)
    assert "is that a key that you know?" in said["finding"]


def test_a_receipt_without_a_signature_says_so(tmp_path: Path):
    status, said = check(kept(tmp_path, None))
    assert (status, said["finding"], said["signed_by"]) == (1, "it is not signed", None)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text("abcd", min_size=1, max_size=4), values, max_size=5), st.text("abcd", min_size=1), values
)
def test_whatever_is_changed_the_signature_does_not_hold_any_more(content, name, value):
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    written = signed(content, key)
    signature = Signature.model_validate(written["signature"])
    changed = {**written, name: value}

    assert holds(written, signature)
    assert holds(changed, signature) == (signed_bytes(changed) == signed_bytes(content))


@pytest.mark.parametrize("value", ["", "AA==", "no base64", "é"])
def test_what_is_no_signature_holds_for_nothing(value):
    written = signed({"a": 1}, Ed25519PrivateKey.from_private_bytes(SEED))
    signature = Signature.model_validate(written["signature"])
    assert not holds(written, signature.model_copy(update={"value": value}))
    assert not holds(written, signature.model_copy(update={"public_key": value}))
    assert not holds(written, signature.model_copy(update={"algorithm": "none"}))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"receipt": "1", "identity": "a", "complete": true, "signature": 3}']
)
def test_a_file_that_is_no_receipt_is_refused(text):
    with pytest.raises(BadInput, match="expected a receipt"):
        parsed(text, "file")


def test_a_key_of_another_kind_or_none_is_refused_with_the_remedy(tmp_path: Path):
    other = tmp_path / "ec.pem"
    key = generate_private_key(SECP256R1())
    other.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "text.pem").write_text("no key")
    for name in ("ec.pem", "text.pem", "absent.pem"):
        for read in (read_private_key, read_public_key):
            with pytest.raises(BadInput, match="openssl genpkey -algorithm ed25519"):
                read(tmp_path / name)


def test_a_receipt_is_not_written_where_the_person_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIKENESS_DATA_DIR", str(tmp_path))
    with pytest.raises(BadInput, match="write it elsewhere"):
        CliRunner().invoke(build(), ["forget", "anna", "--output", str(tmp_path / "kept.json")], catch_exceptions=False)


@pytest.mark.parametrize("arguments", [[], ["anna", "--check", "file"]])
def test_either_somebody_is_forgotten_or_a_receipt_is_checked(arguments):
    refused = CliRunner().invoke(build(), ["forget", *arguments], env={"TERM": "dumb", "COLUMNS": "200"})
    assert refused.exit_code == 2
    assert "either whom to forget or --check" in refused.output
