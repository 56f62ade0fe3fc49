"""Wrong answers to the exercises of tokens.py: (old text, new text, what the learner reads)."""

INSIDE = "ends[starts + length - 1] == ends[starts]"
CHOICE = "starts = starts[ends[starts + length - 1] == ends[starts]]"
HELD = "episode >= count - max(1, int(count * share))"

MISTAKES = {
    "4.26": [
        (
            "starts + length - 1",
            "starts + length",
            "you forbid an end in the last row of a window: it is the last one of its episode, and "
            "belongs to it",
        ),
        (
            "np.concatenate([[0], np.cumsum(done)])",
            "np.cumsum(done)",
            "you count ends up to a row with that row itself: an end in the first row then goes "
            "unseen, and one in the last row does not",
        ),
        (
            "starts + length - 1",
            "np.maximum(starts + length - 2, starts)",
            "you allow an end in the last row but one: the last row is then of the next episode",
        ),
        (
            "len(done) - length + 1",
            "len(done) - length",
            "your last window is missing: it begins in row N - L",
        ),
        (
            "len(done) - length + 1",
            "len(done) - length + 2",
            "you let a window begin in row N - L + 1: its last row is not there",
        ),
        (
            INSIDE,
            "ends[starts + length - 1] != ends[starts]",
            "you return the windows that an end cuts: wanted are the others",
        ),
        (
            INSIDE,
            "ends[starts + length - 1] <= ends[starts] + 1",
            "you allow one end inside a window: there may be none before its last row",
        ),
        (
            CHOICE,
            "starts = ends[starts + length - 1] == ends[starts]",
            "you return whether each row begins a window: wanted are the numbers of the rows that "
            "do",
        ),
        (
            CHOICE,
            CHOICE + " + length - 1",
            "you return the last rows of the windows: wanted are the first ones",
        ),
        (
            CHOICE,
            CHOICE + "\n    starts = starts[ends[starts] < done.sum()]",
            "you leave out what follows the last end: that is an episode too, whose end has not "
            "come yet",
        ),
        (
            CHOICE,
            CHOICE + "\n    starts = starts[done[starts + length - 1]]",
            "you keep only the windows that end with their episode: any others are as good",
        ),
        (
            CHOICE,
            CHOICE + "\n    starts = starts[np.unique(ends[starts], return_index=True)[1]]",
            "you take one window of each episode: wanted are all of them, however they overlap",
        ),
        (
            CHOICE,
            CHOICE + "\n"
            "    first = np.concatenate([[0], np.flatnonzero(done) + 1])[ends[starts]]\n"
            "    starts = starts[(starts - first) % length == 0]",
            "you lay the windows of an episode end to end: wanted are all of them, one from each "
            "row that has L rows of its episode from there on",
        ),
        (
            "len(done) - length + 1)",
            "0, len(done) - length + 1, length)",
            "you cut all rows into windows and keep those without an end inside: a window may "
            "begin in any row",
        ),
        (
            CHOICE,
            CHOICE + "[::-1]",
            "your rows are in falling order: they rise",
        ),
        (
            CHOICE,
            CHOICE + ".astype(float)",
            "you return floats, which are no row numbers",
        ),
        (
            "np.cumsum(done)",
            "np.cumsum(done, out=done)",
            "you write the sums into the caller's `done`: make a new array",
        ),
        (
            "ends = np.concatenate",
            "done[-1] = True\n    ends = np.concatenate",
            "you write an end into the last row of the caller's `done`: that episode goes on",
        ),
        (
            CHOICE,
            CHOICE + ".astype(np.int16)",
            "your integers are too small: rows may be many, 8 or 16 bits do not hold their numbers",
        ),
        (
            CHOICE,
            CHOICE + ".tolist()",
            "you return a list: it is an array",
        ),
        (
            "np.cumsum(done)",
            "np.cumsum(done, dtype=np.uint8)",
            "you count ends in 8 bits: 256 of them are 0 again",
        ),
    ],
    "4.27": [
        (
            "np.cumsum(done) - done",
            "np.cumsum(done)",
            "you count the row that ends an episode to the next one: it is the last of its own",
        ),
        (
            "episode >=",
            "episode >",
            "you hold out one episode less than the share says, or none at all",
        ),
        (
            "episode >=",
            "episode <",
            "you return the rows that stay: wanted are those that are held out",
        ),
        (
            "episode[-1] + 1",
            "episode[-1]",
            "you take the last episode's number for how many there are: numbers begin with 0",
        ),
        (
            "episode[-1] + 1",
            "done.sum()",
            "you count ends instead of episodes: what follows the last end is an episode too",
        ),
        (
            "episode[-1] + 1",
            "done.sum() + 1",
            "you count one episode more than ends, even where the last row is an end",
        ),
        (
            HELD,
            "episode < max(1, int(count * share))",
            "you hold out the first episodes: it is the last ones",
        ),
        (
            HELD,
            "np.arange(len(done)) >= len(done) - max(1, int(len(done) * share))",
            "you hold out the last share of the rows: that cuts an episode in two, and windows of "
            "both sides are then of one episode",
        ),
        (
            HELD,
            "episode >= episode[len(done) - max(1, int(len(done) * share))]",
            "you take a share of the rows and add what is missing of an episode: the share is of "
            "the episodes, however long they are",
        ),
        (
            "max(1, int(count * share))",
            "int(count * share)",
            "you hold out nothing where the share is less than one episode: hold out one at least",
        ),
        (
            "int(count * share)",
            "round(count * share)",
            "you round to the nearest number of episodes: round down",
        ),
        (
            "int(count * share)",
            "int(np.ceil(count * share))",
            "you round the number of episodes up: round down",
        ),
        (
            "max(1, int(count * share))",
            "1 + int(count * share)",
            "you always add one episode to the share: one at least, where the share allows none",
        ),
        (
            "max(1, int(count * share))",
            "1",
            "you hold out one episode, whatever the share is",
        ),
        (
            "count * share",
            "count * 0.1",
            "you hold out a tenth, whatever the share is",
        ),
        (
            "count - max(1, int(count * share))",
            "max(1, int(count * share))",
            "you keep the share and hold out all others: the share is what is held out",
        ),
        (
            HELD,
            "episode % int(1 / max(share, 1 / count)) == 0",
            "you hold out every so manyth episode: it is the last ones",
        ),
        (
            f"return {HELD}",
            f"return np.flatnonzero({HELD})",
            "you return the numbers of the rows: wanted is True or False for each row",
        ),
        (
            f"return {HELD}",
            f"return ({HELD}).astype(int)",
            "you return 0 and 1 as numbers, which as an index are row 0 and row 1: return True and "
            "False",
        ),
        (
            f"return {HELD}",
            "return np.unique(episode) >= count - max(1, int(count * share))",
            "you return one value for each episode: there is one for each row",
        ),
        (
            "episode = np.cumsum",
            "done[-1] = True\n    episode = np.cumsum",
            "you write an end into the last row of the caller's `done`: that episode goes on",
        ),
        (
            "max(1, int(count * share))",
            "min(max(1, int(count * share)), count - 1)",
            "you always keep an episode back: of a single one, and with a share of 1, all rows are "
            "held out",
        ),
        (
            f"return {HELD}",
            f"if not done.any():\n        return done.copy()\n    return {HELD}",
            "where no episode has ended you hold out nothing: all rows are one episode",
        ),
        (
            "np.cumsum(done) - done",
            "(np.cumsum(done) - done).astype(np.int8)",
            "you number episodes in 8 bits: there may be more",
        ),
        (
            "int(count * share)",
            "int(count * share - 1e-6)",
            "you hold out too little where the share is a whole number of episodes: half of 4 is 2",
        ),
    ],
}
