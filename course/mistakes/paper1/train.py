"""Classic wrong answers to the exercises of train.py."""

UNIFORM = "2 * torch.rand_like(policy.mean) - 1"
NOISY = "add_exploration_noise(policy.rsample(), self.config.exploration_noise)"

MISTAKES = {
    "1.28": [
        (
            "policy.mode()",
            "policy.rsample()",
            "you sample at evaluation: there the policy is judged by its mode",
        ),
        (
            "policy.mode()",
            "add_exploration_noise(policy.mode(), self.config.exploration_noise)",
            "you add exploration noise at evaluation: noise is for collecting data",
        ),
        (
            "policy.mode()",
            "policy.mean",
            "you return the mean before the tanh: actions lie in [-1, 1], and `mode()` knows how",
        ),
        (
            UNIFORM,
            "torch.rand_like(policy.mean)",
            "your random actions lie in [0, 1]: half of all actions are never tried. [-1, 1] it is",
        ),
        (
            UNIFORM,
            "torch.randn_like(policy.mean).clamp(-1, 1)",
            "your random actions are normal, not uniform: a third of them sits on the bounds",
        ),
        (
            UNIFORM,
            "2 * torch.rand(1).expand_as(policy.mean) - 1",
            "you draw one number for all: every entry of every environment needs its own",
        ),
        (
            UNIFORM,
            "2 * torch.rand_like(policy.mean[:, :1]).expand_as(policy.mean) - 1",
            "you draw one number for each environment: every entry of an action needs its own",
        ),
        (
            UNIFORM,
            "policy.rsample()",
            "before the first update you ask the policy: it knows nothing yet, so the buffer is "
            "filled with uniform actions",
        ),
        (
            UNIFORM,
            NOISY,
            "before the first update you take noisy samples of the policy: the buffer is filled "
            "with uniform actions",
        ),
        (
            "self.updates == 0",
            "self.updates > 0",
            "you have it the wrong way round: random actions come before the first update",
        ),
        (
            "if not explore",
            "if explore",
            "you have it the wrong way round: the mode is for evaluation, where explore is False",
        ),
        (
            NOISY,
            "policy.rsample()",
            "you forgot the exploration noise: the policy's own spread shrinks soon, and then "
            "nothing new is tried",
        ),
        (
            "policy.rsample()",
            "policy.mode()",
            "you add noise to the mode: in training it is a sample of the policy that gets noise",
        ),
        (
            "policy.rsample()",
            "policy.mean",
            "you add noise to the mean before the tanh: in training it is a sample of the policy, "
            "which lies in [-1, 1], that gets noise",
        ),
        (
            "self.config.exploration_noise",
            "0.3",
            "you fix the noise at 0.3: its scale is the option exploration_noise",
        ),
        (
            NOISY,
            "policy.rsample() + self.config.exploration_noise * torch.randn_like(policy.mean)",
            "your noisy actions leave [-1, 1]: clip them, or the model learns from actions that "
            "the environment never saw",
        ),
    ],
    "1.29": [
        (
            'states["h"][:, rows].detach()',
            'states["h"][:, rows]',
            "h is not detached: the actor's loss would reach back into the world model",
        ),
        (
            'states["z"][:, rows].detach()',
            'states["z"][:, rows]',
            "z is not detached: the actor's loss would reach back into the world model",
        ),
        (
            'h = states["h"][:, rows].detach().flatten(0, 1)\n'
            '        z = states["z"][:, rows].detach().flatten(0, 1)\n',
            'h = states["h"][:, rows].flatten(0, 1)\n'
            '        z = states["z"][:, rows].flatten(0, 1)\n',
            "the starts are still attached: detach h and z, or every dream trains the world model "
            "to please the actor",
        ),
        (
            'h = states["h"][:, rows].detach().flatten(0, 1)\n'
            '        z = states["z"][:, rows].detach().flatten(0, 1)\n',
            'h = states["h"][:, rows].detach().transpose(0, 1).flatten(0, 1)\n'
            '        z = states["z"][:, rows].detach().transpose(0, 1).flatten(0, 1)\n',
            "you merge time before batch: then the flags, merged batch first, belong to other "
            "states",
        ),
        (
            'z = states["z"][:, rows].detach().flatten(0, 1)',
            'z = states["z"][:, rows].detach().transpose(0, 1).flatten(0, 1)',
            "h and z are merged in different orders: a start mixes two states",
        ),
        (
            "        if self.config.use_continue:\n"
            "            alive = is_terminal[:, rows].flatten() == 0\n"
            "            h, z = h[alive], z[alive]\n",
            "",
            "terminal states are still starts: nothing that is done there matters, and the "
            "continue predictor is never trained on what would follow",
        ),
        (
            "flatten() == 0",
            "flatten() == 1",
            "you keep the terminal states alone: keep those where is_terminal is 0",
        ),
        (
            "        if self.config.use_continue:\n"
            "            alive = is_terminal[:, rows].flatten() == 0\n"
            "            h, z = h[alive], z[alive]\n",
            "        alive = is_terminal[:, rows].flatten() == 0\n"
            "        h, z = h[alive], z[alive]\n",
            "you leave out terminal starts without a continue predictor too: then there is nothing "
            "that tells a dream its end, and all rows are starts",
        ),
        (
            "h, z = h[alive], z[alive]",
            "h, z = h * alive[:, None], z * alive[:, None]",
            "you set terminal starts to zero: leave them out",
        ),
        (
            "        if self.config.use_continue:\n"
            "            alive = is_terminal[:, rows].flatten() == 0\n"
            "            h, z = h[alive], z[alive]\n",
            "        if self.config.use_continue:\n"
            '            h = states["h"][:, rows][:, :-1].detach().flatten(0, 1)\n'
            '            z = states["z"][:, rows][:, :-1].detach().flatten(0, 1)\n',
            "you leave out the last row of every sequence, as the official code does; here any row "
            "may be terminal, so go by is_terminal",
        ),
        (
            'return {"h": h[None], "z": z}',
            'return {"h": h, "z": z}',
            "h lacks its first dimension: a state holds h as (1, N, H), because the GRU wants the "
            "number of its layers first",
        ),
        (
            'h = states["h"][:, rows].detach().flatten(0, 1)\n'
            '        z = states["z"][:, rows].detach().flatten(0, 1)\n'
            "        if self.config.use_continue:\n"
            "            alive = is_terminal[:, rows].flatten() == 0\n",
            'h = states["h"].detach().flatten(0, 1)\n'
            '        z = states["z"].detach().flatten(0, 1)\n'
            "        if self.config.use_continue:\n"
            "            alive = is_terminal.flatten() == 0\n",
            "`rows` is not used: only the last imagine_last rows of each sequence are starts",
        ),
        (
            'h = states["h"][:, rows].detach().flatten(0, 1)\n'
            '        z = states["z"][:, rows].detach().flatten(0, 1)\n',
            'h = states["h"][rows].detach().flatten(0, 1)\n'
            '        z = states["z"][rows].detach().flatten(0, 1)\n',
            "`rows` cuts the batch, not time: time is the second dimension",
        ),
    ],
    "1.30": [
        (
            "self.actor(feature).rsample()",
            "self.actor(feature).mode()",
            "you dream with the mode: the paper samples, and the actor's spread would never learn",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, 1:], values, continues[:, 1:], 1, c.lambda_)",
            "you pair a state with the reward and continuation of the next one: that is V3's rule. "
            "Here the last ones are dropped",
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
            "compute_lambda_returns(\n"
            "            rewards[:, :-1], values, continues[:, :-1], c.gamma, c.lambda_\n        )",
            "γ enters the returns twice: the continuations contain it, so pass gamma=1",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(\n"
            "            rewards[:, :-1], values, continues[:, :-1], lambda_=c.lambda_\n        )",
            "you leave gamma at its default of 0.99, although the continuations contain γ: pass 1",
        ),
        (
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_)",
            "compute_lambda_returns(rewards[:, :-1], values, continues[:, :-1], 1)",
            "you leave λ at its default: it is the option lambda_",
        ),
        (
            "compute_discount_weights(continues[:, :-1], 1)",
            "compute_discount_weights(continues[:, :-1], c.gamma)",
            "γ enters the weights twice: the continuations contain it, so pass gamma=1",
        ),
        (
            "compute_discount_weights(continues[:, :-1], 1)",
            "compute_discount_weights(continues[:, :-1])",
            "you leave the weights' gamma at its default of 0.99, although the continuations "
            "contain γ: pass 1",
        ),
        (
            "compute_discount_weights(continues[:, :-1], 1)",
            "compute_discount_weights(continues[:, 1:], 1)",
            "your weights use the continuations one state too late: drop the last, not the first",
        ),
        (
            "compute_discount_weights(continues[:, :-1], 1)",
            "continues[:, :-1].cumprod(1)",
            "your weights contain a state's own continuation: its weight is the product of those "
            "before it, and the first is 1. compute_discount_weights does that",
        ),
        (
            "compute_discount_weights(continues[:, :-1], 1)",
            "torch.ones_like(returns)",
            "the weights are missing: what a dream does after its episode's end would be learned "
            "as well",
        ),
        (
            'get_feature(dream["h"], dream["z"])',
            'torch.cat([dream["h"], dream["z"]], -1)',
            "your feature has h first: all heads were trained with z first, so use get_feature",
        ),
        (
            'get_feature(dream["h"], dream["z"])',
            'get_feature(dream["h"], dream["z"]).detach()',
            "the dream or its returns are detached: no gradient goes back through the dynamics, "
            "and the actor learns nothing",
        ),
        (
            "values = self.critic(feature)",
            "values = self.critic(feature.detach())",
            "your values, or the features they are taken at, are detached: then the actor does not "
            "feel how its actions change the value of the states they lead to",
        ),
        (
            "self.world_model.predict(feature)",
            "self.world_model.predict(feature.detach())",
            "rewards and continuations, or the features they are predicted at, are detached: the "
            "actor learns by the gradient through them",
        ),
        (
            "rewards[:, :-1], values, continues[:, :-1], 1, c.lambda_",
            "rewards[:, :-1], values[:, :-1], continues[:, :-1], 1, c.lambda_",
            "an index is out of range: compute_lambda_returns wants one value more than rewards "
            "and continuations. Drop the last of those two, and keep all values",
        ),
        (
            "actor_loss(returns, weights)",
            "actor_loss(returns - values[:, :-1], weights)",
            "you subtract the values as a baseline: V1's actor maximises the returns themselves",
        ),
        (
            "actor_loss(returns, weights)",
            "actor_loss(returns, torch.ones_like(weights))",
            "the actor's loss lacks the weights: states that a dream hardly reaches count in full",
        ),
        (
            "self.critic(feature[:, :-1].detach())",
            "self.critic(feature[:, :-1])",
            "the critic's predictions are made at attached features: its loss reaches back into "
            "dynamics and actor",
        ),
        (
            "self.critic(feature[:, :-1].detach())",
            "self.critic(feature[:, 1:].detach())",
            "the critic is trained one state too late: return t belongs to the value of state t",
        ),
        (
            "self.critic(feature[:, :-1].detach())",
            "values[:, :-1].detach()",
            "the critic's predictions are detached: nothing is left to learn from its loss",
        ),
        (
            "critic_loss(self.critic(feature[:, :-1].detach()), returns, weights)",
            "critic_loss(self.critic(feature[:, :-1].detach()), returns, torch.ones_like(weights))",
            "the critic's loss lacks the weights: states that a dream hardly reaches count in full",
        ),
        (
            "c.imagine_length",
            "c.imagine_length - 1",
            "your dream is one state short: it has imagine_length states without the start",
        ),
        (
            "c.imagine_length",
            "c.imagine_length + 1",
            "your dream is one state too long: it has imagine_length states, and the last of them "
            "is the bootstrap",
        ),
    ],
    "1.31": [
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
            "nothing moves: the step is missing, or the gradients were cleared between backward "
            "and step",
        ),
        (
            "loss.backward(inputs=parameters)",
            "loss.backward()",
            "backward leaves gradients in other parts: name the parameters in `inputs`",
        ),
        (
            "        nn.utils.clip_grad_norm_(parameters, self.config.clip)\n",
            "",
            "the gradient is not clipped before the step: one bad batch can throw the "
            "network far off",
        ),
        (
            "nn.utils.clip_grad_norm_(parameters, self.config.clip)",
            "nn.utils.clip_grad_value_(parameters, self.config.clip)",
            "you clip every entry by itself, which turns the gradient; scale all of it by its norm",
        ),
        (
            "nn.utils.clip_grad_norm_(parameters, self.config.clip)",
            "for p in parameters:\n            nn.utils.clip_grad_norm_([p], self.config.clip)",
            "you clip every tensor by itself: the limit is for the norm of all of them together",
        ),
        (
            "nn.utils.clip_grad_norm_(parameters, self.config.clip)",
            "nn.utils.clip_grad_norm_(self.parameters, self.config.clip)",
            "you clip by the norm of all parts: what other parts hold from their own "
            "last update does not belong to this step",
        ),
        (
            "self.config.clip",
            "100.0",
            "you fix the limit at 100: it is the option clip",
        ),
        (
            "nn.utils.clip_grad_norm_(parameters, self.config.clip)",
            "for p in parameters:\n            p.grad *= self.config.clip / max(\n"
            "                sum(float(q.grad.norm()) ** 2 for q in parameters) ** 0.5, 1e-9\n"
            "            )",
            "you scale every gradient to the limit, small ones too, and tensor after tensor by a "
            "norm that has changed: scale down once, and only what exceeds it",
        ),
        (
            "        optimizer.step()\n",
            "        for x in self.optimizers.values():\n            x.step()\n",
            "you step every optimiser: an update belongs to one part",
        ),
        (
            "loss.backward(inputs=parameters)",
            "(-loss).backward(inputs=parameters)",
            "you climb the loss: backward takes the loss as it is, the optimiser descends",
        ),
    ],
    "1.32": [
        (
            '"is_terminal": bool(terminated)',
            '"is_terminal": last',
            "you call a time limit a death: after it the future was only not played, so "
            "is_terminal is `terminated` alone",
        ),
        (
            "last = bool(terminated or truncated)",
            "last = bool(terminated)",
            "you set is_last only at a death: a time limit ends the episode too",
        ),
        (
            "last = bool(terminated or truncated)",
            "last = bool(truncated)",
            "you set is_last only at a time limit: a death ends the episode too",
        ),
        (
            "obs, reward, terminated, truncated, _",
            "obs, reward, truncated, terminated, _",
            "you mix up the answers of env.step: `terminated` comes before `truncated`",
        ),
        (
            '"is_terminal": bool(terminated)',
            '"is_terminal": not truncated',
            "you call every row terminal that no time limit ended, those inside an episode too: "
            "only `terminated` says so",
        ),
        (
            '"is_terminal": bool(terminated)',
            '"is_terminal": bool(terminated and not truncated)',
            "you let a time limit that falls on the same step hide a death: is_terminal is "
            "`terminated`, whatever else is true",
        ),
        (
            '"action": action',
            '"action": np.zeros_like(action)',
            "you store zeros for the action: a row holds the action that led to its observation",
        ),
        (
            '"action": action, ',
            "",
            "you leave the action out of the row: the model learns what each action leads to",
        ),
        (
            '"reward": float(reward)',
            '"reward": 0.0',
            "you lose the reward: it came with this observation, so it belongs in this row",
        ),
        (
            '"is_first": False',
            '"is_first": last',
            "you set is_first where an episode ends: the next one begins with its own first row, "
            "which first_row makes",
        ),
        (
            "return obs | outcome",
            'return {"obs": obs} | outcome',
            "you put the observation under one name: the entries of obs are entries of the row",
        ),
    ],
    "1.33": [
        (
            "        row = next_row(env, action[0].cpu().numpy())\n        buffer.add(row)\n",
            "        buffer.add(row)\n        row = next_row(env, action[0].cpu().numpy())\n",
            "you store the row before you act: the first row comes twice and the one that ends "
            "an episode, with its reward, never",
        ),
        (
            "            row = first_row(env, agent.actions)\n            buffer.add(row)\n",
            "            row = first_row(env, agent.actions)\n",
            "you do not store the first row of the next episode: without is_first the buffer "
            "cannot tell where it begins",
        ),
        (
            "            row = first_row(env, agent.actions)\n            buffer.add(row)\n",
            "",
            "you never begin the next episode: after is_last the environment must be reset",
        ),
        (
            "            row = first_row(env, agent.actions)\n            buffer.add(row)\n",
            "            buffer.add(first_row(env, agent.actions))\n",
            "you let the agent act on the last row of the old episode: after a reset the newest "
            "row is the first of the next one",
        ),
        (
            'if row["is_last"]:',
            'if row["is_terminal"]:',
            "you reset only after a death: a time limit ends the episode too, and is_last says so",
        ),
        (
            "row = first_row(env, agent.actions)",
            "row = first_row(env, agent.actions, seed)",
            "you reset every episode with the same seed, so that all of them begin alike: only "
            "the first reset has it",
        ),
        (
            "action, state = agent.act(obs, state)",
            "action, _ = agent.act(obs, state)",
            "you do not keep the state that act returns (or reset it at every step): the agent "
            "then knows only the present observation",
        ),
        (
            "agent.act(obs, state)",
            "agent.act(obs, state, explore=False)",
            "you collect without exploration: explore=False is for evaluation",
        ),
        (
            '[*agent.keys, "is_first"]',
            "agent.keys",
            "you do not tell the agent is_first, so it cannot forget the previous episode",
        ),
        (
            '{key: np.asarray(row[key])[None] for key in [*agent.keys, "is_first"]}',
            '{key: np.asarray(row[key]) for key in [*agent.keys, "is_first"]}',
            "you pass the observation alone: act wants a batch, here of one, so add a dimension "
            "in front",
        ),
        (
            "action[0].cpu().numpy()",
            "action.cpu().numpy()",
            "you pass the environment a batch of one action, (1, A): it wants the action alone",
        ),
        (
            "action[0].cpu().numpy()",
            "action[0]",
            "you pass the environment a tensor: it wants a NumPy array",
        ),
        (
            "step > prefill and ",
            "",
            "you learn during the prefill: the first updates come after `prefill` steps of "
            "random actions",
        ),
        (
            "step > prefill",
            "step >= prefill",
            "you learn at the last step of the prefill already: updates follow steps after it",
        ),
        (
            "step > prefill",
            "len(buffer) > prefill",
            "you compare the rows of the buffer with `prefill`: it counts steps, and an episode "
            "has one row more than steps",
        ),
        (
            "step % train_every == 0 and ",
            "",
            "you learn after every step: an update comes once in `train_every` steps",
        ),
        (
            " and buffer.ready(c.batch_length)",
            "",
            "you learn before the buffer is ready: until an episode is long enough it has no "
            "sequence to give",
        ),
        (
            "sample(c.batch_size, c.batch_length)",
            "sample(c.batch_length, c.batch_size)",
            "you swap the sizes of the sample: the number of sequences comes first, then their "
            "length",
        ),
        (
            "scores, score = [*scores, score], 0.0",
            "scores = [*scores, score]",
            "you do not set the score back to 0 at the end of an episode, so returns pile up",
        ),
        (
            "scores, score = [*scores, score], 0.0",
            'scores, score = [*scores, row["reward"]], 0.0',
            "you log the last reward of an episode: its return is the sum of all its rewards",
        ),
        (
            'score += row["reward"]',
            'score += row["reward"] * (not row["is_last"])',
            "you leave the last reward out of the return: add it before you look whether the "
            "episode is over",
        ),
        (
            "metrics, _ = agent.train_step",
            "metrics = agent.train_step",
            "train_step returns two things, metrics and latents: the log wants the first alone",
        ),
        (
            "metrics, _ = agent.train_step",
            "_ = agent.train_step",
            "you do not keep what train_step returns: its first part, the metrics, belongs in "
            "the log",
        ),
    ],
}
