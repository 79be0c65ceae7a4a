"""In whatever order an operator starts, pauses, kills, resumes, takes back and cancels: the promises hold."""

from __future__ import annotations

import itertools

import hypothesis
import hypothesis.strategies as st
import pytest
from hypothesis import stateful

import crash_cases
import reader
from fix_sensei import KILLED
from sensei import states
from sensei.states import State

#: Where a command is killed, if it gets there; None lets it run to its end.
_NEVER: str | None = None
_FORWARD = st.one_of(
    st.just(_NEVER),
    st.sampled_from(
        [
            "journal:transition:before", "journal:transition:after", "journal:step_done:fingerprint:after",
            "ledger:set_up:before", "ledger:set_up:after", "ledger:raise_epoch:after", "step:create_table:commit:after",
            "ledger:plan_chunks:after", "chunk:claimed", "chunk:loaded", "chunk:commit:after", "chunk:commit:before",
            "journal:step_begun:copy:after", "journal:step_done:copy:before", "step:index:commit:before",
            "step:foreign_key:commit:after", "journal:step_done:prove:before", "ledger:keep_script:after",
            "script:rename:before", "journal:lease_released:before", "journal:others_settled:before",
            "journal:others_settled:after",
        ]
    ),
)  # fmt: skip
_BACK = st.one_of(
    st.just(_NEVER),
    st.sampled_from(
        [
            "journal:lease_taken:after", "journal:transition:after", "ledger:raise_epoch:after", "rollback:statement",
            "rollback:commit:before", "rollback:commit:after", "journal:step_undone:create_table:after",
            "journal:evidence:before", "journal:lease_released:before",
        ]
    ),
)  # fmt: skip


_TABLES_BACK = st.one_of(
    st.just(_NEVER),
    st.sampled_from(
        [
            "journal:lease_taken:after", "journal:transition:before", "journal:transition:after",
            "ledger:raise_epoch:after", "rollback:statement", "partial:commit:before", "partial:commit:after",
            "journal:step_undone:prove:after", "journal:step_undone:copy:before", "journal:evidence:before",
            "journal:lease_released:before",
        ]
    ),
)  # fmt: skip


class Lifecycle(stateful.RuleBasedStateMachine):
    """Drives one migration after the other on the same source, target and store."""

    bench: crash_cases.Bench

    def __init__(self) -> None:
        super().__init__()
        self.bench.reset()
        self.bench.migration = self.bench.first
        self.bench.shown = ""

    @property
    def state(self) -> State:
        return State(self.bench.state)

    def run(self, *args: str, allowed: bool, crash_at: str | None = None) -> None:
        """Run a command: refused with 3 where the state forbids it, else done, killed, or stopped by a dead worker."""
        words = ("migrations", args[0], self.bench.migration, *args[1:])
        code = self.bench.run(*words, expect=None, SENSEI_CRASH_AT=crash_at or "")
        if not allowed:
            expected = {3}
        elif crash_at is None:
            expected = {0}
        else:
            expected = {0, KILLED, 5} if crash_at.startswith("chunk:") else {0, KILLED}
        assert code in expected, f"{args} ended with {code}, expected {expected}:\n{self.bench.shown[-6000:]}"

    def may(self, verb: str) -> bool:
        """Whether the state allows a command."""
        back = self.state in (State.ROLLING_BACK, State.ROLLED_BACK) or states.allowed(self.state, State.ROLLING_BACK)
        return {
            "start": self.state is State.PLANNED,
            "cancel": self.state is State.PLANNED,
            "resume": self.state in (State.PAUSED, State.FAILED, State.RUNNING),
            "pause": self.state in (State.RUNNING, State.PAUSED),
            "rollback": back,
            "rollback-tables": self.state in states.PARTIAL_ROLLBACK_FROM or self.some_are_going_back(),
        }[verb]

    def some_are_going_back(self) -> bool:
        """Whether a rollback of single tables was cut off, and none of everything has begun since."""
        return self.state is State.ROLLING_BACK and "--tables" in self.bench.status()["next"]

    # Each example begins with a run that is, more often than not, cut off: most of what can go wrong needs one.
    @stateful.initialize(crash_at=_FORWARD)
    def begin(self, crash_at: str | None) -> None:
        self.run("start", allowed=True, crash_at=crash_at)

    @stateful.precondition(lambda self: self.may("start") or self.may("resume"))
    @stateful.rule(crash_at=_FORWARD)
    def go_on(self, crash_at: str | None) -> None:
        self.run("start" if self.may("start") else "resume", allowed=True, crash_at=crash_at)

    @stateful.precondition(lambda self: self.may("pause"))
    @stateful.rule()
    def pause(self) -> None:
        self.run("pause", allowed=True)

    @stateful.precondition(lambda self: self.may("rollback"))
    @stateful.rule(crash_at=_BACK)
    def roll_back(self, crash_at: str | None) -> None:
        # Repeated after a crash it goes on; repeated when it is over it does nothing.
        self.run("rollback", "--full", allowed=True, crash_at=crash_at)

    @stateful.precondition(lambda self: self.may("rollback-tables"))
    @stateful.rule(crash_at=_TABLES_BACK, keep=st.booleans(), table=st.sampled_from(["orders", "customers"]))
    def take_tables_back(self, crash_at: str | None, keep: bool, table: str) -> None:
        # What depends on it comes along; one that was cut off has to be finished first, as it was begun.
        if self.some_are_going_back():
            table = self.bench.status()["next"].partition("--tables ")[2].split(" ")[0]
        more = ["--keep-progress"] if keep else []
        self.run("rollback", "--tables", table, "--yes", *more, allowed=True, crash_at=crash_at)

    @stateful.rule(verb=st.sampled_from(["start", "resume", "pause", "rollback", "rollback-tables", "cancel"]))
    def out_of_place(self, verb: str) -> None:
        """What an operator types in the wrong moment; a cancel in the right one is carried out."""
        if verb == "rollback-tables":
            if not self.may(verb):
                self.run("rollback", "--tables", "orders", allowed=False)
            return
        more = {"rollback": ["--full"], "cancel": ["--reason", "changed my mind"]}.get(verb, [])
        if verb == "cancel" or not self.may(verb):
            self.run(verb, *more, allowed=self.may(verb))

    @stateful.precondition(lambda self: self.state in states.FINAL)
    @stateful.rule()
    def create(self) -> None:
        """A later one, which nothing that an earlier one left may hinder."""
        self.bench.create()

    @stateful.precondition(lambda self: self.state in (State.ROLLED_BACK, State.COMPLETED))
    @stateful.rule()
    def verify(self) -> None:
        if self.state is State.ROLLED_BACK and not self.begun():
            self.run("verify-rollback", allowed=False)  # never fingerprinted: nothing to compare with
        elif self.state is State.ROLLED_BACK:
            self.run("verify-rollback", allowed=True)

    def begun(self) -> bool:
        steps = self.bench.status()["steps"]
        return any(s["id"] == "fingerprint" and s["state"] == "done" for s in steps)

    @stateful.invariant()
    def the_target_is_what_the_state_says(self) -> None:
        if self.state is State.COMPLETED:
            self.bench.check_completed()
        elif self.state in (State.PLANNED, State.CANCELLED, State.ROLLED_BACK):
            self.bench.check_rolled_back()

    @stateful.invariant()
    def the_journal_is_whole_and_knows_only_legal_transitions(self) -> None:
        events = self.bench.ask("migrations", "logs", self.bench.migration)["events"]
        moves = [(e["payload"]["from"], e["payload"]["to"]) for e in events if e["kind"] == "transition"]
        assert all(states.allowed(State(a), State(b)) for a, b in moves), moves
        assert all(first[1] == second[0] for first, second in itertools.pairwise(moves)), moves
        assert (moves[-1][1] if moves else "planned") == self.state
        assert self.bench.status()["journal"]["problems"] == []

    def teardown(self) -> None:
        assert reader.diff_snapshots(self.bench.before_source, reader.snapshot(self.bench.source)) == []


@pytest.mark.slow
def test_whatever_the_order_of_commands_and_kills_the_promises_hold(bench: crash_cases.Bench) -> None:
    bench.passed("migrations", "start", bench.migration)
    bench.carried = bench.differences()
    bench.first = bench.migration
    machine = type("BoundLifecycle", (Lifecycle,), {"bench": bench})
    thorough = hypothesis.settings().max_examples > 100
    stateful.run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=hypothesis.settings(
            max_examples=100 if thorough else 6,
            stateful_step_count=40 if thorough else 12,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            # Each step runs real processes: to shrink a failure would take an hour.
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        ),
    )
