"""Hi-Dreamer, stage by stage. Each stage keeps what it made; the same command again goes on.

    python -m solutions.paper4_hdreamer.hidreamer.train run=runs/tokens [tier=cartpole|tiny|...]
           [until=collect|encoder|tokenizer|model|policy|online] [seed=0] [device=auto] [KEY=VALUE]

collect     random play; whole episodes
encoder     pictures → unit vectors, by telling moments apart
tokenizer   unit vectors → three tokens, by residual quantisation
model       tokens and actions → the next tokens, rewards, ends
policy      actor and critic, in dreams of the model alone
online      play with the policy, learn from it, dream again; several rounds

Every stage prints what it reached beside its baselines. KEY=VALUE are options of `Tier`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from paper4_hdreamer.hidreamer.actor_critic import (
    Actor,
    Critic,
    ReturnNormalizer,
    TokenFeatures,
    dream_returns,
    reinforce_loss,
)
from paper4_hdreamer.hidreamer.data import collect, stack_at
from paper4_hdreamer.hidreamer.encoder import Encoder, info_nce, negative_mask
from paper4_hdreamer.hidreamer.hrvq import HRVQ
from paper4_hdreamer.hidreamer.imagination import imagine, sampler
from paper4_hdreamer.hidreamer.tokens import Windows, split_by_episode
from paper4_hdreamer.hidreamer.world_model import Sizes, Transformer, token_accuracy


@dataclass
class Tier:
    """What a run is made of. The defaults are the small task's."""

    tasks: list[str] = field(default_factory=lambda: ["cartpole_pixels"])
    size: int = 32  # pixels of a side
    steps: int = 4000  # choices of random play, each task
    units: int = 256  # of the encoder's head
    encoder_updates: int = 300
    encoder_batch: int = 128
    temperature: float = 0.1
    codes: int = 64
    epochs: int = 12  # of the tokenizer
    width: int = 96
    layers: int = 3
    heads: int = 4
    length: int = 12  # steps of a window
    rule: str = "brief"
    model_updates: int = 600
    model_batch: int = 32
    model_lr: float = 1e-3
    context: int = 4  # real steps before a dream
    horizon: int = 10
    dreams: int = 64
    policy_updates: int = 200
    policy_lr: float = 1e-3
    discount: float = 0.99
    entropy_scale: float = 3e-3
    rounds: int = 4  # online
    round_steps: int = 500
    round_model_updates: int = 150
    round_policy_updates: int = 100


class HiDreamer:
    """The parts of a run, and what trains them."""

    def __init__(self, tier: Tier, actions: int, seed: int, device: str = "cpu"):
        torch.manual_seed(seed)
        self.tier, self.device = tier, torch.device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.encoder = Encoder(4, tier.size, tier.units).to(device)
        self.hrvq = HRVQ(count=tier.codes).to(device)
        sizes = Sizes(
            tier.codes, actions, tier.width, tier.layers, tier.heads,
            max(tier.length, tier.context + tier.horizon + 1), 0.1, tier.rule, 63,
        )  # fmt: skip
        self.model = Transformer(sizes).to(device)
        self.actions = actions
        self.begin_policy()

    def begin_policy(self) -> None:
        """A fresh actor and critic, for the codebooks as they are."""
        self.features = TokenFeatures(self.hrvq).to(self.device)
        inputs = self.features.codes.shape[0] * self.features.codes.shape[2]
        self.actor = Actor(inputs, torch.ones(self.actions)).to(self.device)
        self.critic = Critic(inputs, 63, 10.0).to(self.device)
        self.slow = Critic(inputs, 63, 10.0).to(self.device).requires_grad_(False)
        self.slow.load_state_dict(self.critic.state_dict())
        self.normalizer = ReturnNormalizer().to(self.device)
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.policy_optimizer = torch.optim.Adam(parameters, self.tier.policy_lr, eps=1e-5)

    # --- encoder ----------------------------------------------------------------------------------

    def train_encoder(self, rows: dict[str, np.ndarray], updates: int) -> list[float]:
        """InfoNCE on neighbouring pictures; every second batch is of one episode alone."""
        t, random = self.tier, np.random.default_rng(int(self.generator.initial_seed()))
        optimizer = torch.optim.AdamW(self.encoder.parameters(), 3e-4, weight_decay=1e-5)
        pairs = np.flatnonzero(~rows["done"][:-1])  # the next row is of the same episode
        losses = []
        for update in range(updates):
            if update % 2:
                index = random.choice(pairs, min(t.encoder_batch, len(pairs)), replace=False)
                margin = 10
            else:
                start = int(random.choice(pairs))
                index = pairs[(pairs >= start) & (pairs < start + t.encoder_batch)]
                margin = 4
            pictures = [stack_at(rows["picture"], rows["episode"], index + i) for i in (0, 1)]
            anchor, partner = (self.encoder(torch.as_tensor(x).to(self.device)) for x in pictures)
            place = [torch.as_tensor(x) for x in (rows["game"][index], rows["episode"][index], index)]
            mask = negative_mask(*place, margin).to(self.device)
            loss = info_nce(anchor, partner, mask, t.temperature)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.encoder.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
        return losses

    @torch.no_grad()
    def embed(self, rows: dict[str, np.ndarray]) -> Tensor:
        """Of every row: (N, E)."""
        parts = [
            self.encoder(
                torch.as_tensor(stack_at(rows["picture"], rows["episode"], index)).to(self.device)
            )
            for index in np.array_split(np.arange(len(rows["done"])), len(rows["done"]) // 512 + 1)
        ]
        return torch.cat(parts)

    # --- tokenizer --------------------------------------------------------------------------------

    def train_tokenizer(self, z: Tensor, epochs: int, batch: int = 512) -> int:
        """k-means, then averages that follow. Returns how many codes were revived."""
        self.hrvq.start(z[torch.randperm(len(z), generator=self.generator)[:8192]], self.generator)
        revived = 0
        for _ in range(epochs):
            for index in torch.randperm(len(z), generator=self.generator).split(batch):
                revived += self.hrvq.learn(z[index], self.generator)
        return revived

    def tokenise(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            tokens = self.hrvq(self.embed(rows))[1]
        return rows | {"tokens": tokens.cpu().numpy()}

    # --- world model ------------------------------------------------------------------------------

    def train_model(self, windows: Windows, updates: int, optimizer, schedule) -> list[float]:
        self.model.train()
        losses = []
        for _ in range(updates):
            batch = windows.sample(self.tier.model_batch, self.generator)
            loss, _ = self.model.loss({key: x.to(self.device) for key, x in batch.items()})
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        self.model.eval()
        return losses

    # --- policy -----------------------------------------------------------------------------------

    def act(self, pictures: np.ndarray) -> int:
        """One action in the real game, from a stack of pictures (C, H, W)."""
        with torch.no_grad():
            z = self.encoder(torch.as_tensor(pictures[None]).to(self.device))
            return int(self.choose(self.hrvq(z)[1])[0])

    def choose(self, tokens: Tensor) -> Tensor:
        """Actions of the policy, drawn. (B, 3) → (B,)"""
        return torch.multinomial(self.actor(self.features(tokens)).exp(), 1)[:, 0]

    def train_policy(self, windows: Windows, updates: int) -> dict[str, float]:
        """Dreams from real contexts; actor and critic learn from them. Means over the updates."""
        t, sums = self.tier, {}
        for _ in range(updates):
            batch = windows.sample(t.dreams, self.generator)
            tokens = batch["tokens"][:, : t.context].to(self.device)
            actions = batch["action"][:, : t.context - 1].to(self.device)
            dream = imagine(self.model, self.choose, tokens, actions, t.horizon, sampler())
            metrics = self.learn_from(dream)
            sums = {key: sums.get(key, 0.0) + float(x) / updates for key, x in metrics.items()}
        return sums

    def learn_from(self, dream: dict[str, Tensor]) -> dict[str, Tensor]:
        """One update of actor and critic."""
        t, state = self.tier, self.features(dream["tokens"])
        logits = self.critic(state)
        values = self.critic.mean(logits.detach())
        returns, weight = dream_returns(
            dream["reward"], dream["continue"], values, t.discount
        )
        self.normalizer.update(returns)
        advantage = (returns - values[:, :-1]) / self.normalizer.scale()
        policy = self.actor(state[:, :-1])
        actor = reinforce_loss(policy, dream["action"], advantage, weight, t.entropy_scale)
        slow = self.slow.mean(self.slow(state))[:, :-1]
        critic = (weight * self.critic.loss(logits[:, :-1], returns, slow)).mean()
        self.policy_optimizer.zero_grad()
        (actor + critic).backward()
        nn.utils.clip_grad_norm_(self.actor.parameters(), 100.0)
        nn.utils.clip_grad_norm_(self.critic.parameters(), 100.0)
        self.policy_optimizer.step()
        with torch.no_grad():
            for slow_p, p in zip(self.slow.parameters(), self.critic.parameters(), strict=True):
                slow_p.lerp_(p, 0.02)
        entropy = -(policy.exp() * policy).sum(-1)
        return {
            "return": returns.mean(), "value": values.mean(), "entropy": entropy.mean().detach(),
            "reward": dream["reward"].mean(), "continue": dream["continue"].mean(),
        }  # fmt: skip
