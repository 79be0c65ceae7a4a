"""What named connections and the home folder promise."""

from __future__ import annotations

import json
import multiprocessing
import stat
import urllib.parse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensei import errors
from sensei.config import connections, home

PASSWORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), min_size=1)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example.com:5432/shop?sslmode=require&connect_timeout=5",
        "postgres://app:${PASSWORD}@h1:5432,h2:5433/shop",
        "postgresql://app:${PASSWORD}@[::1]:5432/shop",
        "postgresql:///shop?host=/var/run/postgresql",
        "postgresql://h/shop?password=${PASSWORD}",
        "postgresql://${USER}:${PASSWORD}@${HOST}:${PORT}/${DB}",
        "mysql://app:@h/shop",
        "mariadb://app@h/shop?ssl_ca=/ca.pem&some_new_parameter=1",
        "sqlite:///shop.db",
        "sqlite:////var/lib/a file@home.db?mode=ro",
        "${DATABASE_URL}",
    ],
)
def test_good_urls_pass(url: str) -> None:
    connections.check_url(url)
    assert connections.mask(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@h/db",
        "postgresql://app:${X}hunter2@h/db",
        "postgresql://h/db?password=hunter2",
        "postgresql://h/db?Password=hunter2",
        "postgresql://h/db?pass%77ord=hunter2",
        "mysql://app:hun@hunter2@h/db",
        "mysql://app:12/hunter2@h/db",
        "mysql://app:12#hunter2@h/db",
        "mysql://app:12?hunter2@h/db",
        "hunter2",
        "postgresql:app:hunter2@h/db",
        "oracle://app:hunter2@h/db",
        "sqlite://app:hunter2@h/db",
    ],
)
def test_a_literal_password_is_refused_and_never_repeated(url: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        connections.check_url(url)
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.details}"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresq://h/db", "the scheme 'postgresq' is not known"),
        ("shop.db", "this is no URL"),
        ("postgresql://h:x/db", "port"),
        ("postgresql://h:99999/db", "port"),
        ("postgresql://h/db?sslmod=require", "did you mean 'sslmode'"),
        ("postgresql://h /db", "blank"),
        ("postgresql://app:${PASS WORD}@h/db", "blank"),
        ("postgresql://app:${}@h/db", "does not begin a variable"),
        ("postgresql://app:${1A}@h/db", "does not begin a variable"),
        ("sqlite://shop.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_wrong_url_is_explained(url: str, says: str) -> None:
    with pytest.raises(errors.BadInput, match=says):
        connections.check_url(url)


@given(PASSWORDS)
def test_an_expanded_password_reaches_the_driver_as_it_is(password: str) -> None:
    url = connections.expand("postgresql://app:${PW}@h:5432/db?sslmode=require", {"PW": password})
    parts = urllib.parse.urlsplit(url)
    assert urllib.parse.unquote(parts.password or "") == password
    assert (parts.username, parts.hostname, parts.port, parts.path) == ("app", "h", 5432, "/db")
    assert connections.mask(url) == "postgresql://app:***@h:5432/db?sslmode=require"
    assert connections.with_password("postgresql://app@h:5432/db?sslmode=require", password) == url


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="$"), max_size=20))
def test_a_masked_url_never_shows_the_password(noise: str) -> None:
    secret = noise + "hunter2"
    for url in (f"postgresql://app:{secret}@h/db", f"mysql://app:{secret}@h/db?charset=utf8"):
        assert "hunter2" not in connections.mask(url)


def test_unset_variables_are_named_and_set_ones_not_shown() -> None:
    with pytest.raises(errors.BadInput, match="variables A, B of") as caught:
        connections.expand("postgresql://${A}:${B}@${C}/db", {"C": "hunter2", "B": ""})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(errors.BadInput, match="the variable A holds a control character"):
        connections.expand("postgresql://${A}@h/db", {"A": "x\n"})


def test_a_whole_url_or_host_may_come_from_a_variable() -> None:
    assert connections.expand("${URL}", {"URL": "postgresql://a:b@h/d"}) == "postgresql://a:b@h/d"
    assert connections.expand("sqlite:///${DIR}/a.db", {"DIR": "/x y"}) == "sqlite:////x y/a.db"
    assert connections.expand("mysql://${H}/d", {"H": "h:3306"}) == "mysql://h:3306/d"


def test_the_book_keeps_connections_privately_and_unexpanded(tmp_path: Path) -> None:
    book = connections.ConnectionBook(tmp_path)
    assert book.list() == {}
    book.add("prod-target", "sqlite:///b.db")
    book.add("prod-source", "postgresql://app:${PW}@h/db")
    assert book.list() == {"prod-source": "postgresql://app:${PW}@h/db", "prod-target": "sqlite:///b.db"}
    assert mode(tmp_path / "connections.json") == 0o600
    assert book.open_url("prod-source", environ={"PW": "a@b"}) == "postgresql://app:a%40b@h/db"
    book.remove("prod-target")
    assert list(book.list()) == ["prod-source"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["connections.json", "connections.lock"]


def test_a_config_files_connection_wins_over_the_book(tmp_path: Path) -> None:
    book = connections.ConnectionBook(tmp_path)
    book.add("a", "sqlite:///book.db")
    assert book.get("a", {"a": "sqlite:///file.db"}) == "sqlite:///file.db"
    assert book.get("a", {"b": "sqlite:///file.db"}) == "sqlite:///book.db"


def test_a_prompted_password_is_kept_apart_and_goes_with_its_connection(tmp_path: Path) -> None:
    book = connections.ConnectionBook(tmp_path)
    book.add("a", "postgresql://app@h/db", password="hun:ter2")
    assert book.get("a") == "postgresql://app@h/db"
    assert book.open_url("a", environ={}) == "postgresql://app:hun%3Ater2@h/db"
    assert book.open_url("a", {"a": "postgresql://app@other/db"}, {}) == "postgresql://app@other/db"
    assert mode(tmp_path / "passwords.json") == 0o600
    assert "ter2" not in (tmp_path / "connections.json").read_text()
    book.add("a", "postgresql://app@new/db", replace=True)
    assert book.open_url("a", environ={}) == "postgresql://app@new/db"
    book.add("a", "postgresql://app@h/db", password="x", replace=True)
    book.remove("a")
    assert json.loads((tmp_path / "passwords.json").read_text()) == {}


def test_an_unknown_connection_names_the_nearest_and_the_command(tmp_path: Path) -> None:
    book = connections.ConnectionBook(tmp_path)
    book.add("prod-source", "sqlite:///a.db")
    for act in (book.get, book.remove, book.open_url):
        with pytest.raises(errors.UnknownName, match="did you mean 'prod-source'") as caught:
            act("prod-sorce")
        assert caught.value.hint == "sensei connections add prod-sorce URL"


def test_a_taken_or_bad_name_is_refused(tmp_path: Path) -> None:
    book = connections.ConnectionBook(tmp_path)
    book.add("a", "sqlite:///a.db")
    with pytest.raises(errors.BadInput, match="already"):
        book.add("a", "sqlite:///b.db")
    for name in ("A", "1a", "", "a b", "a_b", "a/../b", "a" * 64):
        with pytest.raises(errors.BadInput, match="name"):
            book.add(name, "sqlite:///b.db")
    assert book.list() == {"a": "sqlite:///a.db"}


def test_a_damaged_book_is_reported_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "connections.json"
    for content in ("{", "[]", '{"a": 5}'):
        path.write_text(content)
        with pytest.raises(errors.StoreFailed, match=r"connections\.json can't be used"):
            connections.ConnectionBook(tmp_path).add("b", "sqlite:///b.db")
        assert path.read_text() == content


def _add(folder: Path, number: int) -> None:
    connections.ConnectionBook(folder).add(f"c{number}", "sqlite:///a.db")


def test_connections_added_at_the_same_time_all_stay(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_add, args=(tmp_path, i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert list(connections.ConnectionBook(tmp_path).list()) == ["c0", "c1", "c2", "c3"]


def test_home_is_made_private_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSEI_HOME", str(tmp_path / "deep" / "home"))
    monkeypatch.delenv("SENSEI_STORE", raising=False)
    assert home.home() == tmp_path / "deep" / "home"
    assert mode(home.home()) == 0o700
    assert home.store_url() == f"sqlite:///{tmp_path}/deep/home/sensei.db"
    assert home.artifacts("mig_1a").is_dir()
    assert mode(home.artifacts("mig_1a")) == 0o700
    log = home.private_file(home.logs("mig_staging_1a"))
    assert log.name == "mig_staging_1a.log"
    assert mode(log) == 0o600


def test_home_defaults_to_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENSEI_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home.home() == tmp_path / ".sensei"


def test_a_home_that_can_not_be_made_is_a_failure_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/below"):
        monkeypatch.setenv("SENSEI_HOME", str(tmp_path / folder))
        with pytest.raises(errors.StoreFailed, match="can't be made") as caught:
            home.home()
        assert caught.value.exit_code == 5
        assert "SENSEI_HOME" in caught.value.hint


def test_the_store_may_be_elsewhere_with_its_password_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSEI_STORE", "postgresql://app:${PW}@h/store")
    monkeypatch.setenv("PW", "a/b")
    assert home.store_url() == "postgresql://app:a%2Fb@h/store"


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "mig\0", "-x", "x" * 200])
def test_an_id_never_leads_out_of_home(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSEI_HOME", str(tmp_path))
    for where in (home.artifacts, home.logs):
        with pytest.raises(errors.BadInput, match="no migration's id"):
            where(name)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql://a@db/shop", "postgres://b:pw@DB:5432/shop?sslmode=require", True),
        ("postgresql://127.0.0.1/shop", "postgresql://localhost/shop", True),
        ("postgresql:///shop?host=db&port=5433", "postgresql://db:5433/shop", True),
        ("postgresql://[::1]:5432/shop", "postgresql://localhost/shop", True),
        ("postgresql://db/shop", "postgresql://db/shop2", False),
        ("postgresql://db/shop", "postgresql://db:5433/shop", False),
        ("postgresql://db/shop", "mysql://db/shop", False),
        ("mysql://db/shop", "mariadb://x@db:3306/shop", True),
        ("sqlite:////a/b/../shop.db", "sqlite:////a/shop.db?timeout=5", True),
        ("sqlite:///shop%20a.db", "sqlite:///./shop a.db", True),
        ("sqlite:////a/shop.db", "sqlite:////a/shop2.db", False),
    ],
)
def test_urls_that_lead_to_the_same_database_are_known_by_it(one: str, other: str, same: bool) -> None:
    assert (connections.whereabouts(one) == connections.whereabouts(other)) is same
