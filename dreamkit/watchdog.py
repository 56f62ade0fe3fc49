"""An environment that does not answer ends a run with one line, and not in silence.

A thread looks now and then which environment is at work. Where that is the same step for too long,
the main thread is interrupted inside it, and the failure is handled like any other: what was
collected is saved. Code that cannot be interrupted ends the process.
"""

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager

LIMIT = 120.0  # seconds, where nothing else is said
GRACE = 5.0  # seconds from the interruption to the end of the process

busy = None  # the Slot that is waiting for its environment now; set in dreamkit/collect.py


def moment() -> tuple | None:
    """What is being waited for: equal only during one step of one environment."""
    slot = busy
    return slot and (slot, slot.episode, len(slot.actions))


@contextmanager
def watching(limit: float = LIMIT):
    """While the block runs, an environment may take `limit` seconds for a step; 0: for ever."""
    interrupt = getattr(signal, "SIGVTALRM", None)  # Windows has none
    main = threading.current_thread() is threading.main_thread()
    if not limit:
        yield
        return
    late = [None]  # the moment that has lasted too long
    ended = threading.Event()

    def raise_in_main(number, frame):
        if late[0] and late[0] == moment():
            raise TimeoutError(f"no answer within {limit:g} seconds (env_timeout)")

    def look():
        seen, since = None, 0.0
        while not ended.wait(min(1.0, limit / 4)):
            now, time_now = moment(), time.monotonic()
            if now is None or now != seen:
                seen, since, late[0] = now, time_now, None
            elif time_now - since > limit + GRACE:
                print(
                    f"error: {now[0].place()} gives no answer and cannot be interrupted; "
                    "the last checkpoint is intact",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
                os._exit(2)
            elif time_now - since > limit and late[0] is None:
                late[0] = now
                if interrupt and main:
                    signal.pthread_kill(threading.main_thread().ident, interrupt)

    before = signal.signal(interrupt, raise_in_main) if interrupt and main else None
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if before is not None:
            signal.signal(interrupt, before)
