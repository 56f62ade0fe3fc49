"""Correct answers, written differently: terse, with library functions."""

import numpy as np


def valid_starts(done, length):
    # EXERCISE 4.26: `starts`: count the ends before each row; a window has none before its last row
    starts = np.empty(0, int)
    if length <= len(done):
        inner = np.lib.stride_tricks.sliding_window_view(done, length)[:, :-1]
        (starts,) = np.nonzero(~inner.any(axis=1))
    # END 4.26
    if not len(starts):
        raise ValueError(f"no episode has {length} rows: take shorter windows")
    return starts


def split_by_episode(done, share=0.1):
    # EXERCISE 4.27: number the episodes, hold out the last ones
    later = np.cumsum(done[::-1])[::-1]  # ends from here on: episodes counted from the back
    unfinished = not done[-1]
    held = max(int((done.sum() + unfinished) * share), 1)
    return later + unfinished <= held
    # END 4.27
