"""Known mistakes in train.py: {exercise: [(old text of the answer, new text, what is wrong)]}."""

MISTAKES = {
    "2.20": [
        (
            "self.actor(feature).rsample()",
            "self.actor(feature).mode()",
            "you dream with the policy's mode: the actor learns from what it would really do, so "
            "take a sample",
        ),
        (
            "self.actor(feature).rsample()",
            "self.actor(feature).rsample().detach()",
            "you detach the action: then no return depends on the policy, and dynamics "
            "backpropagation has nothing to learn from",
        ),
        (
            "lambda feature: self.actor(feature).rsample()",
            "self.actor",
            "you hand over the actor, which gives a distribution; the dream needs actions: a "
            "function that draws a sample from it",
        ),
        (
            'get_feature(dream["h"], dream["z"])',
            'torch.cat([dream["h"], dream["z"]], -1)',
            "your feature has h first: all heads were trained with z first, so use get_feature",
        ),
        (
            "c.imagination_horizon",
            "c.imagination_horizon + 1",
            "your dream is one step too long: imagination_horizon counts the steps, and the start "
            "comes on top by itself",
        ),
        (
            "c.imagination_horizon",
            "c.imagination_horizon - 1",
            "your dream is one step short: imagination_horizon counts the steps, and the start "
            "comes on top, as state 0",
        ),
        (
            "c.imagination_horizon",
            "15",
            "you fix the length of a dream at 15: it is the option imagination_horizon",
        ),
        (
            "self.slow_critic(feature)",
            "self.critic(feature)",
            "your values come from the critic that is learning: V2's targets come from its slow "
            "copy, slow_critic",
        ),
        (
            "self.slow_critic(feature)",
            "self.slow_critic(feature).detach()",
            "your values are detached, or made of detached features: their slope along the dream "
            "is part of the actor's gradient where ρ < 1",
        ),
        (
            "self.world_model.predict(feature)",
            "self.world_model.predict(feature.detach())",
            "rewards and continues are predicted from detached features: where ρ < 1 the actor "
            "learns through them",
        ),
        (
            'get_feature(dream["h"], dream["z"])',
            'get_feature(dream["h"], dream["z"]).detach()',
            "your feature is detached, and with it all that is predicted: no gradient runs through "
            "the dream, and where ρ < 1 the actor learns nothing",
        ),
        (
            "continues = torch.cat([first[:, None], continues[:, 1:]], 1)",
            "pass",
            "you keep the prediction at the start: whether the episode went on there is in the "
            "replay, γ (1 - is_terminal)",
        ),
        (
            'c.gamma * (1 - start["is_terminal"])',
            '1 - start["is_terminal"]',
            "γ is missing at the start: all continues hold the discount, the true one too",
        ),
        (
            'c.gamma * (1 - start["is_terminal"])',
            'c.gamma * start["is_terminal"]',
            "your truth is turned round: γ where the episode goes on, 0 where it has ended",
        ),
        (
            'c.gamma * (1 - start["is_terminal"])',
            'c.gamma - start["is_terminal"]',
            "your truth at an end is γ - 1, below 0; it must be 0 there",
        ),
        (
            'c.gamma * (1 - start["is_terminal"])',
            'torch.full_like(start["is_terminal"], c.gamma)',
            "you put γ at every start, also at the ends of episodes, where nothing follows: there "
            "it is 0",
        ),
        (
            'c.gamma * (1 - start["is_terminal"])',
            'continues[:, 0] * (1 - start["is_terminal"])',
            "you multiply the prediction at the start by the truth; the truth takes its place",
        ),
        (
            "first[:, None], continues[:, 1:]",
            "first[:, None], continues[:, :-1]",
            "you push the predictions one state on; only the first is replaced, all others stay "
            "with their states",
        ),
        (
            "first[:, None], continues[:, 1:]",
            "first[:, None], continues",
            "you put the truth in front of all predictions, and have one number too many: it "
            "replaces the first",
        ),
        (
            "torch.cat([first[:, None], continues[:, 1:]], 1)",
            "first[:, None].expand_as(continues)",
            "you put the start's truth at every state; after the start only the model knows",
        ),
        (
            "continues = torch.cat([first[:, None], continues[:, 1:]], 1)",
            "continues[:, 0] = first",
            "you write into the predictions in place; the sigmoid needs them for its gradient, and "
            "backward fails. Put a new tensor together",
        ),
        (
            "if c.use_continue:",
            "if True:",
            "you correct the start without a continue predictor too: then γ stands everywhere, and "
            "the model knows no ends",
        ),
        (
            "            values = self.slow_critic(feature)\n",
            "            values = self.slow_critic(feature)\n"
            "            rewards = torch.cat([torch.zeros_like(rewards[:, :1]), rewards[:, 1:]], 1)\n",
            "you set the start's reward to 0: it is predicted like all others, and only the "
            "continuation is replaced",
        ),
    ],
}
