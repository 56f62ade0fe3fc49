"""Known mistakes in train.py: {exercise: [(old text of the answer, new text, what is wrong)]}."""

MISTAKES = {
    "2.20": [
        (
            "continues = torch.cat([first[:, None], continues[:, 1:]], 1)",
            "continues = torch.cat([first[:, None], c.gamma * continues[:, 1:]], 1)",
            "γ counts twice after the start: the predicted continues contain it",
        ),
        (
            "self.actor(feature).rsample()",
            "self.actor(feature).mode() if self.discrete else self.actor(feature).rsample()",
            "you dream with the mode where actions are discrete: REINFORCE has nothing to compare "
            "then, so take a sample",
        ),
        (
            "self.actor(feature).rsample()",
            "self.actor(feature).mode()",
            "you dream with the policy's mode: the actor learns from what it would really do, "
            "so take a sample",
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
            "your dream is one step too long: imagination_horizon counts the steps, and the "
            "start comes on top by itself",
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
            "your values are detached, or made of detached features: their slope along the "
            "dream is part of the actor's gradient where ρ < 1",
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
            "your feature is detached, and with it all that is predicted: no gradient runs "
            "through the dream, and where ρ < 1 the actor learns nothing",
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
            "you put γ at every start, also at the ends of episodes, where nothing follows: "
            "there it is 0",
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
            "you write into the predictions in place; the sigmoid needs them for its gradient, "
            "and backward fails. Put a new tensor together",
        ),
        (
            "if c.use_continue:",
            "if True:",
            "you correct the start without a continue predictor too: then γ stands everywhere, "
            "and the model knows no ends",
        ),
        (
            "            values = self.slow_critic(feature)\n",
            "            values = self.slow_critic(feature)\n"
            "            rewards = torch.cat([torch.zeros_like(rewards[:, :1]), "
            "rewards[:, 1:]], 1)\n",
            "you set the start's reward to 0: it is predicted like all others, and only the "
            "continuation is replaced",
        ),
    ],
    "2.21": [
        (
            "values, continues[:, :-1], 1, c.lambda_",
            "values, continues[:, :-1], 1 if c.use_continue else c.gamma, c.lambda_",
            "without a continue predictor γ counts twice: `predict` gives γ everywhere, so the "
            "discount is in the continues there too, and gamma is always 1",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, 1:], values, continues[:, 1:], 1, c.lambda_)",
            "you pair a state with reward and continuation of the next one: that is V3's rule. "
            "Here the last ones are dropped, for a value includes its state's own reward",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, 1:], values, continues[:, :-1], 1, c.lambda_)",
            "you drop the first reward, not the last: the value of a state includes its own reward",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, 1:], 1, c.lambda_)",
            "you drop the first continuation, not the last: a return goes on after its own state",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], "
            "c.gamma, c.lambda_)",
            "γ enters the returns twice: the continues hold it already, so pass gamma=1",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], lambda_=c.lambda_)",
            "you leave gamma at its default of 0.99, although the continues hold γ already: pass 1",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1)",
            "you leave λ at its default: it is the option lambda_",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], c.lambda_, 1)",
            "you swap γ and λ in the call for the returns: gamma comes first",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values[:, :-1], continues[:, "
            ":-1], 1, c.lambda_)",
            "the bootstrap is missing: the returns want one value more than rewards and "
            "continues, that of the last state",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], self.critic(feature), "
            "continues[:, :-1], 1, c.lambda_)",
            "your returns are made with the learning critic: `values` come from its slow copy, "
            "for a target that moves with every update chases itself",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, "
            "c.lambda_).detach()",
            "your returns are detached: where ρ < 1 the actor learns by the gradient through "
            "them. What must not feel it is detached inside the losses",
        ),
        (
            "compute_discount_weights(continues)",
            "compute_discount_weights(continues[:, :-1])",
            "you leave out the last continuation of the weights, as in V1: here the losses take "
            "whole dreams and slice the weights themselves",
        ),
        (
            "compute_discount_weights(continues)",
            "continues.cumprod(1).detach()",
            "your weights contain a state's own continuation: its weight is the product of "
            "those before it, and the first is 1. compute_discount_weights does that",
        ),
        (
            "compute_discount_weights(continues)",
            "torch.ones_like(continues)",
            "the weights are missing: what a dream does after its episode's end would be "
            "learned as well",
        ),
        (
            "compute_discount_weights(continues)",
            "compute_discount_weights(c.gamma * continues)",
            "γ enters the weights twice: the continues hold it already",
        ),
        (
            "values, weights, self.rho",
            "values, torch.ones_like(weights), self.rho",
            "the actor's loss lacks the weights: states that a dream hardly reaches count in full",
        ),
        (
            "feature, returns, weights)",
            "feature, returns, torch.ones_like(weights))",
            "the critic's loss lacks the weights: states that a dream hardly reaches count in full",
        ),
        (
            "self.rho, c.entropy_scale",
            "c.rho, c.entropy_scale",
            "you take ρ from the options, where it is the share in a mixture; self.rho is what "
            "this agent's kind of actions needs",
        ),
        (
            ", self.rho, c.entropy_scale",
            "",
            "you leave ρ and entropy_scale at their defaults: the actor's loss wants the "
            "agent's ρ and the option entropy_scale",
        ),
        (
            "self.rho, c.entropy_scale",
            "self.rho",
            "you leave the entropy's scale at its default: it is the option entropy_scale",
        ),
        (
            "self.rho, c.entropy_scale",
            "c.entropy_scale, self.rho",
            "you swap ρ and entropy_scale in the actor's loss: rho comes first",
        ),
        (
            "self.rho, c.entropy_scale",
            "1 - self.rho, c.entropy_scale",
            "your ρ is turned round: it is the share of REINFORCE, and the official "
            "actor_grad_mix is 1 - ρ",
        ),
        (
            "action, returns, values,",
            "action, returns, self.critic(feature),",
            "your baseline is the learning critic: the advantage is the return less the slow "
            "critic's value, `values`",
        ),
        (
            "action, returns, values,",
            "action, returns, torch.zeros_like(values),",
            "the baseline is missing: an action is good if its return is more than the value "
            "that was expected",
        ),
        (
            "action, returns, values,",
            "action, returns - values[:, :-1], values,",
            "you subtract the values twice: compute_actor_loss makes the advantage from returns "
            "and values itself",
        ),
        (
            "compute_critic_loss(self.critic,",
            "compute_critic_loss(self.slow_critic,",
            "you train the slow critic: it only copies. The critic learns",
        ),
        (
            "self.critic, feature, returns",
            "self.critic, feature, values[:, :-1]",
            "the critic learns the slow critic's values and never a reward: its targets are the "
            "returns",
        ),
    ],
    "2.22": [
        (
            "        optimizer.zero_grad(set_to_none=True)\n",
            "",
            "old gradients are not cleared: they add up over updates",
        ),
        (
            "        optimizer.zero_grad(set_to_none=True)\n"
            "        loss.backward(inputs=parameters)\n",
            "        loss.backward(inputs=parameters)\n"
            "        optimizer.zero_grad(set_to_none=True)\n",
            "only the decay is left: the step is missing, or you clear the gradients between "
            "backward and step",
        ),
        (
            "loss.backward(inputs=parameters)",
            "loss.backward()",
            "backward leaves gradients in other parts: name the parameters in `inputs`",
        ),
        (
            "loss.backward(inputs=parameters)",
            "(-loss).backward(inputs=parameters)",
            "you climb the loss: backward takes the loss as it is, the optimiser descends",
        ),
        (
            "        nn.utils.clip_grad_norm_(parameters, self.config.clip)\n",
            "",
            "the gradient is not clipped, or only after the step: clip comes between backward "
            "and step, or one bad batch can throw the network far off",
        ),
        (
            "clip_grad_norm_",
            "clip_grad_value_",
            "you clip every entry by itself, which turns the gradient; scale all of it by its norm",
        ),
        (
            "nn.utils.clip_grad_norm_(parameters, self.config.clip)",
            "for p in parameters:\n            nn.utils.clip_grad_norm_([p], self.config.clip)",
            "you clip every tensor by itself: the limit is for the norm of all of them together",
        ),
        (
            "nn.utils.clip_grad_norm_(parameters,",
            "nn.utils.clip_grad_norm_(self.parameters,",
            "you clip by the norm of all parts: what others hold from their own last update "
            "does not belong to this step",
        ),
        (
            "self.config.clip)",
            "100.0)",
            "you fix the limit at 100: it is the option clip",
        ),
        (
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n",
            "",
            "the decay is missing: before the step every parameter is multiplied by 1 - "
            "weight_decay",
        ),
        (
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n"
            "        optimizer.step()\n",
            "        optimizer.step()\n"
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n",
            "you decay after the step, so that the step shrinks as well: decay comes first",
        ),
        (
            "        loss.backward(inputs=parameters)\n"
            "        nn.utils.clip_grad_norm_(parameters, self.config.clip)\n"
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n",
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n"
            "        loss.backward(inputs=parameters)\n"
            "        nn.utils.clip_grad_norm_(parameters, self.config.clip)\n",
            "you decay before backward: the graph still needs the parameters as they were when "
            "the loss was made",
        ),
        (
            "1 - self.config.weight_decay",
            "self.config.weight_decay",
            "you multiply by weight_decay itself, which leaves almost nothing: multiply by 1 - "
            "weight_decay",
        ),
        (
            "1 - self.config.weight_decay",
            "1 + self.config.weight_decay",
            "your parameters grow: multiply by 1 - weight_decay",
        ),
        (
            "self.config.weight_decay)",
            'optimizer.param_groups[0]["lr"] * self.config.weight_decay)',
            "your decay is scaled by the learning rate, as in AdamW: here it is weight_decay "
            "alone at every update",
        ),
        (
            "1 - self.config.weight_decay",
            "1 - 1e-6",
            "you fix the decay at 1e-6: it is the option weight_decay",
        ),
        (
            "        nn.utils.clip_grad_norm_(parameters, self.config.clip)\n"
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n",
            "        for p in parameters:\n"
            "            p.grad = p.grad + self.config.weight_decay * p.detach() "
            "if p.grad is not None else None\n"
            "        nn.utils.clip_grad_norm_(parameters, self.config.clip)\n",
            "your decay is part of the gradient before clipping (L2): then Adam divides it by "
            "the gradient's size. Shrink the parameters themselves",
        ),
        (
            "        with torch.no_grad():\n"
            "            for parameter in parameters:\n"
            "                parameter.mul_(1 - self.config.weight_decay)\n",
            "        for p in parameters:\n"
            "            if p.grad is not None:\n"
            "                p.grad = p.grad + self.config.weight_decay * p.detach()\n",
            "your decay is added to the clipped gradient (L2): Adam divides it by the "
            "gradient's size. Shrink the parameters themselves",
        ),
        (
            "            for parameter in parameters:\n",
            "            for parameter in [p for p in parameters if p.ndim > 1]:\n",
            "you spare the biases: the official pattern of the decay takes every parameter",
        ),
        (
            "            for parameter in parameters:\n",
            "            for parameter in [p for p in parameters if p.grad is not None]:\n",
            "you decay only what has a gradient: every parameter of the part shrinks at every "
            "update",
        ),
        (
            "            for parameter in parameters:\n",
            "            for parameter in self.parameters:\n",
            "you decay the parameters of all parts: an update belongs to one part",
        ),
        (
            "        optimizer.step()\n",
            "        for x in self.optimizers.values():\n            x.step()\n",
            "you step every optimiser: an update belongs to one part",
        ),
    ],
}
