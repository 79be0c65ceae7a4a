"""The Ed25519 key of a home, which signs the journal, and the public keys that this home trusts."""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sensei import errors

if TYPE_CHECKING:  # imported where used: it is slow to load and most commands sign nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


@dataclass(frozen=True)
class PublicKey:
    """A public key that this home knows."""

    fingerprint: str  #: first 32 hex digits of the SHA-256 of the raw key
    name: str  #: "this home", or the name of the file that it is trusted through
    pem: str
    own: bool = False


class Keys:
    """The keys in ``home/keys``: ``sensei.pem`` (private, made at first use) and ``trusted/*.pem``."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "keys"
        self._path = self._folder / "sensei.pem"
        self._right: set[bytes] = set()  #: signatures that were found right

    @functools.cached_property
    def _private(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self.__dict__.pop("_public", None)  # what was known before this home had a key
        try:
            if not self._path.exists():
                self._make()
            key = serialization.load_pem_private_key(self._path.read_bytes(), password=None)
        except OSError as e:
            raise errors.StoreFailed(
                f"the signing key {self._path} can't be used: {e.strerror}",
                hint=f"make {self._folder} a folder that only you can read and write (chmod 700)",
            ) from e
        except (ValueError, TypeError) as e:
            raise _not_a_key(self._path) from e
        if not isinstance(key, Ed25519PrivateKey):
            raise _not_a_key(self._path)
        return key

    def _make(self) -> None:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = self._folder / f".sensei-{secrets.token_hex(8)}.pem"
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            # A link either makes the name or finds it taken: of two first users one key stands, whole.
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            draft.unlink(missing_ok=True)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Fingerprint of this home's key; makes the key if there is none yet."""
        return fingerprint(self._private.public_key())

    def public_pem(self) -> str:
        """Return this home's public key as PEM text."""
        return _pem(self._private.public_key())

    def sign(self, message: str) -> str:
        """Return the signature over a message by this home's key, in hex."""
        signature = self._private.sign(message.encode()).hex()
        self._right.add(_mark(self.fingerprint, message, signature))
        return signature

    def known(self) -> list[PublicKey]:
        """Return this home's key (if it was made already) and those trusted; raises StoreFailed."""
        found: list[PublicKey] = []
        if self._path.exists():
            found.append(PublicKey(self.fingerprint, "this home", self.public_pem(), own=True))
        for path in sorted((self._folder / "trusted").glob("*.pem")):
            try:
                text = path.read_text(encoding="utf-8")
                found.append(PublicKey(fingerprint(load_public(text)), path.stem, text))
            except (OSError, ValueError) as e:
                raise _not_a_key(path) from e
        return found

    @functools.cached_property
    def _public(self) -> dict[str, Ed25519PublicKey]:
        return {key.fingerprint: load_public(key.pem) for key in self.known()}

    def knows(self, signer: str) -> bool:
        """Tell whether a fingerprint belongs to this home's key or to a trusted one."""
        return signer in self._public

    def verify(self, signer: str, message: str, signature: str) -> bool:
        """Tell whether the signature over a message was made by a known key of that fingerprint."""
        key = self._public.get(signer)
        if key is None:
            return False
        # A command loads a migration several times, and thousands of tables have tens of thousands of signatures.
        mark = _mark(signer, message, signature)
        if mark not in self._right:
            if not signed_by(key, message, signature):
                return False
            self._right.add(mark)
        return True


def _mark(signer: str, message: str, signature: str) -> bytes:
    """Return what stands for a signature that was found right: it is so for just these three."""
    return hashlib.sha256(repr((signer, message, signature)).encode("utf-8", "surrogatepass")).digest()


def load_public(pem: str) -> Ed25519PublicKey:
    """Return the Ed25519 public key of a PEM text; raises ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = serialization.load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm as e:
        raise ValueError("not an Ed25519 public key") from e
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("not an Ed25519 public key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the name of a key: the first 32 hex digits of the SHA-256 of its raw bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def signed_by(key: Ed25519PublicKey, message: str, signature: str) -> bool:
    """Tell whether a signature in hex over a message was made by that key."""
    from cryptography.exceptions import InvalidSignature

    try:
        raw = bytes.fromhex(signature)
        if raw.hex() != signature:  # hex has several spellings, the journal only one
            return False
        key.verify(raw, message.encode("utf-8", "surrogatepass"))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _pem(key: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _not_a_key(path: Path) -> errors.StoreFailed:
    return errors.StoreFailed(
        f"{path} is not an Ed25519 key in PEM form",
        hint="put the file back from a backup of the home, or move it away: a new key is then made, "
        "and journals signed by the old one are reported until its public key is put into keys/trusted/",
    )
