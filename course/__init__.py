"""The course: exercises cut out of the solutions, and all that grades, lends and explains them.

A file of a paper calls `run` when it is started by itself; a notebook calls `code`:

    import course

    v1 = course.code("paper1_dreamerv1")    # your code; what you have not done yet is lent
    v1.rssm.kl_divergence(...)
"""


def code(folder: str, where=None):
    """A learner's modules by their names, unfinished exercises lent: see `course.lend.code`."""
    from course import lend

    return lend.code(folder, where)


def run(file: str, command=None) -> None:
    """What `python FILE` does: grade its exercises, or train: see `course.lend.run`."""
    from course import lend

    lend.run(file, command)
