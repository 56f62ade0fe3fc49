"""Windows and splits of episodes, by slow and obvious loops."""


def ends_of(*lengths: int, rest: int = 0) -> list[bool]:
    """Of each row whether its episode ends there; `rest` rows of one whose end has not come."""
    return [i == n - 1 for n in lengths for i in range(n)] + [False] * rest


def episodes(done) -> list[list[int]]:
    """The rows of each episode; what follows the last end is one too."""
    found = [[]]
    for row, end in enumerate(done):
        found[-1].append(row)
        if end:
            found.append([])
    return [rows for rows in found if rows]


def windows(done, length: int) -> list[int]:
    """First rows of the windows in which no row before the last one is an end."""
    found = []
    for start in range(len(done)):
        if start + length > len(done):
            break
        for row in range(start, start + length - 1):
            if done[row]:
                break
        else:
            found.append(start)
    return found


def held_out(done, share: float) -> list[bool]:
    """The rows of the last episodes: the largest whole number within the share, 1 at least."""
    parts, count = episodes(done), 1
    while count + 1 <= share * len(parts):
        count += 1
    rows = sum(parts[-count:], [])
    return [row in rows for row in range(len(done))]
