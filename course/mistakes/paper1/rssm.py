"""Wrong answers to the exercises of rssm.py: (old text, new text, what the learner reads)."""

HEAD = "F.softplus(self.{}_std(x)) + self.min_std"


def std_mistakes(name: str) -> list[tuple[str, str, str]]:
    """What goes wrong with the standard deviations of a latent."""
    right, raw = HEAD.format(name), f"self.{name}_std(x)"
    return [
        (
            right,
            f"F.softplus({raw} + self.min_std)",
            "you add min_std inside softplus, where it bounds nothing: add it to softplus's result",
        ),
        (
            right,
            f"F.softplus({raw})",
            "you leave out min_std: without it the std can shrink to zero, and the KL grow without "
            "bound",
        ),
        (
            right,
            f"{raw} + self.min_std",
            "you leave out softplus: the raw number can be negative, a std cannot",
        ),
        (
            right,
            f"F.softplus({raw}).clamp(min=self.min_std)",
            "you clip the std at min_std, which stops its gradient there: add min_std instead",
        ),
        (
            right,
            f"{raw}.exp() + self.min_std",
            "you take exp of the raw number: softplus grows more slowly and is what the official "
            "code has",
        ),
    ]


MISTAKES = {
    "1.9": [
        (
            "mean + std * torch.randn_like(std)",
            "mean + 0 * std",
            "you return the mean: a latent is a sample, so std times noise has to be added",
        ),
        (
            "mean + std * torch.randn_like(std)",
            "torch.normal(mean, std).detach()",
            "your sample passes no gradient on (`torch.normal`, `.sample()`): write it as the mean "
            "plus std times noise",
        ),
        (
            "mean + std * torch.randn_like(std)",
            "mean + (std * torch.randn_like(std)).detach()",
            "you cut off the std: its gradient is the noise that was drawn",
        ),
        (
            "std * torch.randn_like(std)",
            "std.square() * torch.randn_like(std)",
            "you scale the noise with the variance: the std itself is the scale",
        ),
        (
            "std * torch.randn_like(std)",
            "std.sqrt() * torch.randn_like(std)",
            "you scale the noise with the root of the std: `std` is no variance, take it as it is",
        ),
        (
            "torch.randn_like(std)",
            "torch.rand_like(std)",
            "your noise is uniform in [0, 1] (`rand`): it has to be standard normal (`randn`)",
        ),
        (
            "torch.randn_like(std)",
            "torch.randn((), dtype=std.dtype, device=std.device)",
            "you draw one number for all: every entry needs noise of its own",
        ),
        (
            "torch.randn_like(std)",
            "torch.randn(std.shape[-1], dtype=std.dtype, device=std.device)",
            "all rows share the noise: draw as many numbers as the whole of std has",
        ),
        (
            "torch.randn_like(std)",
            "torch.randn(std.shape, dtype=std.dtype)",
            "you draw the noise on the CPU wherever the inputs are: make it on the device of std",
        ),
    ],
    "1.10": [
        (
            "F.elu(self.fc_in(x))",
            "self.fc_in(x)",
            "there is no activation after fc_in: an ELU belongs there",
        ),
        (
            "F.elu(self.fc_in(x))",
            "F.relu(self.fc_in(x))",
            "you use ReLU: the dense layers of this paper have ELU, ReLU is for convolutions",
        ),
        (
            '[prev_state["z"], prev_action]',
            '[prev_action, prev_state["z"]]',
            "you put the action first: fc_in takes [z, a], z first",
        ),
        (
            'self.rnn(x[:, None], prev_state["h"])',
            "self.rnn(x[:, None])",
            "you do not give the GRU its previous state, so it begins from zeros at every step",
        ),
        (
            'self.rnn(x[:, None], prev_state["h"])',
            'self.rnn(x[:, None], prev_state["h"].detach())',
            "you detach h: the gradient has to flow back through all the steps before",
        ),
        (
            'prev_state["z"], prev_action]',
            'prev_state["z"].detach(), prev_action]',
            "you detach z: the gradient has to flow back through the sampled latents too",
        ),
        (
            "return h_out[:, 0], h_new",
            "return h_out, h_new",
            "your h_out is still (B, 1, H): take out the time, of which there is one step",
        ),
        (
            "return h_out[:, 0], h_new",
            "return h_out.squeeze(), h_new",
            "squeeze() also takes away the batch where B is 1: name the dimension of the time",
        ),
        (
            "return h_out[:, 0], h_new",
            "return h_out[:, 0], h_new[0]",
            "h_new is the GRU's own state and keeps its first dimension: (1, B, H)",
        ),
        (
            "return h_out[:, 0], h_new",
            "return h_new, h_out[:, 0]",
            "you return the two in the wrong order: h_out (B, H) first, then h_new (1, B, H)",
        ),
        (
            "x[:, None]",
            "x[None]",
            "you give the GRU (1, B, hidden), which is one sequence of B steps: with batch_first "
            "it is (B, 1, hidden)",
        ),
        (
            "x[:, None]",
            "x",
            "you give the GRU (B, hidden): it also wants a dimension for the time, (B, 1, hidden)",
        ),
    ],
    "1.11": [
        (
            "F.elu(self.fc_prior(h))",
            "self.fc_prior(h)",
            "the hidden layer has no activation: an ELU belongs there",
        ),
        (
            "F.elu(self.fc_prior(h))",
            "F.relu(self.fc_prior(h))",
            "you use ReLU: the dense layers of this paper have ELU",
        ),
        (
            "self.fc_prior_mean(x), F",
            "F.elu(self.fc_prior_mean(x)), F",
            "the mean must be linear: after an ELU it could not fall below -1",
        ),
        (
            "return self.fc_prior_mean(x), F.softplus(self.fc_prior_std(x)) + self.min_std",
            "return F.softplus(self.fc_prior_std(x)) + self.min_std, self.fc_prior_mean(x)",
            "you return std and mean: the mean comes first",
        ),
        *std_mistakes("fc_prior"),
    ],
    "1.12": [
        (
            "[h, embed]",
            "[embed, h]",
            "you put the embedding first: fc_post takes [h, embed], h first",
        ),
        (
            "[h, embed]",
            "[h, torch.zeros_like(embed)]",
            "your posterior does not see the observation: what did happen is in the embedding",
        ),
        (
            "[h, embed]",
            "[h, embed.detach()]",
            "you detach the embedding: the encoder learns through the posterior",
        ),
        (
            "[h, embed]",
            "[h.detach(), embed]",
            "you detach h: the past learns from what the posterior needs",
        ),
        (
            "self.fc_post_mean(x), F.softplus(self.fc_post_std(x))",
            "self.fc_prior_mean(x), F.softplus(self.fc_prior_std(x))",
            "you use the prior's output layers: the posterior has its own, fc_post_mean and "
            "fc_post_std",
        ),
        (
            "F.elu(self.fc_post(torch.cat([h, embed], -1)))",
            "self.fc_post(torch.cat([h, embed], -1))",
            "the hidden layer has no activation: an ELU belongs there",
        ),
        (
            "F.elu(self.fc_post(torch.cat([h, embed], -1)))",
            "F.relu(self.fc_post(torch.cat([h, embed], -1)))",
            "you use ReLU: the dense layers of this paper have ELU",
        ),
        *std_mistakes("fc_post"),
    ],
    "1.13": [
        (
            'state["h"] * mask',
            'state["h"]',
            "you do not reset h: where an episode begins it would still know the last one",
        ),
        (
            'state["z"] * mask',
            'state["z"]',
            "you do not reset z: where an episode begins it would still be the last one's",
        ),
        (
            "actions[:, t] * mask",
            "actions[:, t]",
            "you do not reset the action: no action led to the first observation of an episode",
        ),
        (
            "mask = keep[:, t, None]  # (B, 1)",
            "mask = 1 - keep[:, t, None]",
            "your mask is upside down: `keep` is already 0 where an episode begins, 1 elsewhere",
        ),
        (
            "mask = keep[:, t, None]  # (B, 1)",
            "mask = keep[:, t - 1, None] if t else torch.ones_like(keep[:, :1])",
            "you reset one step late: `keep` of step t is for the state and action before step t",
        ),
        (
            "actions[:, t] * mask",
            "(actions[:, t - 1] if t else 0 * actions[:, 0]) * mask",
            "you step with the action of row t - 1: it is the action of row t that led to "
            "observation t",
        ),
        (
            "actions[:, t] * mask",
            "actions[:, t - 1] * mask",
            "you step with the action of row t - 1, and at t = 0 with the last one: the action "
            "of row t led to observation t",
        ),
        (
            "actions[:, t] * mask",
            "actions[:, min(t + 1, len(actions[0]) - 1)] * mask",
            "you step with the action of row t + 1: it is the action of row t that led to "
            "observation t",
        ),
        (
            '"z": sample_normal(mean, std)}',
            '"z": mean}',
            "you carry the mean on: z is a sample of the posterior",
        ),
        (
            'zs.append(state["z"])',
            "zs.append(state['z'].detach())",
            "the z that you return is detached: the losses train the posterior through it",
        ),
        (
            "self.posterior(h, embeds[:, t])",
            "self.prior(h)",
            "you take z from the prior: an observed sequence is filtered with the posterior",
        ),
        (
            "self.posterior(h, embeds[:, t])",
            'self.posterior(previous["h"][0], embeds[:, t])',
            "you give the posterior the previous h: it corrects the h of this step",
        ),
        (
            "self.posterior(h, embeds[:, t])",
            "self.posterior(h, embeds[:, t - 1])",
            "you correct with the observation of row t - 1: step t has seen observation t",
        ),
        (
            'state = {"h": h_new, "z": sample_normal(mean, std)}',
            'state = {"h": h_new.detach(), "z": sample_normal(mean, std)}',
            "you detach h between the steps: the world model learns through time",
        ),
        (
            'state = {"h": h_new, "z": sample_normal(mean, std)}',
            'state = {"h": h_new, "z": sample_normal(mean, std).detach()}',
            "you detach z between the steps: the sample passes gradients, so that the world model "
            "learns through time",
        ),
        (
            'state = {"h": h_new, "z": sample_normal(mean, std)}',
            'state = {"h": h_new.detach(), "z": sample_normal(mean, std).detach()}',
            "you detach the state between the steps: the world model learns through time",
        ),
        (
            'state = {"h": h_new, "z": sample_normal(mean, std)}',
            'state = {"h": state["h"], "z": sample_normal(mean, std)}',
            "you do not carry h on: the next step starts from the h of this one",
        ),
    ],
    "1.14": [
        (
            'get_feature(h, state["z"]).detach()',
            'get_feature(h, state["z"])',
            "the actor sees an attached feature: detach it, or the gradient of the returns also "
            "flows through what the policy saw",
        ),
        (
            'actor(get_feature(h, state["z"]).detach())',
            'actor(get_feature(h, state["z"]).detach()).detach()',
            "you detach the action: V1's actor learns from the gradient that comes back through "
            "the dream",
        ),
        (
            "for _ in range(horizon):\n",
            "for _ in range(horizon):\n"
            "            state = {key: x.detach() for key, x in state.items()}\n",
            "you detach the state between the steps: later states no longer teach earlier actions",
        ),
        (
            """\
            action = actor(get_feature(h, state["z"]).detach())
            h, h_new = self.recurrent_step(state, action)
            state = {"h": h_new, "z": sample_normal(*self.prior(h))}
            hs.append(h)
            zs.append(state["z"])
""",
            """\
            hs.append(h)
            zs.append(state["z"])
            action = actor(get_feature(h, state["z"]).detach())
            h, h_new = self.recurrent_step(state, action)
            state = {"h": h_new, "z": sample_normal(*self.prior(h))}
""",
            "your dream contains its start and lacks its last state: store a state after the step",
        ),
        (
            """\
        for _ in range(horizon):
            action = actor(get_feature(h, state["z"]).detach())
""",
            """\
        action = actor(get_feature(h, state["z"]).detach())
        for _ in range(horizon):
""",
            "you ask the actor once and repeat its action: it acts anew in every state",
        ),
        (
            'get_feature(h, state["z"])',
            'torch.cat([h, state["z"]], -1)',
            "you join the feature as [h, z]: it is [z, h], as `get_feature` makes it",
        ),
        (
            "sample_normal(*self.prior(h))",
            "self.prior(h)[0]",
            "you dream with the prior's mean: z is a sample of the prior",
        ),
        (
            "sample_normal(*self.prior(h))",
            "sample_normal(*self.prior(state['h'][0]))",
            "you ask the prior about the previous h: z belongs to the h of this step",
        ),
        (
            "sample_normal(*self.prior(h))",
            "sample_normal(*self.posterior(h, "
            "h.new_zeros(len(h), self.fc_post.in_features - h.shape[-1])))",
            "you dream with the posterior of an empty observation: in a dream there is the prior "
            "alone",
        ),
        (
            '"z": sample_normal(*self.prior(h))}',
            '"z": state["z"]}',
            "z stays what it was at the start: draw it anew from the prior at every step",
        ),
        (
            'get_feature(h, state["z"]).detach()',
            'get_feature(hs[0] if hs else h, state["z"]).detach()',
            "the actor keeps seeing an old h: it acts on h and z of the last state",
        ),
        (
            "range(horizon)",
            "range(horizon - 1)",
            "your dream is one state short: it has `horizon` states after the start",
        ),
        (
            "range(horizon)",
            "range(horizon + 1)",
            "your dream is one state too long: it has `horizon` states after the start",
        ),
    ],
    "1.15": [
        (
            "    distance = (mean_p - mean_q).square()\n",
            "    mean_p, std_p, mean_q, std_q = mean_q, std_q, mean_p, std_p\n"
            "    distance = (mean_p - mean_q).square()\n",
            "you compute KL(q ‖ p): the two sides are not the same, p comes first",
        ),
        (
            ".sum(-1)",
            ".mean(-1)",
            "you average over the units: they are independent, so their divergences add up",
        ),
        (
            ".sum(-1)",
            "",
            "you do not sum over the units: the result has one number for each (...), not for "
            "each unit",
        ),
        (
            ".sum(-1)",
            ".sum()",
            "you sum over everything: only the last dimension, the units, is summed here",
        ),
        (
            "torch.log(std_q / std_p)",
            "torch.log(std_p / std_q)",
            "your logarithm is upside down: it is log(std_q / std_p)",
        ),
        (
            " + ratio - 0.5)",
            " + ratio)",
            "the 1/2 is missing: the divergence of equal distributions is 0",
        ),
        (
            "(2 * std_q.square())",
            "std_q.square()",
            "the 2 in the denominator is missing",
        ),
        (
            "(2 * std_q.square())",
            "(2 * std_q)",
            "you divide by the std of q: it is the variance, std_q²",
        ),
        (
            "std_p.square() + distance",
            "std_p + distance",
            "you forget to square the std of p: it is std_p² + (mean_p - mean_q)²",
        ),
        (
            "(mean_p - mean_q).square()",
            "(mean_p - mean_q).abs()",
            "you take the distance of the means: it has to be squared",
        ),
    ],
    "1.16": [
        (
            "kl_divergence(post_mean, post_std, prior_mean, prior_std)",
            "kl_divergence(prior_mean, prior_std, post_mean, post_std)",
            "you swapped the sides: it is KL(posterior ‖ prior), the posterior first",
        ),
        (
            "return kl.clamp(min=free_nats), kl.detach()",
            "each = kl_divergence(post_mean, post_std, prior_mean, prior_std)\n"
            "    return each.clamp(min=free_nats).mean(), kl.detach()",
            "you grant the free nats to every step: here the mean over batch and time comes "
            "first, then the maximum",
        ),
        (
            "return kl.clamp(min=free_nats), kl.detach()",
            "each = kl_divergence(post_mean, post_std, prior_mean, prior_std).mean(1)\n"
            "    return each.clamp(min=free_nats).mean(), kl.detach()",
            "you grant the free nats to every sequence: the mean is over batch and time, then "
            "comes the maximum",
        ),
        (
            "clamp(min=free_nats)",
            "clamp(max=free_nats)",
            "you take the minimum: the loss may not fall below the free nats",
        ),
        (
            "kl.clamp(min=free_nats)",
            "max(kl, free_nats)",
            "where the free nats win, Python's max returns a plain number: the loss has to stay a "
            "tensor",
        ),
        (
            "kl.clamp(min=free_nats)",
            "F.relu(kl - free_nats)",
            "you subtract the free nats: the gradients are the same, but the loss is the KL "
            "itself, at least free_nats",
        ),
        (
            "kl.clamp(min=free_nats)",
            "kl",
            "you forget the free nats: below them the loss is constant",
        ),
        (
            "kl.clamp(min=free_nats)",
            "kl + (kl.clamp(min=free_nats) - kl).detach()",
            "the value is right, but below the free nats there is still a gradient: then nothing "
            "is to be trained",
        ),
        (
            "kl.detach()",
            "kl",
            "the mean for the log is attached: detach it",
        ),
        (
            "kl.detach()",
            "kl.clamp(min=free_nats).detach()",
            "you log the clipped mean: the log shows the KL as it is, also below the free nats",
        ),
        (
            ".mean()",
            ".sum()",
            "you sum over batch and time: the loss is the mean, whatever the size of the batch",
        ),
        (
            "kl_divergence(post_mean, post_std, prior_mean, prior_std)",
            "kl_divergence(post_mean, post_std, prior_mean.detach(), prior_std.detach())",
            "you detach the prior: one loss trains both sides, the prior too",
        ),
        (
            "kl_divergence(post_mean, post_std, prior_mean, prior_std)",
            "kl_divergence(post_mean.detach(), post_std.detach(), prior_mean, prior_std)",
            "you detach the posterior: one loss trains both sides, the posterior too",
        ),
    ],
    "1.27": [
        (
            "c.kl_scale * kl",
            "kl",
            "you forget kl_scale, by which the KL part is multiplied",
        ),
        (
            """\
        losses["reconstruction"] = (
            c.reconstruction_scale * self.reconstruction_loss(feature, batch).mean()
        )
""",
            """\
        losses["reconstruction"] = self.reconstruction_loss(feature, batch).mean()
""",
            "you forget reconstruction_scale, by which the reconstruction part is multiplied",
        ),
        (
            "c.continue_scale * ends.mean()",
            "ends.mean()",
            "you forget continue_scale, by which the continue part is multiplied",
        ),
        (
            'c.reward_scale * batch["reward"]',
            'batch["reward"]',
            "you forget reward_scale: the target is reward_scale times the reward",
        ),
        (
            """\
        reward = c.reward_scale * batch["reward"]
        losses["reward"] = normal_loss(self.reward(feature), reward).mean()
""",
            """\
        reward = batch["reward"]
        losses["reward"] = c.reward_scale * normal_loss(self.reward(feature), reward).mean()
""",
            "you multiply the reward's loss by reward_scale: it scales the target, so that the "
            "head predicts scaled rewards",
        ),
        (
            "normal_loss(self.reward(feature), reward).mean()",
            "normal_loss(self.reward(feature[:, :-1]), reward[:, 1:]).mean()",
            "you predict the reward of the next row: the reward of row t came with observation t",
        ),
        (
            'batch["is_terminal"]',
            'batch["is_last"]',
            "you take is_last for an end: a time limit is not a death, use is_terminal",
        ),
        (
            'batch["is_terminal"], c.gamma',
            'batch["is_terminal"], 1.0',
            "you give the continue loss no discount: its target is config.gamma where the "
            "episode goes on",
        ),
        (
            "            c.free_nats,\n",
            "",
            "you leave the free nats at kl_loss's default: pass config.free_nats",
        ),
        (
            'self.encoder(batch), batch["action"], batch["is_first"]',
            'self.encoder(batch), batch["action"]',
            "you do not pass is_first: the state would run on from one episode into the next",
        ),
        (
            'get_feature(states["h"], states["z"])',
            'torch.cat([states["h"], states["z"]], -1)',
            "you join the feature as [h, z]: it is [z, h], as `get_feature` makes it",
        ),
        (
            'get_feature(states["h"], states["z"])',
            'get_feature(states["h"], states["post_mean"])',
            "your heads see the posterior's mean: they see the sample z",
        ),
        (
            'get_feature(states["h"], states["z"])',
            'get_feature(states["h"], states["prior_mean"])',
            "your heads see the prior: they see the sample z of the posterior",
        ),
        (
            'get_feature(states["h"], states["z"])',
            'get_feature(states["h"], states["z"]).detach()',
            "you detach the feature: encoder and RSSM learn through the predictions",
        ),
        (
            'states["prior_mean"], states["prior_std"]',
            'states["prior_mean"].detach(), states["prior_std"].detach()',
            "you detach the prior: the KL part trains the prior and the posterior",
        ),
        (
            "self.reward(feature), reward",
            "self.reward(feature.detach()), reward",
            "you detach the feature for the reward: encoder and RSSM learn from the rewards too",
        ),
        (
            "logits = self.continues(feature)",
            "logits = self.continues(feature.detach())",
            "you detach the feature for the continuation: encoder and RSSM learn from it too",
        ),
        (
            "self.encoder(batch), batch",
            "self.encoder(batch).detach(), batch",
            "you detach the embeddings: the encoder learns from this loss",
        ),
        (
            """\
            states["post_mean"], states["post_std"], states["prior_mean"], states["prior_std"],
""",
            """\
            states["prior_mean"], states["prior_std"], states["post_mean"], states["post_std"],
""",
            "you swapped the sides of the KL: kl_loss takes the posterior first, then the prior",
        ),
        (
            "self.reconstruction_loss(feature, batch).mean()",
            "self.reconstruction_loss(feature, batch).sum()",
            "you sum the reconstruction over batch and time: every part is a mean over (B, T)",
        ),
        (
            "        if self.continues is not None:\n",
            "        if True:\n",
            "you ask the continue predictor without looking: it is None where use_continue is off",
        ),
    ],
}
