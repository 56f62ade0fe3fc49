"""Wrong answers to the exercises of buffer.py: (old text, new text, what the learner reads)."""

SIMPLE = """\
        starts = self.random.integers(len(self.rows) - length + 1, size=batch)
        sequences = [stack(self.rows[start : start + length]) for start in starts]
        return stack(sequences)
"""

SAMPLE = """\
        sequences = []
        for number in chosen:
            start = self.random.integers(starts[number])
            episode = self.episodes[number]
            sequences.append({key: x[start : start + length] for key, x in episode.items()})
        return stack(sequences)
"""

MISTAKES = {
    "1.17": [
        (
            "len(self.rows) - length + 1",
            "len(self.rows) - length",
            "you never draw the last start: N rows have N - length + 1 starts, and integers(n) "
            "draws from 0 to n - 1",
        ),
        (
            "len(self.rows) - length + 1",
            "len(self.rows)",
            "you let a sequence begin at any row: one that begins near the end has too few rows",
        ),
        (
            "starts = self.random.integers(len(self.rows) - length + 1, size=batch)",
            "starts = [self.random.integers(len(self.rows) - length + 1)] * batch",
            "you draw one start for the whole batch: each sequence needs a start of its own",
        ),
        (
            "stack(self.rows[start : start + length])",
            "stack([self.rows[i] for i in self.random.integers(len(self.rows), size=length)])",
            "you gather single rows at random: a sequence is one start and the rows that follow it",
        ),
        (
            SIMPLE,
            """\
        starts = self.random.integers(len(self.rows), size=batch).clip(0, len(self.rows) - length)
        return stack([stack(self.rows[start : start + length]) for start in starts])
""",
            "you draw any row and move late ones back, so the last start is drawn far too often: "
            "draw among the possible starts only",
        ),
        (
            "return stack(sequences)",
            "return {key: x.swapaxes(0, 1) for key, x in stack(sequences).items()}",
            "you return (length, batch, ...): the batch comes first, then the time",
        ),
        (
            "return stack(sequences)",
            "return {key: x.astype(np.float32) for key, x in stack(sequences).items()}",
            "you turn everything into float32: images stay uint8, which needs a quarter of the "
            "memory, and flags stay bool",
        ),
        (
            "self.random.integers(len(self.rows) - length + 1, size=batch)",
            "np.random.randint(len(self.rows) - length + 1, size=batch)",
            "you draw from NumPy's global numbers, which no seed of the buffer decides: draw "
            "from self.random",
        ),
        (
            "self.random.integers(",
            "np.random.default_rng(0).integers(",
            "you make a new generator at every call, so every batch is the same: draw from "
            "self.random, which moves on",
        ),
        (
            "self.random.integers(len(self.rows) - length + 1, size=batch)",
            "self.random.choice(len(self.rows) - length + 1, size=batch, replace=False)",
            "you draw without replacement: a batch may be larger than the number of starts, and "
            "a start may come twice",
        ),
    ],
    "1.18": [
        (
            'if row["is_last"]:',
            'if row["is_terminal"]:',
            "you store an episode only where is_terminal is set: a time limit ends an episode "
            "too, and that is what is_last says",
        ),
        (
            "        self.current.append(row)\n",
            '        if not row["is_last"]:\n            self.current.append(row)\n',
            "you drop the last row, and with it the reward of the last action and is_terminal: "
            "append it before you store the episode",
        ),
        (
            "            self.current = []\n        self.current.append(row)\n",
            "            self.current = []\n        else:\n            self.current.append(row)\n",
            "you drop the row with is_first: it holds the observation that the first action was "
            "taken at",
        ),
        (
            '        if row["is_first"]:\n            self.current = []\n',
            "",
            "you keep the rows of an episode that was never finished, and glue them to the next "
            "one: is_first begins a new list",
        ),
        (
            '        if row["is_last"]:\n            self.episodes.append(stack(self.current))\n',
            "        if True:\n            self.episodes.append(stack(self.current))\n",
            "you store after every row, so each row is an episode of its own: wait for is_last",
        ),
        (
            "while len(self) > self.capacity and",
            "while len(self.episodes) > self.capacity and",
            "you count episodes against the capacity: it is a number of rows",
        ),
        (
            "self.episodes.pop(0)",
            "self.episodes.pop()",
            "you throw away the newest episode: the oldest one stands first in the list",
        ),
        (
            " and len(self.episodes) > 1",
            "",
            "you throw away the newest episode too if it alone exceeds the capacity: one episode "
            "always stays",
        ),
        (
            "            while len(self) > self.capacity and",
            "            if len(self) > self.capacity and",
            "you remove one episode at most: a long one may need the room of several",
        ),
        (
            "len(self) > self.capacity",
            "len(self) >= self.capacity",
            "you make room already when the buffer is just full: episodes go only while there "
            "are more rows than the capacity",
        ),
        (
            "self.episodes.append(stack(self.current))",
            "self.episodes.append({k: np.float32(x) for k, x in stack(self.current).items()})",
            "you turn everything into float32: images stay uint8, which needs a quarter of the "
            "memory, and flags stay bool",
        ),
        (
            "self.episodes.append(stack(self.current))",
            "self.episodes.append(self.current)",
            "you store the list of rows as it is: an episode is a dictionary of arrays, which "
            "`stack` makes of the list",
        ),
    ],
    "1.19": [
        (
            'len(e["reward"]) - length + 1',
            'len(e["reward"]) - length',
            "you never draw the last start of an episode (the official code's oversight): n rows "
            "have n - length + 1 starts",
        ),
        (
            "p=starts / starts.sum()",
            "p=(starts > 0) / (starts > 0).sum()",
            "you draw every episode equally often, so each start of a short one is favoured: all "
            "starts of all episodes are equally likely",
        ),
        (
            "p=starts / starts.sum()",
            'p=(n := [len(e["reward"]) * (len(e["reward"]) >= length) for e in self.episodes])'
            " / np.sum(n)",
            "you weigh episodes by their rows: what counts is their number of starts, "
            "n - length + 1",
        ),
        (
            "size=batch, p=starts / starts.sum()",
            "size=batch",
            "you also draw episodes that are too short for a sequence: leave those with fewer "
            "than `length` rows out",
        ),
        (
            SAMPLE,
            """\
        rows = {k: np.concatenate([e[k] for e in self.episodes]) for k in self.episodes[0]}
        count = len(rows["reward"]) - length + 1
        chosen = self.random.integers(count, size=batch)
        return stack([{k: x[i : i + length] for k, x in rows.items()} for i in chosen])
""",
            "you lay all episodes end to end, so sequences run from one into the next: cut each "
            "one out of a single episode",
        ),
        (
            "self.random.integers(starts[number])",
            "0",
            "you always begin with an episode's first row: draw a start inside the episode too",
        ),
        (
            "self.random.choice(len(starts), size=batch, p=starts / starts.sum())",
            "[self.random.choice(len(starts), p=starts / starts.sum())] * batch",
            "you draw one episode for the whole batch: each sequence needs a draw of its own",
        ),
        (
            SAMPLE,
            """\
        sequences = []
        for number in chosen:
            rows = len(self.episodes[number]["reward"])
            start = min(self.random.integers(rows), rows - length)
            episode = self.episodes[number]
            sequences.append({key: x[start : start + length] for key, x in episode.items()})
        return stack(sequences)
""",
            "you draw any row and move late ones back, so an episode's last start is drawn far "
            "too often: draw among the possible starts only",
        ),
        (
            "return stack(sequences)",
            "return {key: x.swapaxes(0, 1) for key, x in stack(sequences).items()}",
            "you return (length, batch, ...): the batch comes first, then the time",
        ),
        (
            "return stack(sequences)",
            "return {key: x.astype(np.float32) for key, x in stack(sequences).items()}",
            "you turn everything into float32: images stay uint8, which needs a quarter of the "
            "memory, and flags stay bool",
        ),
        (
            "chosen = self.random.choice(",
            "self.random = np.random.default_rng()\n        chosen = self.random.choice(",
            "you draw from a generator that the buffer's seed does not decide: draw from "
            "self.random",
        ),
    ],
}
