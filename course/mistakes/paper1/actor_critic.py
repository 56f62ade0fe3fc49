"""Wrong answers to the exercises of actor_critic.py: (old text, new text, what a learner reads)."""

SAMPLE = "torch.tanh(self.mean + self.std * torch.randn_like(self.std))"

SPLIT = "mean, std = self.mlp(feature).chunk(2, -1)"
BOUND = "self.mean_scale * torch.tanh(mean / self.mean_scale)"
POSITIVE = "F.softplus(std + math.log(math.exp(self.init_std) - 1)) + self.min_std"

BACKWARDS = "reversed(range(rewards.shape[1]))"
MIXTURE = "(1 - lambda_) * values[:, t + 1] + lambda_ * following"
STEP = "rewards[:, t] + gamma * continues[:, t] * mixture"
STACK = "return torch.stack(returns[::-1], 1)"

FACTORS = "factors = torch.cat([ones, gamma * continues[:, :-1]], 1)"
PRODUCT = "factors.cumprod(1).detach()"

ACTOR = "-(weights.detach() * returns).mean()"
CRITIC = "(weights.detach() * 0.5 * error).mean()"

MISTAKES = {
    "1.20": [
        (
            SAMPLE,
            "self.mean + self.std * torch.randn_like(self.std)",
            "your action has no tanh, and leaves [-1, 1]: squash the sample",
        ),
        (
            SAMPLE,
            "torch.tanh(self.mean) + self.std * torch.randn_like(self.std)",
            "you draw around tanh(mean), and leave [-1, 1]; draw around mean, then squash the "
            "sample",
        ),
        (SAMPLE, f"torch.tanh({SAMPLE})", "you apply tanh twice: actions never come near -1 or 1"),
        (
            SAMPLE,
            SAMPLE.replace("self.mean", "torch.tanh(self.mean)"),
            "you squash the mean before the noise is added, and the sample again; tanh comes once, "
            "at the end",
        ),
        (
            SAMPLE,
            "(self.mean + self.std * torch.randn_like(self.std)).clamp(-1, 1)",
            "you clamp to [-1, 1]: beyond the bounds nothing learns; tanh has a slope everywhere",
        ),
        (
            "torch.randn_like(self.std))",
            "torch.randn_like(self.std)).detach()",
            "your sample has no gradient to mean and std, and the actor learns only through it; "
            "look for detach, no_grad, or sample() in place of rsample()",
        ),
        (
            "self.std * torch.randn_like(self.std)",
            "torch.randn_like(self.std)",
            "you add noise of std 1; it has to be scaled by self.std",
        ),
        (
            "self.std * torch.randn_like",
            "self.std.square() * torch.randn_like",
            "you scale the noise by std squared, the variance; a Normal(mean, std) is mean + std · "
            "noise",
        ),
        (
            "self.std * torch.randn_like",
            "self.std.sqrt() * torch.randn_like",
            "you scale the noise by the root of std; self.std is a standard deviation, not a "
            "variance",
        ),
        (
            "self.std * torch.randn_like",
            "self.std.detach() * torch.randn_like",
            "your std gets no gradient, so the policy cannot learn how much to explore",
        ),
        (
            SAMPLE,
            "torch.tanh(self.mean)",
            "you return the mode, the same action every time; add noise of size std to the mean",
        ),
        (
            "randn_like",
            "rand_like",
            "your noise is uniform in [0, 1]; a Normal needs standard normal numbers (randn)",
        ),
        (
            "torch.randn_like(self.std)",
            "torch.randn(self.std.shape[-1:], dtype=self.std.dtype, device=self.std.device)",
            "you share noise between the actions of a batch; draw as many numbers as std has "
            "entries",
        ),
        (
            "torch.randn_like(self.std)",
            "torch.randn(self.std.shape)",
            "your noise is made on the CPU, whatever the device of the policy; randn_like follows "
            "a tensor",
        ),
    ],
    "1.21": [
        (
            SPLIT,
            "std, mean = self.mlp(feature).chunk(2, -1)",
            "you take the stds from the first half; first come the raw means, then the raw stds",
        ),
        (
            SPLIT,
            "mean, std = self.mlp(feature).unflatten(-1, (-1, 2)).unbind(-1)",
            "you take means and stds in turns; the first half of the output are all means, the "
            "second all stds",
        ),
        (
            POSITIVE,
            POSITIVE.replace(" + self.min_std", ""),
            "you left out min_std: a std may shrink to 0, and the policy stops exploring",
        ),
        (
            POSITIVE,
            POSITIVE.replace(") + self.min_std", " + self.min_std)"),
            "you add min_std inside the softplus; added outside, it is the least that a std can be",
        ),
        (
            POSITIVE,
            POSITIVE.replace(" + self.min_std", ".clamp(min=self.min_std)"),
            "you clamp the std at min_std; min_std is added to it, so that it always has a slope",
        ),
        (
            POSITIVE,
            "F.softplus(std) + self.min_std",
            "you left out the shift by init_std: the first policy has std 0.69 in place of 5",
        ),
        (
            POSITIVE,
            "F.softplus(std + self.init_std) + self.min_std",
            "you shift by init_std itself; shift by its inverse softplus, log(exp(init_std) - 1)",
        ),
        (
            POSITIVE,
            "F.softplus(std) + self.init_std + self.min_std",
            "you add init_std after the softplus, so no std can fall below it; shift the raw std",
        ),
        (
            POSITIVE,
            POSITIVE.replace("F.softplus", "torch.exp"),
            "you take exp of the raw std; softplus grows slower, and undoes log(exp(x) - 1)",
        ),
        (
            POSITIVE,
            POSITIVE.replace("F.softplus", ""),
            "your std is linear in the raw std and can be negative; softplus keeps it positive",
        ),
        (
            BOUND,
            "mean",
            "your mean is not bounded: where tanh is flat the actor gets no gradient; keep it "
            "within ±mean_scale",
        ),
        (
            BOUND,
            "torch.tanh(mean / self.mean_scale)",
            "you do not scale the mean back: it stays within ±1, and its tanh within ±0.76",
        ),
        (
            BOUND,
            "self.mean_scale * torch.tanh(mean)",
            "you do not divide by mean_scale: small means come out mean_scale times too large",
        ),
        (
            BOUND,
            "mean.clamp(-self.mean_scale, self.mean_scale)",
            "you clamp the mean: beyond ±mean_scale it has no slope; mean_scale · tanh(raw / "
            "mean_scale) always has one",
        ),
        (
            BOUND,
            f"torch.tanh({BOUND})",
            "you squash the mean to [-1, 1] here, and TanhNormal does so again; leave that to it",
        ),
        (
            f"{BOUND}\n        std = {POSITIVE}",
            "5.0 * torch.tanh(mean / 5.0)\n"
            "        std = F.softplus(std + math.log(math.exp(5.0) - 1)) + 1e-4",
            "you wrote the default numbers into the body; use self.mean_scale, self.init_std and "
            "self.min_std",
        ),
        (
            "return TanhNormal(mean, std)",
            "return TanhNormal(mean.detach(), std)",
            "your mean gets no gradient: the actor cannot learn which actions are good",
        ),
        (
            "return TanhNormal(mean, std)",
            "return TanhNormal(mean, std.detach())",
            "your std gets no gradient: the actor cannot learn how much to explore",
        ),
        (
            "return TanhNormal(mean, std)",
            "return TanhNormal(mean, std.square())",
            "you pass the variance; TanhNormal takes the standard deviation",
        ),
    ],
    "1.22": [
        (
            "self.mlp(feature).squeeze(-1)",
            "self.mlp(feature)",
            "you keep the last dimension: (B, H, 1) minus (B, H) then silently makes (B, B, H) or "
            "fails",
        ),
        (
            "squeeze(-1)",
            "squeeze()",
            "you drop every dimension of size 1: with one dream, or dreams of one step, B or H is "
            "lost too",
        ),
        (
            "squeeze(-1)",
            "squeeze(1)",
            "you drop dimension 1, which is H for a batch of dreams; the output is the last one",
        ),
        (
            "squeeze(-1)",
            "flatten()",
            "you flatten all dimensions into one: values of (B, H) features have shape (B, H)",
        ),
        (
            "squeeze(-1)",
            "squeeze(-1).detach()",
            "your values have no gradient: then neither critic nor actor can learn from them",
        ),
        (
            "self.mlp(feature)",
            "self.mlp(feature.detach())",
            "you detach the feature: the actor learns through values of the states that it reaches",
        ),
        (
            "self.mlp(feature).squeeze(-1)",
            "F.elu(self.mlp(feature)).squeeze(-1)",
            "you put an ELU on the value, which then stays above -1; returns may be any number",
        ),
        (
            "self.mlp(feature).squeeze(-1)",
            "F.relu(self.mlp(feature)).squeeze(-1)",
            "you put a ReLU on the value; returns may be negative",
        ),
        (
            "self.mlp(feature).squeeze(-1)",
            "torch.tanh(self.mlp(feature)).squeeze(-1)",
            "you squash the value to [-1, 1]; that is for actions, returns may be any number",
        ),
        (
            "self.mlp(feature).squeeze(-1)",
            "self.mlp(feature).mean()",
            "you average over all features; every feature has a value of its own",
        ),
    ],
    "1.23": [
        (
            "values[:, t + 1]",
            "values[:, t]",
            "you bootstrap from v_t; the return of step t continues in the next state, v_{t+1}",
        ),
        (
            "values[:, t + 1]",
            "values[:, min(t + 2, rewards.shape[1])]",
            "you bootstrap two steps ahead; the return of step t continues in the next state, "
            "v_{t+1}",
        ),
        (
            MIXTURE,
            "lambda_ * values[:, t + 1] + (1 - lambda_) * following",
            "you swapped λ and 1 - λ: λ belongs to the return of the next state, 1 - λ to its "
            "value",
        ),
        (
            MIXTURE,
            "values[:, t + 1] + lambda_ * following",
            "you left out the factor 1 - λ of the value: the mixture's shares must add up to 1",
        ),
        (
            MIXTURE,
            "lambda_ * (values[:, t + 1] + following)",
            "you weigh the value by λ; its share is 1 - λ",
        ),
        (
            MIXTURE,
            "following",
            "you left out λ and the values: this is the plain discounted sum with a bootstrap",
        ),
        (
            MIXTURE,
            "values[:, t + 1]",
            "you left out λ and R_{t+1}: these are one-step targets",
        ),
        (
            "returns[::-1]",
            "returns",
            "your returns are in reversed order: the loop starts at the last step, so turn them "
            "round at the end",
        ),
        (
            "gamma * continues[:, t] * mixture",
            "gamma * mixture",
            "you do not use the continues: what follows the end of an episode counts in full",
        ),
        (
            "gamma * continues[:, t] * mixture",
            "continues[:, t] * mixture",
            "you do not use γ: what follows must be multiplied by γ and by c_t",
        ),
        (
            "gamma * continues[:, t] * mixture",
            "gamma * gamma * continues[:, t] * mixture",
            "you discount twice a step: γ enters once",
        ),
        (
            "gamma * continues[:, t] * mixture",
            "0.99 * gamma * continues[:, t] * mixture",
            "you discount by 0.99 and by γ; where the continues hold the discount the caller "
            "passes γ=1",
        ),
        (
            STEP,
            "gamma * continues[:, t] * (rewards[:, t] + mixture)",
            "you discount the reward as well: r_t counts in full, γ c_t is for what follows",
        ),
        (
            STEP,
            "gamma * continues[:, t] * mixture",
            "you left out the reward of the step",
        ),
        (
            "continues[:, t]",
            "continues[:, min(t + 1, rewards.shape[1] - 1)]",
            "you take c_{t+1}; whether anything follows step t is c_t",
        ),
        (
            "rewards[:, t]",
            "rewards[:, min(t + 1, rewards.shape[1] - 1)]",
            "you take the reward of the next state; in DreamerV1 the return of a state begins with "
            "its own, r_t",
        ),
        (
            "following = values[:, -1]",
            "following = torch.zeros_like(values[:, -1])",
            "you start the recursion with 0; the return after the last step is the bootstrap, the "
            "last value",
        ),
        (
            "following = values[:, -1]",
            "following = values[:, -2]",
            "you start the recursion with the value before the last; the bootstrap is the last one",
        ),
        (
            "following = values[:, -1]",
            "following = values[:, 0]",
            "you start the recursion with the first value; the bootstrap is the last one",
        ),
        (
            BACKWARDS,
            "range(rewards.shape[1])",
            "you go forwards in time; R_t needs R_{t+1}, so start with the last step",
        ),
        (
            BACKWARDS,
            "reversed(range(rewards.shape[1] - 1))",
            "you give H - 1 returns; every reward has its return, the last step too",
        ),
        (
            STACK,
            "return torch.stack(returns[::-1])",
            "your returns have shape (H, B); stack them along dimension 1, which is time",
        ),
        (
            STACK,
            "return torch.stack(returns[::-1], 1).detach()",
            "you detach the returns: the actor learns by their gradient, and the critic's loss "
            "detaches its own targets",
        ),
        (
            "values[:, t + 1] + lambda_ * following",
            "values[:, t + 1].detach() + lambda_ * following",
            "you detach the values inside the mixture: the actor learns through them too",
        ),
        (
            "continues[:, t]",
            "continues[:, t].detach()",
            "you detach the continues: by them the actor learns to stay alive",
        ),
        (
            MIXTURE,
            "(1 - lambda_) * values[:, t + 1] + lambda_ * following.detach()",
            "you detach R_{t+1}: the gradient must flow back through all later steps",
        ),
        (
            STACK,
            "result = torch.zeros(rewards.shape)\n"
            "    for t in range(rewards.shape[1]):\n"
            "        result[:, t] = returns[-1 - t]\n"
            "    return result",
            "you make the result on the CPU, whatever the device of the inputs; stack, or use "
            "zeros_like",
        ),
        (
            "following = rewards[:, t]",
            "following = values[:, t]",
            "you add the value of the step itself; its reward, r_t, belongs there",
        ),
    ],
    "1.24": [
        (
            FACTORS,
            "factors = gamma * continues + 0 * ones",
            "you count the step's own c: the weight of a state is the product over the states "
            "before it, and starts with 1",
        ),
        (
            FACTORS,
            "factors = torch.cat([gamma * ones, gamma * continues[:, :-1]], 1)",
            "your product starts with γ; the first state is reached for certain, its weight is 1",
        ),
        (
            FACTORS,
            "factors = torch.cat([ones, continues[:, :-1]], 1)",
            "you left out γ: every step multiplies by γ and by c",
        ),
        (
            FACTORS,
            "factors = torch.cat([ones, gamma * torch.ones_like(continues[:, :-1])], 1)",
            "you left out the continues: states after the end of an episode keep their weight",
        ),
        (
            FACTORS,
            "factors = torch.cat([ones, gamma * gamma * continues[:, :-1]], 1)",
            "you discount twice a step: γ enters once",
        ),
        (
            FACTORS,
            "factors = torch.cat([ones, gamma * continues[:, 1:]], 1)",
            "you left out the first c in place of the last: the second state is reached with "
            "probability c_0",
        ),
        (
            FACTORS,
            "factors = torch.cat([ones, gamma * continues], 1)",
            "you give H + 1 weights; the last c says what follows the last state, so leave it out",
        ),
        (
            FACTORS,
            "factors = torch.cat([continues[:, :1], gamma * continues[:, 1:]], 1)",
            "your product starts with c_0; the first state is reached for certain, its weight is 1",
        ),
        (
            f"{FACTORS}\n    return {PRODUCT}",
            "survival = torch.cat([ones, continues[:, :-1]], 1).cumprod(1)\n"
            "    return torch.cat([survival[:, :1], gamma * survival[:, 1:]], 1).detach()",
            "you multiply by γ once in all; each step multiplies by γ anew",
        ),
        (
            PRODUCT,
            "factors.cumprod(1)",
            "your weights have a gradient: the actor would learn to change the weight of a state; "
            "detach them",
        ),
        (
            PRODUCT,
            "factors.detach()",
            "you give single factors; a state is reached if the episode went on at *every* step "
            "before",
        ),
        (
            PRODUCT,
            "factors.cumprod(0).detach()",
            "you multiply along the batch; time is dimension 1",
        ),
        (
            PRODUCT,
            "factors.cumsum(1).detach()",
            "you add the factors up; probabilities of steps in a row are multiplied",
        ),
        (
            "torch.ones_like(continues[:, :1])",
            "torch.ones(continues.shape[0], 1)",
            "your ones are made on the CPU as float32, whatever the continues are; ones_like "
            "follows a tensor",
        ),
    ],
    "1.25": [
        (
            ACTOR,
            "(weights.detach() * returns).mean()",
            "your sign is wrong: the loss is minimised, so it is minus what the actor shall raise",
        ),
        (ACTOR, "-(weights.detach() * returns).sum()", "you take the sum; take the mean"),
        (
            ACTOR,
            "-(weights.detach() * returns).sum() / weights.detach().sum()",
            "you divide by the sum of the weights; take the plain mean over all dreams and steps",
        ),
        (
            ACTOR,
            "-(weights.detach() * returns).sum(1).mean()",
            "you sum over the steps of a dream; take the mean over dreams and steps",
        ),
        (
            ACTOR,
            "-(weights.detach() * returns).mean(0)",
            "your loss is not one number; take the mean over dreams and steps",
        ),
        (
            ACTOR,
            "-returns.mean()",
            "you do not use the weights: returns after the end of an episode count in full",
        ),
        (
            "weights.detach()",
            "weights",
            "the weights get a gradient; the actor must learn by the returns alone, so detach them",
        ),
        (
            "weights.detach() * returns",
            "weights.detach() * returns.detach()",
            "you detach the returns: their gradient is the only thing that the actor learns by",
        ),
        (
            "weights.detach() * returns",
            "weights.detach() * (returns - returns.mean().detach())",
            "you subtract a baseline; DreamerV1 has none, its gradient comes through the return "
            "itself",
        ),
        (
            "weights.detach() * returns",
            "weights.detach() * (returns - returns.mean().detach()) / returns.std().detach()",
            "you standardise the returns; DreamerV1 takes them as they are",
        ),
        (
            ACTOR,
            "-(weights.detach() * returns).mean() - 0.001 * returns.std()",
            "you add a bonus for spread; DreamerV1's loss has neither an entropy bonus nor a "
            "baseline",
        ),
        (
            ACTOR,
            "-(weights.detach() * returns)[:, 0].mean()",
            "you use the first return of each dream only; take the mean over all steps",
        ),
        (
            "weights.detach() * returns",
            "weights.detach().square() * returns",
            "you multiply by the weights twice; once is enough",
        ),
        (
            ACTOR,
            "-weights.detach().mean() * returns.mean()",
            "you average weights and returns apart; multiply each return by its own weight first",
        ),
    ],
    "1.26": [
        (
            CRITIC,
            "-(weights.detach() * 0.5 * error).mean()",
            "your sign is wrong: the error is what has to become small",
        ),
        (CRITIC, "(weights.detach() * 0.5 * error).sum()", "you take the sum; take the mean"),
        (
            CRITIC,
            "(weights.detach() * 0.5 * error).sum() / weights.detach().sum()",
            "you divide by the sum of the weights; take the plain mean over all dreams and steps",
        ),
        (
            CRITIC,
            "(weights.detach() * 0.5 * error).sum(1).mean()",
            "you sum over the steps of a dream; take the mean over dreams and steps",
        ),
        (
            CRITIC,
            "(weights.detach() * 0.5 * error).mean(0)",
            "your loss is not one number; take the mean over dreams and steps",
        ),
        (
            CRITIC,
            "(0.5 * error).mean()",
            "you do not use the weights: states after the end of an episode are trained on in full",
        ),
        (
            CRITIC,
            "(weights.detach() * error).mean()",
            "you forgot the half: minus the log-density of a Normal with std 1 is error² / 2",
        ),
        (
            "returns.detach()",
            "returns",
            "the target gets a gradient: returns would move towards the values; detach them",
        ),
        (
            "weights.detach()",
            "weights",
            "the weights get a gradient; they only say how much a state counts, so detach them",
        ),
        (
            "values - returns.detach()",
            "values.detach() - returns.detach()",
            "your values have no gradient: then the critic learns nothing",
        ),
        (
            "values - returns.detach()",
            "values.detach() - returns",
            "you detached the wrong side: values learn, returns are fixed targets",
        ),
        (
            "square()",
            "abs()",
            "you take the absolute error; minus the log-density of a Normal is the squared error",
        ),
        (
            CRITIC,
            "(weights.detach() * (0.5 * error + 0.5 * math.log(2 * math.pi))).mean()",
            "you kept the constant log(2π) / 2 of the Normal; here it is left out",
        ),
        (
            "weights.detach()",
            "weights.detach().square()",
            "your weights are squared; the square is of value minus return alone",
        ),
    ],
}
