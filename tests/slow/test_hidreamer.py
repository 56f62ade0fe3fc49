"""Hi-Dreamer's small task from beginning to end: its policy plays better than chance."""

import json

import numpy as np
import torch

from solutions.paper4_hdreamer.hidreamer import train

REDUCED = (
    "steps=6000", "encoder_updates=300", "model_updates=700", "policy_updates=250", "rounds=1",
    "episodes=200",
)  # fmt: skip


def test_a_policy_that_learned_in_dreams_catches_more_balls_than_chance(tmp_path):
    """One seed, the same 200 episodes: the difference is above 0 in 99.9 % of a bootstrap."""
    torch.set_num_threads(1)
    run = f"run={tmp_path / 'run'}"
    assert train.command(["tier=catch", "seed=0", "device=cpu", run, *REDUCED]) == 0
    found = json.loads((tmp_path / "run" / "scores.json").read_text("utf-8"))["online"]
    gain = np.subtract(found["policy"], found["random"])  # of each episode
    random = np.random.default_rng(0)
    means = gain[random.integers(len(gain), size=(10_000, len(gain)))].mean(1)
    low = np.quantile(means, 0.001)
    print(f"policy {np.mean(found['policy']):.2f}, random {np.mean(found['random']):.2f}")
    assert low > 0, (
        f"{gain.mean():.2f} above random play; 99.9 % of a bootstrap are above {low:.2f}"
    )
