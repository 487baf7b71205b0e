"""The round log: a snapshot and the results since; together they are the model at any round.

Where it is kept is the store's matter: in memory for a training in one process, in a file that is
synced before a result is sent for a server.  Compacted, it begins with a snapshot of now; the
results before that stay as far back as sending them is fewer bytes than a snapshot.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import cast

from zo_core.federation.store import MemoryStore, Store, StoreError
from zo_core.method import Method, RoundContext
from zo_core.payloads.core import Payload, Snapshot
from zo_core.replica import Replica

_SLOT = struct.Struct("<I")
_KEPT_RESULTS = 2  # results whose digests tell what a client holds
SMALL_BYTES = 1 << 16  # of results: compacting fewer frees less than it wears the disk


class Entry(IntEnum):
    """Kinds of records in the store."""

    META = 1  # the first: what the run is, as its owner encodes it
    MEMBER = 2  # a slot, then the identity that has it
    SNAPSHOT = 3
    RESULT = 4


class RoundLog:
    """Results as encoded bodies, from a snapshot on.

    Args:
        snapshot: the state that the first result applies to.
        context_of: derives a round's context, as every party can.
        store: where the records go; whatever it holds is replaced.
        meta: what whoever opens the log again must know first.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        context_of: Callable[[int], RoundContext],
        *,
        store: Store | None = None,
        meta: bytes = b"",
    ) -> None:
        self._context_of = context_of
        self._store = MemoryStore() if store is None else store
        self._meta = meta
        self.roster: dict[str, int] = {}  # identity -> slot
        self.rebase_(snapshot)

    @classmethod
    def open(cls, store: Store, context_of: Callable[[int], RoundContext]) -> RoundLog:
        """Go on with what a store holds.

        Raises:
            StoreError: it holds no round log.
        """
        log = cls.__new__(cls)
        log._context_of, log._store = context_of, store
        log._meta, log.roster = meta_of(store), {}
        log._index_()
        return log

    @property
    def snapshot(self) -> Snapshot:
        """The state that the first result applies to."""
        return cast(Snapshot, Payload.decode(self._store.read(self._snapshot_at)[1]))

    @property
    def next_round(self) -> int:
        """The round whose result comes next."""
        return self.first_round + len(self._results)

    @property
    def outweighs_snapshots(self) -> bool:
        """Whether the results are more bytes than two snapshots: compacting frees half of them.

        Few bytes stay as they are: compacting syncs the disk three times, a round once.
        """
        return self._sums[-1] > max(2 * self.snapshot_bytes, SMALL_BYTES)

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """Encoded results, from the snapshot's round on."""
        return tuple(self.tail(self.snapshot_round))

    def append(self, result: Payload) -> bytes:
        """Add a round's result, which is kept when this returns; return it encoded.

        Raises:
            ValueError: it is not the next round's.
            StoreError: it could not be kept; the log is as it was.
        """
        if result.round_index != self.next_round:
            raise ValueError(
                f"the log's next round is {self.next_round}, got a result of {result.round_index}"
            )
        body = result.encode()
        self._store.append(Entry.RESULT, body)
        self._note_result(len(self._store) - 1, len(body))
        return body

    def enrol(self, identity: str, slot: int) -> None:
        """Bind an identity to a slot for good."""
        self._store.append(Entry.MEMBER, _SLOT.pack(slot) + identity.encode())
        self.roster[identity] = slot

    def rebase_(self, snapshot: Snapshot) -> None:
        """Begin anew with a snapshot of now; rounds before it can no longer be replayed."""
        self._replace(snapshot.encode(), earlier=())

    def compact_(self, snapshot: Snapshot) -> None:
        """Begin with a snapshot of now; keep the results that are fewer bytes than it to send.

        The last two stay in any case: by their digests a fork is told from a client that is late.
        Killed at any instant, the store holds the log of before or of after.

        Args:
            snapshot: of the state before the next round.

        Raises:
            ValueError: it is of another round.
            StoreError: it could not be kept; the log is as it was.
        """
        if snapshot.round_index != self.next_round:
            raise ValueError(
                f"the log's next round is {self.next_round}, got a snapshot of "
                f"{snapshot.round_index}"
            )
        body = snapshot.encode()
        total = self._sums[-1]
        first = next(i for i, before in enumerate(self._sums) if total - before <= len(body))
        first = min(first, max(0, len(self._results) - _KEPT_RESULTS))
        earlier = list(self.tail(self.first_round + first))
        self._replace(body, earlier=earlier)

    def _replace(self, snapshot: bytes, *, earlier: Iterable[bytes]) -> None:
        members = [(Entry.MEMBER, _SLOT.pack(s) + i.encode()) for i, s in self.roster.items()]
        results = [(Entry.RESULT, body) for body in earlier]
        self._store.replace(
            [(Entry.META, self._meta), *members, *results, (Entry.SNAPSHOT, snapshot)]
        )
        self._index_()

    def result(self, round_index: int) -> Payload:
        """Return a round's result."""
        at = self._results[round_index - self.first_round]
        return Payload.decode(self._store.read(at)[1])

    def tail(self, from_round: int) -> Iterator[bytes]:
        """Read the encoded results from a round on, one at a time."""
        for at in self._results[from_round - self.first_round :]:
            yield self._store.read(at)[1]

    def tail_bytes(self, from_round: int) -> int:
        """Count the bytes of the results from a round on."""
        return self._sums[-1] - self._sums[from_round - self.first_round]

    def replay_(self, method: Method, replica: Replica, *, from_round: int | None = None) -> None:
        """Bring a replica to the newest round.

        Args:
            method: the method of the logged rounds.
            replica: holds the weights before from_round.
            from_round: None to begin with the snapshot.

        Raises:
            ForkError: the replica's weights are not the run's.
            ValueError: the log does not reach back to from_round, or not up to it.
        """
        if from_round is None:
            replica.restore_(self.snapshot)
            from_round = self.snapshot_round
        if not self.first_round <= from_round <= self.next_round:
            raise ValueError(
                f"from_round must be in [{self.first_round}, {self.next_round}], got {from_round}; "
                "start with the snapshot (from_round=None)"
            )
        for body in self.tail(from_round):
            result = Payload.decode(body)
            method.apply_(replica, result, self._context_of(result.round_index))

    def _index_(self) -> None:
        """Note where in the store everything is."""
        self._results: list[int] = []
        self._sums = [0]  # bytes of the results up to each
        self._snapshot_at, earlier = -1, 0
        for at in range(len(self._store)):
            kind, body = self._store.read(at)
            if kind == Entry.MEMBER:
                self.roster[body[_SLOT.size :].decode()] = _SLOT.unpack_from(body)[0]
            elif kind == Entry.SNAPSHOT:
                self._snapshot_at, self.snapshot_bytes = at, len(body)
                earlier = len(self._results)
            elif kind == Entry.RESULT:
                self._note_result(at, len(body))
        if self._snapshot_at < 0:
            raise StoreError("the round log holds no snapshot; start a new run in another folder")
        self.snapshot_round = self.snapshot.round_index
        self.first_round = self.snapshot_round - earlier  # of the results

    def _note_result(self, at: int, size: int) -> None:
        self._results.append(at)
        self._sums.append(self._sums[-1] + size)


def meta_of(store: Store) -> bytes:
    """Return what a store's log was begun with.

    Raises:
        StoreError: it holds no log.
    """
    kind, body = store.read(0) if len(store) else (0, b"")
    if kind != Entry.META:
        raise StoreError("the store holds no round log; start a new run in another folder")
    return body
