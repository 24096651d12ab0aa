#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the running daemon costs and how far it is behind, once a second, until the file STOP is there.

    soak_sample.py ROOT LOG STATE STOP OUT

ROOT: the machine's root as its own processes see it; LOG, STATE: a file with all lines of the log from the daemon's first on
("" for the journal), and the daemon's state directory, as the host sees them. OUT gets a line for each sample, as JSON:
  t        seconds since the beginning
  pid      of the daemon, in its machine
  cpu      seconds that this process has used
  rss      kilobytes
  ledger   bytes of the ledger and of its journal
  lag      seconds until the daemon had read all that was written then; null: it was down or took longer than 10
  totals   its own
"""
import json
import os
import re
import socket
import sys
import time

LAG_MAX = 10


def ask(path):
    """The daemon's status; None while there is none."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(2)
    try:
        s.connect(path)
        s.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
        answer = b""
        while True:
            piece = s.recv(1 << 16)
            if not piece:
                break
            answer += piece
        return json.loads(answer.partition(b"\r\n\r\n")[2])
    except (OSError, ValueError):
        return None
    finally:
        s.close()


class Written:
    """How many lines have been written, by the file that is never touched."""

    def __init__(self, path):
        self.file = open(path, "rb") if path else None
        self.count = 0

    def lines(self):
        while self.file:
            piece = self.file.read(1 << 20)
            if not piece:
                break
            self.count += piece.count(b"\n")
        return self.count if self.file else None


def lag(socket_path, written):
    """Waits until the daemon has read all that is written now."""
    lines, began, status = written.lines(), time.time(), None
    while time.time() < began + LAG_MAX:
        status = ask(socket_path)
        if status is None or lines is None:
            return None, status
        if status["instances"][0]["totals"]["lines"] >= lines:
            return time.time() - began, status
        time.sleep(0.005)
    return None, status


def process():
    """CPU seconds and kilobytes of the daemon, of this machine: the parent's comm is looked for below ROOT."""
    for pid in filter(str.isdigit, os.listdir(os.path.join(root, "proc"))):
        try:
            with open(os.path.join(root, "proc", pid, "stat")) as f:
                text = f.read()
            if "(mailq-watchdogd)" not in text and "(mailq-watchdog)" not in text:
                continue
            with open(os.path.join(root, "proc", pid, "cmdline")) as f:
                if not f.read().startswith("/usr/sbin/mailq-watchdogd"):
                    continue
            fields = text.rpartition(")")[2].split()
            with open(os.path.join(root, "proc", pid, "status")) as f:
                rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
            ticks = int(fields[11]) + int(fields[12])
            return int(pid), ticks / os.sysconf("SC_CLK_TCK"), rss
        except (OSError, AttributeError):
            continue
    return None, 0, 0


def size(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


root, log, state, stop, out = sys.argv[1:]
written = Written(log)
begin = time.time()
with open(out, "w") as f:
    while not os.path.exists(stop):
        started = time.time()
        behind, status = lag(os.path.join(root, "run/mailq-watchdog/control.sock"), written)
        pid, cpu, rss = process()
        json.dump({"t": round(time.time() - begin, 2), "pid": pid, "cpu": cpu, "rss": rss, "lag": behind,
                   "ledger": size(os.path.join(state, "ledger.db")) + size(os.path.join(state, "ledger.db-wal")),
                   "totals": status["instances"][0]["totals"] if status else None}, f)
        f.write("\n")
        f.flush()
        time.sleep(max(0.1, 1 - (time.time() - started)))
