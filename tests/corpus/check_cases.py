#!/usr/bin/env python3
"""Runs `mailq-watchdog scan` on labelled logs and compares the verdicts.

usage: check_cases.py PROGRAM DIRECTORY [MTA...]

Each is scanned with one thread and with two, which have to print the same.
A case is a folder DIRECTORY/MTA/NAME with its log files and expect.tsv: queue id, recipient and
verdict between tabs. A verdict is a word of the interface, `quiet` (no trouble), `trouble` (any),
or several with | between. Trouble that expect.tsv does not name is a false alarm. A file `args`
holds further options. Last line: "cases: N passed, N failed".
"""
import json
import os
import subprocess
import sys

TROUBLE = {"vanished", "false_ndr", "overdue", "lost_downstream"}


def fits(want, got):
    return any((w == "quiet" and got not in TROUBLE) or (w == "trouble" and got in TROUBLE)
               or w == got for w in want.split("|"))


def read_expected(folder):
    with open(os.path.join(folder, "expect.tsv"), encoding="utf-8") as f:
        return [line.rstrip("\n").split("\t") for line in f if line.strip() and line[0] != "#"]


def run_scan(program, mta, folder, jobs):
    args_path = os.path.join(folder, "args")
    args = open(args_path, encoding="utf-8").read().split() if os.path.exists(args_path) else []
    logs = sorted(os.path.join(folder, f) for f in os.listdir(folder)
                  if f not in ("expect.tsv", "args", "README"))
    return subprocess.run([program, "scan", "--mta", mta, "--format", "json", "--all",
                           "--jobs", str(jobs), "--no-progress", *args, *logs], capture_output=True, timeout=60)


def faults_of(program, mta, folder):
    wanted = read_expected(folder)
    done, two = (run_scan(program, mta, folder, jobs) for jobs in (1, 2))
    faults, got = [], {}
    if (two.returncode, two.stdout, two.stderr) != (done.returncode, done.stdout, done.stderr):
        faults.append(f"two threads print something else: {two.stderr[:200]!r}")
    for line in done.stdout.splitlines():
        o = json.loads(line)
        if o["type"] == "verdict":
            got[(o["queue_id"], (o["recipient"] or "").lower())] = o["verdict"]
    for queue_id, recipient, verdict in wanted:
        was = got.get((queue_id, recipient.lower()))
        if not fits(verdict, was):
            faults.append(f"{queue_id} {recipient}: want {verdict}, got {was}")
    known = {(q, r.lower()) for q, r, _ in wanted}
    faults += [f"{k[0]} {k[1]}: false alarm {v}" for k, v in got.items()
               if v in TROUBLE and k not in known]
    status = 1 if any(v in TROUBLE for v in got.values()) else 0
    if done.returncode != status:
        faults.append(f"exit status {done.returncode}, want {status}: {done.stderr[:200]!r}")
    return faults


def main():
    program, root, only = os.path.abspath(sys.argv[1]), sys.argv[2], set(sys.argv[3:])
    passed = failed = 0
    for mta in sorted(os.listdir(root)):
        if not os.path.isdir(os.path.join(root, mta)) or (only and mta not in only):
            continue
        for name in sorted(os.listdir(os.path.join(root, mta))):
            folder = os.path.join(root, mta, name)
            if not os.path.exists(os.path.join(folder, "expect.tsv")):
                continue
            faults = faults_of(program, mta, folder)
            passed, failed = passed + (not faults), failed + bool(faults)
            for fault in faults:
                print(f"FAILED {mta}/{name}: {fault}")
    print(f"cases: {passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
