#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks the root helper one thing: ask_helper.py SOCKET OPERATION [INSTANCE [QUEUE-ID]]

Prints the answer's status and text. Exit status 0 when it was done, 1 otherwise, 2 without an answer.
"""
import pathlib
import re
import socket
import struct
import sys

WIRE = pathlib.Path(__file__).resolve().parents[2] / "watchdogd/helper/wire.h"
OPERATIONS = {"ping": 1, "requeue": 2, "flush": 3, "restart": 4, "health": 5, "recover": 6}
STATUSES = ["ok", "already", "refused", "failed", "unhealthy"]
MAGIC = 0x4D515748
REQUEST, ANSWER = struct.Struct("=IIII64s64s"), struct.Struct("=IIII240s")


def ask(path, operation, instance="", queue_id=""):
    version = int(re.search(r"MQW_HELPER_VERSION (\d+)", WIRE.read_text()).group(1))
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(150)
        s.connect(path)
        s.send(REQUEST.pack(MAGIC, version, OPERATIONS[operation], 0, instance.encode(), queue_id.encode()))
        frame = s.recv(4096)
    if len(frame) != ANSWER.size:
        sys.exit(2)
    _, _, _, status, text = ANSWER.unpack(frame)
    return status, text.split(b"\0", 1)[0].decode()


if __name__ == "__main__":
    status, text = ask(*sys.argv[1:])
    print(STATUSES[status], text)
    sys.exit(0 if status <= 1 else 1)
