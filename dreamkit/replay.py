"""Replay: sequences of rows, kept per environment as they happened.

A row is what is known when an observation arrives: the observation, the previous action, which led
to it (zeros where is_first), the reward that came with it, is_first, is_last (the episode ends here
for any reason) and is_terminal (the value of the future is zero).

Rows are records in chunks. A chunk is only appended to, and a full one never changes, so saving
writes new rows alone. Where all rows would take more than a set amount of memory, full chunks are
memory-mapped from their files. Latents, which a recurrent agent stores to start a sequence in the
middle, are the one thing that changes; they stay in memory.
"""

import os
from pathlib import Path

import numpy as np
import torch

CHUNK = 1024  # rows of a chunk
GIB = 2**30
LATENTS_SAVED = GIB // 4  # above this, latents are not part of a checkpoint


def amount(size: float) -> str:
    """Bytes as a person reads them: 1.5 MiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


class Chunk:
    """Up to CHUNK consecutive rows of one environment, and their latents."""

    def __init__(self, row: np.dtype, latent: np.dtype, path: Path | None):
        self._hold(np.zeros(CHUNK, row))
        self.latents = np.zeros(CHUNK, latent)
        self.latent_columns = [(name, self.latents[name]) for name in latent.names or ()]
        self.path = path
        self.count = 0  # rows that are there
        self.written = 0  # rows of them that are in the file

    def _hold(self, rows: np.ndarray) -> None:
        """Take an array for the rows. Columns are for appending, which mapped rows are beyond."""
        full = isinstance(rows, np.memmap)
        self.rows = rows
        self.columns = [] if full else [(name, rows[name]) for name in rows.dtype.names]

    def append(self, row: dict, latents: dict | None) -> None:
        count = self.count
        for name, column in self.columns:
            column[count] = row[name]
        if latents:
            for name, column in self.latent_columns:
                column[count] = latents[name]
        self.count = count + 1

    def cut(self) -> None:
        """Mark the newest row as the last of its episode."""
        self._hold(np.array(self.rows))
        self.rows["is_last"][self.count - 1] = True
        self.written = min(self.written, self.count - 1)

    def write(self, mapped: bool) -> None:
        """Append to the file what is not there yet; if full, read on from the file if `mapped`."""
        if self.written < self.count:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "r+b" if self.path.exists() else "wb") as file:
                file.seek(self.written * self.rows.itemsize)
                file.write(self.rows[self.written : self.count].tobytes())
                file.truncate()
                file.flush()
                os.fsync(file.fileno())
            self.written = self.count
        if mapped and self.count == CHUNK and not isinstance(self.rows, np.memmap):
            self._hold(np.memmap(self.path, self.rows.dtype, "r", shape=CHUNK))

    def read(self, count: int, mapped: bool) -> None:
        """Take the first `count` rows back from the file."""
        rows = np.memmap(self.path, self.rows.dtype, "r", shape=count)
        if mapped and count == CHUNK:
            self._hold(rows)
        else:
            self.rows[:count] = rows
        self.count = self.written = count


class Stream:
    """The rows of one environment: chunks, all full but the last; the oldest may be gone."""

    def __init__(self):
        self.chunks: list[Chunk] = []
        self.dropped = 0  # chunks that are gone

    @property
    def begin(self) -> int:
        """Position of the oldest row that is there; positions count from the first row ever."""
        return self.dropped * CHUNK

    @property
    def end(self) -> int:
        """Position after the newest row."""
        if not self.chunks:
            return self.begin
        return self.begin + (len(self.chunks) - 1) * CHUNK + self.chunks[-1].count

    def pieces(self, start: int, stop: int):
        """(chunk, slice in the chunk, slice in the sequence) that together make [start, stop)."""
        position = start
        while position < stop:
            number, offset = divmod(position - self.begin, CHUNK)
            length = min(stop - position, CHUNK - offset)
            inside = slice(offset, offset + length)
            yield self.chunks[number], inside, slice(position - start, position - start + length)
            position += length


class Replay:
    """
    fields     {name: (shape, dtype)} of a row
    latents    {name: (shape, dtype)} that the agent stores beside each row; may be empty
    streams    number of environments
    capacity   rows to keep; the oldest chunks go first
    folder     where to save; None: in memory only
    expected   rows that the run will collect, to choose between memory and files
    memory     bytes of rows to keep in memory
    """

    def __init__(
        self, fields: dict, latents: dict, streams: int, capacity: int = 1_000_000,
        folder: Path | None = None, expected: int = 0, memory: int = 2 * GIB, seed: int = 0,
    ):  # fmt: skip
        self.row = np.dtype([(name, dtype, shape) for name, (shape, dtype) in fields.items()])
        self.latent = np.dtype([(name, dtype, shape) for name, (shape, dtype) in latents.items()])
        self.streams = [Stream() for _ in range(streams)]
        self.capacity, self.folder = capacity, folder
        self.expected = min(capacity, expected or capacity)
        self.mapped = folder is not None and self.expected * self.row.itemsize > memory
        self.random = np.random.default_rng(seed)
        self.samples = 0  # batches drawn so far
        self.trash: list[Path] = []  # files of dropped chunks, needed until the next checkpoint

    def __len__(self) -> int:
        return sum(stream.end - stream.begin for stream in self.streams)

    def describe(self) -> str:
        """One line about size and memory."""
        rows, latents = (amount(self.expected * t.itemsize) for t in (self.row, self.latent))
        place = f"mapped from {self.folder}" if self.mapped else "in memory"
        return (
            f"replay: up to {self.expected:,} rows of {self.row.itemsize:,} bytes = {rows} "
            f"{place}, latents {latents} in memory"
        )

    def add(self, stream: int, row: dict, latents: dict | None = None) -> None:
        """Append one row of environment `stream`."""
        chunks = self.streams[stream].chunks
        if not chunks or chunks[-1].count == CHUNK:
            number = self.streams[stream].dropped + len(chunks)
            path = self.folder and self.folder / f"{stream}-{number}.rows"
            chunks.append(Chunk(self.row, self.latent, path))
        chunk = chunks[-1]
        chunk.append(row, latents)
        if chunk.count == CHUNK:
            if self.mapped:
                chunk.write(mapped=True)
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        while len(self) > self.capacity:
            stream = max(self.streams, key=lambda stream: len(stream.chunks))
            if len(stream.chunks) < 2:
                return
            chunk = stream.chunks.pop(0)
            stream.dropped += 1
            if chunk.written:
                self.trash.append(chunk.path)

    def cut(self, stream: int) -> None:
        """Mark the newest row of a stream as the last of its episode, which cannot be continued."""
        if self.streams[stream].chunks:
            self.streams[stream].chunks[-1].cut()

    # --- sampling ---------------------------------------------------------------------------------

    def ready(self, length: int) -> bool:
        """Whether there is a sequence of this length."""
        return any(stream.end - stream.begin >= length for stream in self.streams)

    def sample(self, batch: int, length: int) -> dict[str, np.ndarray]:
        """Sequences of consecutive rows: one newest, the others uniform over all that are there.

        return   {name: (batch, length, ...)}, latents of the row before each sequence
                 {name: (batch, ...)} (zeros if there is none), and `index` (batch, 2) for `refresh`

        A sequence may cross from one episode into the next; is_first marks the joint.
        """
        counts = np.array([s.end - s.begin - length + 1 for s in self.streams]).clip(min=0)
        if not counts.any():
            raise ValueError(f"the replay has no sequence of {length} rows yet")
        bounds = counts.cumsum()
        drawn = self.random.integers(bounds[-1], size=batch)
        index = np.empty((batch, 2), np.int64)
        index[:, 0] = np.searchsorted(bounds, drawn, side="right")
        first = np.array([stream.begin for stream in self.streams]) - (bounds - counts)
        index[:, 1] = drawn + first[index[:, 0]]
        fresh = np.flatnonzero(counts)
        newest = fresh[self.samples % len(fresh)]  # the environments take turns
        index[0] = newest, self.streams[newest].end - length
        self.samples += 1
        return self._gather(index, length)

    def _gather(self, index: np.ndarray, length: int) -> dict[str, np.ndarray]:
        rows = np.empty((len(index), length), self.row)
        before = np.zeros(len(index), self.latent)
        for b, (number, start) in enumerate(index):
            stream = self.streams[number]
            for chunk, inside, outside in stream.pieces(start, start + length):
                rows[b, outside] = chunk.rows[inside]
            if start > stream.begin:
                for chunk, inside, _ in stream.pieces(start - 1, start):
                    before[b] = chunk.latents[inside][0]
        batch = {name: np.ascontiguousarray(rows[name]) for name in self.row.names}
        batch |= {name: np.ascontiguousarray(before[name]) for name in self.latent.names}
        return batch | {"index": index}

    def refresh(self, index: np.ndarray, latents: dict[str, np.ndarray]) -> None:
        """Replace the stored latents of sampled rows, {name: (batch, length, ...)}."""
        length = next(iter(latents.values())).shape[1]
        for b, (number, start) in enumerate(index):
            for chunk, inside, outside in self.streams[number].pieces(start, start + length):
                for name in self.latent.names:
                    chunk.latents[name][inside] = latents[name][b, outside]

    # --- saving -----------------------------------------------------------------------------------

    def save(self) -> dict:
        """Write new rows to the files; return all else, as the checkpoint keeps it."""
        chunks = [chunk for stream in self.streams for chunk in stream.chunks]
        for chunk in chunks:
            chunk.write(self.mapped)
        latents = b""
        if len(self) * self.latent.itemsize <= LATENTS_SAVED:
            latents = b"".join(chunk.latents[: chunk.count].tobytes() for chunk in chunks)
        return {
            "streams": [[stream.dropped, stream.end] for stream in self.streams],
            "random": repr(self.random.bit_generator.state),
            "samples": self.samples,
            "row": str(self.row.descr),
            "latents": torch.frombuffer(bytearray(latents or b"\0"), dtype=torch.uint8),
        }

    def clean(self) -> None:
        """Delete the files of dropped chunks. Call it once no checkpoint needs them."""
        for path in self.trash:
            path.unlink(missing_ok=True)
        self.trash.clear()

    def load(self, state: dict) -> None:
        """Take the rows back as they were when `state` was saved; later rows in files are ignored.

        errors   ValueError where the rows have other fields; OSError where files are missing
        """
        import ast

        if state["row"] != str(self.row.descr):
            raise ValueError("the saved replay has rows of another form")
        for number, (stream, (dropped, end)) in enumerate(
            zip(self.streams, state["streams"], strict=True)
        ):
            stream.dropped, stream.chunks = dropped, []
            for old in range(dropped):  # left behind where a run was killed before `clean`
                (self.folder / f"{number}-{old}.rows").unlink(missing_ok=True)
            while stream.end < end:
                chunk_number = dropped + len(stream.chunks)
                path = self.folder / f"{number}-{chunk_number}.rows"
                chunk = Chunk(self.row, self.latent, path)
                chunk.read(min(CHUNK, end - chunk_number * CHUNK), self.mapped)
                stream.chunks.append(chunk)
        self.random.bit_generator.state = ast.literal_eval(state["random"])
        self.samples = state["samples"]
        self._load_latents(state["latents"].numpy().tobytes())

    def _load_latents(self, data: bytes) -> None:
        chunks = [chunk for stream in self.streams for chunk in stream.chunks]
        if self.latent.itemsize and len(data) == len(self) * self.latent.itemsize:
            latents, position = np.frombuffer(data, self.latent), 0
            for chunk in chunks:
                chunk.latents[: chunk.count] = latents[position : position + chunk.count]
                position += chunk.count
