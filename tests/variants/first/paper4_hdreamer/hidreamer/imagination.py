"""A correct answer, written differently: a loop over the levels, rows by a closure."""

import torch

from solutions.paper4_hdreamer.hidreamer.mask import ACTION, L2
from solutions.paper4_hdreamer.hidreamer.world_model import Cache


def imagine(model, policy, tokens, actions, horizon, choose):
    context, one = tokens.shape[1], model.embedding.one
    cache, fresh = Cache(model, len(tokens), 4 * (context + horizon)), []
    states, found = [tokens[:, -1]], []
    # EXERCISE 4.35: act, then token by token, each from the row before it (needs 4.31)
    step = context - 1

    def last_row(*embedded):
        return model(embedded[0] if len(embedded) == 1 else torch.cat(embedded, dim=1), cache)[
            :, -1
        ]

    for _ in range(horizon):
        action = policy(states[-1])
        row = acted = last_row(*fresh, one(ACTION, action, step))
        step += 1
        levels = []
        for level, predict in enumerate(model.heads):
            token = choose(predict(row))
            levels.append(token)
            fresh = [one(level, token, step)]
            if level < L2:
                row = last_row(*fresh)
        states.append(torch.stack(levels, dim=1))
        reward_logits, continue_logit = model.reward(acted), model.goes_on(acted)[:, 0]
        found += [(action, model.reward.mean(reward_logits), 1 / (1 + (-continue_logit).exp()))]
    # END 4.35
    return states, found
