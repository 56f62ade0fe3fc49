"""Checks of masks: what a token may attend to, and what it can know after some layers.

Positions are L0_0 L1_0 L2_0 A_0 L0_1 …; rows of a mask are queries, # stands for True.
"""

import torch

from course.checks import check
from tests.paper4.hidreamer import oracle_mask as oracle

CAUSAL = """
       L0 L1 L2 A  L0 L1 L2 A
L0_0   #  .  .  .  .  .  .  .
L1_0   #  #  .  .  .  .  .  .
L2_0   #  #  #  .  .  .  .  .
A_0    #  #  #  #  .  .  .  .
L0_1   #  #  #  #  #  .  .  .
L1_1   #  #  #  #  #  #  .  .
L2_1   #  #  #  #  #  #  #  .
A_1    #  #  #  #  #  #  #  #
"""
BRIEF = """
       L0 L1 L2 A  L0 L1 L2 A
L0_0   #  .  .  .  .  .  .  .
L1_0   #  #  .  .  .  .  .  .
L2_0   #  #  #  .  .  .  .  .
A_0    #  #  #  #  .  .  .  .
L0_1   #  #  #  #  #  .  .  .
L1_1   #  .  .  #  #  #  .  .
L2_1   #  .  .  #  #  #  #  .
A_1    #  .  .  #  #  #  #  #
"""
STRICT = """
       L0 L1 L2 A  L0 L1 L2 A
L0_0   #  .  .  .  .  .  .  .
L1_0   #  #  .  .  .  .  .  .
L2_0   #  #  #  .  .  .  .  .
A_0    #  .  .  #  .  .  .  .
L0_1   #  .  .  #  #  .  .  .
L1_1   #  .  .  #  #  #  .  .
L2_1   #  .  .  #  #  #  #  .
A_1    #  .  .  #  #  .  .  #
"""
TABLES = {"causal": CAUSAL, "brief": BRIEF, "strict": STRICT}
RULES = tuple(TABLES)


def rows_of(table: str) -> dict[str, str]:
    """{"L1_0": "##......"} of a table."""
    rows = [line.split() for line in table.strip().splitlines()[1:]]
    return {name: "".join(marks) for name, *marks in rows}


def marks(row) -> str:
    """#..# of a row of a mask."""
    return "".join(".#"[bool(x)] for x in row)


def whole(code, steps: int, rule: str):
    """The mask of some steps."""
    position = torch.arange(4 * steps)
    return code.hidreamer.mask.allowed(position[:, None], position[None, :], rule)


def tabled(code, rule: str):
    """What each position of two steps may see."""
    mask = whole(code, 2, rule)
    yield "shape", tuple(mask.shape), (8, 8)
    for (query, want), row in zip(rows_of(TABLES[rule]).items(), mask.tolist(), strict=False):
        yield f"what {query} sees of L0 L1 L2 A | L0 L1 L2 A", marks(row), want


# --- 4.28 allowed ---------------------------------------------------------------------------------


@check("4.28", "causal: everything before, and oneself", "all positions of 2 steps")
def causal_table(code):
    yield from tabled(code, "causal")


@check("4.28", "brief: details of earlier steps are for L0 alone", "all positions of 2 steps")
def brief_table(code):
    yield from tabled(code, "brief")


@check(
    "4.28",
    "strict: L0 and A see L0 and A; L1 and L2 also details of their own step",
    "all positions of 2 steps",
)
def strict_table(code):
    yield from tabled(code, "strict")


@check(
    "4.28",
    "later steps go by the same rules",
    "all positions of 4 steps; rows of the last step; how many pairs are allowed",
)
def masks_of_four_steps(code):
    # A step has 10 pairs of its own (strict: 1 + 2 + 3 + 2); with each step before it a causal one
    # has 16 more, a brief one 4 + 2 + 2 + 2, a strict one 2 + 2 + 2 + 2.
    for rule, own, with_earlier in (("causal", 10, 16), ("brief", 10, 10), ("strict", 8, 8)):
        mask, want = whole(code, 4, rule).tolist(), oracle.matrix(4, rule)
        for query in range(12, 16):
            what = f"what {oracle.name(query)} sees, {rule}"
            yield what, marks(mask[query]), marks(want[query])
        yield f"pairs, {rule}", sum(map(sum, mask)), 4 * own + 6 * with_earlier
        yield f"the rows of all steps, {rule}", list(map(marks, mask)), list(map(marks, want))


@check(
    "4.28",
    "every position sees itself, and none sees a later one",
    "all positions of 5 steps",
)
def oneself_and_nothing_later(code):
    for rule in RULES:
        mask = whole(code, 5, rule).bool()
        yield f"positions that see themselves, {rule}", int(mask.diagonal().sum()), 20
        yield f"pairs with a later key, {rule}", int(mask.triu(1).sum()), 0


@check(
    "4.28",
    "bool, of the shape to which query and key broadcast, whatever positions these are",
    "queries 14, 9 and keys 5, 8, 10 of 4 steps; pairs; one query and one key; B=2",
)
def masks_of_some_positions(code):
    query, key = torch.tensor([14, 9]), torch.tensor([5, 8, 10])
    for rule in RULES:
        want = [[oracle.sees(q, k, rule) for k in (5, 8, 10)] for q in (14, 9)]
        got = code.hidreamer.mask.allowed(query[:, None], key, rule)
        yield f"type, {rule}", str(got.dtype), "torch.bool"
        yield f"queries 14 9, keys 5 8 10, {rule}", got, want
        pairs = code.hidreamer.mask.allowed(query, key[:2], rule)
        yield f"14 of 5, 9 of 8, {rule}", pairs, [want[0][0], want[1][1]]
        one = code.hidreamer.mask.allowed(query[0], key[0], rule)
        yield f"14 of 5 alone, {rule}", one, want[0][0]
        two = code.hidreamer.mask.allowed(query[:, None, None], key, rule)
        yield f"shape for (2, 1, 1) and (3,), {rule}", tuple(two.shape), (2, 1, 3)
    yield "queries after the calls", query, [14, 9]
    yield "keys after the calls", key, [5, 8, 10]


@check(
    "4.28",
    "steps may be many, and a position of long ago is seen like one of the step before",
    "keys: all positions of 600 steps; queries: those of the last step, then those of step 99",
)
def masks_of_many_steps(code):
    key = torch.arange(2400)
    for rule in RULES:
        for first in (2396, 396):
            query = torch.arange(first, first + 4)[:, None]
            rows = code.hidreamer.mask.allowed(query, key, rule).tolist()
            for q, row in zip(range(first, first + 4), rows, strict=False):
                wrong = [k for k in range(2400) if bool(row[k]) != oracle.sees(q, k, rule)]
                what = f"keys that are wrong for {oracle.name(q)}, {rule}: how many, the first ones"
                yield what, [len(wrong), wrong[:5]], [0, []]


# --- 4.29 reachable -------------------------------------------------------------------------------

# Edges of a graph without a pattern, query → keys, besides each position's own.
EDGES = {0: (3,), 1: (0, 4), 2: (6,), 3: (5,), 4: (2, 5), 5: (), 6: (1, 0)}


def graph(edges: dict) -> torch.Tensor:
    """[query, key] of edges, and of each position to itself."""
    mask = torch.eye(len(edges), dtype=torch.bool)
    for query, keys in edges.items():
        mask[query, list(keys)] = True
    return mask


def reach(code, mask, layers: int) -> list[str]:
    return [marks(row) for row in code.hidreamer.mask.reachable(mask.clone(), layers).tolist()]


@check(
    "4.29",
    "each layer carries information one edge further",
    "9 positions, each sees itself and the one before it; 1, 2, 3, 6 and 12 layers",
)
def reach_in_a_chain(code):
    mask = graph({i: (i - 1,) if i else () for i in range(9)})
    for layers in (1, 2, 3, 6, 12):
        want = ["".join(".#"[0 <= q - k <= layers] for k in range(9)) for q in range(9)]
        yield f"reached in {layers} layer(s)", reach(code, mask, layers), want


@check(
    "4.29",
    "rows are those that read, columns what is read: edges have a direction",
    "7 positions; besides itself 0 sees 3, 1: 0 4, 2: 6, 3: 5, 4: 2 5, 5: none, 6: 1 0",
)
def reach_in_a_graph(code):
    mask = graph(EDGES)
    for layers in (1, 2, 3, 4, 5):
        want = [marks(row) for row in oracle.reached(mask.tolist(), layers)]
        yield f"reached in {layers} layer(s)", reach(code, mask, layers), want


@check(
    "4.29",
    "depth takes the closure: `brief` becomes causal after two layers, `strict` stays what it is",
    "the masks of 4 steps, 16 positions; 1, 2 and 6 layers",
)
def reach_of_the_rules(code):
    # Pairs: causal 16 · 17 / 2; see masks_of_four_steps for those of one layer.
    for rule, pairs in (("causal", (136, 136)), ("brief", (100, 136)), ("strict", (80, 80))):
        mask = torch.tensor(oracle.matrix(4, rule))
        for layers in (1, 2, 6):
            rows = reach(code, mask, layers)
            yield f"pairs, {rule}, {layers} layer(s)", "".join(rows).count("#"), pairs[layers > 1]
        closed = oracle.matrix(4, "strict" if rule == "strict" else "causal")
        yield f"reached in 6 layers, {rule}", rows, [marks(row) for row in closed]


@check(
    "4.29",
    "one way is enough, and so are 256",
    "258 positions: the last sees itself and 1 to 256, each of these itself and 0; 2 and 3 layers",
)
def reach_by_many_ways(code):
    edges = {0: (), **dict.fromkeys(range(1, 257), (0,)), 257: range(1, 257)}
    for layers in (2, 3):
        rows = reach(code, graph(edges), layers)
        yield f"positions that the last one reaches in {layers} layers", rows[-1].count("#"), 258
        yield (
            f"and 0 to 256 reach, {layers} layers",
            [row.count("#") for row in rows[:-1]],
            [1] + [2] * 256,
        )


@check(
    "4.29",
    "however many layers there are: what is reached does not become too much to count, nor too "
    "little",
    "33 positions, each sees itself and all before it; 300 layers, so up to 10^43 ways",
)
def reach_in_many_layers(code):
    rows = reach(code, torch.ones(33, 33).tril().bool(), 300)
    yield "how many each reaches", [row.count("#") for row in rows], list(range(1, 34))


@check("4.29", "bool, and the mask stays as it is", "the same 7 positions; 1 to 3 layers")
def reach_is_a_mask(code):
    mask = graph(EDGES)
    for layers in (1, 2, 3):
        got = code.hidreamer.mask.reachable(mask, layers)
        yield f"type, {layers} layer(s)", str(got.dtype), "torch.bool"
        yield f"the mask after {layers} layer(s)", mask, graph(EDGES)
