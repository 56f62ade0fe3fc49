"""Wrong answers to the exercises of rssm.py: (old text, new text, what the learner reads)."""

STEP = "        h = self.sequence_model(h * keep[:, None], z * keep[:, None, None], action_in)\n"
LOSSES = "dyn.clamp(min=free_nats), rep.clamp(min=free_nats)"
MIX = "    posterior, prior = unimix(posterior, ratio), unimix(prior, ratio)\n"

MISTAKES = {
    "3.11": [
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.sigmoid(reset) * torch.tanh(candidate)",
            "you reset after the tanh: the reset gate scales the candidate inside the tanh",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.tanh(candidate)",
            "the reset gate has no effect: sigmoid(reset) scales the candidate before its tanh",
        ),
        (
            "torch.sigmoid(reset) * candidate",
            "reset * candidate",
            "you use the raw reset value: a gate is its sigmoid, between 0 and 1",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.sigmoid(reset) * candidate",
            "there is no tanh around the candidate: nothing would keep h within ±1",
        ),
        (
            "torch.tanh(torch.sigmoid(reset) * candidate)",
            "torch.tanh(torch.sigmoid(reset) * h + candidate)",
            "you reset h, as the first GRU paper does: here the reset gate scales the candidate",
        ),
        (
            "torch.sigmoid(reset)",
            "torch.sigmoid(reset - 1)",
            "you shift the reset gate as well: the -1 belongs to the update gate alone",
        ),
        (
            "torch.sigmoid(update - 1)",
            "torch.sigmoid(update)",
            "your update gate has no -1: with raw values of 0 the state would change by half",
        ),
        (
            "torch.sigmoid(update - 1)",
            "torch.sigmoid(update + 1)",
            "you shift the update gate upwards: update - 1 lets the state persist at first",
        ),
        (
            "torch.sigmoid(update - 1)",
            "torch.sigmoid(update) - 1",
            "you subtract 1 from the gate: it is subtracted from the raw value, inside the sigmoid",
        ),
        (
            "torch.sigmoid(update - 1)",
            "update - 1",
            "your update is raw: its sigmoid tells the share of the way from h to the candidate",
        ),
        (
            "h + update * (candidate - h)",
            "candidate + update * (h - candidate)",
            "you exchange the shares: `update` is the candidate's share, the rest is that of h",
        ),
        (
            "h + update * (candidate - h)",
            "h + update * candidate",
            "you add the candidate to all of h: h keeps only the share 1 - update",
        ),
        (
            "h + update * (candidate - h)",
            "update * candidate",
            "you drop the old h: its share of the new one is 1 - update",
        ),
        (
            "return h + update",
            "return h.detach() + update",
            "you detach what is kept of h: the gradient flows back through it",
        ),
        (
            "return h + update * (candidate - h)",
            "return h.add_(update * (candidate - h))",
            "you change an input in place: leave h and the gates as they are and make new tensors",
        ),
    ],
    "3.12": [
        (
            "(gate.flatten(-2) for gate in gates.chunk(3, -1))",
            "gates.flatten(-2).chunk(3, -1)",
            "you split all 3 H numbers in three: each block has its own three gates, so split the "
            "3 H / G numbers of every block",
        ),
        (
            "(gate.flatten(-2) for gate in gates.chunk(3, -1))",
            "gates.unflatten(-1, (-1, 3)).flatten(1, 2).unbind(-1)",
            "you read three neighbours as the gates of one unit: in a block all resets come first, "
            "then all candidates, then all updates",
        ),
        (
            "reset, candidate, update =",
            "reset, update, candidate =",
            "you take the second gate for the update: the order is reset, candidate, update",
        ),
        (
            "reset, candidate, update =",
            "update, candidate, reset =",
            "you take the first gate for the update: the order is reset, candidate, update",
        ),
        (
            "[self.h_in(h), self.z_in(z.flatten(-2)), action_in]",
            "[self.z_in(z.flatten(-2)), self.h_in(h), action_in]",
            "you put z first: core_in takes h, z and the action, in this order",
        ),
        (
            "[self.h_in(h), self.z_in(z.flatten(-2)), action_in]",
            "[self.h_in(h), action_in, self.z_in(z.flatten(-2))]",
            "you put the action before z: core_in takes h, z and the action, in this order",
        ),
        (
            "self.core_h(self.to_blocks(h)).flatten(-2) + self.core_in(x)",
            "self.core_in(x)",
            "the blocks of h are missing: the core is the sum of core_h and core_in",
        ),
        (
            "self.core_h(self.to_blocks(h)).flatten(-2) + self.core_in(x)",
            "self.core_h(self.to_blocks(h)).flatten(-2)",
            "your core sees h alone: the three embeddings enter through core_in",
        ),
        (
            "flatten(-2) + self.core_in(x)",
            "flatten(-2) * self.core_in(x)",
            "you multiply the two parts of the core: they add up",
        ),
        (
            "self.core_h(self.to_blocks(h))",
            "self.core_h(h.unflatten(-1, (-1, self.blocks)).transpose(-2, -1))",
            "your blocks of h take every G-th unit: a block is H / G neighbours, see `to_blocks`",
        ),
        (
            "self.to_blocks(self.core_norm(x))",
            "self.to_blocks(x)",
            "the core goes into the gates as it is: core_norm comes between them",
        ),
        (
            "self.core_norm(x)",
            "self.core_norm(self.core_norm(x))",
            "you normalise the core twice",
        ),
        (
            "gru_update(h,",
            "gru_update(x,",
            "your GRU starts from the core: what it updates is the previous h",
        ),
        (
            "gru_update(h,",
            "gru_update(torch.zeros_like(h),",
            "your GRU starts from zeros: what it updates is the previous h",
        ),
        (
            "gru_update(h,",
            "gru_update(h.detach(),",
            "you detach the h that the GRU updates: the gradient flows back through it",
        ),
        (
            "self.z_in(z.flatten(-2))",
            "self.z_in(z.detach().flatten(-2))",
            "you detach z: the gradient goes straight through the sampled latents",
        ),
        (
            "action_in], -1)",
            "action_in.detach()], -1)",
            "you detach the action: the gradient reaches a_in through it",
        ),
        (
            "action_in], -1)",
            "torch.zeros_like(action_in)], -1)",
            "the action has no effect: its embedding is the last of the three inputs of core_in",
        ),
        (
            "action_in], -1)",
            "self.a_in(action_in)], -1)",
            "you embed the action again: action_in has been through a_in already",
        ),
    ],
    "3.13": [
        (
            "self.post_h(h) + embed_in",
            "self.post_h(h)",
            "your posterior does not see the observation: add embed_in",
        ),
        (
            "self.post_h(h) + embed_in",
            "embed_in",
            "your posterior does not see h: add post_h of it to embed_in",
        ),
        (
            "self.post_h(h) + embed_in",
            "self.post_h(h) * embed_in",
            "you multiply the two products: together they are one linear layer, so they add up",
        ),
        (
            "self.post_h(h) + embed_in",
            "self.post_h(h) + self.post_embed(embed_in)",
            "you multiply with post_embed again: embed_in has been through it already",
        ),
        (
            "self.post_h(h) + embed_in",
            "nn.functional.silu(self.post_h(h)) + embed_in",
            "you activate one product before the sum: norm and SiLU follow it, inside post_out",
        ),
        (
            "self.post_out(",
            "self.post_out[1](",
            "you skip norm and SiLU: post_out has both before its linear layer",
        ),
        (
            "self.post_out(self.post_h(h) + embed_in)",
            "self.post_out(self.post_out[0](self.post_h(h) + embed_in))",
            "you apply norm and SiLU twice: post_out begins with them",
        ),
        (
            "(self.stoch, self.classes)",
            "(self.classes, self.stoch)",
            "your logits are (..., K, S): S comes first, K last",
        ),
        (
            "logits.unflatten(-1, (self.stoch, self.classes))",
            "logits.unflatten(-1, (self.classes, self.stoch)).transpose(-2, -1)",
            "you split the numbers the other way round: they are S groups of K neighbours",
        ),
        (
            "logits.unflatten(-1, (self.stoch, self.classes))",
            "logits",
            "your logits are flat: they are returned as (..., S, K)",
        ),
        (
            "logits.unflatten(-1, (self.stoch, self.classes))",
            "unimix(logits.unflatten(-1, (self.stoch, self.classes)), self.ratio)",
            "you return probabilities: it is the raw logits that sampling and KL losses take",
        ),
        (
            "logits.unflatten(-1, (self.stoch, self.classes))",
            "self.sample(logits.unflatten(-1, (self.stoch, self.classes)))",
            "you return a sample: the posterior is its logits, `sample` comes later",
        ),
        (
            "self.post_h(h) + embed_in",
            "self.post_h(h.detach()) + embed_in",
            "you detach h: the past learns from what the posterior needs",
        ),
        (
            "self.post_h(h) + embed_in",
            "self.post_h(h) + embed_in.detach()",
            "you detach embed_in: the encoder learns through the posterior",
        ),
    ],
    "3.14": [
        (
            "h * keep[:, None]",
            "h",
            "you do not reset h: where an episode begins it would still know the last one",
        ),
        (
            "z * keep[:, None, None]",
            "z",
            "you do not reset z: where an episode begins it would still be the last one's",
        ),
        (
            "h * keep[:, None], z * keep[:, None, None]",
            "h, z",
            "you use h and z as they are: multiply both with `keep`, which is 0 where an episode "
            "begins",
        ),
        (
            STEP,
            "        keep = 1 - keep\n" + STEP,
            "you turn `keep` round: it is already 0 where an episode begins, and 1 elsewhere",
        ),
        (
            STEP,
            "        keep = keep.amin() * torch.ones_like(keep)\n" + STEP,
            "a new episode in one row resets all rows: `keep` has one entry for each",
        ),
        (
            STEP,
            "        h = self.sequence_model(h, z, action_in) * keep[:, None]\n",
            "you forget after the step: h and z are set to 0 before it, what comes out stays",
        ),
        (
            STEP,
            "        h[keep == 0] = 0\n        z[keep == 0] = 0\n"
            "        h = self.sequence_model(h, z, action_in)\n",
            "you write zeros into the h and z you were given, which are results of the step "
            "before: make new tensors, by multiplying with `keep`",
        ),
        (
            "action_in)",
            "action_in * keep[:, None])",
            "you reset action_in: the action was 0 before a_in, and a_in of 0 is not 0",
        ),
        (
            STEP + "        logits = self.posterior(h, embed_in)\n",
            "        logits = self.posterior(h * keep[:, None], embed_in)\n" + STEP,
            "you give the posterior the previous h: first comes the sequence model, then the "
            "posterior corrects its h",
        ),
        (
            "self.posterior(h, embed_in)",
            "self.prior(h)",
            "you use the prior: filtering corrects with the observation, which the posterior sees",
        ),
        (
            "self.posterior(h, embed_in)",
            "self.posterior(h, embed_in.detach())",
            "you detach the observation: the encoder learns through the posterior and its sample",
        ),
        (
            "return h, self.sample(logits), logits",
            "return h, logits, self.sample(logits)",
            "you return the logits before z: the order is h, z, logits",
        ),
        (
            "self.sample(logits)",
            "unimix(logits, self.ratio)",
            "your z is the probabilities: it is a one-hot sample of them",
        ),
        (
            "self.sample(logits)",
            "self.sample(logits).detach()",
            "your sample passes no gradient on: `sample` does, do not detach it",
        ),
        (
            "return h, self.sample(logits), logits",
            "probs = unimix(logits, self.ratio)\n"
            "        one_hot = nn.functional.one_hot(logits.argmax(-1), self.classes)\n"
            "        return h, one_hot + (probs - probs.detach()), logits",
            "z is the likely class in every row: it is drawn, for each row by itself, so that "
            "unlikely ones come too",
        ),
        (
            "self.sample(logits)",
            "sample_one_hot(torch.softmax(logits, -1))",
            "you draw without the uniform share: `sample` mixes it in first",
        ),
        (
            "return h, self.sample(logits), logits",
            "return h, self.sample(logits), unimix(logits, self.ratio)",
            "you return probabilities in the third place: the KL losses take raw logits",
        ),
        (
            "h * keep[:, None]",
            "h.detach() * keep[:, None]",
            "you detach the previous h: the world model learns through time",
        ),
        (
            "z * keep[:, None, None]",
            "z.detach() * keep[:, None, None]",
            "you detach the previous z: the samples carry the gradient through time",
        ),
    ],
    "3.15": [
        (
            "self.bound_action(actions)",
            "actions",
            "you do not bound the actions: entries beyond ±1 count as ±1",
        ),
        (
            "self.bound_action(actions)",
            "actions.clamp(-1, 1)",
            "you clip the actions, which stops their gradient beyond ±1: use `bound_action`",
        ),
        (
            " * keep[..., None])",
            ")",
            "you do not reset the action: no action led to the first observation of an episode",
        ),
        (
            "self.a_in(self.bound_action(actions) * keep[..., None])",
            "self.a_in(self.bound_action(actions)) * keep[..., None]",
            "you reset the embedded action: the action itself is 0 there, and a_in of 0 is not 0",
        ),
        (
            "keep = 1 - is_first.to(h.dtype)",
            "keep = 1 - is_first.to(h.dtype)\n        actions[is_first.bool()] = 0",
            "you write zeros into the actions of the batch: make a new tensor, by multiplying "
            "with `keep`",
        ),
        (
            "keep = 1 - is_first.to(h.dtype)",
            "keep = is_first.to(h.dtype)",
            "your mask is upside down: it keeps where is_first is 0",
        ),
        (
            "keep = 1 - is_first.to(h.dtype)",
            "keep = 1 - torch.cat([is_first[:, :1] * 0, is_first[:, :-1]], 1).to(h.dtype)",
            "you reset one step late: is_first of row t resets what comes before row t",
        ),
        (
            "keep = 1 - is_first.to(h.dtype)",
            "keep = 1 - is_first.to(h.dtype)\n        keep[:, 1:] = 1",
            "you reset at the start of the sequence alone: episodes also begin inside it",
        ),
        (
            "zip(keep.unbind(1)",
            "zip(torch.ones_like(keep).unbind(1)",
            "only the action is reset: observe_step needs `keep` too, to reset h and z",
        ),
        (
            "self.bound_action(actions)",
            "self.bound_action(torch.cat([actions[:, :1] * 0, actions[:, :-1]], 1))",
            "you step with the action of row t - 1: the action of row t led to observation t",
        ),
        (
            "self.bound_action(actions)",
            "self.bound_action(actions.roll(-1, 1))",
            "you step with the action of row t + 1: the action of row t led to observation t",
        ),
        (
            "h, z = state\n",
            "h, z = self.initial(len(actions))\n",
            "you begin from zeros: the state before the sequence is given",
        ),
        (
            "self.observe_step(h, z, *now)",
            "self.observe_step(h.detach(), z.detach(), *now)",
            "you detach the state between the steps: nothing would be learned through time",
        ),
        (
            "steps.append((h, z, logits))",
            "steps.append((h, z, logits))\n            z = self.sample(self.prior(h))",
            "the next step starts from a sample of the prior: z of the posterior goes on",
        ),
        (
            "steps.append((h, z, logits))",
            "steps.append((h, self.sample(logits), logits))",
            "you draw z twice, one to return and one to carry on: a step has one sample",
        ),
        (
            "steps.append((h, z, logits))",
            "steps.append((h, logits, z))",
            "you return the logits before z: `observe` returns h, z, logits",
        ),
        (
            "torch.stack(x, 1)",
            "torch.stack(x)",
            "your results are (T, B, ...): stack the steps along dimension 1",
        ),
    ],
    "3.16": [
        (
            "self.bound_action(action)",
            "action",
            "you do not bound the action: the world model has seen none beyond ±1",
        ),
        (
            "self.bound_action(action)",
            "torch.tanh(action)",
            "you squash the action with tanh: within ±1 it stays as it is, see `bound_action`",
        ),
        (
            "self.a_in(self.bound_action(action))",
            "self.bound_action(self.a_in(action))",
            "you bound the embedded action: the action is bounded first, then embedded",
        ),
        (
            "self.a_in(self.bound_action(action))",
            "self.bound_action(action)",
            "you do not embed the action: the sequence model takes a_in of it",
        ),
        (
            "        h = self.sequence_model(h, z, self.a_in(self.bound_action(action)))\n"
            "        return h, self.sample(self.prior(h))\n",
            "        action_in = self.a_in(self.bound_action(action))\n"
            "        return self.sequence_model(h, z, action_in), self.sample(self.prior(h))\n",
            "your z is the prior's for the old h: first comes the new h, then its prior",
        ),
        (
            "        return h, self.sample(self.prior(h))",
            "        nothing = h.new_zeros(len(h), self.post_embed.out_features)\n"
            "        return h, self.sample(self.posterior(h, nothing))",
            "you use the posterior with an empty observation: a dream goes on with the prior",
        ),
        (
            "self.sample(self.prior(h))",
            "unimix(self.prior(h), self.ratio)",
            "z of your dream is the probabilities: it is a one-hot sample of them",
        ),
        (
            "self.sample(self.prior(h))",
            "self.prior(h)",
            "you return the prior's logits: z is a sample of them",
        ),
        (
            "self.sample(self.prior(h))",
            "nn.functional.one_hot(self.prior(h).argmax(-1), self.classes).to(h.dtype)",
            "z of your dream is the likely class in every row: it is drawn, for each row by "
            "itself, so that unlikely ones come too",
        ),
        (
            "self.sample(self.prior(h))",
            "sample_one_hot(torch.softmax(self.prior(h), -1))",
            "you dream without the uniform share: `sample` mixes it in first",
        ),
        (
            "return h, self.sample(self.prior(h))",
            "return self.sample(self.prior(h)), h",
            "you return z before h: the order is h, z",
        ),
        (
            "return h, self.sample(self.prior(h))",
            "return h, self.sample(self.prior(h)).flatten(-2)",
            "your z is flat: a state keeps it as (N, S, K)",
        ),
        (
            "        h = self.sequence_model(h, z, self.a_in(self.bound_action(action)))\n"
            "        return h, self.sample(self.prior(h))\n",
            "        after = self.sequence_model(h, z, self.a_in(self.bound_action(action)))\n"
            "        return h, self.sample(self.prior(after))\n",
            "you return the old h with the new z: both belong to the next state",
        ),
    ],
    "3.17": [
        (
            "range(horizon)",
            "range(horizon - 1)",
            "your dream is a step too short: 1 + horizon states, the start among them",
        ),
        (
            "range(horizon)",
            "range(horizon + 1)",
            "your dream is a step too long: 1 + horizon states, the start among them",
        ),
        (
            "torch.stack(states, 1), torch.stack(actions, 1)",
            "torch.stack(states, 1), torch.stack(actions[:-1], 1)",
            "the last action is missing: the policy acts at the last state too",
        ),
        (
            "torch.stack(states, 1), torch.stack(actions, 1)",
            "torch.stack(states[1:], 1), torch.stack(actions[1:], 1)",
            "you leave the start out: it is state 0, and the first action is taken there",
        ),
        (
            "torch.stack(states, 1), torch.stack(actions, 1)",
            "torch.stack(states, 1), torch.stack([actions[0] * 0, *actions[:-1]], 1)",
            "your actions[:, t] led to state t, as in V2: in V3 it is taken at state t and leads "
            "to t + 1",
        ),
        (
            "torch.stack(states, 1), torch.stack(actions, 1)",
            "torch.stack(states), torch.stack(actions)",
            "your results are (1 + horizon, N, ...): stack the states along dimension 1",
        ),
        (
            "torch.stack(states, 1), torch.stack(actions, 1)",
            "torch.stack(actions, 1), torch.stack(states, 1)",
            "you return the actions first: features come first, then actions",
        ),
        (
            "policy(states[-1])",
            "policy(states[-2])",
            "the policy acts on the state before: the action at state t is for the feature of "
            "state t",
        ),
        (
            "self.imagine_step(h, z, actions[-1])",
            "self.imagine_step(h, z, actions[0])",
            "you step with the first action again and again: each state has its own",
        ),
        (
            "self.imagine_step(h, z, actions[-1])",
            "self.imagine_step(h, z, policy(states[-1]))",
            "you ask the policy twice for one state: the action that is returned is the one that "
            "was taken",
        ),
        (
            "h, z = self.imagine_step(",
            "h, _ = self.imagine_step(",
            "you do not carry z on: it would be the start's in all states",
        ),
        (
            "h, z = self.imagine_step(",
            "_, z = self.imagine_step(",
            "you do not carry h on: it would be the start's in all states",
        ),
        (
            "states.append(feature(h, z))",
            "states.append(feature(h, self.sample(self.prior(h))))",
            "you draw z twice, one to see and one to dream on: a state has one sample",
        ),
        (
            "states.append(feature(h, z))",
            "states.append(torch.cat([z.flatten(-2), h], -1))",
            "you join your states as [z, h]: a feature is [h, z], as `feature` makes it",
        ),
        (
            "actions.append(policy(states[-1]))",
            "actions.append(self.bound_action(policy(states[-1])))",
            "you return bounded actions: keep those of the policy, whose probability the actor's "
            "loss takes; `imagine_step` bounds its own copy",
        ),
        (
            """\
        states = [feature(h, z)]
        actions = [policy(states[0])]
        for _ in range(horizon):
            h, z = self.imagine_step(h, z, actions[-1])
            states.append(feature(h, z))
            actions.append(policy(states[-1]))
        return torch.stack(states, 1), torch.stack(actions, 1)
""",
            """\
        states, actions = h.new_empty(len(h), 1 + horizon, h[0].numel() + z[0].numel()), []
        for t in range(1 + horizon):
            states[:, t] = feature(h, z)
            actions.append(policy(states[:, t]))
            h, z = self.imagine_step(h, z, actions[-1])
        return states, torch.stack(actions, 1)
""",
            "you give the policy a piece of a tensor that you go on writing in: the actor's "
            "gradient then fails, so give it a tensor of its own",
        ),
    ],
    "3.18": [
        (
            "kl_divergence(posterior.detach(), prior)",
            "kl_divergence(posterior, prior)",
            "dyn trains the posterior too: there it is detached",
        ),
        (
            "kl_divergence(posterior, prior.detach())",
            "kl_divergence(posterior, prior)",
            "rep trains the prior too: there it is detached",
        ),
        (
            LOSSES,
            "rep.clamp(min=free_nats), dyn.clamp(min=free_nats)",
            "you exchange dyn and rep: dyn, which trains the prior, comes first",
        ),
        (
            "kl_divergence(posterior.detach(), prior)",
            "kl_divergence(prior, posterior.detach())",
            "dyn is KL(prior ‖ posterior): both losses are KL(posterior ‖ prior)",
        ),
        (
            "kl_divergence(posterior, prior.detach())",
            "kl_divergence(prior.detach(), posterior)",
            "rep is KL(prior ‖ posterior): both losses are KL(posterior ‖ prior)",
        ),
        (
            LOSSES,
            "tuple(x.mean().clamp(min=free_nats) + 0 * x for x in (dyn, rep))",
            "you cut the mean at the free nats, as V1 and V2 do: V3 cuts each row by itself",
        ),
        (
            LOSSES,
            "tuple(x.mean(1, keepdim=True).clamp(min=free_nats) + 0 * x for x in (dyn, rep))",
            "you cut the mean of each sequence at the free nats: every row (b, t) counts by itself",
        ),
        (
            LOSSES,
            "tuple(x.clamp(min=free_nats).mean() for x in (dyn, rep))",
            "you return the means: each loss is (B, T), and the mean is taken later",
        ),
        (
            LOSSES,
            "tuple((p * (p.log() - q.log())).sum(-1).clamp(min=free_nats).sum(-1) for p, q in "
            "((posterior.detach(), prior), (posterior, prior.detach())))",
            "you grant the free nats to every categorical: first comes the sum over all S, then "
            "the maximum",
        ),
        (
            LOSSES,
            "tuple((x / posterior.shape[-2]).clamp(min=free_nats) for x in (dyn, rep))",
            "you take the mean over the categoricals: their divergences add up",
        ),
        (
            LOSSES,
            "(dyn - free_nats).clamp(min=0), (rep - free_nats).clamp(min=0)",
            "you subtract the free nats: the gradients are the same, but a loss is at least "
            "free_nats",
        ),
        (
            LOSSES,
            "dyn.clamp(max=free_nats), rep.clamp(max=free_nats)",
            "you take the minimum: a loss is not *below* free_nats",
        ),
        (
            LOSSES,
            "dyn, rep",
            "you forget the free nats: below them a row is not trained",
        ),
        (
            LOSSES,
            "dyn.clamp(min=free_nats), rep",
            "rep has no free nats: both losses have them",
        ),
        (
            LOSSES,
            "dyn.clamp(min=free_nats), 0.1 * rep.clamp(min=free_nats)",
            "you scale rep here: the scales follow in the world model's loss",
        ),
        (
            LOSSES,
            "dyn.clamp(min=1.0), rep.clamp(min=1.0)",
            "your free nats are always 1: use the argument",
        ),
        (
            LOSSES,
            "tuple(x + (x.clamp(min=free_nats) - x).detach() for x in (dyn, rep))",
            "a row below the free nats is still trained: the maximum stops its gradient, so take "
            "it with gradient and all",
        ),
        (
            MIX,
            "    posterior, prior = torch.softmax(posterior, -1), torch.softmax(prior, -1)\n",
            "you do not mix: the KL is between the mixed distributions, from which z is drawn",
        ),
        (
            MIX,
            "    posterior, prior = unimix(posterior, ratio), torch.softmax(prior, -1)\n",
            "you mix the posterior alone: the prior is mixed too",
        ),
        (
            MIX,
            "    posterior, prior = torch.softmax(posterior, -1), unimix(prior, ratio)\n",
            "you mix the prior alone: the posterior is mixed too",
        ),
        (
            MIX,
            "    posterior, prior = unimix(posterior), unimix(prior)\n",
            "you leave the share of the uniform distribution at its default: pass `ratio`",
        ),
        (
            MIX,
            "",
            "you give kl_divergence logits: it takes probabilities, `unimix` makes them",
        ),
    ],
    "3.19": [
        (
            "        state = feature(h, z)\n",
            "        z = self.rssm.sample(posterior)\n        state = feature(h, z)\n",
            "you draw z anew after filtering: the z that `observe` returns led to the next h, and "
            "all that follows belongs to it",
        ),
        (
            "state = feature(h, z)",
            "state = feature(h, self.rssm.sample(posterior))",
            "you draw z anew for the heads: reward and continuation belong to the z that `observe` "
            "returns",
        ),
        (
            'self.encoder(batch), batch["action"]',
            'self.encoder(batch).detach(), batch["action"]',
            "you detach what the encoder makes: it learns from this loss",
        ),
        (
            '(batch["h"], batch["z"])',
            'self.rssm.initial(len(batch["action"]))',
            "you begin from zeros: the state before the first row is in the batch, as `h` and `z`",
        ),
        (
            "state = feature(h, z)",
            "state = feature(h, z).detach()",
            "you detach the state: encoder and RSSM learn through rewards and continuations",
        ),
        (
            "kl_loss(posterior, prior,",
            "kl_loss(prior, posterior,",
            "you exchange the sides of the KL: kl_loss takes the posterior first, then the prior",
        ),
        (
            "c.free_nats, c.unimix)",
            "c.free_nats)",
            "you leave the uniform share of the KL at its default: pass config.unimix",
        ),
        (
            "c.free_nats, c.unimix)",
            "ratio=c.unimix)",
            "you leave the free nats at kl_loss's default: pass config.free_nats",
        ),
        (
            "c.scale_dyn * dyn",
            "dyn",
            "you forget config.scale_dyn, by which dyn is multiplied",
        ),
        (
            "c.scale_rep * rep",
            "rep",
            "you forget config.scale_rep, by which rep is multiplied",
        ),
        (
            "c.scale_rep * rep",
            "0.1 * rep",
            "you write the paper's 0.1 into the code: the scale of rep is config.scale_rep",
        ),
        (
            "dyn, rep = kl_loss",
            "rep, dyn = kl_loss",
            "you take the two losses of kl_loss in the wrong order: dyn comes first",
        ),
        (
            'self.reward.loss(self.reward(state), batch["reward"])',
            'self.reward.loss(self.reward(state)[:, :-1], batch["reward"][:, 1:])',
            "you predict the reward of the next row: the reward of row t came with observation t",
        ),
        (
            'self.reward.loss(self.reward(state), batch["reward"])',
            'self.reward.loss(self.reward(state), batch["reward"].sign() * '
            'batch["reward"].abs().log1p())',
            "you squash the reward with symlog: the two-hot bins are in the units of the rewards",
        ),
        (
            "self.continues(state).squeeze(-1)",
            "self.continues(state)",
            "your continue logits are (B, T, 1): take the last dimension away",
        ),
        (
            'batch["is_terminal"], self',
            'batch["is_last"], self',
            "you take is_last for an end: a time limit is not a death, use is_terminal",
        ),
        (
            "self.discount",
            "1.0",
            "you give the continue loss no discount: its target is γ where the episode goes on",
        ),
        (
            "is_image = key in self.decoder.images",
            "is_image = False",
            "you treat images as vectors: for those in `decoder.images` the target is x / 255",
        ),
        (
            "scale * reconstruction_loss",
            "reconstruction_loss",
            "you forget config.scale_image and config.scale_vector",
        ),
        (
            "losses[key] = scale * reconstruction_loss(prediction, batch[key], is_image)\n",
            "losses[key] = scale * reconstruction_loss(prediction, batch[key], is_image)\n"
            "        h, z = h.detach(), z.detach()\n",
            "you detach h and z at the end: they are returned with gradient, which the critic's "
            "replay loss needs",
        ),
    ],
}
