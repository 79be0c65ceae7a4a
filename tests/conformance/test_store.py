"""What the state store promises, on each engine that can hold it."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import sensei
from sensei import errors, journal, states
from sensei.journal import keys, schema
from sensei.states import State, StepState

ACTOR = journal.Actor("anna", "host1", "sensei migrations start mig_1")
PLAN = {"steps": [{"id": "create_table:shop.orders", "kind": "create_table"}]}
ID = "mig_0a1b2c"


@dataclass(frozen=True)
class Place:
    """A store and a way into its database behind Sensei's back."""

    url: str
    home: Path
    behind: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
    unguard: tuple[str, ...]  #: what somebody with all rights does before an edit

    def open(self, home: Path | None = None) -> journal.Store:
        return journal.open_store(self.url, home or self.home)

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.behind(sql, values)

    def forge(self, sql: str, *values: Any) -> None:
        for statement in self.unguard:
            self.behind(statement, ())
        self.behind(sql, values)


def _sqlite_place(tmp_path: Path) -> Place:
    def behind(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(tmp_path / "sensei.db", isolation_level=None)
        try:
            return connection.execute(sql, tuple(values)).fetchall()
        finally:
            connection.close()

    rules = ("events_stay", "events_keep", "migrations_keep", "migrations_move")
    return Place(
        f"sqlite:///{tmp_path}/sensei.db",
        tmp_path,
        behind,
        tuple(f"DROP TRIGGER IF EXISTS {rule}" for rule in rules),
    )


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return _sqlite_place(tmp_path)
    db = request.getfixturevalue("pg_db")

    def behind(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        in_schema = re.sub(r"\b(events|migrations|heads|leases|meta|signers)\b", r"sensei_journal.\1", sql, count=1)
        rows: list[tuple[Any, ...]] = db.query(in_schema.replace("?", "%s"), tuple(values))
        return rows

    off = ("ALTER TABLE events DISABLE TRIGGER USER", "ALTER TABLE migrations DISABLE TRIGGER USER")
    return Place(db.url, tmp_path, behind, off)


@pytest.fixture
def store(place: Place) -> Iterator[journal.Store]:
    with place.open() as opened:
        opened.create_migration(ID, "shop", "production", "name: shop\n", "abc", PLAN, ACTOR)
        yield opened


# Migrations and states


def test_a_new_migration_reads_back_as_it_was_written(store: journal.Store) -> None:
    found = store.migration(ID)
    assert (found.id, found.name, found.environment) == (ID, "shop", "production")
    assert (found.config_text, found.config_digest, found.plan) == ("name: shop\n", "abc", PLAN)
    assert (found.status, found.returns_to) == (State.PLANNED, None)
    assert found.created_at.tzinfo is not None
    assert [event.kind for event in store.events(ID)] == ["created"]
    assert store.verify(ID) == []


def test_everything_survives_closing_and_opening(place: Place, store: journal.Store) -> None:
    store.transition(ID, State.RUNNING, ACTOR)
    with place.open() as again:
        assert again.migration(ID) == store.migration(ID)
        assert again.events(ID) == store.events(ID)
        assert again.verify(ID) == []


def test_an_id_that_is_taken_is_refused_and_changes_nothing(store: journal.Store) -> None:
    with pytest.raises(errors.BadInput, match=ID):
        store.create_migration(ID, "other", None, "", "", {}, ACTOR)
    assert store.migration(ID).name == "shop"
    assert store.verify(ID) == []


def test_the_unique_beginning_of_an_id_is_enough_and_an_ambiguous_one_names_its_migrations(
    store: journal.Store,
) -> None:
    assert store.migration("mig_0a").id == ID
    store.create_migration("mig_0aff", "shop", None, "", "", {}, ACTOR)
    with pytest.raises(errors.UnknownName, match=f"{ID}.*mig_0aff"):
        store.migration("mig_0a")


def test_an_unknown_id_names_the_nearest_and_the_command_that_lists_them(store: journal.Store) -> None:
    with pytest.raises(errors.UnknownName, match=ID) as caught:
        store.migration("mig_0a1b2d")
    assert caught.value.hint == "sensei migrations list"
    with pytest.raises(errors.UnknownName):
        store.migration("")
    # An underscore or a percent sign is a letter here, no wildcard.
    with pytest.raises(errors.UnknownName):
        store.migration("mig%")
    for write in (
        lambda: store.append("mig_none", "note", {}, ACTOR),
        lambda: store.transition("mig_none", State.RUNNING, ACTOR),
        lambda: store.take_lease("mig_none", journal.current_holder()),
    ):
        with pytest.raises(errors.UnknownName):
            write()


def test_migrations_are_listed_by_status(store: journal.Store) -> None:
    store.create_migration("mig_2", "two", None, "", "", {}, ACTOR)
    store.transition("mig_2", State.RUNNING, ACTOR)
    assert [m.id for m in store.migrations()] == [ID, "mig_2"]
    assert [m.id for m in store.migrations(State.RUNNING)] == ["mig_2"]


def test_an_illegal_transition_is_refused_with_the_right_next_command(store: journal.Store) -> None:
    with pytest.raises(errors.WrongState, match="planned") as caught:
        store.transition(ID, State.COMPLETED, ACTOR)
    assert f"sensei migrations start {ID}" in caught.value.hint
    store.transition(ID, State.RUNNING, ACTOR)
    with pytest.raises(errors.WrongState) as caught:
        store.transition(ID, State.PAUSED, ACTOR, expect={State.COMPLETED})
    assert f"sensei migrations pause {ID}" in caught.value.hint
    assert store.migration(ID).status is State.RUNNING
    assert [event.kind for event in store.events(ID)] == ["created", "transition"]


def test_a_paused_migration_remembers_where_it_returns_to(store: journal.Store) -> None:
    store.transition(ID, State.RUNNING, ACTOR)
    store.transition(ID, State.COMPLETED, ACTOR)
    store.transition(ID, State.PAUSED, ACTOR, payload={"reason": "lunch"})
    assert store.migration(ID).returns_to is State.COMPLETED
    event = store.events(ID)[-1]
    assert event.payload == {
        "from": "completed",
        "to": "paused",
        "returns_to": "completed",
        "reason": "lunch",
    }
    store.transition(ID, State.RUNNING, ACTOR)
    assert store.migration(ID).returns_to is None
    assert store.verify(ID) == []


def test_the_database_itself_refuses_illegal_states_and_transitions(place: Place, store: journal.Store) -> None:
    for status in ("nonsense", "finalized"):
        with pytest.raises(Exception, match=r"(?i)check|transition"):
            place.query("UPDATE migrations SET status = ?", status)
    assert store.migration(ID).status is State.PLANNED


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE events SET kind = 'x'",
        "DELETE FROM events",
        "DELETE FROM migrations",
    ],
)
def test_the_database_itself_keeps_events_and_migrations(place: Place, store: journal.Store, sql: str) -> None:
    with pytest.raises(Exception, match="never"):
        place.query(sql)
    assert store.verify(ID) == []


def test_a_new_plan_is_journaled_with_its_digests(store: journal.Store) -> None:
    store.replan(ID, "name: shop2\n", "def", {"steps": []}, ACTOR)
    found = store.migration(ID)
    assert (found.config_text, found.config_digest, found.plan) == ("name: shop2\n", "def", {"steps": []})
    event = store.events(ID)[-1]
    assert event.kind == "replanned" and event.payload["config_digest"] == "def"
    assert store.verify(ID) == []


# Events


def test_payloads_come_back_exactly(store: journal.Store) -> None:
    payload = {
        "text": "größe 😀 \0 \ud800 % ? %s",
        "big": 2**70,
        "float": 0.1,
        "nested": [{"a": None, "b": True}],
    }
    event = store.append(ID, "note", payload, ACTOR)
    assert event.payload == payload
    assert store.events(ID, after=1) == [event]
    assert (event.seq, event.prev_hash) == (2, store.events(ID)[0].hash)
    assert store.verify(ID) == []


def test_a_payload_that_json_cannot_say_is_refused_and_nothing_is_written(store: journal.Store) -> None:
    for bad in ({"x": float("nan")}, {"x": object()}):
        with pytest.raises(errors.Fault, match="note"):
            store.append(ID, "note", bad, ACTOR)
    assert len(store.events(ID)) == 1


def test_steps_are_folded_from_their_events(store: journal.Store) -> None:
    step = "create_table:shop.orders"
    store.step(ID, step, StepState.BEGUN, {"existed": False}, ACTOR)
    assert store.steps(ID)[step].state is StepState.BEGUN
    store.step(ID, step, StepState.DONE, {"oid": 7}, ACTOR)
    assert store.steps(ID)[step].facts == {"existed": False, "oid": 7}
    store.step(ID, step, StepState.UNDONE, {}, ACTOR)
    assert store.steps(ID)[step].state is StepState.UNDONE
    store.step(ID, step, StepState.BEGUN, {"existed": True}, ACTOR)
    record = store.steps(ID)[step]
    assert (record.state, record.facts) == (StepState.BEGUN, {"existed": True})
    with pytest.raises(errors.Fault):
        store.step(ID, step, StepState.PENDING, {}, ACTOR)


def test_several_steps_are_journaled_together_or_not_at_all(store: journal.Store) -> None:
    store.step_all(ID, StepState.BEGUN, {f"create_table:t{n}": {"n": n} for n in (2, 1, 3)}, ACTOR)
    assert {step: record.facts for step, record in store.steps(ID).items()} == {
        f"create_table:t{n}": {"n": n} for n in (2, 1, 3)
    }
    assert list(store.steps(ID)) == ["create_table:t2", "create_table:t1", "create_table:t3"]
    before = store.events(ID)
    with pytest.raises(errors.Fault):
        store.step_all(ID, StepState.DONE, {"create_table:t1": {}, "create_table:t2": {"n": float("nan")}}, ACTOR)
    assert store.events(ID) == before
    assert store.verify(ID) == []


def test_several_pieces_of_evidence_are_entered_together(store: journal.Store) -> None:
    kept = store.add_evidence_all(ID, [{"object": "a"}, {"object": "b"}], ACTOR)
    assert [(e["id"], e["object"]) for e in store.evidence(ID)] == list(zip(kept, ("a", "b"), strict=True))
    assert store.add_evidence_all(ID, [], ACTOR) == []


def test_threads_of_one_process_can_share_a_store(store: journal.Store) -> None:
    def write(name: str) -> None:
        for n in range(10):
            store.append(ID, "note", {"who": name, "n": n}, ACTOR)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.events(ID)) == 31
    assert store.verify(ID) == []


# Tampering


def _filled(store: journal.Store) -> None:
    store.transition(ID, State.RUNNING, ACTOR)
    for n in range(4):
        store.append(ID, "note", {"n": n}, ACTOR)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE events SET payload = '{\"n\":9}' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET actor_user = 'eve' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET actor_host = 'eve' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET actor_command = 'eve' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET kind = 'eve' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET prev_hash = 'eve' WHERE seq = 4", "event 4 does not follow"),
        ("UPDATE events SET hash = 'eve' WHERE seq = 4", "event 4 .*changed"),
        ("UPDATE events SET signature = 'eve' WHERE seq = 4", "signature of event 4"),
        ("UPDATE events SET signer = 'eve' WHERE seq = 4", "signature of event 4"),
        ("UPDATE events SET seq = 99 WHERE seq = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1 is missing"),
        ("DELETE FROM events WHERE seq = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE seq = 6", "event 6 is missing"),
        ("DELETE FROM events WHERE seq > 3", "events 4 to 6 are missing"),
        ("DELETE FROM events", "events 1 to 6 are missing"),
        ("DELETE FROM heads", "head of the journal is missing"),
        ("UPDATE heads SET seq = 5", "past its signed head"),
        ("UPDATE heads SET signature = 'eve'", "signature of the journal's head"),
        ("UPDATE heads SET hash = 'eve'", "head does not match"),
        ("UPDATE migrations SET status = 'completed'", "status is completed.*running"),
        ("UPDATE migrations SET returns_to = 'running'", "state to return to"),
        ("UPDATE migrations SET name = 'eve'", "name differs"),
        ("UPDATE migrations SET environment = NULL", "environment differs"),
        ("UPDATE migrations SET config_text = 'eve'", "config text differs"),
        ("UPDATE migrations SET config_digest = 'eve'", "config differs"),
        ("UPDATE migrations SET plan = '{}'", "plan differs"),
        ("UPDATE migrations SET target_label = 'eve'", "target label differs"),
        ("UPDATE migrations SET created_at = '2020-01-01T00:00:00.000000+00:00'", "time of creation"),
    ],
)
def test_an_edit_behind_the_back_is_found_and_named(place: Place, store: journal.Store, sql: str, said: str) -> None:
    _filled(store)
    place.forge(sql)
    assert re.search(said, "; ".join(store.verify(ID)))
    with pytest.raises(errors.TamperFound, match=said) as caught:
        store.check(ID)
    assert caught.value.exit_code == 4


def test_a_cut_off_end_is_not_covered_up_by_a_new_event(place: Place, store: journal.Store) -> None:
    _filled(store)
    place.forge("DELETE FROM events WHERE seq > 4")
    with pytest.raises(errors.TamperFound, match="events 5 to 6 are missing"):
        store.append(ID, "note", {}, ACTOR)
    # With the head turned back as well only the key is missing, and that is enough.
    ((hash_, signature),) = place.query("SELECT hash, signature FROM events WHERE seq = 4")
    place.forge("UPDATE heads SET seq = 4, hash = ?, signature = ?", hash_, signature)
    with pytest.raises(errors.TamperFound, match="signature"):
        store.append(ID, "note", {}, ACTOR)
    assert "the signature of the journal's head is wrong" in store.verify(ID)


def test_a_chain_hashed_anew_after_an_edit_is_found_without_the_key(place: Place, store: journal.Store) -> None:
    from sensei.journal import events

    _filled(store)
    prev = place.query("SELECT hash FROM events WHERE seq = 3")[0][0]
    for seq, at, user, host, command, kind, payload in place.query(
        "SELECT seq, at, actor_user, actor_host, actor_command, kind, payload FROM events WHERE seq > 3 ORDER BY seq"
    ):
        forged = payload if seq > 4 else '{"n":77}'
        own = events.event_hash(ID, seq, at, journal.Actor(user, host, command), kind, forged, prev)
        place.forge("UPDATE events SET payload = ?, prev_hash = ?, hash = ? WHERE seq = ?", forged, prev, own, seq)
        prev = own
    place.forge("UPDATE heads SET hash = ?", prev)
    problems = store.verify(ID)
    assert [p for p in problems if "signature of event" in p] == [
        f"the signature of event {n} is wrong" for n in (4, 5, 6)
    ]


def test_a_journal_written_from_another_home_is_named_until_its_key_is_trusted(
    place: Place, store: journal.Store, tmp_path: Path
) -> None:
    other_home = tmp_path / "other"
    with place.open(other_home) as other:
        other.append(ID, "note", {}, journal.Actor("bert", "host2", "sensei migrations pause"))
    problems = store.verify(ID)
    assert len(problems) == 1 and "bert@host2" in problems[0] and "not trust" in problems[0]
    assert store.verify(ID, strangers=True) == []
    trusted = place.home / "keys" / "trusted"
    trusted.mkdir()
    (trusted / "bert.pem").write_text(keys.Keys(other_home).public_pem())
    with place.open() as again:
        assert again.verify(ID) == []


# Leases


def _holder(name: str, *, host: str = "elsewhere") -> journal.Holder:
    return journal.Holder(name, host, 4242, "boot:1/99", "sensei migrations start")


def test_a_live_lease_is_refused_to_others_naming_its_holder(store: journal.Store) -> None:
    assert store.lease(ID) is None
    assert store.take_lease(ID, _holder("a")).epoch == 1
    with pytest.raises(errors.LeaseHeld, match=r"4242 on elsewhere since") as caught:
        store.take_lease(ID, _holder("b"))
    assert caught.value.hint.endswith(f"sensei migrations pause {ID}")
    lease = store.lease(ID)
    assert lease is not None and lease.alive and lease.epoch == 1


def test_the_epoch_grows_with_every_taker_and_survives_release(store: journal.Store) -> None:
    for epoch in (1, 2, 3):
        assert store.take_lease(ID, _holder(f"t{epoch}")).epoch == epoch
        store.release(ID, f"t{epoch}")
    lease = store.lease(ID)
    assert lease is not None and lease.released and not lease.alive


def test_a_lease_without_heartbeats_is_taken_over_and_its_holder_learns_of_it(
    place: Place, store: journal.Store
) -> None:
    store.take_lease(ID, _holder("a"), ttl=0.0)
    assert store.heartbeat(ID, "a")
    with place.open() as other:
        assert other.take_lease(ID, _holder("b")).epoch == 2
        assert not store.heartbeat(ID, "a")
        store.release(ID, "a")  # nothing to give back: the other's lease stays
        assert other.heartbeat(ID, "b")
        taken = other.events(ID)[-1]
        assert taken.kind == "lease_taken" and taken.payload["took_over"]["host"] == "elsewhere"


def test_a_runner_that_was_taken_over_can_write_nothing_more(place: Place, store: journal.Store) -> None:
    store.take_lease(ID, _holder("a"), ttl=0.0)
    with place.open() as other:
        other.take_lease(ID, _holder("b"))
        before = other.events(ID)
        for write in (
            lambda: store.append(ID, "note", {}, ACTOR),
            lambda: store.step(ID, "copy:t", StepState.DONE, {}, ACTOR),
            lambda: store.transition(ID, State.RUNNING, ACTOR),
            lambda: store.save_progress(ID, {"rows": 1}),
        ):
            with pytest.raises(errors.TakenOver, match="elsewhere"):
                write()
        assert other.events(ID) == before
        assert other.migration(ID).status is State.PLANNED
        assert other.progress(ID) is None


def test_a_lease_of_a_process_that_is_gone_from_this_host_is_taken_at_once(store: journal.Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    me = journal.current_holder()
    from sensei.journal import lease

    started = lease.process_started(child.pid)
    assert started is not None
    store.take_lease(ID, journal.Holder("child", me.host, child.pid, started, "x"))
    with pytest.raises(errors.LeaseHeld):
        store.take_lease(ID, me)
    child.kill()
    child.communicate()
    assert store.take_lease(ID, me).epoch == 2


# Requests, progress, evidence


def test_a_request_is_seen_by_another_process_and_its_answer_comes_back(place: Place, store: journal.Store) -> None:
    with place.open() as holder:
        assert holder.pending_requests(ID) == []
        first = store.request(ID, "pause", {"reason": "lunch"}, ACTOR)
        second = store.request(ID, "cancel", {}, ACTOR)
        pending = holder.pending_requests(ID)
        assert [(r.id, r.kind, r.payload) for r in pending] == [
            (first, "pause", {"reason": "lunch"}),
            (second, "cancel", {}),
        ]
        assert store.answer_of(first) is None
        holder.answer(first, {"status": "paused"})
        holder.answer(first, {"status": "again"})
        assert store.answer_of(first) == {"status": "paused"}
        assert store.answer_of(second) is None
        assert [r.id for r in store.pending_requests(ID)] == [second]
    assert store.verify(ID) == []


def test_progress_is_replaced_and_is_no_part_of_the_chain(store: journal.Store) -> None:
    assert store.progress(ID) is None
    store.save_progress(ID, {"rows": 1})
    store.save_progress(ID, {"rows": 2})
    assert store.progress(ID) == {"rows": 2}
    assert len(store.events(ID)) == 1


def test_evidence_that_is_purged_is_still_listed(store: journal.Store) -> None:
    store.create_migration("mig_2", "two", None, "", "", {}, ACTOR)
    kept = store.add_evidence(ID, {"kind": "table", "name": "orders"}, ACTOR)
    store.add_evidence("mig_2", {"kind": "file"}, ACTOR)
    store.purge_evidence(kept, ACTOR)
    (entry,) = store.evidence(ID)
    assert (entry["id"], entry["name"], entry["migration"]) == (kept, "orders", ID)
    assert entry["purged_at"] is not None
    assert [e["purged_at"] is None for e in store.evidence()] == [False, True]
    with pytest.raises(errors.UnknownName):
        store.purge_evidence(f"{ID}/999", ACTOR)


# Several processes


def _spawn(code: str, place: Place, *more: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    source = str(Path(sensei.__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", code, place.url, str(place.home), *more],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": source, **(env or {})},
    )


_OPEN = """
import pathlib, sys
from sensei import journal
with journal.open_store(sys.argv[1], pathlib.Path(sys.argv[2])) as store:
    print(store.keys.fingerprint)
"""

_APPEND = """
import pathlib, sys
from sensei import journal
with journal.open_store(sys.argv[1], pathlib.Path(sys.argv[2])) as store:
    for n in range(50):
        store.append(sys.argv[3], "note", {"n": n}, journal.current_actor("w"))
"""

_TAKE = """
import pathlib, sys
from sensei import errors, journal
with journal.open_store(sys.argv[1], pathlib.Path(sys.argv[2])) as store:
    try:
        print("won", store.take_lease(sys.argv[3], journal.current_holder()).epoch, flush=True)
    except errors.LeaseHeld:
        print("lost", flush=True)
    sys.stdin.readline()
"""

_STEP = """
import pathlib, sys
from sensei import journal, states
with journal.open_store(sys.argv[1], pathlib.Path(sys.argv[2])) as store:
    store.step(sys.argv[3], "create_table:a", states.StepState.BEGUN, {}, journal.current_actor("w"))
"""


def test_two_processes_that_append_at_once_keep_the_chain_whole(place: Place, store: journal.Store) -> None:
    writers = [_spawn(_APPEND, place, ID) for _ in range(2)]
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [event.seq for event in store.events(ID)] == list(range(1, 102))
    assert store.verify(ID) == []


def test_of_two_processes_that_race_for_the_lease_one_wins(place: Place, store: journal.Store) -> None:
    source = str(Path(sensei.__file__).parent.parent)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _TAKE, place.url, str(place.home), ID],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": source},
        )
        for _ in range(2)
    ]
    said = []
    for racer in racers:
        assert racer.stdout is not None
        said.append(racer.stdout.readline().strip())
    for racer in racers:
        racer.communicate("done\n", timeout=60)
    assert sorted(said) == ["lost", "won 1"]


def test_processes_that_make_the_store_and_its_key_at_once_share_them(place: Place) -> None:
    makers = [_spawn(_OPEN, place) for _ in range(3)]
    fingerprints = [maker.communicate(timeout=60)[0].strip() for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0, 0]
    assert fingerprints == [keys.Keys(place.home).fingerprint] * 3


@pytest.mark.parametrize(("side", "kept"), [("before", 1), ("after", 2)])
def test_a_process_killed_around_a_journal_write_leaves_all_of_it_or_nothing(
    place: Place, store: journal.Store, side: str, kept: int
) -> None:
    doomed = _spawn(_STEP, place, ID, env={"SENSEI_CRASH_AT": f"journal:step_begun:create_table:{side}"})
    doomed.communicate(timeout=60)
    assert doomed.returncode == -9
    assert len(store.events(ID)) == kept
    assert store.verify(ID) == []


# The store itself


def test_a_store_made_by_a_newer_sensei_is_refused_naming_both_versions(place: Place, store: journal.Store) -> None:
    place.query("UPDATE meta SET value = '999'")
    with pytest.raises(errors.StoreFailed, match=rf"999.*{schema.VERSION}") as caught:
        place.open()
    assert "upgrade Sensei" in caught.value.hint


def test_a_store_of_the_first_version_is_brought_up_with_its_migrations(place: Place, store: journal.Store) -> None:
    store.transition(ID, State.RUNNING, ACTOR)
    before = store.migration(ID)
    store.close()
    place.query("ALTER TABLE migrations ADD COLUMN updated_at text NOT NULL DEFAULT '2020-01-01T00:00:00.000000+00:00'")
    place.query("UPDATE meta SET value = '1' WHERE name = 'schema_version'")
    with place.open() as again:
        assert again.migration(ID) == before
        assert again.append(ID, "note", {}, ACTOR).at == again.migration(ID).updated_at
        assert again.verify(ID) == []


def test_a_name_that_looks_like_sql_is_only_a_name(store: journal.Store) -> None:
    name = "x'; DROP TABLE events; --\" %s ? {0}"
    store.create_migration(name, name, name, name, name, {name: name}, ACTOR)
    store.append(name, name, {name: name}, journal.Actor(name, name, name))
    assert store.migration(name).plan == {name: name}
    assert store.verify(name) == []


def test_every_state_has_a_next_command() -> None:
    for state in states.State:
        assert "sensei " in journal.next_command(state, ID) and "ID" not in journal.next_command(state, ID)
