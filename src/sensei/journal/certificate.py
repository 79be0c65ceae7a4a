"""The sealed form of a certificate: canonical to the byte, signed by a home's key, checked with nothing but a key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sensei import errors
from sensei.journal import events, keys

if TYPE_CHECKING:  # it is slow to load
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "sensei-certificate"
VERSION = 1
#: Bytes that no certificate needs: what is longer is not read.
LONGEST = 64_000_000

_ALGORITHM = "Ed25519"


def seal(content: Mapping[str, Any], ring: keys.Keys) -> str:
    """Return the text of a certificate with this content (JSON-able data), signed by the home's key.

    The text is the only one that says this content: see `open_sealed`.
    """
    body = {"format": FORMAT, "version": VERSION, **content}
    signature = {"algorithm": _ALGORITHM, "key": ring.fingerprint, "value": ring.sign(_message(body))}
    return _text({"certificate": body, "signature": signature})


def open_sealed(data: bytes, public_pem: str) -> dict[str, Any]:
    """Return the content of a certificate that this public key (Ed25519, RFC 8032) signed, untouched since.

    Only the key that is given counts: the file names its signer's, which proves nothing. A file is right only where it
    is, byte for byte, what its content is written as, so that blanks and spellings can't be changed either.

    Raises BadInput for a key that is none, TamperFound for a file that is not what the key signed, NotYet for one of a
    form that only a later version understands.
    """
    key = read_key(public_pem)
    name = keys.fingerprint(key)
    if not data.strip():
        raise errors.BadInput("the certificate is empty", hint="sensei validations certificate ID --output FILE")
    document = _parsed(data)
    body, signature = document["certificate"], document["signature"]
    if signature.get("key") != name:
        raise errors.TamperFound(
            "the certificate is not signed by the key that was given: it says that it was signed by"
            f" {_shown(signature.get('key'))}, and the key's fingerprint is {name}",
            hint="take the public key from whoever issued it (sensei keys export), not from whoever sent it",
        )
    if set(signature) != {"algorithm", "key", "value"} or signature["algorithm"] != _ALGORITHM:
        raise _changed("its signature is not of the form that Sensei writes")
    if not isinstance(signature["value"], str) or not keys.signed_by(key, _message(body), signature["value"]):
        raise _changed("its signature is not that of its content")
    if body.get("format") != FORMAT:
        raise _changed("it is signed, and is no certificate")
    if body.get("version") != VERSION:
        raise errors.NotYet(
            f"the certificate is of form {_shown(body.get('version'))}, and this version reads form {VERSION};"
            " its signature is right",
            hint="verify it with the version of Sensei that issued it",
        )
    if (wrong := _broken(body.get("chain"))) is not None:
        raise _changed(wrong)
    return dict(body)


def read_key(public_pem: str) -> Ed25519PublicKey:
    """Return the Ed25519 public key of a PEM text; raises BadInput, for a private key as well."""
    if "PRIVATE KEY" in public_pem:
        raise errors.BadInput(
            "this is a private key: whoever has it can sign in your name",
            hint="keep it to yourself, and give the public one: sensei keys export --output FILE",
        )
    if not public_pem.strip():
        raise errors.BadInput("the file of the public key is empty", hint="sensei keys export --output FILE")
    try:
        return keys.load_public(public_pem)
    except ValueError as error:
        raise errors.BadInput(
            "the key is no Ed25519 public key in PEM form", hint="sensei keys export --output FILE writes one"
        ) from error


def link(chain: Sequence[Mapping[str, Any]], name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the next link of a chain of facts, which holds the hash of the one before it."""
    body = {"name": name, "facts": dict(facts), "previous": chain[-1]["hash"] if chain else events.GENESIS}
    return {**body, "hash": events.digest(events.canonical(body))}


def _broken(chain: object) -> str | None:
    if not isinstance(chain, list) or not chain:
        return "it has no chain of hashes"
    for n, one in enumerate(chain):
        if not isinstance(one, dict) or one != link(chain[:n], one.get("name", ""), one.get("facts", {})):
            return f"link {n + 1} of its chain does not follow from the one before it"
    return None


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > LONGEST:
        raise _changed(f"it has {len(data):,} bytes, which no certificate needs")
    try:
        document = json.loads(data.decode("ascii"))
        whole = isinstance(document, dict) and set(document) == {"certificate", "signature"}
        if not whole or not all(isinstance(part, dict) for part in document.values()):
            raise _changed("it is not of the form that Sensei writes")
        if _text(document).encode("ascii") != data:
            raise _changed("it is not written as Sensei writes it")
    except (ValueError, RecursionError) as error:
        raise _changed("it is cut off, or no longer text of the form that Sensei writes") from error
    return dict(document)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=True, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _message(body: Mapping[str, Any]) -> str:
    # Other words than those of the journal's signatures: none passes for another.
    return f"certificate|{events.canonical(body)}"


def _shown(value: object) -> str:
    return str(value)[:64] if isinstance(value, str | int) else "nobody"


def _changed(why: str) -> errors.TamperFound:
    return errors.TamperFound(
        f"the certificate is not what was issued: {why}",
        hint="ask whoever issued it for the file again; nothing in this one can be relied upon",
    )
