"""Copies many tables through one pool of workers: plan boundaries, hand out chunks, account for each."""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from sensei import catalog, errors
from sensei.engines import base, ledger
from sensei.transfer import copier
from sensei.work import executor, sides, slices

#: Boundaries written to the ledger in one transaction, ahead of the chunks that use them.
PLAN_AHEAD = 8
#: Tables of one chunk that are planned, and journaled as begun and as done, together; seconds that a table waits at
#: most to be journaled as done.
TOGETHER = 50
DONE_WITHIN = 0.5
#: Pools that may break (a worker killed from outside) before the copy gives up.
POOLS = 3


@dataclass(frozen=True)
class TableJob:
    """One table to copy."""

    table: str  #: its name in the ledger: the source's
    source: catalog.TableName
    read: tuple[base.ReadColumn, ...]
    key: base.ChunkKey
    load: base.LoadSpec
    form: base.Form
    rows_estimate: int
    key_positions: tuple[int, ...] = ()
    attempt: int = 1


@dataclass
class Tally:
    """Where one table stands."""

    rows_total: int
    rows_read: int = 0
    rows_quarantined: int = 0
    chunks_done: int = 0
    chunks_planned: int = 0
    planned_whole: bool = False  #: every boundary is in the ledger
    begun: bool = False

    @property
    def complete(self) -> bool:
        """Every planned chunk is in the target."""
        return self.planned_whole and self.chunks_done == self.chunks_planned


@dataclass(frozen=True)
class Watch:
    """What the conductor wants to hear while tables are copied."""

    stop: Callable[[], bool]  #: true: stop at the next chunk boundary
    begun: Callable[[Sequence[TableJob]], None]  #: before anything of these tables is written
    #: Tables whose every chunk is in the target, each with the digest over the chunks' checksums.
    done: Callable[[dict[str, tuple[Tally, str]]], None]
    progress: Callable[[dict[str, Tally]], None]


@dataclass(frozen=True)
class Crew:
    """Who copies from where to where."""

    migration: str
    epoch: int
    source: sides.Side
    target: sides.Side
    chunk_rows: int
    quarantine: bool


class Workers:
    """Worker processes; they start when this is made, so that they are there when the first chunk is planned.

    Life: made, handed to `copy`, closed; closing releases the workers' connections.
    """

    def __init__(self, target: sides.Side, parallelism: int) -> None:
        self.number = 1 if target.engine.capabilities.single_writer else parallelism
        self.pool = self._start()

    def _start(self) -> concurrent.futures.Executor:
        pool = executor.local(self.number)
        executor.warm(pool, self.number, copier.ready)
        return pool

    def renew(self) -> None:
        """Put new processes in the place of some that were killed."""
        self.close()
        self.pool = self._start()

    def close(self) -> None:
        """Let the workers end, after what they are doing."""
        self.pool.shutdown(cancel_futures=True)


def copy(crew: Crew, jobs: Sequence[TableJob], watch: Watch, workers: Workers) -> dict[str, Tally]:
    """Copy every table; tables and chunks that the ledger knows are skipped.

    Raises Paused where `watch.stop` asked for it, and whatever stopped a chunk.
    """
    return _Copy(crew, jobs, watch, workers).run()


class _Copy:
    def __init__(self, crew: Crew, jobs: Sequence[TableJob], watch: Watch, workers: Workers) -> None:
        self.crew, self.watch, self.workers = crew, watch, workers
        single = crew.target.engine.capabilities.single_writer
        # One writer at a time: boundaries that wait behind a chunk's transaction would stop the whole copy, so all
        # of them are planned first.
        self.plan_ahead = 10**9 if single else PLAN_AHEAD
        self.plan_first = single
        self.jobs = {job.table: job for job in sorted(jobs, key=lambda j: -j.rows_estimate)}
        self.tallies = {job.table: Tally(job.rows_estimate) for job in jobs}
        self.book = ledger.Ledger(crew.target.engine, crew.migration)
        self.groups = {job.table: group for group in self._groups() for job in group}
        self.told_begun: set[str] = set()
        self.finished: set[str] = set()
        self.whole: list[str] = []  #: tables that are in the target and not yet journaled as done
        self.whole_since = 0.0
        self.applied: dict[str, set[int]] = {}
        self.planned: dict[str, list[ledger.Chunk]] = {}

    def _groups(self) -> Iterator[list[TableJob]]:
        """Yield the jobs in their order: large tables alone, many small ones together."""
        small = [job for job in self.jobs.values() if self._is_one_chunk(job)]
        yield from ([job] for job in self.jobs.values() if not self._is_one_chunk(job))
        yield from slices.of(small, TOGETHER)

    def _is_one_chunk(self, job: TableJob) -> bool:
        return job.key.kind == "whole" or job.rows_estimate <= self.crew.chunk_rows

    def run(self) -> dict[str, Tally]:
        if not self.jobs:
            return self.tallies
        with (
            self.crew.source.session(f"sensei {self.crew.migration} plan") as source,
            self.crew.target.session(f"sensei {self.crew.migration} plan") as target,
        ):
            self._read_ledger(target)
            tasks = self._tasks(source, target)
            if self.plan_first:
                tasks = iter(list(tasks))
            self._dispatch(tasks, target)
        short = [name for name, tally in self.tallies.items() if not tally.complete]
        if short:
            raise errors.Fault(f"the copy ended before every chunk of {', '.join(short)} was in the target")
        return self.tallies

    def _read_ledger(self, target: base.Session) -> None:
        for applied in self.book.applied(target):
            job = self.jobs.get(applied.table)
            if job is None or applied.attempt != job.attempt or applied.number == ledger.AFTER_LOAD:
                continue
            self.applied.setdefault(applied.table, set()).add(applied.number)
            tally = self.tallies[applied.table]
            tally.begun = True
            tally.chunks_done += 1
            tally.rows_read += applied.rows_read
            tally.rows_quarantined += applied.rows_quarantined
        for chunk in self.book.all_planned_chunks(target):
            if chunk.table in self.jobs and chunk.attempt == self.jobs[chunk.table].attempt:
                self.planned.setdefault(chunk.table, []).append(chunk)

    # -- planning

    def _tasks(self, source: base.Session, target: base.Session) -> Iterator[copier.ChunkTask]:
        planned: set[str] = set()
        for job in self.jobs.values():
            if job.table not in planned:
                group = self.groups[job.table]
                planned |= {other.table for other in group}
                self._plan_small(target, group)
            tally = self.tallies[job.table]
            for chunk in self._chunks(job, tally, source, target):
                yield self._task(job, chunk)
            if tally.complete:  # an earlier run had copied it to the end
                self._finish(job.table)

    def _plan_small(self, target: base.Session, group: list[TableJob]) -> None:
        """Write the only chunk of each table that has one, for all of them in one transaction."""
        fresh = [j for j in group if self._is_one_chunk(j) and j.table not in self.planned]
        chunks = [ledger.Chunk(j.table, j.attempt, 0, None, None) for j in fresh]
        if chunks:
            with sides.told("target", self.crew.target.name):
                self.book.plan_chunks(target, self.crew.epoch, chunks)
            self.planned |= {chunk.table: [chunk] for chunk in chunks}

    def _chunks(
        self, job: TableJob, tally: Tally, source: base.Session, target: base.Session
    ) -> Iterator[ledger.Chunk]:
        done = self.applied.get(job.table, set())
        known = self.planned.get(job.table, [])
        tally.chunks_planned = len(known)
        after = known[-1].upper if known else None
        tally.planned_whole = bool(known) and after is None
        for chunk in known:
            if chunk.number not in done:
                yield chunk
        number = len(known)
        ahead = min(self.plan_ahead, self.workers.number + 1)  # first what lets the workers begin
        while not tally.planned_whole:
            batch: list[ledger.Chunk] = []
            while len(batch) < ahead and not tally.planned_whole:
                upper = self._boundary(job, source, after)
                batch.append(ledger.Chunk(job.table, job.attempt, number, after, upper))
                number, after = number + 1, upper
                tally.planned_whole = upper is None
            with sides.told("target", self.crew.target.name):
                self.book.plan_chunks(target, self.crew.epoch, batch)
            tally.chunks_planned = number
            yield from batch
            ahead = self.plan_ahead

    def _boundary(self, job: TableJob, source: base.Session, after: base.KeyValue | None) -> base.KeyValue | None:
        with sides.told("source", self.crew.source.name):
            return self.crew.source.engine.rows.boundary(source, job.source, job.key, after, self.crew.chunk_rows)

    def _task(self, job: TableJob, chunk: ledger.Chunk) -> copier.ChunkTask:
        return copier.ChunkTask(
            migration=self.crew.migration,
            epoch=self.crew.epoch,
            source=self.crew.source,
            target=self.crew.target,
            chunk=chunk,
            read=base.ReadSpec(job.source, job.read, job.key, chunk.lower, chunk.upper),
            load=job.load,
            form=job.form,
            quarantine=self.crew.quarantine,
            key_positions=job.key_positions,
        )

    # -- handing out

    def _dispatch(self, tasks: Iterator[copier.ChunkTask], target: base.Session) -> None:
        again: collections.deque[copier.ChunkTask] = collections.deque()
        for left in reversed(range(POOLS)):
            try:
                self._drain(self.workers.pool, again, tasks, target)
                return
            except BrokenProcessPool as error:
                if not left:
                    raise errors.ServerFailed(
                        f"worker processes were killed {POOLS} times",
                        hint=f"look for what kills them, then sensei migrations resume {self.crew.migration}",
                    ) from error
                self.workers.renew()

    def _drain(
        self,
        pool: concurrent.futures.Executor,
        again: collections.deque[copier.ChunkTask],
        tasks: Iterator[copier.ChunkTask],
        target: base.Session,
    ) -> None:
        running: dict[concurrent.futures.Future[copier.ChunkResult], copier.ChunkTask] = {}
        problem: BaseException | None = None
        stopping, dry, told = False, False, 0.0
        while True:
            while not stopping and not problem and not dry and len(running) < self.workers.number + 1:
                task = again.popleft() if again else next(tasks, None)
                if task is None:
                    dry = True
                    break
                self._begin(task)
                try:
                    running[pool.submit(copier.copy_chunk, task)] = task
                except BrokenProcessPool as broken:  # a worker died since the last look
                    again.append(task)
                    problem = broken
            if not running:
                break
            finished, _ = concurrent.futures.wait(running, timeout=0.2, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in finished:
                task = running.pop(future)
                error = future.exception() if not future.cancelled() else None
                if isinstance(error, BrokenProcessPool) or future.cancelled():
                    again.append(task)
                    problem = problem or (error if not stopping else None)
                elif error is not None:
                    problem = problem if problem and not isinstance(problem, BrokenProcessPool) else error
                else:
                    self._account(future.result(), target)
            if self.whole and time.monotonic() - self.whole_since > DONE_WITHIN:
                self._tell_done(target)
            if time.monotonic() - told > 0.3:
                told = time.monotonic()
                self.watch.progress(self.tallies)
            if (problem or self.watch.stop()) and not stopping:
                stopping = True
                for future in running:
                    future.cancel()
        self._tell_done(target)
        self.watch.progress(self.tallies)
        if problem:
            raise problem
        if stopping:
            raise errors.Paused("stopped at a chunk boundary")

    def _begin(self, task: copier.ChunkTask) -> None:
        tally = self.tallies[task.chunk.table]
        tally.begun = True
        if task.chunk.table not in self.told_begun:
            group = self.groups[task.chunk.table]
            self.told_begun |= {job.table for job in group}
            self.watch.begun(group)

    def _account(self, result: copier.ChunkResult, target: base.Session) -> None:
        tally = self.tallies[result.table]
        if result.applied_before:
            found = [
                a for a in self.book.applied(target, result.table)
                if a.number == result.number and a.attempt == self.jobs[result.table].attempt
            ]  # fmt: skip
            read, quarantined = (found[0].rows_read, found[0].rows_quarantined) if found else (0, 0)
        else:
            read, quarantined = result.rows_read, result.rows_quarantined
        tally.chunks_done += 1
        tally.rows_read += read
        tally.rows_quarantined += quarantined
        if tally.complete:
            self._finish(result.table)
        if len(self.whole) >= TOGETHER:
            self._tell_done(target)

    def _finish(self, table: str) -> None:
        if table not in self.finished:
            self.finished.add(table)
            self.whole_since = self.whole_since if self.whole else time.monotonic()
            self.whole.append(table)

    def _tell_done(self, target: base.Session) -> None:
        """Journal the tables that are whole in the target; where this is not reached, a resume finds them so."""
        if not self.whole:
            return
        tables, self.whole = self.whole, []
        digests = {table: hashlib.blake2b(digest_size=16) for table in tables}
        with sides.told("target", self.crew.target.name):
            for a in self.book.applied(target, *tables):
                if a.number != ledger.AFTER_LOAD and a.attempt == self.jobs[a.table].attempt:
                    digests[a.table].update(f"{a.number} {a.rows_read} {a.checksum}\n".encode())
        self.watch.done({table: (self.tallies[table], digests[table].hexdigest()) for table in tables})
