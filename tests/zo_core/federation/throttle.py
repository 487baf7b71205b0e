"""A TCP proxy that carries so many bytes per second, and breaks a connection when it is told to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

_PIECE = 4096  # bytes carried at once
_BUFFER = 1 << 18  # of the system, on each socket; loopback stalls with less than a segment


class Throttle:
    """A slow road to a broker on loopback.

    Args:
        port: the broker's.
        down_rate: bytes per second from the broker; None: as fast as it comes.
        up_rate: bytes per second to it.
    """

    def __init__(
        self, port: int, *, down_rate: float | None = None, up_rate: float | None = None
    ) -> None:
        self._target, self._rates = port, (up_rate, down_rate)
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.carried = [0, 0]  # bytes up and down
        self.cut_at: int | None = None  # bytes carried one way, at which all connections break
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break all connections; new ones are carried again."""
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for end in (near, far):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pairs.append((near, far))
                for way, ends in enumerate(((near, far), (far, near))):
                    threading.Thread(target=self._carry, args=(way, *ends), daemon=True).start()

    def _carry(self, way: int, source: socket.socket, sink: socket.socket) -> None:
        rate, due_s = self._rates[way], time.monotonic()
        with suppress(OSError):
            while data := source.recv(_PIECE):
                if rate is not None:
                    due_s = max(due_s, time.monotonic() - 0.05) + len(data) / rate
                    time.sleep(max(0.0, due_s - time.monotonic()))
                sink.sendall(data)
                self.carried[way] += len(data)
                if self.cut_at is not None and self.carried[way] >= self.cut_at:
                    self.cut_at, self.cuts = None, self.cuts + 1
                    self.cut()
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
