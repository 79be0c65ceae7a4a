"""When the holder of a lease counts as gone."""

from __future__ import annotations

import os
import subprocess
import sys

from sensei import journal
from sensei.journal import lease


def test_this_process_is_not_gone() -> None:
    assert not lease.process_gone(journal.current_holder())


def test_a_number_that_a_later_process_got_is_not_the_holder() -> None:
    me = journal.current_holder()
    earlier = journal.Holder(me.token, me.host, me.pid, me.pid_started + "0", me.command)
    assert lease.process_gone(earlier)


def test_a_process_that_ended_but_was_not_waited_for_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = lease.process_started(child.pid)
    assert started is not None
    holder = journal.Holder("t", journal.current_holder().host, child.pid, started, "")
    assert not lease.process_gone(holder)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, its entry still there
    assert lease.process_gone(holder)
    child.communicate()
    assert lease.process_gone(holder)


def test_only_heartbeats_tell_about_another_host_boot_or_container() -> None:
    me = journal.current_holder()
    assert not lease.process_gone(journal.Holder("t", "other-host", 2**22 + 1, me.pid_started, ""))
    assert not lease.process_gone(journal.Holder("t", me.host, 2**22 + 1, "other-boot:1/5", ""))
    assert not lease.process_gone(journal.Holder("t", me.host, 2**22 + 1, "", ""))


def test_every_holder_has_a_token_of_its_own() -> None:
    assert journal.current_holder().token != journal.current_holder().token
