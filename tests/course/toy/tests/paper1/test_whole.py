import torch

from course.checks import check


@check("1.3", "the chain is 4 x plus noise", given="x = [1.5]")
def chains(code):
    yield "4 x + 0", code.whole.chain(torch.tensor([1.5])), [6.0]
