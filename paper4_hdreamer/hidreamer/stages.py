"""What each stage of Hi-Dreamer learns, and one update of it.

    collect → encoder → tokenizer → model → policy → online

Letters: N rows, B batch, C pictures of a stack.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from paper3_dreamerv3.actor_critic import ReturnNormalizer
from paper4_hdreamer.hidreamer.actor_critic import (
    Actor,
    Critic,
    TokenFeatures,
    dream_returns,
    entropy,
    ppo_loss,
    reinforce_loss,
)
from paper4_hdreamer.hidreamer.data import STACK, stack_at
from paper4_hdreamer.hidreamer.encoder import Encoder, info_nce, negative_mask
from paper4_hdreamer.hidreamer.hrvq import COMMITMENT, HRVQ
from paper4_hdreamer.hidreamer.imagination import imagine, sampler
from paper4_hdreamer.hidreamer.tokens import Windows
from paper4_hdreamer.hidreamer.world_model import LEVELS, Sizes, Transformer


@dataclass
class Tier:
    """What a run is made of. The defaults are those of the small task; others: TIERS."""

    tasks: str = "catch"  # names of dreamer-train, with commas; the policy plays the first
    size: int = 5  # pixels of a side
    sticky: float = -1.0  # Atari: probability that an action is repeated; -1: the task's own
    steps: int = 8000  # choices of random play in each task
    # encoder
    units: int = 256  # of its head
    encoder_updates: int = 400
    encoder_batch: int = 128
    encoder_lr: float = 1e-3
    temperature: float = 0.1
    hard: float = 0.0  # share of the batches that come from one episode alone
    margin: int = 2  # steps that two rows of an episode must be apart to be told apart
    hard_margin: int = 2
    # tokenizer
    codes: int = 64  # of each of three layers
    epochs: int = 12
    joint_updates: int = 0  # afterwards encoder and codebooks together
    # world model
    width: int = 64
    layers: int = 2
    heads: int = 4
    length: int = 5  # steps of a window
    rule: str = "brief"
    dropout: float = 0.0
    bins: int = 255  # of rewards and values
    model_updates: int = 1000
    model_batch: int = 32
    accumulate: int = 1  # batches of an update
    model_lr: float = 1e-3
    warmup: int = 50  # updates
    balanced: bool = True  # every task equally often; else by the number of its windows
    precision: str = "auto"  # bf16 | fp16 | fp32; auto: bf16 on a GPU that has it, else fp32
    # policy
    context: int = 1  # real steps before a dream
    horizon: int = 4
    dreams: int = 64
    policy_units: int = 256  # of actor and critic
    policy_updates: int = 500
    policy_lr: float = 3e-4
    algorithm: str = "reinforce"  # or ppo
    discount: float = 0.997
    lambda_: float = 0.95
    entropy_scale: float = 5e-2
    # online
    rounds: int = 3
    round_steps: int = 800
    round_model_updates: int = 200
    round_policy_updates: int = 200
    # the end
    episodes: int = 200  # of the evaluation


ATARI = dict(
    size=84, sticky=0.25, units=512, hard=0.5, margin=10, hard_margin=4, encoder_lr=3e-4,
    codes=256, dropout=0.1, policy_units=512, context=8, entropy_scale=3e-3, episodes=5,
)  # fmt: skip
THREE = "atari_pong,atari_breakout,atari_ms_pacman"
TIERS = {
    "catch": {},
    "tiny": ATARI | dict(
        tasks="atari_pong", steps=9000, encoder_updates=400, width=128, layers=3, length=16,
        model_updates=900, model_batch=32, model_lr=3e-4, warmup=100, horizon=8, rounds=2,
        policy_updates=200, round_steps=1500, round_model_updates=150, round_policy_updates=100,
    ),
    "small": ATARI | dict(
        tasks="atari_pong", steps=100_000, encoder_updates=5000, encoder_batch=256, width=256,
        layers=4, length=32, model_updates=5000, model_lr=3e-4, warmup=500, context=16, horizon=15,
        policy_updates=3000, policy_lr=1e-4, rounds=20, round_steps=2000, round_model_updates=300,
        round_policy_updates=200, episodes=10,
    ),
    "full": ATARI | dict(
        tasks=THREE, steps=100_000, encoder_updates=35_000, encoder_batch=256, width=384, layers=6,
        heads=6, length=64, model_updates=10_000, model_lr=3e-4, warmup=1000, context=16,
        horizon=15, policy_updates=10_000, policy_lr=3e-5, entropy_scale=3e-4, rounds=50,
        round_steps=2000, round_model_updates=300, round_policy_updates=300, episodes=20,
    ),
}  # fmt: skip


class HiDreamer:
    """The parts of a run, and one update of each.

    legal   (A,) bool   actions of the task that the policy plays
    """

    def __init__(self, tier: Tier, legal: np.ndarray, device: str = "cpu"):
        self.tier, self.device, self.legal = tier, torch.device(device), torch.as_tensor(legal)
        self.encoder = Encoder(STACK, tier.size, tier.units).to(device)
        self.hrvq = HRVQ(count=tier.codes).to(device)
        sizes = Sizes(
            tier.codes, len(legal), tier.width, tier.layers, tier.heads, tier.length, tier.dropout,
            tier.rule, tier.bins,
        )  # fmt: skip
        self.model = Transformer(sizes).to(device).eval()
        self.features = TokenFeatures(self.hrvq).to(device)
        inputs = self.features.codes.shape[0] * self.features.codes.shape[2]
        self.actor = Actor(inputs, self.legal, tier.policy_units).to(device)
        self.critic = Critic(inputs, tier.bins, tier.policy_units).to(device)
        self.slow = Critic(inputs, tier.bins, tier.policy_units).to(device).requires_grad_(False)
        self.slow.load_state_dict(self.critic.state_dict())
        self.normalizer = ReturnNormalizer().to(device)
        self.policy_optimizer = torch.optim.Adam(
            [*self.actor.parameters(), *self.critic.parameters()], tier.policy_lr, eps=1e-5
        )
        self.begin(None, 0)

    def modules(self) -> dict[str, nn.Module]:
        names = ("encoder", "hrvq", "model", "features", "actor", "critic", "slow", "normalizer")
        return {name: getattr(self, name) for name in names}

    def begin(self, stage: str | None, total: int) -> None:
        """A fresh optimiser for the next stage, with a rate that falls along a cosine."""
        t, warmup, last = self.tier, 0, 0.0
        if stage == "model":
            groups, rate, options, warmup = decayed(self.model), t.model_lr, (0.9, 0.95), t.warmup
            self.optimizer = torch.optim.AdamW(groups, rate, options, weight_decay=0.1)
        else:
            rate, last = t.encoder_lr, 1e-6 / t.encoder_lr
            self.optimizer = torch.optim.AdamW(self.encoder.parameters(), rate, weight_decay=1e-5)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda done: cosine(done, total, warmup, last)
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision() == "fp16")

    # --- encoder ----------------------------------------------------------------------------------

    def update_encoder(self, rows: dict, pairs: np.ndarray, random: np.random.Generator) -> dict:
        """InfoNCE on neighbouring rows."""
        hard = random.random() < self.tier.hard
        index = draw_pairs(rows["episode"], pairs, self.tier.encoder_batch, hard, random)
        anchor, partner = (self.encoder(self.stacks(rows, index + i)) for i in (0, 1))
        loss = info_nce(anchor, partner, self.candidates(rows, index, hard), self.tier.temperature)
        self.step(self.encoder, loss)
        return {"loss": loss.detach(), "bound": math.log(len(index)) - loss.detach()}

    def stacks(self, rows: dict, index: np.ndarray) -> Tensor:
        """Stacked pictures of some rows: (B, C, size, size) uint8."""
        found = stack_at(rows["picture"], rows["episode"], index)
        return torch.as_tensor(found).to(self.device)

    def candidates(self, rows: dict, index: np.ndarray, hard: bool) -> Tensor:
        place = (torch.as_tensor(x) for x in (rows["game"][index], rows["episode"][index], index))
        margin = self.tier.hard_margin if hard else self.tier.margin
        return negative_mask(*place, margin).to(self.device)

    def step(self, module: nn.Module, loss: Tensor) -> None:
        """One step of this stage's optimiser; gradients are clipped to norm 1."""
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        before = self.scaler.get_scale()
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.scaler.get_scale() >= before:  # else gradients had overflowed: there was no step
            self.schedule.step()

    @torch.no_grad()
    def embed(
        self, rows: dict, encoder: nn.Module | None = None, index: np.ndarray | None = None
    ) -> Tensor:
        """Unit vectors of all rows (N, E), or of some by number."""
        index = np.arange(len(rows["done"])) if index is None else index
        parts = torch.as_tensor(index).split(512)
        return torch.cat([(encoder or self.encoder)(self.stacks(rows, x.numpy())) for x in parts])

    # --- tokenizer --------------------------------------------------------------------------------

    def start_tokenizer(self, z: Tensor) -> None:
        """k-means on a sample of the vectors, layer by layer."""
        self.hrvq.start(z[torch.randperm(len(z))[:8192]], None)

    def update_tokenizer(self, z: Tensor, batch: int = 512) -> dict:
        """One epoch: codebooks follow their vectors."""
        parts = torch.randperm(len(z)).split(batch)
        return {"revived": sum(self.hrvq.learn(z[index], None) for index in parts)}

    def update_joint(self, rows: dict, pairs: np.ndarray, random: np.random.Generator) -> dict:
        """Encoder and codebooks: InfoNCE of quantised vectors, and the commitment of each layer.

        Only here the costs of commitment do anything: codebooks have no gradient, so for vectors
        that do not change they are numbers in a log.
        """
        index = draw_pairs(rows["episode"], pairs, self.tier.encoder_batch, False, random)
        z = self.encoder(self.stacks(rows, np.concatenate([index, index + 1])))
        quantised, _, commitment = self.hrvq(z)
        anchor, partner = nn.functional.normalize(quantised, dim=-1).chunk(2)
        contrast = info_nce(
            anchor, partner, self.candidates(rows, index, False), self.tier.temperature
        )
        costs = commitment.new_tensor(COMMITMENT)
        self.step(self.encoder, contrast + (costs * commitment).sum())
        self.hrvq.learn(z.detach(), None)
        return {"loss": contrast.detach(), "commitment": commitment.detach().sum()}

    @torch.no_grad()
    def tokenise(self, rows: dict, known: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Rows with `tokens` (N, 3), and without pictures.

        known   (N, 3) int64   tokens that need not be computed again; -1 where they are not known
        """
        tokens = np.full((len(rows["done"]), LEVELS), -1) if known is None else known.copy()
        index = np.flatnonzero(tokens[:, 0] < 0)
        if len(index):
            parts = self.embed(rows, index=index).split(4096)
            tokens[index] = torch.cat([self.hrvq(z)[1] for z in parts]).cpu().numpy()
        names = ("action", "reward", "terminal", "done", "game")
        return {name: rows[name] for name in names} | {"tokens": tokens}

    def begin_policy(self) -> None:
        """Take the codebooks as they are now into the features of actor and critic."""
        self.features.load_state_dict(TokenFeatures(self.hrvq).state_dict())

    # --- world model ------------------------------------------------------------------------------

    def precision(self) -> str:
        if self.tier.precision != "auto":
            return self.tier.precision
        cuda = self.device.type == "cuda" and torch.cuda.is_bf16_supported(False)
        return "bf16" if cuda else "fp32"

    def autocast(self):
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        kind = kinds.get(self.precision())
        return torch.autocast(self.device.type, kind) if kind else nullcontext()

    def batch(self, windows: Windows, size: int) -> dict[str, Tensor]:
        return {key: x.to(self.device) for key, x in windows.sample(size, None).items()}

    def update_model(self, windows: Windows) -> dict:
        """One step on `accumulate` batches of windows."""
        self.model.train()
        for part in range(self.tier.accumulate):
            with self.autocast():
                loss, metrics = self.model.loss(self.batch(windows, self.tier.model_batch))
            if part + 1 < self.tier.accumulate:
                self.scaler.scale(loss / self.tier.accumulate).backward()
        self.step(self.model, loss / self.tier.accumulate)
        self.model.eval()
        return metrics | {"loss": loss.detach()}

    # --- policy -----------------------------------------------------------------------------------

    def choose(self, tokens: Tensor) -> Tensor:
        """Actions of the policy, drawn. (B, 3) → (B,)"""
        return torch.multinomial(self.actor(self.features(tokens)).exp(), 1)[:, 0]

    @torch.no_grad()
    def act(self, pictures: np.ndarray) -> int:
        """One action in the real game, from a stack of pictures (C, H, W)."""
        z = self.encoder(torch.as_tensor(pictures[None]).to(self.device))
        return int(self.choose(self.hrvq(z)[1])[0])

    def dream(self, contexts: Windows, size: int) -> dict[str, Tensor]:
        """Dreams of the policy that go on from real steps, whose last action is not used."""
        batch = self.batch(contexts, size)
        tokens, actions = batch["tokens"], batch["action"][:, :-1]
        return imagine(self.model, self.choose, tokens, actions, self.tier.horizon, sampler())

    def update_policy(self, contexts: Windows) -> dict:
        """Actor and critic learn from a batch of dreams: once, or with PPO in 4 epochs."""
        t, dream = self.tier, self.dream(contexts, self.tier.dreams)
        state = self.features(dream["tokens"])
        with torch.no_grad():
            values = self.critic.mean(self.critic(state))
            slow = self.slow.mean(self.slow(state))[:, :-1]
            before = self.actor(state[:, :-1]).gather(-1, dream["action"][..., None]).squeeze(-1)
        returns, weight = dream_returns(
            dream["reward"], dream["continue"], values, t.discount, t.lambda_
        )
        self.normalizer.update(returns)
        advantage = (returns - values[:, :-1]) / self.normalizer.scale()
        data = (state[:, :-1], dream["action"], before, advantage, weight, returns, slow)
        if t.algorithm == "ppo":
            for _ in range(4):
                for index in torch.randperm(t.dreams).to(self.device).chunk(4):
                    policy = self.update_actor_critic(*(x[index] for x in data))
                moved = (data[2] - self.log_prob(data[0], data[1])).mean()
                if moved > 0.02:  # estimate of KL(before ‖ now): far enough
                    break
        else:
            policy = self.update_actor_critic(*data)
        return {
            "return": returns.mean(), "value": values.mean(), "entropy": entropy(policy).mean(),
            "reward": dream["reward"].sum(1).mean(), "continue": dream["continue"].mean(),
            "scale": self.normalizer.scale(),
        }  # fmt: skip

    @torch.no_grad()
    def log_prob(self, state: Tensor, action: Tensor) -> Tensor:
        return self.actor(state).gather(-1, action[..., None]).squeeze(-1)

    def update_actor_critic(
        self, state: Tensor, action: Tensor, before: Tensor, advantage: Tensor, weight: Tensor,
        returns: Tensor, slow: Tensor,
    ) -> Tensor:  # fmt: skip
        """One step of both, and of the slow critic. Returns the policy's log-probabilities."""
        policy, scale = self.actor(state), self.tier.entropy_scale
        if self.tier.algorithm == "ppo":
            actor = ppo_loss(policy, before, action, advantage, weight, scale)
        else:
            actor = reinforce_loss(policy, action, advantage, weight, scale)
        critic = (weight * self.critic.loss(self.critic(state), returns, slow)).mean()
        self.policy_optimizer.zero_grad()
        (actor + critic).backward()
        for module in (self.actor, self.critic):
            nn.utils.clip_grad_norm_(module.parameters(), 100.0)
        self.policy_optimizer.step()
        follow(self.slow, self.critic)
        return policy.detach()


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, rate: float = 0.02) -> None:
    """The slow critic goes a small part of the way to the fast one."""
    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):
        old.lerp_(new, rate)


def draw_pairs(
    episode: np.ndarray, pairs: np.ndarray, batch: int, hard: bool, random: np.random.Generator
) -> np.ndarray:
    """Rows whose successors are their partners: (batch,), or fewer where there are not as many.

    episode   (N,)   numbers of the rows' episodes, in order
    pairs     rows that are followed by one of the same episode, in order
    hard      all of one episode, which is drawn by its length
    """
    if hard:
        number = episode[random.choice(pairs)]
        low, high = (np.searchsorted(episode[pairs], number, side) for side in ("left", "right"))
        pairs = pairs[low:high]
    return np.sort(random.choice(pairs, min(batch, len(pairs)), replace=False))


def decayed(model: nn.Module) -> list[dict]:
    """Parameters for AdamW: matrices of linear layers decay; biases, norms and tables do not."""
    linear = [m.weight for m in model.modules() if isinstance(m, nn.Linear)]
    chosen = {id(p) for p in linear}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    return [{"params": linear}, {"params": rest, "weight_decay": 0.0}]


def cosine(done: int, total: int, warmup: int, last: float) -> float:
    """Factor of the learning rate: up in a line, then along a cosine to `last`, or 1 for ever."""
    if done < warmup:
        return (done + 1) / warmup
    if not total:
        return 1.0
    share = min(1.0, (done - warmup) / max(1, total - warmup))
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * share))
