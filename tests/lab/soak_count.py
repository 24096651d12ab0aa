#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The MTA's own count, without the watchdog's code, against the watchdog's.

    soak_count.py MODE LOG LOST TAKEN REFUSED STATUS LIST SHOWN SAMPLES

MODE: act (what was lost was mailed again) or observe. LOG: all that Postfix logged. LOST: queue ids whose file was removed,
each with the time. TAKEN, REFUSED: of receiver.py. STATUS, LIST: what `mailq-watchdog status --json` and `list --json`
say at the end. SHOWN: `show --json` of each id in LOST. SAMPLES: of soak_sample.py. Prints "ok"/"not ok" lines, then the figures.
"""
import json
import re
import sys
from collections import Counter
from datetime import datetime

PROGRAM = re.compile(r"^(\S+) \S+ postfix[^\s\[:]*/([\w-]+)\[\d+\]: ")
WITH_ID = re.compile(r"([0-9A-F]{6,}|[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-z]{10,}): (.*)", re.S)
ATTEMPT = re.compile(r"to=<([^>]*)>, .*?, dsn=[\d.]+, status=(\w+) ")


class Message:
    def __init__(self, ident):
        self.id = ident
        self.queued = self.removed = self.requeued = False
        self.recipients = {}
        self.last = ""
        self.successor = None


class Mail:
    """Every life of every queue id."""

    def __init__(self, path):
        self.lines = 0
        self.lives = {}  # id -> its lives, the newest last
        self.statuses = Counter()
        self.first = self.latest = None  # when mail came in
        with open(path, encoding="latin-1") as f:
            for line in f:
                self.read(line.rstrip("\n"))

    def newest(self, ident):
        return self.lives.setdefault(ident, [Message(ident)])[-1]

    def read(self, line):
        found = PROGRAM.match(line)
        if not found:
            return
        self.lines += 1
        time, program = found.groups()
        body = WITH_ID.fullmatch(line[found.end():])
        if not body:
            return
        ident, text = body.groups()
        # The only lines with which a life begins.
        if program == "smtpd" and text.startswith("client="):
            self.first, self.latest = self.first or time, time
        if (program == "smtpd" and text.startswith("client=")) or (program == "pickup" and text.startswith("uid=")):
            if ident in self.lives:
                self.lives[ident].append(Message(ident))
        elif program == "cleanup" and ident in self.lives and self.newest(ident).removed:
            self.lives[ident].append(Message(ident))
        m = self.newest(ident)
        m.last = time
        if program == "pickup" and " orig_id=" in text:
            former = text.partition(" orig_id=")[2].split()[0]
            for old in self.lives.get(former, ()):
                old.successor = ident
        if program == "qmgr" and text == "removed":
            m.removed = True
        elif program == "qmgr" and "(queue active)" in text:
            m.queued = True
        attempt = ATTEMPT.match(text)
        if attempt:
            m.recipients[attempt.group(1)] = attempt.group(2)
            self.statuses[attempt.group(2)] += 1

    def messages(self):
        return [m for lives in self.lives.values() for m in lives if m.queued]


failed = passed = 0


def check(name, good, detail=""):
    global failed, passed
    passed, failed = passed + bool(good), failed + (not good)
    print(("ok - " if good else "not ok - ") + name + ("" if good or not detail else ": " + detail))


def equal(name, seen, wanted):
    check("%s: %s" % (name, wanted), seen == wanted, "the watchdog has %s" % (seen,))


def sample(of, many=5):
    return ", ".join(map(str, list(of)[:many])) + (" ..." if len(of) > many else "")


def read_lines(path):
    with open(path, encoding="latin-1") as f:
        return f.read().splitlines()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


mode, log, lost_path, taken_path, refused_path, status_path, list_path, shown_path, samples_path = sys.argv[1:]
mail = Mail(log)
taken = Counter(line.split()[0] for line in read_lines(taken_path))
refused = set(read_lines(refused_path))
lost_ids = [line.split()[0] for line in read_lines(lost_path)]
with open(status_path) as f:
    instance = json.load(f)["instances"][0]
with open(list_path) as f:
    found = [(m["queue_id"], m["recipient"], m["verdict"], m["confidence"]) for m in json.load(f)["messages"]]
totals = instance["totals"]
messages = mail.messages()
ends = Counter(s for m in messages for s in m.recipients.values())

# The MTA against itself: what it says it sent is what was taken, or the rest proves nothing.
sent = Counter(r for m in messages for r, s in m.recipients.items() if s == "sent")
bounced = {r for m in messages for r, s in m.recipients.items() if s == "bounced"}
check("the log of the MTA and the receiver agree on what was delivered", sent == taken,
      "only in the log: %s; only at the receiver: %s" % (sample(sent - taken), sample(taken - sent)))
check("the log of the MTA and the receiver agree on what was refused", bounced == refused,
      sample(bounced ^ refused))
again = {r: n for r, n in taken.items() if n > 1 and not r.endswith("@example.com")}
check("no recipient got its mail twice", not again, sample(again.items()))

# What was removed behind the MTA's back: of these ids the recipients that were waiting.
lost = set()
for ident in lost_ids:
    for m in mail.lives.get(ident, ()):
        if not m.removed:
            lost |= {(ident, r) for r, s in m.recipients.items() if s == "deferred"}
open_ones = {(m.id, r) for m in messages if not m.removed for r, s in m.recipients.items() if s == "deferred"}
check("all that is neither delivered nor refused was removed on purpose", open_ones == lost, sample(open_ones ^ lost))
check("something was lost", lost)

wanted = Counter(delivered=ends["sent"], bounced=ends["bounced"])
wanted["relocated" if mode == "act" else "vanished"] = len(lost)
equal("messages", totals["messages"], len(messages))
equal("recipients", totals["recipients"], sum(wanted.values()))
for verdict in sorted(set(totals["verdicts"]) | set(wanted)):
    if totals["verdicts"].get(verdict) or wanted[verdict]:
        equal(verdict, totals["verdicts"].get(verdict), wanted[verdict])
if totals["lines"] and not log.endswith(".journal"):
    equal("lines", totals["lines"], mail.lines)
equal("lines not understood", totals["unparsed"], 0)
in_trouble = {(i, r) for i, r, v, c in found if v == "vanished" and c == "certain"}
actions = {a["id"]: a for line in read_lines(shown_path) for a in json.loads(line).get("actions", [])}
states = Counter(a["state"] for a in actions.values())
unclear = [(a["queue_id"], a["state"], a["detail"]) for a in actions.values() if a["state"] not in ("done", "observed")]
check("of every action it is known what became of it: %s" % dict(states), not unclear, sample(unclear))
if mode == "act":
    check("there was one for each message that was lost",
          Counter(a["queue_id"] for a in actions.values()) == Counter(set(i for i, r in lost)))
    check("nothing is in trouble any more", not found, sample(found))
else:
    check("what was lost was found, nothing else", in_trouble == lost and len(found) == len(lost),
          "missing %s, too many %s" % (sample(lost - in_trouble), sample(in_trouble - lost)))

samples = [json.loads(line) for line in read_lines(samples_path)]
cpu = {}
for s in samples:
    if s["pid"]:
        cpu[s["pid"]] = max(cpu.get(s["pid"], 0), s["cpu"])
span = samples[-1]["t"] if samples else 0
flow = (datetime.fromisoformat(mail.latest) - datetime.fromisoformat(mail.first)).total_seconds()
lags = [s["lag"] for s in samples if s["lag"] is not None]
print("figures: MTA: %d messages, %d recipients, %d lines of log, %d tries: %s" % (
    len(messages), sum(ends.values()), mail.lines, sum(mail.statuses.values()),
    ", ".join("%d %s" % (n, s) for s, n in sorted(mail.statuses.items()))))
print("figures: mail came in for %.0f s: %.1f messages/s, %.1f recipients/s, %.0f lines/s" % (
    flow, len(messages) / flow, sum(ends.values()) / flow, mail.lines / flow))
if span:
    print("figures: daemon: %d processes, %.1f s of CPU = %.1f %% of one core, at most %.1f MiB resident" % (
        len(cpu), sum(cpu.values()), 100 * sum(cpu.values()) / span, max(s["rss"] for s in samples) / 1024))
if lags:
    print("figures: line written to line read: median %.0f ms, p95 %.0f ms, p99 %.0f ms, worst %.0f ms of %d samples" % (
        *(1000 * percentile(lags, p) for p in (.5, .95, .99, 1)), len(lags)))
    print("figures: %d of %d samples found it down or behind by more than 10 s" % (len(samples) - len(lags), len(samples)))
for s in samples[::max(1, len(samples) // 12)]:
    t = s["totals"] or {}
    print("figures: at %5.0f s: ledger %6.2f MiB, resident %5.1f MiB, %s messages" % (
        s["t"], s["ledger"] / 1048576, s["rss"] / 1024, t.get("messages", "-")))
print("%d passed, %d failed" % (passed, failed))
sys.exit(failed != 0)
