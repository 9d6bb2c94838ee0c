"""Signatures by Ed25519 (RFC 8032), with keys in PEM files as ``openssl genpkey -algorithm ed25519`` writes them."""

import base64
import binascii
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from streams.core.signed import SIGNATURE, Signature, signed_bytes
from streams.errors import BadInput

ALGORITHM = "Ed25519"


def read_private_key(file: Path) -> Ed25519PrivateKey:
    """Return the key of a PEM file (PKCS #8, without a passphrase); blocks.

    Raises:
        BadInput: If there is no such key.
    """
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(file, str(error)) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(file, f"a {type(key).__name__}")
    return key


def read_public_key(file: Path) -> Ed25519PublicKey:
    """Return the public key of a PEM file, which holds it or the private one; blocks.

    Raises:
        BadInput: If there is no such key.
    """
    try:
        content = file.read_bytes()
        if b"PRIVATE KEY" in content:
            return read_private_key(file).public_key()
        key = load_pem_public_key(content)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(file, str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _no_key(file, f"a {type(key).__name__}")
    return key


def text_of(key: Ed25519PublicKey) -> str:
    """Return the 32 bytes of a public key in base64, as signatures name it."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def signed(kept: dict[str, Any], key: Ed25519PrivateKey | None) -> dict[str, Any]:
    """Return a document with its signature; without a key the place for it is empty."""
    if key is None:
        return {**kept, SIGNATURE: None}
    value = base64.b64encode(key.sign(signed_bytes(kept))).decode()
    signature = Signature(algorithm=ALGORITHM, public_key=text_of(key.public_key()), value=value)
    return {**kept, SIGNATURE: signature.model_dump()}


def holds(kept: dict[str, Any], signature: Signature) -> bool:
    """Say whether the key that the signature names has signed exactly this document."""
    try:
        if signature.algorithm != ALGORITHM:
            return False
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.public_key, validate=True))
        key.verify(base64.b64decode(signature.value, validate=True), signed_bytes(kept))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _no_key(file: Path, got: str) -> BadInput:
    return BadInput(
        f"expected an Ed25519 key without a passphrase in {file}, got {got}: make one with `openssl genpkey -algorithm"
        f" ed25519 -out {file}`"
    )
