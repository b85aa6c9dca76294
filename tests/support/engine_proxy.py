"""A proxy in front of the engine's socket that loses a request or an answer when it is told to.

What a busy or dying engine does about once in a thousand calls happens here on demand, with the real engine behind it.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Loss = Literal["request", "answer", "connection"]
"""The engine never hears of it; or nobody hears what it answered; or the connection ends instead of an answer."""


@dataclass
class EngineProxy:
    """Hands on what it is not told to lose. `calls` are the first lines of all requests that reached the engine."""

    engine: Path
    socket_file: Path
    calls: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Those that did not."""
    _hanging: bool = False
    _losses: list[tuple[Loss, re.Pattern[str]]] = field(default_factory=list)
    _clients: list[socket.socket] = field(default_factory=list)

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.socket_file}"

    def hang(self, *, hanging: bool = True) -> None:
        """From now on every request is lost; or none any more."""
        self._hanging = hanging

    def lose(self, loss: Loss, pattern: str) -> None:
        """The next call whose `METHOD /path` matches goes wrong; only that one."""
        self._losses.append((loss, re.compile(pattern)))

    @property
    def lost_all(self) -> bool:
        """Whether everything went wrong that had to."""
        return not self._losses

    def calls_of(self, pattern: str) -> list[str]:
        """The calls that reached the engine and match."""
        return [call for call in self.calls if re.search(pattern, call)]

    def drop_connections(self) -> None:
        """End every connection: those that clients keep for their next call."""
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def serving(self) -> Iterator[EngineProxy]:
        """Accept connections within a `with`."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.socket_file))
            listener.listen()
            accepting = threading.Thread(target=self._accept, args=(listener,))
            accepting.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()
                self.drop_connections()
                self.socket_file.unlink()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """One connection: requests one by one, answers as they come."""
        with client, socket.socket(socket.AF_UNIX) as engine, suppress(OSError):
            engine.connect(str(self.engine))
            muted = threading.Event()
            threading.Thread(target=_pump, args=(engine, client, muted), daemon=True).start()
            while request := _request(client):
                self._hand_on(request, client, engine, muted)

    def _hand_on(self, request: bytes, client: socket.socket, engine: socket.socket, muted: threading.Event) -> None:
        first_line = request.split(b"\r\n", 1)[0].decode().removesuffix(" HTTP/1.1")
        loss = self._loss_of(first_line)
        if loss is not None:
            muted.set()
        if loss == "request":
            self.lost.append(first_line)
        else:
            self.calls.append(first_line)
            engine.sendall(request)
        if loss == "connection":
            client.shutdown(socket.SHUT_RDWR)

    def _loss_of(self, first_line: str) -> Loss | None:
        if self._hanging:
            return "request"
        for planned in self._losses:
            if planned[1].search(first_line):
                self._losses.remove(planned)
                return planned[0]
        return None


def _request(client: socket.socket) -> bytes:
    """The next request, whole; nothing at the connection's end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(1 << 16)
        if not piece:
            return b""
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    while length is not None and len(body) < int(length[1]):
        piece = client.recv(1 << 16)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body


def _pump(engine: socket.socket, client: socket.socket, muted: threading.Event) -> None:
    with suppress(OSError):
        while piece := engine.recv(1 << 16):
            if not muted.is_set():
                client.sendall(piece)
        client.shutdown(socket.SHUT_RDWR)
