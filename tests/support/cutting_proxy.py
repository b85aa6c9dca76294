"""A proxy before a server on the loopback interface: in the middle of an answer connections end, or stand still."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_PIECE_BYTES = 1 << 14


@dataclass
class CuttingProxy:
    """Hands on what it is not told to cut. `sent_bytes` is what reached the clients, answers' heads included."""

    server_port: int
    port: int = 0
    sent_bytes: int = 0
    cuts: list[int] = field(default_factory=list)
    """The next answer of more bytes than the first of these ends there, and takes that number with it."""
    stall_after_bytes: int | None = None
    """An answer of more bytes stands still then, and nothing ends."""
    stalled: threading.Event = field(default_factory=threading.Event)
    """Set once one does."""
    _closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sockets: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> str:
        """In place of the server's."""
        return f"127.0.0.1:{self.port}"

    @contextmanager
    def serving(self) -> Iterator[CuttingProxy]:
        """Accept connections within a `with`."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            accepting = threading.Thread(target=self._accept, args=(listener,))
            accepting.start()
            try:
                yield self
            finally:
                self._closing.set()
                listener.shutdown(socket.SHUT_RDWR)
                accepting.join()
                for each in self._sockets:
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self._sockets += [client, server]
                threading.Thread(target=self._hand_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(_PIECE_BYTES):
                server.sendall(piece)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        sent = 0
        with suppress(OSError), server, client:
            while piece := server.recv(_PIECE_BYTES):
                sent += len(piece)
                if self.stall_after_bytes is not None and sent > self.stall_after_bytes:
                    self.stalled.set()
                    self._closing.wait()
                    return
                if self._cuts(sent):
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(piece)
                with self._lock:
                    self.sent_bytes += len(piece)

    def _cuts(self, sent_bytes: int) -> bool:
        with self._lock:
            if self.cuts and sent_bytes > self.cuts[0]:
                del self.cuts[0]
                return True
            return False
