#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A receiving mail server for load: it refuses a share in every way that there is, and writes down what it took.

    receiver.py ADDRESS DIR

What it answers depends on the recipient alone, on a hash of its local part, so that a run can be told from its log:
  hard   550 to RCPT, always
  grey   450 to RCPT until 8 seconds after the first try, as a greylister does
  late   451 at the end of DATA, the first time
  never  450 to RCPT until the file DIR/release is there
All others are taken. DIR/taken and DIR/refused get a line for each recipient: taken with its Message-ID, and refused for
good. Both are written before the client gets its answer.
"""
import asyncio
import os
import re
import sys
import time
import zlib

GREY_SECONDS = 8
# Of a thousand recipients.
HARD, GREY, LATE, NEVER = 10, 30, 5, 4


def kind_of(recipient):
    local, _, domain = recipient.partition("@")
    if domain == "example.com":
        return "taken"  # failure reports
    n = zlib.crc32(local.encode("latin-1")) % 1000
    for kind, share in (("hard", HARD), ("grey", GREY), ("late", LATE), ("never", NEVER)):
        if n < share:
            return kind
        n -= share
    return "taken"


class Receiver:
    def __init__(self, directory):
        self.directory = directory
        self.first_try = {}
        self.late = set()
        self.taken = open(os.path.join(directory, "taken"), "ab", buffering=0)
        self.refused = open(os.path.join(directory, "refused"), "ab", buffering=0)

    def answer(self, recipient):
        kind = kind_of(recipient)
        if kind == "hard":
            self.refused.write(recipient.encode("latin-1") + b"\n")
            return b"550 5.1.1 User unknown\r\n"
        if kind == "grey":
            first = self.first_try.setdefault(recipient, time.monotonic())
            if time.monotonic() - first < GREY_SECONDS:
                return b"450 4.2.0 Greylisted, see http://postgrey.example.com/help\r\n"
        if kind == "never" and not os.path.exists(os.path.join(self.directory, "release")):
            return b"450 4.2.0 Greylisted, come back much later\r\n"
        return b"250 2.1.5 Ok\r\n"

    def refuses_content(self, recipients):
        late = {r for r in recipients if kind_of(r) == "late"} - self.late
        self.late |= late
        return bool(late)

    async def serve(self, reader, writer):
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def talk(self, reader, writer):
        recipients = []
        writer.write(b"220 receiver.test ESMTP\r\n")
        while True:
            line = await reader.readline()
            if not line:
                return
            verb = line[:4].upper()
            if verb in (b"EHLO", b"HELO"):
                writer.write(b"250-receiver.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
                             if verb == b"EHLO" else b"250 receiver.test\r\n")
            elif verb == b"MAIL":
                recipients = []
                writer.write(b"250 2.1.0 Ok\r\n")
            elif verb == b"RCPT":
                recipient = re.search(rb"<([^>]*)>", line).group(1).decode("latin-1")
                reply = self.answer(recipient)
                if reply.startswith(b"2"):
                    recipients.append(recipient)
                writer.write(reply)
            elif verb == b"DATA" and not recipients:
                writer.write(b"554 5.5.1 No valid recipients\r\n")
            elif verb == b"DATA":
                writer.write(b"354 Go on\r\n")
                content = await reader.readuntil(b"\r\n.\r\n")
                if self.refuses_content(recipients):
                    writer.write(b"451 4.3.0 Not now\r\n")
                else:
                    found = re.search(rb"(?im)^message-id:\s*<([^>]*)>", content)
                    ident = found.group(1) if found else b"-"
                    self.taken.write(b"".join(r.encode("latin-1") + b" " + ident + b"\n" for r in recipients))
                    writer.write(b"250 2.0.0 Ok\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 2.0.0 Bye\r\n")
                return
            else:
                writer.write(b"250 2.0.0 Ok\r\n")
            await writer.drain()


async def main():
    receiver = Receiver(sys.argv[2])
    server = await asyncio.start_server(receiver.serve, sys.argv[1], 25, limit=1 << 24, backlog=200)
    async with server:
        await server.serve_forever()


asyncio.run(main())
