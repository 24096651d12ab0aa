#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Times a scan against what else reads such logs, on the same file, in turns.

Usage: bench.py PROGRAM GENERATE PEERS [--lines N] [--rounds N] [--only postfix|exim] [--own]

PEERS: the folder that `make deps-bench` fills; what is not in it is left out, and said. A scan's
verdicts are compared with the truth first: when one is missing or too many, its time is worth nothing
and the exit status is 1. The ratios are of pairs of runs next to each other: how many times as long
the other took, the least of all rounds and the median; by the clock, and by the time of all
processors (user and system), which a busy neighbour does not blur as much. Memory is the peak; what
is below that of this harness shows as the harness's.
"""
import argparse, collections, glob, json, os, platform, resource, shutil, statistics, subprocess, sys, tempfile, time

GREP = {"postfix": r": to=<[^>]*>.* status=(sent|deferred|bounced)", "exim": r" (=>|->|==|\*\*) "}
Run = collections.namedtuple("Run", "elapsed cpu memory")


def run(command, env, cwd):
    """How long it took; None when it failed: nobody knows what it would have taken then."""
    # Into a file: grep ends at the first match when it sees that nobody reads what it says.
    with open(os.path.join(cwd, "output"), "w") as output:
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL,
                                 env=dict(os.environ, TZ="UTC", **env), cwd=cwd)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    elapsed = time.monotonic() - begin
    # A scan that finds trouble says 1, and so does grep that finds nothing.
    return Run(elapsed, used.ru_utime + used.ru_stime, used.ru_maxrss) if child.returncode in (0, 1) else None


def read_truth(path):
    trouble, totals = collections.Counter(), {}
    with open(path) as f:
        for line in f:
            word, rest = line.rstrip("\n").split(" ", 1)
            if word == "trouble":
                trouble[rest] += 1
            else:
                verdict, count = rest.split()
                totals[verdict] = int(count)
    return trouble, totals


def check(command, truth):
    """Every trouble found and none more, and each verdict as often as it should be; prints what differs."""
    trouble, totals = truth
    found, summary = collections.Counter(), {}
    child = subprocess.Popen(command + ["--format", "json"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                             env=dict(os.environ, TZ="UTC"))
    for line in child.stdout:
        row = json.loads(line)
        if row["type"] == "verdict":
            found["%s %s %s" % (row["verdict"], row["queue_id"], row["recipient"])] += 1
        elif row["type"] == "summary":
            summary = row
    child.wait()
    said = {v: n for v, n in summary.get("verdicts", {}).items() if n}
    wrong = list((trouble - found).items())[:5], list((found - trouble).items())[:5]
    if wrong[0] or wrong[1] or said != totals or summary.get("gaps") or summary.get("unparsed"):
        print("WRONG: %s\n  missing %s\n  too many %s\n  counted %s, true %s" % (
            " ".join(command), wrong[0], wrong[1], said, totals))
        return None
    return summary


def old_stamps(log, peers):
    """The log with stamps as "Oct  1 00:00:00", beside it; and logwatch's script under the name by which it runs alone."""
    script = peers + "/usr/share/logwatch/scripts/services/postfix"
    if os.path.exists(script):
        shutil.copy(script, peers + "/postfix-logwatch")
        with open(log + ".old", "w") as f:
            subprocess.run(["sed", "-E", r"s/^2026-10-0(.)T/Oct  \1 /; s/^2026-10-(..)T/Oct \1 /; s/\.[0-9]{6}\+00:00//", log],
                           stdout=f, check=True)
    return log + ".old"


def peers_of(form, log, args):
    """(name, command, environment) of each."""
    peers = args.peers
    usr = os.path.join(peers, "usr")
    arch = platform.machine() + "-linux-gnu"
    perl = {"PERL5LIB": ":".join([usr + "/share/perl5"] + glob.glob(usr + "/lib/" + arch + "/perl5/*"))}
    rows = [("grep -c ''", ["grep", "-c", "", log], {"LC_ALL": "C"}),
            ("grep -cE deliveries", ["grep", "-cE", GREP[form], log], {"LC_ALL": "C"})]
    if args.own:
        return rows
    if form == "postfix":
        rows += [("pflogsumm", ["perl", usr + "/sbin/pflogsumm", log], perl),
                 # As it is run alone; the only one that knows no other stamps than those of old.
                 ("logwatch", ["perl", peers + "/postfix-logwatch", old_stamps(log, peers)], perl),
                 ("mtail", [usr + "/bin/mtail", "-one_shot", "-port", "0", "-progs",
                            usr + "/share/doc/mtail/examples/postfix.mtail", "-logs", log], {}),
                 ("fail2ban-regex", ["python3", usr + "/bin/fail2ban-regex", log,
                                     peers + "/etc/fail2ban/filter.d/postfix.conf"],
                  {"PYTHONPATH": usr + "/lib/python3/dist-packages"})]
    else:
        rows += [("exigrep, an address", ["perl", usr + "/sbin/exigrep", r"a123456@dest4\.example", log], perl),
                 ("exigrep, everything", ["perl", usr + "/sbin/exigrep", ".", log], perl),
                 ("eximstats", ["perl", usr + "/sbin/eximstats", log], perl)]
    return rows


def row(name, ours, theirs):
    """One line of the table: how many times as long they took as we did, pair by pair."""
    clock = [t.elapsed / o.elapsed for o, t in zip(ours, theirs)]
    cpu = [t.cpu / o.cpu for o, t in zip(ours, theirs)]
    print("| %-22s | %8.3f | %8.3f | %6.1f | %8.2f | %8.2f | %8.2f | %8.2f |" % (
        name, min(t.elapsed for t in theirs), min(t.cpu for t in theirs), max(t.memory for t in theirs) / 1024,
        min(clock), statistics.median(clock), min(cpu), statistics.median(cpu)))


def measure(form, args, work):
    log, truth = os.path.join(work, form + ".log"), os.path.join(work, form + ".truth")
    subprocess.run([args.generate, form, str(args.lines), log, truth, "1", str(args.hours)], check=True)
    scan = [args.program, "scan", "--mta", form, "--no-progress", log]
    wanted = read_truth(truth)
    summary = check(scan + ["--jobs", "1"], wanted) and check(scan + ["--jobs", "2"], wanted)
    if not summary:
        return False
    lines, size = summary["lines"], os.path.getsize(log)
    print("\n### %s: %d lines, %.0f MB, %d messages, %d recipients, in trouble %d: all found, none more\n" % (
        form, lines, size / 1e6, summary["messages"], summary["recipients"], sum(wanted[0].values())))
    commands = [("scan --jobs 1", scan + ["--jobs", "1"], {}), ("scan --jobs 2", scan + ["--jobs", "2"], {})]
    for name, command, env in peers_of(form, log, args):
        program = next(a for a in command if a == "grep" or a.startswith("/"))
        if shutil.which(program) or os.path.exists(program):
            commands.append((name, command, env))
        else:
            print("not here: %s (make deps-bench)" % name)
    runs = {name: [] for name, _, _ in commands}
    for _ in range(args.rounds):
        for name, command, env in commands:
            # The slow ones make a round long; a pair has its own run of the scan beside it.
            r = run(command, env, work)
            if r is None:
                print("failed: %s" % " ".join(command))
                runs.pop(name, None)
                commands = [c for c in commands if c[0] != name]
                continue
            runs[name].append(r)
    ours = runs["scan --jobs 1"]
    print("| what | seconds, best | of processors | MiB | x clock, least | median | x cpu, least | median |")
    print("|---|---|---|---|---|---|---|---|")
    for name, _, _ in commands:
        row(name, ours, runs[name])
    best = min(r.elapsed for r in ours)
    print("\nscan --jobs 1: %.2f million lines a second, %.0f MB/s; --jobs 2 is %.2f times as fast (median of pairs)" % (
        lines / best / 1e6, size / best / 1e6,
        statistics.median(o.elapsed / t.elapsed for o, t in zip(ours, runs["scan --jobs 2"]))))
    for path in glob.glob(log + "*"):
        os.unlink(path)
    return True


def say_machine(args):
    cpu = next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
    print("%s, %d processors, Linux %s, load %.1f; %s" % (
        cpu, os.cpu_count(), platform.release(), os.getloadavg()[0],
        subprocess.run([args.program, "--version"], capture_output=True, text=True).stdout.strip()))
    debs = sorted(os.listdir(os.path.join(args.peers, "debs"))) if os.path.isdir(os.path.join(args.peers, "debs")) else []
    print("grep %s; %s" % (subprocess.run(["grep", "--version"], capture_output=True, text=True).stdout.split()[3],
                           ", ".join(d.rsplit("_", 1)[0].replace("_", " ").replace("%3a", ":") for d in debs)))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("generate")
    p.add_argument("peers")
    p.add_argument("--lines", type=int, default=1000000)
    p.add_argument("--hours", type=int, default=240)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--only", choices=("postfix", "exim"))
    p.add_argument("--own", action="store_true", help="without peers but grep")
    args = p.parse_args()
    args.program, args.generate, args.peers = map(os.path.abspath, (args.program, args.generate, args.peers))
    say_machine(args)
    work = tempfile.mkdtemp(prefix="mqw-bench-", dir="/var/tmp")
    try:
        good = [measure(form, args, work) for form in ([args.only] if args.only else ["postfix", "exim"])]
    finally:
        shutil.rmtree(work)
    sys.exit(0 if all(good) else 1)


main()
