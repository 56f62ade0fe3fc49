# %% [markdown]
# # hDreamer in pictures
#
# Where can a hierarchy live, and how would we know that it is real? This page builds the answer out
# of small experiments: some with a few numbers, some with a small agent that is taken apart. **The
# code that runs here is yours.** What you have not written yet is lent by the reference, and the
# first cell says which exercises that are. If a picture looks wrong, grade the exercises named in
# its section: `course grade 4.1`.
#
# Run the cells from top to bottom; it takes about a minute. Every section ends with something to
# think about or to change. You can break nothing: this page is made from `walkthrough.py`, and
# `python -m course.notebooks`, run in the project's folder, brings it back to its first state.

# %%
import json
from dataclasses import asdict

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors import safe_open

import course
from dreamkit.envs import make

v4 = course.code("paper4_hdreamer")  # your networks, rssm, convert and probes; paper 3's, too
torch.set_num_threads(1)

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "0.45"
plt.rcParams |= {
    "figure.figsize": (9.5, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True,
    "font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "lines.linewidth": 1.8, "image.interpolation": "nearest",
}  # fmt: skip

# %% [markdown]
# ## 1. A world that says what it is made of
#
# Whether a level of a model holds *oneself* and another *the world* can only be asked where both
# are known. `task=gridworld` is made for that: oneself (green) has mass and is pushed by actions;
# two balls (red) fly diagonally and bounce; food (blue) waits until it is eaten. Its `factors()`
# tell the truth about every picture. An agent never gets to see them.
#
# Below, one start is played twice, with other actions. What differs between the two?


# %%
def play(actions, seed=3):
    """Pictures (T, 3, 16, 16) and {factor: (T, size)} of one episode."""
    env = make("gridworld")
    pictures, told = [env.reset(seed=seed)[0]["image"]], [env.unwrapped.factors()]
    for action in actions:
        pictures.append(env.step(int(action))[0]["image"])
        told.append(env.unwrapped.factors())
    return np.stack(pictures), {name: np.stack([x[name] for x in told]) for name in told[0]}


def strip(axis, pictures, name=""):
    """Pictures (n, 3, 16, 16) side by side, with a white line between them."""
    rows = [np.pad(p.transpose(1, 2, 0), ((0, 0), (0, 1), (0, 0)), constant_values=255)
            for p in pictures]  # fmt: skip
    axis.imshow(np.concatenate(rows, 1))
    axis.set(xticks=[], yticks=[])
    axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axis.spines[:].set_visible(False)


chance = np.random.default_rng(0)
ways = [chance.integers(5, size=40) for _ in range(2)]
(pictures, first), (others, second) = (play(actions) for actions in ways)
moments = range(0, 12)
figure = plt.figure(figsize=(9.5, 4.6))
above, below = figure.subfigures(2, 1, height_ratios=[1, 1.5])
axes = above.subplots(2, 1)
strip(axes[0], pictures[moments], "once")
strip(axes[1], others[moments], "again")
axes = below.subplots(1, 3, sharex=True)
shown = {"ego/position": GREEN, "world/balls": RED, "world/food": BLUE}
for axis, (name, color) in zip(axes, shown.items(), strict=True):
    axis.plot(first[name][:, 0], color=color, label="once")
    axis.plot(second[name][:, 0], "--", color="black", linewidth=1, label="again")
    axis.set(title=f"{name}, first number", xlabel="step", ylim=(-1.1, 1.1))
axes[2].legend(fontsize=9, loc="upper right")
for name in first:
    apart = np.abs(first[name] - second[name]).max()
    print(f"{name:>13}: {first[name].shape[1]} numbers, largest difference {apart:.2f}")

# %% [markdown]
# The first picture is the same, then the two go apart, but only as to oneself. Balls and their
# motion do not know of the actions at all: the difference is 0. Food is in between: *where* it
# appears next is chance, *when* is one's own doing. So "oneself" and "world" are not just words
# here: an action changes one of them, and the balls not at all.
#
# **Think.** Which of the five factors cannot be seen in a single picture? Where must a model keep
# them? **Change.** Let both sequences of actions be the same but for the first one.

# %% [markdown]
# ## 2. Two KL divergences that add up to one
#
# The model predicts z_top from h, then z_bottom from h *and z_top*; the posterior does the same
# with the picture. The chain rule says what both predictions cost together:
#
#     KL(q(top, bottom) ‖ p(top, bottom))
#         = KL(q(top) ‖ p(top)) + mean over top ~ q of KL(q(bottom | top) ‖ p(bottom | top))
#
# One sample of the *posterior* is an estimate of that mean (exercise 4.7). In a dream there is no
# posterior, and the bottom prior sees the prior's sample (exercise 4.8). Why not in training, too?
# Here both levels have 4 classes, all probabilities are known, and the joint KL is computed exactly
# (left). Then a bottom prior learns from each of the two samples (right).

# %%
chance = np.random.default_rng(1)
q_top, p_top = chance.dirichlet(np.ones(4)), chance.dirichlet(np.ones(4))
q_bottom = chance.dirichlet(0.3 * np.ones(4), 4)
learned = np.array([[0.95], [0.6], [0.8], [0.9]])
p_bottom = learned * q_bottom + (1 - learned) / 4  # a prior that has learned most of it


def kl(q, p):
    return (q * np.log(q / p)).sum(-1)


q_joint, p_joint = q_top[:, None] * q_bottom, p_top[:, None] * p_bottom
whole = kl(q_joint.ravel(), p_joint.ravel())
chain = kl(q_top, p_top) + q_top @ kl(q_bottom, p_bottom)
pairs = kl(q_bottom[:, None], p_bottom[None])  # [the posterior's top, the prior's top]
print(f"joint KL {whole:.6f}, by the chain rule {chain:.6f} nats")
print(f"with the prior's sample: {kl(q_top, p_top) + q_top @ pairs @ p_top:.6f}")

draws = 2000
top, other = chance.choice(4, draws, p=q_top), chance.choice(4, draws, p=p_top)
estimates = {
    "the posterior's z_top": (kl(q_top, p_top) + pairs[top, top], BLUE),
    "the prior's z_top": (kl(q_top, p_top) + pairs[top, other], RED),
}
figure = plt.figure(figsize=(9.5, 3.3))
left, right = figure.subfigures(1, 2, width_ratios=[1.1, 1.6])
axis = left.subplots()
for name, (found, color) in estimates.items():
    axis.semilogx(1 + np.arange(draws), found.cumsum() / (1 + np.arange(draws)), color=color,
                  label=name)  # fmt: skip
axis.axhline(whole, color="black", linewidth=1, linestyle=":", label="the joint KL, exactly")
axis.set(xlabel="samples", ylabel="mean of the estimates (nats)", ylim=(0, 3))
axis.legend(fontsize=8, loc="upper right")


def learn(weights):
    """p(bottom | top) that minimises Σ weights[q's top, p's top] KL(q(bottom | q's) ‖ p(… | p's)).

    Return the table (4, 4), and the KL that is left where both tops are the same.
    """
    logits = torch.zeros(4, 4, dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.05)
    q, weights = torch.tensor(q_bottom), torch.tensor(weights)
    for _ in range(1500):
        optimizer.zero_grad()
        (weights * -(q @ logits.log_softmax(-1).T)).sum().backward()
        optimizer.step()
    table = logits.detach().softmax(-1).numpy()
    return table, q_top @ kl(q_bottom, table)


tables = {"q(bottom | top)": (q_bottom, 0.0)}
tables["learned with\nthe posterior's"] = learn(np.diag(q_top))
tables["learned with\nthe prior's"] = learn(np.outer(q_top, p_top))
axes = right.subplots(1, 3, sharey=True)
for axis, (name, (table, left_over)) in zip(axes, tables.items(), strict=True):
    axis.imshow(table, cmap="Blues", vmin=0, vmax=1)
    axis.set(title=name, xlabel="bottom", xticks=range(4), yticks=range(4))
    print(f"{' '.join(name.split()):>28}: KL of the bottom level {left_over:.3f} nats")
_ = axes[0].set_ylabel("top")
marginal = q_top @ q_bottom
print(f"I(top; bottom) under q: {q_top @ kl(q_bottom, marginal[None]):.3f} nats")

# %% [markdown]
# With the posterior's sample the estimates settle at the joint KL; with the prior's at something
# else. And it is not merely a wrong number: a bottom prior that is told *another* top than the one
# that the bottom latents go with can do no better than to ignore it. All rows of its table are
# alike, and what is left of the KL is the information that the two levels share. The hierarchy
# would be gone, and no loss would say so.
#
# **Think.** In the model, z_top is a constant for the bottom KL (`detach`). What could the top
# posterior do to make the *bottom* level's KL small, if it were not? **Change.** Let `p_top` be
# `q_top`. Does the red line now agree with the black one?

# %% [markdown]
# ## 3. A posterior that says only what is new
#
# The bottom posterior does not start from nothing: its logits are g · prior + delta, and delta is
# all that the picture has to add (exercises 4.1 and 4.5; for Normal distributions: NVAE,
# arXiv:2007.03898). Left: a delta in a fixed direction grows. Middle: no delta at all, and the
# gate g goes from 1 to 0. Right: where the gradient of a reconstruction loss arrives, with the
# stop-gradient and without.

# %%
torch.manual_seed(0)
unimix, residual = v4.rssm.unimix, v4.networks.residual_logits
prior = 2 * torch.randn(5, 8)
direction = torch.randn(5, 8)


def kl_of(delta, gate, ratio=0.01):
    """KL of the bottom level, nats."""
    posterior = residual(prior, delta, torch.tensor(float(gate)))
    return float(v4.rssm.kl_divergence(unimix(posterior, ratio), unimix(prior, ratio)))


figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.3))
sizes = np.linspace(0, 30, 121)
for ratio, color in ((0.0, RED), (0.01, BLUE)):
    found = [kl_of(size * direction, 1, ratio) for size in sizes]
    axes[0].plot(sizes, found, color=color, label=f"unimix {100 * ratio:g} %")
    print(f"unimix {ratio}: KL {found[0]} nats without a delta, ", end="")
    print(f"{found[4]:.2f} at a size of 1, {found[80]:.1f} at 20, {found[-1]:.1f} at 30")
axes[0].set(xlabel="size of the delta", ylabel="KL of the bottom level (nats)")
axes[0].legend(fontsize=9)
gates = np.linspace(0, 1.5, 61)
axes[1].plot(gates, [kl_of(0 * direction, gate) for gate in gates], color=BLUE)
axes[1].axvline(1, color="0.7", linewidth=1)
axes[1].set(xlabel="gate g, with a delta of 0", ylabel="KL of the bottom level (nats)")
print(f"gate 0 and no delta: {kl_of(0 * direction, 0):.2f} nats, a uniform posterior")

target = torch.eye(8)[torch.randint(8, (5,))]
versions = {
    "yours": residual,
    "without the\nstop-gradient": lambda p, d, g: g * p + d,
}
for place, (name, function) in enumerate(versions.items()):
    color = (BLUE, RED)[place]
    leaves = [prior.clone(), 0.1 * direction, torch.tensor(1.0)]
    leaves = [x.requires_grad_() for x in leaves]
    loss = -(target * function(*leaves).log_softmax(-1)).sum()  # as if the picture told the class
    slopes = torch.autograd.grad(loss, leaves, allow_unused=True)
    lengths = [0.0 if x is None else float(x.norm()) for x in slopes]
    axes[2].bar(np.arange(3) + 0.4 * place - 0.2, lengths, 0.36, color=color, label=name)
    print(f"{' '.join(name.split()):>25}: gradient of prior {lengths[0]:.2f}, "
          f"delta {lengths[1]:.2f}, gate {lengths[2]:.2f}")  # fmt: skip
axes[2].set_xticks(range(3), ["prior", "delta", "gate"])
axes[2].set(ylabel="length of the gradient")
_ = axes[2].legend(fontsize=9)

# %% [markdown]
# A delta of 0 costs exactly 0 nats: where the picture holds no surprise the bottom level is free of
# charge. With g at 1 the cost is counted from the prior; with g at 0 the same delta network is a
# posterior of its own, which needs a delta to say anything at all. unimix bounds the cost of the
# largest delta, as in chapter 3; without it the red line ends near 24, where a probability of 0
# makes 0 · log 0.
#
# Without the stop-gradient the prior would learn from reconstruction as fast as the delta does, to
# say what the picture says *before* the picture is there. As it is, the prior learns from the KL
# alone: it is told what was there afterwards.
#
# **Think.** The gate learns, too. What would it mean if it went from 1 to 0 in training? (`gate_g`
# is in the log.) **Change.** Let `prior` be 10 times as large: what does a delta of size 1 do now?

# %% [markdown]
# ## 4. Who may rest?
#
# Chapter 3 leaves the KL alone below 1 nat. Two levels can share this nat in proportion to their
# categoricals (`split`), have one each (`each`), or have it together (`sum`). Say that the top
# level has a KL of 0.1 nats and the bottom one of 5. Which of them is pulled towards its prior?
# The maps show it for all pairs: each is made of 48 × 48 pairs of posteriors and priors with that
# KL, and your `level_kl_loss` says by its gradient which level it pulls. (Exercises 4.9, 4.10.)

# %%
n_top, n_bottom, classes = 3, 5, 8


def logits_with(nats, count):
    """Posterior and prior logits (n, count, 8) with a given KL (n,), nats, without unimix."""
    low, high = torch.zeros(len(nats)), 40 * torch.ones(len(nats))
    posterior = torch.zeros(len(nats), count, classes)
    for _ in range(60):  # halve the interval of the prior's margin
        middle = (low + high) / 2
        margin = middle[:, None, None] * torch.eye(classes)[0].expand(len(nats), count, -1)
        large = v4.rssm.kl_divergence(posterior.softmax(-1), margin.softmax(-1)) > nats
        low, high = torch.where(large, low, middle), torch.where(large, middle, high)
    return posterior, margin


def pulled(top, bottom, mode):
    """Whether the priors of the levels get a gradient, for KL (n,) and (m,): (n, m) each."""
    (q_top, p_top), (q_low, p_low) = logits_with(top, n_top), logits_with(bottom, n_bottom)
    size = len(top), len(bottom)
    q, p = (
        torch.cat([a[:, None].expand(*size, -1, -1), b[None].expand(*size, -1, -1)], -2)
        for a, b in ((q_top, q_low), (p_top, p_low))
    )
    p = p.clone().requires_grad_()
    dyn, _ = v4.rssm.level_kl_loss(q, p, n_top, 1.0, 0.0, mode)
    slope = torch.autograd.grad(dyn.sum(), p)[0].abs().sum(-1)
    return slope[..., :n_top].sum(-1) > 1e-9, slope[..., n_top:].sum(-1) > 1e-9


nats = torch.logspace(-1.6, 1, 48)
colors = plt.matplotlib.colors.ListedColormap(["0.93", "#f3d08a", "#9ac7e6", "#7fbf9f"])
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.9), sharex=True, sharey=True)
for axis, mode in zip(axes, ("split", "each", "sum"), strict=True):
    top, bottom = pulled(nats, nats, mode)
    axis.pcolormesh(nats, nats, (top + 2 * bottom.int()).T, cmap=colors, vmin=0, vmax=3)
    axis.plot(0.1, 5, "k*", markersize=10)
    axis.set(title=f"free_nats_mode={mode}", xscale="log", yscale="log")
    axis.set_xlabel("KL of the top (nats)")
    here = [bool(x) for x in pulled(torch.tensor([0.1]), torch.tensor([5.0]), mode)]
    print(f"{mode:>5}, top 0.1 and bottom 5 nats: top pulled {here[0]}, bottom pulled {here[1]}")
axes[0].set_ylabel("KL of the bottom (nats)")
patches = [plt.Rectangle((0, 0), 1, 1, color=colors(k)) for k in range(4)]
names = ["neither is pulled", "top alone", "bottom alone", "both"]
_ = figure.legend(patches, names, ncols=4, loc="outside lower center", fontsize=9)
print(f"shares of one nat: {v4.rssm.split_free_nats(1.0, n_top, n_bottom)}")

# %% [markdown]
# At the star `split` and `each` leave the top level alone: it costs next to nothing. `sum` pulls
# it, because the bottom level's 5 nats have used up what both may have. So a level that says little
# is pushed to say nothing while the other is expensive: it starves. `each` protects both and is
# more generous than a flat model, two nats in all. `split` protects both with one.
#
# **Think.** Free nats can starve a level in another way, too: what does a level whose KL is 0.01
# nats under `each` contribute, and does anything tell it so? **Change.** Let `n_top` be 1.

# %% [markdown]
# ## 5. From flat to two levels, without losing a digit
#
# A flat DreamerV3 knows nothing of levels, but its 8 categoricals can be dealt out to two of them,
# 3 and 5, so that the model says exactly the same as before. Every level takes its rows of the old
# output layers (exercise 4.12); what it newly *sees*, z_top, gets weights of 0 (4.13); and the gate
# is 0, because the flat posterior was no residual (4.14). Here is a flat model with random weights,
# its conversion, and two conversions with a mistake. All follow the same 20 steps in double
# precision. Left: the largest difference of all logits, pictures, rewards and continuations.

# %%
torch.manual_seed(0)
env = make("gridworld")
flat_config = v4.train.flat.Config(**v4.train.flat.SIZES["tiny"])
config = v4.train.Config(**v4.train.SIZES["tiny"])
spaces = env.observation_space.spaces, env.action_space
flat = v4.train.flat.Agent(*spaces, flat_config)
for parameter in flat.modules.parameters():  # heads begin at zero: nothing would show
    parameter.data += 0.1 * torch.randn_like(parameter)
rssm_key = "world_model.rssm."


def converted(**mistakes):
    """An hDreamer's world model made of the flat agent; some tensors replaced."""
    tensors = v4.convert.convert(flat.modules.state_dict(), asdict(flat_config), config)
    agent = v4.train.Agent(*spaces, config)
    agent.modules.load_state_dict(tensors | {rssm_key + k: x for k, x in mistakes.items()})
    return agent.world_model.double()


columns = v4.convert.convert(flat.modules.state_dict(), asdict(flat_config), config)
first_layer = columns[rssm_key + "bottom_prior_mlp.0.weight"].clone()
first_layer[:, flat_config.deter :] = 0.5 * torch.randn(len(first_layer), 3 * 8)
models = {
    "converted": (converted(), BLUE),
    "new columns not 0": (converted(**{"bottom_prior_mlp.0.weight": first_layer}), ORANGE),
    "gate 1": (converted(gate=torch.ones(())), RED),
}
steps = 20
z = torch.eye(8)[torch.randint(0, 8, (4, steps + 1, 8))].double()
given = (torch.randn(4, flat_config.deter).double(), z,
         torch.randn(4, steps, flat.world_model.encoder.size).double(),
         torch.eye(5)[torch.randint(0, 5, (4, steps))].double())  # fmt: skip
with torch.no_grad():
    wanted = v4.check.logits_along(flat.world_model.double(), *given)
    found = {name: v4.check.logits_along(model, *given) for name, (model, _) in models.items()}

kinds = "h", "posterior", "prior", "picture", "reward", "continuation"
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), width_ratios=[1.3, 1, 1])
for name, (_, color) in models.items():
    apart = np.array([float((x - y).abs().max()) for x, y in zip(found[name], wanted, strict=True)])
    apart = apart.reshape(steps, len(kinds))
    axes[0].semilogy(apart.max(1).clip(1e-17), "o-", color=color, markersize=3, label=name)
    print(f"{name:>18}:", *(f"{k} {x:.1e}" for k, x in zip(kinds, apart.max(0), strict=True)))
axes[0].set(xlabel="step", ylabel="largest difference", ylim=(5e-18, 1e3))
axes[0].legend(fontsize=9, loc=(0.02, 0.45))
for axis, (title, index) in zip(axes[1:], {"posterior": 1, "prior": 2}.items(), strict=True):
    axis.plot([-4, 4], [-4, 4], color="0.8", linewidth=1)
    for name in ("gate 1", "new columns not 0", "converted"):
        x, y = wanted[index][..., 3:, :].flatten(), found[name][index][..., 3:, :].flatten()
        axis.plot(x, y, ".", color=models[name][1], markersize=3)
    axis.set(title=f"bottom {title}, step 0", xlabel="flat model's logits", aspect="equal")
_ = axes[1].set_ylabel("two levels' logits")

# %% [markdown]
# The conversion is exact: what is left, if anything, is the rounding of sums in another order. With
# g = 1 the flat posterior counts as a *delta*, and the prior is added on top of it: the model says
# twice what it knew. With random columns the bottom prior listens to latents it has never met.
# Training would mend both in time, and the log would look plausible all along: that is why the
# conversion is tested by equality, not by "it still works".
#
# **Think.** After the conversion the columns of z_top are 0. Why do they not stay 0? And could the
# conversion be exact with g = 1, if delta were allowed more than one network? **Change.** Deal the
# categoricals out in another order: `convert(…, order=torch.tensor([5, 0, 7, 1, 2, 3, 4, 6]))`.
# What must be permuted in z before the two models can be compared?

# %% [markdown]
# ## 6. One level drawn anew
#
# The agent in `gridworld.safetensors`, beside this page, has 3 categoricals above and 5 below, of 8
# classes each. It was made by two commands in the project's folder; the first is one line, and
# takes about ten minutes. `model_first` keeps it at training its world model, which is all that
# counts here: its actor never learns, and acts at random.
#
#     dreamer-train agent=hdreamer size=tiny task=gridworld steps=48000 train_ratio=16
#         model_first=1000000 eval_every=48000 seed=0 threads=1 run=runs/levels
#     python -m course.notebooks --checkpoint runs/levels paper4_hdreamer/gridworld.safetensors
#
# It has watched 40 new episodes. At each step h is what it remembers. Then z_top and z_bottom are
# taken from the picture, or one of them is drawn anew from its prior, as in a dream, and the other
# one stays. What changes in the picture?

# %%
with safe_open("gridworld.safetensors", "pt") as file:
    about = file.metadata()
    weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

task = json.loads(about["task"])
config = v4.train.Config(**json.loads(about["agent"]))
env = make(**task)
agent = v4.train.Agent(env.observation_space.spaces, env.action_space, config)
agent.modules.load_state_dict(weights)
core, n_top = agent.world_model.rssm, config.n_top
print(f"{int(about['step']):,} steps, {int(about['updates']):,} updates; ", end="")
print(f"gate {core.gate.item():.2f}; return when it was saved {float(about['return']):.1f}")

played = v4.analyse.play(agent, lambda: make(**task), 40, seed=0)
torch.manual_seed(0)
rows, h, z, embed_in = v4.analyse.filtered(agent, played.batch)  # (40, 100, ...)
real = rows["image"].float() / 255


@torch.no_grad()
def picture(level):
    """Decoded pictures (40, 100, 3, 16, 16); `level`, if any, is drawn anew from its prior."""
    top, bottom = v4.networks.split_levels(z, n_top)
    if level in ("top", "both"):
        top = core.sample(core.top_prior(h))
    if level in ("bottom", "both"):
        bottom = core.sample(core.bottom_prior(h, top))
    return agent.world_model.decoder(h, v4.networks.join_levels(top, bottom))["image"]


moments = np.arange(10, 22)
films = {"real": real, "as seen": picture(None)}
films |= {f"bottom anew, {k}": picture("bottom") for k in (1, 2, 3)}
films |= {f"top anew, {k}": picture("top") for k in (1, 2, 3)}
figure, axes = plt.subplots(len(films), 1, figsize=(9.5, 6.4))
for axis, (name, film) in zip(axes, films.items(), strict=True):
    strip(axis, (255 * film[1, moments]).round().byte().numpy(), name)

# %% [markdown]
# The colours keep the three apart: red are the balls, green is oneself, blue the food. So the error
# can be told by colour, too. It is drawn as a share of the variance: 1 would be a model that always
# draws the mean picture.

# %%
versions = {"as seen": None, "bottom anew": "bottom", "top anew": "top", "both anew": "both"}
shades = dict(zip(versions, (GREY, ORANGE, BLUE, "black"), strict=True))
colours = {"oneself (green)": 1, "balls (red)": 0, "food (blue)": 2}
figure, axis = plt.subplots(figsize=(9.5, 3))
for place, (name, level) in enumerate(versions.items()):
    wrong = (picture(level) - real)[:, 1:].square().mean((0, 1, 3, 4))
    share = wrong / real[:, 1:].var((0, 1)).mean((1, 2))
    share = [float(share[channel]) for channel in colours.values()]
    axis.bar(np.arange(3) + 0.2 * place - 0.3, share, 0.18, color=shades[name], label=name)
    print(f"{name:>12}:", *(f"{k} {x:.2f}" for k, x in zip(colours, share, strict=True)))
axis.axhline(1, color="0.7", linewidth=1)
axis.set_xticks(range(3), list(colours))
axis.set(ylabel="error / variance of the colour", ylim=(0, 1.25))
_ = axis.legend(fontsize=9, ncols=4, loc="upper left")

# %% [markdown]
# The bright ball is there, and oneself. The pale ball and the food are not: for those the model
# draws the mean picture. It finds one thing after another: at step 35,000 this agent saw the bright
# ball alone. When it found itself, image loss and KL moved in the log, but no number there says
# what was found, and what is still missing. So look at pictures, colour by colour, before you ask a
# latent anything.
#
# With either level drawn anew the ball stays nearly where it is, because h foresees it. Oneself is
# lost from both levels, more from the bottom one: no level of this agent is "oneself".
#
# **Think.** What would the bars look like if one level were "the balls" and the other "oneself"?
# **Change.** Take `moments` from 0 on: what does h know at the first step?

# %% [markdown]
# ## 7. A probe that cheats
#
# A linear probe asks whether a factor can be read off a latent: a ridge regression learns on one
# part of the rows and is judged on the rest. Which rest? Here the targets are *nonsense*: numbers
# that drift slowly through each episode, made by a random generator that has never seen the world.
# Nothing can know them. Twelve of the episodes are used. Left: one target over two of them, and
# what a probe of [h, z] says of it, judged on held-out *steps* and on held-out *episodes* (exercise
# 4.15). Middle and right: R².

# %%
chance = np.random.default_rng(0)
episodes, length = 40, 99  # without the first rows, to which no action led
episode = np.repeat(np.arange(episodes), length)
states, latents = h[:, 1:].flatten(0, 1).numpy(), z[:, 1:].flatten(0, 1)
codes = latents.argmax(-1).numpy()
features = {
    "z_top": latents[:, :n_top].flatten(1).numpy(), "z": latents.flatten(1).numpy(),
    "h": states, "h, z": np.concatenate([states, latents.flatten(1).numpy()], 1),
}  # fmt: skip


def ridge(x, y, fold, penalty=1e-2):
    """What a linear probe says of every row, having learned from the other folds. (N, Y)"""
    said = np.empty_like(y)
    for number in range(fold.max() + 1):
        learn = fold != number
        mean, std = x[learn].mean(0), np.maximum(x[learn].std(0), 1e-3)
        inputs, middle = (x - mean) / std, y[learn].mean(0)
        gram = inputs[learn].T @ inputs[learn] + penalty * learn.sum() * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, inputs[learn].T @ (y[learn] - middle))
        said[~learn] = middle + inputs[~learn] @ weights
    return said


def r_squared(y, said):
    """Share of the variance that is predicted, of each target. (Y,)"""
    return 1 - ((y - said) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)


few = slice(12 * length)  # twelve episodes: the fewer, the more there is to learn by heart
nonsense = np.zeros((episodes, length, 20))
nonsense[:, 0] = chance.normal(size=(episodes, 20))
for t in range(1, length):  # a variance of 1, and a memory of 50 steps
    step = chance.normal(size=(episodes, 20))
    nonsense[:, t] = 0.98 * nonsense[:, t - 1] + np.sqrt(1 - 0.98**2) * step
nonsense = nonsense.reshape(-1, 20)[few]
truth = {name: x[:, 1:].reshape(len(episode), -1) for name, x in played.factors.items()
         if name != "action"}  # fmt: skip
splits = {
    "held-out steps": (chance.permutation(len(nonsense)) % 4, RED),
    "held-out episodes": (v4.probes.episode_folds(episode[few], 4, chance), BLUE),
}
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.5), width_ratios=[1.5, 1, 1])
axes[0].plot(nonsense[: 2 * length, 0], color="0.7", linewidth=3, label="nonsense")
axes[0].axvline(length, color="0.7", linewidth=1, linestyle=":")
for place, (name, (fold, color)) in enumerate(splits.items()):
    axes[0].plot(ridge(features["h, z"][few], nonsense, fold)[: 2 * length, 0], color=color,
                 linewidth=1, label=name)  # fmt: skip
    found = [r_squared(nonsense, ridge(x[few], nonsense, fold)).mean() for x in features.values()]
    said = [ridge(features["h, z"][few], y[few], fold) for y in truth.values()]
    real_ones = [r_squared(y[few], x).mean() for y, x in zip(truth.values(), said, strict=True)]
    for axis, bars in zip(axes[1:], (found, real_ones), strict=True):
        axis.bar(np.arange(len(bars)) + 0.4 * place - 0.2, bars, 0.36, color=color, label=name)
    for kind, names, bars in (("nonsense", features, found), ("factors", truth, real_ones)):
        said = ", ".join(f"{k} {x:.2f}" for k, x in zip(names, bars, strict=True))
        print(f"{name:>17}, {kind:>8}: {said}")
axes[0].set(xlabel="row", title="a target that nobody can know")
axes[0].legend(fontsize=8, loc="lower left")
axes[1].set_xticks(range(4), features)
axes[1].set(ylabel="R²", title="nonsense, 20 of them, mean")
axes[2].set_xticks(range(5), [name.split("/")[1] for name in truth], rotation=30)
axes[2].set(title="true factors, from [h, z]", ylim=(None, 1))
for axis in axes[1:]:
    axis.axhline(0, color="black", linewidth=1)
_ = axes[1].legend(fontsize=8, loc="lower left")

# %% [markdown]
# Judged on held-out steps, a probe of h seems to foretell numbers that have nothing to do with
# anything: the rows just before and after were in its training part, where h and the nonsense were
# almost what they are now. On held-out episodes its R² is below 0, worse than a guess of the mean,
# which is right. z alone does not leak here: it changes at every step and has few units. With true
# factors the leak is the difference of the bars, and nobody would notice it: the motion of the
# balls seems to be half known, and from twelve episodes it cannot be read at all.
#
# And look at oneself, on the right: position and velocity are known best, although a single picture
# shows no velocity. h is told of every *action*, and adds them up.
#
# **Think.** What is the R² of a nonsense target that does not drift, but is drawn anew at each
# step? **Change.** Let `penalty` be 1e-5, and 1. Which of the bars move?

# %% [markdown]
# ## 8. Information out of nothing
#
# Mutual information asks for any relation, not only a linear one. But it is estimated from counts,
# and counts are noisy: a code with 32 classes and a factor in 8 bins make 256 cells, and chance
# never fills them as independence would. Left: codes and factors that have nothing to do with each
# other, so that the truth is 0. Middle: the same, but both change slowly, staying as they are with
# a probability of 0.95, in 40 episodes of 100 steps. (Exercises 4.16 and 4.17.)

# %%
chance = np.random.default_rng(0)


def plug_in(x, y):
    """I(x; y) by frequencies, without a correction, nats."""
    table = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(table, (x, y), 1 / len(x))
    independent = table.sum(1, keepdims=True) * table.sum(0)
    cells = table > 0
    return float((table[cells] * np.log(table[cells] / independent[cells])).sum())


def slow(classes, stay=0.95):
    """A code that seldom changes, in 40 episodes of 100 steps. (4000,)"""
    found = chance.integers(classes, size=(40, 100))
    for t in range(1, 100):
        keep = chance.random(40) < stay
        found[keep, t] = found[keep, t - 1]
    return found.ravel()


information = v4.probes.mutual_information
sizes = [100, 200, 400, 1000, 2000, 4000, 10_000]
found = np.zeros((2, len(sizes)))
for place, size in enumerate(sizes):
    for _ in range(20):
        pair = chance.integers(32, size=size), chance.integers(8, size=size)
        found[:, place] += np.array([plug_in(*pair), information(*pair)]) / 20
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.5), width_ratios=[1, 1, 1.5])
axes[0].semilogx(sizes, found[0], "o-", color=RED, markersize=4, label="by frequencies")
axes[0].semilogx(sizes, [31 * 7 / (2 * n) for n in sizes], ":", color="black", linewidth=1,
                 label="31 · 7 / 2N")  # fmt: skip
axes[0].semilogx(sizes, found[1], "o-", color=BLUE, markersize=4, label="yours: Miller–Madow")
axes[0].axhline(0, color="0.7", linewidth=1)
axes[0].set(xlabel="rows N", ylabel="I (nats); the truth is 0", ylim=(-0.1, 1.2))
axes[0].legend(fontsize=8)
for n, before, after in zip(sizes, *found, strict=True):
    print(f"N {n:>6,}: by frequencies {before:.3f}, corrected {after:+.3f} nats")

numbered, bars = np.repeat(np.arange(40), 100), np.zeros((4, 10))
for k in range(10):
    code, factor = slow(32), slow(8)
    steps = [information(code, chance.permutation(factor)) for _ in range(50)]
    floor = v4.probes.permutation_floor(code, factor, numbered, chance, 50)
    bars[:, k] = plug_in(code, factor), information(code, factor), np.mean(steps), floor
names = ["by\nfrequencies", "corrected", "floor:\nsteps", "floor:\nepisodes"]
axes[1].bar(range(4), bars.mean(1), 0.6, color=[RED, BLUE, "0.75", GREEN])
axes[1].axhline(0, color="black", linewidth=1)
axes[1].set_xticks(range(4), names, fontsize=8)
axes[1].set_title("slow, and independent")
for name, x in zip(names, bars.mean(1), strict=True):
    print(f"slow, {' '.join(name.split()):>15}: {x:.3f} nats")
print(f"slow, corrected, minus the floor of episodes: {(bars[1] - bars[3]).mean():+.3f} nats")

binned = {f"{name}[{i}]": v4.probes.quantile_bins(y[:, i]) for name, y in truth.items()
          for i in range(y.shape[1])}  # fmt: skip
shares = np.array([
    [(information(code, y) - v4.probes.permutation_floor(code, y, episode, chance, 20))
     / v4.probes.entropy(y) for y in binned.values()] for code in codes.T
])  # fmt: skip
image = axes[2].imshow(shares, cmap="Blues", vmin=0, aspect="auto")
axes[2].axhline(n_top - 0.5, color=RED, linewidth=1.5)
axes[2].set_xticks(range(len(binned)), binned, rotation=90, fontsize=7)
axes[2].set(yticks=range(config.stoch), title="the agent: I / H(factor)")
axes[2].set_ylabel("categorical; top above the line")
figure.colorbar(image, ax=axes[2], pad=0.02)
for name, part in (("top", shares[:n_top]), ("bottom", shares[n_top:])):
    said = ", ".join(f"{k} {x:.2f}" for k, x in zip(binned, part.max(0), strict=True))
    print(f"{name}, its best categorical: {said}")

# %% [markdown]
# By frequencies, a hundred rows tell of one nat where there is none. The correction takes off the
# first order of the bias; where there are fewer rows than cells much is left, and it needs about a
# thousand rows here. Slow codes are worse: 4,000 rows, and still 0.4 nats out of nothing, because
# 40 episodes of slow codes are few independent looks at them. A floor of shuffled *steps* is near
# 0, and would let all of it pass for knowledge. The floor of shuffled *episodes* is as high as what
# is measured, and the difference near 0.
#
# The agent's map is above its floor where the bright ball is, and where oneself is. Both levels
# have both, and no categorical has one of them for itself.
#
# **Think.** A code and a factor that both stay the same for a whole episode: what is the floor, if
# the code knows the factor perfectly? **Change.** Let `stay` be 0.5, and 0.99.

# %% [markdown]
# ## 9. Is it real?
#
# The claim that one would like to make: the top level holds what is about oneself, the bottom one
# the world. The factorisation index (exercise 4.18) puts it into a number between −1 and 1. But
# *any* categoricals that are dealt out to a group of 3 and one of 5 have some index. So here are 60
# random ways to deal out the eight that this agent has. If its own levels are not far out among
# them, then its hierarchy is one of names.

# %%
chance = np.random.default_rng(0)
fold = v4.probes.episode_folds(episode, 4, chance)
every = np.concatenate(list(truth.values()), 1)
owner = [name for name, y in truth.items() for _ in range(y.shape[1])]


def known(x, y=every):
    """{factor: R²} of a linear probe, judged on held-out episodes; mean over its numbers."""
    scores = r_squared(y, ridge(x, y, fold))
    return {name: float(np.mean([s for s, o in zip(scores, owner, strict=True) if o == name]))
            for name in truth}  # fmt: skip


def one_hot(numbers):
    return latents[:, list(numbers)].flatten(1).numpy()


def index_of(top):
    """Factorisation index, if these categoricals were the top level."""
    rest = [k for k in range(config.stoch) if k not in top]
    return v4.probes.factorisation_index(known(one_hot(top)), known(one_hot(rest)))


own = list(range(n_top))
mine = index_of(own)
deals = [index_of(chance.permutation(config.stoch)[:n_top]) for _ in range(60)]
shuffled = every[v4.probes.shuffle_episodes(episode, chance)]
readings = {
    "z_top": (known(one_hot(own)), BLUE),
    "z_bottom": (known(one_hot(range(n_top, config.stoch))), ORANGE),
    "h": (known(states), "0.6"),
    "z, shuffled targets": (known(features["z"], shuffled), "black"),
}
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), width_ratios=[1.7, 1])
for place, (name, (scores, color)) in enumerate(readings.items()):
    axes[0].bar(np.arange(5) + 0.2 * place - 0.3, scores.values(), 0.18, color=color, label=name)
    print(f"{name:>19}:", *(f"{k} {x:.2f}," for k, x in scores.items()))
axes[0].axhline(0, color="black", linewidth=1)
axes[0].set_xticks(range(5), truth, fontsize=9)
axes[0].set(ylabel="R² on held-out episodes", ylim=(-0.25, 1.05))
axes[0].legend(fontsize=8, ncols=2, loc="upper right")
axes[1].hist(deals, bins=14, color="0.75")
axes[1].margins(y=0.25)
axes[1].axvline(mine, color=RED, label="this agent's levels")
axes[1].set(xlabel="factorisation index", ylabel="of 60 random dealings")
axes[1].locator_params(axis="x", nbins=5)
axes[1].legend(fontsize=8, loc="upper left")
print(f"index of its own levels {mine:+.3f}; random dealings: mean {np.mean(deals):+.3f}, ", end="")
print(f"{min(deals):+.3f} to {max(deals):+.3f}; {sum(x > mine for x in deals)} of 60 are higher")

# %% [markdown]
# Both levels of this agent know something of the ball, and something of where oneself is; the
# bottom one more of the latter, which is the opposite of the claim. But dealing the same
# categoricals out at random gives such numbers, too, on both sides of 0: whichever happens to carry
# more makes an index. It would be an error to call its value a sign of sorting, or of the reverse.
#
# And had h been probed along with z, both levels would have known oneself, and its velocity, too,
# of which z has nothing. That is why h must be left out.
#
# One agent, one seed: nothing follows from it for hDreamer. The comparison over seeds, with a flat
# model beside it and one of as many parameters, is made by `solutions/paper4_hdreamer/compare.py`,
# and its page is [docs/results/hdreamer/gridworld.md](../docs/results/hdreamer/gridworld.md).
#
# **Think.** What index would you demand before you believe in sorting, and of how many seeds?
# **Change.** Make a factorised model by hand: replace the codes of the top level by the true ego
# position in 16 bins. Does the index notice?
#
# ## 10. What comes next
#
# - Train your own: `python train.py --borrow task=gridworld` in this folder, then
#   `python -m solutions.paper4_hdreamer.analyse probes checkpoint=runs/NAME`.
# - The questions and experiments at the end of [the guide](README.md).
# - A hierarchy can live elsewhere: in slower clocks, in goals, in tokens.
