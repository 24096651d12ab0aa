#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures the daemon beside a log that is being written: the live budgets.

Usage: live.py DAEMON GENERATE WORK rate|burst|latency|idle|start [--NAME VALUE]...

  rate     --rate lines a second (200000) for --seconds (60): how far behind it gets, its share of one
           processor, and whether its verdicts are those that the truth wants. Exit status 1 when they are not
  burst    as many lines at once: the rate at which it catches up, the highest that it can hold
  latency  --samples (500) of mail that is failed on a temporary answer, among --rate lines a second (5000):
           from the line's write to the request at the helper, which is the action
  idle     --seconds without a line or a change in the queue: what wakes it up
  start    --files (1000000) in Postfix's deferred queue: until it is ready, until all of them are known, the
           longest time for which the loop answered nobody; against `find QUEUE -type f`. Twice: with no
           ledger, where each file is read, and started again

The daemon has processor --daemon-cpu (0) to itself as far as this script can see to it, this script the other.
Run as root, it makes the daemon `nobody`. WORK is a folder for logs and ledgers, 4 GB, best on a disk.
"""
import argparse, http.client, json, mmap, os, re, resource, shutil, signal, socket, struct, subprocess, sys, threading, time

CONFIG = """version: 1
mode: act
state_directory: {state}
control_socket: {state}/control.sock
helper_socket: {work}/helper.sock
vault: {{keep: none}}
instances:
  - {{name: outbound, type: postfix, log: {work}/mail.log{queue}, lifetime: 5d}}
rules: {rules}
"""
AT_ONCE = "[{name: at once, when: {verdict: false_ndr}, do: [{requeue: {at_most: 10000 per 1h}}]}]"
TICKS = os.sysconf("SC_CLK_TCK")
FOUND = re.compile(rb"(\w+) \(\w+\): message (\S+) (?:from <[^>]*> )?to <([^>]*)>")
# What a false report is made of in generated logs.
DECISIVE = re.compile(rb": ([0-9A-F]+): (?:to=<[^>]*>.* dsn=5\.2\.0, status=bounced|from=<[^>]*>, status=expired)")


def share(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def say(what, value, unit=""):
    print("%-52s %12s %s" % (what, "%.3f" % value if isinstance(value, float) else value, unit), flush=True)


class Daemon:
    """A daemon that runs; its standard error is read, each line with the time at which it came."""

    def __init__(self, args, rules="[]", queue=None):
        self.state = os.path.join(args.work, "state")
        self.found, self.said, self.ready = [], [], None
        config = os.path.join(args.work, "watchdog.yaml")
        with open(config, "w") as f:
            f.write(CONFIG.format(state=self.state, work=args.work, rules=rules, queue=", queue: " + queue if queue else ""))
        notify = os.path.join(args.work, "notify.sock")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.exists(notify):
            os.unlink(notify)
        self.notify.bind(notify)
        os.chmod(notify, 0o666)
        self.begin = time.monotonic()
        self.child = subprocess.Popen(
            ["taskset", "-c", str(args.daemon_cpu), args.daemon, "--config", config, "--user", "nobody"],
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ, TZ="UTC", NOTIFY_SOCKET=notify))
        self.pid = self.child.pid
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=self.read, daemon=True).start()
        while not self.ready:
            if self.child.poll() is not None:
                time.sleep(0.2)
                sys.exit("the daemon ended: %s" % b"".join(self.said[-5:]).decode(errors="replace"))
            time.sleep(0.001)

    def listen(self):
        while True:
            word = self.notify.recv(4096)
            if word.startswith(b"READY=1") and not self.ready:
                self.ready = time.monotonic()

    def read(self):
        for line in self.child.stderr:
            now = time.monotonic()
            match = FOUND.search(line)
            if match:
                self.found.append((now, match.group(2), match.group(1), match.group(3)))
            else:
                self.said.append(line)

    def cpu(self):
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def waited(self):
        """Seconds for which it could have run and others had the processor: those are this machine's lag, not its own."""
        total = 0
        for thread in os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.pid, thread)) as f:
                total += int(f.read().split()[1])
        return total / 1e9

    def memory(self, name="VmHWM"):
        with open("/proc/%d/status" % self.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith(name)) / 1024

    def get(self, path):
        """The answer's status and body; it comes when the loop has time for it."""
        c = http.client.HTTPConnection("localhost")
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(os.path.join(self.state, "control.sock"))
        c.request("GET", path)
        answer = c.getresponse()
        body = answer.read()
        c.close()
        return answer.status, body

    def instance(self):
        return json.loads(self.get("/v1/status")[1])["instances"][0]

    def switches(self):
        """(voluntary, by force) of each thread."""
        result = {}
        for thread in os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/status" % (self.pid, thread)) as f:
                text = dict(line.split(":\t", 1) for line in f if ":\t" in line)
            result[thread] = (int(text["voluntary_ctxt_switches"]), int(text["nonvoluntary_ctxt_switches"]))
        return result

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        self.child.wait()


class Helper:
    """In place of the root helper: notes when it was asked for what, and says that it is done."""

    def __init__(self, work):
        path = os.path.join(work, "helper.sock")
        if os.path.exists(path):
            os.unlink(path)
        self.asked = {}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.socket.listen(4096)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.socket.accept()
            request = peer.recv(4096)
            self.asked.setdefault(request[80:144].rstrip(b"\0"), time.monotonic())
            magic, version, op = struct.unpack("=III", request[:12])
            peer.send(struct.pack("=IIII240s", magic, version, op, 0, b"done"))
            peer.close()


def prepare(args):
    """An empty WORK with an empty log."""
    for name in ("state", "mail.log"):
        path = os.path.join(args.work, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.path.exists(path) and os.unlink(path)
    os.makedirs(os.path.join(args.work, "state"))
    if os.geteuid() == 0:
        shutil.chown(os.path.join(args.work, "state"), "nobody")
    return open(os.path.join(args.work, "mail.log"), "ab", buffering=0)


class Lines:
    """A generated log of the last hour, and what is true of it."""

    def __init__(self, args, lines, per_chunk):
        path, truth = os.path.join(args.work, "source.log"), os.path.join(args.work, "source.truth")
        subprocess.run([args.generate, "postfix", str(lines), path, truth, "1", "1", str(args.open),
                        str(int(time.time()) - 3600)], check=True)
        self.trouble, self.totals = set(), {}
        with open(truth, "rb") as f:
            for line in f:
                words = line.split()
                if words[0] == b"trouble":
                    self.trouble.add(tuple(words[1:]))
                else:
                    self.totals[words[1].decode()] = int(words[2])
        self.file = open(path, "rb")
        self.map = mmap.mmap(self.file.fileno(), 0, prot=mmap.PROT_READ)
        os.unlink(path)
        self.ends, self.decisive, self.count, at = [], {}, 0, 0
        for line in iter(self.map.readline, b""):
            at += len(line)
            self.count += 1
            match = DECISIVE.search(line) if b"status=" in line else None
            if match:
                self.decisive[match.group(1)] = len(self.ends)
            if self.count % per_chunk == 0:
                self.ends.append(at)
        self.ends.append(at)
        self.view = memoryview(self.map)

    def chunk(self, n):
        return self.view[self.ends[n - 1] if n else 0:self.ends[n]]


def verdicts(daemon, lines):
    """Whether they are those of the truth; says what is not."""
    said = {(verdict, message, to) for _, message, verdict, to in daemon.found if verdict != b"longer"}
    totals = daemon.instance()["totals"]["verdicts"]
    counted = {v: n for v, n in totals.items() if n}
    missing, many = lines.trouble - said, said - lines.trouble
    wrong = {v: (counted.get(v, 0), n) for v, n in lines.totals.items() if v != "pending" and counted.get(v, 0) != n}
    say("recipients in trouble, said / true", "%d / %d" % (len(said), len(lines.trouble)))
    if missing or many or wrong:
        print("WRONG: missing %s, too many %s, counted and true %s" % (sorted(missing)[:3], sorted(many)[:3], wrong))
        return 1
    say("verdicts", "as the truth says")
    return 0


def wait_read(daemon, count):
    while daemon.instance()["totals"]["lines"] < count:
        time.sleep(0.05)


def wait_still(daemon, seconds=1.0):
    """Until it had nearly nothing to do for so long, waiting for its processor counted as work; when that began."""
    step = 0.1
    busy, since = daemon.cpu() + daemon.waited(), time.monotonic()
    while time.monotonic() - since < seconds:
        before = time.monotonic()
        time.sleep(step)
        now = daemon.cpu() + daemon.waited()
        if now - busy > 0.3 * (time.monotonic() - before):
            since = time.monotonic()
        busy = now
    return since


def rate(args):
    chunk_seconds = 0.01
    lines = Lines(args, args.rate * args.seconds, int(args.rate * chunk_seconds))
    log = prepare(args)
    daemon = Daemon(args)
    wait_still(daemon)
    times, late = [], 0.0
    cpu, waited, begin = daemon.cpu(), daemon.waited(), time.monotonic()
    for n in range(len(lines.ends)):
        due = begin + n * chunk_seconds
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        late = max(late, time.monotonic() - due)
        times.append(time.monotonic())
        log.write(lines.chunk(n))
    written, cpu_written, waited = time.monotonic(), daemon.cpu(), daemon.waited() - waited
    wait_still(daemon)
    over = max((found[0] for found in daemon.found), default=written)
    lags = [at - times[lines.decisive[m]] for at, m, verdict, _ in daemon.found if m in lines.decisive]
    say("lines", lines.count)
    say("written in", written - begin, "s, at most %.3f s behind" % late)
    say("a second", int(lines.count / (written - begin)))
    say("its share of one processor", (cpu_written - cpu) / (written - begin) * 100, "%")
    say("  a line", (cpu_written - cpu) / lines.count * 1e9, "ns")
    say("it waited for its processor", waited / (written - begin) * 100, "% of the time")
    say("lag, p50", share(lags, 0.5) * 1e3, "ms, of %d" % len(lags))
    say("lag, p99", share(lags, 0.99) * 1e3, "ms")
    say("lag, most", max(lags) * 1e3, "ms")
    half = [at - times[lines.decisive[m]] for at, m, _, _ in daemon.found if m in lines.decisive and
            lines.decisive[m] > len(times) / 2]
    say("lag, most in the second half", max(half) * 1e3, "ms")
    say("the last verdict after the last line", (over - written) * 1e3, "ms")
    say("memory at the most", daemon.memory(), "MiB")
    result = verdicts(daemon, lines)
    daemon.end()
    return result


def burst(args):
    lines = Lines(args, args.rate * args.seconds, 1000000)
    log = prepare(args)
    daemon = Daemon(args)
    wait_still(daemon)
    os.kill(daemon.pid, signal.SIGSTOP)
    for n in range(len(lines.ends)):
        log.write(lines.chunk(n))
    cpu, begin = daemon.cpu(), time.monotonic()
    os.kill(daemon.pid, signal.SIGCONT)
    taken = wait_still(daemon) - begin
    cpu = daemon.cpu() - cpu
    say("lines", lines.count)
    say("read in", taken, "s, %.3f s of a processor" % cpu)
    say("a second", int(lines.count / taken))
    say("a second of its processor", int(lines.count / cpu))
    result = verdicts(daemon, lines)
    daemon.end()
    return result


def sample(n):
    """What is failed on a temporary answer."""
    name = b"%05X%X" % (n, 0xF0000000 + n)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()).encode() + b".%06d+00:00 mx1 postfix/" % (time.time() % 1 * 1e6)
    return name, b"".join(stamp + line for line in (
        b"smtpd[20001]: " + name + b": client=client.example.net[198.51.100.7]\n",
        b"cleanup[20002]: " + name + b": message-id=<sample-%d@example.net>\n" % n,
        b"qmgr[1539]: " + name + b": from=<sample@example.net>, size=1000, nrcpt=1 (queue active)\n",
        b"smtp[20003]: " + name + b": to=<b@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.2, delays=0.1/0/0.1/0, "
        b"dsn=5.2.0, status=bounced (host mx.example.org[192.0.2.1] said: 450 4.2.0 <b@example.org>: Recipient address "
        b"rejected: Greylisted (in reply to RCPT TO command))\n"))


def latency(args):
    chunk_seconds = 0.004
    seconds = args.seconds
    lines = Lines(args, args.rate * seconds, max(1, int(args.rate * chunk_seconds)))
    log = prepare(args)
    helper = Helper(args.work)
    daemon = Daemon(args, AT_ONCE)
    wait_still(daemon)
    every, written = len(lines.ends) / args.samples, {}
    cpu, waited, begin = daemon.cpu(), daemon.waited(), time.monotonic()
    for n in range(len(lines.ends)):
        due = begin + n * chunk_seconds
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        log.write(lines.chunk(n))
        if len(written) < n / every:
            # At any time in the pause, not only behind other lines.
            time.sleep(chunk_seconds * (len(written) * 0.618 % 1) * 0.9)
            name, text = sample(len(written))
            written[name] = time.monotonic()
            log.write(text)
    cpu, waited, over = daemon.cpu() - cpu, daemon.waited() - waited, time.monotonic()
    wait_still(daemon)
    took = [helper.asked[name] - at for name, at in written.items() if name in helper.asked]
    verdict_at = {message: at for at, message, _, _ in daemon.found}
    told = [verdict_at[name] - at for name, at in written.items() if name in verdict_at]
    say("lines a second", int(lines.count / (over - begin)))
    say("samples acted on / written", "%d / %d" % (len(took), len(written)))
    for name, values in (("line to verdict told", told), ("line to action", took)):
        say(name + ", p50", share(values, 0.5) * 1e3, "ms")
        say(name + ", p99", share(values, 0.99) * 1e3, "ms")
        say(name + ", most", max(values) * 1e3, "ms")
    say("its share of one processor", cpu / (over - begin) * 100, "%")
    say("it waited for its processor", waited / (over - begin) * 100, "% of the time")
    daemon.end()
    return 0 if len(took) == len(written) else 1


def queue_directories(args, name):
    queue = os.path.join(args.work, name)
    shutil.rmtree(queue, ignore_errors=True)
    for name in ("maildrop", "incoming", "active", "deferred", "hold", "corrupt"):
        os.makedirs(os.path.join(queue, name))
    return queue


def idle(args):
    lines = Lines(args, 20000, 20000)
    log = prepare(args)
    daemon = Daemon(args, AT_ONCE, queue_directories(args, "queue"))
    for n in range(len(lines.ends)):
        log.write(lines.chunk(n))
    wait_read(daemon, lines.count)
    say("open messages", daemon.instance()["open"])
    time.sleep(15)
    before, cpu = daemon.switches(), daemon.cpu()
    time.sleep(args.seconds)
    after = daemon.switches()
    total = 0
    for thread, (own, forced) in sorted(after.items()):
        was = before.get(thread, (0, 0))
        say("thread %s: gave up the processor / lost it" % thread, "%d / %d" % (own - was[0], forced - was[1]))
        total += own - was[0]
    say("wake-ups a second", total / args.seconds)
    say("its share of one processor", (daemon.cpu() - cpu) / args.seconds * 100, "%")
    if shutil.which("strace"):
        traced = os.path.join(args.work, "strace")
        tracer = subprocess.Popen(["strace", "-f", "-c", "-o", traced, "-p", str(daemon.pid)], stderr=subprocess.DEVNULL)
        time.sleep(args.seconds)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        with open(traced) as f:
            print(f.read())
    daemon.end()
    return 0


def record(kind, data):
    length, out = len(data), kind
    while True:
        byte, length = length & 0x7f, length >> 7
        out += bytes([byte | (0x80 if length else 0)])
        if not length:
            return out + data


def make_files(args, queue):
    """As Postfix keeps them, two letters of the id deep."""
    now = int(time.time())
    content = record(b"N", b"Message-Id: <1@example.com>") + record(b"N", b"") + record(b"N", b"Hello")
    for n in range(args.files):
        name = b"%05X%X" % (n * 7919 % 1000000, 0x4c000 + n)
        folder = os.path.join(queue, "deferred", chr(name[0]), chr(name[1])).encode()
        try:
            f = os.open(folder + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o700)
        except FileNotFoundError:
            os.makedirs(folder)
            f = os.open(folder + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o700)
        os.write(f, record(b"C", b"%15d" % 100) +
                 record(b"T", b"%d 100000" % (now - 600)) + record(b"A", b"create_time=%d" % (now - 600)) +
                 record(b"S", b"sender%d@example.com" % (n % 1000)) + record(b"R", b"user%d@dest%d.example" % (n, n % 5000)) +
                 record(b"M", b"") + content + record(b"X", b"") + record(b"E", b""))
        os.close(f)
        # Its next try is due then.
        os.utime(folder + b"/" + name, (now + 3600, now + 3600))


def started(args, queue, what):
    stalls, over = [], threading.Event()
    daemon = Daemon(args, "[]", queue)

    def ask():
        while not over.is_set():
            begin = time.monotonic()
            try:
                daemon.get("/none")
            except (OSError, http.client.HTTPException):
                pass  # the loop was away for longer than a connection may be idle
            stalls.append(time.monotonic() - begin)
            time.sleep(0.1)
    asking = threading.Thread(target=ask)
    asking.start()
    still = wait_still(daemon, 4.0)
    cpu = daemon.cpu()
    over.set()
    asking.join()
    i = daemon.instance()
    say("%s: ready after" % what, daemon.ready - daemon.begin, "s")
    say("%s: at rest after" % what, still - daemon.begin, "s")
    say("%s: processor time" % what, cpu, "s")
    say("%s: the loop answered nobody for" % what, max(stalls), "s")
    say("%s: files known / open messages" % what, "%d / %d" % (i["queue_files"], i["open"]))
    say("%s: memory at the most" % what, daemon.memory(), "MiB")
    cpu = daemon.cpu()
    time.sleep(args.settle)
    say("%s: at rest, its share of one processor" % what, (daemon.cpu() - cpu) / args.settle * 100, "%")
    daemon.end()
    return still - daemon.begin, i["queue_files"] == args.files and i["open"] == args.files


def start(args):
    queue = os.path.join(args.work, "queue-of-%d" % args.files)
    if not args.keep or not os.path.isdir(queue):
        queue_directories(args, os.path.basename(queue))
        begin = time.monotonic()
        make_files(args, queue)
        say("files made in", time.monotonic() - begin, "s")
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "nobody", queue], check=True)
    prepare(args).close()
    taken = []
    for _ in range(3):
        begin, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(["find", queue, "-type", "f"], stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((time.monotonic() - begin, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime))
    find = min(taken)[0]
    say("find QUEUE -type f, best of 3", find, "s, %.3f s of a processor" % min(t[1] for t in taken))
    first, good = started(args, queue, "no ledger")
    again, good_again = started(args, queue, "again")
    say("times find, no ledger / again", "%.1f / %.1f" % (first / find, again / find))
    if not args.keep:
        shutil.rmtree(queue)
    return 0 if good and good_again else 1


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("daemon")
    p.add_argument("generate")
    p.add_argument("work")
    p.add_argument("what", choices=("rate", "burst", "latency", "idle", "start"))
    p.add_argument("--rate", type=int)
    p.add_argument("--seconds", type=int, default=60)
    p.add_argument("--samples", type=int, default=500)
    p.add_argument("--files", type=int, default=1000000)
    p.add_argument("--open", type=int, default=0)
    p.add_argument("--settle", type=int, default=90)
    p.add_argument("--keep", action="store_true", help="the queue's files, for the next run")
    p.add_argument("--daemon-cpu", type=int, default=0)
    args = p.parse_args()
    args.daemon, args.work = os.path.abspath(args.daemon), os.path.abspath(args.work)
    args.rate = args.rate or (5000 if args.what == "latency" else 200000)
    os.makedirs(args.work, exist_ok=True)
    os.chmod(args.work, 0o755)
    sys.setswitchinterval(0.0005)
    others = set(range(os.cpu_count())) - {args.daemon_cpu}
    os.sched_setaffinity(0, others or {0})
    say("load before, 1 minute", os.getloadavg()[0])
    result = globals()[args.what](args)
    say("load after", os.getloadavg()[0])
    return result


if __name__ == "__main__":
    sys.exit(main())
