"""What a mysql:// or mariadb:// URL says, turned into the driver's arguments and into session settings."""

from __future__ import annotations

import getpass
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensei import errors

SHAPE = "mysql://user@host:3306/database, special characters written as %XX"

#: What a URL may say about waiting, in seconds. Building an index on a large table rightly takes hours, so a
#: statement has a day. A blocked statement is found by lock_wait_timeout, a dead peer by keepalives.
TIMEOUTS = {"lock_wait_timeout": 30, "statement_timeout": 86_400}

_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Address:
    """Where to connect: the driver's arguments (password included, so it is never shown) and the time-outs."""

    arguments: dict[str, Any] = field(repr=False)
    database: str
    timeouts: dict[str, int]

    @property
    def secrets(self) -> list[str]:
        """Texts that must not appear in a message."""
        password = self.arguments.get("password")
        return [password.decode("utf-8", "replace")] if password else []


def parse(url: str) -> Address:
    """Read a URL; raises BadInput, never showing the URL."""
    parts = urllib.parse.urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise errors.BadInput("the host or the port of the URL can't be read", hint=SHAPE) from None
    database = urllib.parse.unquote(parts.path.removeprefix("/"))
    if not database or "/" in parts.path.removeprefix("/"):
        raise errors.BadInput(
            "the URL names no database" if not database else "the URL names more than one database", hint=SHAPE
        )
    # By hand: parse_qsl would read + as a blank.
    query = {k: urllib.parse.unquote(v) for k, _, v in (p.partition("=") for p in parts.query.split("&") if p)}
    kept = _option_file()
    user = urllib.parse.unquote(parts.username) if parts.username else kept.get("user") or getpass.getuser()
    password = urllib.parse.unquote(parts.password) if parts.password is not None else kept.get("password", "")
    arguments: dict[str, Any] = {
        "host": host or "localhost",
        "port": port or 3306,
        "user": user,
        "database": database,
        # As bytes: the driver would take it for Latin-1.
        "password": password.encode(),
        "connect_timeout": _seconds(query, "connect_timeout", 10),
    }
    for name in ("read_timeout", "write_timeout"):
        if name in query:
            arguments[name] = _seconds(query, name, 0) or None
    if query.get("unix_socket"):
        arguments["unix_socket"] = query["unix_socket"]
    arguments |= _tls(query)
    timeouts = {name: _seconds(query, name, usual) for name, usual in TIMEOUTS.items()}
    return Address(arguments, database, timeouts)


def _seconds(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise errors.BadInput(f"the URL's {name} is not a whole number of seconds")
    return int(text)


def _tls(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the driver's TLS arguments; without a word in the URL it uses TLS where the server offers it."""
    mode = query.get("ssl_mode", "").upper().replace("-", "_")
    if mode and mode not in _MODES:
        raise errors.BadInput(f"the URL's ssl_mode is not one of {', '.join(_MODES)}")
    if not mode and "ssl" in query:
        mode = "REQUIRED" if query["ssl"].lower() in _TRUE else "DISABLED"
    if query.get("ssl_verify_identity", "").lower() in _TRUE:
        mode = "VERIFY_IDENTITY"
    elif query.get("ssl_verify_cert", "").lower() in _TRUE and mode != "VERIFY_IDENTITY":
        mode = "VERIFY_CA"
    files = {k: query[f"ssl_{k}"] for k in ("ca", "capath", "cert", "key") if query.get(f"ssl_{k}")}
    if mode == "DISABLED":
        return {"ssl_disabled": True}
    if not files and mode in ("", "PREFERRED"):
        return {}
    try:
        context = ssl.create_default_context(cafile=files.get("ca"), capath=files.get("capath"))
        # Certificates that servers make for themselves lack what the strict check asks for.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = mode == "VERIFY_IDENTITY"
        checked = mode in ("VERIFY_CA", "VERIFY_IDENTITY") or bool(files.get("ca") or files.get("capath"))
        context.verify_mode = ssl.CERT_REQUIRED if checked else ssl.CERT_NONE
        if "cert" in files:
            context.load_cert_chain(files["cert"], files.get("key"))
    except (OSError, ValueError) as error:
        raise errors.BadInput(
            f"a file that the URL names for TLS can't be used: {error}", hint="look at ssl_ca, ssl_cert and ssl_key"
        ) from None
    return {"ssl": context}


def _option_file() -> dict[str, str]:
    """Return user and password of [client] in ~/.my.cnf, the engine's own password file; nothing without one."""
    try:
        lines = Path("~/.my.cnf").expanduser().read_text("utf-8", "replace").splitlines()
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return {}
    found: dict[str, str] = {}
    section = ""
    for line in map(str.strip, lines):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip().lower()
        elif section == "client" and "=" in line and line[0] not in "#;!":
            key, _, value = (part.strip() for part in line.partition("="))
            if key in ("user", "password"):
                quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
                found[key] = value[1:-1] if quoted else value
    return found
