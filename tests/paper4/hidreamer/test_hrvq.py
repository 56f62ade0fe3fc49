"""Checks of residual quantisation: the nearest code, codebooks that follow, straight-through.

Quantisation and its moving averages: van den Oord et al. 2017, arXiv:1711.00937, section 3 and
appendix A.1; residual layers: Zeghidour et al. 2021, arXiv:2107.03312.
"""

import torch

from course.checks import check, draws
from tests.numbers import F64, gradients, irregular
from tests.paper4.hidreamer.oracle_hrvq import followed, nearest, perplexity, quantised

F32 = torch.float32

# --- 4.22 assign ----------------------------------------------------------------------------------


def numbers_of(code, x, codes, dtype=F64):
    numbers = (torch.tensor(values, dtype=dtype) for values in (x, codes))
    return code.hidreamer.hrvq.assign(*numbers)


@check(
    "4.22",
    "the code with the least Euclidean distance; a long code is not nearer, nor is one in the same "
    "direction",
    "codes [3 3] [1 0] [8 0] [0 -1]; x = [2 1] [4 1] [1 2.5] [9 9] [-.25 .25] [-1 -3]",
)
def nearest_by_hand(code):
    codes = [[3.0, 3.0], [1.0, 0.0], [8.0, 0.0], [0.0, -1.0]]
    x = [[2.0, 1.0], [4.0, 1.0], [1.0, 2.5], [9.0, 9.0], [-0.25, 0.25], [-1.0, -3.0]]
    # Squared: [5 2 37 8], [5 10 17 20], [4.25 6.25 55.25 13.25], [72 145 82 181], …
    yield "numbers", numbers_of(code, x, codes), [1, 0, 0, 0, 1, 3]


@check(
    "4.22",
    "of codes that are equally near the lowest number",
    "codes [2 0] [0 2] [2 0] [0 -2] [-2 0] and x = [0 0] [1 1] [3 0] [-1 -1] [0 -5]",
)
def ties(code):
    codes = [[2.0, 0.0], [0.0, 2.0], [2.0, 0.0], [0.0, -2.0], [-2.0, 0.0]]
    x = [[0.0, 0.0], [1.0, 1.0], [3.0, 0.0], [-1.0, -1.0], [0.0, -5.0]]
    yield "numbers", numbers_of(code, x, codes), [0, 0, 0, 3, 3]
    yield "numbers for x = [0 0] alone", numbers_of(code, x[:1], codes), [0]


@check(
    "4.22",
    "(N, E) and (K, E) make (N,) int64",
    "irregular numbers: N = 60, K = 7, E = 3, of which some codes are long; float64 and float32; "
    "a single vector; a single code",
)
def nearest_of_irregular_numbers(code):
    x, codes = 2 * irregular(60, 3, phase=1.0), irregular(7, 3, phase=3.0)
    codes = codes * torch.linspace(0.5, 3.0, 7, dtype=F64)[:, None]
    want = [nearest(row, codes.tolist()) for row in x.tolist()]
    for dtype in (F64, F32):
        inputs = x.to(dtype), codes.to(dtype)
        before = [values.clone() for values in inputs]
        got = code.hidreamer.hrvq.assign(*inputs)
        yield "shape", tuple(got.shape), (60,)
        yield "is it int64?", got.dtype == torch.int64, True
        yield f"numbers, {dtype}", got, want
        same = [torch.equal(new, old) for new, old in zip(inputs, before, strict=True)]
        yield "are x and codes as they were?", same, [True, True]
    yield "of a single vector", code.hidreamer.hrvq.assign(x[4:5], codes), want[4:5]
    yield "of a single code", code.hidreamer.hrvq.assign(x[:3], codes[:1]), [0, 0, 0]


@check(
    "4.22",
    "small differences count, and so do codes that have moved since the last call",
    "codes [1 .5] [1 1/64, .5]; x = [1 7/1024, .5] and [1 9/1024, .5], float32; the codes in the "
    "other order; then [4 .5] [1 .5] in the place of the first ones",
)
def near_and_moved(code):
    codes = torch.tensor([[1.0, 0.5], [1 + 1 / 64, 0.5]])
    x = torch.tensor([[1 + 7 / 1024, 0.5], [1 + 9 / 1024, 0.5]])
    yield "numbers", code.hidreamer.hrvq.assign(x, codes), [0, 1]
    yield "of codes in the other order", code.hidreamer.hrvq.assign(x, codes.flip(0)), [1, 0]
    codes.copy_(torch.tensor([[4.0, 0.5], [1.0, 0.5]]))
    yield "after the codes have moved", code.hidreamer.hrvq.assign(x, codes), [1, 1]


# --- 4.23 perplexity ------------------------------------------------------------------------------


def effective(code, tokens, count: int):
    return code.hidreamer.hrvq.perplexity(torch.tensor(tokens), count)


@check(
    "4.23",
    "exp of the entropy in nats of the frequencies",
    "8 tokens of 4 codes: 2 2 0 2 1 0 2 3, so 1/2 1/4 1/8 1/8: 7/4 bits, 2^1.75. Then 3 1 1 1 of "
    "4: 1/4 3/4",
)
def perplexity_by_hand(code):
    yield "perplexity", effective(code, [2, 2, 0, 2, 1, 0, 2, 3], 4), 2**1.75
    want = 4 ** (1 / 4) * (4 / 3) ** (3 / 4)
    yield "perplexity of 3 1 1 1", effective(code, [3, 1, 1, 1], 4), want


@check(
    "4.23",
    "K where all are alike, 1 for one code; which numbers the codes have does not matter",
    "0 to 5 thrice; 4 nine times, of 6; one token; 1 and 5 alike, of 9; 17 tokens and the same "
    "with other numbers",
)
def extremes_of_perplexity(code):
    yield "of all 6 alike", effective(code, [0, 1, 2, 3, 4, 5] * 3, 6), 6.0
    yield "of one code of 6", effective(code, [4] * 9, 6), 1.0
    yield "of one token", effective(code, [0], 3), 1.0
    yield "of two alike of 9", effective(code, [1, 5, 5, 1], 9), 2.0
    tokens = [0, 2, 2, 3, 0, 2, 2, 0, 3, 2, 2, 2, 5, 2, 0, 0, 3]
    want = perplexity([5, 0, 8, 3, 0, 1])
    yield "of counts 5 0 8 3 0 1", effective(code, tokens, 6), want
    yield "of the numbers 5 - k", effective(code, [5 - k for k in tokens], 6), want
    yield "where there are 40 codes", effective(code, tokens, 40), want


@check(
    "4.23",
    "tokens of any shape are counted together; the result is a Python float",
    "3 × 4 tokens 0 0 1 2 | 1 1 1 3 | 0 4 1 1 of 6 codes; the same as 2 × 2 × 3; int32",
)
def shapes_of_tokens(code):
    tokens = torch.tensor([[0, 0, 1, 2], [1, 1, 1, 3], [0, 4, 1, 1]])
    before, want = tokens.tolist(), perplexity([3, 6, 1, 1, 1])
    function = code.hidreamer.hrvq.perplexity
    got = function(tokens, 6)
    yield "perplexity", got, want
    yield "is it a float?", isinstance(got, float), True
    yield "of 2 × 2 × 3", function(tokens.view(2, 2, 3), 6), want
    yield "of int32", function(tokens.int(), 6), want
    want = perplexity([2, 2, 1, 1])
    yield "of two columns, not next to each other", function(tokens[:, ::3], 6), want
    yield "tokens after the calls", tokens, before


@check(
    "4.23",
    "thousands of tokens, of which some are rare",
    "4028 tokens of 5 codes: 0 3000 times, 1 1000 times, 2 once, 4 27 times",
)
def many_tokens(code):
    counts = [3000, 1000, 1, 0, 27]
    tokens = [k for k, count in enumerate(counts) for _ in range(count)]
    yield "perplexity", effective(code, tokens, 5), perplexity(counts)


# --- 4.24 follow ----------------------------------------------------------------------------------


@torch.no_grad()
def book_of(code, size, total, rate=0.01, eps=1e-5, dtype=F32):
    """A codebook with these averages; its codes are wrong until it follows."""
    size, total = (torch.as_tensor(x, dtype=dtype) for x in (size, total))
    book = code.hidreamer.hrvq.Codebook(*total.shape, rate, eps).to(dtype)
    for name, numbers in {"size": size, "total": total, "codes": -7.0 - total}.items():
        getattr(book, name).copy_(numbers)
    return book


def state(book) -> list:
    return [("size", book.size), ("total", book.total), ("codes", book.codes)]


@check(
    "4.24",
    "sizes and totals go a quarter of the way to the batch's counts and sums; a code is its total "
    "÷ its smoothed size",
    "rate 1/4, ε = 1/2; sizes 2 1 4, totals [2 4] [3 -1] [0 8]; x = [1 2] [3 0] [5 -4] with codes "
    "0 2 0. So Σ size = 6, and smoothed sizes are (size + 1/2) · 6 / 7.5 = 2 1 3. In training and "
    "in evaluation mode",
)
def follow_by_hand(code):
    for mode in ("training", "evaluation"):
        book = book_of(code, [2.0, 1, 4], [[2.0, 4], [3, -1], [0, 8]], 0.25, 0.5)
        x = torch.tensor([[1.0, 2], [3, 0], [5, -4]])
        book.train(mode == "training").follow(x, torch.tensor([0, 2, 0]))
        yield f"size, {mode}", book.size, [2.0, 0.75, 3.25]
        yield f"total, {mode}", book.total, [[3.0, 2.5], [2.25, -0.75], [0.75, 6.0]]
        yield f"codes, {mode}", book.codes, [[1.5, 1.25], [2.25, -0.75], [0.25, 2.0]]


@check(
    "4.24",
    "three batches one after the other; codes that a batch does not use fade, size and total alike",
    "irregular numbers: K = 5, E = 3, batches of 9, 4 and 1, code 4 never used; rate .01, ε 1e-5, "
    "then rate .3, ε .2",
)
def follow_of_irregular_numbers(code):
    for rate, eps in ((0.01, 1e-5), (0.3, 0.2)):
        size, total = 2 + irregular(5, phase=1.0), 3 * irregular(5, 3, phase=2.0)
        book = book_of(code, size, total, rate, eps)
        expected = book.size.tolist(), book.total.tolist()
        batches = [[0, 1, 1, 3, 0, 1, 2, 1, 0], [2, 2, 3, 2], [1]]
        for i, tokens in enumerate(batches):
            x = irregular(len(tokens), 3, phase=3.0 + i, dtype=F32)
            book.follow(x, torch.tensor(tokens))
            *expected, codes = followed(*expected, x.tolist(), tokens, rate, eps)
            for (name, got), want in zip(state(book), (*expected, codes), strict=True):
                yield f"{name} after batch {i + 1}, rate {rate:g}", got, want


@check(
    "4.24",
    "a code that nothing ever uses is still finite; at rate 1 the others are the means of a batch",
    "rate 1, ε = 1e-5; K = 3, sizes 0, totals 0; x = [1 2] [3 6] [5 -4] with codes 0 0 2. Then "
    "rate 0: nothing moves but the codes, to total ÷ size",
)
def follow_at_extremes(code):
    x = torch.tensor([[1.0, 2], [3, 6], [5, -4]])
    book = book_of(code, [0.0] * 3, [[0.0] * 2] * 3, 1.0)
    book.follow(x, torch.tensor([0, 0, 2]))
    yield "size", book.size, [2.0, 0, 1]
    yield "total", book.total, [[4.0, 8], [0, 0], [5, -4]]
    yield "codes", book.codes, [[2.0, 4], [0, 0], [5, -4]], 1e-4
    book = book_of(code, [2.0, 1, 4], [[2.0, 4], [3, -1], [0, 8]], 0.0, 1e-9)
    book.follow(x, torch.tensor([0, 0, 2]))
    yield "size at rate 0", book.size, [2.0, 1, 4]
    yield "codes at rate 0", book.codes, [[1.0, 2], [3, -1], [0, 2]]


@check(
    "4.24",
    "averages are numbers without a gradient; vectors and tokens stay as they are",
    "irregular numbers with a gradient, float32; K = 4, E = 3, N = 6, rate .2",
)
def follow_keeps(code):
    book = book_of(code, [1.0, 2, 1, 3], irregular(4, 3, phase=1.0, dtype=F32), 0.2)
    x, tokens = irregular(6, 3, phase=5.0, dtype=F32), torch.tensor([3, 0, 0, 2, 3, 3])
    size, total, *_ = (numbers.tolist() for _, numbers in state(book))
    want = followed(size, total, x.tolist(), tokens.tolist(), 0.2, 1e-5)
    before = x.tolist()
    x.requires_grad_()
    book.follow(x, tokens)
    for (name, got), numbers in zip(state(book), want, strict=True):
        yield name, got, numbers
        yield f"is {name} float32?", got.dtype == F32, True
        yield f"has {name} a gradient?", got.requires_grad, False
    yield "names of what is kept", sorted(book.state_dict()), ["codes", "size", "total"]
    yield "x after the call", x, before
    yield "tokens after the call", tokens, [3, 0, 0, 2, 3, 3]


# --- 4.25 forward ---------------------------------------------------------------------------------


@torch.no_grad()
def hrvq_of(code, books, dtype=F64):
    books = torch.as_tensor(books, dtype=dtype)
    model = code.hidreamer.hrvq.HRVQ(books.shape[2], books.shape[1], len(books)).to(dtype)
    for book, codes in zip(model.books, books, strict=True):
        book.codes.copy_(codes)
    return model


def irregular_books(layers: int, dtype=F64):
    """Each layer's codes half as long as those of the one before. (L, 6, 4)"""
    numbers = irregular(layers, 6, 4, phase=3.0)
    return (numbers / 2.0 ** torch.arange(layers)[:, None, None]).to(dtype)


def expected_of(z, books) -> tuple[list, list, list]:
    """Quantised, tokens, what each layer leaves: (N, E), (N, L), (L, N, E)."""
    rows = [quantised(row, books.tolist()) for row in z.tolist()]
    sums, tokens, left = (list(x) for x in zip(*rows, strict=True))
    return sums, tokens, [list(x) for x in zip(*left, strict=True)]


def square_mean(rows: list[list[float]]) -> float:
    return sum(v * v for row in rows for v in row) / sum(map(len, rows))


@check(
    "4.25",
    "each layer quantises what the one before has left; the result is the sum of the codes",
    "codes of layer 1 [4 0] [0 4], of layer 2 [1 0] [0 -2]; z = [5.5 .5] [1 3]: left by layer 1 "
    "[1.5 .5] [1 -1], by layer 2 [.5 .5] [0 -1]",
)
def two_layers_by_hand(code):
    model = hrvq_of(code, [[[4.0, 0], [0, 4]], [[1.0, 0], [0, -2]]])
    got = model(torch.tensor([[5.5, 0.5], [1.0, 3.0]], dtype=F64))
    yield "number of results", len(got), 3
    if len(got) != 3:
        return
    yield "quantised", got[0], [[5.0, 0], [1, 4]]
    yield "tokens", got[1], [[0, 0], [1, 0]]
    yield "commitment", got[2], [(2.25 + 0.25 + 1 + 1) / 4, (0.25 + 0.25 + 0 + 1) / 4]


@check(
    "4.25",
    "the Jacobian of the result is the identity: not 0, not once for each layer",
    "irregular numbers: N = 5, E = 4, K = 6, and 4 layers, then 1 in evaluation mode; the loss is "
    "quantised·w",
)
def straight_through(code):
    for layers in (4, 1):
        books, z = irregular_books(layers), irregular(5, 4, phase=1.0).requires_grad_()
        with draws(normal=1.5, uniform=0.9):  # no answer hangs on them
            quantised, tokens, _ = hrvq_of(code, books).train(layers > 1)(z)
        sums, numbers, _ = expected_of(z, books)
        yield f"quantised, {layers} layers", quantised, sums
        yield f"tokens, {layers} layers", tokens, numbers
        w = irregular(5, 4, phase=8.0)
        yield f"gradient to z, {layers} layers", gradients((quantised * w).sum(), z)[0], w


@check(
    "4.25",
    "every layer's commitment pulls z towards its codes, with 2 (residual - code) / (N E)",
    "irregular numbers: N = 5, E = 4, K = 6, 3 layers; one commitment after the other, in training "
    "and in evaluation mode",
)
def commitment_of_every_layer(code):
    for mode in ("training", "evaluation"):
        books, z = irregular_books(3), irregular(5, 4, phase=1.0).requires_grad_()
        model = hrvq_of(code, books).train(mode == "training")
        _, _, commitment = model(z)
        _, _, left = expected_of(z, books)
        yield f"commitment, {mode}", commitment, [square_mean(rows) for rows in left]
        if not isinstance(commitment, torch.Tensor) or tuple(commitment.shape) != (3,):
            yield f"is it a tensor (3,), {mode}?", False, True
            return
        for i, rows in enumerate(left):
            want = [[2 * v / 20 for v in row] for row in rows]
            yield f"gradient of layer {i + 1}'s to z, {mode}", gradients(commitment[i], z)[0], want
        yield "do codes want a gradient?", any(x.requires_grad for x in model.buffers()), False


@check(
    "4.25",
    "codebooks only answer: neither training nor evaluation moves them; z stays as it is",
    "irregular numbers, 3 layers; float64 and float32, several vectors and a single one",
)
def kinds_of_results(code):
    for dtype, count in ((F64, 5), (F32, 1)):
        books, z = irregular_books(3, dtype), irregular(count, 4, phase=1.0, dtype=dtype)
        model, before = hrvq_of(code, books, dtype), z.tolist()
        kept = {name: x.tolist() for name, x in model.state_dict().items()}
        for mode in (True, False):
            got = model.train(mode)(z)
            sums, numbers, left = expected_of(z, books)
            yield "quantised", got[0], sums
            yield "tokens", got[1], numbers
            yield "commitment", got[2], [square_mean(rows) for rows in left]
            yield "is the first dtype that of z?", got[0].dtype == dtype, True
            yield "are tokens int64?", got[1].dtype == torch.int64, True
            yield "z after the call", z, before
            now = {name: x.tolist() for name, x in model.state_dict().items()}
            yield "what of the codebooks has moved", [x for x in kept if now[x] != kept[x]], []
