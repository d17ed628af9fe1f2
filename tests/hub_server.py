"""A stand-in for the HTTP interface of the Hugging Face hub, on this machine: repositories, commits, tokens and faults."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import close_session, constants

TOKEN = "hf_abcdefghijklmnopqrstuvwxyz01234567"  # of the stand-in only


@dataclass
class Repository:
    """Commits by their names, each a dictionary of files, and the branches that name them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit of these files to a branch, and return its name."""
        name = hashlib.sha1(f"{len(self.commits)}{branch}".encode() + b"".join(map(bytes, files.values()))).hexdigest()
        self.commits[name] = dict(files)
        self.branches[branch] = name
        return name

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch or commit; None if there is none."""
        return self.branches.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """The repositories of the stand-in by kind and name, what was asked of it, and the faults that it shows."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)  # bytes that each request brought, as text
    large: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of a file after which the connection is lost
    error: int | None = None  # status of every answer
    endpoint: str = ""

    def add(self, name: str, files: dict[str, bytes], kind: str = "datasets", **how: bool) -> Repository:
        """Add a repository with one commit."""
        found = self.repositories[f"{kind}/{name}"] = Repository(**how)
        found.commit(files)
        return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *words: object) -> None:
        pass

    def answer(self, status: int, content: object = b"", **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def find_repository(self, kind: str, name: str) -> Repository | None:
        found = self.hub.repositories.get(f"{kind}/{name}")
        is_mine = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if found is None or (found.private and not is_mine):
            self.refuse(401, "RepoNotFound", "Repository not found")
            return None
        if found.gated and not is_mine and "/resolve/" in self.path:
            self.refuse(403, "GatedRepo", f"Access to {name} is restricted")
            return None
        return found

    def do_GET(self) -> None:
        self.hub.asked.append(f"{self.command} {unquote(self.path)} {self.headers.get('Range', '')}".strip())
        if self.hub.error:
            return self.answer(self.hub.error, b"{}")
        parts = urlsplit(self.path).path.strip("/").split("/")
        is_api = parts[0] == "api"
        parts = parts[1:] if is_api else parts
        kind = parts.pop(0) if is_api or parts[0] == "datasets" else "models"
        repository = self.find_repository(kind, "/".join(parts[:2]))
        if repository is None:
            return None
        what, *rest = parts[2:] or ["revision"]
        commit = repository.find(unquote(rest[0]) if rest else "main")
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        files = repository.commits[commit]
        if what == "revision":
            siblings = [{"rfilename": path} for path in files]
            about = {"id": "/".join(parts[:2]), "sha": commit, "private": repository.private, "siblings": siblings}
            return self.answer(200, about | {"tags": [], "downloads": 0, "likes": 0})
        if what == "tree":
            entries = [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for path, content in files.items()
            ]
            return self.answer(200, entries)
        return self.give_file(files.get(unquote("/".join(rest[1:]))), commit)

    do_HEAD = do_GET

    def give_file(self, content: bytes | None, commit: str) -> None:
        if content is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        cut = self.hub.cut_after
        if self.command == "GET" and cut is not None and len(content) > cut:
            self.close_connection = True
            if start == 0:  # once, after which nothing comes
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[:cut])
            return None
        head = {"ETag": etag, "X_Repo_Commit": commit, "Content_Length": str(len(content) - start)}
        if start:
            head["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self.answer(206 if start else 200, content[start:], **head)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.hub.asked.append(f"POST {unquote(self.path)}")
        self.hub.sent.append(body.decode("utf-8", "replace"))
        if self.hub.error:
            return self.answer(self.hub.error, b"{}")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials in Authorization header"})
        path = urlsplit(self.path).path
        if path.endswith("/objects/batch"):
            return self.plan_uploads(json.loads(body))
        if path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        _, _, kind, owner, name, what, *_ = path.split("/")
        repository = self.find_repository(kind, f"{owner}/{name}")
        if repository is None:
            return None
        if what == "preupload":
            modes = [
                {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                for f in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": [mode | {"shouldIgnore": False} for mode in modes]})
        return self.take_commit(repository, body, f"{owner}/{name}")

    def create(self, asked: dict) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "others":
            return self.answer(
                403, {"error": f"You don't have the rights to create a model under {asked['organization']}"}
            )
        if f"models/{name}" in self.hub.repositories:
            return self.answer(409, {"error": "You already created this model repo"})
        self.hub.add(name, {".gitattributes": b""}, "models", private=asked.get("visibility") == "private")
        return self.answer(200, {"url": f"{self.hub.endpoint}/{name}"})

    def plan_uploads(self, asked: dict) -> None:
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{entry['oid']}"}}}
            for entry in asked["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.large[hashlib.sha256(content).hexdigest()] = content
        self.answer(200)

    def take_commit(self, repository: Repository, body: bytes, name: str) -> None:
        files = dict(repository.commits[repository.branches["main"]])
        for line in map(json.loads, body.decode().splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "deletedFile":
                files.pop(value["path"], None)
        commit = repository.commit(files)
        url = f"{self.hub.endpoint}/{name}/commit/{commit}"
        self.answer(200, {"success": True, "commitOid": commit, "commitUrl": url, "hookOutput": ""})


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serve an empty hub on a free port of this machine within the context."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def replace_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub of this machine in place of huggingface.co within the context, with an empty cache and no token."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # large files are sent by LFS, which is simpler to serve
    with serve_hub() as served:
        template = f"{served.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"  # made when it is imported
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", served.endpoint)
        yield served
    close_session()  # its connections stay open
