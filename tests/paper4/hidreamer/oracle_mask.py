"""Masks from the words that describe them, and what depth makes of a mask, step by step."""

NAMES = ("L0", "L1", "L2", "A")


def name(position: int) -> str:
    """L1_0: the second token of step 0."""
    return f"{NAMES[position % 4]}_{position // 4}"


def sees(query: int, key: int, rule: str) -> bool:
    """By what a rule hides: nothing comes from later; all rules but `causal` hide details.

    brief    those of earlier steps, from all rows but the L0
    strict   those of earlier steps from all rows, and those of its own step from A
    """
    if key > query:
        return False
    detail = name(key)[:2] in ("L1", "L2")
    earlier = key // 4 < query // 4
    if rule == "brief":
        return not (detail and earlier and name(query)[:2] != "L0")
    if rule == "strict":
        return not (detail and (earlier or name(query)[0] == "A"))
    return True


def matrix(steps: int, rule: str) -> list[list[bool]]:
    """[query][key] of all positions of some steps."""
    return [[sees(q, k, rule) for k in range(4 * steps)] for q in range(4 * steps)]


def reached(mask: list[list[bool]], layers: int) -> list[list[bool]]:
    """[query][key]: walk back from each query, a layer at a time."""
    size, found = len(mask), []
    for query in range(size):
        known = {query}
        for _ in range(layers):
            known = {key for row in known for key in range(size) if mask[row][key]}
        found.append([key in known for key in range(size)])
    return found
