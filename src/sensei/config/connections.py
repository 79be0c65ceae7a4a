"""Named connections: checking, expanding and masking their URLs, and the book that keeps them in home."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import json
import os
import re
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

from sensei import errors

SCHEMES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite")

#: Query parameters that the drivers know, by scheme: others pass unless they look like a slip of these.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "postgresql": (
        "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname", "gssencmode",
        "host", "hostaddr", "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval",
        "krbsrvname", "options", "passfile", "port", "service", "sslcert", "sslcrl", "sslkey", "sslmode",
        "sslrootcert", "target_session_attrs", "tcp_user_timeout", "user",
    ),
    "mysql": (
        "charset", "connect_timeout", "lock_wait_timeout", "read_timeout", "ssl", "ssl_ca", "ssl_capath",
        "ssl_cert", "ssl_key", "ssl_mode", "ssl_verify_cert", "ssl_verify_identity", "statement_timeout",
        "unix_socket", "write_timeout",
    ),
    "sqlite": ("busy_timeout", "cache", "immutable", "mode", "timeout", "vfs"),
}  # fmt: skip
PARAMETERS["postgres"] = PARAMETERS["postgresql"]
PARAMETERS["mariadb"] = PARAMETERS["mysql"]

_SECRET_PARAMETERS = frozenset({"password", "passwd", "pass", "pwd", "sslpassword", "ssl_password"})
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_PASSWORD_HINT = (
    "write the password as ${VARIABLE}, in single quotes on a command line, and set that variable;"
    " or leave it out and use the engine's own password file"
)


def has_variable(text: str) -> bool:
    """Tell whether the text holds a `${VARIABLE}`."""
    return _VARIABLE.search(text) is not None


def is_variable(text: str) -> bool:
    """Tell whether the text is one `${VARIABLE}` and nothing else."""
    return _VARIABLE.fullmatch(text) is not None


def check_variables(text: str) -> None:
    """Raise errors.BadInput where a `${` does not begin a well-formed `${VARIABLE}`."""
    if "${" in _VARIABLE.sub("", text):
        raise errors.BadInput("a '${' does not begin a variable, expected ${NAME} of letters, digits and underscores")


def has_literal_password(url: str) -> bool:
    """Tell whether a URL holds a password, or a part of one, that is not a `${VARIABLE}`."""
    parts = _split(url)
    secrets = [] if parts.password is None else [parts.password]
    secrets += [value for key, value in parts.parameters() if key.lower() in _SECRET_PARAMETERS]
    return any(_VARIABLE.sub("", secret) for secret in secrets)


def lacks_password(url: str) -> bool:
    """Tell whether a URL logs in to a server and says nothing about a password."""
    if is_variable(url) or url.startswith("sqlite:"):
        return False
    parts = _split(url)
    return not parts.password and not any(key.lower() in _SECRET_PARAMETERS for key, _ in parts.parameters())


def check_url(url: str) -> None:
    """Check a connection's URL without connecting. Never shows the URL, which may hold a password.

    Raises errors.BadInput on an unknown scheme, a malformed URL or variable, a parameter that looks misspelt,
    and a literal password.
    """
    if any(ord(c) < 33 or ord(c) == 127 for c in url) and not url.startswith("sqlite:"):
        raise errors.BadInput("the URL contains a blank or a control character", hint="write a blank as %20")
    if "\0" in url or "\n" in url:
        raise errors.BadInput("the URL contains a control character")
    check_variables(url)
    if is_variable(url):
        return
    shapes = "postgresql://USER@HOST:PORT/DATABASE, mysql://…, mariadb://… or sqlite:///FILE"
    match = _SCHEME.match(url)
    if match is None:
        raise errors.BadInput(f"this is no URL, expected {shapes}", hint=_near_scheme(url.partition(":")[0]))
    scheme = match[1]
    if scheme not in SCHEMES:
        raise errors.BadInput(f"the scheme '{scheme}' is not known, expected {shapes}", hint=_near_scheme(scheme))
    if has_literal_password(url):
        raise errors.BadInput("the URL holds a password in clear, which would be stored", hint=_PASSWORD_HINT)
    parts = _split(url)
    if scheme == "sqlite":
        _check_sqlite(parts)
    else:
        _check_server(parts)
    for key, _ in parts.parameters():
        near = difflib.get_close_matches(key, PARAMETERS[scheme], n=1, cutoff=0.8)
        if key not in PARAMETERS[scheme] and key not in _SECRET_PARAMETERS and near:
            raise errors.BadInput(f"unknown parameter '{key}'; did you mean '{near[0]}'?")


def expand(url: str, environ: Mapping[str, str]) -> str:
    """Return the URL with its `${VARIABLES}` replaced; user, password and parameters are percent-encoded.

    The result may hold a password: hand it to a driver, show it through mask only.
    Raises errors.BadInput naming the variables that are not set, or that hold a control character.
    """
    check_variables(url)
    names = dict.fromkeys(_VARIABLE.findall(url))
    unset = [name for name in names if not environ.get(name)]
    if unset:
        raise errors.BadInput(
            f"the variable{'s' if len(unset) > 1 else ''} {', '.join(unset)} of a connection's URL"
            f" {'are' if len(unset) > 1 else 'is'} not set",
            hint=f"export {unset[0]}=... and run the same command again",
            variables=unset,
        )
    for name in names:
        if any(ord(c) < 32 or ord(c) == 127 for c in environ[name]):
            raise errors.BadInput(f"the variable {name} holds a control character", variables=[name])

    def raw(text: str) -> str:
        return _VARIABLE.sub(lambda m: environ[m[1]], text)

    def quoted(text: str) -> str:
        return _VARIABLE.sub(lambda m: urllib.parse.quote(environ[m[1]], safe=""), text)

    if _SCHEME.match(url) is None or url.startswith("sqlite:"):
        return raw(url)
    parts = _split(url)
    return f"{parts.scheme}://{quoted(parts.userinfo)}{raw(parts.host_and_path)}{quoted(parts.query)}"


def with_password(url: str, password: str) -> str:
    """Return the URL with a password put in, percent-encoded; one that it has already stays."""
    parts = _split(url)
    if parts.password or parts.scheme == "sqlite":
        return url
    user = parts.userinfo[:-1].partition(":")[0]
    secret = urllib.parse.quote(password, safe="")
    return f"{parts.scheme}://{user}:{secret}@{parts.host_and_path}{parts.query}"


def mask(url: str) -> str:
    """Return the URL as it may be shown: literal passwords are `***`, variables stay as written."""
    match = _SCHEME.match(url)
    if match is None:
        return url if is_variable(url) else "***"
    parts = _split(url)
    if parts.scheme == "sqlite":
        return url
    userinfo, rest, query = parts.userinfo, parts.host_and_path, parts.query
    if "@" in rest or "@" in query:
        # A password with an unescaped / ? or # reaches beyond the authority: hide all up to the last @.
        return f"{parts.scheme}://***@" + _mask_query((rest + query).rpartition("@")[2])
    if parts.password and _VARIABLE.sub("", parts.password):
        userinfo = userinfo[:-1].partition(":")[0] + ":***@"
    return f"{parts.scheme}://{userinfo}{rest}{_mask_query(query)}"


#: What a URL means that does not say it.
_PORTS = {"postgresql": "5432", "postgres": "5432", "mysql": "3306", "mariadb": "3306"}
_FAMILIES = {"postgres": "postgresql", "mariadb": "mysql"}
_HERE = ("", "127.0.0.1", "[::1]", "::1")


def whereabouts(url: str) -> tuple[str, ...]:
    """Return what two URLs (expanded) have in common that lead to the same database, as far as URLs can tell.

    Accounts and settings do not count; a host under two names goes unnoticed.
    """
    parts = _split(url)
    if parts.scheme == "sqlite":
        return ("sqlite", os.path.realpath(Path(urllib.parse.unquote(parts.host_and_path[1:])).expanduser()))
    asked = dict(parts.parameters())
    netloc, _, database = parts.host_and_path.partition("/")
    found = re.fullmatch(r"(.*?)(?::([0-9]*))?", netloc)
    host = (asked.get("host") or (found[1] if found else "")).lower()
    port = asked.get("port") or (found[2] if found else "") or _PORTS.get(parts.scheme, "")
    name = asked.get("dbname") or urllib.parse.unquote(database)
    return (_FAMILIES.get(parts.scheme, parts.scheme), "localhost" if host in _HERE else host, port, name)


class ConnectionBook:
    """The named connections of a home folder, in `connections.json` (mode 0600).

    Passwords that were asked for stand apart, in `passwords.json` of the same mode, and go when their
    connection goes. URLs are kept unexpanded.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._urls = home / "connections.json"
        self._passwords = home / "passwords.json"

    def add(self, name: str, url: str, *, password: str | None = None, replace: bool = False) -> None:
        """Store a connection, and a password that was asked for.

        Raises errors.BadInput on a bad name or URL (check_url), or where the name is taken and not replace.
        """
        if not _NAME.fullmatch(name):
            raise errors.BadInput(
                "a connection's name has small letters, digits and hyphens, a letter first, at most 63",
                hint="such as prod-source",
            )
        check_url(url)
        with self._locked():
            urls, passwords = _read(self._urls), _read(self._passwords)
            if name in urls and not replace:
                raise errors.BadInput(
                    f"there is a connection '{name}' already", hint=f"sensei connections remove {name}"
                )
            had = passwords.pop(name, None) is not None
            if password is not None:
                passwords[name] = password
            if had or password is not None:
                _write(self._passwords, passwords)
            _write(self._urls, {**urls, name: url})

    def list(self) -> dict[str, str]:
        """Return name -> URL, unexpanded, sorted by name."""
        return dict(sorted(_read(self._urls).items()))

    def remove(self, name: str) -> None:
        """Forget a connection and its password. Raises errors.UnknownName."""
        with self._locked():
            urls, passwords = _read(self._urls), _read(self._passwords)
            if name not in urls:
                raise _unknown(name, urls)
            if passwords.pop(name, None) is not None:
                _write(self._passwords, passwords)
            del urls[name]
            _write(self._urls, urls)

    def get(self, name: str, connections: Mapping[str, str] | None = None) -> str:
        """Return a connection's URL, unexpanded; `connections` of a migration file win over the book.

        Raises errors.UnknownName with the nearest names.
        """
        known = {**_read(self._urls), **(connections or {})}
        if name not in known:
            raise _unknown(name, known)
        return known[name]

    def open_url(
        self, name: str, connections: Mapping[str, str] | None = None, environ: Mapping[str, str] = os.environ
    ) -> str:
        """Return a connection's URL ready for a driver: variables expanded, a stored password put in.

        Never show or store it. Raises errors.UnknownName, and errors.BadInput for unset variables.
        """
        url = expand(self.get(name, connections), environ)
        if name in (connections or {}):
            return url
        password = _read(self._passwords).get(name)
        return url if password is None else with_password(url, password)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = self._home / "connections.lock"
        try:
            handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise _failed(path, problem) from problem
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


class _Parts:
    """A URL cut without decoding, so that variables and bad escapes survive."""

    def __init__(self, scheme: str, userinfo: str, host_and_path: str, query: str) -> None:
        self.scheme = scheme
        self.userinfo = userinfo  # with its @
        self.host_and_path = host_and_path
        self.query = query  # with its ?

    @property
    def password(self) -> str | None:
        _, colon, password = self.userinfo[:-1].partition(":")
        return password if colon else None

    @property
    def netloc(self) -> str:
        return self.host_and_path.partition("/")[0]

    def parameters(self) -> list[tuple[str, str]]:
        text = self.query.partition("#")[0].removeprefix("?")
        return urllib.parse.parse_qsl(text, keep_blank_values=True)


def _split(url: str) -> _Parts:
    scheme, _, rest = url.partition("://")
    end = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    at = rest.rfind("@", 0, end) + 1
    userinfo, rest = rest[:at], rest[at:]
    mark = next((i for i, c in enumerate(rest) if c in "?#"), len(rest))
    return _Parts(scheme, userinfo, rest[:mark], rest[mark:])


def _check_server(parts: _Parts) -> None:
    encode = "percent-encode / ? # and @ in a user's name"
    if "@" in parts.host_and_path or "@" in parts.query:
        # Most likely the rest of a password with an unescaped / or ? in it.
        raise errors.BadInput("the URL has an '@' behind its host", hint="write it as %40; " + _PASSWORD_HINT)
    if "#" in parts.query:
        raise errors.BadInput("the URL has a '#', which has no meaning here", hint=encode)
    for host in parts.netloc.split(","):
        match = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::([^:]*))?", host)
        if match is None:
            raise errors.BadInput("the host of the URL can't be read", hint=encode)
        port = match[1]
        if port and not is_variable(port) and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise errors.BadInput("the port of the URL is not a number from 1 to 65535", hint=encode)


def _check_sqlite(parts: _Parts) -> None:
    path = parts.host_and_path
    if parts.userinfo or not path.startswith("/"):
        raise errors.BadInput(
            "a SQLite URL has three slashes before a relative file and four before an absolute one",
            hint="such as sqlite:///shop.db or sqlite:////var/lib/shop.db",
        )
    if path in ("/", "/:memory:") or path.endswith("/"):
        raise errors.BadInput("the SQLite URL names no file", hint="such as sqlite:///shop.db")


def _mask_query(text: str) -> str:
    names = "|".join(_SECRET_PARAMETERS)
    return re.sub(
        rf"(?i)([?&](?:{names})=)([^&#]*)",
        lambda m: m[0] if not _VARIABLE.sub("", m[2]) else m[1] + "***",
        text,
    )


def _near_scheme(word: str) -> str:
    near = difflib.get_close_matches(word, SCHEMES, n=1)
    return f"did you mean {near[0]}://?" if near else ""


def _unknown(name: str, known: Mapping[str, str]) -> errors.UnknownName:
    near = difflib.get_close_matches(name, known, n=3)
    asked = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return errors.UnknownName(
        f"there is no connection '{name}'{asked}",
        hint=f"sensei connections add {name} URL",
        name=name,
        near=near,
    )


def _failed(path: Path, problem: Exception) -> errors.StoreFailed:
    reason = getattr(problem, "strerror", None) or "it is not what Sensei wrote"
    return errors.StoreFailed(f"{path} can't be used: {reason}", path=str(path))


def _read(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise _failed(path, problem) from problem
    if not isinstance(data, dict) or not all(isinstance(v, str) for v in data.values()):
        raise _failed(path, ValueError())
    return data


def _write(path: Path, data: Mapping[str, str]) -> None:
    """Replace a file at once: a reader sees the old or the new one, also after a power cut."""
    temporary: str | None = None
    try:
        # mkstemp makes files of mode 0600.
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(data), file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as problem:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise _failed(path, problem) from problem
