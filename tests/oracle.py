"""Expected values, computed slowly: plain Python numbers, one loop per index of the formula.

Nothing here imports an agent. A test that compares with this file compares two independent
writings of the same formula.
"""

import math


def symlog(x: float) -> float:
    return math.copysign(math.log(1 + abs(x)), x)


def symexp(x: float) -> float:
    return math.copysign(math.exp(abs(x)) - 1, x)


def symexp_bins(count: int, limit: float) -> list[float]:
    """Positions of the two-hot bins: symexp of `count` equidistant numbers."""
    return [symexp(-limit + 2 * limit * i / (count - 1)) for i in range(count)]


def two_hot(x: float, bins: list[float]) -> list[float]:
    """Weights on the bins whose mean is x, non-zero on the two neighbours of x alone."""
    weights = [0.0] * len(bins)
    if x <= bins[0]:
        weights[0] = 1.0
    elif x >= bins[-1]:
        weights[-1] = 1.0
    else:
        for i in range(len(bins) - 1):
            if bins[i] <= x < bins[i + 1]:
                weights[i] = (bins[i + 1] - x) / (bins[i + 1] - bins[i])
                weights[i + 1] = (x - bins[i]) / (bins[i + 1] - bins[i])
    return weights


def softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    exponentials = [math.exp(x - top) for x in logits]
    return [x / sum(exponentials) for x in exponentials]


def mixed(logits: list[float], ratio: float) -> list[float]:
    """softmax with `ratio` parts of the uniform distribution."""
    return [(1 - ratio) * p + ratio / len(logits) for p in softmax(logits)]


def cross_entropy(weights: list[float], logits: list[float]) -> float:
    probs = softmax(logits)
    return -sum(w * math.log(p) for w, p in zip(weights, probs, strict=True) if w)


def kl(p: list[float], q: list[float]) -> float:
    """KL(p ‖ q) of two lists of probabilities."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


def bernoulli_cross_entropy(logit: float, target: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def lambda_returns(rewards, values, continues, is_last, lambda_: float) -> list[float]:
    """One sequence; entry t belongs to the arrival at state t, `continues` contain the discount."""

    def value_from(t: int) -> float:
        """What is expected after state t."""
        if t == len(values) - 1:
            return values[t]
        return arrival(t + 1)

    def arrival(t: int) -> float:
        trust = 0.0 if is_last[t] else lambda_
        return rewards[t] + continues[t] * ((1 - trust) * values[t] + trust * value_from(t))

    return [value_from(t) for t in range(len(values) - 1)]


def running_products(numbers: list[float]) -> list[float]:
    return [math.prod(numbers[: i + 1]) for i in range(len(numbers))]


def percentile(numbers: list[float], share: float) -> float:
    """Linear interpolation between the two nearest ranks."""
    ordered = sorted(numbers)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def linear(x: list[float], weight: list[list[float]], bias: list[float] | None) -> list[float]:
    """weight[o][i], as torch stores it."""
    out = [sum(w * v for w, v in zip(row, x, strict=True)) for row in weight]
    return out if bias is None else [o + b for o, b in zip(out, bias, strict=True)]


def norm_silu(x: list[float], gain: list[float], eps: float = 1e-4) -> list[float]:
    """RMSNorm, then SiLU."""
    rms = math.sqrt(sum(v * v for v in x) / len(x) + eps)
    normed = [g * v / rms for g, v in zip(gain, x, strict=True)]
    return [v * sigmoid(v) for v in normed]


def block_linear(x: list[float], weight, bias) -> list[list[float]]:
    """weight[g][i][o], bias[g][0][o]; block g sees the g-th part of x. One list for each block."""
    size = len(weight[0])
    out = []
    for g in range(len(weight)):
        part = x[g * size : (g + 1) * size]
        out.append(
            [
                bias[g][0][o] + sum(part[i] * weight[g][i][o] for i in range(size))
                for o in range(len(weight[g][0]))
            ]
        )
    return out


def gru(h: float, reset: float, candidate: float, update: float) -> float:
    """New state of one unit from the raw values of its gates."""
    proposal = math.tanh(sigmoid(reset) * candidate)
    share = sigmoid(update - 1)
    return share * proposal + (1 - share) * h


def embedded(x: list[float], p: dict, name: str) -> list[float]:
    """`h_in`, `z_in` or `a_in`: dense, RMSNorm, SiLU."""
    hidden = linear(x, p[f"{name}.0.weight"], p[f"{name}.0.bias"])
    return norm_silu(hidden, p[f"{name}.1.weight"])


def block_gru(h: list[float], z: list[float], action, p: dict, action_in=None) -> list[float]:
    """The sequence model of one row. `p` holds the parameters as nested lists, by name.

    action_in   takes the place of the embedded action
    """
    inputs = embedded(h, p, "h_in") + embedded(z, p, "z_in")
    inputs += action_in or embedded(action, p, "a_in")
    own = [v for block in block_linear(h, p["core_h.weight"], p["core_h.bias"]) for v in block]
    shared = linear(inputs, p["core_in.weight"], None)
    core = norm_silu([a + b for a, b in zip(own, shared, strict=True)], p["core_norm.weight"])
    out = []
    for g, gates in enumerate(block_linear(core, p["gates.weight"], p["gates.bias"])):
        size = len(gates) // 3
        for i in range(size):
            reset, candidate, update = gates[i], gates[size + i], gates[2 * size + i]
            out.append(gru(h[g * size + i], reset, candidate, update))
    return out


def laprop(
    start: float, gradients: list[float], lr: float, beta1: float, beta2: float, warmup: int = 0
) -> list[float]:
    """Positions of one number after each update."""
    position, square, momentum, positions = start, 0.0, 0.0, []
    for n, g in enumerate(gradients):
        square = beta2 * square + (1 - beta2) * g * g
        root = math.sqrt(square / (1 - beta2 ** (n + 1)))
        momentum = beta1 * momentum + (1 - beta1) * (g / root if root else 0.0)
        rate = lr * (min(1.0, n / warmup) if warmup else 1.0)
        position -= rate * momentum / (1 - beta1 ** (n + 1))
        positions.append(position)
    return positions


def normal_log_density(x: float, mean: float, std: float) -> float:
    return -((x - mean) ** 2) / (2 * std * std) - math.log(std) - math.log(2 * math.pi) / 2


def parameter_count(d: int, actions: int) -> int:
    """DreamerV3 for one 64×64 RGB image, at width d: every layer of the paper's tables, added up.

    deter 8 d in 8 blocks, hidden layers d, 32 latents of d / 16 classes, channels d / 16 × (2, 3,
    4, 4), 255 bins. Every hidden layer has a bias and the gains of its norm.
    """

    def dense(inputs: int, outputs: int) -> int:
        return inputs * outputs + outputs

    def hidden(inputs: int, outputs: int) -> int:
        return dense(inputs, outputs) + outputs

    def conv(inputs: int, outputs: int) -> int:
        return 25 * inputs * outputs + outputs

    deter, latent, depth = 8 * d, 32 * (d // 16), d // 16
    a, b, c = 2 * depth, 3 * depth, 4 * depth
    smallest = 16 * c
    feature = deter + latent
    encoder = conv(3, a) + a + conv(a, b) + b + conv(b, c) + c + conv(c, c) + c
    sequence = hidden(deter, d) + hidden(latent, d) + hidden(actions, d)
    # Each of the 8 blocks sees itself and the three embeddings; then its three gates.
    sequence += 8 * dense(d + 3 * d, d) + deter + 8 * dense(d, 3 * d)
    prior = hidden(deter, d) + hidden(d, d) + dense(d, latent)
    posterior = hidden(deter + smallest, d) + dense(d, latent)
    decoder = 8 * dense(d, smallest // 8) + hidden(latent, 2 * d) + dense(2 * d, smallest) + c
    decoder += conv(c, c) + c + conv(c, b) + b + conv(b, a) + a + conv(a, 3)
    heads = hidden(feature, d) + dense(d, 255) + hidden(feature, d) + dense(d, 1)
    trunk = hidden(feature, d) + 2 * hidden(d, d)
    actor, critic = trunk + dense(d, actions), trunk + dense(d, 255)
    return encoder + sequence + prior + posterior + decoder + heads + actor + critic


# --- DreamerV1 ------------------------------------------------------------------------------------


def elu(x: float) -> float:
    return x if x > 0 else math.exp(x) - 1


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def dense(x: list[float], p: dict, layers: int, prefix: str = "") -> list[float]:
    """`layers` hidden layers with ELU, then a linear one. `p` holds the parameters by name."""
    for i in range(layers):
        hidden = linear(x, p[f"{prefix}hidden.{i}.weight"], p[f"{prefix}hidden.{i}.bias"])
        x = [elu(v) for v in hidden]
    return linear(x, p[f"{prefix}output.weight"], p[f"{prefix}output.bias"])


def gaussian_rssm_step(h: list[float], z: list[float], action: list[float], p: dict) -> list[float]:
    """DreamerV1's recurrent step: dense + ELU of [z, a], then a GRU with gates r, u, n."""
    x = [elu(v) for v in linear([*z, *action], p["fc_in.weight"], p["fc_in.bias"])]
    from_x = linear(x, p["rnn.weight_ih_l0"], p["rnn.bias_ih_l0"])
    from_h = linear(h, p["rnn.weight_hh_l0"], p["rnn.bias_hh_l0"])
    size, out = len(h), []
    for i in range(size):
        reset = sigmoid(from_x[i] + from_h[i])
        keep = sigmoid(from_x[size + i] + from_h[size + i])
        candidate = math.tanh(from_x[2 * size + i] + reset * from_h[2 * size + i])
        out.append((1 - keep) * candidate + keep * h[i])
    return out


def gaussian_head(x: list[float], p: dict, name: str, min_std: float) -> tuple[list, list]:
    """Mean and standard deviation of a latent: `fc_prior...` or `fc_post...`."""
    hidden = [elu(v) for v in linear(x, p[f"{name}.weight"], p[f"{name}.bias"])]
    mean = linear(hidden, p[f"{name}_mean.weight"], p[f"{name}_mean.bias"])
    raw = linear(hidden, p[f"{name}_std.weight"], p[f"{name}_std.bias"])
    return mean, [softplus(v) + min_std for v in raw]


def normal_kl(mean_p, std_p, mean_q, std_q, steps: int = 20_000) -> float:
    """KL(p ‖ q) of two one-dimensional Normals, by numerical integration."""
    low, high = mean_p - 12 * std_p, mean_p + 12 * std_p
    width, total = (high - low) / steps, 0.0
    for i in range(steps):
        x = low + (i + 0.5) * width
        log_p = normal_log_density(x, mean_p, std_p)
        total += math.exp(log_p) * (log_p - normal_log_density(x, mean_q, std_q)) * width
    return total


def lambda_returns_own_reward(rewards, values, continues, gamma, lambda_) -> list[float]:
    """One sequence of DreamerV1: the return of a state contains this state's own reward.

    The λ-mixture written out: a sum over how many steps are taken before a value is trusted.
    """

    def n_step(t: int, n: int) -> float:
        total, factor = 0.0, 1.0
        for i in range(t, t + n):
            total += factor * rewards[i]
            factor *= gamma * continues[i]
        return total + factor * values[t + n]

    returns = []
    for t in range(len(rewards)):
        longest = len(rewards) - t
        mixed = sum((1 - lambda_) * lambda_ ** (n - 1) * n_step(t, n) for n in range(1, longest))
        returns.append(mixed + lambda_ ** (longest - 1) * n_step(t, longest))
    return returns


def relu(x: float) -> float:
    return x if x > 0 else 0.0


def convolution(maps, weight, bias, stride: int = 2) -> list:
    """Convolution without padding. maps[c][y][x], weight[o][c][ky][kx]; returns [o][y][x]."""
    kernel, height, width = len(weight[0][0]), len(maps[0]), len(maps[0][0])
    rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1

    def place(filter_, b: float, top: int, left: int) -> float:
        total = b
        for channel, taps in zip(maps, filter_, strict=True):
            for row, line in zip(taps, channel[top : top + kernel], strict=True):
                for tap, value in zip(row, line[left : left + kernel], strict=True):
                    total += tap * value
        return total

    return [
        [[place(w, b, stride * y, stride * x) for x in range(columns)] for y in range(rows)]
        for w, b in zip(weight, bias, strict=True)
    ]


def transposed_convolution(maps, weight, bias, stride: int = 2) -> list:
    """Every pixel adds a scaled copy of its kernel. maps[c][y][x], weight[c][o][ky][kx]."""
    kernel, height, width = len(weight[0][0]), len(maps[0]), len(maps[0][0])
    rows, columns = (height - 1) * stride + kernel, (width - 1) * stride + kernel
    out = [[[b] * columns for _ in range(rows)] for b in bias]
    for channel, filters in zip(maps, weight, strict=True):
        for y, line in enumerate(channel):
            for x, value in enumerate(line):
                for picture, taps in zip(out, filters, strict=True):
                    for ky, row in enumerate(taps):
                        for kx, tap in enumerate(row):
                            picture[stride * y + ky][stride * x + kx] += tap * value
    return out


def conv_encoder(image, p: dict) -> list[float]:
    """DreamerV1's embedding of one image[c][y][x], in the order (channel, y, x)."""
    for i in (1, 2, 3, 4):
        maps = convolution(image, p[f"conv{i}.weight"], p[f"conv{i}.bias"])
        image = [[[relu(v) for v in row] for row in channel] for channel in maps]
    return [v for channel in image for row in channel for v in row]


def conv_decoder(feature: list[float], p: dict) -> list:
    """DreamerV1's mean of one image[c][y][x]."""
    maps = [[[v]] for v in linear(feature, p["fc.weight"], p["fc.bias"])]
    for i in (1, 2, 3, 4):
        maps = transposed_convolution(maps, p[f"deconv{i}.weight"], p[f"deconv{i}.bias"])
        if i < 4:
            maps = [[[relu(v) for v in row] for row in channel] for channel in maps]
    return maps


def gaussian_filter(embeds, actions, is_first, h, z, p: dict, min_std: float, noise: float):
    """One sequence, filtered: for every step its h, z and both distributions of z, by name."""
    steps = []
    for embed, action, first in zip(embeds, actions, is_first, strict=True):
        if first:
            h, z, action = [0.0] * len(h), [0.0] * len(z), [0.0] * len(action)
        h = gaussian_rssm_step(h, z, action, p)
        mean, std = gaussian_head([*h, *embed], p, "fc_post", min_std)
        z = [m + noise * s for m, s in zip(mean, std, strict=True)]
        prior_mean, prior_std = gaussian_head(h, p, "fc_prior", min_std)
        steps.append({
            "h": h, "post_mean": mean, "post_std": std, "z": z,
            "prior_mean": prior_mean, "prior_std": prior_std,
        })  # fmt: skip
    return steps


def gaussian_dream(h, z, policy, length: int, p: dict, min_std: float, noise: float):
    """One dream. `policy`: (step, feature) → action; every step has its action, h and z."""
    steps = []
    for t in range(length):
        action = policy(t, [*z, *h])
        h = gaussian_rssm_step(h, z, action, p)
        mean, std = gaussian_head(h, p, "fc_prior", min_std)
        z = [m + noise * s for m, s in zip(mean, std, strict=True)]
        steps.append({"action": action, "h": h, "z": z})
    return steps


def normal_kl_closed(mean_p, std_p, mean_q, std_q) -> float:
    """KL(p ‖ q) of two diagonal Normals, one unit after the other."""
    total = 0.0
    for m, s, n, r in zip(mean_p, std_p, mean_q, std_q, strict=True):
        total += math.log(r) - math.log(s) + (s * s + (m - n) ** 2) / (2 * r * r) - 0.5
    return total


def slopes(f, x: list[float], step: float = 1e-4) -> list[float]:
    """The gradient of f at x, by central differences with two step sizes (error ~ step⁴)."""

    def difference(i: int, d: float) -> float:
        up, down = ([*x[:i], x[i] + sign * d, *x[i + 1 :]] for sign in (1, -1))
        return (f(up) - f(down)) / (2 * d)

    return [(4 * difference(i, step) - difference(i, 2 * step)) / 3 for i in range(len(x))]


def gaussian_world_model(sequences: list[dict], p: dict, c, noise: float) -> dict[str, float]:
    """The parts of DreamerV1's world-model loss, for observations {"position": a vector}.

    sequences   for each its lists of rows: position, action, reward, is_first, is_terminal
    p           parameters by name
    c           options: free_nats, gamma, the scales, the numbers of layers, min_std
    """

    def part(name: str) -> dict:
        return {key[len(name) + 1 :]: x for key, x in p.items() if key.startswith(name + ".")}

    encoder, rssm, decoder = part("encoder.mlp"), part("rssm"), part("decoder.mlp")
    reward, continues = part("reward"), part("continues")
    h, z = [0.0] * len(rssm["rnn.weight_hh_l0"][0]), [0.0] * len(rssm["fc_prior_mean.bias"])
    total = dict.fromkeys(("kl", "reconstruction", "reward", "continue"), 0.0)
    count = 0
    for rows in sequences:
        embeds = [[elu(v) for v in dense(x, encoder, c.vector_layers)] for x in rows["position"]]
        steps = gaussian_filter(
            embeds, rows["action"], rows["is_first"], h, z, rssm, c.min_std, noise
        )
        for t, s in enumerate(steps):
            count += 1
            feature = [*s["z"], *s["h"]]
            seen = dense(feature, decoder, c.vector_layers)
            total["kl"] += normal_kl_closed(
                s["post_mean"], s["post_std"], s["prior_mean"], s["prior_std"]
            )
            total["reconstruction"] += sum(
                (a - b) ** 2 / 2 for a, b in zip(seen, rows["position"][t], strict=True)
            )
            [expected] = dense(feature, reward, c.reward_layers)
            total["reward"] += (expected - c.reward_scale * rows["reward"][t]) ** 2 / 2
            [logit] = dense(feature, continues, c.continue_layers)
            goes_on = c.gamma * (1 - rows["is_terminal"][t])
            total["continue"] += bernoulli_cross_entropy(logit, goes_on)
    mean = {name: x / count for name, x in total.items()}
    return {
        "kl": c.kl_scale * max(mean["kl"], c.free_nats),
        "reconstruction": c.reconstruction_scale * mean["reconstruction"],
        "reward": mean["reward"],
        "continue": c.continue_scale * mean["continue"],
        "kl_mean": mean["kl"],
    }


# --- DreamerV2: the world model with categorical latents ------------------------------------------


def layer_norm_gru(x: list[float], h: list[float], p: dict, name: str = "rnn") -> list[float]:
    """One dense layer of [x, h], one norm over all its numbers, gates reset, candidate, update."""
    raw = linear([*x, *h], p[f"{name}.layer.weight"], p[f"{name}.layer.bias"])
    mean = sum(raw) / len(raw)
    spread = math.sqrt(sum((v - mean) ** 2 for v in raw) / len(raw) + 1e-3)
    gains, shifts = p[f"{name}.norm.weight"], p[f"{name}.norm.bias"]
    gates = [g * (v - mean) / spread + b for v, g, b in zip(raw, gains, shifts, strict=True)]
    size = len(h)
    return [gru(h[i], gates[i], gates[size + i], gates[2 * size + i]) for i in range(size)]


def discrete_step(h: list[float], z: list[float], action: list[float], p: dict) -> list[float]:
    """DreamerV2's recurrent step: dense + ELU of [z, a], then the GRU with a norm."""
    x = [elu(v) for v in linear([*z, *action], p["fc_in.weight"], p["fc_in.bias"])]
    return layer_norm_gru(x, h, p)


def discrete_logits(x: list[float], p: dict, name: str, classes: int) -> list[list[float]]:
    """Logits of a latent, a list for each categorical: `fc_prior...` or `fc_post...`."""
    hidden = [elu(v) for v in linear(x, p[f"{name}.weight"], p[f"{name}.bias"])]
    flat = linear(hidden, p[f"{name}_logits.weight"], p[f"{name}_logits.bias"])
    return [flat[i : i + classes] for i in range(0, len(flat), classes)]


def straight_through(logits: list[list[float]], anchor=None) -> list[float]:
    """The likely class of every categorical, one-hot, side by side.

    With the logits of a first pass as `anchor` it stays with their classes, and moves as the
    probabilities do: its slope there is what a straight-through gradient has to be. A class must
    have more than half of the probability, so that all ways to draw agree in the centre.
    """
    z = []
    for group, fixed in zip(logits, anchor or logits, strict=True):
        probs, at = softmax(group), softmax(fixed)
        assert max(at) > 0.51, at
        z += [(a == max(at)) + p - a for p, a in zip(probs, at, strict=True)]
    return z


def discrete_filter(embeds, actions, is_first, h, z, p: dict, classes: int, anchors=None):
    """One sequence, filtered: for every step its h, z, post and prior, by name.

    anchors   what a first pass returned, for slopes
    """
    steps = []
    for t in range(len(embeds)):
        action = actions[t]
        if is_first[t]:
            h, z, action = [0.0] * len(h), [0.0] * len(z), [0.0] * len(action)
        h = discrete_step(h, z, action, p)
        post = discrete_logits([*h, *embeds[t]], p, "fc_post", classes)
        z = straight_through(post, anchors and anchors[t]["post"])
        prior = discrete_logits(h, p, "fc_prior", classes)
        steps.append({"h": h, "z": z, "post": post, "prior": prior})
    return steps


def discrete_dream(h, z, policy, length: int, p: dict, classes: int, anchors=None):
    """One dream. `policy`: (step, feature) → action; every step has its action, h, z and prior."""
    steps = []
    for t in range(length):
        action = policy(t, [*z, *h])
        h = discrete_step(h, z, action, p)
        prior = discrete_logits(h, p, "fc_prior", classes)
        z = straight_through(prior, anchors and anchors[t]["prior"])
        steps.append({"action": action, "h": h, "z": z, "prior": prior})
    return steps


def categorical_kl(post: list[list[float]], prior: list[list[float]]) -> float:
    """KL(post ‖ prior) of independent categoricals, one after the other."""
    pairs = zip(post, prior, strict=True)
    return sum(kl(softmax(a), softmax(b)) for a, b in pairs)


def balanced_kl(rows: list, balance: float, free: float, anchors: list | None = None) -> float:
    """DreamerV2's KL loss of rows (post, prior); `anchors` are the rows of a first pass."""
    anchors, count = anchors or rows, len(rows)
    to_prior = to_post = 0.0
    for (post, prior), (fixed_post, fixed_prior) in zip(rows, anchors, strict=True):
        to_prior += categorical_kl(fixed_post, prior) / count
        to_post += categorical_kl(post, fixed_prior) / count
    return balance * max(to_prior, free) + (1 - balance) * max(to_post, free)


def discrete_world_model(sequences: list[dict], p: dict, c, anchors=None) -> dict:
    """The parts of DreamerV2's world-model loss, for observations {"position": a vector}.

    sequences   for each its lists of rows: position, action, reward, is_first, is_terminal
    p           parameters by name
    c           options, as in the chapter's Config
    anchors     the `steps` that a first pass returned, for slopes
    """

    def part(name: str) -> dict:
        return {key[len(name) + 1 :]: x for key, x in p.items() if key.startswith(name + ".")}

    encoder, rssm, decoder = part("encoder.mlp"), part("rssm"), part("decoder.mlp")
    reward, continues = part("reward"), part("continues")
    h, z = [0.0] * c.rnn_hidden_dim, [0.0] * (c.num_categoricals * c.num_categories)
    names = ("reconstruction", "reward", "continue")
    total, latents, fixed, all_steps = dict.fromkeys(names, 0.0), [], [], []
    for b, rows in enumerate(sequences):
        embeds = [dense(x, encoder, c.vector_layers - 1) for x in rows["position"]]
        embeds = [[elu(v) for v in x] for x in embeds]
        before = anchors and anchors[b]
        steps = discrete_filter(
            embeds, rows["action"], rows["is_first"], h, z, rssm, c.num_categories, before
        )
        all_steps.append(steps)
        latents += [(s["post"], s["prior"]) for s in steps]
        fixed += [(s["post"], s["prior"]) for s in before or steps]
        for t, s in enumerate(steps):
            feature = [*s["z"], *s["h"]]
            seen = dense(feature, decoder, c.vector_layers)
            errors = [a - b for a, b in zip(seen, rows["position"][t], strict=True)]
            total["reconstruction"] += sum(e * e for e in errors) / 2
            [expected] = dense(feature, reward, c.head_layers)
            total["reward"] += (expected - rows["reward"][t]) ** 2 / 2
            if c.use_continue:
                [logit] = dense(feature, continues, c.head_layers)
                goes_on = c.gamma * (1 - rows["is_terminal"][t])
                total["continue"] += bernoulli_cross_entropy(logit, goes_on)
    mean = {name: x / len(latents) for name, x in total.items()}
    return {
        "kl": c.kl_scale * balanced_kl(latents, c.kl_balance, c.free_nats, fixed),
        "reconstruction": c.reconstruction_scale * mean["reconstruction"],
        "reward": mean["reward"],
        "continue": c.continue_scale * mean["continue"],
        "kl_mean": sum(categorical_kl(*row) for row in latents) / len(latents),
        "steps": all_steps,
    }


# --- DreamerV2: the cut Normal, the actor's and the critic's loss ---------------------------------


def normal_below(x: float) -> float:
    """Share of a standard Normal below x."""
    return math.erfc(-x / math.sqrt(2)) / 2


def cut_normal_share(x: float, mean: float, std: float) -> float:
    """Share of the Normal between -1 and 1, scaled to 1, that lies below x."""
    low, high = normal_below((-1 - mean) / std), normal_below((1 - mean) / std)
    return (normal_below((x - mean) / std) - low) / (high - low)


def cut_normal_quantile(u: float, mean: float, std: float) -> float:
    """The place with the share u below it, by halving the interval."""
    low, high = -1.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if cut_normal_share(middle, mean, std) < u:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def cut_normal_log_density(x: float, mean: float, std: float) -> float:
    mass = normal_below((1 - mean) / std) - normal_below((-1 - mean) / std)
    return normal_log_density(x, mean, std) - math.log(mass)


def mixed_actor_loss(log_prob, entropy, returns, values, weights, rho, scale) -> float:
    """DreamerV2's; [dream][state] each, log_prob that of the action chosen *at* the state."""
    total, count = 0.0, 0
    for n in range(len(returns)):
        for chosen_at in range(len(returns[n]) - 1):
            led_to = chosen_at + 1
            advantage = returns[n][led_to] - values[n][chosen_at]
            gain = rho * log_prob[n][chosen_at] * advantage + (1 - rho) * returns[n][led_to]
            total += weights[n][chosen_at] * (gain + scale * entropy[n][chosen_at])
            count += 1
    return -total / count


def weighted_half_square(predicted, returns, weights) -> float:
    """Mean of w (v - R)² / 2 over the returns; more values and weights than returns are left."""
    terms = [
        weights[n][t] * (predicted[n][t] - returns[n][t]) ** 2 / 2
        for n in range(len(returns))
        for t in range(len(returns[n]))
    ]
    return sum(terms) / len(terms)


# Paper 2: networks and train


def normed_gru(x: list[float], h: list[float], p: dict, eps: float = 1e-3) -> list[float]:
    """DreamerV2's GRU: one norm over the 3 H numbers of one dense layer of [x, h]."""
    raw = linear([*x, *h], p["layer.weight"], p["layer.bias"])
    mean = math.fsum(raw) / len(raw)
    variance = math.fsum((v - mean) ** 2 for v in raw) / len(raw)
    gates = [
        g * (v - mean) / math.sqrt(variance + eps) + b
        for v, g, b in zip(raw, p["norm.weight"], p["norm.bias"], strict=True)
    ]
    count = len(h)
    return [gru(h[i], gates[i], gates[i + count], gates[i + 2 * count]) for i in range(count)]


def dreamed_states(h, z, policy, horizon: int, p: dict, classes: int, fixed=None) -> list[dict]:
    """A dream of DreamerV2's world model, the start as its state 0.

    policy   feature → action, the feature as it is
    fixed    the dream of a first pass: its classes stay, and z moves as the probabilities do,
             which is what a straight-through gradient feels; the policy sees the old features
    """
    states = [{"h": h, "z": z, "action": None, "probs": None}]
    for i in range(horizon):
        seen = fixed[i] if fixed else states[-1]
        action = policy([*seen["z"], *seen["h"]])
        x = linear([*z, *action], p["fc_in.weight"], p["fc_in.bias"])
        part = {key[4:]: numbers for key, numbers in p.items() if key.startswith("rnn.")}
        h = normed_gru([elu(v) for v in x], h, part)
        hidden = [elu(v) for v in linear(h, p["fc_prior.weight"], p["fc_prior.bias"])]
        flat = linear(hidden, p["fc_prior_logits.weight"], p["fc_prior_logits.bias"])
        probs, z = [], []
        for k in range(0, len(flat), classes):
            probs.append(softmax(flat[k : k + classes]))
            at = fixed[i + 1]["probs"][k // classes] if fixed else probs[-1]
            assert max(at) > 0.51, "ways to draw would not agree"
            z += [(a == max(at)) + now - a for now, a in zip(probs[-1], at, strict=True)]
        states.append({"h": h, "z": z, "action": action, "probs": probs})
    states[0]["action"] = [0.0] * len(states[1]["action"])
    return states


def policy_and_value_losses(dreams: list[dict], lambda_: float, rho: float, scale: float) -> dict:
    """DreamerV2's two losses of dreams with L + 1 states.

    dreams   for each its lists of L + 1 numbers: rewards, continues (with the discount in them),
             values (the slow critic's), guesses (the critic's), and of L: log_probs of the action
             chosen *at* the state, entropies
    """
    policy, value, count, pairs, all_returns = 0.0, 0.0, 0, 0, []
    for d in dreams:
        steps = len(d["rewards"]) - 1
        returns = lambda_returns_own_reward(
            d["rewards"][:steps], d["values"], d["continues"][:steps], 1.0, lambda_
        )
        weights = d.get("weights") or [1.0, *running_products(d["continues"][:steps])]
        for i in range(steps):
            value += weights[i] * (d["guesses"][i] - d.get("targets", returns)[i]) ** 2 / 2
            count += 1
        for i in range(steps - 1):
            better = d.get("targets", returns)[i + 1] - d.get("baseline", d["values"])[i]
            gain = rho * d["log_probs"][i] * better + (1 - rho) * returns[i + 1]
            policy -= weights[i] * (gain + scale * d["entropies"][i])
            pairs += 1
        all_returns.append(returns)
    return {"policy": policy / pairs, "value": value / count, "returns": all_returns}


# --- DreamerV3: the actor's and the critic's loss -------------------------------------------------


def weighted_reinforce(log_prob, entropy, advantage, weight, scale) -> float:
    """Minus the mean over [sequence][state] of w (log π · advantage + scale · entropy)."""
    terms = [
        w * (p * a + scale * e)
        for rows in zip(log_prob, entropy, advantage, weight, strict=True)
        for p, e, a, w in zip(*rows, strict=True)
    ]
    return -sum(terms) / len(terms)


def two_hot_value_loss(logits, target, slow_value, weight, bins) -> tuple[float, list]:
    """Mean over [sequence][state] of w times both cross-entropies; its gradient to the logits."""
    count = sum(len(row) for row in target)
    total, gradient = 0.0, []
    for b in range(len(target)):
        gradient.append([])
        for t in range(len(target[b])):
            row, share = logits[b][t], weight[b][t] / count
            encoded = [two_hot(y[b][t], bins) for y in (target, slow_value)]
            total += share * sum(cross_entropy(y, row) for y in encoded)
            both = [sum(pair) for pair in zip(*encoded, strict=True)]
            slope = [2 * p - y for p, y in zip(softmax(row), both, strict=True)]
            gradient[-1].append([share * x for x in slope])
    return total, gradient


# --- DreamerV3: the optimiser ---------------------------------------------------------------------


def laprop_path(start: float, gradients, rates, beta1: float, beta2: float, eps: float = 0.0):
    """Positions of one number after each update; every update has a rate of its own."""
    position, positions = start, []
    for n in range(1, len(gradients) + 1):
        # Both averages from the start, as the sums that they are, with weights that add up to 1.
        momentum = 0.0
        for i in range(n):
            seen = gradients[: i + 1]
            square = sum((1 - beta2) * beta2 ** (i - k) * seen[k] ** 2 for k in range(i + 1))
            root = math.sqrt(square / (1 - beta2 ** (i + 1))) + eps
            step = gradients[i] / root if gradients[i] else 0.0
            momentum += (1 - beta1) * beta1 ** (n - 1 - i) * step
        position -= rates[n - 1] * momentum / (1 - beta1**n)
        positions.append(position)
    return positions


# Paper 3: train


def rms_dense(x: list[float], p: dict, layers: int, prefix: str = "") -> list[float]:
    """`layers` hidden layers of Linear, RMSNorm, SiLU, numbered 0 1, 2 3 …; then a linear one."""
    for i in range(0, 2 * layers, 2):
        x = linear(x, p[f"{prefix}{i}.weight"], p[f"{prefix}{i}.bias"])
        x = norm_silu(x, p[f"{prefix}{i + 1}.weight"])
    return linear(x, p[f"{prefix}{2 * layers}.weight"], p[f"{prefix}{2 * layers}.bias"])


def two_hot_mean(logits: list[float], bins: list[float]) -> float:
    return math.fsum(p * b for p, b in zip(softmax(logits), bins, strict=True))


def block_dream_step(h: list[float], z: list[float], action: list[float], p: dict, c) -> tuple:
    """The next h and z of DreamerV3's dream. `p` holds the RSSM's parameters, `c` its sizes."""
    h = block_gru(h, z, [a / max(1.0, abs(a)) for a in action], p)
    logits, z = rms_dense(h, p, 2, "prior_mlp."), []
    for k in range(0, len(logits), c.classes):
        probs = mixed(logits[k : k + c.classes], c.unimix)
        assert max(probs) > 0.51, "ways to draw would not agree"
        z += [float(x == max(probs)) for x in probs]
    return h, z


def block_dream(h: list[float], z: list[float], policy, steps: int, p: dict, c) -> list[dict]:
    """1 + steps states of one dream, the start first, each with the action that is taken there.

    policy   feature → action
    """
    states = [{"h": h, "z": z, "action": policy([*h, *z])}]
    for _ in range(steps):
        h, z = block_dream_step(h, z, states[-1]["action"], p, c)
        states.append({"h": h, "z": z, "action": policy([*h, *z])})
    return states


def scaled_policy_loss(dreams: list[dict], low: float, high: float, scale: float) -> float:
    """DreamerV3's loss of the actor, the mean over all states of all dreams.

    dreams      for each its lists: log_probs, entropies, returns, values, weights
    low, high   the two averages of the percentiles
    """
    terms = []
    for d in dreams:
        for i in range(len(d["returns"])):
            advantage = (d["returns"][i] - d["values"][i]) / max(1.0, high - low)
            gain = d["log_probs"][i] * advantage + scale * d["entropies"][i]
            terms.append(-d["weights"][i] * gain)
    return math.fsum(terms) / len(terms)


# --- DreamerV3: the world model -------------------------------------------------------------------


def hidden_layers(x: list[float], p: dict, layers: int, prefix: str = "") -> list[float]:
    """`layers` times dense, RMSNorm, SiLU, and a linear layer where there is one more."""
    for i in range(layers):
        x = linear(x, p[f"{prefix}{2 * i}.weight"], p[f"{prefix}{2 * i}.bias"])
        x = norm_silu(x, p[f"{prefix}{2 * i + 1}.weight"])
    last = f"{prefix}{2 * layers}"
    return linear(x, p[f"{last}.weight"], p[f"{last}.bias"]) if f"{last}.weight" in p else x


def grouped(flat: list[float], size: int) -> list[list[float]]:
    """Neighbours together: a list for each categorical."""
    return [flat[i : i + size] for i in range(0, len(flat), size)]


def prior_logits(h: list[float], p: dict, classes: int) -> list[list[float]]:
    """Two hidden layers of h alone."""
    return grouped(hidden_layers(h, p, 2, "prior_mlp."), classes)


def posterior_logits(h: list[float], embed_in: list[float], p: dict, classes: int):
    """One hidden layer of [h, embedding]; `embed_in` is the embedding's half of its product."""
    own = linear(h, p["post_h.weight"], p["post_h.bias"])
    hidden = [a + b for a, b in zip(own, embed_in, strict=True)]
    hidden = norm_silu(hidden, p["post_out.0.weight"])
    return grouped(linear(hidden, p["post_out.1.weight"], p["post_out.1.bias"]), classes)


def mixed_sample(logits: list[list[float]], ratio: float, anchor=None) -> list[list[float]]:
    """The likely class of every categorical, one-hot, with the slope of its mixed probabilities.

    anchor   logits of a first pass: their classes stay, and z moves as the probabilities do
    """
    z = []
    for group, fixed in zip(logits, anchor or logits, strict=True):
        probs, at = mixed(group, ratio), mixed(fixed, ratio)
        assert max(at) > 0.51, at  # so that all ways to draw agree in the centre
        z.append([(a == max(at)) + now - a for now, a in zip(probs, at, strict=True)])
    return z


def bounded(action: list[float], anchor: list[float] | None = None) -> list[float]:
    """Entries beyond ±1 become ±1; the scale stays that of `anchor`, for slopes."""
    return [a / max(1.0, abs(b)) for a, b in zip(action, anchor or action, strict=True)]


def world_filter(
    embeds, actions, is_first, h, z, p: dict, classes: int, ratio: float, anchors=None
):
    """One sequence, filtered by DreamerV3: for every step its h, z (S, K), post and prior.

    anchors   what a first pass returned, for slopes
    """
    steps = []
    for t in range(len(embeds)):
        before = anchors[t] if anchors else {"post": None, "raw": None}
        action = bounded(actions[t], before["raw"])
        if is_first[t]:
            h, action = [0.0] * len(h), [0.0] * len(action)
            z = [[0.0] * classes for _ in z]
        h = block_gru(h, sum(z, []), action, p)
        post = posterior_logits(h, linear(embeds[t], p["post_embed.weight"], None), p, classes)
        z = mixed_sample(post, ratio, before["post"])
        prior = prior_logits(h, p, classes)
        steps.append({"h": h, "z": z, "post": post, "prior": prior, "raw": actions[t]})
    return steps


def world_dream(h, z, policy, horizon: int, p: dict, classes: int, ratio: float) -> list[dict]:
    """One dream of DreamerV3, the start as its state 0: for every state its h, z and action.

    policy   feature [h, z] → the action taken at this state
    """
    states = [{"h": h, "z": z, "action": policy([*h, *sum(z, [])])}]
    for _ in range(horizon):
        h = block_gru(h, sum(z, []), bounded(states[-1]["action"]), p)
        z = mixed_sample(prior_logits(h, p, classes), ratio)
        states.append({"h": h, "z": z, "action": policy([*h, *sum(z, [])])})
    return states


def mixed_kl(post: list[list[float]], prior: list[list[float]], ratio: float) -> float:
    """KL(post ‖ prior) of the mixed distributions of S categoricals."""
    pairs = zip(post, prior, strict=True)
    return sum(kl(mixed(a, ratio), mixed(b, ratio)) for a, b in pairs)


def world_losses(sequences: list[dict], p: dict, c, anchors=None) -> dict:
    """The parts of DreamerV3's world-model loss, for observations {"position": a vector}.

    sequences   for each its lists of rows: position, action, reward, is_first, is_terminal, and the
                state h, z before them
    p           parameters by name
    c           options, as in the chapter's Config
    anchors     the `steps` that a first pass returned, for slopes
    """

    def part(name: str) -> dict:
        return {key[len(name) + 1 :]: x for key, x in p.items() if key.startswith(name + ".")}

    encoder, rssm, decoder = part("encoder.mlp"), part("rssm"), part("decoder.mlp")
    reward, continues = part("reward.mlp"), part("continues")
    bins = symexp_bins(c.bins, c.bin_limit)
    total = dict.fromkeys(("dyn", "rep", "reward", "continue", "position", "kl"), 0.0)
    count, all_steps = 0, []
    for b, rows in enumerate(sequences):
        embeds = [
            hidden_layers([symlog(v) for v in x], encoder, c.layers) for x in rows["position"]
        ]
        inputs = embeds, rows["action"], rows["is_first"], rows["h"], rows["z"]
        before = anchors and anchors[b]
        steps = world_filter(*inputs, rssm, c.classes, c.unimix, before)
        all_steps.append(steps)
        for t, (s, fixed) in enumerate(zip(steps, before or steps, strict=True)):
            count += 1
            state = [*s["h"], *sum(s["z"], [])]
            dyn = mixed_kl(fixed["post"], s["prior"], c.unimix)
            rep = mixed_kl(s["post"], fixed["prior"], c.unimix)
            total["kl"] += dyn
            total["dyn"] += c.scale_dyn * max(dyn, c.free_nats)
            total["rep"] += c.scale_rep * max(rep, c.free_nats)
            target = two_hot(rows["reward"][t], bins)
            total["reward"] += cross_entropy(target, hidden_layers(state, reward, c.head_layers))
            [logit] = hidden_layers(state, continues, c.head_layers)
            goes_on = (1 - 1 / c.discount_horizon) * (1 - rows["is_terminal"][t])
            total["continue"] += bernoulli_cross_entropy(logit, goes_on)
            seen = hidden_layers(state, decoder, c.layers)
            errors = [a - symlog(x) for a, x in zip(seen, rows["position"][t], strict=True)]
            total["position"] += c.scale_vector * sum(e * e for e in errors)
    return {name: x / count for name, x in total.items()} | {"steps": all_steps}


# --- hDreamer: measures and conversion ------------------------------------------------------------


def average(rows: list[list[float]]) -> list[float]:
    """Of lists of equal length, entry by entry."""
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]


def perplexity(p: list[float]) -> float:
    """exp of the entropy of a list of probabilities."""
    return math.exp(-sum(x * math.log(x) for x in p if x))


def two_hidden_layers(x: list[float], p: dict, name: str) -> list[float]:
    """DreamerV3's prior network: twice dense, RMSNorm, SiLU, then dense."""
    for i in (0, 2):
        hidden = linear(x, p[f"{name}.{i}.weight"], p[f"{name}.{i}.bias"])
        x = norm_silu(hidden, p[f"{name}.{i + 1}.weight"])
    return linear(x, p[f"{name}.4.weight"], p[f"{name}.4.bias"])


def sum_layer(parts: list[list[float]], p: dict, name: str) -> list[float]:
    """A hidden layer that is the sum of products, RMSNorm and SiLU, then dense."""
    hidden = norm_silu([sum(x) for x in zip(*parts, strict=True)], p[f"{name}.0.weight"])
    return linear(hidden, p[f"{name}.1.weight"], p[f"{name}.1.bias"])


def flat_posterior(h: list[float], embed: list[float], p: dict) -> list[float]:
    """DreamerV3's posterior logits of one row, (S K,)."""
    from_h = linear(h, p["post_h.weight"], p["post_h.bias"])
    return sum_layer([from_h, linear(embed, p["post_embed.weight"], None)], p, "post_out")


def two_level_logits(h: list[float], top: list[float], embed: list[float], p: dict) -> tuple:
    """Of hDreamer, one row: top and bottom prior, top and bottom posterior. `top` (S_top K,)"""
    both = linear(embed, p["post_embed.weight"], None)
    half = len(both) // 2
    from_h = linear(h, p["post_h.weight"], p["post_h.bias"])
    from_delta = linear(h, p["delta.h_in.weight"], p["delta.h_in.bias"])
    from_top = linear(top, p["delta.top_in.weight"], None)
    bottom_prior = two_hidden_layers([*h, *top], p, "bottom_prior_mlp")
    delta = sum_layer([from_delta, from_top, both[half:]], p, "delta.out")
    return (
        two_hidden_layers(h, p, "prior_mlp"),
        bottom_prior,
        sum_layer([from_h, both[:half]], p, "post_out"),
        [p["gate"] * x + y for x, y in zip(bottom_prior, delta, strict=True)],
    )


# --- hDreamer: two levels of latents --------------------------------------------------------------


def bottom_prior_logits(h: list[float], top: list[list[float]], p: dict, classes: int):
    """Two hidden layers of [h, z_top]."""
    return grouped(hidden_layers([*h, *sum(top, [])], p, 2, "bottom_prior_mlp."), classes)


def delta_logits(h: list[float], top: list[list[float]], embed_in: list[float], p: dict, classes):
    """One hidden layer of [h, z_top, embedding], as the sum of its three products."""
    from_h = linear(h, p["delta.h_in.weight"], p["delta.h_in.bias"])
    from_top = linear(sum(top, []), p["delta.top_in.weight"], None)
    hidden = [sum(x) for x in zip(from_h, from_top, embed_in, strict=True)]
    hidden = norm_silu(hidden, p["delta.out.0.weight"])
    return grouped(linear(hidden, p["delta.out.1.weight"], p["delta.out.1.bias"]), classes)


def bottom_posterior_logits(h, top, embed_in: list[float], p: dict, classes: int, prior=None):
    """gate · prior + delta. prior: of a first pass, for slopes, because it is a constant."""
    prior = prior or bottom_prior_logits(h, top, p, classes)
    delta = delta_logits(h, top, embed_in, p, classes)
    return [
        [p["gate"] * a + b for a, b in zip(*pair, strict=True)]
        for pair in zip(prior, delta, strict=True)
    ]


def two_level_step(h, z, action, top_in, bottom_in, p: dict, c, fixed=None, action_in=None) -> dict:
    """One step of hDreamer's filter: h, z (S, K), post and prior of both levels, the top one first.

    c           n_top, classes, unimix
    fixed       what a first pass returned, for slopes
    action_in   takes the place of the embedded action
    """
    h = block_gru(h, sum(z, []), action, p, action_in)
    post = posterior_logits(h, top_in, p, c.classes)
    top = mixed_sample(post, c.unimix, fixed and fixed["post"][: c.n_top])
    constant = fixed and fixed["prior"][c.n_top :]
    below = bottom_posterior_logits(h, top, bottom_in, p, c.classes, constant)
    bottom = mixed_sample(below, c.unimix, fixed and fixed["post"][c.n_top :])
    given = fixed["z"][: c.n_top] if fixed else top  # a constant in the bottom prior of the KL
    prior = prior_logits(h, p, c.classes) + bottom_prior_logits(h, given, p, c.classes)
    return {"h": h, "z": top + bottom, "post": post + below, "prior": prior}


def two_level_filter(embeds, actions, is_first, h, z, p: dict, c, anchors=None) -> list[dict]:
    """One sequence, filtered by hDreamer. anchors: what a first pass returned, for slopes."""
    steps = []
    for t in range(len(embeds)):
        action = bounded(actions[t])
        if is_first[t]:
            h, action = [0.0] * len(h), [0.0] * len(action)
            z = [[0.0] * c.classes for _ in z]
        embed_in = linear(embeds[t], p["post_embed.weight"], None)
        halves = grouped(embed_in, len(embed_in) // 2)
        steps.append(two_level_step(h, z, action, *halves, p, c, anchors and anchors[t]))
        h, z = steps[-1]["h"], steps[-1]["z"]
    return steps


def two_level_dream_step(h, z, action: list[float], p: dict, c) -> tuple[list, list]:
    """The next h and z (S, K) of hDreamer's dream: one prior after the other."""
    h = block_gru(h, sum(z, []), bounded(action), p)
    top = mixed_sample(prior_logits(h, p, c.classes), c.unimix)
    return h, top + mixed_sample(bottom_prior_logits(h, top, p, c.classes), c.unimix)


def level_nats(c) -> tuple[float, float]:
    """Free nats of the top and of the bottom level, for the modes split and each."""
    if c.free_nats_mode == "split":
        return tuple(c.free_nats * n / c.stoch for n in (c.n_top, c.stoch - c.n_top))
    return c.free_nats, c.free_nats


def level_kl(post, prior, c) -> float:
    """The KL of both levels, each cut at its own free nats, or both together (mode `sum`)."""
    top, bottom = (
        mixed_kl(post[part], prior[part], c.unimix)
        for part in (slice(0, c.n_top), slice(c.n_top, None))
    )
    if c.free_nats_mode == "sum":
        return max(top + bottom, c.free_nats)
    nats_top, nats_bottom = level_nats(c)
    return max(top, nats_top) + max(bottom, nats_bottom)


def two_level_losses(sequences: list[dict], p: dict, c, anchors=None) -> dict:
    """The parts of hDreamer's world-model loss, as `world_losses` gives those of DreamerV3."""

    def part(name: str) -> dict:
        return {key[len(name) + 1 :]: x for key, x in p.items() if key.startswith(name + ".")}

    encoder, rssm, decoder = part("encoder.mlp"), part("rssm"), part("decoder.mlp")
    reward, continues = part("reward.mlp"), part("continues")
    bins = symexp_bins(c.bins, c.bin_limit)
    total = dict.fromkeys(("dyn", "rep", "reward", "continue", "position"), 0.0)
    count, all_steps = 0, []
    for b, rows in enumerate(sequences):
        embeds = [
            hidden_layers([symlog(v) for v in x], encoder, c.layers) for x in rows["position"]
        ]
        inputs = embeds, rows["action"], rows["is_first"], rows["h"], rows["z"]
        before = anchors and anchors[b]
        steps = two_level_filter(*inputs, rssm, c, before)
        all_steps.append(steps)
        for t, (s, fixed) in enumerate(zip(steps, before or steps, strict=True)):
            count += 1
            state = [*s["h"], *sum(s["z"], [])]
            total["dyn"] += c.scale_dyn * level_kl(fixed["post"], s["prior"], c)
            total["rep"] += c.scale_rep * level_kl(s["post"], fixed["prior"], c)
            target = two_hot(rows["reward"][t], bins)
            total["reward"] += cross_entropy(target, hidden_layers(state, reward, c.head_layers))
            [logit] = hidden_layers(state, continues, c.head_layers)
            goes_on = (1 - 1 / c.discount_horizon) * (1 - rows["is_terminal"][t])
            total["continue"] += bernoulli_cross_entropy(logit, goes_on)
            seen = hidden_layers(state, decoder, c.layers)
            errors = [a - symlog(x) for a, x in zip(seen, rows["position"][t], strict=True)]
            total["position"] += c.scale_vector * sum(e * e for e in errors)
    return {name: x / count for name, x in total.items()} | {"steps": all_steps}


# --- hDreamer: probes -----------------------------------------------------------------------------


def corrected_information(x: list[int], y: list[int]) -> float:
    """I(x; y) in nats by counting, each entropy with (classes that occur - 1) / 2N."""
    total, count = 0.0, len(x)
    for sign, seen in ((1, x), (1, y), (-1, list(zip(x, y, strict=True)))):
        shares = [seen.count(c) / count for c in set(seen)]
        entropy = -sum(p * math.log(p) for p in shares)
        total += sign * (entropy + (len(shares) - 1) / (2 * count))
    return total
