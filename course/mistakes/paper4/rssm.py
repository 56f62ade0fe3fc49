"""Wrong answers to the exercises of rssm.py: (old text, new text, what the learner reads)."""

FORGET = "        h = self.sequence_model(h * keep[:, None], z * keep[:, None, None], action_in)\n"
DREAM = """\
        h = self.sequence_model(h, z, self.a_in(self.bound_action(action)))
        top = self.sample(self.top_prior(h))
        return h, join_levels(top, self.sample(self.bottom_prior(h, top)))
"""
ADDED = "dyn_top + dyn_bottom, rep_top + rep_bottom"

MISTAKES = {
    "4.4": [
        (
            "[h, top.flatten(-2)]",
            "[top.flatten(-2), h]",
            "you put z_top first: bottom_prior_mlp takes [h, z_top], in this order",
        ),
        (
            "top.flatten(-2)]",
            "top.detach().flatten(-2)]",
            "you detach z_top in the bottom prior: this function has a gradient into both; it is "
            "`prior` that detaches, for the KL",
        ),
        (
            "[h, top.flatten(-2)]",
            "[h.detach(), top.flatten(-2)]",
            "you detach h: the sequence model learns what the bottom prior needs",
        ),
        (
            "[h, top.flatten(-2)]",
            "[h, torch.zeros_like(top.flatten(-2))]",
            "your bottom prior does not see z_top: without it there are two levels, but no "
            "hierarchy",
        ),
        (
            "[h, top.flatten(-2)]",
            "[torch.zeros_like(h), top.flatten(-2)]",
            "your bottom prior does not see h: its input is [h, z_top]",
        ),
        (
            "top.flatten(-2)]",
            "self.sample(self.top_prior(h)).flatten(-2)]",
            "you draw a z_top of your own from the top prior: use the one that you are given",
        ),
        (
            "top.flatten(-2)]",
            "top.transpose(-2, -1).flatten(-2)]",
            "you flatten z_top class by class: the K numbers of a categorical stay together",
        ),
        (
            "logits.unflatten(-1, (-1, self.classes))",
            "logits.unflatten(-1, (self.classes, -1))",
            "your logits are (..., K, S_bottom): the categoricals come first, the classes last",
        ),
        (
            "logits.unflatten(-1, (-1, self.classes))",
            "logits.unflatten(-1, (self.classes, -1)).transpose(-2, -1)",
            "you split the logits the other way round: they are S_bottom groups of K neighbours",
        ),
        (
            "return logits.unflatten(-1, (-1, self.classes))",
            "return logits",
            "your logits are flat: return them as (..., S_bottom, K)",
        ),
        (
            "logits.unflatten(-1, (-1, self.classes))",
            "unimix(logits.unflatten(-1, (-1, self.classes)), self.ratio)",
            "you return probabilities: the residual, sampling and the KL take raw logits",
        ),
    ],
    "4.5": [
        (
            "residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "self.gate * self.bottom_prior(h, top) + delta",
            "the prior in your residual has a gradient: reconstruction would train the prior "
            "through the posterior, so `residual_logits` stops it",
        ),
        (
            "self.delta(h, top, embed_in)",
            "self.delta(h, top.detach(), embed_in)",
            "you detach z_top in the delta: it is how the top level learns what helps below",
        ),
        (
            "self.delta(h, top, embed_in)",
            "self.delta(h.detach(), top, embed_in)",
            "you detach h in the delta: the sequence model learns through the posterior",
        ),
        (
            "self.delta(h, top, embed_in)",
            "self.delta(h, top, embed_in.detach())",
            "you detach embed_in: the encoder learns of the bottom level through the delta",
        ),
        (
            "return residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "return delta",
            "the delta is your whole posterior: the gated prior is added to it",
        ),
        (
            "return residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "return self.bottom_prior(h, top).detach() + delta",
            "you leave the gate out: the prior's logits are multiplied with it",
        ),
        (
            "delta, self.gate)",
            "delta, self.gate.detach())",
            "you detach the gate: it is a parameter, and learns how far to trust the prior",
        ),
        (
            "return residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "return self.bottom_prior(h, top).detach() + self.gate * delta",
            "you gate the delta: the gate belongs to the prior, gate · prior + delta",
        ),
        (
            "return residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "return self.gate * (self.bottom_prior(h, top).detach() + delta)",
            "you gate the sum: the gate multiplies the prior alone",
        ),
        (
            "return residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "return residual_logits(self.bottom_prior(h, top).softmax(-1), delta, self.gate)",
            "you add the delta to the prior's probabilities: it changes raw logits",
        ),
        (
            "residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "residual_logits(self.bottom_prior(h, top), delta, self.gate).log_softmax(-1)",
            "you normalise the logits: return the sum as it is, as raw logits",
        ),
        (
            "residual_logits(self.bottom_prior(h, top), delta, self.gate)",
            "self.gate * self.bottom_prior(h, top).detach() - delta",
            "you subtract the delta: it is added to the gated prior",
        ),
        (
            "self.bottom_prior(h, top)",
            "self.bottom_prior(h, self.sample(self.top_prior(h)))",
            "your residual starts from the bottom prior of another z_top: both the prior and the "
            "delta see the z_top that is given",
        ),
        (
            ".unflatten(-1, (-1, self.classes))",
            ".unflatten(-1, (self.classes, -1)).transpose(-2, -1)",
            "you split the delta's numbers the wrong way: they are S_bottom groups of K neighbours",
        ),
    ],
    "4.6": [
        (
            "h * keep[:, None]",
            "h",
            "you do not reset h: where an episode begins it would still know the last one",
        ),
        (
            "z * keep[:, None, None]",
            "z",
            "you do not reset z: where an episode begins both levels would be the last one's",
        ),
        (
            "h * keep[:, None], z * keep[:, None, None]",
            "h, z",
            "you reset neither h nor z: multiply both with `keep`, 0 where an episode begins",
        ),
        (
            "z * keep[:, None, None]",
            "join_levels(split_levels(z, self.n_top)[0] * keep[:, None, None], "
            "split_levels(z, self.n_top)[1])",
            "you reset the top level alone: the bottom one too is forgotten where an episode "
            "begins",
        ),
        (
            FORGET,
            FORGET.replace("keep[", "(1 - keep)["),
            "you turn `keep` round: it is 0 where an episode begins, and 1 elsewhere",
        ),
        (
            "action_in)\n        top_in",
            "action_in * keep[:, None])\n        top_in",
            "you reset action_in: the action was 0 before a_in, and a_in of 0 is not 0",
        ),
        (
            "top_in, bottom_in = embed_in.chunk(2, -1)",
            "bottom_in, top_in = embed_in.chunk(2, -1)",
            "you exchange the halves of embed_in: the first is the top posterior's, the second the "
            "delta's",
        ),
        (
            "self.top_posterior(h, top_in)",
            "self.top_prior(h)",
            "your top level is drawn from its prior: filtering corrects it with the observation",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_prior(h, top)",
            "your bottom level is drawn from its prior: filtering corrects it with the observation",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, self.sample(self.top_prior(h)), bottom_in)",
            "the bottom posterior sees a sample of the top prior: what it builds on is the sample "
            "of the top posterior",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, split_levels(z, self.n_top)[0] * keep[:, None, None], "
            "bottom_in)",
            "the bottom posterior sees the top level of the step before: it builds on the new one",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, top.detach(), bottom_in)",
            "you detach the top sample that the bottom posterior sees: through the delta the top "
            "level learns what helps below",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, self.sample(top_logits), bottom_in)",
            "you draw z_top twice, one to return and one for the bottom level: it is one sample",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, unimix(top_logits, self.ratio), bottom_in)",
            "the bottom posterior sees probabilities of the top level: it sees its sample",
        ),
        (
            "join_levels(top, self.sample(bottom_logits))",
            "join_levels(self.sample(bottom_logits), top)",
            "you put the bottom level first in z: it is [top, bottom]",
        ),
        (
            "join_levels(top_logits, bottom_logits)",
            "join_levels(bottom_logits, top_logits)",
            "you put the bottom level first in the logits: they are [top, bottom], like z",
        ),
        (
            "return h, z, join_levels(top_logits, bottom_logits)",
            "return h, join_levels(top_logits, bottom_logits), z",
            "you return the logits before z: the order is h, z, logits",
        ),
        (
            "z = join_levels(top, self.sample(bottom_logits))",
            "z = join_levels(top.detach(), self.sample(bottom_logits))",
            "you detach the top level in z: its gradient goes straight through the sample, into "
            "every prediction",
        ),
        (
            "join_levels(top, self.sample(bottom_logits))",
            "join_levels(top, self.sample(bottom_logits).detach())",
            "you detach the bottom level in z: its gradient goes straight through the sample",
        ),
        (
            "join_levels(top, self.sample(bottom_logits))",
            "join_levels(top, unimix(bottom_logits, self.ratio))",
            "your z_bottom is probabilities: it is a one-hot sample of them",
        ),
        (
            "join_levels(top_logits, bottom_logits)",
            "unimix(join_levels(top_logits, bottom_logits), self.ratio)",
            "you return probabilities in the third place: the KL takes raw logits",
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
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, top, top_in)",
            "both posteriors see the first half of embed_in: the second one is the delta's",
        ),
        (
            "self.top_posterior(h, top_in)",
            "self.top_posterior(h, bottom_in)",
            "both posteriors see the second half of embed_in: the first one is the top posterior's",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, top_logits, bottom_in)",
            "the bottom posterior sees the logits of the top level: it sees the sample of them",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h, split_levels(z, self.n_top)[0], bottom_in)",
            "the bottom posterior sees the old top level, not even forgotten: it builds on the "
            "new sample",
        ),
        (
            "top = self.sample(top_logits)",
            "top = nn.functional.one_hot(top_logits.argmax(-1), self.classes).to(h.dtype)",
            "z_top is the likely class in every row, and has no gradient: it is drawn, by "
            "`self.sample`",
        ),
        (
            "self.top_posterior(h, top_in)",
            "self.top_posterior(h.detach(), top_in)",
            "you detach h for the top posterior: the sequence model learns through it",
        ),
        (
            "self.bottom_posterior(h, top, bottom_in)",
            "self.bottom_posterior(h.detach(), top, bottom_in)",
            "you detach h for the bottom posterior: the sequence model learns through it",
        ),
    ],
    "4.7": [
        (
            "self.bottom_prior(h, top.detach())",
            "self.bottom_prior(h, top)",
            "z_top has a gradient in your bottom prior: the bottom KL would shape the top "
            "posterior through its sample, so detach it",
        ),
        (
            "self.bottom_prior(h, top.detach())",
            "self.bottom_prior(h.detach(), top.detach())",
            "you detach h in the bottom prior: only z_top is a constant there",
        ),
        (
            "self.top_prior(h)",
            "self.top_prior(h.detach())",
            "you detach h in the top prior: the sequence model learns from the KL",
        ),
        (
            "self.bottom_prior(h, top.detach())",
            "self.bottom_prior(h, top.detach()).detach()",
            "you detach the bottom prior itself: then nothing trains it. It is z_top that is a "
            "constant",
        ),
        (
            "self.bottom_prior(h, top.detach())",
            "self.bottom_prior(h, self.sample(self.top_prior(h)).detach())",
            "you draw a z_top from the top prior: the two KLs add up only where the bottom prior "
            "sees the z_top of the posterior",
        ),
        (
            "self.bottom_prior(h, top.detach())",
            "self.bottom_prior(h, self.top_prior(h).softmax(-1).detach())",
            "your bottom prior sees the probabilities of the top prior: it sees the z_top of the "
            "posterior",
        ),
        (
            "join_levels(self.top_prior(h), self.bottom_prior(h, top.detach()))",
            "join_levels(self.bottom_prior(h, top.detach()), self.top_prior(h))",
            "you put the bottom level first: the priors are [top, bottom], like z",
        ),
        (
            "top, _ = split_levels(z, self.n_top)",
            "top = z[..., -self.n_top:, :]",
            "you take the last categoricals for the top level: the top ones come first in z",
        ),
        (
            "return join_levels(self.top_prior(h), self.bottom_prior(h, top.detach()))",
            "return self.top_prior(h), self.bottom_prior(h, top.detach())",
            "you return two tensors: join the levels to one, shaped like z",
        ),
        (
            "join_levels(self.top_prior(h), self.bottom_prior(h, top.detach()))",
            "unimix(join_levels(self.top_prior(h), self.bottom_prior(h, top.detach())), "
            "self.ratio)",
            "your priors are probabilities: the KL takes raw logits and mixes them itself",
        ),
    ],
    "4.8": [
        (
            "self.bottom_prior(h, top)",
            "self.bottom_prior(h, split_levels(z, self.n_top)[0])",
            "your bottom prior sees the top level of the state before: it follows the new z_top",
        ),
        (
            "self.bottom_prior(h, top)",
            "self.bottom_prior(h, unimix(self.top_prior(h), self.ratio))",
            "your bottom prior sees probabilities of the top level: it follows the sample",
        ),
        (
            "self.bottom_prior(h, top)",
            "self.bottom_prior(h, self.sample(self.top_prior(h)))",
            "you draw z_top twice, one to return and one for the bottom level: a state has one "
            "sample",
        ),
        (
            "self.bottom_prior(h, top)",
            "self.bottom_posterior(h, top, torch.zeros_like(self.post_h(h)))",
            "you dream with the delta of an empty observation: a dream has the priors alone",
        ),
        (
            "self.top_prior(h)",
            "self.top_posterior(h, torch.zeros_like(self.post_h(h)))",
            "you draw z_top from its posterior without an observation: a dream has the priors "
            "alone",
        ),
        (
            "self.bottom_prior(h, top)",
            "self.gate * self.bottom_prior(h, top)",
            "you gate the prior in the dream: the gate belongs to the posterior's residual",
        ),
        (
            "self.bound_action(action)",
            "action",
            "you do not bound the action: entries beyond ±1 count as ±1, see `bound_action`",
        ),
        (
            "self.a_in(self.bound_action(action))",
            "self.a_in(action.tanh())",
            "you squash the action with tanh: entries within ±1 stay as they are",
        ),
        (
            "join_levels(top, self.sample(self.bottom_prior(h, top)))",
            "join_levels(self.sample(self.bottom_prior(h, top)), top)",
            "your dreamed z has the bottom level first: it is [top, bottom]",
        ),
        (
            "join_levels(top, self.sample(self.bottom_prior(h, top)))",
            "join_levels(split_levels(z, self.n_top)[0], self.sample(self.bottom_prior(h, top)))",
            "your dream keeps the old top level: both levels tick at every step",
        ),
        (
            DREAM,
            DREAM.replace("        h = ", "        after = ")
            .replace("(h))", "(after))")
            .replace("bottom_prior(h", "bottom_prior(after"),
            "you return the old h with the new z: both belong to the next state",
        ),
        (
            DREAM,
            """\
        top = self.sample(self.top_prior(h))
        bottom = self.sample(self.bottom_prior(h, top))
        h = self.sequence_model(h, z, self.a_in(self.bound_action(action)))
        return h, join_levels(top, bottom)
""",
            "you draw z from the old h: first the sequence model steps, then the priors see its "
            "new h",
        ),
        (
            "self.sample(self.bottom_prior(h, top)))",
            "unimix(self.bottom_prior(h, top), self.ratio))",
            "your dreamed z_bottom is probabilities: it is a one-hot sample of them",
        ),
        (
            "self.sample(self.top_prior(h))",
            "nn.functional.one_hot(self.top_prior(h).argmax(-1), self.classes).to(h.dtype)",
            "z_top of your dream is the likely class in every row: it is drawn, so that unlikely "
            "ones come too",
        ),
        (
            "return h, join_levels(top, self.sample(self.bottom_prior(h, top)))",
            "return join_levels(top, self.sample(self.bottom_prior(h, top))), h",
            "you return z before h: the order is h, z",
        ),
    ],
    "4.9": [
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return free_nats * n_bottom / total, free_nats * n_top / total",
            "you exchange the shares: the top level's comes first, in proportion to n_top",
        ),
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return free_nats / 2, free_nats / 2",
            "you give both levels one half: a level with more categoricals gets more",
        ),
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return free_nats, free_nats",
            "you give all free nats to each level: together they have what the flat model has",
        ),
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return free_nats * n_top, free_nats * n_bottom",
            "you multiply with the number of categoricals: divide by that of both levels, so that "
            "the shares add up to the free nats",
        ),
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return n_top / total, n_bottom / total",
            "your shares do not depend on the free nats: multiply them with `free_nats`",
        ),
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return free_nats * n_top // total, free_nats * n_bottom // total",
            "you divide with //, which rounds down: shares are not whole nats",
        ),
        (
            "return free_nats * n_top / total, free_nats * n_bottom / total",
            "return free_nats / n_top, free_nats / n_bottom",
            "you divide by a level's categoricals: its share grows with them",
        ),
    ],
    "4.10": [
        (
            '(free_nats, free_nats) if mode == "each" else shares',
            "shares",
            "you split the free nats in the mode `each` too: there every level has all of them",
        ),
        (
            '(free_nats, free_nats) if mode == "each" else shares',
            "(free_nats, free_nats)",
            "you give each level all free nats in the mode `split` too: there it has its share",
        ),
        (
            'mode == "each"',
            'mode == "split"',
            "you exchange the modes: `split` shares the free nats, `each` gives them to both",
        ),
        (
            "split_free_nats(free_nats, n_top, n_bottom)",
            "split_free_nats(free_nats, n_top, n_bottom)[::-1]",
            "each level has the other one's free nats: the top level's share comes first",
        ),
        (
            "return " + ADDED,
            "return dyn_bottom, rep_bottom",
            "you forget the top level: the losses of both levels add up",
        ),
        (
            "return " + ADDED,
            "return dyn_top, rep_top",
            "you forget the bottom level: the losses of both levels add up",
        ),
        (
            "return " + ADDED,
            "return (dyn_top + dyn_bottom) / 2, (rep_top + rep_bottom) / 2",
            "you take the mean of the levels: their losses add up, as the KL of both does",
        ),
        (
            "return " + ADDED,
            "return rep_top + rep_bottom, dyn_top + dyn_bottom",
            "you return rep first: dyn, which trains the priors, comes before it",
        ),
        (
            "return " + ADDED,
            "return dyn_top + rep_top, dyn_bottom + rep_bottom",
            "you add up the losses of a level: dyn is the sum over both levels, and so is rep",
        ),
        (
            "return " + ADDED,
            "return kl_loss(posterior, prior, free_nats, ratio)",
            "you cut the sum of both levels at the free nats: each level has its own, so that "
            "neither can hide behind the other",
        ),
        (
            "kl_loss(q, p, f, ratio)",
            "kl_loss(p, q, f, ratio)",
            "you exchange the sides of the KL: kl_loss takes the posterior first, then the prior",
        ),
        (
            "kl_loss(q, p, f, ratio)",
            "kl_loss(q, p, f)",
            "you leave the uniform share at kl_loss's default: pass `ratio`",
        ),
        (
            "kl_loss(q, p, f, ratio)",
            "kl_loss(q, p, ratio=ratio)",
            "you leave the free nats at kl_loss's default: pass each level's own",
        ),
        (
            "kl_loss(q, p, f, ratio)",
            "kl_loss(q.detach(), p, f, ratio)",
            "you detach the posterior: kl_loss does that for dyn itself, and rep needs it",
        ),
        (
            "zip(split_levels(posterior, n_top), split_levels(prior, n_top), free, strict=True)",
            "zip(split_levels(posterior, n_bottom), split_levels(prior, n_bottom), free, "
            "strict=True)",
            "you split after n_bottom categoricals: the first n_top are the top level",
        ),
        (
            "return " + ADDED,
            "return (dyn_top + dyn_bottom).mean(), (rep_top + rep_bottom).mean()",
            "you return means: both losses are (B, T), and the mean is taken later",
        ),
    ],
    "4.11": [
        (
            "self.rssm.prior(h, z)",
            "self.rssm.prior(h, z.roll(1, 1))",
            "the bottom prior of a row sees the z_top of another row: h and z are of the same step",
        ),
        (
            "level_kl_loss(posterior, prior, c.n_top, c.free_nats, c.unimix, c.free_nats_mode)",
            "kl_loss(posterior, prior, c.free_nats, c.unimix)",
            "you use the flat KL: `level_kl_loss` cuts each level at its own free nats",
        ),
        (
            "level_kl_loss(posterior, prior,",
            "level_kl_loss(prior, posterior,",
            "you exchange the sides of the KL: level_kl_loss takes the posterior first",
        ),
        (
            "prior, c.n_top,",
            "prior, c.stoch - c.n_top,",
            "you pass the number of bottom categoricals: level_kl_loss takes config.n_top",
        ),
        (
            "c.free_nats_mode)",
            '"split")',
            "you always split the free nats: pass config.free_nats_mode",
        ),
        (
            "c.free_nats, c.unimix,",
            "1.0, c.unimix,",
            "your free nats are always 1: pass config.free_nats",
        ),
        (
            "c.free_nats, c.unimix,",
            "c.free_nats, 0.01,",
            "you write the share of the uniform distribution into the code: pass config.unimix",
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
            "c.scale_dyn * dyn",
            "c.scale_dyn / 2 * dyn",
            "you halve dyn because there are two levels: the scales are the flat model's",
        ),
        (
            "dyn, rep = level_kl_loss",
            "rep, dyn = level_kl_loss",
            "you take the two losses of level_kl_loss in the wrong order: dyn comes first",
        ),
        (
            "state = feature(h, z)",
            "state = feature(h, z).detach()",
            "you detach the state: encoder and RSSM learn through rewards and continuations",
        ),
        (
            "state = feature(h, z)",
            "state = feature(h, z.where(torch.arange(c.stoch)[:, None] < c.n_top, z.detach()))",
            "reward and continuation do not train your bottom level: the feature is [h, z_top, "
            "z_bottom], nothing detached",
        ),
        (
            "self.encoder(batch), ",
            "self.encoder(batch).detach(), ",
            "you detach what the encoder makes: it learns from this loss",
        ),
        (
            '(batch["h"], batch["z"])',
            'self.rssm.initial(len(batch["action"]))',
            "you begin from zeros: the state before the first row is in the batch, as `h` and `z`",
        ),
        (
            'self.reward.loss(self.reward(state), batch["reward"])',
            'self.reward.loss(self.reward(state)[:, :-1], batch["reward"][:, 1:])',
            "you predict the reward of the next row: the reward of row t came with observation t",
        ),
        (
            'batch["is_terminal"], self',
            'batch["is_last"], self',
            "you take is_last for an end: a time limit is not a death, use is_terminal",
        ),
        (
            "self.continues(state).squeeze(-1)",
            "self.continues(state)",
            "your continue logits are (B, T, 1): take the last dimension away",
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
            "self.decoder(h, z)",
            "self.decoder(h, z.detach())",
            "you detach z for the decoder: reconstruction trains both posteriors through it",
        ),
        (
            "prior = self.rssm.prior(h, z)",
            "prior = self.rssm.prior(h, z).detach()",
            "you detach the priors: dyn trains them, and level_kl_loss detaches where it must",
        ),
        (
            "prior = self.rssm.prior(h, z)",
            "prior = self.rssm.prior(h.detach(), z)",
            "you detach h for the priors: dyn trains the sequence model too",
        ),
        (
            "self.rssm.prior(h, z)",
            "self.rssm.prior(h, self.rssm.sample(posterior))",
            "you draw a new z for the priors: they are those of the filtered z, which the "
            "bottom posterior has seen",
        ),
        (
            "state = feature(h, z)",
            "z = self.rssm.sample(posterior)\n        state = feature(h, z)",
            "you draw z anew from the posterior: filtering has drawn it, and its bottom logits "
            "belong to that top sample",
        ),
        (
            "key in self.decoder.images",
            'key == "image"',
            "you know images by the name image: their names are in self.decoder.images",
        ),
        (
            "c.free_nats_mode",
            '"each"',
            "you always give each level all free nats: pass config.free_nats_mode",
        ),
        (
            "self.reward(state)",
            "self.reward(state.detach())",
            "you detach the state for the reward: encoder and RSSM learn through rewards",
        ),
        (
            "self.continues(state)",
            "self.continues(state.detach())",
            "you detach the state for the continuation: encoder and RSSM learn through ends",
        ),
        (
            "is_image else c.scale_vector",
            "not is_image else c.scale_vector",
            "you exchange the scales of images and vectors",
        ),
    ],
}
