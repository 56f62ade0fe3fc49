"""Expected values for encoder.py, computed slowly: Python numbers, a loop for each index."""

import math


def candidates(game: list, episode: list, step: list, margin: int) -> list[list[bool]]:
    """[i][j]: whether partner j is an answer that i may be asked about."""
    size, found = len(step), []
    for i in range(size):
        row = []
        for j in range(size):
            same_episode = (game[i], episode[i]) == (game[j], episode[j])
            row.append(i == j or not same_episode or abs(step[i] - step[j]) >= margin)
        found.append(row)
    return found


def info_nce(anchor: list, partner: list, candidates: list, temperature: float) -> float:
    """The mean over all anchors of -log softmax of the own partner, and the same from partners."""
    size = len(anchor)

    def score(i: int, j: int) -> float:
        return sum(a * p for a, p in zip(anchor[i], partner[j], strict=True)) / temperature

    losses = []
    for i in range(size):
        answers = [math.exp(score(i, j)) for j in range(size) if candidates[i][j]]
        losses.append(math.log(sum(answers)) - score(i, i))
    for j in range(size):
        answers = [math.exp(score(i, j)) for i in range(size) if candidates[i][j]]
        losses.append(math.log(sum(answers)) - score(j, j))
    return sum(losses) / (2 * size)
