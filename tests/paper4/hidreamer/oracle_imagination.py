"""Dreams by slow and obvious means: a world for pencil and paper, and a transformer asked anew.

Imports nothing of the papers.
"""

from types import SimpleNamespace

import torch

from tests.numbers import F64, irregular

SLOTS, ACTION = 4, 3


class PaperWorld:
    """Offers what `imagine` asks of a model; all that it predicts is counted by hand.

    What a position is worth: (slot + 1) · (token + 1). A row knows the sum of all positions that
    have been read up to it. The head of level l is sure of token (sum + l) mod 7; the reward is
    sum / 10, the logit that life goes on 2 - sum / 10.

    calls   of every call so far, what was read: [slot, token, step] of each position of dream 0
    """

    classes = 7

    def __init__(self):
        self.sizes = SimpleNamespace(layers=1, heads=1, width=1, steps=99)
        self.calls = []
        self.heads = [lambda rows, level=level: self.logits(rows, level) for level in range(3)]
        self.reward = PaperReward()
        self.embedding = PaperEmbedding()

    def __call__(self, x, cache=None):
        self.calls.append(x[0].long().tolist())
        start = getattr(cache, "sum", torch.zeros(len(x), 1, dtype=F64))
        sums = start + ((x[:, :, 0] + 1) * (x[:, :, 1] + 1)).cumsum(1)
        if cache is not None:
            cache.sum, cache.length = sums[:, -1:], cache.length + x.shape[1]
        return sums[..., None]

    def logits(self, rows, level: int):
        best = ((rows[..., 0] + level) % self.classes).long()
        return 9 * torch.nn.functional.one_hot(best, self.classes).to(rows)

    def goes_on(self, rows):
        return 2 - rows / 10


class PaperReward:
    """A distribution over the bins 0 and 1000 whose mean is sum / 10."""

    def __call__(self, rows):
        share = rows / 10_000
        return torch.cat([(1 - share).log(), share.log()], -1)

    def mean(self, logits):
        return 1000 * logits.softmax(-1)[..., 1]


class PaperEmbedding:
    """Positions as the three numbers [slot, token, step]."""

    slots = SimpleNamespace(weight=torch.zeros(SLOTS, 3, dtype=F64))

    def __call__(self, tokens, actions):
        x = torch.cat([tokens, actions[..., None]], -1)
        slots = torch.arange(SLOTS).expand_as(x)
        steps = torch.arange(x.shape[1])[:, None].expand_as(x)
        return torch.stack([slots, x, steps], -1).flatten(1, 2).to(F64)

    def one(self, slot, token, step):
        rest = torch.full_like(token, slot), token, torch.full_like(token, step)
        return torch.stack(rest, -1)[:, None].to(F64)


def paper_dream(tokens: list, actions: list, policy, horizon: int, best=None) -> dict:
    """One dream of the world above. tokens (C, 3), actions (C - 1,), policy of three numbers.

    best   which class a level takes of (sum + level) mod 7: this one, unless it is given
    return tokens (1 + H, 3), action, reward, logit (H,), calls: what is read after the context
    """
    best = best or (lambda x: x)

    def worth(slot: int, token: int) -> int:
        return (slot + 1) * (token + 1)

    total = 0
    for t, state in enumerate(tokens):
        total += sum(worth(slot, token) for slot, token in enumerate(state))
        if t < len(actions):
            total += worth(ACTION, actions[t])
    states, found, unread, calls = [tokens[-1]], [], [], []
    for step in range(len(tokens) - 1, len(tokens) - 1 + horizon):
        action = policy(states[-1])
        calls.append([*unread, [ACTION, action, step]])
        total += sum(worth(slot, token) for slot, token, _ in calls[-1])
        found.append((action, total / 10, 2 - total / 10))
        state = []
        for level in range(3):
            state.append(best((total + level) % PaperWorld.classes))
            if level < 2:
                calls.append([[level, state[level], step + 1]])
                total += worth(level, state[level])
        unread = [[2, state[2], step + 1]]
        states.append(state)
    action, reward, logit = (list(x) for x in zip(*found, strict=True))
    return dict(tokens=states, action=action, reward=reward, logit=logit, calls=calls)


@torch.no_grad()
def strong(model):
    """Irregular parameters: small ones would make all logits alike."""
    for number, parameter in enumerate(model.parameters()):
        gain = 1.0 if parameter.ndim == 1 and "norm" in names(model)[number] else 0.0
        parameter.copy_(gain + 0.8 * irregular(*parameter.shape, phase=float(number)))
    model.reward.bins.copy_(torch.linspace(-2, 2, len(model.reward.bins)))
    return model.eval()


def names(model) -> list:
    return [name for name, _ in model.named_parameters()]


@torch.no_grad()
def slow_dream(model, policy, tokens, actions, horizon: int, choose) -> dict:
    """The same by asking a transformer for the whole sequence, again for every single token.

    Places that are not known yet hold zeros: no earlier row sees them.
    """
    found = []

    def row(position: int):
        blank = torch.zeros_like(tokens[:, :1, 0])
        known = torch.cat([actions, blank], 1)[:, : tokens.shape[1]]
        return model(model.embedding(tokens, known))[:, position]

    for step in range(tokens.shape[1] - 1, tokens.shape[1] - 1 + horizon):
        actions = torch.cat([actions, policy(tokens[:, step])[:, None]], 1)
        tokens = torch.cat([tokens, torch.zeros_like(tokens[:, :1])], 1)
        acted = row(SLOTS * step + ACTION)
        reward = model.reward.mean(model.reward(acted))
        found.append((actions[:, step], reward, torch.sigmoid(model.goes_on(acted)[:, 0])))
        for level in range(3):  # the row before it: A of this step, then L0 and L1 of the next
            before = row(SLOTS * step + ACTION + level)
            tokens[:, step + 1, level] = choose(model.heads[level](before))
    action, reward, goes_on = (torch.stack(x, 1) for x in zip(*found, strict=True))
    last = tokens[:, -1 - horizon :]
    return {"tokens": last, "action": action, "reward": reward, "continue": goes_on}
