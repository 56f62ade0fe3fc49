"""Catch in one dimension, whose world model is a table without error: dreams alone teach to play.

A ball falls for five steps above one of nine columns; the paddle begins in the middle and moves by
-1, 0 or 1. A token is a number that anybody can read: L0 the paddle's column, L1 the ball's, L2 the
steps that are left. The last step pays 1 if the ball is caught, and ends the episode. A paddle that
does not look catches 1 ball in 9: wherever it is, one of nine balls falls there.
"""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from solutions.paper4_hdreamer.hidreamer.actor_critic import (
    Actor,
    Critic,
    TokenFeatures,
    dream_returns,
    ppo_loss,
    reinforce_loss,
)
from solutions.paper4_hdreamer.hidreamer.hrvq import HRVQ
from solutions.paper4_hdreamer.hidreamer.imagination import imagine, imagine_naive, sampler
from solutions.paper4_hdreamer.hidreamer.world_model import Sizes, Transformer

COLUMNS, HEIGHT, SURE = 9, 5, 60.0
ENTROPY, RATE = 0.05, 2e-3
LEGAL = torch.tensor([1, 0, 1, 1]).bool()  # left, a button that this game has not, stay, right
MOVES = torch.tensor([-1, 99, 0, 1])


class Table:
    """The game as a model that `imagine` can ask: it keeps what was read last of every slot."""

    def __init__(self):
        self.sizes = SimpleNamespace(layers=1, heads=1, width=1, steps=99)
        self.embedding = TableEmbedding()
        self.heads = [
            lambda x: sure(moved(x)),
            lambda x: sure(x[..., 1]),
            lambda x: sure((x[..., 2] - 1).clamp(min=0)),
        ]
        self.reward = TableReward()

    def __call__(self, x, cache=None):
        """(B, n, 2), slot and token → (B, n, 4) int64: the newest of each slot, row by row."""
        known = getattr(cache, "known", torch.zeros(len(x), 4, dtype=torch.int64))
        rows = []
        for position in x.unbind(1):
            known = known.scatter(1, position[:, :1], position[:, 1:])
            rows.append(known)
        if cache:
            cache.known = known
        return torch.stack(rows, 1)

    def goes_on(self, x):
        """Logits. (..., 4) → (..., 1)"""
        return torch.where(x[..., 2:3] > 1, SURE, -SURE)


class TableReward:
    """1 for a step that ends below the ball."""

    def __call__(self, x):
        return ((moved(x) == x[..., 1]) & (x[..., 2] == 1)).float()

    def mean(self, reward):
        return reward


class TableEmbedding:
    """Slot and token of each position."""

    slots = SimpleNamespace(weight=torch.zeros(4, 2))

    def __call__(self, tokens, actions):
        x = torch.cat([tokens, actions[..., None]], -1)
        return torch.stack([torch.arange(4).expand_as(x), x], -1).flatten(1, 2)

    def one(self, slot, token, step):
        return torch.stack([torch.full_like(token, slot), token], -1)[:, None]


def moved(x):
    """Where the paddle is after the action. (..., 4) → (...)"""
    return (x[..., 0] + MOVES[x[..., 3]]).clamp(0, COLUMNS - 1)


def sure(token):
    return SURE * F.one_hot(token, COLUMNS).float()


class Player:
    """Actor and critic of tokens, and how they learn from a dream."""

    def __init__(self):
        hrvq = HRVQ(units=16, count=COLUMNS)
        for book in hrvq.books:
            book.codes.normal_()
        self.features = TokenFeatures(hrvq)
        self.actor, self.critic = Actor(48, LEGAL, 64), Critic(48, 41, 64, 3.0)
        parameters = [*self.actor.parameters(), *self.critic.parameters()]
        self.optimizer = torch.optim.Adam(parameters, RATE, eps=1e-5)

    def choose(self, tokens):
        """(B, 3) → actions (B,)"""
        with torch.no_grad():
            return torch.multinomial(self.actor(self.features(tokens)).exp(), 1)[:, 0]

    def learn(self, dream: dict, passes: int = 1) -> list[float]:
        """One update with REINFORCE; where `passes` is more than 1, so many with PPO. Losses."""
        state, losses = self.features(dream["tokens"]), []
        with torch.no_grad():
            values = self.critic.mean(self.critic(state))
            returns, weight = dream_returns(dream["reward"], dream["continue"], values, 0.98)
            advantage = returns - values[:, :-1]
            policy = self.actor(state[:, :-1])
            before = policy.gather(-1, dream["action"][..., None])[..., 0]
        for _ in range(passes):
            log_policy, rest = self.actor(state[:, :-1]), (advantage, weight, ENTROPY)
            if passes == 1:
                actor = reinforce_loss(log_policy, dream["action"], *rest)
            else:
                actor = ppo_loss(log_policy, before, dream["action"], *rest)
            critic = (weight * self.critic.loss(self.critic(state[:, :-1]), returns)).mean()
            self.optimizer.zero_grad()
            (actor + critic).backward()
            self.optimizer.step()
            losses += [actor.item(), critic.item()]
        return losses


def beginnings(count: int):
    """States in which an episode begins. (count, 1, 3), and no action before them."""
    ball = torch.randint(COLUMNS, (count,))
    first = [torch.full_like(ball, COLUMNS // 2), ball, torch.full_like(ball, HEIGHT)]
    return torch.stack(first, -1)[:, None], torch.zeros(count, 0, dtype=torch.int64)


def anywhere(count: int):
    """Any states of the game, as replay would hold them: from there dreams run past the end."""
    paddle, ball = torch.randint(COLUMNS, (2, count))
    left = torch.randint(1, HEIGHT + 1, (count,))
    return torch.stack([paddle, ball, left], -1)[:, None], torch.zeros(count, 0).long()


def play(choose, episodes: int = 500) -> float:
    """The mean return in the game itself, without any model."""
    tokens, _ = beginnings(episodes)
    paddle, ball, _ = tokens[:, 0].unbind(-1)
    for left in range(HEIGHT, 0, -1):
        action = choose(torch.stack([paddle, ball, torch.full_like(ball, left)], -1))
        assert LEGAL[action].all(), "an action that this game has not"
        paddle = (paddle + MOVES[action]).clamp(0, COLUMNS - 1)
    return (paddle == ball).float().mean().item()


def towards_the_ball(tokens):
    return torch.tensor([0, 2, 3])[(tokens[:, 1] - tokens[:, 0]).sign() + 1]


def test_the_table_dreams_what_the_game_does():
    """A paddle that goes to the ball catches all, and is paid at the last step alone."""
    data = beginnings(50)
    for dreams in (imagine, imagine_naive):
        dream = dreams(Table(), towards_the_ball, *data, HEIGHT, sampler())
        assert (dream["reward"][:, -1] == 1).all() and not dream["reward"][:, :-1].any()
        assert (dream["continue"].round() == torch.tensor([1.0, 1, 1, 1, 0])).all()
        assert (dream["tokens"][:, :, 2] == torch.arange(HEIGHT, -1, -1)).all()
        distance = (dream["tokens"][:, :, 0] - dream["tokens"][:, :, 1]).abs()
        assert (distance[:, 1:] == (distance[:, :-1] - 1).clamp(min=0)).all()
    assert play(towards_the_ball) == 1.0
    share = play(lambda x: torch.full((len(x),), 2))
    assert abs(share - 1 / 9) < 4 * (1 / 9 * 8 / 9 / 500) ** 0.5


@pytest.mark.long
@pytest.mark.parametrize("passes", [1, 2], ids=["reinforce", "ppo"])
def test_dreams_alone_teach_to_catch(passes):
    """From 1 in 9 to nearly all, in 300 dreams of 128 states. Of the seeds 0 to 5 none fell short.

    With less entropy (0.01) or dreams from the first state alone, some players give up the balls
    at the border, which a single wrong move loses, and stay at 7 in 9.
    """
    player = Player()
    assert play(player.choose) < 0.2
    for _ in range(300):
        dream = imagine(Table(), player.choose, *anywhere(128), HEIGHT, sampler())
        player.learn(dream, passes)
    assert play(player.choose) > 0.8


def everything(seed: int) -> list:
    """A world model of tokens learns, dreams, and a policy learns from the dreams."""
    torch.manual_seed(seed)
    model, player = Transformer(Sizes(COLUMNS, 4, 16, 2, 2, 9, 0.1, "brief", 7)), Player()
    batch = {
        "tokens": torch.randint(COLUMNS, (4, 6, 3)), "action": torch.randint(4, (4, 6)),
        "reward": torch.rand(4, 6), "terminal": torch.rand(4, 6) > 0.8,
    }  # fmt: skip
    optimizer, found = torch.optim.AdamW(model.parameters(), 1e-3), []
    for _ in range(3):
        loss, _ = model.train().loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        data = batch["tokens"][:, :2], batch["action"][:, :1]
        dream = imagine(model.eval(), player.choose, *data, 5, sampler())
        found += [loss.item(), *(x.tolist() for x in dream.values()), player.learn(dream)]
    return found


def test_the_same_seed_makes_the_same_losses_tokens_and_dreams():
    """To the last digit; dropout, the policy and `sampler` all draw from the one generator."""
    first = everything(3)
    assert everything(3) == first
    assert everything(4) != first
