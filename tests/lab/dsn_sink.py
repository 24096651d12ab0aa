#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A receiver that takes DSN parameters, and a client that gives them, for the tests.

    dsn_sink.py serve DIR IP     by local part: hard* 550; soft* 450 until DIR/open is there; else 250.
                                 Each mail as DIR/N: the lines of MAIL and RCPT, an empty line, the
                                 content as it came, with "\\n" line ends and no dots stuffed
    dsn_sink.py send IP SENDER MESSAGE-ID BODY-FILE RECIPIENT...    each with parameters of its own
    dsn_sink.py count DIR MESSAGE-ID RECIPIENT      how often it got that message
    dsn_sink.py lines DIR MESSAGE-ID RECIPIENT      the MAIL line, and its own RCPT line, of each
    dsn_sink.py body DIR MESSAGE-ID RECIPIENT       the body of the first
    dsn_sink.py to DIR RECIPIENT                    all mail for that recipient
"""
import os
import re
import smtplib
import socketserver
import sys
import threading

lock = threading.Lock()


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def store(self, lines):
        content = b""
        while (line := self.rfile.readline()) and line != b".\r\n":
            content += line[line.startswith(b"."):].replace(b"\r\n", b"\n")
        where = self.server.where
        with lock:
            name = os.path.join(where, str(1 + sum(n.isdigit() for n in os.listdir(where))))
            with open(name + ".part", "wb") as f:
                f.write("".join(line + "\n" for line in lines).encode() + b"\n" + content)
            os.rename(name + ".part", name)

    def answer(self, line):
        local = line.partition("<")[2].partition("@")[0]
        if local.startswith("hard"):
            return "550 5.1.1 User unknown"
        if local.startswith("soft") and not os.path.exists(os.path.join(self.server.where, "open")):
            return "450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/mixed.test.html"
        return "250 2.1.5 Ok"

    def handle(self):
        lines = []
        self.say("220 receiver.test ESMTP")
        while line := self.rfile.readline().decode(errors="replace").strip():
            verb = line[:4].upper()
            if verb == "EHLO":
                for word in ("receiver.test", "8BITMIME", "DSN"):
                    self.say("250-" + word)
                self.say("250 ENHANCEDSTATUSCODES")
            elif verb == "MAIL":
                lines = [line]
                self.say("250 2.1.0 Ok")
            elif verb == "RCPT":
                answer = self.answer(line)
                lines += [line] if answer[0] == "2" else []
                self.say(answer)
            elif verb == "DATA" and len(lines) > 1:
                self.say("354 Go on")
                self.store(lines)
                self.say("250 2.0.0 Ok: queued as LAB")
            elif verb == "DATA":
                self.say("554 5.5.1 No valid recipients")
            elif verb == "QUIT":
                self.say("221 2.0.0 Bye")
                return
            else:
                self.say("250 2.0.0 Ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


def serve(where, ip):
    server = Server((ip, 25), Session)
    server.where = where
    server.serve_forever()


def send(ip, sender, message_id, body, *recipients):
    with open(body, "rb") as f:
        content = f.read()
    head = "From: <app@example.com>\nTo: undisclosed:;\nSubject: lab\nMessage-ID: <%s>\n\n" % message_id
    s = smtplib.SMTP(ip)
    s.ehlo("client.example.com")
    steps = [s.mail(sender, ["BODY=8BITMIME", "RET=HDRS", "ENVID=env-" + message_id.partition("@")[0]])]
    for r in recipients:
        steps.append(s.rcpt(r, ["NOTIFY=FAILURE,DELAY", "ORCPT=rfc822;first-" + r]))
    steps.append(s.data((head.encode() + content).replace(b"\n", b"\r\n")))
    s.quit()
    bad = [step for step in steps if step[0] >= 400]
    if bad:
        sys.exit("the sender refused: %r" % bad)


def mails(where):
    for name in sorted((n for n in os.listdir(where) if n.isdigit()), key=int):
        with open(os.path.join(where, name), "rb") as f:
            envelope, _, content = f.read().partition(b"\n\n")
        yield envelope.decode().split("\n"), content


def of(where, message_id, recipient):
    for lines, content in mails(where):
        header = content.partition(b"\n\n")[0].decode(errors="replace")
        ids = re.findall(r"(?im)^message-id:\s*<([^>]*)>", header)
        own = [line for line in lines[1:] if "<%s>" % recipient in line]
        if ids == [message_id] and own:
            yield lines[0], own, content


def main():
    verb, rest = sys.argv[1], sys.argv[2:]
    if verb == "serve":
        serve(*rest)
    elif verb == "send":
        send(*rest)
    elif verb == "count":
        print(sum(len(own) for _, own, _ in of(*rest)))
    elif verb == "lines":
        for mail, own, _ in of(*rest):
            print("\n".join([mail] + own))
    elif verb == "body":
        for _, _, content in of(*rest):
            sys.stdout.buffer.write(content.partition(b"\n\n")[2])
            break
    elif verb == "to":
        for lines, content in mails(rest[0]):
            if any("<%s>" % rest[1] in line for line in lines[1:]):
                sys.stdout.buffer.write("\n".join(lines).encode() + b"\n\n" + content + b"\n")


main()
