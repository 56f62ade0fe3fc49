"""DreamerV3 of sheeprl on one of our tasks: see benchmarks/rivals.py.

`sheeprl` is its agent of the Nature paper at the smallest size (`algo=dreamer_v3_5_1M`): on a CPU
the others are slower still. What was changed:

algo.replay_ratio       0.125, its own setting for Atari 100k; the default of 0.03125 is meant for
                        millions of steps. One update of 16 × 64 rows in eight steps replays 128
                        rows a step, as many as ours does on CartPole
env                     ours; four and not sixteen, stepped in this process
env.screen_size         pictures keep their size and their colours
checkpoint, logger      nothing is saved or logged, so that no time goes there
fabric                  one CPU, fp32

`sheeprl_tiny` has the sizes, batch, rates and scales of our size=tiny for the task besides, as far
as it has them. Two remain: it dreams from every state of a batch, ours from the last four of each
sequence; and its 255 bins reach to ±symexp(20).
"""

from contextlib import suppress
from importlib import import_module

import sheeprl  # noqa: F401, registers its agents
import torch
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from lightning import Fabric
from omegaconf import OmegaConf
from sheeprl.algos.dreamer_v3.utils import prepare_obs
from sheeprl.utils.metric import MetricAggregator
from sheeprl.utils.timer import timer
from sheeprl.utils.utils import dotdict

from benchmarks.rivals import Watch
from dreamkit import make


class Over(Exception):
    """Ends the training from inside."""


def tiny(cfg: dict, pictures: bool) -> dict:
    """Our configuration, in sheeprl's words."""
    c = cfg["agent"]
    rows = c["batch_size"] * c["batch_length"]
    model, layers = "algo.world_model", c["layers"]
    return {
        f"{model}.recurrent_model.recurrent_state_size": c["deter"],
        f"{model}.recurrent_model.hidden_size": c["hidden"],
        f"{model}.recurrent_model.blocks": c["blocks"],
        f"{model}.stochastic_size": c["stoch"],
        f"{model}.discrete_size": c["classes"],
        f"{model}.encoder.mlp_layers": layers,
        f"{model}.observation_model.mlp_layers": layers,
        "algo.actor.mlp_layers": layers,
        "algo.critic.mlp_layers": layers,
        "algo.dense_units": c["units"],
        "algo.cnn_channels_multiplier": c["depth"],
        "algo.per_rank_batch_size": c["batch_size"],
        "algo.per_rank_sequence_length": c["batch_length"],
        "algo.replay_ratio": cfg["train_ratio"] / rows,
        "algo.learning_starts": cfg["prefill"] or rows,
        "algo.horizon": c["imagine_length"],
        "algo.gamma": 1 - 1 / c["discount_horizon"],
        "algo.loss_scales.observation": c["scale_image" if pictures else "scale_vector"],
        "algo.actor.ent_coef": c["entropy_scale"],
        "algo.critic.tau": c["slow_rate"],
        "algo.optimizer.lr": c["lr"],
        "algo.optimizer.warmup": c["warmup"],
        "env.num_envs": cfg["envs"],
    }


def configure(watch: Watch, given: dict, size: str) -> dict:
    """The overrides of sheeprl's configuration."""
    spaces = make(**watch.task).observation_space.spaces
    pictures = [key for key, space in spaces.items() if len(space.shape) == 3]
    channels, height, _ = spaces[pictures[0]].shape if pictures else (3, 64, 64)
    steps = watch.steps or 20_000
    settings = {
        "exp": "dreamer_v3_5",
        "algo": "dreamer_v3_5_1M",
        "algo.replay_ratio": 0.125,
        "algo.total_steps": steps,
        "algo.cnn_keys.encoder": f"[{','.join(pictures)}]",
        "algo.mlp_keys.encoder": f"[{','.join(key for key in spaces if key not in pictures)}]",
        "algo.run_test": False,
        "env": "gym",
        "env.num_envs": 4,
        "env.sync_env": True,
        "env.capture_video": False,
        "env.screen_size": height,
        "env.grayscale": channels == 1,
        "buffer.size": steps,
        "buffer.memmap": False,
        "buffer.checkpoint": False,
        "checkpoint.every": watch.every,
        "metric.log_level": 0,
        "fabric.accelerator": "cpu",
        "seed": watch.seed,
    }
    return settings | (tiny(watch.cfg, bool(pictures)) if size == "tiny" else {}) | given


class Player:
    """Plays with sheeprl's player, which keeps its state itself."""

    device = torch.device("cpu")

    def __init__(self, player, fabric: Fabric, pictures: list[str]):
        self.player, self.fabric, self.pictures = player, fabric, pictures

    def initial_state(self, n: int) -> None:
        self.player.num_envs = n
        self.player.init_states()

    @torch.no_grad()
    def act(self, obs: dict, state: None, explore: bool = False):
        seen = {key: x for key, x in obs.items() if key != "is_first"}
        seen = prepare_obs(self.fabric, seen, cnn_keys=self.pictures, num_envs=self.player.num_envs)
        return torch.cat(self.player.get_actions(seen), -1)[0], None


class Look:
    """Evaluates where sheeprl would save a checkpoint: a callback of Fabric."""

    def __init__(self, watch: Watch, cfg: dotdict):
        self.watch, self.cfg = watch, cfg
        self.agent = import_module(f"sheeprl.algos.{cfg.algo.name}.agent")
        env = make(**watch.task)
        self.discrete = hasattr(env.action_space, "n")
        units = (int(env.action_space.n),) if self.discrete else env.action_space.shape
        self.arguments = units, not self.discrete, cfg, env.observation_space

    def on_checkpoint_coupled(self, fabric, ckpt_path, state, replay_buffer) -> None:
        step = state["iter_num"] * self.cfg.env.num_envs
        with self.watch.pause(), torch.random.fork_rng([]):  # building draws weights
            models = state["world_model"], state["actor"]
            *_, player = self.agent.build_agent(fabric, *self.arguments, *models)
        player = Player(player, fabric, self.cfg.algo.cnn_keys.encoder)
        if self.watch.look(step, player):
            raise Over


def train(watch: Watch, given: dict, size: str = "") -> dict:
    """Train until the watch or the number of steps ends it. Returns the overrides."""
    settings = configure(watch, given, size)
    places = {"log_root": f"'{watch.folder}'", "root_dir": "sheeprl", "run_name": "run"}
    GlobalHydra.instance().clear()
    with initialize_config_module("sheeprl.configs", version_base="1.3"):
        overrides = [f"{key}={x}" for key, x in (settings | places).items()]
        cfg = OmegaConf.to_container(compose("config", overrides), resolve=True)
    cfg["env"]["wrapper"] = {"_target_": "dreamkit.make", **watch.task}
    cfg = dotdict(cfg)
    look = Look(watch, cfg)
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true", callbacks=[look])
    MetricAggregator.disabled = timer.disabled = True
    torch.distributions.Distribution.set_default_validate_args(False)
    fabric.seed_everything(cfg.seed)
    main = import_module(f"sheeprl.algos.{cfg.algo.name}.{cfg.algo.name}").main
    watch.begin()
    with suppress(Over):
        fabric.launch(main, cfg)
    return settings
