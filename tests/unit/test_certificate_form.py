"""A certificate says to the byte what its issuer signed, and only the key that is given tells who that was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sensei import errors
from sensei.journal import certificate, keys

_CHAIN = [certificate.link([], "one", {"rows": {"a": 1}})]
CONTENT: dict[str, Any] = {
    "migration": {"id": "mig_1", "name": "çem"},
    "share": 0.25,
    "chain": [*_CHAIN, certificate.link(_CHAIN, "two", {"sha256": "00"})],
}


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> keys.Keys:
    return keys.Keys(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def sealed(ring: keys.Keys) -> bytes:
    return certificate.seal(CONTENT, ring).encode()


def _refused(data: bytes, pem: str) -> bool:
    try:
        certificate.open_sealed(data, pem)
    except errors.SenseiError as error:
        return error.exit_code in (2, 3, 4)
    return False


def test_what_was_signed_is_what_is_read(ring: keys.Keys, sealed: bytes) -> None:
    found = certificate.open_sealed(sealed, ring.public_pem())
    assert found == {"format": "sensei-certificate", "version": 1, **CONTENT}
    assert sealed.decode() == certificate.seal(CONTENT, ring), "one content has one text"


def test_every_changed_byte_fails(ring: keys.Keys, sealed: bytes) -> None:
    pem = ring.public_pem()
    for at in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[at] ^= 1 << bit
            assert _refused(bytes(changed), pem), (at, bit)


@settings(max_examples=200)
@given(data=st.data())
def test_no_edit_passes(ring: keys.Keys, sealed: bytes, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sealed)))
    end = data.draw(st.integers(start, min(len(sealed), start + 40)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([b" ", b"\n", b"\t", b"0", b"e0", b'"x": 1, ', b"\\u0041"]))
    changed = sealed[:start] + put + sealed[end:]
    assert changed == sealed or _refused(changed, ring.public_pem())


def test_another_spelling_of_the_same_content_fails(ring: keys.Keys, sealed: bytes) -> None:
    document = json.loads(sealed)
    pem = ring.public_pem()
    for spelled in (json.dumps(document), json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"):
        assert _refused(spelled.encode(), pem)
    assert _refused(sealed.replace(b"0.25", b"2.5e-1"), pem)
    assert _refused(sealed.replace(b'"share"', b'"share": 0.25,\n  "share"'), pem), "a key that is there twice"
    assert _refused(b"\xef\xbb\xbf" + sealed, pem)


def test_only_the_key_that_is_given_counts(ring: keys.Keys, sealed: bytes, tmp_path: Path) -> None:
    other = keys.Keys(tmp_path)
    with pytest.raises(errors.TamperFound, match="not signed by the key that was given"):
        certificate.open_sealed(sealed, other.public_pem())
    # Somebody who writes the expected signer's name over a signature of his own.
    forged = json.loads(certificate.seal(CONTENT, other))
    forged["signature"]["key"] = ring.fingerprint
    text = json.dumps(forged, indent=1, sort_keys=True) + "\n"
    with pytest.raises(errors.TamperFound, match="signature is not that of its content"):
        certificate.open_sealed(text.encode(), ring.public_pem())


def test_a_wrong_key_file_is_told_from_a_wrong_certificate(ring: keys.Keys, sealed: bytes, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    ring_private = next(Path(ring._folder).glob("*.pem")).read_text()
    rsa_pem = (
        rsa.generate_private_key(65537, 2048)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    for pem, said in (
        (ring_private, "private key"),
        ("", "empty"),
        ("hello", "no Ed25519 public key"),
        (ring.public_pem()[:60], "no Ed25519 public key"),
        (rsa_pem, "no Ed25519 public key"),
    ):
        with pytest.raises(errors.BadInput, match=said):
            certificate.open_sealed(sealed, pem)


def test_what_is_no_certificate_is_said_to_be_none(ring: keys.Keys, sealed: bytes) -> None:
    pem = ring.public_pem()
    with pytest.raises(errors.BadInput, match="empty"):
        certificate.open_sealed(b" \n", pem)
    for data in (b"{}", b"[]", b"null", b"hello", b"\x00\xff", sealed[:-2], b"[" * 100_000, b'{"a": ' + b"9" * 9999):
        with pytest.raises(errors.TamperFound):
            certificate.open_sealed(data, pem)
    with pytest.raises(errors.TamperFound, match="bytes, which no certificate needs"):
        certificate.open_sealed(b" " * certificate.LONGEST + b"x!", pem)


def test_a_later_form_is_told_from_a_changed_one(
    ring: keys.Keys, sealed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "VERSION", 2)
    later = certificate.seal(CONTENT, ring).encode()
    monkeypatch.undo()
    with pytest.raises(errors.NotYet, match="form 2"):
        certificate.open_sealed(later, ring.public_pem())
    with pytest.raises(errors.TamperFound):
        certificate.open_sealed(sealed.replace(b'"version": 1', b'"version": 2'), ring.public_pem())


def test_a_chain_that_does_not_follow_fails_even_where_it_is_signed(ring: keys.Keys) -> None:
    cut = {**CONTENT, "chain": CONTENT["chain"][1:]}
    with pytest.raises(errors.TamperFound, match="link 1"):
        certificate.open_sealed(certificate.seal(cut, ring).encode(), ring.public_pem())
    with pytest.raises(errors.TamperFound, match="no chain"):
        certificate.open_sealed(certificate.seal({**CONTENT, "chain": []}, ring).encode(), ring.public_pem())


def test_no_signature_of_the_journal_passes_for_a_certificate(ring: keys.Keys, sealed: bytes) -> None:
    document = json.loads(sealed)
    document["signature"]["value"] = ring.sign("event|mig_1|1|00")
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    assert _refused(text.encode(), ring.public_pem())
