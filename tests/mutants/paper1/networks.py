"""Generic mutants of networks.py that compute the same as the answer."""

ONE_PIXEL = "deconv1 sees a map of one pixel, and a stride only sets the distance between pixels"

EQUIVALENT = {
    (
        "1.4",
        "nn.ConvTranspose2d(32 * depth, 4 * depth, 5, stride=2) → "
        "nn.ConvTranspose2d(32 * depth, 4 * depth, 5)",
    ): ONE_PIXEL,
    ("1.4", "2 → 3"): ONE_PIXEL,
    ("1.4", "2 → 1"): ONE_PIXEL,
    ("1.7", "mean - target → target - mean"): "the difference is squared",
}
