"""Wrong answers to the exercises of actor_critic.py: (old text, new text, what a learner reads)."""

SPLIT = "mean, std = self.mlp(feature).chunk(2, -1)"
MEAN = "torch.tanh(mean)"
STD = "0.9 * torch.sigmoid(std + 2) + 0.1"
POLICY = f"torch.cat([{MEAN}, {STD}], -1)"

LAMBDAS = "lambdas = lambda_ * (1 - is_last)"
MIXTURE = "(1 - lambdas[:, t]) * values[:, t] + lambdas[:, t] * returns[-1]"
STEP = "rewards[:, t] + continues[:, t] * future"
STACK = "torch.stack(returns[:0:-1], 1)"

PERCENTILES = "torch.quantile(returns.flatten(), returns.new_tensor([0.05, 0.95]))"
LOW, HIGH = "self.low.lerp_(low, self.rate)", "self.high.lerp_(high, self.rate)"
BOTH = f"{LOW}\n        {HIGH}"

SCALE = "(self.high - self.low).clamp(min=1)"

WEIGHTS = "continues.detach().cumprod(1)"

OBJECTIVE = "log_prob * advantage.detach() + entropy_scale * entropy"
ACTOR = "-(weight.detach() * objective).mean()"

LOSS = "critic.loss(logits, target.detach(), slow_value.detach())"
CRITIC = "(weight.detach() * loss).mean()"

LOOP = "for slow_parameter, parameter in zip(slow.parameters(), fast.parameters(), strict=True):"
MOVE = "slow_parameter.lerp_(parameter, rate)"

MISTAKES = {
    "3.20": [
        (
            POLICY,
            f"torch.cat([{STD}, {MEAN}], -1)",
            "you put the standard deviations first; sample and log_prob read the means there",
        ),
        (
            SPLIT,
            SPLIT.replace("mean, std", "std, mean"),
            "you took the first half of the network's outputs for s; the first are m",
        ),
        (
            SPLIT,
            "mean, std = self.mlp(feature).unflatten(-1, (-1, 2)).unbind(-1)",
            "you took m and s in turns, as pairs; the first A outputs are m, the other A are s",
        ),
        (
            SPLIT,
            SPLIT.replace("-1", "1"),
            "you cut along dimension 1, which is time where features are (B, T, F); cut the last",
        ),
        (
            MEAN,
            "mean",
            "your mean has no bound: actions are meant for [-1, 1], so tanh comes over it",
        ),
        (
            MEAN,
            "mean.clamp(-1, 1)",
            "you clamp the mean: beyond the bounds its gradient is 0; tanh has one everywhere",
        ),
        (
            MEAN,
            "5 * torch.tanh(mean / 5)",
            "your mean is V1's, bounded at ±5 because a tanh followed; here it is tanh(m) itself",
        ),
        (
            MEAN,
            "2 * torch.sigmoid(mean) - 1",
            "your mean is 2 sigmoid(m) - 1, which is tanh(m / 2): half as steep",
        ),
        (
            STD,
            "torch.nn.functional.softplus(std) + 0.1",
            "your std is V1's softplus plus 0.1, which has no upper bound; V3 bounds it by a "
            "sigmoid",
        ),
        (
            STD,
            "2 * torch.sigmoid(std / 2) + 0.1",
            "your std is V2's, 2 sigmoid(s / 2) + 0.1; V3's lies between 0.1 and 1",
        ),
        (
            STD,
            "torch.exp(std)",
            "your std is exp(s), as in PPO or SAC: it has no bound on either side",
        ),
        (
            STD,
            "(std + 0.9).clamp(0.1, 1)",
            "you clamp the std: beyond the bounds its gradient is 0; a sigmoid has one everywhere",
        ),
        (
            "torch.sigmoid(std + 2)",
            "torch.sigmoid(std)",
            "you left out the + 2: the first policy would have a std of 0.55, and explore less",
        ),
        (
            "torch.sigmoid(std + 2)",
            "torch.sigmoid(std - 2)",
            "you subtract the 2: the first policy would have a std of 0.21, and hardly explore",
        ),
        (
            STD,
            "torch.sigmoid(std + 2)",
            "your std runs from 0 to 1; from 0.1 on, so that the policy never becomes certain",
        ),
        (
            STD,
            "torch.sigmoid(std + 2) + 0.1",
            "your std runs from 0.1 to 1.1: the factor 0.9 keeps it below 1",
        ),
        (
            STD,
            f"({STD}).log()",
            "you return log(std); sample and log_prob read the std itself",
        ),
        (
            POLICY,
            f"({MEAN}, {STD})",
            "you return a pair; asked for is one tensor, (..., 2 A)",
        ),
        (
            POLICY,
            POLICY.replace("cat", "stack"),
            "you stack, which adds a dimension; mean and std stand side by side in the last one",
        ),
        (
            POLICY,
            f"{POLICY}.detach()",
            "your policy has no gradient: sample and log_prob detach what has to be constant",
        ),
    ],
    "3.21": [
        (
            STEP,
            "rewards[:, t - 1] + continues[:, t - 1] * future",
            "you use V2's indices, reward and c of the state itself; in V3 both are those of state "
            "t + 1",
        ),
        (
            STEP,
            "rewards[:, t - 1] + continues[:, t] * future",
            "your reward is that of entering state t, which is past; R_t begins with r_{t+1}",
        ),
        (
            STEP,
            "rewards[:, t] + continues[:, t - 1] * future",
            "your c is that of state t; what follows state t + 1 is multiplied by c_{t+1}",
        ),
        (
            "* values[:, t] +",
            "* values[:, t - 1] +",
            "you bootstrap from v_t, as the paper prints it; the value that follows the reward is "
            "v_{t+1}",
        ),
        (
            f"{MIXTURE}\n        returns.append({STEP})",
            f"{MIXTURE.replace('values[:, t]', 'values[:, t - 1]')}\n"
            "        returns.append(rewards[:, t - 1] + continues[:, t - 1] * future)",
            "you took the paper's r_t, c_t and v_t by the letter; in these tensors they are those "
            "of state t + 1",
        ),
        (
            "* values[:, t] +",
            "* values[:, min(t + 1, values.shape[1] - 1)] +",
            "you look two states ahead for the value; R_t mixes in that of state t + 1",
        ),
        (
            STEP,
            "rewards[:, t] + 0.997 * continues[:, t] * future",
            "you discount a second time: γ is in the continues already",
        ),
        (
            STEP,
            "rewards[:, t] + continues[:, t] * (1 - is_last[:, t]) * future",
            "you treat a cut as a death; a time limit is none: there the return is the value of "
            "that state",
        ),
        (
            LAMBDAS,
            "lambdas = lambda_ * torch.ones_like(is_last)",
            "you do not use is_last: your returns run on from one episode into the next",
        ),
        (
            LAMBDAS,
            "lambdas = 1 - (1 - lambda_) * (1 - is_last)",
            "at a cut you take λ = 1, all of the next episode's return; it is 0, the value alone",
        ),
        (
            LAMBDAS,
            "lambdas = lambda_ * is_last",
            "you turned is_last round: λ is 0 where a sequence was cut, not where it goes on",
        ),
        (
            MIXTURE,
            MIXTURE.replace("lambdas[:, t]", "lambdas[:, t - 1]"),
            "your λ is that of state t; whether to trust R_{t+1} depends on is_last of state t + 1",
        ),
        (
            MIXTURE,
            "lambdas[:, t] * values[:, t] + (1 - lambdas[:, t]) * returns[-1]",
            "you swapped the shares: λ is that of the next return, 1 - λ that of the value",
        ),
        (
            MIXTURE,
            "values[:, t] + lambdas[:, t] * returns[-1]",
            "the value lacks its factor 1 - λ: the two shares must add up to 1",
        ),
        (
            STEP,
            "continues[:, t] * (rewards[:, t] + future)",
            "you discount the reward as well; it is received on entering state t + 1, in full",
        ),
        (
            STEP,
            "rewards[:, t] * (1 - is_last[:, t]) + continues[:, t] * future",
            "you drop the reward of a last state; it was received, only what comes after is cut",
        ),
        (
            "returns = [values[:, -1]]",
            "returns = [torch.zeros_like(values[:, -1])]",
            "you begin with 0; behind the last state stands its value",
        ),
        (
            "returns = [values[:, -1]]",
            "returns = [rewards[:, -1]]",
            "you begin with the last reward; behind the last state stands its value",
        ),
        (
            STACK,
            "torch.stack(returns[1:], 1)",
            "your returns are in the order in which you found them; turn them round, time comes "
            "first to last",
        ),
        (
            STACK,
            "torch.stack(returns[::-1], 1)",
            "you return T numbers; the last state's value is no return, so T - 1 are left",
        ),
        (
            STACK,
            "torch.stack(returns[:0:-1], 0)",
            "you stack along dimension 0; sequences come first, time second",
        ),
        (
            LAMBDAS,
            "lambdas = 0.95 * (1 - is_last)",
            "your λ is 0.95 whatever the caller gives",
        ),
    ],
    "3.22": [
        (
            f"low, high = {PERCENTILES}",
            "low, high = torch.quantile(returns, returns.new_tensor([0.05, 0.95]), dim=-1)\n"
            "        low, high = low.mean(), high.mean()",
            "you take percentiles of each row and average them; they are of the whole batch at "
            "once",
        ),
        (
            f"low, high = {PERCENTILES}",
            "low, high = returns.min(), returns.max()",
            "you take the smallest and the largest return, which one odd dream decides; take "
            "percentiles",
        ),
        (
            f"low, high = {PERCENTILES}",
            "std, mean = torch.std_mean(returns, correction=0)\n"
            "        low, high = mean - std, mean + std",
            "you take mean and standard deviation; V3 takes percentiles",
        ),
        (
            "[0.05, 0.95]",
            "[0.95, 0.05]",
            "you swapped the percentiles: low is the 5th, high the 95th",
        ),
        (
            "[0.05, 0.95]",
            "[5.0, 95.0]",
            "torch.quantile wants shares between 0 and 1: 0.05 and 0.95",
        ),
        (
            "[0.05, 0.95]",
            "[0.25, 0.75]",
            "you take the quartiles; wanted are the 5th and the 95th percentile",
        ),
        (
            PERCENTILES,
            PERCENTILES.replace("0.95])", "0.95]), interpolation='nearest'"),
            "you take the nearest return; between two returns percentiles are interpolated",
        ),
        (
            PERCENTILES,
            PERCENTILES.replace("returns.flatten()", "returns.flatten().abs()"),
            "you take percentiles of |returns|; where returns lie is part of it, so keep the sign",
        ),
        (
            BOTH,
            BOTH.replace("self.rate", "1 - self.rate"),
            "your averages take 99 % of every new batch; the rate, 1 %, is the share of the new",
        ),
        (
            BOTH,
            "self.low.copy_(low)\n        self.high.copy_(high)",
            "you replace low and high by the newest; they are averages over time, for a steady "
            "scale",
        ),
        (
            BOTH,
            "self.low.add_(self.rate * low)\n        self.high.add_(self.rate * high)",
            "your averages only add up: what is there has to shrink by 1 - rate",
        ),
        (
            BOTH,
            BOTH.replace("lerp_", "lerp"),
            "you compute the new averages and do not keep them: lerp without the _ changes nothing",
        ),
        (
            BOTH,
            BOTH.replace("self.rate", "1 if self.high == self.low else self.rate"),
            "you begin with the first batch's percentiles; these averages begin at 0 and grow",
        ),
        (
            BOTH,
            BOTH.replace("self.rate", "0.01"),
            "your rate is 0.01 whatever self.rate is",
        ),
        (
            HIGH,
            HIGH.replace("(high", "(low"),
            "you average the low percentile twice; high takes the 95th",
        ),
        (
            HIGH,
            HIGH.replace("(high", "(high - low"),
            "high averages the range; average the two percentiles apart, scale takes the "
            "difference",
        ),
        (
            BOTH,
            "self.low.copy_(torch.minimum(self.low, low))\n"
            "        self.high.copy_(torch.maximum(self.high, high))",
            "you keep the lowest and the highest so far; the scale must shrink again when returns "
            "do",
        ),
        (
            BOTH,
            f"{BOTH}\n        self.low.clamp_(max=0)",
            "you keep low from rising above 0; where all returns are large the range would be too "
            "wide",
        ),
    ],
    "3.23": [
        (
            SCALE,
            "self.high - self.low",
            "your scale can fall below 1, even to 0: tiny returns, mostly noise, would be blown up",
        ),
        (
            SCALE,
            "(self.high - self.low).clamp(min=1e-8)",
            "you only avoid the division by 0; the smallest scale is 1, so that noise is not "
            "blown up",
        ),
        (
            SCALE,
            "(self.high - self.low).clamp(max=1)",
            "you keep the scale from rising above 1; it must not fall below",
        ),
        (
            SCALE,
            "(self.high - self.low) + 1",
            "you add 1 to the range; the scale is the larger of the two",
        ),
        (
            SCALE,
            f"1 / {SCALE}",
            "you return 1 / S; whoever calls divides by S",
        ),
        (
            SCALE,
            "self.high.clamp(min=1)",
            "you take high alone; how far returns spread is high - low",
        ),
        (
            SCALE,
            "torch.maximum(self.low.abs(), self.high.abs()).clamp(min=1)",
            "you take the largest size; how far returns spread is high - low, wherever they lie",
        ),
        (
            SCALE,
            "(self.low - self.high).clamp(min=1)",
            "you subtract high from low: that is negative, so your scale is always 1",
        ),
        (
            SCALE,
            "(self.high + self.low).clamp(min=1)",
            "you add low and high; the range is their difference",
        ),
        (
            SCALE,
            "((self.high - self.low) / 2).clamp(min=1)",
            "you take half of the range; S is all of it",
        ),
        (
            SCALE,
            f"{SCALE}.sqrt()",
            "you take a square root, as of a variance; the range has the units of the returns",
        ),
        (
            SCALE,
            "(self.high - self.low).reshape(1).clamp(min=1)",
            "your scale has a dimension of its own; S is one number",
        ),
    ],
    "3.24": [
        (
            WEIGHTS,
            "torch.cat([torch.ones_like(continues[:, :1]), continues[:, :-1]], 1)"
            ".detach().cumprod(1)",
            "your weights are V2's, of the states before; in V3 the state's own c counts, so the "
            "first weight is c_0",
        ),
        (
            WEIGHTS,
            "torch.cat([torch.ones_like(continues[:, :1]), continues[:, 1:]], 1)"
            ".detach().cumprod(1)",
            "you left out c_0, so a dream that starts in a dead state would count",
        ),
        (
            WEIGHTS,
            f"{WEIGHTS} / 0.997",
            "you divide γ out of the first weight, as the code of 2023 did; here it is c_0",
        ),
        (
            WEIGHTS,
            f"{WEIGHTS} * 0.997",
            "you discount once more: γ is in the continues already",
        ),
        (
            WEIGHTS,
            "continues.detach().cumprod(0)",
            "you multiply along the batch; time is dimension 1",
        ),
        (
            WEIGHTS,
            "continues.detach().cumsum(1)",
            "you add; probabilities to go on multiply",
        ),
        (
            WEIGHTS,
            "continues.cumprod(1)",
            "your weights have a gradient: actor and critic would teach the continue head; detach "
            "them",
        ),
        (
            WEIGHTS,
            "continues.detach().cumprod_(1)",
            "you change the continues that you were given: detach makes no copy, and cumprod_ and "
            "*= work in place",
        ),
        (
            WEIGHTS,
            "continues.detach().flip(1).cumprod(1).flip(1)",
            "you multiply from the end; what counts is what happened up to the state",
        ),
        (
            WEIGHTS,
            "continues.detach()",
            "your weights are single continues; every state before has to have gone on as well",
        ),
        (
            WEIGHTS,
            "continues.detach().prod(1, keepdim=True).expand_as(continues)",
            "you take one product for the whole dream; each state has that of the states up to it",
        ),
        (
            WEIGHTS,
            "(continues.detach() > 0.5).to(continues).cumprod(1)",
            "you round the continues to 0 or 1; V3 takes the probabilities, with the discount",
        ),
        (
            WEIGHTS,
            "(1 - continues.detach()).cumprod(1)",
            "you multiply the probabilities of an end; continues say that it goes on",
        ),
    ],
    "3.25": [
        (
            ACTOR,
            ACTOR[1:],
            "your sign is wrong: the objective is to grow and a loss is minimised, so take minus",
        ),
        (
            "advantage.detach()",
            "advantage",
            "your advantage has a gradient: REINFORCE learns through log π alone, detach it",
        ),
        (
            "log_prob * advantage",
            "log_prob.detach() * advantage",
            "you detach log π: it is all that REINFORCE learns by",
        ),
        (
            "log_prob * advantage",
            "log_prob.exp() * advantage",
            "you multiply by the probability; REINFORCE takes its logarithm",
        ),
        (
            "log_prob * advantage.detach()",
            "log_prob * advantage.detach().clamp(min=0)",
            "you forget bad actions: a negative advantage makes its action less likely",
        ),
        (
            "log_prob * advantage.detach()",
            "log_prob * ((advantage - advantage.mean()) / (advantage.std() + 1e-8)).detach()",
            "you standardise the advantage over the batch, as PPO does; here it is normalised "
            "already",
        ),
        (
            OBJECTIVE,
            "advantage.detach() + entropy_scale * entropy",
            "you left out log π: without it no action becomes likelier",
        ),
        (
            OBJECTIVE,
            "log_prob * advantage.detach() - entropy_scale * entropy",
            "your entropy has the wrong sign: it is a bonus, so the loss falls as it rises",
        ),
        (
            OBJECTIVE,
            "log_prob * advantage.detach()",
            "you left out the entropy bonus",
        ),
        (
            "entropy_scale * entropy",
            "entropy",
            "you left out entropy_scale",
        ),
        (
            "entropy_scale * entropy",
            "3e-4 * entropy",
            "your entropy scale is 0.0003 whatever the caller gives",
        ),
        (
            "entropy_scale * entropy",
            "entropy_scale * entropy.detach()",
            "your entropy has no gradient: the policy cannot learn to keep it up",
        ),
        (
            OBJECTIVE,
            "(log_prob + entropy_scale * entropy) * advantage.detach()",
            "you multiply the entropy by the advantage; it is a bonus whatever the action was "
            "worth",
        ),
        (
            f"objective = {OBJECTIVE}\n    return {ACTOR}",
            "objective = log_prob * advantage.detach()\n"
            f"    return {ACTOR} - entropy_scale * entropy.mean()",
            "your entropy is not weighted: that of a state counts with its weight, like the rest",
        ),
        (
            ACTOR,
            "-objective.mean()",
            "you do not use the weights: what comes after a death counts in full",
        ),
        (
            "weight.detach()",
            "weight",
            "the weights get a gradient: detach them",
        ),
        (
            ACTOR,
            ACTOR.replace(".mean()", ".sum()"),
            "you take the sum over all states; take the mean",
        ),
        (
            ACTOR,
            ACTOR.replace(".mean()", ".sum(1).mean()"),
            "you sum over the states of a dream; take the mean over all states",
        ),
        (
            ACTOR,
            ACTOR.replace(".mean()", ".mean(1)"),
            "your loss has a number for each dream; take the mean over all states",
        ),
        (
            ACTOR,
            ACTOR.replace(".mean()", ".sum() / weight.detach().sum()"),
            "you divide by the sum of the weights; take the plain mean over states",
        ),
    ],
    "3.26": [
        (
            LOSS,
            "critic.loss(logits, slow_value.detach())",
            "you learn from the slow critic alone; the return is the target, the slow critic a "
            "regulariser",
        ),
        (
            LOSS,
            "critic.loss(logits, target.detach())",
            "you left out the regulariser: the cross-entropy to the slow critic's value, counted "
            "in full",
        ),
        (
            LOSS,
            "critic.loss(logits, target.detach(), slow_value.detach()) / 2",
            "you average the two cross-entropies; both count 1, so add them",
        ),
        (
            LOSS,
            "critic.loss(logits, (target.detach() + slow_value.detach()) / 2)",
            "you mix return and slow value into one target; each has a cross-entropy of its own",
        ),
        (
            LOSS,
            "critic.loss(logits, target.detach()) + 0.02 * critic.loss(logits, "
            "slow_value.detach())",
            "you count the slow critic with 0.02; that is the rate at which it follows, here it "
            "counts 1",
        ),
        (
            LOSS,
            "critic.loss(logits, target.detach()) - critic.loss(logits, slow_value.detach())",
            "you push the critic away from the slow one; its cross-entropy is added",
        ),
        (
            "target.detach()",
            "target",
            "the target gets a gradient: returns would move towards the critic; detach them",
        ),
        (
            "slow_value.detach()",
            "slow_value",
            "the slow critic's value gets a gradient; it is a fixed number here, detach it",
        ),
        (
            "loss(logits,",
            "loss(logits.detach(),",
            "you detach the logits: then the critic learns nothing",
        ),
        (
            LOSS,
            "(critic.mean(logits) - target.detach()).square() + (critic.mean(logits) - "
            "slow_value.detach()).square()",
            "you take squared errors, as V2 did; V3 takes the cross-entropy to the two-hot target: "
            "critic.loss",
        ),
        (
            "target.detach()",
            "(torch.sign(target) * torch.log1p(target.abs())).detach()",
            "you squash the return with symlog; the bins are in the units of the rewards, so it "
            "stays as it is",
        ),
        (
            "target.detach()",
            "(target / (target.max() - target.min()).clamp(min=1)).detach()",
            "you normalise the return; only the actor's advantage is, the critic predicts in the "
            "units of the rewards",
        ),
        (
            CRITIC,
            "loss.mean()",
            "you do not use the weights: states after a death are trained on in full",
        ),
        (
            f"loss = {LOSS}\n    return {CRITIC}",
            "loss = critic.loss(logits, target.detach())\n"
            f"    return {CRITIC} + critic.loss(logits, slow_value.detach()).mean()",
            "only the first cross-entropy is weighted; that to the slow critic is as well",
        ),
        (
            "weight.detach()",
            "weight",
            "the weights get a gradient: detach them",
        ),
        (
            CRITIC,
            f"-{CRITIC}",
            "your sign is wrong: critic.loss is what has to become small",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".sum()"),
            "you take the sum over all states; take the mean",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".sum(1).mean()"),
            "you sum over the states of a sequence; take the mean over all states",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".mean(1)"),
            "your loss has a number for each sequence; take the mean over all states",
        ),
        (
            CRITIC,
            CRITIC.replace(".mean()", ".sum() / weight.detach().sum()"),
            "you divide by the sum of the weights; take the plain mean over states",
        ),
    ],
    "3.27": [
        (
            MOVE,
            "slow_parameter.lerp_(parameter, 1 - rate)",
            "you keep 2 % of the slow critic and take 98 % of the critic; rate is the share of the "
            "new",
        ),
        (
            MOVE,
            "parameter.lerp_(slow_parameter, rate)",
            "you move the critic towards the slow one; the slow one follows",
        ),
        (
            MOVE,
            "slow_parameter.copy_(parameter)",
            "you copy all of the critic, as V2 did every hundred updates; V3 moves 2 % of the way "
            "each time",
        ),
        (
            MOVE,
            "slow_parameter = torch.lerp(slow_parameter, parameter, rate)",
            "the slow critic does not change: move all its parameters, though none of them "
            "requires a gradient, and in place, for = only gives the name to a new tensor",
        ),
        (
            MOVE,
            "slow_parameter.add_(rate * parameter)",
            "you add without shrinking: what is there counts 1 - rate",
        ),
        (
            MOVE,
            "slow_parameter.mul_(1 - rate)",
            "you only shrink the slow critic; add the share `rate` of the critic",
        ),
        (
            MOVE,
            "slow_parameter.add_(rate * (slow_parameter - parameter))",
            "you move away from the critic: the way to go is critic minus slow critic",
        ),
        (
            MOVE,
            "slow_parameter.lerp_(parameter, 0.02)",
            "your rate is 0.02 whatever the caller gives",
        ),
        (
            MOVE,
            f"{MOVE}\n        break",
            "you move the first parameter alone: all have to go",
        ),
        (
            MOVE,
            f"if parameter.ndim > 1:\n            {MOVE}",
            "you move the weights and leave biases and gains: all parameters have to go",
        ),
        (
            f"{LOOP}\n        {MOVE}",
            f"{LOOP}\n        {MOVE}\n    for old, new in zip(slow.buffers(), fast.buffers()):\n"
            "        old.lerp_(new, rate)",
            "you move the buffers as well; only parameters are learned",
        ),
        (
            MOVE,
            "slow_parameter.data = parameter.data.mul_(rate).add_((1 - rate) * slow_parameter)",
            "you compute in the critic's own memory: what it learned is lost, and both share it "
            "now",
        ),
        (
            MOVE,
            f"{MOVE}\n        slow_parameter.requires_grad_(True)",
            "your slow critic would learn: its parameters must not require a gradient",
        ),
        (
            MOVE,
            f"{MOVE}\n        parameter.requires_grad_(False)",
            "you switch off the gradient of the critic: only the slow one does not learn",
        ),
        (
            MOVE,
            f"{MOVE}\n        parameter.grad = None",
            "you clear the critic's gradients; this function only moves numbers",
        ),
    ],
}
