"""Wrong answers to the exercises of actor_critic.py: (old text, new text, what a learner reads)."""

PLACE = "self.below + torch.rand_like(self.mean) * self.mass"
ACTION = "self.mean + self.std * torch.special.ndtri(p.clamp(tiny, 1 - tiny))"
LIMITS = "p.clamp(tiny, 1 - tiny)"

DISTANCE = "(action - self.mean) / self.std"
SCALE = "torch.log(self.std * self.mass) + 0.5 * math.log(2 * math.pi)"
DENSITY = "(-0.5 * distance.square() - scale).sum(-1)"

BACKWARDS = "range(rewards.shape[1] - 1, -1, -1)"
MIXTURE = "torch.lerp(values[:, t + 1], returns[-1], lambda_)"
STEP = "rewards[:, t] + gamma * continues[:, t] * future"
STACK = "torch.stack(returns[:0:-1], 1)"

SHIFTED = "torch.cat([torch.ones_like(continues[:, :1]), continues[:, :-1]], 1)"
PRODUCT = "shifted.cumprod(1).detach()"

ADVANTAGE = "(returns[:, 1:] - values[:, :-2]).detach()"
MIXED = "rho * log_prob * advantage + (1 - rho) * returns[:, 1:]"
BONUS = "objective + entropy_scale * entropy"
ACTOR = "-(weights[:, :-2].detach() * objective).mean()"

ERROR = "critic(feature[:, :-1].detach()) - returns.detach()"
CRITIC = "(weights[:, :-1].detach() * 0.5 * error.square()).mean()"

DUE = "updates % interval == 0"
COPY = "slow.load_state_dict(fast.state_dict())"

MISTAKES = {
    "2.12": [
        (
            PLACE,
            "torch.rand_like(self.mean) * self.mass",
            "you left out what is cut off on the left: p starts at self.below, where the action is "
            "-1",
        ),
        (
            PLACE,
            "self.below + torch.rand_like(self.mean)",
            "you add u without scaling it: p must stay below self.below + self.mass, where the "
            "action is 1",
        ),
        (
            PLACE,
            "torch.rand_like(self.mean)",
            "your p is uniform between 0 and 1: that draws from the uncut Normal, whose tails lie "
            "outside the bounds",
        ),
        (
            "torch.rand_like(self.mean) * self.mass",
            "torch.rand_like(self.mean) * (self.below + self.mass)",
            "you scale u by the probability at the right bound; from self.below to there it is "
            "only self.mass",
        ),
        (
            "torch.rand_like(self.mean) * self.mass",
            "torch.rand_like(self.mean) / self.mass",
            "you divide u by the mass; the random place lies within the mass, so multiply",
        ),
        (
            "torch.rand_like",
            "torch.randn_like",
            "your random number is normal; a cumulative probability is drawn with a uniform one, "
            "rand_like",
        ),
        (
            ACTION,
            "self.mean + self.std * torch.randn_like(self.mean)",
            "you draw from the Normal itself, which leaves the bounds: use the inverse of the "
            "cumulative distribution",
        ),
        (
            ACTION,
            "(self.mean + self.std * torch.randn_like(self.mean)).clamp(-1, 1)",
            "you draw from the Normal and clamp: many actions land on the bounds, and learn "
            "nothing there",
        ),
        (
            ACTION,
            "torch.tanh(self.mean + self.std * torch.randn_like(self.mean))",
            "you squash a Normal with tanh, as V1 did; V2 cuts the bell at the bounds",
        ),
        (
            ACTION,
            ACTION.replace("self.mean + ", ""),
            "you left out the mean: Φ⁻¹(p) counts standard deviations from it",
        ),
        (
            ACTION,
            ACTION.replace("self.std * ", ""),
            "you left out the std: Φ⁻¹(p) is a distance in units of it",
        ),
        (
            ACTION,
            ACTION.replace("self.std *", "self.std.square() *"),
            "you scale by std squared; Φ⁻¹(p) is a distance in units of std",
        ),
        (
            "torch.special.ndtri",
            "torch.special.ndtr",
            "you use Φ, ndtr; from a probability to a place leads its inverse, ndtri",
        ),
        (
            LIMITS,
            "p",
            "you do not keep p from 0 and 1, where Φ⁻¹ is infinite: rounding gets there in float32",
        ),
        (
            LIMITS,
            "p.clamp(min=tiny)",
            "you keep p from 0 but not from 1: rounding gets there in float32",
        ),
        (
            LIMITS,
            "p.clamp(max=1 - tiny)",
            "you keep p from 1 but not from 0: far from the left bound nothing is below it in "
            "float32",
        ),
        (
            LIMITS,
            "p.clamp(1e-3, 1 - 1e-3)",
            "you keep p much too far from 0 and 1: the tails of a narrow bell are never drawn; use "
            "tiny",
        ),
        (
            ACTION,
            f"({ACTION}).detach()",
            "your action has no gradient; continuous policies learn by it: look for detach, "
            "no_grad or sample()",
        ),
        (
            LIMITS,
            "p.detach().clamp(tiny, 1 - tiny)",
            "your p has no gradient: what is cut off depends on mean and std, so the place moves "
            "with it",
        ),
        (
            "torch.rand_like(self.mean)",
            "torch.rand_like(self.mean[..., :1])",
            "all units of an action share one random number: draw one for each",
        ),
        (
            "torch.rand_like(self.mean)",
            "torch.rand_like(self.mean[:1])",
            "all policies of a batch share their random numbers: draw for each",
        ),
        (
            "torch.rand_like(self.mean)",
            "torch.rand(self.mean.shape)",
            "your random numbers are made on the CPU as float32, whatever the mean is; rand_like "
            "follows a tensor",
        ),
    ],
    "2.13": [
        (
            "self.std * self.mass",
            "self.std",
            "this is the uncut Normal's density: divide by the mass that is left, so subtract its "
            "log",
        ),
        (
            "self.std * self.mass",
            "self.std / self.mass",
            "you add log(mass); what is left of the bell becomes denser, so subtract it",
        ),
        (
            "self.std * self.mass",
            "self.std * (1 - self.mass)",
            "you use what was cut off; the density is divided by what is left, self.mass",
        ),
        (
            "self.std * self.mass",
            "self.std * self.below",
            "you use what was cut off on the left; the density is divided by self.mass",
        ),
        (
            "torch.log(self.std * self.mass)",
            "torch.log(self.std) + self.mass",
            "you subtract the mass itself; in a log-density it is log(mass)",
        ),
        (
            "self.std * self.mass",
            "self.mass",
            "you left out log(std): a wide bell is lower than a narrow one",
        ),
        (
            "self.std * self.mass",
            "self.std.square() * self.mass",
            "you subtract the log of std²; the factor before the bell is 1 / (σ √(2π))",
        ),
        (
            DISTANCE,
            "action - self.mean",
            "your distance is not in units of std: divide by it before squaring",
        ),
        (
            DISTANCE,
            "(action - self.mean) / self.std.sqrt()",
            "you divide the squared distance by std; it belongs divided by std²",
        ),
        (
            "-0.5 * distance",
            "-distance",
            "you forgot the half of the squared distance",
        ),
        (
            "-0.5 * distance",
            "0.5 * distance",
            "your sign is wrong: far from the mean the density falls",
        ),
        (
            "distance.square()",
            "distance.abs()",
            "you did not square the distance: log of a Normal is a parabola",
        ),
        (
            " + 0.5 * math.log(2 * math.pi)",
            "",
            "you left out the constant log √(2π): the density would not add up to 1",
        ),
        (
            "0.5 * math.log(2 * math.pi)",
            "math.log(2 * math.pi)",
            "your constant is log(2π); the factor before the bell has √(2π), so take half of it",
        ),
        (
            DENSITY,
            "-0.5 * distance.square() - scale",
            "you have a number for each unit; the units of an action are independent, so sum their "
            "log-densities",
        ),
        (
            DENSITY,
            DENSITY.replace(".sum(-1)", ".mean(-1)"),
            "you average over the units; the log-density of the whole action is their sum",
        ),
        (
            DENSITY,
            DENSITY.replace(".sum(-1)", ".sum(-1, keepdim=True)"),
            "you keep the dimension of the units, as 1: one action has one number",
        ),
        (
            DENSITY,
            DENSITY.replace(".sum(-1)", ".sum(0)"),
            "you sum over the batch; units are the last dimension",
        ),
        (
            DENSITY,
            DENSITY.replace(".sum(-1)", ".sum()"),
            "you sum over everything; each action has a log-density of its own",
        ),
        (
            DENSITY,
            f"-{DENSITY}",
            "you give minus the log-density; the loss turns the sign, not the policy",
        ),
        (
            DENSITY,
            f"{DENSITY}.exp()",
            "you give the density; asked for is its logarithm",
        ),
        (
            DENSITY,
            "torch.log(torch.exp(-0.5 * distance.square()) / torch.exp(scale)).sum(-1)",
            "you take the log of a density that has become 0 by rounding: stay with logarithms all "
            "the way",
        ),
        (
            DENSITY,
            "(-0.5 * distance.square() - scale - torch.log(1 - action.square())).sum(-1)",
            "you correct for a tanh, as V1's policy would need; here nothing is squashed, the bell "
            "is cut",
        ),
        (
            "self.std * self.mass",
            "self.std * self.mass.detach()",
            "your mass has no gradient: how much is cut off depends on mean and std",
        ),
        (
            DENSITY,
            f"{DENSITY}.detach()",
            "your log-density has no gradient: REINFORCE learns by nothing else",
        ),
        (
            DISTANCE,
            "(action.detach() - self.mean) / self.std",
            "you detach the action here; whoever calls decides that, compute_actor_loss does",
        ),
        (
            "0.5 * math.log(2 * math.pi)",
            "0.5 * math.log(2 * math.pi * math.e)",
            "your constant is that of the entropy, with e; the density has √(2π) alone",
        ),
    ],
    "2.14": [
        (
            "returns = [values[:, -1]]",
            "returns = [rewards[:, -1]]",
            "you begin with the last reward: beyond the dream stands the value of its last state",
        ),
        (
            "values[:, t + 1]",
            "values[:, t]",
            "you mix in v_t; what follows state t is worth v_{t+1}",
        ),
        (
            "values[:, t + 1]",
            "values[:, min(t + 2, rewards.shape[1])]",
            "you look two states ahead for the value; after state t comes t + 1",
        ),
        (
            MIXTURE,
            "torch.lerp(returns[-1], values[:, t + 1], lambda_)",
            "you swapped the shares: λ is that of the next return, 1 - λ that of the next value",
        ),
        (
            MIXTURE,
            "values[:, t + 1] + lambda_ * returns[-1]",
            "the value lacks its factor 1 - λ: the two shares must add up to 1",
        ),
        (
            MIXTURE,
            "lambda_ * (values[:, t + 1] + returns[-1])",
            "you weigh the value by λ as well; its share is 1 - λ",
        ),
        (
            MIXTURE,
            "returns[-1]",
            "you use no values but the bootstrap: this is λ = 1 whatever λ is",
        ),
        (
            MIXTURE,
            "values[:, t + 1]",
            "you use no returns of later states: this is λ = 0 whatever λ is",
        ),
        (
            MIXTURE,
            "torch.lerp(values[:, t + 1], returns[0], lambda_)",
            "you mix in the bootstrap at every step; what belongs there is the next state's return",
        ),
        (
            "returns[:0:-1]",
            "returns[1:]",
            "your returns are in the order in which they were computed, the last state first: turn "
            "them round",
        ),
        (
            "returns[:0:-1]",
            "returns[::-1]",
            "you give L + 1 returns: the bootstrap is the value of the last state, leave it out",
        ),
        (
            "gamma * continues[:, t] * future",
            "gamma * future",
            "you left out the continues: after a death nothing may follow",
        ),
        (
            "gamma * continues[:, t] * future",
            "continues[:, t] * future",
            "you left out γ: what follows is multiplied by γ and by c_t",
        ),
        (
            "gamma * continues[:, t] * future",
            "gamma * gamma * continues[:, t] * future",
            "γ enters twice a step; once is enough",
        ),
        (
            "gamma * continues[:, t] * future",
            "0.99 * gamma * continues[:, t] * future",
            "you discount by 0.99 besides γ; the caller passes γ = 1 where the continues hold it",
        ),
        (
            STEP,
            "gamma * continues[:, t] * (rewards[:, t] + future)",
            "you discount the state's own reward: r_t counts in full",
        ),
        (
            STEP,
            "gamma * continues[:, t] * future",
            "you left out the reward r_t",
        ),
        (
            "continues[:, t]",
            "continues[:, min(t + 1, rewards.shape[1] - 1)]",
            "you use c_{t+1}; whether anything follows state t is c_t",
        ),
        (
            "rewards[:, t]",
            "rewards[:, min(t + 1, rewards.shape[1] - 1)]",
            "you use r_{t+1}, as V3 will; here the return of a state begins with its own reward, "
            "r_t",
        ),
        (
            "[values[:, -1]]",
            "[torch.zeros_like(values[:, -1])]",
            "you start with 0: the dream is cut, not over, and its last value stands for the rest",
        ),
        (
            "[values[:, -1]]",
            "[values[:, -2]]",
            "you start with the value before the last; R_L is v_L",
        ),
        (
            "[values[:, -1]]",
            "[values[:, 0]]",
            "you start with the first value; R_L is v_L, the last",
        ),
        (
            BACKWARDS,
            "range(rewards.shape[1])",
            "you start with the first step; its return needs that of the next, so begin at the end",
        ),
        (
            BACKWARDS,
            "range(rewards.shape[1] - 1, 0, -1)",
            "you stop before state 0: each of the L rewards has a return",
        ),
        (
            STACK,
            "torch.stack(returns[:0:-1])",
            "your returns have shape (L, N); dimension 0 is the dreams, 1 is time",
        ),
        (
            STACK,
            "torch.stack(returns[:0:-1], 1).detach()",
            "your returns have no gradient: dynamics backpropagation goes through them",
        ),
        (
            "torch.lerp(values[:, t + 1],",
            "torch.lerp(values[:, t + 1].detach(),",
            "you detach the values in the mixture: the gradient goes through them too",
        ),
        (
            "continues[:, t]",
            "continues[:, t].detach()",
            "you detach the continues: by their gradient a policy learns to stay alive",
        ),
        (
            "    returns = [values[:, -1]]\n",
            "    rewards[:, -1] += gamma * lambda_ * continues[:, -1] * values[:, -1]\n"
            "    returns = [torch.zeros_like(values[:, -1])]\n",
            "you change the rewards in place: the caller still needs them",
        ),
    ],
    "2.15": [
        (
            SHIFTED,
            "continues",
            "you count a state's own c: whether it goes on after state i tells whether i + 1 "
            "exists, not i",
        ),
        (
            "torch.ones_like(continues[:, :1])",
            "0.99 * torch.ones_like(continues[:, :1])",
            "your first weight is γ: the start is there for certain, its weight is 1",
        ),
        (
            SHIFTED,
            f"0.99 * {SHIFTED} + 0.01 * torch.eye(1, continues.shape[1]).to(continues)",
            "you multiply by 0.99 a step: in V2 the continues hold the discount already",
        ),
        (
            "continues[:, :-1]], 1)",
            "continues[:, 1:]], 1)",
            "you left out c_0 in place of the last c: state 1 exists with probability c_0",
        ),
        (
            "continues[:, :-1]], 1)",
            "continues], 1)",
            "you give L + 2 weights: the last c says what follows the last state, leave it out",
        ),
        (
            SHIFTED,
            "torch.cat([continues[:, :1], continues[:, 1:].roll(1, 1)], 1)",
            "you shifted the wrong part: in front comes 1, then c_0, c_1, ... in their order",
        ),
        (
            "torch.ones_like(continues[:, :1])",
            "torch.zeros_like(continues[:, :1])",
            "your product starts with 0, so all weights are 0; it starts with 1",
        ),
        (
            SHIFTED,
            "torch.ones_like(continues)",
            "you do not use the continues: all weights are 1",
        ),
        (
            SHIFTED,
            "torch.cat([torch.ones_like(continues[:, :1]), continues[:, 1:-1]], 1)",
            "you give too few weights, and c_0 is in none: leave out the last c alone",
        ),
        (
            SHIFTED,
            "torch.cat([torch.ones_like(continues[:, :2]), continues[:, :-2]], 1)[:, "
            ":continues.shape[1]]",
            "you shift by two: state 1 has the weight c_0, not 1",
        ),
        (
            PRODUCT,
            "shifted.detach()",
            "you give single factors: a state exists if the dream went on at *all* states before",
        ),
        (
            PRODUCT,
            "shifted.cumprod(0).detach()",
            "you multiply over the dreams; time is dimension 1",
        ),
        (
            PRODUCT,
            "shifted.cumsum(1).detach()",
            "you add up; probabilities of one step after the other are multiplied",
        ),
        (
            PRODUCT,
            "shifted.cumprod(1)",
            "your weights have a gradient: they only say how much a state counts, so detach them",
        ),
        (
            PRODUCT,
            "(shifted.cumprod(1) / shifted.cumprod(1).sum(1, keepdim=True)).detach()",
            "you make the weights of a dream add up to 1; the official code leaves them as they "
            "are",
        ),
        (
            "torch.ones_like(continues[:, :1])",
            "torch.ones(continues.shape[0], 1)",
            "your ones are made on the CPU as float32, whatever the continues are; ones_like "
            "follows a tensor",
        ),
        (
            SHIFTED,
            "continues.roll(1, 1)\n    shifted[:, 0] = continues[:, 0] = 1",
            "you write into the continues: the caller still needs them for the returns",
        ),
    ],
    "2.16": [
        (
            "policy = actor(feature[:, :-2].detach())\n"
            "    log_prob, entropy = policy.log_prob(action[:, 1:-1].detach()), policy.entropy()\n"
            "    advantage = (returns[:, 1:] - values[:, :-2]).detach()\n"
            "    objective = rho * log_prob * advantage + (1 - rho) * returns[:, 1:]\n"
            "    objective = objective + entropy_scale * entropy\n"
            "    return -(weights[:, :-2].detach() * objective).mean(), entropy",
            "policy = actor(feature[:, :-1].detach())\n"
            "    log_prob, entropy = policy.log_prob(action[:, 1:].detach()), policy.entropy()\n"
            "    advantage = (returns - values[:, :-1]).detach()\n"
            "    objective = rho * log_prob * advantage + (1 - rho) * returns\n"
            "    objective = objective + entropy_scale * entropy\n"
            "    return -(weights[:, :-1].detach() * objective).mean(), entropy",
            "you pair action i + 1 with the return of state i, L terms in all; but that return "
            "began before the action: the return of state i + 1 tells, and there are L - 1 terms",
        ),
        (
            "action[:, 1:-1]",
            "action[:, :-2]",
            "you pair a state with the action that led *to* it; the policy there chose the next, "
            "action i + 1",
        ),
        (
            "action[:, 1:-1]",
            "action[:, 2:]",
            "you are one action late: the policy at state i chose action i + 1",
        ),
        (
            "actor(feature[:, :-2].detach())",
            "actor(feature[:, 1:-1].detach())",
            "you ask the policy at the state that the action led to; it was chosen one state "
            "before",
        ),
        (
            ADVANTAGE,
            "(returns[:, :-1] - values[:, :-2]).detach()",
            "your advantage has the return of state i, which action i + 1 could not change; take "
            "that of state i + 1",
        ),
        (
            ADVANTAGE,
            "(returns[:, 1:] - values[:, 1:-1]).detach()",
            "your baseline is the value of state i + 1, after the action; the baseline must not "
            "know it: take value i",
        ),
        (
            ADVANTAGE,
            "returns[:, 1:].detach()",
            "you left out the baseline: the advantage is return - value",
        ),
        (
            ADVANTAGE,
            "(values[:, :-2] - returns[:, 1:]).detach()",
            "your advantage has the wrong sign: it is return - value",
        ),
        (
            ADVANTAGE,
            "returns[:, 1:] - values[:, :-2]",
            "your advantage has a gradient, to returns and values: in REINFORCE it is a number, "
            "detach it",
        ),
        (
            ADVANTAGE,
            "returns[:, 1:] - values[:, :-2].detach()",
            "the returns get a gradient inside the advantage: detach the whole of it",
        ),
        (
            ADVANTAGE,
            "returns[:, 1:].detach() - values[:, :-2]",
            "the values get a gradient as baseline: detach the whole advantage",
        ),
        (
            ADVANTAGE,
            f"{ADVANTAGE}\n    advantage = advantage / (advantage.std() + 1e-8)",
            "you standardise the advantage; V2 takes it as it is",
        ),
        (
            "action[:, 1:-1].detach()",
            "action[:, 1:-1]",
            "your action keeps its gradient inside log π: a reparameterised one cancels part of "
            "it; detach it",
        ),
        (
            "feature[:, :-2].detach()",
            "feature[:, :-2]",
            "the features get a gradient through the policy: detach them before",
        ),
        (
            MIXED,
            "(1 - rho) * log_prob * advantage + rho * returns[:, 1:]",
            "you swapped the shares: ρ is that of REINFORCE, 1 - ρ that of the returns",
        ),
        (
            MIXED,
            "log_prob * advantage + (1 - rho) * returns[:, 1:]",
            "REINFORCE lacks its factor ρ",
        ),
        (
            MIXED,
            "rho * log_prob * advantage + returns[:, 1:]",
            "the returns lack their factor 1 - ρ",
        ),
        (
            MIXED,
            "rho * log_prob * advantage",
            "you left out dynamics backpropagation: (1 - ρ) times the return",
        ),
        (
            MIXED,
            "rho * log_prob * advantage + (1 - rho) * returns[:, 1:].detach()",
            "you detach the returns of dynamics backpropagation: their gradient is all that it "
            "learns by",
        ),
        (
            MIXED,
            "rho * log_prob * advantage + (1 - rho) * returns[:, :-1]",
            "dynamics backpropagation takes the returns of states 0 ... L - 2; those of the states "
            "that the actions led to start at 1",
        ),
        (
            MIXED,
            "rho * log_prob * advantage + (1 - rho) * (returns[:, 1:] - values[:, :-2].detach())",
            "you subtract the baseline from the returns of dynamics backpropagation too; it is for "
            "REINFORCE alone",
        ),
        (
            "rho * log_prob * advantage",
            "rho * log_prob.exp() * advantage",
            "you multiply the advantage by the probability; REINFORCE takes its logarithm",
        ),
        (
            "rho * log_prob * advantage",
            "rho * log_prob.detach() * advantage",
            "you detach log π: the policy learns by its gradient",
        ),
        (
            BONUS,
            "objective - entropy_scale * entropy",
            "your entropy has the wrong sign: it is a bonus, so the loss falls as it rises",
        ),
        (
            BONUS,
            "objective",
            "you left out the entropy bonus",
        ),
        (
            BONUS,
            "objective + entropy",
            "you left out entropy_scale",
        ),
        (
            BONUS,
            "objective + entropy_scale * entropy.detach()",
            "the entropy in your loss has no gradient: the policy cannot learn to keep it up",
        ),
        (
            ACTOR,
            f"{ACTOR} - entropy_scale * entropy.mean()",
            "your entropy counts twice, once without weights: it belongs to the objective of its "
            "state",
        ),
        (
            f"    objective = {BONUS}\n    return {ACTOR}",
            f"    return {ACTOR} - entropy_scale * entropy.mean()",
            "your entropy is not weighted: that of state i counts with weight i, like the rest",
        ),
        (
            ACTOR,
            ACTOR[1:],
            "your sign is wrong: the loss is minimised, so it is minus what shall grow",
        ),
        (
            ACTOR,
            "-objective.mean()",
            "you do not use the weights: what comes after a death counts in full",
        ),
        (
            ACTOR,
            "-(weights[:, 1:-1].detach() * objective).mean()",
            "your weights are those of the states that the actions led to; term i has weight i",
        ),
        (
            "weights[:, :-2].detach()",
            "weights[:, :-2]",
            "the weights get a gradient: detach them",
        ),
        (
            ACTOR,
            "-(weights[:, :-2].detach() * objective).sum()",
            "you take the sum over all terms; take the mean",
        ),
        (
            ACTOR,
            "-(weights[:, :-2].detach() * objective).sum(1).mean()",
            "you sum over the states of a dream; take the mean over all terms",
        ),
        (
            ACTOR,
            "-(weights[:, :-2].detach() * objective).sum() / weights[:, :-2].detach().sum()",
            "you divide by the sum of the weights; take the plain mean",
        ),
        (
            ACTOR,
            "-(weights[:, :-2].detach() * objective).mean(1)",
            "your loss has a number for each dream; take the mean over all terms",
        ),
        (
            f"{ACTOR}, entropy",
            f"{ACTOR}, entropy.mean()",
            "you return the mean of the entropy; all (N, L - 1) are asked for",
        ),
        (
            f"{ACTOR}, entropy",
            f"{ACTOR}, entropy.detach()",
            "the entropy that you return is detached; it keeps its gradient",
        ),
        (
            f"{ACTOR}, entropy",
            f"{ACTOR}, entropy_scale * entropy",
            "the entropy that you return is scaled; give it in nats, as the policy says it",
        ),
        (
            f"{ACTOR}, entropy",
            ACTOR,
            "you return the loss alone; the entropy is asked for as well",
        ),
        (
            "feature[:, :-2].detach()",
            "feature[:, :-1].detach()",
            "you ask the policy at one state too many: the terms are those of states 0 ... L - 2",
        ),
    ],
    "2.17": [
        (
            CRITIC,
            f"-{CRITIC}",
            "your sign is wrong: the squared error is what has to become small",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".sum()"),
            "you take the sum over all states; take the mean",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".sum(1).mean()"),
            "you sum over the states of a dream; take the mean over dreams and states",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".mean(1)"),
            "your loss has a number for each dream; take the mean over all",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".sum() / weights[:, :-1].detach().sum()"),
            "you divide by the sum of the weights; take the plain mean over dreams and states",
        ),
        (
            CRITIC,
            "(0.5 * error.square()).mean()",
            "you do not use the weights: states after a death are trained on in full",
        ),
        (
            CRITIC,
            CRITIC.replace("0.5 * ", ""),
            "you forgot the half: minus the log-density of Normal(v, 1) is (v - R)² / 2 and a "
            "constant",
        ),
        (
            CRITIC,
            "(weights[:, :-1].detach() * (0.5 * error.square() + 0.9189385332046727)).mean()",
            "you kept the Normal's constant log √(2π); here it is left out",
        ),
        (
            CRITIC,
            CRITIC.replace("square()", "abs()"),
            "you take the absolute error; the log-density of a Normal has the square",
        ),
        (
            CRITIC,
            "nn.functional.smooth_l1_loss(error, 0 * error.detach(), reduction='none').mul("
            "weights[:, :-1].detach()).mean()",
            "you use a Huber loss, whose large errors count linearly; a Normal squares them all",
        ),
        (
            "weights[:, :-1].detach()",
            "weights[:, 1:].detach()",
            "your weights are those of the next states: value, return and weight are all of state "
            "t",
        ),
        (
            "weights[:, :-1].detach()",
            "weights[:, :-1].detach().square()",
            "you square the weights; the square is that of the error alone",
        ),
        (
            "weights[:, :-1].detach()",
            "weights[:, :-1]",
            "the weights get a gradient: detach them",
        ),
        (
            "feature[:, :-1].detach()",
            "feature[:, 1:].detach()",
            "you take the values of the next states; return t is that of state t, so leave out the "
            "last state",
        ),
        (
            "feature[:, :-1].detach()",
            "feature.detach()",
            "you have a value too many: the last state has no return, leave it out",
        ),
        (
            "feature[:, :-1].detach()",
            "feature[:, :-1]",
            "the features get a gradient: here only the critic learns, so detach them",
        ),
        (
            "returns.detach()",
            "returns",
            "the targets get a gradient: returns would move towards the values; detach them",
        ),
        (
            ERROR,
            "critic(feature[:, :-1].detach()).detach() - returns.detach()",
            "your values have no gradient: the critic learns nothing",
        ),
        (
            ERROR,
            "critic(feature[:, :-1].detach()).detach() - returns",
            "you detached the wrong side: values learn, returns are fixed targets",
        ),
        (
            ERROR,
            "critic(feature[:, :-1].detach()).mean(0) - returns.detach()",
            "you average the values over the dreams first; every value meets its own return",
        ),
        (
            ERROR,
            "critic(feature[:, :-1].detach()) + returns.detach()",
            "you add value and return; the error is their difference",
        ),
        (
            f"{ERROR}\n    return {CRITIC}",
            f"{ERROR.replace(':-1', '1:-1').replace('returns.', 'returns[:, 1:].')}\n"
            f"    return {CRITIC.replace(':-1', '1:-1')}",
            "you left out the start, as for the actor; the critic learns about states 0 ... L - 1",
        ),
    ],
    "2.18": [
        (
            DUE,
            "updates % interval == interval - 1",
            "you copy one update too early: at 99, 199, ...; due are 0, 100, 200, ...",
        ),
        (
            DUE,
            "updates % interval == 1",
            "you copy one update too late: due are 0, 100, 200, ...",
        ),
        (
            DUE,
            "updates and updates % interval == 0",
            "you do not copy after update 0: 0 is a multiple of the interval",
        ),
        (
            DUE,
            "updates % 100 == 0",
            "your interval is 100 whatever the caller gives",
        ),
        (
            DUE,
            "updates % interval",
            "you turned the condition round: copy where the remainder is 0",
        ),
        (
            DUE,
            "updates // interval == 0",
            "you divide: updates // interval is 0 for all of the first hundred; take the "
            "remainder, %",
        ),
        (
            DUE,
            "updates >= interval",
            "once the interval is over you copy after every update; copy at its multiples alone",
        ),
        (
            DUE,
            "updates == interval",
            "you copy once, at the interval; copy at all its multiples",
        ),
        (
            DUE,
            "updates == 0",
            "you copy after update 0 alone; copy at all multiples of the interval",
        ),
        (
            DUE,
            "True",
            "you copy after every update: then the slow critic is not slow",
        ),
        (
            DUE,
            "False",
            "the slow critic never changes: copy into the network that you were given; a new value "
            "for the name slow does nothing outside",
        ),
        (
            COPY,
            "fast.load_state_dict(slow.state_dict())",
            "you copy the slow critic into the fast one: what it learned is lost",
        ),
        (
            COPY,
            "slow.load_state_dict(fast.state_dict(), assign=True)",
            "both critics share their memory now, so the slow one follows every update: copy the "
            "numbers, do not assign",
        ),
        (
            COPY,
            "for old, new in zip(slow.parameters(), fast.parameters(), strict=True):\n"
            "            old.lerp_(new, 0.02)",
            "you move a share of the way, as V3 will; V2 copies the whole",
        ),
        (
            f"    if {DUE}:\n        {COPY}",
            "    for old, new in zip(slow.parameters(), fast.parameters(), strict=True):\n"
            "        old.lerp_(new, 1 / interval)",
            "you move a little after every update; V2 copies the whole after every hundredth",
        ),
        (
            COPY,
            "for old, new in zip(slow.parameters(), fast.parameters(), strict=True):\n"
            "            old.copy_(new if new.ndim > 1 else old)",
            "you copy the weights and not the biases: copy every parameter",
        ),
        (
            COPY,
            "next(slow.parameters()).copy_(next(fast.parameters()))",
            "you copy the first parameter alone: copy every one",
        ),
        (
            COPY,
            f"{COPY}\n        slow.requires_grad_(True)",
            "your slow critic would learn: its parameters must not require a gradient",
        ),
        (
            COPY,
            f"{COPY}\n        fast.requires_grad_(False)",
            "you switch off the gradient of the critic: only the slow one does not learn",
        ),
        (
            COPY,
            f"{COPY}\n        fast.zero_grad()",
            "you clear the critic's gradients; this function only copies numbers",
        ),
    ],
}
