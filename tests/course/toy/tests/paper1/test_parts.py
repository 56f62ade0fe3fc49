import torch

from course.checks import check


@check("1.1", "the output is twice the input", given="x = [1.5, -2]")
def doubles_irregular_numbers(code):
    yield "2 x", code.parts.double(torch.tensor([1.5, -2.0])), [3.0, -4.0]


@check("1.1", "the input is left as it is", given="x = [1]")
def leaves_its_input_alone(code):
    x = torch.ones(1)
    code.parts.double(x)
    yield "x", x, [1.0]


@check("1.2", "noise has mean zero, and every call counts", given="x = [3, 4], two calls")
def adds_noise(code):
    noise = code.parts.Noise()
    noise.add(torch.zeros(2))
    yield "x + 0", noise.add(torch.tensor([3.0, 4.0])), [3.0, 4.0]
    yield "calls", noise.count, 2
