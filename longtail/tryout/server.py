"""The server of the page: for this machine only, behind a key that is used once, without any file that a client names."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from longtail.data.decode import BadImage
from longtail.errors import LongtailError
from longtail.tryout.page import Page

HOST = "127.0.0.1"
MOST_BYTES = 32 << 20  # of a photograph
MOST_SECONDS = 30  # in which a photograph must have come
MOST_CLIENTS = 16  # requests at a time
COOKIE = "longtail"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # for what is no page


class TryServer(ThreadingHTTPServer):
    """A server on 127.0.0.1 that shows a page and answers photographs.

    The first request with the key gets a cookie for a path of random letters; all others need both. `answer` takes the bytes
    of a photograph.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, port: int, page: Page, about: dict, answer: Callable[[bytes], dict]):
        self.page, self.about, self.answer = page, json.dumps(about).encode(), answer
        self.key: str | None = secrets.token_urlsafe(24)
        self.place, self.cookie = f"/{secrets.token_urlsafe(12)}/", secrets.token_urlsafe(32)
        self.guard, self.slots = threading.Lock(), threading.BoundedSemaphore(MOST_CLIENTS)
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise LongtailError(
                f"port {port} of this machine cannot be used ({error}); choose another --port"
            ) from error
        self.address = f"http://{HOST}:{self.server_port}/?key={self.key}"
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    def redeem(self, key: str) -> bool:
        """Return whether a key is the one of this server and is used for the first time."""
        with self.guard:
            is_right = self.key is not None and secrets.compare_digest(key.encode(), self.key.encode())
            self.key = None if is_right else self.key
        return is_right

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a request in a thread of its own; a connection above the limit is closed."""
        if not self.slots.acquire(blocking=False):
            return self.shutdown_request(request)
        return super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is no fault."""


class Refused(Exception):
    """A request that is not answered: an HTTP status and the reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status, self.reason = status, reason


class Handler(BaseHTTPRequestHandler):
    """One request. Routes are fixed; nothing that a client sends becomes a path of a file."""

    server: TryServer
    timeout = 10  # seconds without a byte

    def version_string(self) -> str:
        return "longtail"

    def log_message(self, format: str, *words: object) -> None:
        """Log nothing: addresses hold the key."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server refuses by itself, such as an unknown method, without repeating what was sent."""
        self.give(code, b"refused\n", "text/plain; charset=utf-8")

    def give(self, status: int, content: bytes, kind: str, policy: str = NOTHING, **headers: str) -> None:
        """Send an answer with the headers that every answer has, and close the connection."""
        self.close_connection = True
        self.send_response(status)
        every = HEADERS | {"Content-Type": kind, "Content-Length": str(len(content)), "Content-Security-Policy": policy}
        for name, value in (every | {"Connection": "close"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def give_json(self, status: int, content: bytes) -> None:
        """Send JSON."""
        self.give(status, content, "application/json")

    def run(self, route: Callable[[], None]) -> None:
        """Answer by a route, or say why not; a client that is gone is no fault."""
        try:
            route()
        except Refused as refused:
            self.give_json(refused.status, json.dumps({"error": refused.reason}).encode())
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:
        self.run(self.get)

    def do_HEAD(self) -> None:
        self.run(self.get)

    def do_POST(self) -> None:
        self.run(self.post)

    def get(self) -> None:
        """Show the page or the model, or take the key."""
        self.check_host()
        target, server = urlsplit(self.path), self.server
        if target.path == "/" and target.query and self.command == "GET":
            return self.take_key(target.query)
        self.check_cookie(target.path)
        if target.path == server.place:
            return self.give(200, server.page.content, "text/html; charset=utf-8", server.page.policy)
        if target.path == f"{server.place}model.json":
            return self.give_json(200, server.about)
        raise Refused(404, "there is no such page")

    def take_key(self, query: str) -> None:
        """Give the cookie for the key, once, with a page that goes on to the place of the page."""
        keys = parse_qs(query, max_num_fields=4).get("key", [""])
        if not self.server.redeem(keys[0]):
            raise Refused(403, "this address was used already, or is wrong; start longtail try again")
        cookie = f"{COOKIE}={self.server.cookie}; Path={self.server.place}; HttpOnly; SameSite=Strict"
        # a redirect would be part of a visit from elsewhere, to which browsers give no strict cookie
        page = f'<!doctype html><meta http-equiv="refresh" content="0;url={self.server.place}"><title>longtail</title>'
        self.give(200, page.encode(), "text/html; charset=utf-8", **{"Set-Cookie": cookie})

    def post(self) -> None:
        """Answer a photograph."""
        self.check_host()
        target = urlsplit(self.path).path
        self.check_cookie(target)
        self.check_origin()
        if target != f"{self.server.place}photograph":
            raise Refused(404, "there is no such page")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/octet-stream":
            raise Refused(415, "a photograph is sent as application/octet-stream")
        content = self.read_body()
        try:
            found = self.server.answer(content)
        except BadImage as error:
            raise Refused(422, f"this is no photograph that can be read: {error.reason}") from None
        except LongtailError as error:
            raise Refused(422, str(error)) from None
        except Exception as error:  # one photograph must not end the page
            raise Refused(500, f"the model failed on this photograph ({type(error).__name__})") from None
        self.give_json(200, json.dumps(found).encode())

    def check_host(self) -> None:
        """Refuse other names of this machine, by which a page from elsewhere could reach the server (DNS rebinding)."""
        if self.headers.get_all("Host") is None or set(self.headers.get_all("Host", [])) - self.server.hosts:
            raise Refused(421, "this address is not that of longtail try")

    def check_origin(self) -> None:
        """Refuse a request that a page from elsewhere has sent."""
        origin = self.headers.get("Origin")
        allowed = {f"http://{host}" for host in self.server.hosts}
        if (origin is not None and origin not in allowed) or self.headers.get("Sec-Fetch-Site", "same-origin") not in (
            "same-origin",
            "none",
        ):
            raise Refused(403, "a page from elsewhere may not use longtail try")

    def check_cookie(self, path: str) -> None:
        """Refuse whoever has not brought the key: without the path and the cookie, nothing is told."""
        held = [
            value
            for pair in self.headers.get("Cookie", "").split(";")
            for name, _, value in [pair.strip().partition("=")]
            if name == COOKIE
        ]
        known = any(secrets.compare_digest(value.encode(), self.server.cookie.encode()) for value in held)
        if not known or not path.startswith(self.server.place):
            raise Refused(403, "open the address that longtail try has printed")

    def read_body(self) -> bytes:
        """Read a photograph; raises Refused for one without a length, too large, too slow, or cut off."""
        if self.headers.get("Transfer-Encoding") is not None:
            raise Refused(411, "a photograph is sent whole, with its length")
        lengths = self.headers.get_all("Content-Length") or []
        if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()) or len(lengths[0]) > 12:
            raise Refused(411, "a photograph is sent with its length")
        length = int(lengths[0])
        if not 0 < length <= MOST_BYTES:
            size = f"over {MOST_BYTES >> 20} MB" if length else "empty"
            raise Refused(413 if length else 422, f"this photograph is {size}")
        blocks, end = [], time.monotonic() + MOST_SECONDS
        while length:
            try:
                block = self.rfile.read1(min(length, 1 << 16))
            except TimeoutError:
                block = b""
            if not block or time.monotonic() > end:
                raise Refused(408, "the photograph did not come whole")
            blocks.append(block)
            length -= len(block)
        return b"".join(blocks)
