"""A small Hub on loopback, for the real client: what the API says of a model, its files with ranges, and bad days.

with HubServer() as hub:
    hub.models["org/tiny"] = HubRepo({"config.json": b"{}"})
    llem("run", …, env=hub.environment(cache))
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

TOKEN = "hf_ThisIsNoRealToken0123456789"
_LARGE_BYTES = 10_000
"""From here on a file is described as one of LFS, whose ETag is its SHA-256."""
_CHUNK_BYTES = 1 << 20


@dataclass
class HubRepo:
    """A model on the Hub: its files, and who may read them."""

    files: dict[str, bytes]
    gated: bool = False
    granted: frozenset[str] = frozenset()
    """Tokens that may read a gated one."""
    branches: dict[str, str] = field(default_factory=dict)
    """Further names of its one commit."""

    @property
    def commit(self) -> str:
        """Of what is in it now."""
        content = "".join(f"{name}{_etag(data)}" for name, data in sorted(self.files.items()))
        return hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()

    @classmethod
    def of_folder(cls, folder: Path) -> HubRepo:
        """With the files of a model folder."""
        return cls({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})

    def knows(self, revision: str) -> bool:
        """Whether there is such a branch, tag or commit."""
        return revision in ("main", self.commit, *self.branches)


@dataclass
class Cut:
    """The connection breaks after so many bytes of a file, `times` times."""

    after_bytes: int
    times: int = 1


class HubServer:
    """Answers as the Hub does. `models` and what follows may be changed while it runs."""

    def __init__(self) -> None:
        self.models: dict[str, HubRepo] = {}
        self.cuts: dict[str, Cut] = {}
        """By file name."""
        self.refuses: int | None = None
        """A status that everything is answered with."""
        self.page: bytes | None = None
        """What everything is answered with: whoever asks has come to something else."""
        self.before_file: Callable[[str], None] = lambda name: None
        """Called before a file's content is sent."""
        self.asked: list[str] = []
        """`METHOD path` of every request."""
        self.sent: Counter[str] = Counter()
        """Bytes of content by file name."""
        self.tokens: set[str] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @cached_property
    def address(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Variables for a process that takes this for the Hub, and `home` for the client's folder; no token in them."""
        return {"HF_ENDPOINT": self.address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "", "HF_TOKEN": "", **more}

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


# Once for each content: a benchmark's server must not spend its time on sums.
@lru_cache
def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if len(data) >= _LARGE_BYTES else _git_oid(data)


@lru_cache
def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


_INFO = re.compile(r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+(?:/[^/]+)?)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<repo>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


class _Refused(Exception):
    """An answer that is an error: status, and the code that the client goes by."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def _handler(hub: HubServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

        def _answer(self, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {path}")
            with suppress(BrokenPipeError, ConnectionResetError):
                try:
                    self._route(path, with_body)
                except _Refused as refused:
                    self._send(refused.status, b"", {"X-Error-Code": refused.code, "X-Error-Message": refused.message})

        def _route(self, path: str, with_body: bool) -> None:
            if hub.refuses is not None:
                raise _Refused(hub.refuses)
            if hub.page is not None:
                self._send(200, hub.page, {"Content-Type": "text/html"})
                return
            if found := _TREE.fullmatch(path):
                repo = self._repo(found["repo"], found["revision"])
                self._send(200, json.dumps(list(_tree(repo))).encode(), {"Content-Type": "application/json"})
            elif found := _INFO.fullmatch(path):
                repo = self._repo(found["repo"], found["revision"] or "main")
                self._send(200, json.dumps(_info(found["repo"], repo)).encode(), {"Content-Type": "application/json"})
            elif found := _FILE.fullmatch(path):
                repo = self._repo(found["repo"], found["revision"])
                self._may_read(repo)
                if found["name"] not in repo.files:
                    raise _Refused(404, "EntryNotFound")
                self._file(repo, found["name"], with_body)
            else:
                raise _Refused(404)

        def _repo(self, name: str, revision: str) -> HubRepo:
            token = self._token()
            if token is not None and not token.startswith("hf_"):
                raise _Refused(401, "", "Invalid credentials in Authorization header")
            if (repo := hub.models.get(name)) is None:
                # Of what is private as well: whether it is there is nobody's business.
                raise _Refused(404, "RepoNotFound") if token else _Refused(401, "", "Invalid username or password.")
            if not repo.knows(revision):
                raise _Refused(404, "RevisionNotFound")
            return repo

        def _may_read(self, repo: HubRepo) -> None:
            token = self._token()
            if repo.gated and token not in repo.granted:
                raise _Refused(403 if token else 401, "GatedRepo")

        def _token(self) -> str | None:
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            if kind == "Bearer":
                hub.tokens.add(token)
                return token
            return None

        def _file(self, repo: HubRepo, name: str, with_body: bool) -> None:
            data, headers = repo.files[name], {"X-Repo-Commit": repo.commit, "ETag": f'"{_etag(repo.files[name])}"'}
            if len(data) >= _LARGE_BYTES:
                headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": headers["ETag"]}
            if not with_body:
                self._send(200, data, headers, with_body=False)
                return
            hub.before_file(name)
            begin, status = 0, HTTPStatus.OK
            if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                begin, status = int(asked[1]), HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self._send(status, data[begin:], headers, name=name)

        def _send(
            self, status: int, body: bytes, headers: Mapping[str, str], with_body: bool = True, name: str = ""
        ) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not with_body or self.command == "HEAD":
                return
            cut = hub.cuts.get(name)
            if cut is not None and cut.times > 0 and len(body) > cut.after_bytes:
                cut.times -= 1
                body = body[: cut.after_bytes]
                self.close_connection = True
            for start in range(0, len(body), _CHUNK_BYTES):
                chunk = body[start : start + _CHUNK_BYTES]
                self.wfile.write(chunk)
                hub.sent.update({name: len(chunk)} if name else {})

    return Handler


def _info(name: str, repo: HubRepo) -> dict[str, object]:
    siblings = [
        {"rfilename": file["path"], "size": file["size"], "blobId": file["oid"], **_lfs(file)} for file in _tree(repo)
    ]
    return {"id": name, "modelId": name, "sha": repo.commit, "gated": "manual" if repo.gated else False, "tags": [],
            "private": False, "downloads": 0, "likes": 0, "siblings": siblings}  # fmt: skip


def _lfs(file: Mapping[str, object]) -> dict[str, object]:
    lfs = file.get("lfs")
    return {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": 130}} if isinstance(lfs, dict) else {}


def _tree(repo: HubRepo) -> Iterator[dict[str, object]]:
    for name, data in sorted(repo.files.items()):
        lfs = {"lfs": {"oid": _etag(data), "size": len(data), "pointerSize": 130}} if len(data) >= _LARGE_BYTES else {}
        yield {"type": "file", "path": name, "size": len(data), "oid": _git_oid(data), **lfs}
