"""Wrong answers to the exercises of rssm.py: (old text, new text, what the learner reads)."""


def latent_mistakes(name: str, elu: str, linear: str, sample: str) -> list[tuple[str, str, str]]:
    """What goes wrong with prior and posterior alike; the texts are parts of their answers."""
    inner = elu.removeprefix("F.elu(")[:-1]
    return [
        (
            elu,
            inner,
            f"there is no activation after {name}: an ELU belongs there",
        ),
        (
            elu,
            f"F.relu({inner})",
            "you use ReLU: the dense layers of this paper have ELU",
        ),
        (
            f"{linear}.unflatten",
            f"F.elu({linear}).unflatten",
            "your logits go through an ELU too: they are linear, or none could be below -1",
        ),
        (
            ".unflatten(-1, self.shape)",
            ".unflatten(-1, self.shape[::-1]).transpose(-2, -1)",
            "you split the Z numbers the other way round: they are S groups of K neighbours",
        ),
        (
            ".unflatten(-1, self.shape)",
            ".unflatten(-1, self.shape[::-1])",
            "your logits are (..., K, S): `self.shape` is (S, K), and S comes first",
        ),
        (
            f"return {sample}, logits",
            f"return {sample.removesuffix('.flatten(-2)')}, logits",
            "your z is still (..., S, K): join its last two dimensions to (..., Z)",
        ),
        (
            f"return {sample}, logits",
            f"return {sample}, logits.flatten(-2)",
            "you return flat logits: they keep their form (..., S, K), only z is flat",
        ),
        (
            f"return {sample}, logits",
            f"return logits, {sample}",
            "you return logits and z: the sample z comes first",
        ),
        (
            f"return {sample}, logits",
            f"return {sample}, torch.softmax(logits, -1)",
            "you return probabilities: the second thing is the logits, as the KL takes them",
        ),
        (
            f"return {sample}, logits",
            "return torch.softmax(logits, -1).flatten(-2), logits",
            "your z is the probabilities: it is a one-hot sample of them",
        ),
        (
            f"return {sample}, logits",
            f"return {sample}.detach(), logits",
            "your sample passes no gradient on: `sample_one_hot` does, do not detach it",
        ),
        (
            f"return {sample}, logits",
            "probs = torch.softmax(logits, -1)\n"
            "        one_hot = F.one_hot(logits.argmax(-1), logits.shape[-1])\n"
            "        return (one_hot + (probs - probs.detach())).flatten(-2), logits",
            "you always take the most likely class: z is drawn, so that the unlikely ones come too",
        ),
        (
            "sample_one_hot(logits).flatten(-2)",
            "sample_one_hot(logits.flatten(-2))",
            "you draw one class among all Z: there are S draws, one in each group of K",
        ),
        (
            "sample_one_hot(logits)",
            "sample_one_hot(torch.softmax(logits, -1))",
            "you give sample_one_hot probabilities: it takes logits and makes its own softmax",
        ),
        (
            "sample_one_hot(logits)",
            "sample_one_hot(logits.transpose(-2, -1)).transpose(-2, -1)",
            "you draw along S: the last dimension, K, holds the classes of one categorical",
        ),
    ]


PRIOR = latent_mistakes(
    "fc_prior",
    "F.elu(self.fc_prior(h))",
    "self.fc_prior_logits(F.elu(self.fc_prior(h)))",
    "sample_one_hot(logits).flatten(-2)",
)
POSTERIOR = latent_mistakes(
    "fc_post",
    "F.elu(self.fc_post(torch.cat([h, embed], -1)))",
    "self.fc_post_logits(x)",
    "sample_one_hot(logits).flatten(-2)",
)

MISTAKES = {
    "2.3": [
        (
            'self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'self.rnn(prev_state["h"], F.elu(self.fc_in(x)))',
            "you exchange what goes into the GRU: the input comes first, the previous h second",
        ),
        (
            "F.elu(self.fc_in(x))",
            "self.fc_in(x)",
            "there is no activation after fc_in: an ELU belongs there",
        ),
        (
            "F.elu(self.fc_in(x))",
            "F.relu(self.fc_in(x))",
            "you use ReLU: the dense layers of this paper have ELU",
        ),
        (
            '[prev_state["z"], prev_action]',
            '[prev_action, prev_state["z"]]',
            "you put the action first: fc_in takes [z, a], z first",
        ),
        (
            'self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'self.rnn(F.elu(self.fc_in(x)), torch.zeros_like(prev_state["h"]))',
            "you begin from zeros at every step: the GRU needs the previous h",
        ),
        (
            'self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'self.rnn(F.elu(self.fc_in(x)), prev_state["h"].detach())',
            "you detach h: the gradient has to flow back through all the steps before",
        ),
        (
            'prev_state["z"], prev_action]',
            'prev_state["z"].detach(), prev_action]',
            "you detach z: the gradient flows back straight through the sampled latents too",
        ),
        (
            'prev_state["z"], prev_action]',
            'prev_state["z"], prev_action.detach()]',
            "you detach the action: where actions are continuous, the actor learns through it",
        ),
        (
            'prev_state["z"], prev_action]',
            'prev_state["z"], torch.zeros_like(prev_action)]',
            "the action has no effect: it enters fc_in after z",
        ),
        (
            'prev_state["z"], prev_action]',
            'torch.zeros_like(prev_state["z"]), prev_action]',
            "the previous z has no effect: it enters fc_in before the action",
        ),
        (
            'return self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'return F.elu(self.rnn(F.elu(self.fc_in(x)), prev_state["h"]))',
            "you put an ELU after the GRU: what the GRU returns is h itself",
        ),
        (
            'return self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'return self.rnn(F.elu(self.fc_in(x)), prev_state["h"])[None]',
            "your h has a dimension too much: this GRU is one step, h is (B, H) before and after",
        ),
        (
            'self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'prev_state["h"] + self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            "you add the previous h: the GRU's update gate has mixed it in already",
        ),
        (
            'return self.rnn(F.elu(self.fc_in(x)), prev_state["h"])',
            'prev_state["h"] = self.rnn(F.elu(self.fc_in(x)), prev_state["h"])\n'
            '        return prev_state["h"]',
            "you write the new h into the state that you were given: leave it, and return h",
        ),
    ],
    "2.4": [
        *PRIOR,
        (
            "self.fc_prior(h)",
            "self.fc_prior(h.detach())",
            "you detach h: the KL trains the recurrent step through the prior",
        ),
    ],
    "2.5": [
        *POSTERIOR,
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
            "[torch.zeros_like(h), embed]",
            "your posterior does not see h: the past and the observation together tell the state",
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
            "self.fc_post_logits(x)",
            "self.fc_prior_logits(x)",
            "you use the prior's output layer: the posterior has its own, fc_post_logits",
        ),
    ],
    "2.6": [
        (
            'state = {"h": h, "z": z}',
            'state["h"], state["z"] = h, z',
            "you change the dictionary that the caller gave you: its state is gone afterwards; "
            "make a new dictionary for each step",
        ),
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
            "self.recurrent_step(previous, actions[:, t] * mask)",
            "self.recurrent_step(state, actions[:, t])",
            "you do not reset at all: where an episode begins, h, z and action count as zero",
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
            "mask = keep[:, t, None]  # (B, 1)",
            "mask = keep[:, t].amin() * torch.ones_like(keep[:, :1])",
            "a new episode in one sequence resets all of them: the mask has one entry a sequence",
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
            "self.posterior(h, embeds[:, t])",
            "self.prior(h)",
            "you take z from the prior: an observed sequence is filtered with the posterior",
        ),
        (
            "self.posterior(h, embeds[:, t])",
            'self.posterior(previous["h"], embeds[:, t])',
            "you give the posterior the previous h: it corrects the h of this step",
        ),
        (
            "self.posterior(h, embeds[:, t])",
            "self.posterior(h, embeds[:, t - 1])",
            "you correct with the observation of row t - 1: step t has seen observation t",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": h.detach(), "z": z}',
            "you detach h between the steps: the world model learns through time",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": h, "z": z.detach()}',
            "you detach z between the steps: the sample passes gradients, so that the world model "
            "learns through time",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": h.detach(), "z": z.detach()}',
            "you detach the state between the steps: the world model learns through time",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": h, "z": self.prior(h)[0]}',
            "the next step starts from the prior's z: it starts from the posterior's, which has "
            "seen the observation",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": h, "z": state["z"]}',
            "you do not carry z on: the next step starts from the z of this one",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": state["h"], "z": z}',
            "you do not carry h on: the next step starts from the h of this one",
        ),
        (
            'state = {"h": h, "z": z}',
            'state = {"h": h, "z": torch.softmax(post_logits, -1).flatten(-2)}',
            "you carry the probabilities on: the next step starts from the one-hot sample",
        ),
        (
            "zs.append(z)",
            "zs.append(z.detach())",
            "the z that you return is detached: the losses train the posterior through it",
        ),
        (
            "zs.append(z)",
            "zs.append(self.posterior(h, embeds[:, t])[0])",
            "you draw z twice, one to return and one to carry on: a step has one sample",
        ),
        (
            "zs.append(z)",
            "zs.append(torch.softmax(post_logits, -1).flatten(-2))",
            "you return the probabilities: z of a step is the one-hot sample",
        ),
        (
            "logits.append(post_logits)",
            "logits.append(self.prior(h)[1])",
            "you keep the prior's logits: the list is for those of the posterior, the prior "
            "follows below",
        ),
    ],
    "2.7": [
        (
            "get_feature(h, z).detach()",
            "get_feature(h, z)",
            "the actor sees an attached feature: detach it, or gradients also flow through what "
            "the policy saw",
        ),
        (
            "actor(get_feature(h, z).detach())",
            "actor(get_feature(h, z).detach()).detach()",
            "you detach the action: with continuous actions the actor learns from the gradient "
            "that comes back through the dream",
        ),
        (
            "for _ in range(horizon):\n",
            "for _ in range(horizon):\n            h, z = h.detach(), z.detach()\n",
            "you detach the state between the steps: later states no longer teach earlier actions",
        ),
        (
            "zs.append(z)",
            "zs.append(z)\n            z = z.detach()",
            "you detach z after each step: the gradient goes straight through the samples",
        ),
        (
            "zs.append(z)",
            "zs.append(self.prior(h)[0])",
            "you draw z twice, one to return and one to dream on: a state has one sample",
        ),
        (
            "zs.append(z)",
            "zs.append(z.detach())",
            "the z that you return is detached: what is computed from it could not reach the "
            "actions",
        ),
        (
            """\
            h = self.recurrent_step({"h": h, "z": z}, actions[-1])
            z, _ = self.prior(h)
            hs.append(h)
            zs.append(z)
""",
            """\
            hs.append(h)
            zs.append(z)
            h = self.recurrent_step({"h": h, "z": z}, actions[-1])
            z, _ = self.prior(h)
""",
            "your dream has its start twice and lacks its last state: the start is in the lists "
            "already, append after the step",
        ),
        (
            """\
        for _ in range(horizon):
            actions.append(actor(get_feature(h, z).detach()))
""",
            """\
        first = actor(get_feature(h, z).detach())
        for _ in range(horizon):
            actions.append(first)
""",
            "you ask the actor once and repeat its action: it acts anew in every state",
        ),
        (
            "get_feature(h, z)",
            "torch.cat([h, z], -1)",
            "you join the feature as [h, z]: it is [z, h], as `get_feature` makes it",
        ),
        (
            "z, _ = self.prior(h)",
            "z = torch.softmax(self.prior(h)[1], -1).flatten(-2)",
            "you dream with the prior's probabilities: z is a one-hot sample of them",
        ),
        (
            "z, _ = self.prior(h)",
            "logits = self.prior(h)[1]\n"
            "            probs = torch.softmax(logits, -1)\n"
            "            z = F.one_hot(logits.argmax(-1), logits.shape[-1]) + probs\n"
            "            z = (z - probs.detach()).flatten(-2)",
            "you always dream the most likely class: z is drawn from the prior",
        ),
        (
            "z, _ = self.prior(h)",
            "z, _ = self.prior(hs[-1])",
            "you ask the prior about the previous h: z belongs to the h of this step",
        ),
        (
            "z, _ = self.prior(h)",
            "z, _ = self.posterior(h, h.new_zeros(len(h), self.fc_post.in_features - h.shape[-1]))",
            "you dream with the posterior of an empty observation: in a dream there is the prior "
            "alone",
        ),
        (
            "            z, _ = self.prior(h)\n",
            "",
            "z stays what it was at the start: draw it anew from the prior at every step",
        ),
        (
            '{"h": h, "z": z}, actions[-1]',
            '{"h": hs[0], "z": z}, actions[-1]',
            "every step starts from the first h: it starts from the h of the step before",
        ),
        (
            '{"h": h, "z": z}, actions[-1]',
            '{"h": h, "z": z}, actions[0]',
            "every step takes the first action: it takes the one that was just chosen",
        ),
        (
            "actor(get_feature(h, z).detach())",
            "actor(get_feature(hs[0], z).detach())",
            "the actor keeps seeing an old h: it acts on h and z of the last state",
        ),
        (
            "range(horizon)",
            "range(horizon - 1)",
            "your dream is one step short: take `horizon` steps, the start is not one of them",
        ),
        (
            "range(horizon)",
            "range(horizon + 1)",
            "your dream is one step too long: take `horizon` steps after the start",
        ),
        (
            "        for _ in range(horizon):\n",
            "        hs, zs = [], []\n        for _ in range(horizon):\n",
            "your dream lacks its start: V2 keeps it as state 0, and the lists begin with it",
        ),
    ],
    "2.8": [
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "torch.log_softmax(prior_logits, -1), torch.log_softmax(post_logits, -1)",
            "you compute KL(prior ‖ posterior): the two sides are not the same, p is the posterior",
        ),
        (
            ".sum((-2, -1))",
            ".mean((-2, -1))",
            "you average over S and K: both are summed, the categoricals are independent",
        ),
        (
            ".sum((-2, -1))",
            ".sum(-1).mean(-1)",
            "you average over the categoricals: they are independent, so their divergences add up",
        ),
        (
            ".sum((-2, -1))",
            ".sum(-1)",
            "you do not sum over the S categoricals: the result has one number for each (...)",
        ),
        (
            ".sum((-2, -1))",
            ".sum()",
            "you sum over everything: only the last two dimensions, S and K, are summed here",
        ),
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "post_logits, prior_logits",
            "you take the logits for log-probabilities: they are not normalised",
        ),
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "torch.log_softmax(post_logits, -2), torch.log_softmax(prior_logits, -2)",
            "you normalise over S: the classes of a categorical are the last dimension",
        ),
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "(torch.log_softmax(x.flatten(-2), -1).view(x.shape) for x in "
            "(post_logits, prior_logits))",
            "you normalise over all Z numbers together: each categorical has a softmax of its own",
        ),
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "(torch.softmax(x, -1).log() for x in (post_logits, prior_logits))",
            "you take the logarithm of a softmax, which is infinite where a probability has "
            "become 0: use log_softmax",
        ),
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "((torch.softmax(x, -1) + 1e-8).log() for x in (post_logits, prior_logits))",
            "you add a small number before the logarithm, which changes the divergence where a "
            "probability is small: use log_softmax",
        ),
        (
            "torch.log_softmax(post_logits, -1), torch.log_softmax(prior_logits, -1)",
            "(x - x.exp().sum(-1, keepdim=True).log() for x in (post_logits, prior_logits))",
            "your exp overflows for large logits: log_softmax takes the largest away first",
        ),
        (
            "log_p.exp() * (log_p - log_q)",
            "log_q.exp() * (log_p - log_q)",
            "you weight with the prior's probabilities: the expectation is over the posterior",
        ),
        (
            "log_p.exp() * (log_p - log_q)",
            "log_p.exp().detach() * (log_p - log_q)",
            "you detach the weights: the posterior's probabilities take part in the gradient",
        ),
        (
            "log_p.exp() * (log_p - log_q)",
            "-log_p.exp() * log_q",
            "you compute the cross-entropy: subtract the posterior's entropy, so that equal "
            "distributions give 0",
        ),
        (
            "log_p.exp() * (log_p - log_q)",
            "log_p.exp() * (log_q - log_p)",
            "your sign is wrong: it is log p - log q, and a divergence is never negative",
        ),
        (
            "log_p.exp() * (log_p - log_q)",
            "(log_p - log_q)",
            "you do not weight the differences: each counts with its probability p",
        ),
        (
            "log_p.exp() * (log_p - log_q)",
            "log_p.exp() * (log_p - log_q) / 0.6931471805599453",
            "your result is in bits: take natural logarithms, which gives nats",
        ),
    ],
    "2.9": [
        (
            "to_posterior = kl_divergence(post_logits, prior_logits.detach())",
            "to_posterior = kl_divergence(prior_logits.detach(), post_logits)",
            "your second term is KL(prior ‖ posterior): both terms are KL(posterior ‖ prior), "
            "only the detached side differs",
        ),
        (
            "to_posterior = kl_divergence(post_logits, prior_logits.detach())",
            "to_posterior = kl_divergence(prior_logits, post_logits.detach())",
            "you exchange the two sides in the second term: it is KL(posterior ‖ sg(prior))",
        ),
        (
            "    to_prior = kl_divergence(post_logits.detach(), prior_logits)  # (B, T)\n",
            "    post_logits, prior_logits = prior_logits, post_logits\n"
            "    balance = 1 - balance\n"
            "    to_prior = kl_divergence(post_logits.detach(), prior_logits)  # (B, T)\n",
            "both your terms are KL(prior ‖ posterior): the posterior comes first",
        ),
        (
            "kl_divergence(post_logits.detach(), prior_logits)",
            "kl_divergence(post_logits, prior_logits)",
            "your first term trains the posterior too: there it is detached",
        ),
        (
            "kl_divergence(post_logits, prior_logits.detach())",
            "kl_divergence(post_logits, prior_logits)",
            "your second term trains the prior too: there it is detached",
        ),
        (
            "    to_posterior = kl_divergence(post_logits, prior_logits.detach())\n",
            "    to_prior = to_posterior = kl_divergence(post_logits, prior_logits)\n",
            "there is no stop-gradient: then the balance has no effect at all",
        ),
        (
            "    loss = balance * to_prior.mean()",
            "    balance = 1 - balance\n    loss = balance * to_prior.mean()",
            "you exchange the shares: `balance` belongs to the term that trains the prior",
        ),
        (
            "    loss = balance * to_prior.mean()",
            "    balance = 0.8\n    loss = balance * to_prior.mean()",
            "your balance is always 0.8: use the argument",
        ),
        (
            "    loss = loss + (1 - balance) * ",
            "    loss = loss + ",
            "your second term has no weight: it is multiplied by 1 - balance",
        ),
        (
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "",
            "there is only the term of the prior: the posterior is trained too, with 1 - balance",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = balance * to_prior.clamp(min=free_nats).mean()\n"
            "    loss = loss + (1 - balance) * to_posterior.clamp(min=free_nats).mean()\n",
            "you grant the free nats to every step: first comes the mean over batch and time, "
            "then the maximum (V3 does it your way)",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = balance * to_prior.mean(1).clamp(min=free_nats).mean()\n"
            "    loss = loss + (1 - balance) * to_posterior.mean(1).clamp(min=free_nats).mean()\n",
            "you grant the free nats to every sequence: the mean is over batch and time, then "
            "comes the maximum",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = (balance * to_prior.mean()).clamp(min=free_nats)\n"
            "    loss = loss + ((1 - balance) * to_posterior.mean()).clamp(min=free_nats)\n",
            "you take the maximum after the weights: each term is held above the free nats first, "
            "then weighted",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = balance * to_prior.mean().clamp(max=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(max=free_nats)\n",
            "you take the minimum: the loss may not fall below the free nats",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = balance * F.relu(to_prior.mean() - free_nats)\n"
            "    loss = loss + (1 - balance) * F.relu(to_posterior.mean() - free_nats)\n",
            "you subtract the free nats: the gradients are the same, but the loss is the KL "
            "itself, at least free_nats",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = balance * to_prior.mean() + (1 - balance) * to_posterior.mean()\n",
            "you forget the free nats: below them the loss is constant",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n",
            "    loss = balance * to_prior.mean()\n",
            "the prior's term has no free nats: both terms have the same",
        ),
        (
            "    loss = balance * to_prior.mean().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.mean().clamp(min=free_nats)\n",
            "    loss = balance * to_prior.sum().clamp(min=free_nats)\n"
            "    loss = loss + (1 - balance) * to_posterior.sum().clamp(min=free_nats)\n",
            "you sum over batch and time: the loss is the mean, whatever the size of the batch",
        ),
        (
            "to_prior.detach()",
            "to_prior",
            "the KL for the log is attached: detach it",
        ),
        (
            "to_prior.detach()",
            "to_prior.mean().detach()",
            "you return the mean KL: the second thing is the KL of every row, (B, T)",
        ),
        (
            "to_prior.detach()",
            "to_prior.clamp(min=free_nats).detach()",
            "you log the clipped KL: the log shows it as it is, also below the free nats",
        ),
    ],
    "2.19": [
        (
            'normal_loss(self.reward(feature), batch["reward"]).mean()',
            'F.mse_loss(self.reward(feature), batch["reward"])',
            "mse_loss is the whole squared error; the likelihood of a Normal has half of it: "
            "normal_loss",
        ),
        (
            ", c.kl_balance, c.free_nats",
            "",
            "you leave kl_loss its defaults: kl_balance and free_nats are options of the agent",
        ),
        (
            "c.kl_scale * balanced",
            "balanced",
            "you forget kl_scale, by which the KL part is multiplied",
        ),
        (
            "c.kl_scale * balanced",
            "c.kl_scale * kl.mean()",
            "you take the KL that is for the log: it is detached and has no free nats; the loss "
            "is the first thing that kl_loss returns",
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
            "c.continue_scale * ends.mean()",
            "-c.continue_scale * ends.mean()",
            "the sign of the continue part is wrong: continue_loss is to be minimised as it is",
        ),
        (
            'normal_loss(self.reward(feature), batch["reward"]).mean()',
            'normal_loss(self.reward(feature[:, :-1]), batch["reward"][:, 1:]).mean()',
            "you predict the reward of the next row: the reward of row t came with observation t",
        ),
        (
            'batch["reward"]).mean()',
            'torch.tanh(batch["reward"])).mean()',
            "you transform the reward once more: in the batch it is transformed already",
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
            'batch["is_terminal"], c.gamma',
            '1 - batch["is_terminal"], c.gamma',
            "you turn is_terminal round: continue_loss takes the flag of the end as it is",
        ),
        (
            ", c.kl_balance, c.free_nats",
            ", c.kl_balance",
            "you leave the free nats at kl_loss's default: pass config.free_nats",
        ),
        (
            ", c.kl_balance, c.free_nats",
            ", free_nats=c.free_nats",
            "you leave the balance at kl_loss's default: pass config.kl_balance",
        ),
        (
            ", c.kl_balance, c.free_nats",
            ", c.free_nats, c.kl_balance",
            "you exchange balance and free nats: kl_loss takes the balance first",
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
            'get_feature(states["h"], torch.softmax(states["post_logits"], -1).flatten(-2))',
            "your heads see the posterior's probabilities: they see the sample z",
        ),
        (
            'get_feature(states["h"], states["z"])',
            'get_feature(states["h"], sample_one_hot(states["prior_logits"]).flatten(-2))',
            "your heads see the prior: they see the sample z of the posterior",
        ),
        (
            'get_feature(states["h"], states["z"])',
            'get_feature(states["h"], states["z"]).detach()',
            "you detach the feature: encoder and RSSM learn through the predictions",
        ),
        (
            'states["post_logits"], states["prior_logits"]',
            'states["prior_logits"], states["post_logits"]',
            "you exchanged the sides of the KL: kl_loss takes the posterior first, then the prior",
        ),
        (
            'states["post_logits"], states["prior_logits"]',
            'states["post_logits"], states["prior_logits"].detach()',
            "you detach the prior: kl_loss decides who is trained",
        ),
        (
            "self.reward(feature), batch",
            "self.reward(feature.detach()), batch",
            "you detach the feature for the reward: encoder and RSSM learn from the rewards too",
        ),
        (
            "self.continues(feature)",
            "self.continues(feature.detach())",
            "you detach the feature for the continuation: encoder and RSSM learn from it too",
        ),
        (
            "self.encoder(batch), batch",
            "self.encoder(batch).detach(), batch",
            "you detach the embeddings: the encoder learns from this loss",
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
