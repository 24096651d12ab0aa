#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Small servers that take alerts, for the tests.

    sink.py smtp|http DIR [--port N] [--refuse ADDRESS] [--status CODE] [--login USER:PASSWORD]
                          [--hang SECONDS] [--drop] [--cut] [--tls PEM [--implicit]]

Listens on 127.0.0.1, prints its port, and keeps each mail or request as DIR/1, DIR/2, ...: the
envelope or the request's head, an empty line, the content as it came. --refuse: 550 to this
recipient. --status: what every mail or request is answered with. --drop: keeps the content, then
closes without an answer. --cut: closes within the content of an HTTP answer. --hang: waits before
it answers. --tls: certificate and key; smtp offers STARTTLS, or is TLS from the first byte with
--implicit; http is https then.
"""
import argparse
import base64
import http.server
import os
import socketserver
import ssl
import sys
import threading
import time

lock = threading.Lock()
count = 0


def keep(options, head, content):
    global count
    with lock:
        count += 1
        path = os.path.join(options.dir, str(count))
        with open(path + ".part", "wb") as f:
            f.write(head.encode("utf-8", "surrogateescape") + b"\n\n" + content)
        os.rename(path + ".part", path)


class Smtp(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def offers_tls(self):
        return self.server.tls and not isinstance(self.connection, ssl.SSLSocket)

    def login(self, line):
        user, password = self.server.options.login.split(":", 1)
        words = line.split(" ")
        if words[1].upper() == "LOGIN":
            answers = []
            for prompt in (b"Username:", b"Password:")[len(words) - 2:]:
                self.say("334 " + base64.b64encode(prompt).decode())
                answers.append(self.rfile.readline().strip())
            given = words[2:] + [a.decode() for a in answers]
            return [base64.b64decode(g).decode() for g in given] == [user, password]
        if len(words) < 3:
            self.say("334 ")
            words.append(self.rfile.readline().strip().decode())
        return base64.b64decode(words[2]).decode().split("\0")[1:] == [user, password]

    def data(self, sender, recipients, helo):
        options = self.server.options
        self.say("354 go on")
        content = b""
        while True:
            line = self.rfile.readline()
            if line in (b".\r\n", b""):
                break
            content += line[1:] if line.startswith(b".") else line
        time.sleep(options.hang)
        if options.status is None or options.status < 400 or options.drop:
            keep(options, "EHLO %s\nFROM %s\nTO %s" % (helo, sender, " ".join(recipients)), content)
        if options.drop:
            return False
        self.say("%d 2.0.0 answer of the sink" % (options.status or 250))
        return True

    def start_tls(self):
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)

    def handle(self):
        options = self.server.options
        sender, recipients, helo, known = None, [], "", not options.login
        self.say("220 sink ESMTP")
        while True:
            raw = self.rfile.readline()
            if not raw:
                return
            line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
            verb = line.upper()
            if verb.startswith(("EHLO", "HELO")):
                helo = line[5:]
                if options.login:
                    self.say("250-AUTH PLAIN LOGIN")
                if self.offers_tls():
                    self.say("250-STARTTLS")
                self.say("250 8BITMIME")
            elif verb == "STARTTLS" and self.offers_tls():
                self.say("220 2.0.0 go on")
                self.start_tls()
            elif verb.startswith("AUTH"):
                known = options.login and self.login(line)
                self.say("235 2.7.0 hello" if known else "535 5.7.8 not you")
            elif verb.startswith("MAIL FROM:"):
                sender, recipients = line[10:], []
                self.say("250 2.1.0 ok" if known else "530 5.7.0 who are you")
            elif verb.startswith("RCPT TO:"):
                if options.refuse and options.refuse in line:
                    self.say("550 5.1.1 <%s>: no such user" % options.refuse)
                else:
                    recipients.append(line[8:])
                    self.say("250 2.1.5 ok")
            elif verb == "DATA" and recipients:
                if not self.data(sender, recipients, helo):
                    return
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok" if verb in ("RSET", "NOOP") else "503 5.5.1 what")


class Http(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        options = self.server.options
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = options.status or 200
        time.sleep(options.hang)
        if status < 300 or options.drop:
            keep(options, "POST %s\n%s" % (self.path, str(self.headers).strip()), content)
        if options.drop:
            self.close_connection = True
            return
        self.send_response(status)
        if status in (301, 302, 307):
            self.send_header("Location", "/elsewhere")
        if options.cut:
            self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"answer of the sink\n")

    def log_message(self, *args):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    tls = None

    def finish_request(self, request, client_address):
        if self.tls and (self.options.implicit or self.options.kind == "http"):
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (OSError, ssl.SSLError)):
            super().handle_error(request, client_address)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("kind", choices=("smtp", "http"))
    p.add_argument("dir")
    p.add_argument("--port", type=int, default=0)
    p.add_argument("--refuse")
    p.add_argument("--status", type=int)
    p.add_argument("--login")
    p.add_argument("--hang", type=float, default=0)
    p.add_argument("--drop", action="store_true")
    p.add_argument("--cut", action="store_true")
    p.add_argument("--tls")
    p.add_argument("--implicit", action="store_true")
    options = p.parse_args()
    server = Server(("127.0.0.1", options.port), Smtp if options.kind == "smtp" else Http)
    server.options = options
    if options.tls:
        server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.tls.load_cert_chain(options.tls)
    sys.stdout.write("%d\n" % server.server_address[1])
    sys.stdout.flush()
    sys.stdout.close()
    server.serve_forever()


main()
