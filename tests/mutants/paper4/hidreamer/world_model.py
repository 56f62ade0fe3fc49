"""Mutants of world_model.py that compute the same as the answer, with the reasons."""

DEVICE = "checks run on the CPU, where a tensor is put without being told"
LEVELS = "there are three levels of each: nothing is left for `strict`"
BOTH = "transpose exchanges two dimensions, in either order"

EQUIVALENT = {
    ("4.30", "torch.arange(x.shape[1], device=x.device) → torch.arange(x.shape[1])"): DEVICE,
    (
        "4.30",
        "zip(self.codes, tokens.unbind(-1), strict=True) → zip(self.codes, tokens.unbind(-1))",
    ): LEVELS,
    ("4.30", "True → False"): LEVELS,
    ("4.31", "part.transpose(1, 2) → part.transpose(2, 1)"): BOTH,
    ("4.31", "read.transpose(1, 2) → read.transpose(2, 1)"): BOTH,
    (
        "4.32",
        "zip(self.heads, rows, targets, strict=True) → zip(self.heads, rows, targets)",
    ): LEVELS,
    ("4.32", "True → False"): LEVELS,
    ("4.34", "torch.arange(codes, device=count.device) → torch.arange(codes)"): DEVICE,
}
