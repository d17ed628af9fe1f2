"""The server of `longtail try` answers its own page only, whatever is sent, and opens no file that a client names."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from http.client import HTTPConnection

import pytest
from PIL import Image

import longtail
from longtail.commands import app
from longtail.tryout import TryServer
from longtail.tryout.page import Page
from longtail.tryout.server import MOST_BYTES
from tests.tryout.serving import serve


class Client:
    """A client that has brought the key of a server."""

    def __init__(self, server: TryServer):
        self.server = server
        self.head = {"Host": f"127.0.0.1:{server.server_port}", "Cookie": f"longtail={server.cookie}"}

    def ask(self, method: str, path: str, body: bytes | None = None, **head: str) -> tuple[int, bytes, dict[str, str]]:
        """Send a request with other headers where they are given; "" leaves one out."""
        headers = self.head | {name.replace("_", "-"): value for name, value in head.items()}
        connection = HTTPConnection("127.0.0.1", self.server.server_port, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if value:
                connection.putheader(name, value)
        if body is not None and "Content-Length" not in headers:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        found = response.status, response.read(), dict(response.getheaders())
        connection.close()
        return found

    def send(self, photo: bytes, **head: str) -> tuple[int, dict]:
        """Send a photograph as the page does."""
        status, body, _ = self.ask(
            "POST", f"{self.server.place}photograph", photo, **({"Content_Type": "application/octet-stream"} | head)
        )
        return status, json.loads(body)


@pytest.fixture
def client(served):
    return Client(served.server)


def test_the_answer_is_that_of_the_model_with_its_set_and_nearest_images(served, client, digits):
    status, found = client.send(served.photo)
    assert status == 200
    model = longtail.load(digits / "run", device="cpu")
    expected = model.predict(digits / "labeled" / "3" / "0.png", calibrated=True, sets=True)
    assert found["set"] == list(expected.decision.set) and expected.label in found["set"]
    best = [model.classes[max(range(10), key=z.__getitem__)] for z in found["logits"]]
    assert best == list(expected.votes) and len(found["near"]) == 6 and found["near_note"] == ""
    cosines = [near["cosine"] for near in found["near"]]
    assert cosines == sorted(cosines, reverse=True) and all(
        near["uri"].startswith("data:image/png") for near in found["near"]
    )


def test_a_training_image_is_its_own_nearest_image(served, client, digits):
    images = served.answerer.neighbors.images
    content = io.BytesIO()
    Image.fromarray(images.images[5].permute(1, 2, 0).numpy()).save(content, "PNG")
    _, found = client.send(content.getvalue())
    assert found["near"][0]["cosine"] == pytest.approx(1, abs=2e-3)
    assert found["near"][0]["label"] == served.answerer.model.classes[int(images.labels[5])]


def make_server(**how) -> TryServer:
    """Make a server whose answer is the size of the photograph."""
    return TryServer(0, Page(b"page", "default-src 'none'"), {}, lambda content: {"bytes": len(content)}, **how)


@pytest.fixture
def plain():
    with make_server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Client(server)
        server.shutdown()


def test_the_key_opens_the_page_once_and_only_with_its_cookie(plain):
    server, address = plain.server, plain.server.address
    key = address.partition("/?")[2]
    assert plain.ask("GET", "/?key=wrong")[0] == 403 and plain.ask("HEAD", f"/?{key}")[0] == 403
    status, body, headers = plain.ask("GET", f"/?{key}", Cookie="")
    assert status == 200 and f"url={server.place}".encode() in body
    assert "HttpOnly" in headers["Set-Cookie"] and "SameSite=Strict" in headers["Set-Cookie"]
    assert headers["Set-Cookie"].startswith(f"longtail={server.cookie}; Path={server.place};")
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cache-Control"] == "no-store"
    assert plain.ask("GET", f"/?{key}", Cookie="")[0] == 403, "the key is spent"
    assert plain.ask("GET", server.place)[:2] == (200, b"page")
    for cookie in ("", "longtail=", f"longtail={server.cookie[:-1]}", f"other={server.cookie}", "longtail=\xff"):
        assert plain.ask("GET", server.place, Cookie=cookie)[0] == 403
        assert plain.ask("GET", f"{server.place}model.json", Cookie=cookie)[0] == 403
        assert plain.send(b"x", Cookie=cookie)[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:80", "127.0.0.1", "127.0.0.1:1", "[::1]:80", "127.0.0.1.evil.test", ""]
)
def test_another_host_name_is_refused_by_which_a_page_could_be_rebound_to_this_machine(plain, host):
    status, body, _ = plain.ask("GET", plain.server.place, Host=host)
    assert status == 421 and b"page" not in body
    assert plain.send(b"x", Host=host)[0] == 421


@pytest.mark.parametrize(
    "head",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_a_request_that_another_page_makes_is_refused(plain, head):
    assert plain.send(b"x", **head)[0] == 403
    assert plain.send(b"x", Origin=f"http://{plain.head['Host']}", Sec_Fetch_Site="same-origin") == (200, {"bytes": 1})


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "/etc/passwd",
        "%00",
        "photograph/../../x",
        "model.json/..",
        "?f=/etc/passwd&x",
        "x" * 9000,
    ],
)
def test_no_path_of_a_client_is_opened(plain, path, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *words, **more: pytest.fail(f"opened {words}"))
    monkeypatch.setattr(os, "open", lambda *words, **more: pytest.fail(f"opened {words}"))
    for place in (plain.server.place, "/"):
        status, body, _ = plain.ask("GET", place + path)
        assert (
            (status, body) == (200, b"page")
            if place + path.partition("?")[0] == plain.server.place
            else status in (403, 404)
        )
        assert b"root:" not in body
    assert plain.ask("POST", plain.server.place + path, b"x", Content_Type="application/octet-stream")[0] == 404


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "image/png"]
)
def test_another_content_type_is_refused(plain, kind):
    assert plain.send(b"x", Content_Type=kind)[0] == 415


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ({"Content_Length": str(MOST_BYTES + 1)}, 413),
        ({"Content_Length": "9" * 12}, 413),
        ({"Content_Length": "9" * 5000}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": "0"}, 422),
        ({"Content_Length": "1_0"}, 411),
        ({"Content_Length": "", "Transfer_Encoding": "chunked"}, 411),
    ],
)
def test_a_body_without_a_fair_length_is_refused_before_it_is_read(plain, head, status):
    assert plain.send(b"", **head)[0] == status


def test_what_is_no_http_is_answered_without_repeating_it(plain):
    for line in (
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"<script>alert(1)</script> / HTTP/1.1\r\n\r\n",
        b"GET " + b"x" * 70_000 + b"\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", plain.server.server_port), timeout=20) as connection:
            connection.sendall(line)
            answer = connection.makefile("rb").read()
        assert b"script" not in answer and b"Traceback" not in answer
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
        assert plain.ask(method, plain.server.place)[0] == 501


@pytest.mark.parametrize("content", [b"no image", b"\x89PNG\r\n\x1a\n", b"", b"%PDF-1.7", b"GIF89a" + b"\0" * 20])
def test_what_is_no_photograph_is_one_line(client, content):
    status, found = client.send(content)
    assert status == 422 and "photograph" in found["error"] and "\n" not in found["error"]


def test_a_truncated_photograph_and_a_bomb_of_pixels_are_one_line(served, client):
    status, found = client.send(served.photo[: len(served.photo) // 2])
    assert status == 422 and found["error"].startswith("this is no photograph that can be read: ")
    content = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(content, "PNG")
    status, found = client.send(content.getvalue())
    assert (status == 422 and "refused as a possible decompression bomb" in found["error"]) or "memory" in found[
        "error"
    ]
    assert client.send(served.photo)[0] == 200


def test_a_client_that_goes_away_or_sends_too_little_harms_nobody(served, client, capfd, monkeypatch):
    monkeypatch.setattr("longtail.tryout.server.Handler.timeout", 0.3)
    head = f"POST {served.server.place}photograph HTTP/1.1\r\nHost: {client.head['Host']}\r\nCookie: {client.head['Cookie']}\r\n"
    head += f"Content-Type: application/octet-stream\r\nContent-Length: {len(served.photo)}\r\n\r\n"
    for sent in (head.encode(), head.encode() + served.photo[:50], head.encode() + served.photo, b"GET"):
        with socket.create_connection(("127.0.0.1", served.server.server_port)) as connection:
            connection.sendall(sent)
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )  # a reset, as of a killed process
    with socket.create_connection(("127.0.0.1", served.server.server_port), timeout=20) as connection:
        connection.sendall(head.encode() + served.photo[:50])
        assert b" 408 " in connection.makefile("rb").readline()
    assert client.send(served.photo)[0] == 200
    assert "Traceback" not in capfd.readouterr().err


def test_photographs_at_once_get_their_own_answers(served, digits):
    photos = [(digits / "labeled" / str(label) / "1.png").read_bytes() for label in range(8)]
    alone = [Client(served.server).send(photo)[1]["logits"] for photo in photos]
    found: dict[int, tuple[int, dict]] = {}

    def ask(i: int) -> None:
        found[i] = Client(served.server).send(photos[i])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(photos))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i][0] for i in range(len(photos))] == [200] * len(photos)
    assert [found[i][1]["logits"] for i in range(len(photos))] == alone


def test_idle_connections_above_the_limit_are_closed_and_the_page_comes_back(plain, monkeypatch):
    monkeypatch.setattr("longtail.tryout.server.Handler.timeout", 0.5)
    idle = [socket.create_connection(("127.0.0.1", plain.server.server_port), timeout=20) for _ in range(40)]
    assert idle[-1].recv(1) == b""
    for connection in idle:
        connection.close()
    assert any(attempt(plain) for _ in range(50))


def attempt(client: Client) -> bool:
    try:
        return client.ask("GET", client.server.place)[0] == 200
    except OSError:
        return False


def test_a_calibration_that_is_not_intact_is_said_and_not_used(digits, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    for file in filter(os.path.isfile, (digits / "run").iterdir()):
        (copy / file.name).write_bytes(file.read_bytes())
    text = (copy / "calibration.json").read_text()
    (copy / "calibration.json").write_text(text.replace('"temperature": ', '"temperature": 1', 1))
    with serve(copy) as (server, answerer):
        (note,) = answerer.notes
        assert note.startswith("no prediction sets: ") and "calibrate again" in note
        assert Client(server).send((digits / "labeled" / "3" / "0.png").read_bytes())[1]["set"] is None


def test_ctrl_c_ends_the_command_with_one_line(digits):
    command = [sys.executable, "-m", "longtail", "try", str(digits / "run"), "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?key=[\w-]{32}  .*Ctrl-C ends it\n", process.stdout.readline())
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[0] == "longtail: the page is closed\n" and process.returncode == 0


def test_a_port_that_is_taken_is_one_line(digits, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as stop:
        app.main(["try", str(digits / "run"), "--port", str(taken.getsockname()[1])])
    assert stop.value.code == 2 and "choose another --port" in capsys.readouterr().err
