"""Mutants of encoder.py that compute the same as the answer, with the reasons."""

DEVICE = "graders run on the CPU, where all tensors are"

EQUIVALENT = {
    (
        "4.20",
        "torch.eye(len(step), dtype=torch.bool, device=step.device) → "
        "torch.eye(len(step), dtype=torch.bool)",
    ): DEVICE,
    (
        "4.20",
        "step[:, None] - step[None] → step[None] - step[:, None]",
    ): "its absolute value is taken",
    (
        "4.21",
        "torch.arange(len(scores), device=scores.device) → torch.arange(len(scores))",
    ): DEVICE,
}
