"""Checks of the transformer of tokens: what it reads, attention with a cache, loss, accuracies.

There is no paper of this model. Attention is that of Vaswani et al. 2017 (arXiv:1706.03762, eq. 1
and section 3.2.2), blocks are GPT-2's. Which row predicts what is in the first lines of
world_model.py: the row before each target.
"""

import math
import zlib
from types import SimpleNamespace

import torch

from course.checks import check
from tests import oracle
from tests.numbers import F64, gradients, irregular, values
from tests.paper3.models import by_chance, put
from tests.paper4.hidreamer import oracle_world_model as slow

F32 = torch.float32


@torch.no_grad()
def strong(module):
    """Parameters in [-0.9, 0.9] by name and shape; gains of norms near 1."""
    for name, parameter in module.named_parameters():
        phase = zlib.crc32(name.encode()) % 1000
        gain = float("norm" in name and name.endswith("weight"))
        parameter.copy_(gain + (0.4 if gain else 0.9) * irregular(*parameter.shape, phase=phase))
    return module


def sizes(code, **others):
    """Of a small model: no two sizes are the same."""
    few = dict(codes=5, actions=3, width=6, layers=2, heads=3, steps=12, dropout=0.0, bins=5)
    return code.world_model.Sizes(**(few | others))


def whole(*shape, below: int, phase: float = 0.0):
    """Integers 0 to below - 1 without a pattern."""
    return ((irregular(*shape, phase=phase) + 1) / 2.001 * below).long()


# --- 4.30 Embedding.forward -----------------------------------------------------------------------


def embedding_of(code, dtype=F64, **others):
    return strong(code.world_model.Embedding(sizes(code, **others)).to(dtype))


def window(batch: int, steps: int) -> tuple:
    """Tokens (B, T, 3) and actions (B, T)."""
    return whole(batch, steps, 3, below=5, phase=1.0), whole(batch, steps, below=3, phase=3.0)


@check(
    "4.30",
    "each row is the sum of three: its token's or action's, its slot's and its step's",
    "D = 1; tables L0 k + .1, L1 k + .2, L2 k + .3, action a + .4, slots 10 20 30 40, steps 100 "
    "200 300; tokens [2 0 1] then [1 2 0], actions 1 then 0",
)
def sums_by_hand(code):
    model = code.world_model.Embedding(sizes(code, codes=3, actions=2, width=1, steps=3)).double()
    numbers = {f"codes.{i}.weight": [[k + 0.1 * (i + 1)] for k in range(3)] for i in range(3)}
    numbers |= {"actions.weight": [[0.4], [1.4]]}
    numbers |= {"slots.weight": [[10.0], [20.0], [30.0], [40.0]]}
    put(model, numbers | {"steps.weight": [[100.0], [200.0], [300.0]]})
    got = model(torch.tensor([[[2, 0, 1], [1, 2, 0]]]), torch.tensor([[1, 0]]))
    yield "shape", tuple(got.shape), (1, 8, 1)
    expected = [112.1, 120.2, 131.3, 141.4, 211.1, 222.2, 230.3, 240.4]
    yield "rows", got.flatten(), expected


@check(
    "4.30",
    "L0, L1, L2, A of step 0, then of step 1: for every window, whatever its length",
    "irregular tables, K = 5, A = 3, D = 6, room for 12 steps; B = 2 and T = 3, then T = 1 and 12",
)
def irregular_windows(code):
    for batch, steps in ((2, 3), (3, 1), (1, 12)):
        model, (tokens, actions) = embedding_of(code), window(batch, steps)
        before, p = (tokens.clone(), actions.clone()), values(model)
        got = model(tokens, actions)
        yield f"shape for T = {steps}", tuple(got.shape), (batch, 4 * steps, 6)
        rows = zip(tokens.tolist(), actions.tolist(), strict=True)
        yield f"rows for T = {steps}", got, [slow.embedded(*row, p) for row in rows]
    same = torch.equal(tokens, before[0]) and torch.equal(actions, before[1])
    yield "are tokens and actions as they were?", same, True
    narrow = embedding_of(code, F32)(tokens, actions)
    yield "dtype of float32 tables", str(narrow.dtype), "torch.float32"


@check(
    "4.30",
    "every table learns, each row as often as it is read",
    "the loss is the sum of all rows: K = 5, A = 3, B = 2, T = 3",
)
def gradient_of_the_tables(code):
    model, (tokens, actions) = embedding_of(code), window(2, 3)
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = dict(zip(names, gradients(model(tokens, actions).sum(), *parameters), strict=True))
    for level in range(3):
        counts = [float((tokens[..., level] == k).sum()) for k in range(5)]
        yield f"gradient to table {level}", found[f"codes.{level}.weight"][:, 0], counts
    counts = [float((actions == a).sum()) for a in range(3)]
    yield "gradient to the actions' table", found["actions.weight"][:, 0], counts
    yield "gradient to the slots' table", found["slots.weight"][:, 0], [6.0] * 4
    yield "gradient to the steps' table", found["steps.weight"][:, 0], [8.0] * 3 + [0.0] * 9


# --- 4.31 Block.attention -------------------------------------------------------------------------


def block_of(code, number: int = 0, dtype=F64, **others):
    return strong(code.world_model.Block(sizes(code, **others), number).to(dtype)).eval()


def of_attention(block) -> dict:
    """The parameters that attention has, by name."""
    return {name: x for name, x in values(block).items() if name.startswith(("qkv", "out"))}


def yes(*rows: str):
    """A mask: # is allowed."""
    return torch.tensor([[c == "#" for c in row] for row in rows])


@check(
    "4.31",
    "Attention(Q, K, V) = softmax(Q Kᵀ / √d) V over what the mask allows, then `out`",
    "one head, D = 4; all queries [2 0 0 0]; two rows with keys 0 and ln 3, values 8 and 4, so "
    "that weights are ¼ and ¾; `out` keeps the first number and has the bias [0 0 0 7]",
)
def attention_by_hand(code):
    few = sizes(code, width=4, heads=1)
    weight = [[0.0] * 4 for _ in range(12)]
    weight[4][1], weight[8][0], weight[8][1] = math.log(3), 8.0, 4.0
    out = [[1.0, 0.0, 0.0, 0.0]] + [[0.0] * 4] * 3
    numbers = {"qkv.weight": weight, "qkv.bias": [2.0] + [0.0] * 11}
    numbers |= {"out.weight": out, "out.bias": [0.0, 0.0, 0.0, 7.0]}
    block = put(code.world_model.Block(few, 0).double(), numbers).eval()
    x = torch.eye(4, dtype=F64)[None, :2]
    first, second, both = ([n, 0.0, 0.0, 7.0] for n in (8.0, 4.0, 5.0))
    yield "row 1 reads both", block.attention(x, yes("#.", "##"), None), [[first, both]]
    yield "row 0 reads both", block.attention(x, yes("##", ".#"), None), [[both, second]]
    yield "both read row 0", block.attention(x, yes("#.", "#."), None), [[first, first]]
    yield "a row alone", block.attention(x[:, 1:], yes("#"), None), [[second]]


def any_mask():
    """One in which each row sees something; a new one for every call, for code may change it."""
    return yes("#....", "##...", ".##..", "#..##", "#.#.#")


@check(
    "4.31",
    "heads are neighbouring numbers; each attends by itself, to what the row's mask allows",
    "irregular parameters, B = 2, D = 6, 3 heads; rows 0 to 4 may see 0 | 0 1 | 1 2 | 0 3 4 | 0 2 "
    "4; then 1 and 2 heads, float32",
)
def heads_by_themselves(code):
    numbers = irregular(2, 5, 6, phase=2.0)
    block, x = block_of(code), numbers.clone().requires_grad_()
    mask, rows = any_mask(), any_mask().tolist()
    got, p = block.attention(x, mask, None), of_attention(block)
    yield "shape", tuple(got.shape), (2, 5, 6)
    expected = [slow.attention(row, rows, p, 3) for row in numbers.tolist()]
    yield "results", got, expected
    if got.shape != x.shape:
        return
    seen = []
    for q in range(5):
        [slope] = gradients(got[0, q].sum(), x)
        seen.append([k for k in range(5) if slope[0, k].abs().max() > 1e-12])
    yield "rows that each row depends on", seen, [[0], [0, 1], [1, 2], [0, 3, 4], [0, 2, 4]]
    yield "is x as it was?", torch.equal(x, numbers), True
    yield "the mask after the call", mask, rows
    for heads in (1, 2):
        block = block_of(code, heads=heads)
        expected = [slow.attention(row, rows, p, heads) for row in numbers.tolist()]
        got = block.attention(numbers, any_mask(), None)
        yield f"results, number of heads: {heads}", got, expected
    narrow = block_of(code, dtype=F32).attention(numbers.float(), any_mask(), None)
    yield "dtype for float32", str(narrow.dtype), "torch.float32"


@check(
    "4.31",
    "queries, keys and values all learn, and pass on what earlier layers learn",
    "irregular parameters, 5 rows, D = 6, 3 heads; the loss is row 3 · w",
)
def gradient_of_attention(code):
    block, rows = block_of(code), irregular(5, 6, phase=2.0)
    x, w, p = rows[None].clone().requires_grad_(), irregular(6, phase=8.0), of_attention(block)
    got = block.attention(x, any_mask(), None)[0, 3] @ w
    names, parameters = zip(*block.named_parameters(), strict=True)

    def loss(i: int, row: list) -> float:
        numbers = rows.tolist()
        read = slow.attention([*numbers[:i], row, *numbers[i + 1 :]], any_mask().tolist(), p, 3)
        return sum(a * b for a, b in zip(read[3], w.tolist(), strict=True))

    [slope] = gradients(got, x)
    for i in (0, 3):
        expected = oracle.slopes(lambda row, i=i: loss(i, row), rows[i].tolist())
        yield f"gradient to row {i}", slope[0, i], expected
    trained = zip(names, gradients(got, *parameters), strict=True)
    found = sorted(name for name, slope in trained if slope.any())
    yield "what is trained", found, ["out.bias", "out.weight", "qkv.bias", "qkv.weight"]


@check(
    "4.31",
    "scores of any size: softmax needs their differences, and what is hidden counts for nothing, "
    "however large its score",
    "one head, D = 4, float32; row 0 has the key -k and the value 8, row 1 the key k and the value "
    "4; the query is [2 0 0 0], k = 1000",
)
def scores_of_any_size(code):
    weight = [[0.0] * 4 for _ in range(12)]
    weight[4][:2], weight[8][:2] = [-1000.0, 1000.0], [8.0, 4.0]
    out = [[1.0, 0.0, 0.0, 0.0]] + [[0.0] * 4] * 3
    numbers = {"qkv.weight": weight, "qkv.bias": [2.0] + [0.0] * 11, "out.weight": out}
    block = put(code.world_model.Block(sizes(code, width=4, heads=1), 0), numbers).eval()
    x = torch.eye(4)[None, :2]
    low, high = ([n, 0.0, 0.0, 0.0] for n in (8.0, 4.0))
    yield "both read both rows", block.attention(x, yes("##", "##"), None), [[high, high]]
    yield "each reads itself", block.attention(x, yes("#.", ".#"), None), [[low, high]]


def cache_of(code, batch: int, room: int, dtype=F64, **others):
    """A cache without a model: it asks only for sizes, and for a tensor of its type."""
    embedding = SimpleNamespace(slots=SimpleNamespace(weight=torch.zeros(4, 6, dtype=dtype)))
    model = SimpleNamespace(sizes=sizes(code, **others), embedding=embedding)
    return code.world_model.Cache(model, batch, room)


@check(
    "4.31",
    "with a cache, new rows read earlier ones too; keys and values go under the block's number",
    "block 1 of 3, room for 7, B = 2, D = 6, 3 heads: two positions, then three more; rows may "
    "see 0 | 0 1 | 1 2 | 0 3 | 0 2 4",
)
def attention_with_a_cache(code):
    mask = yes("#....", "##...", ".##..", "#..#.", "#.#.#")
    block, x = block_of(code, 1, layers=3), irregular(2, 5, 6, phase=2.0)
    cache, p = cache_of(code, 2, 7, layers=3), of_attention(block)
    expected = [slow.attention(row, mask.tolist(), p, 3) for row in x.tolist()]
    heads = [slow.heads_of(row, p, 3) for row in x.tolist()]

    def stored(kind: int, count: int) -> list:
        return [[head[kind][:count] for head in row] for row in heads]

    yield (
        "first two rows",
        block.attention(x[:, :2], mask[:2, :2], cache),
        [rows[:2] for rows in expected],
    )
    yield "keys after two", cache.memory[1, 0, :, :, :2], stored(1, 2)
    yield "values after two", cache.memory[1, 1, :, :, :2], stored(2, 2)
    yield "the cache's length, which moves on after the last block", cache.length, 0
    cache.length = 2
    got = block.attention(x[:, 2:], mask[2:], cache)
    yield "three more rows", got, [rows[2:] for rows in expected]
    yield "keys after five", cache.memory[1, 0, :, :, :5], stored(1, 5)
    used = [i for i in range(3) if cache.memory[i].any()]
    yield "blocks of which something is kept", used, [1]
    yield "is the room that is left empty?", not cache.memory[:, :, :, :, 5:].any(), True


@check(
    "4.31",
    "in any portions: what a transformer makes of new positions and its cache is what it makes "
    "of all at once",
    "irregular parameters, 2 blocks, rule brief, 8 positions in portions of 8 | 1 each | 3 1 4, "
    "float32; then one position more than there is room",
)
def portions(code):
    model = strong(code.world_model.Transformer(sizes(code))).eval()
    x = irregular(2, 8, 6, phase=2.0, dtype=F32)
    full = model(x)
    for cuts in ([8], [1] * 8, [3, 1, 4]):
        cache, rows, lengths = code.world_model.Cache(model, 2, 8), [], []
        for part in x.split(cuts, 1):
            rows.append(model(part, cache))
            lengths.append(cache.length)
        name = f"portions of {' '.join(map(str, cuts))}"
        yield f"{name}: the cache's length", lengths, [sum(cuts[: i + 1]) for i in range(len(cuts))]
        far = float((torch.cat(rows, 1) - full).detach().abs().max())
        yield f"{name}: is there no difference but for rounding?", far < 1e-4, True
    error = ""
    try:
        model(x[:, :1], cache)
    except ValueError as caught:
        error = str(caught)
    yield "what a 9th position meets", error, "the cache has room for 8 positions, not 9"


@check(
    "4.31",
    "dropout acts on the weights, only in training: what stays of four weights of ¼ grows by 4/3",
    "dropout .25; all scores 1, all values 1, `out` adds 10; 2 heads, 4 positions, 400 sequences, "
    "real chance; then the first value is 2",
)
def dropout_of_weights(code):
    few = sizes(code, width=2, heads=2, dropout=0.25)
    numbers = {"qkv.bias": [1.0] * 6, "out.bias": [10.0, 10.0]}
    numbers |= {"qkv.weight": [[0.0, 0.0]] * 4 + [[1.0, 0.0]] * 2}
    numbers |= {"out.weight": [[1.0, 0.0], [0.0, 1.0]]}
    block = put(code.world_model.Block(few, 0).double(), numbers)
    x, mask = torch.zeros(400, 4, 2, dtype=F64), torch.ones(4, 4, dtype=torch.bool)

    def results(x) -> tuple:
        read = by_chance(lambda: block.attention(x, mask, None)).detach()
        return sorted({round(number, 3) for number in read.flatten().tolist()}), read

    found, read = results(x)
    yield "results in training", found, [10.0, 10.333, 10.667, 11.0, 11.333]
    yield "is their mean 11, but for chance?", abs(float(read.mean()) - 11) < 0.05, True
    if read.shape == x.shape:
        alike = {"sequences": read[0] == read[1:], "rows": read[:, :1] == read[:, 1:]}
        alike["heads"] = read[..., :1] == read[..., 1:]
        yield "what shares its chance", [name for name, same in alike.items() if same.all()], []
    first = x.clone()
    first[:, 0, 0] = 1.0
    expected = [10.0, 10.333, 10.667, 11.0, 11.333, 11.667]
    yield "results in training, the first value 2", results(first)[0], expected
    block.eval()
    yield "results in evaluation", results(x)[0], [11.0]


# --- 4.32 Transformer.loss ------------------------------------------------------------------------

PARTS = ("ce0", "ce1", "ce2", "reward", "continue")
BINS = [-2.0, -1.0, 0.0, 1.5, 3.0]


def with_states(code, hidden, numbers: dict | None = None, **others):
    """A model whose hidden states are given, whatever it reads."""
    few = dict(codes=4, width=hidden.shape[-1], heads=1, layers=1, steps=4) | others
    model = code.world_model.Transformer(sizes(code, **few)).to(hidden.dtype)
    model = strong(model) if numbers is None else put(model, numbers)
    model.reward.bins = torch.tensor(BINS[: model.sizes.bins], dtype=hidden.dtype)
    model.embedding.forward = lambda tokens, actions: hidden.detach()
    model.forward = lambda x, cache=None: hidden
    return model


def rows_of(batch: int, steps: int, dtype=F64) -> dict:
    """Windows of four codes; one of them ends in the middle, one at its end."""
    terminal = torch.zeros(batch, steps, dtype=torch.bool)
    terminal[0, 1] = terminal[-1, -1] = True
    return {
        "tokens": whole(batch, steps, 3, below=4, phase=1.0),
        "action": whole(batch, steps, below=3, phase=3.0),
        "reward": 2.5 * irregular(batch, steps, phase=4.0, dtype=dtype),
        "terminal": terminal,
    }


@check(
    "4.32",
    "a model that knows nothing: (1 + .5 + .1) ln K + ln N + ln 2",
    "all parameters 0, K = 4 codes, N = 5 bins of rewards, B = 2, T = 3",
)
def loss_of_ignorance(code):
    model = with_states(code, torch.zeros(2, 12, 2, dtype=F64), {})
    total, parts = model.loss(rows_of(2, 3))
    yield "shape of the total", tuple(total.shape), ()
    yield "total", total, 1.6 * math.log(4) + math.log(5) + math.log(2)
    yield "names of the parts", sorted(parts), sorted(PARTS)
    for name, chances in zip(PARTS, (4, 4, 4, 5, 2), strict=True):
        yield name, parts.get(name), math.log(chances)


@check(
    "4.32",
    "means over rows: of L0 the T - 1 steps that come after an A, of all else T",
    "all states alike; the heads say P(1) = ¼ of L0, ⅓ of L1, .9 of L2, .8 that life goes on; L0 "
    "is 0 1 1, L1 0 1 0, L2 1 1 0, terminal 0 0 1",
)
def loss_by_hand(code):
    numbers = {"heads.0.bias": [math.log(3), 0.0], "heads.1.bias": [math.log(2), 0.0]}
    numbers |= {"heads.2.bias": [0.0, math.log(9)], "goes_on.bias": [math.log(4)]}
    model = with_states(code, torch.zeros(1, 12, 2, dtype=F64), numbers, codes=2)
    batch = rows_of(1, 3) | {
        "tokens": torch.tensor([[[0, 0, 1], [1, 1, 1], [1, 0, 0]]]),
        "terminal": torch.tensor([[False, False, True]]),
    }
    total, parts = model.loss(batch)
    expected = {
        "ce0": math.log(4),
        "ce1": (2 * math.log(1.5) + math.log(3)) / 3,
        "ce2": -(2 * math.log(0.9) + math.log(0.1)) / 3,
        "reward": math.log(5),
        "continue": -(2 * math.log(0.8) + math.log(0.2)) / 3,
    }
    for name in PARTS:
        yield name, parts.get(name), expected[name]
    weighted = expected["ce0"] + 0.5 * expected["ce1"] + 0.1 * expected["ce2"]
    yield "total", total, weighted + expected["reward"] + expected["continue"]


@check(
    "4.32",
    "row A_t knows the next L0, the reward and the end, L0_t the L1 of its step, L1_t the L2, L2_t "
    "nothing; the total's gradient is the weighted sum of the parts'",
    "irregular states and heads, B = 3, T = 4, D = 2, K = 4; rewards up to 2.5, two ends",
)
def loss_and_gradient(code):
    hidden = irregular(3, 16, 2, phase=6.0).requires_grad_()
    model, batch = with_states(code, hidden), rows_of(3, 4)
    before = {name: x.clone() for name, x in batch.items()}
    total, parts = model.loss(batch)
    data = (batch[name].tolist() for name in ("tokens", "reward", "terminal"))
    expected = slow.loss(hidden.tolist(), *data, values(model), BINS)
    for name in PARTS:
        yield name, parts.get(name), expected[name]
    yield "total", total, expected["total"]
    [found] = gradients(total, hidden)
    yield "gradient to the hidden states", found, expected["slopes"]
    names, parameters = zip(*model.named_parameters(), strict=True)
    trained = zip(names, gradients(total, *parameters), strict=True)
    found = sorted(name for name, slope in trained if name.endswith("weight") and slope.any())
    heads = [f"heads.{i}.weight" for i in range(3)]
    yield "weights that are trained", found, ["goes_on.weight", *heads, "reward.mlp.0.weight"]
    unequal = [name for name, x in batch.items() if not torch.equal(x, before[name])]
    yield "what the call changed of the batch", unequal, []


@check(
    "4.32",
    "the shortest window, and `terminal` as numbers",
    "irregular states and heads in float32, B = 1, T = 2; terminal bool, then float",
)
def shortest_window(code):
    hidden = irregular(1, 8, 2, phase=6.0, dtype=F32)
    model, batch = with_states(code, hidden), rows_of(1, 2, F32)
    data = (batch[name].tolist() for name in ("tokens", "reward", "terminal"))
    expected = slow.loss(hidden.tolist(), *data, values(model), BINS)["total"]
    total, _ = model.loss(batch)
    yield "total", total, expected
    yield "dtype", str(total.dtype), "torch.float32"
    terminal = batch["terminal"].float()
    total, _ = model.loss(batch | {"terminal": terminal})
    yield "total for a terminal of float", total, expected
    yield "that terminal after the call", terminal, batch["terminal"].float().tolist()


@check(
    "4.32",
    "who is sure of what is wrong loses as many nats as its logits are apart",
    "all states 0, float32; the logits of two tokens are [200 190], [300 0] and [400 0], but token "
    "1 comes; 200 that life goes on, but it ends",
)
def surely_wrong(code):
    numbers = {"heads.0.bias": [200.0, 190.0], "heads.1.bias": [300.0, 0.0]}
    numbers |= {"heads.2.bias": [400.0, 0.0], "goes_on.bias": [200.0]}
    model = with_states(code, torch.zeros(2, 8, 2), numbers, codes=2)
    batch = rows_of(2, 2, F32) | {"tokens": torch.ones(2, 2, 3, dtype=torch.int64)}
    _, parts = model.loss(batch | {"terminal": torch.ones(2, 2, dtype=torch.bool)})
    expected = {"ce0": math.log1p(math.exp(10)), "ce1": 300.0, "ce2": 400.0, "continue": 200.0}
    for name, nats in expected.items():
        yield name, parts.get(name), nats


# --- 4.33 token_accuracy --------------------------------------------------------------------------


def accuracies(code, predicted, tokens) -> dict:
    return code.world_model.token_accuracy(torch.tensor(predicted), torch.tensor(tokens))


@check(
    "4.33",
    "tokens that stay and tokens that change are counted apart; step 0 is in neither",
    "tokens [3 3 5 5 5] and [1 2 2 7 7], predicted [3 3 3 5 4] and [0 2 1 2 7]: 4 of 8 right, 5 "
    "stay, 1 of 3 changes found",
)
def accuracy_by_hand(code):
    tokens, predicted = [[3, 3, 5, 5, 5], [1, 2, 2, 7, 7]], [[3, 3, 3, 5, 4], [0, 2, 1, 2, 7]]
    expected = {"accuracy": 4 / 8, "copy": 5 / 8, "change": 1 / 3, "stay": 3 / 5}
    yield "accuracies", accuracies(code, predicted, tokens), expected
    predicted[0][0], predicted[1][0] = 9, 1
    yield "the same, with others for step 0", accuracies(code, predicted, tokens), expected
    got = accuracies(code, predicted, tokens)
    yield "types", sorted({type(x).__name__ for x in got.values()}), ["float"]


@check(
    "4.33",
    "accuracy = copy · stay + (1 - copy) · change",
    "4 windows of 30 steps, 3 codes: 4 · 29 pairs of neighbours; predictions without a pattern",
)
def accuracy_identity(code):
    tokens, predicted = (whole(4, 30, below=3, phase=phase) for phase in (1.0, 5.0))
    before = tokens.clone(), predicted.clone()
    got = code.world_model.token_accuracy(predicted, tokens)
    yield "accuracies", got, slow.accuracies(predicted.tolist(), tokens.tolist())
    if set(got) == {"accuracy", "copy", "change", "stay"}:
        joined = got["copy"] * got["stay"] + (1 - got["copy"]) * got["change"]
        yield "accuracy less what the others make of it", got["accuracy"] - joined, 0.0
    same = torch.equal(tokens, before[0]) and torch.equal(predicted, before[1])
    yield "are the inputs as they were?", same, True


@check(
    "4.33",
    "where nothing changes, nothing is known about changes: NaN, neither 0 nor 1; likewise `stay`",
    "tokens [2 2 2 2], predicted [2 2 1 2]; then tokens [1 2 1 2], predicted [1 2 2 2]",
)
def nothing_to_count(code):
    expected = {"accuracy": 2 / 3, "copy": 1.0, "change": math.nan, "stay": 2 / 3}
    yield "nothing changes", accuracies(code, [[2, 2, 1, 2]], [[2, 2, 2, 2]]), expected
    expected = {"accuracy": 2 / 3, "copy": 0.0, "change": 2 / 3, "stay": math.nan}
    yield "all changes", accuracies(code, [[1, 2, 2, 2]], [[1, 2, 1, 2]]), expected


@check(
    "4.33",
    "who always says what was there before has the accuracy `copy`, and finds no change",
    "tokens [4 4 1 1 1 0 0], predicted [4 4 4 1 1 1 0]",
)
def who_copies(code):
    got = accuracies(code, [[4, 4, 4, 1, 1, 1, 0]], [[4, 4, 1, 1, 1, 0, 0]])
    expected = {"accuracy": 4 / 6, "copy": 4 / 6, "change": 0.0, "stay": 1.0}
    yield "accuracies", got, expected


# --- 4.34 bigram ----------------------------------------------------------------------------------


def table_of(code, triples: list, codes: int, actions: int):
    columns = (torch.tensor(column) for column in zip(*triples, strict=True))
    return code.world_model.bigram(*columns, codes, actions)


TRIPLES = [(0, 1, 2), (0, 1, 2), (0, 1, 1), (0, 0, 1), (2, 1, 0), (2, 1, 3), (2, 1, 3), (1, 0, 0)]
TRIPLES += [(3, 0, 3), (3, 0, 1), (3, 0, 3)]


@check(
    "4.34",
    "of each pair the token that came most often; where a pair never came, the token itself",
    "4 codes, 2 actions; pairs (0, 1) → 2 2 1, (0, 0) → 1, (2, 1) → 0 3 3, (1, 0) → 0, "
    "(3, 0) → 3 1 3",
)
def table_by_hand(code):
    got = table_of(code, TRIPLES, 4, 2)
    yield "table", got, [[1, 2], [0, 1], [2, 3], [3, 3]]
    yield "type", str(got.dtype), "torch.int64"
    yield (
        "of one triple (1, 2) → 0",
        table_of(code, [(1, 2, 0)], 3, 4),
        [
            [0] * 4,
            [1, 1, 0, 1],
            [2] * 4,
        ],
    )


@check(
    "4.34",
    "of equally frequent tokens the lowest",
    "3 codes, 2 actions; pairs (1, 0) → 2 0, (0, 1) → 2 1 1 2, (2, 1) → 1 2 0",
)
def equally_frequent(code):
    triples = [(1, 0, 2), (1, 0, 0), (0, 1, 2), (0, 1, 1), (0, 1, 1), (0, 1, 2)]
    triples += [(2, 1, 1), (2, 1, 2), (2, 1, 0)]
    yield "table", table_of(code, triples, 3, 2), [[0, 1], [0, 1], [2, 0]]


@check(
    "4.34",
    "as many triples as a game has, as many codes and actions as tier `full`",
    "2 codes, 1 action: (0, 0) → 2100 times 0, 2314 times 1; (1, 0) → 200 times 0, 260 times 1; "
    "256 codes, 18 actions: (255, 17) → 254, (7, 3) → 200",
)
def many_triples(code):
    triples = [(0, 0, 0)] * 2100 + [(0, 0, 1)] * 2314 + [(1, 0, 0)] * 200 + [(1, 0, 1)] * 260
    yield "table", table_of(code, triples, 2, 1), [[1], [1]]
    got = table_of(code, [(255, 17, 254), (7, 3, 200)], 256, 18)
    expected = [[token] * 18 for token in range(256)]
    expected[255][17], expected[7][3] = 254, 200
    yield "pairs of 256 codes that are wrong", (got != torch.tensor(expected)).nonzero(), []


@check(
    "4.34",
    "inputs of any one shape, and more codes and actions than occur",
    "8 windows of 20 steps: 5 of 7 codes and 3 of 4 actions occur; then the same in one row",
)
def irregular_table(code):
    shape = 8, 20
    before, after = (whole(*shape, below=5, phase=phase) for phase in (1.0, 5.0))
    action = whole(*shape, below=3, phase=3.0)
    inputs = [x.clone() for x in (before, action, after)]
    got = code.world_model.bigram(*inputs, 7, 4)
    flat = [x.flatten().tolist() for x in (before, action, after)]
    expected = slow.bigram(*flat, 7, 4)
    yield "shape", tuple(got.shape), (7, 4)
    yield "table", got, expected
    same = all(map(torch.equal, inputs, (before, action, after)))
    yield "are the inputs as they were?", same, True
    yield (
        "table from one row",
        code.world_model.bigram(*(x.flatten() for x in inputs), 7, 4),
        (expected),
    )
