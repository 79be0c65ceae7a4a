"""The lease: one process holds a migration, proven by heartbeats and fenced by a number that only grows."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sensei import errors
from sensei.journal import actors, database, events


@dataclass(frozen=True)
class Holder:
    """The process that holds, or wants to hold, a migration."""

    token: str  #: secret to the process, new for each run
    host: str
    pid: int
    pid_started: str  #: from `process_started`: tells a process from a later one of the same number
    command: str


@dataclass(frozen=True)
class Lease:
    """A lease just taken."""

    epoch: int  #: 1, 2, 3… within its migration; never used twice, whoever holds a lower one must stop


@dataclass(frozen=True)
class LeaseInfo:
    """What is known about the last lease of a migration."""

    epoch: int
    holder: Holder  #: its token is empty: only the holder knows it
    taken_at: datetime
    heartbeat_at: datetime
    ttl: float  #: seconds without a heartbeat after which the lease is dead
    released: bool
    alive: bool


def current_holder(command: str | None = None) -> Holder:
    """Return a holder for this process, with a token of its own."""
    actor = actors.current_actor(command)
    pid = os.getpid()
    return Holder(secrets.token_hex(16), actor.host, pid, process_started(pid) or "", actor.command)


def process_started(pid: int) -> str | None:
    """Return what tells a process from any other of its number, or None where there is no such process.

    The text is ``world/start``; starts compare only within one world (a boot and a container of a host).
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        if fields[0] in ("Z", "X"):  # dead, only not yet waited for
            return None
        return f"{_linux_world()}/{fields[19]}"
    shown = subprocess.run(  # macOS has no /proc
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return f"ps/{shown}" if shown else None


def _linux_world() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{os.stat('/proc/self/ns/pid').st_ino}"  # noqa: PTH116 - Path would resolve the link's text
    except OSError:
        return "linux"


def process_gone(holder: Holder) -> bool:
    """Tell whether a holder is certainly dead: it ran in this host, boot and container and runs no more."""
    if holder.host != socket.gethostname():
        return False
    world, _, _ = holder.pid_started.rpartition("/")
    own, _, _ = (process_started(os.getpid()) or "").rpartition("/")
    if not world or world != own:
        return False  # another machine or container of the same name: only its heartbeats can tell
    return process_started(holder.pid) != holder.pid_started


_COLUMNS = "epoch, token, host, pid, pid_started, command, taken_at, heartbeat_at, ttl"


def take(tx: database.Tx, migration: str, holder: Holder, ttl: float) -> tuple[Lease, LeaseInfo | None]:
    """Take the lease inside the caller's transaction; return it and the dead lease that it took over, if any.

    The caller holds the chain's head locked, so that two takers wait for each other. Raises LeaseHeld.
    """
    before = info(tx, migration)
    if before is not None and before.alive:
        held = before.holder
        raise errors.LeaseHeld(
            f"{migration} is held by process {held.pid} on {held.host} since "
            f"{before.taken_at:%Y-%m-%d %H:%M:%S} UTC ({held.command})",
            hint=f"pause it from here with: sensei migrations pause {migration}",
            host=held.host,
            pid=held.pid,
            since=events.to_text(before.taken_at),
        )
    now = events.to_text(tx.now())
    epoch = 1 if before is None else before.epoch + 1
    values = (
        epoch,
        events.digest(holder.token),
        holder.host,
        holder.pid,
        holder.pid_started,
        holder.command,
        now,
        now,
        ttl,
    )
    if before is None:
        tx.run(
            f"INSERT INTO leases ({_COLUMNS}, migration_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, migration),
        )
    else:
        assignments = ", ".join(f"{column} = ?" for column in _COLUMNS.split(", "))
        tx.run(f"UPDATE leases SET {assignments} WHERE migration_id = ?", (*values, migration))
    return Lease(epoch), before if before is not None and not before.released else None


def continue_from(tx: database.Tx, migration: str, epoch: int, holder: Holder) -> None:
    """Let the first lease of a migration be above the epochs that another store has given out for it."""
    now = events.to_text(tx.now())
    tx.run(
        f"INSERT INTO leases ({_COLUMNS}, migration_id) VALUES (?, NULL, ?, ?, ?, ?, ?, ?, 0, ?)"
        " ON CONFLICT (migration_id) DO NOTHING",
        (max(epoch, 1), holder.host, holder.pid, holder.pid_started, holder.command, now, now, migration),
    )


def heartbeat(tx: database.Tx, migration: str, token: str) -> bool:
    """Show that the holder lives; False when the token no longer holds the lease."""
    return (
        tx.run(
            "UPDATE leases SET heartbeat_at = ? WHERE migration_id = ? AND token = ?",
            (events.to_text(tx.now()), migration, events.digest(token)),
        )
        == 1
    )


def release(tx: database.Tx, migration: str, token: str) -> bool:
    """Give the lease back; False when the token did not hold it. The epoch stays used."""
    return (
        tx.run(
            "UPDATE leases SET token = NULL WHERE migration_id = ? AND token = ?",
            (migration, events.digest(token)),
        )
        == 1
    )


def info(tx: database.Tx, migration: str) -> LeaseInfo | None:
    """Return the last lease of a migration, or None if there never was one."""
    row = tx.one(f"SELECT {_COLUMNS} FROM leases WHERE migration_id = ?", (migration,))
    if row is None:
        return None
    epoch, token, host, pid, pid_started, command, taken_at, heartbeat_at, ttl = row
    holder = Holder("", host, pid, pid_started, command)
    beat = events.from_text(heartbeat_at)
    fresh = tx.now() - beat <= timedelta(seconds=ttl)
    return LeaseInfo(
        epoch,
        holder,
        events.from_text(taken_at),
        beat,
        ttl,
        released=token is None,
        alive=token is not None and fresh and not process_gone(holder),
    )


def fence(tx: database.Tx, migration: str, epoch: int) -> None:
    """Raise TakenOver where somebody took the lease after the holder of this epoch."""
    row = tx.one("SELECT epoch, host, pid FROM leases WHERE migration_id = ?", (migration,))
    if row is not None and row[0] != epoch:
        raise errors.TakenOver(
            f"{migration} was taken over by process {row[2]} on {row[1]}; this process stops",
            hint=f"sensei migrations status {migration}",
            epoch=epoch,
            taken_by=row[0],
        )
