#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the root helper for what it must not do, as a user of choice.

attack_helper.py DIRECTORY UID GID ATTACK [ARGUMENT...]   (as root)

DIRECTORY holds helper.sock, as the host sees it; it is entered before root is given up. Attacks:
  ask OP INSTANCE QUEUE-ID   one request by number of operation, any text; prints "STATUS TEXT"; exit status 0
  frames                     wrong sizes, versions and fields; exit status 0 when every one is refused
  silent N                   N connections that say nothing, held; 0 when another is served meanwhile
  flood N                    N connections, of which some say nothing; 0 when none got anything done
  connect                    only that; prints "connected" or the error
"""
import errno
import os
import socket
import struct
import sys
import time

MAGIC, VERSION = 0x4D515748, 1
REQUEST, ANSWER = struct.Struct("=IIII64s64s"), struct.Struct("=IIII240s")
STATUSES = ["ok", "already", "refused", "failed", "unhealthy"]
PING, REQUEUE, RESTART, RECOVER, END = 1, 2, 4, 6, 7
ID = b"4jZ5G9037Zz1fPvd"


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(60)
    while True:
        try:
            s.connect("helper.sock")
            return s
        except BlockingIOError:  # the backlog is full
            time.sleep(0.002)


def request(op, instance=b"", queue_id=b"", version=VERSION, magic=MAGIC, reserved=0):
    return REQUEST.pack(magic, version, op, reserved, instance, queue_id)


def exchange(frame):
    """Status and text; None when the connection was ended without an answer."""
    try:
        with connect() as s:
            s.send(frame)
            answer = s.recv(4096)
    except (ConnectionError, BrokenPipeError):
        return None
    if len(answer) != ANSWER.size:
        return None
    _, _, _, status, text = ANSWER.unpack(answer)
    return STATUSES[status], text.split(b"\0", 1)[0].decode()


def patiently(frame, seconds=60):
    """While others keep the helper busy, systemd ends connections at once: tries again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = exchange(frame)
        if answer:
            return answer
        time.sleep(0.1)
    return None


def ask(op, instance, queue_id):
    status, text = patiently(request(int(op), os.fsencode(instance), os.fsencode(queue_id)))
    print(status, text)
    return False


def frames():
    good = request(REQUEUE, b"outbound", ID)
    cases = {
        "no operation": request(0),
        "an operation too many": request(END, b"outbound"),
        "a huge operation": request(0xFFFFFFFF),
        "an older version": request(PING, version=0),
        "a newer version": request(PING, version=VERSION + 1),
        "a foreign version": request(RESTART, b"outbound", version=0x7FFFFFFF),
        "another magic": request(PING, magic=1),
        "reserved bits": request(PING, reserved=1),
        "one byte": b"\0",
        "a frame cut by one": good[:-1],
        "a frame longer by one": good + b"\0",
        "two frames in one": good + good,
        "a long frame": good + b"A" * 60000,
        "a field without an end": request(REQUEUE, b"A" * 64, ID),
        "something behind the end": request(REQUEUE, b"outbound\0x", ID),
        "an instance too many": request(PING, b"outbound"),
        "no instance": request(RESTART),
        "an id too many": request(RESTART, b"outbound", ID),
        "no id": request(RECOVER, b"outbound"),
    }
    bad = 0
    for name, frame in cases.items():
        answer = patiently(frame)
        if not answer or answer[0] != "refused":
            print(f"{name}: {answer}", file=sys.stderr)
            bad += 1
    return bad


def silent(count):
    held = [connect() for _ in range(int(count))]
    answer = patiently(request(PING))
    for s in held:
        s.close()
    print(answer, file=sys.stderr)
    return not answer or answer[0] != "ok"


def read_late(s, tally, seconds):
    s.settimeout(seconds)
    try:
        answer = s.recv(4096)
        tally[STATUSES[ANSWER.unpack(answer)[3]] if len(answer) == ANSWER.size else "dropped"] += 1
    except (BlockingIOError, socket.timeout):
        tally["left"] += 1
    except ConnectionError:
        tally["dropped"] += 1
    s.close()


def flood(count):
    frames = [request(RESTART, b"ssh.service"), request(PING)[:17]]
    tally = dict.fromkeys(STATUSES + ["dropped", "left"], 0)
    opened = []
    for i in range(int(count)):
        s = connect()
        if i % 50:
            try:
                s.send(frames[i % 2])
            except ConnectionError:
                pass
        opened.append(s)
        if len(opened) > 300:
            read_late(opened.pop(0), tally, 0)
    for s in opened:
        read_late(s, tally, 20)
    print(tally, file=sys.stderr)
    return sum(tally.values()) - tally["refused"] - tally["dropped"] - tally["left"]


def only_connect():
    try:
        connect().close()
        print("connected")
    except OSError as e:
        print(errno.errorcode[e.errno])


def main(directory, uid, gid, attack, *arguments):
    os.chdir(directory)
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    attacks = {"ask": ask, "frames": frames, "silent": silent, "flood": flood, "connect": only_connect}
    sys.exit(1 if attacks[attack](*arguments) else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
