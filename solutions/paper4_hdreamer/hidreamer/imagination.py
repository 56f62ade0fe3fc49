"""Dreams of tokens: the transformer goes on by itself, each position computed once.

Letters: B dreams, C steps of context, H steps ahead, N positions.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from solutions.paper4_hdreamer.hidreamer.mask import ACTION, L0, L1, L2
from solutions.paper4_hdreamer.hidreamer.world_model import Cache, Transformer

Choose = Callable[[Tensor], Tensor]  # logits (B, K) → tokens (B,)


def likeliest(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def sampler(generator: torch.Generator | None = None) -> Choose:
    """Draws from the distribution that logits (B, K) stand for."""
    return lambda logits: torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]


@torch.no_grad()
def imagine(
    model: Transformer, policy: Callable[[Tensor], Tensor], tokens: Tensor, actions: Tensor,
    horizon: int, choose: Choose,
) -> dict[str, Tensor]:  # fmt: skip
    """Go on from a context. Keys and values of what is known are computed once and kept.

    policy    tokens of the present step (B, 3) → action (B,); asked once a step, H times
    tokens    (B, C, 3) int64
    actions   (B, C - 1) int64   of the first C - 1 steps; the policy takes the last one
    choose    logits (B, K) → tokens (B,); every token is its choice: L0, then L1, then L2
    return    tokens (B, 1 + H, 3), the last of the context among them; action, reward, continue
              (B, H): of the step that they lead from. A reward is the mean of `model.reward`,
              continue a probability

    A dream asks the model three times a step: [A_t] → L0, [L0] → L1, [L1] → L2. The L2 that came
    out last is read together with the next action, [L2, A_t], because nothing is predicted from
    it. So H steps take 3 H calls and 4 H - 1 positions: the very last L2 is never read. The first
    action belongs to the last step of the context, number C - 1, whose L2 has been read.

    errors    ValueError, where the model has not learned positions for C + H steps
    """
    context, steps = tokens.shape[1], model.sizes.steps
    if context + horizon > steps:
        raise ValueError(f"{context} + {horizon} steps: the model has learned {steps} steps")
    cache = Cache(model, len(tokens), 4 * (context + horizon))
    blank = torch.zeros_like(actions[:, :1]) if context > 1 else tokens[:, :1, 0] * 0
    known = model.embedding(tokens, torch.cat([actions, blank], 1))[:, :-1]  # but the last action
    model(known, cache)
    one = model.embedding.one  # slot, token (B,), step → (B, 1, D)
    states = [tokens[:, -1]]  # goes on with (B, 3) of each step
    found = []  # takes (action, reward, continue) of each step, (B,) each
    fresh = []  # what is embedded, and not yet read by the model
    # EXERCISE 4.35: act, then token by token, each from the row before it (needs 4.31)
    for step in range(context - 1, context - 1 + horizon):
        action = policy(states[-1])
        acted = model(torch.cat([*fresh, one(ACTION, action, step)], 1), cache)[:, -1]
        coarse = choose(model.heads[L0](acted))
        row = model(one(L0, coarse, step + 1), cache)[:, -1]
        middle = choose(model.heads[L1](row))
        row = model(one(L1, middle, step + 1), cache)[:, -1]
        fine = choose(model.heads[L2](row))
        fresh = [one(L2, fine, step + 1)]
        reward = model.reward.mean(model.reward(acted))
        goes_on = torch.sigmoid(model.goes_on(acted).squeeze(-1))
        states.append(torch.stack([coarse, middle, fine], -1))
        found.append((action, reward, goes_on))
    # END 4.35
    action, reward, goes_on = (torch.stack(x, 1) for x in zip(*found, strict=True))
    return {
        "tokens": torch.stack(states, 1), "action": action, "reward": reward, "continue": goes_on,
    }  # fmt: skip


@torch.no_grad()
def imagine_naive(
    model: Transformer, policy: Callable[[Tensor], Tensor], tokens: Tensor, actions: Tensor,
    horizon: int, choose: Choose,
) -> dict[str, Tensor]:  # fmt: skip
    """The same dream, everything computed again for every token: slow, and easy to believe."""
    found = []
    for _ in range(horizon):
        action = policy(tokens[:, -1])
        actions = torch.cat([actions, action[:, None]], 1)
        rows = model(model.embedding(tokens, actions))
        acted = rows[:, -1]
        found.append((action, model.reward.mean(model.reward(acted)),
                      torch.sigmoid(model.goes_on(acted).squeeze(-1))))  # fmt: skip
        next_ = torch.zeros_like(tokens[:, :1])
        blank = torch.cat([actions, actions[:, :1] * 0], 1)
        next_[:, 0, L0] = choose(model.heads[L0](acted))
        for level in (L0, L1):
            read = model.embedding(torch.cat([tokens, next_], 1), blank)
            row = model(read[:, : 4 * tokens.shape[1] + level + 1])[:, -1]
            next_[:, 0, level + 1] = choose(model.heads[level + 1](row))
        tokens = torch.cat([tokens, next_], 1)
    action, reward, goes_on = (torch.stack(x, 1) for x in zip(*found, strict=True))
    return {
        "tokens": tokens[:, -1 - horizon :], "action": action, "reward": reward,
        "continue": goes_on,
    }  # fmt: skip


if __name__ == "__main__":
    import course

    course.run(__file__)
