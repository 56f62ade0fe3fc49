"""Short training runs that learn: the whole chain from environment to policy works together."""

from dataclasses import asdict

import gymnasium
import numpy as np
import pytest
import torch

from dreamkit.envs.adapter import Adapter
from dreamkit.loggers import read_jsonl
from dreamkit.trainer import RunConfig, Trainer
from solutions.paper1_dreamerv1.train import Config as ConfigV1
from solutions.paper2_dreamerv2.train import Config as ConfigV2
from solutions.paper3_dreamerv3.train import Config as ConfigV3


class Match(gymnasium.Env):
    """A cue is shown; the action is rewarded for matching it. Ten steps, then a time limit."""

    def __init__(self, continuous: bool):
        box = gymnasium.spaces.Box
        self.continuous = continuous
        self.observation_space = box(-1, 1, (1 if continuous else 3,), np.float32)
        self.action_space = box(-1, 1, (1,)) if continuous else gymnasium.spaces.Discrete(3)

    def _cue(self):
        self.steps += 1
        if self.continuous:
            self.cue = self.np_random.choice([-0.7, 0.7], size=1).astype(np.float32)
            return self.cue
        self.cue = self.np_random.integers(3)
        return np.eye(3, dtype=np.float32)[self.cue]

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._cue(), {}

    def step(self, action):
        if self.continuous:
            reward = 1 - float(np.abs(action[0] - self.cue[0]))
        else:
            reward = float(action == self.cue)
        return self._cue(), reward, False, self.steps > 10, {}


V1 = ConfigV1(
    rnn_hidden_dim=32, hidden_dim=32, state_dim=4, units=32, vector_layers=1, reward_layers=2,
    critic_layers=2, actor_layers=2, batch_size=16, batch_length=10, imagine_length=4,
    imagine_last=4, free_nats=1.0, reconstruction_scale=30.0, gamma=0.9, entropy_scale=0.03,
    model_lr=3e-3, actor_lr=1e-3, critic_lr=3e-3,
)  # fmt: skip
V2 = ConfigV2(
    num_categoricals=4, num_categories=4, rnn_hidden_dim=32, rssm_hidden_dim=32, hidden_dim=32,
    head_layers=1, vector_layers=1, batch_size=16, seq_len=10, imagination_horizon=4,
    imagine_last=4, reconstruction_scale=10.0, gamma=0.9, entropy_scale=0.01,
    world_model_lr=3e-3, actor_lr=3e-3, critic_lr=3e-3, slow_interval=20,
)  # fmt: skip
V3 = ConfigV3(
    deter=32, hidden=32, stoch=4, classes=4, units=32, layers=1, bins=41, bin_limit=3,
    batch_size=16, batch_length=10, imagine_length=3, imagine_last=4, scale_vector=10,
    discount_horizon=10, lr=3e-3, warmup=20, slow_rate=0.1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "agent", "continuous", "random", "learned"),
    [
        ("dreamerv1", V1, True, 1.5, 6.0),
        ("dreamerv2", V2, False, 3.3, 8.0),
        ("dreamerv2", V2, True, 1.5, 6.0),
        pytest.param("dreamerv3", V3, False, 3.3, 8.0, marks=pytest.mark.long),
        pytest.param("dreamerv3", V3, True, 1.5, 6.0, marks=pytest.mark.long),
    ],
)
def test_an_agent_learns_to_match_a_cue(name, agent, continuous, random, learned, tmp_path):
    """Ten steps an episode: `random` is what chance earns, 10 the best."""
    cfg = asdict(RunConfig()) | dict(
        agent=asdict(agent), agent_name=name, code="solutions", steps=2400, envs=4,
        train_ratio=64, threads=1, device="cpu", until=learned, eval_every=200,
        save_every=0, log_every=10**9,
    )  # fmt: skip
    torch.set_num_threads(1)
    trainer = Trainer(cfg, tmp_path, lambda: Adapter(Match(continuous)))
    summary = trainer.run()
    first = read_jsonl(tmp_path / "metrics.jsonl", "eval")[0]["return"]
    assert first < (random + learned) / 2
    assert summary["best"] >= learned
