"""A run that takes a second, and rows that need no game."""

from dataclasses import replace

import numpy as np

from solutions.paper4_hdreamer.hidreamer.stages import HiDreamer, Tier

SMALL = Tier(
    tasks="catch", size=8, sticky=-1.0, steps=150, units=16, encoder_updates=4, encoder_batch=16,
    encoder_lr=1e-3, temperature=0.1, hard=0.5, margin=2, hard_margin=2, codes=8, epochs=3,
    joint_updates=0, width=16, layers=1, heads=2, length=6, rule="brief", dropout=0.1, bins=21,
    model_updates=4, model_batch=8, accumulate=1, model_lr=1e-3, warmup=2, balanced=True,
    precision="fp32", context=2, horizon=3, dreams=8, policy_units=16, policy_updates=4,
    policy_lr=3e-4, algorithm="reinforce", discount=0.9, lambda_=0.8, entropy_scale=0.01,
    rounds=2, round_steps=20, round_model_updates=2, round_policy_updates=2, episodes=3,
)  # fmt: skip


def agent_of(actions: int = 3, legal=None, **options) -> HiDreamer:
    legal = np.ones(actions, bool) if legal is None else legal
    return HiDreamer(replace(SMALL, **options), legal)


def rows_of(lengths=(7, 5, 9, 6, 8), games=None, seed: int = 0) -> dict[str, np.ndarray]:
    """Random pictures and choices in episodes of these lengths; `games`: that of each episode."""
    random, count = np.random.default_rng(seed), sum(lengths)
    done = np.zeros(count, bool)
    done[np.cumsum(lengths) - 1] = True
    return {
        "picture": random.integers(256, size=(count, 8, 8), dtype=np.uint8),
        "action": random.integers(3, size=count), "done": done, "terminal": done.copy(),
        "reward": np.where(done, 1.0, 0.0).astype(np.float32),
        "episode": np.repeat(np.arange(len(lengths)), lengths),
        "game": np.repeat(games or [0] * len(lengths), lengths),
    }  # fmt: skip
