# %% [markdown]
# # DreamerV2 in pictures
#
# Chapter 1 took a trained agent apart. This is its successor, and most of this page is about what
# was exchanged: Normal latents for categories, one KL for a balanced one, the gradient of a dream
# for trial and error. **The code that runs here is yours.** What you have not written yet is lent
# by the reference, and the first cell says which exercises that are. If a picture looks wrong,
# grade the exercises named in its section: `course grade 2.9`.
#
# Run the cells from top to bottom; it takes about a minute. Every section ends with something to
# think about or to change. You can break nothing: this page is made from `walkthrough.py`, and
# `python -m course.notebooks`, run in the project's folder, brings it back to its first state.

# %%
import itertools
import json

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

import course
from dreamkit.collect import Collector, evaluate
from dreamkit.envs import make, make_many

v2 = course.code("paper2_dreamerv2")  # your networks, rssm, actor_critic and train
torch.set_num_threads(1)

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "0.45"
plt.rcParams |= {
    "figure.figsize": (9.5, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True,
    "font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "lines.linewidth": 1.8, "image.cmap": "gray",
}  # fmt: skip

# %% [markdown]
# The agent in `cartpole.safetensors`, beside this page, was made by two commands in the project's
# folder. The first trains for about a minute, until the pole stays up.
#
#     dreamer-train agent=dreamerv2 task=cartpole_pixels seed=0 until=475 run=runs/pixels2
#     python -m course.notebooks --checkpoint runs/pixels2 paper2_dreamerv2/cartpole.safetensors

# %%
with safe_open("cartpole.safetensors", "pt") as file:
    about = file.metadata()
    weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

task = json.loads(about["task"])
env = make(**task)
config = v2.train.Config(**json.loads(about["agent"]))
agent = v2.train.Agent(env.observation_space.spaces, env.action_space, config)
agent.modules.load_state_dict(weights)
agent.updates = int(about["updates"])
model, rssm = agent.world_model, agent.world_model.rssm
print(f"{task['name']}: {int(about['step']):,} steps in the environment, {agent.updates} updates")
print(f"return when it was saved: {float(about['return']):.0f}, mean of 20 episodes of 500 steps")
scores = evaluate(agent, lambda: make(**task), episodes=4, seed=7)["scores"]
print("four more episodes, played now:", *(f"{x:.0f}" for x in scores))
print(f"{sum(x.numel() for x in weights.values()):,} parameters; a state of", end=" ")
print(f"{config.rnn_hidden_dim} numbers and {config.num_categoricals} categories", end=" ")
print(f"of {config.num_categories} classes")

# %% [markdown]
# ## 1. What changed
#
# | | V1 | V2 | here |
# |---|---|---|---|
# | latent `z` | Normals | categories, one-hot | section 2, 3, 6 |
# | KL | one term, free nats | two shares, the prior's is larger | section 4 |
# | actor, buttons | none: this course's V1 refuses them | REINFORCE | section 7 |
# | actor, continuous | tanh of a Normal | truncated Normal | exercises 2.12, 2.13 |
# | critic's target | its own predictions | a slow copy's | exercise 2.18 |
#
# The world is the one of chapter 1, but with two buttons: full push left, full push right. Below
# the pushes are random, each held for five steps, so the pole falls. The state still has a part
# `h` that remembers; `z` is now a row of eight dice with eight sides. The posterior (after the
# picture) and the prior (before it) say how each die is loaded. (Exercises 2.3 – 2.6.)


# %%
def play(steps, seed, envs=16, hold=5):
    """Episodes of random pushes, each held for some steps: a list of {name: (rows, ...)}."""
    chance = np.random.default_rng(seed)
    collector = Collector(make_many(envs, **task), seed)
    rows = [[] for _ in range(envs)]
    for step in range(steps):
        if step % hold == 0:
            pushes = np.eye(2, dtype=np.float32)[chance.integers(2, size=envs)]
        collector.step(pushes, {}, lambda n, row, _: rows[n].append(row))
    episodes, current = [], []
    for row in sum(rows, []):
        current = [row] if row["is_first"] else [*current, row]
        if row["is_last"]:
            episodes.append({name: np.array([r[name] for r in current]) for name in row})
    return episodes


def sample(count, length, chance):
    """Sequences (count, length, ...) of rows, each from inside one episode."""
    long = [e for e in episodes if len(e["reward"]) >= length]
    pieces = []
    for number in chance.integers(len(long), size=count):
        first = chance.integers(len(long[number]["reward"]) - length + 1)
        pieces.append({name: x[first : first + length] for name, x in long[number].items()})
    return {name: np.stack([piece[name] for piece in pieces]) for name in pieces[0]}


def watch(rows):
    """Filter sequences of rows (B, T, ...): the model's states, their features, the rows."""
    torch.manual_seed(0)
    rows = agent.prepare(rows)
    with torch.no_grad():
        embeds = model.encoder(rows)
        states = rssm.rollout_observation(embeds, rows["action"], rows["is_first"])
    return states, v2.rssm.get_feature(states["h"], states["z"]), rows


def filmstrip(axis, pictures, every=1, name=""):
    """Pictures (T, 1, S, S) side by side, each at its time step; their empty sides are cut off."""
    for t in range(0, len(pictures), every):
        edges = (t - 0.46 * every, t + 0.46 * every, 0, 1)
        axis.imshow(pictures[t, 0, :, 6:-6], extent=edges, aspect="auto", vmin=0, vmax=255)
    axis.set(yticks=[], xlim=(-every / 2, len(pictures) - 1 + every / 2), ylim=(0, 1))
    axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axis.tick_params(bottom=False)
    axis.spines[:].set_visible(False)


episodes = play(steps=400, seed=2)
lengths = [len(episode["reward"]) for episode in episodes]
print(f"{len(lengths)} episodes of {min(lengths)} to {max(lengths)} rows")
episode = min(episodes, key=lambda e: abs(len(e["reward"]) - 31))
states, feature, rows = watch({name: x[None] for name, x in episode.items()})
with torch.no_grad():
    goes_on, value = model.predict(feature)[1][0], agent.critic(feature)[0]

heights = [1.3, 2.4, 2.4, 1.0, 1.0]
figure, axes = plt.subplots(5, 1, figsize=(9.5, 7.6), sharex=True, height_ratios=heights)
filmstrip(axes[0], episode["image"], 3, "picture")
for axis, side in ((axes[1], "prior"), (axes[2], "post")):
    chances = states[f"{side}_logits"][0].softmax(-1)  # (T, S, K)
    image = axis.imshow(
        chances.flatten(1).T, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest"
    )
    for edge in range(8, 64, 8):
        axis.axhline(edge - 0.5, color=BLUE, linewidth=0.8)
    axis.set(yticks=np.arange(3.5, 64, 8), yticklabels=range(1, 9))
    axis.tick_params(axis="y", length=0, labelsize=8)
    axis.set_ylabel("prior (before)\ndie" if side == "prior" else "posterior (after)\ndie")
figure.colorbar(image, ax=axes[1:3], label="probability", pad=0.01, ticks=[0, 0.5, 1])
axes[3].plot(goes_on, color=GREEN)
axes[3].set(ylabel="continue × γ", ylim=(0, 1.05))
axes[4].plot(value, color=BLUE)
axes[4].set(ylabel="value", xlabel="time step", ylim=(0, None))
figure.align_ylabels()
same = (states["post_logits"].argmax(-1) == states["prior_logits"].argmax(-1)).float().mean()
print(f"prior and posterior agree on the likeliest class in {same:.0%} of all cases")
print(f"continue × γ: {goes_on[:20].mean():.2f} over 20 steps, {goes_on[-1]:.2f} at the last row")
print(f"value: {value.max():.0f} at most, {value[-1].abs():.0f} at the last row; ", end="")
print(f"possible: 1 / (1 − γ) = {1 / (1 - config.gamma):.0f}")

# %% [markdown]
# Each band between two blue lines is one die; a black stripe is a class that is certain.
#
# In most steps the prior has foreseen which class the picture will choose.
#
# **Think.** Eight dice with eight sides have 8⁸ ≈ 17 million joint outcomes, that is 24 bits. The
# paper (arXiv:2010.02193) has 32 dice with 32 sides. What could one die of 32 · 32 sides not do?
# And why is the value so far below what is possible, while the agent holds the pole for 500 steps?
# (Count how often the slow critic was copied in so few updates, and how long a dream is.)

# %% [markdown]
# ## 2. A gradient through a roll of the dice
#
# A sample is exactly one-hot, and has no slope. The straight-through trick gives it the slope of
# its probabilities: `z + p − sg(p)` (Algorithm 1 of the paper; exercise 2.1). How good is that?
# With one die of four sides everything can be computed. Its sides carry the numbers −1.5, −0.5,
# 0.5, 1.5; let x = z · sides be the number that was rolled and f(x) the loss. The exact gradient
# of the *expected* f is a sum of four terms. The bars beside it are straight-through's: the mean of
# 20,000 samples, with two standard errors.

# %%
sides = torch.tensor([-1.5, -0.5, 0.5, 1.5])
logits = torch.tensor([0.5, 1.0, -0.5, 0.0])
losses = {
    "f = x": lambda x: x,
    "f = (x − 1)²": lambda x: (x - 1) ** 2,
    "f = cos 4x": lambda x: torch.cos(4 * x),
}


def straight_through(loss, count=20_000):
    """Gradients (count, 4) of the loss of single samples, with respect to the logits."""
    many = logits.expand(count, -1).clone().requires_grad_()
    return torch.autograd.grad(loss(v2.networks.sample_one_hot(many) @ sides).sum(), many)[0]


torch.manual_seed(0)
roll = v2.networks.sample_one_hot(logits.expand(5, -1))
print("five samples:", *(f"{row.tolist()}" for row in roll.int()))
figure, axes = plt.subplots(1, 3, sharex=True)
for axis, (name, loss) in zip(axes, losses.items(), strict=True):
    leaf = logits.clone().requires_grad_()
    exact = torch.autograd.grad(leaf.softmax(0) @ loss(sides), leaf)[0]
    single = straight_through(loss)
    mean, error = single.mean(0), single.std(0) / len(single) ** 0.5
    axis.bar(np.arange(4) - 0.2, exact, 0.38, color="0.75", label="exact")
    axis.bar(np.arange(4) + 0.2, mean, 0.38, yerr=2 * error, color=BLUE, label="straight-through")
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(title=name, xticks=range(4), xticklabels=[f"{x:g}" for x in sides])
    axis.set_xlabel("logit of the side")
    cosine = F.cosine_similarity(mean, exact, dim=0)
    print(
        f"{name:>12}: bias {(mean - exact).norm() / exact.norm():.2f} of the exact length; ", end=""
    )
    print(f"cosine {cosine:+.2f}; std of one sample {single.std(0).norm():.2f}")
axes[0].set_ylabel("d E[f] / d logit")
axes[0].legend(loc="upper left", fontsize=9)
figure.get_layout_engine().set(w_pad=0.08)

# %% [markdown]
# For a straight line the estimator is right, and in every single sample. The parabola gives it a
# bias of half the gradient's length: one side of four gets a wrong sign, another twice its slope.
# Straight-through asks for the slope *at* the side that was rolled, but the truth depends on the
# differences *between* sides. Where the loss swings between two sides, the slope knows nothing of
# them: the last cosine is about zero.
#
# **Think.** f is known at four points only, and through four points one can always draw a function
# that is linear in z, `z @ table`. It has the same expectation. What is its straight-through
# gradient? So what exactly does the bias depend on? **Change.** Make the cosine slower: cos x.

# %% [markdown]
# ## 3. Which classes are used?
#
# A new world model, trained from nothing on the pushes above. Before and during training it looks
# at the same 64 sequences. Two numbers tell how a die is used, both from 1 to 8. *In use* is how
# many classes appear at all: exp of the entropy of the mean probabilities. *In doubt* is how many
# still seem possible once the picture is seen: exp of the mean entropy. The log of their ratio is
# what a die tells about the situation. (Exercises 2.8, 2.9, 2.19 and 2.22 at work.)

# %%
updates, looks = 192, [0, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 160, 192]
chance, history = np.random.default_rng(0), []
probe = sample(64, 16, chance)
torch.manual_seed(0)
young = v2.train.Agent(env.observation_space.spaces, env.action_space, config)
for update in range(updates + 1):
    if update in looks:
        history.append(young.latent_statistics(probe))
    if update < updates:
        young.train_world_model(sample(8, 16, chance))


def classes(probs):
    """exp of the entropy: how many classes, (..., K) → (...)"""
    return np.exp(-(probs * np.log(probs.clip(1e-12))).sum(-1))


usage = np.array([x["probs"].mean((0, 1)) for x in history])  # (looks, S, K)
used = classes(usage)
doubt = np.array([np.exp(np.log(classes(x["probs"])).mean((0, 1))) for x in history])
told = np.log(used / doubt)  # nats, each die by itself
news = np.array([x["kl"].mean((0, 1)) for x in history])

figure, axes = plt.subplots(1, 3, figsize=(9.5, 4.0), width_ratios=[1.25, 1, 1])
ordered = -np.sort(-usage, -1)  # in each die the commonest class first
image = axes[0].imshow(
    ordered.reshape(len(looks), -1).T, aspect="auto", cmap="viridis", vmin=0, vmax=0.5
)
for edge in range(8, 64, 8):
    axes[0].axhline(edge - 0.5, color="white", linewidth=1)
axes[0].set(yticks=np.arange(3.5, 64, 8), yticklabels=range(1, 9), ylabel="die")
axes[0].set(xticks=range(0, len(looks), 2), xticklabels=looks[::2], xlabel="updates")
axes[0].tick_params(length=0)
figure.colorbar(image, ax=axes[0], label="share of a class, commonest first", extend="max")
axes[1].plot(looks, used, color=BLUE, alpha=0.25, linewidth=1)
axes[1].plot(looks, doubt, color=ORANGE, alpha=0.25, linewidth=1)
axes[1].plot(looks, used.mean(1), color=BLUE, label="in use")
axes[1].plot(looks, doubt.mean(1), "--", color=ORANGE, label="in doubt")
axes[1].set(xlabel="updates", ylabel="classes of a die", ylim=(1, 8.2))
axes[2].plot(looks, told.sum(1), color=GREEN, label="told by the eight dice,\neach by itself")
axes[2].plot(looks, news.sum(1), "--", color=RED, label="KL(posterior ‖ prior)")
axes[2].axhline(config.free_nats, color="0.7", linewidth=1, zorder=0, label="free nats")
axes[2].set(xlabel="updates", ylabel="nats, sum of 8 dice", ylim=(0, 6.5))
for axis in axes[1:]:
    axis.legend(fontsize=9)
for k in map(looks.index, (0, 8, 48, 96, 192)):
    print(f"after {looks[k]:3} updates: {used[k].mean():.1f} classes in use, ", end="")
    print(f"{doubt[k].mean():.1f} in doubt; told {told[k].sum():4.1f} nats, KL {news[k].sum():.1f}")
trained = agent.latent_statistics(probe)["probs"]
before, after = classes(trained.mean((0, 1))), np.exp(np.log(classes(trained)).mean((0, 1)))
print(f"the agent of the file: {before.mean():.1f} in use, {after.mean():.1f} in doubt; ", end="")
print("each die in use:", *(f"{x:.1f}" for x in before))

# %% [markdown]
# At first every die is nearly fair, whatever it sees. Then, within eight updates, the dice fall to
# favourite classes, whatever they see: fewer are in use, just as many in doubt, so nothing is told.
# The KL has a peak in this moment, and what follows takes most of it back. Only after about 50
# updates do the two lines part: the dice begin to speak. At the end a die uses between three and
# four classes on average, and the picture leaves it two. The agent of the file has gone a little
# further, with other data.
#
# **Think.** At the end the dice tell several times more about the situation than the KL has to pay
# for. Who told the prior? (And is some of it told twice, by two dice?) **Change.** Train without
# free nats: give `young` the configuration `dataclasses.replace(config, free_nats=0.0)`.

# %% [markdown]
# ## 4. KL balancing: one value, two gradients
#
# The KL has two sides, and wants two different things: a prior that predicts better, and a
# posterior that is easier to predict. Early on the prior is bad, and a posterior that follows it
# forgets what it saw. So V2 splits the KL into two terms with stop-gradients (sg), α = 0.8:
#
#     α · KL(sg(posterior) ‖ prior)  +  (1 − α) · KL(posterior ‖ sg(prior))
#
# (Algorithm 2; `kl_loss` in nets.py of danijar/dreamerv2; your 2.8 and 2.9.) Both terms are the
# *same* divergence in the same direction. Often it is told otherwise, with the second term turned
# round, KL(prior ‖ posterior). On the left both versions are computed for 100 random pairs of dice
# (posteriors sharper than priors); on the right are the lengths of the gradients, divided by those
# of the plain KL.

# %%
torch.manual_seed(0)
alphas = torch.linspace(0, 1, 11)
post, prior = (scale * torch.randn(100, 1, 1, 8) for scale in (3.0, 1.0))


def gradients(loss):
    """Value of loss(post, prior), and its gradients with respect to both."""
    leaves = [x.clone().requires_grad_() for x in (post, prior)]
    value = loss(*leaves)
    return value.detach(), *torch.autograd.grad(value, leaves)


plain = gradients(lambda p, q: v2.rssm.kl_divergence(p, q).mean())
turned = float(v2.rssm.kl_divergence(prior, post).mean())
found = [
    gradients(lambda p, q, alpha=float(alpha): v2.rssm.kl_loss(p, q, alpha, 0.0)[0])
    for alpha in alphas
]
values = np.array([float(x[0]) for x in found])
shares = {
    "posterior": np.array([float(x[1].norm() / plain[1].norm()) for x in found]),
    "prior": np.array([float(x[2].norm() / plain[2].norm()) for x in found]),
}
figure, (left, right) = plt.subplots(1, 2)
left.plot(alphas, values, "o-", color="black", markersize=4, label="V2: same direction twice")
mixed = alphas * values[0] + (1 - alphas) * turned
left.plot(alphas, mixed, "--", color=RED, label="second term turned round")
left.set(
    xlabel="α", ylabel="loss (nats), mean of 100 pairs", ylim=(0, 1.1 * max(turned, values[0]))
)
left.legend(loc="lower left")
right.plot(alphas, shares["prior"], "s-", color=ORANGE, markersize=4, label="to the prior")
right.plot(alphas, shares["posterior"], "o-", color=BLUE, markersize=4, label="to the posterior")
right.axvline(0.8, color="0.8", linewidth=1, zorder=0)
right.set(xlabel="α", ylabel="gradient, as a part of the plain KL's")
right.legend(loc="upper center")
print(f"plain KL(posterior ‖ prior) {float(plain[0]):.4f} nats; turned round {turned:.4f}")
print(f"V2's loss over all α: from {values.min():.4f} to {values.max():.4f} nats")
for k in (5, 8, 10):
    to_prior, to_post = shares["prior"][k], shares["posterior"][k]
    print(f"α = {alphas[k]:.1f}: the prior gets {to_prior:.3f} of the plain gradient, ", end="")
    print(f"the posterior {to_post:.3f}")

# %% [markdown]
# The value of V2's loss is the same for every α, and the gradient is split: α for the prior, 1 − α
# for the posterior. The version that is turned round is another function.
#
# What does it do? Nothing but the KL moves the logits now, by gradient descent, from random starts.
# A die with three sides is a point in a triangle: each corner is a class that is certain, the
# middle is a fair die.

# %%
corners = torch.tensor([[0, 0], [1, 0], [0.5, 0.75**0.5]])
torch.manual_seed(3)
begin = [1.6 * torch.randn(5, 1, 1, 3) for _ in range(2)]  # posteriors, priors
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4))
for axis, alpha in zip(axes, (0.5, 0.8, 1.0), strict=True):
    pair, paths = [x.clone().requires_grad_() for x in begin], []
    for _ in range(400):
        paths.append([x.detach().softmax(-1)[:, 0, 0] for x in pair])
        loss = v2.rssm.kl_loss(*pair, alpha, 0.0)[0] * len(begin[0])
        slopes = torch.autograd.grad(loss, pair)
        both = zip(pair, slopes, strict=True)
        pair = [(x - 0.2 * slope).detach().requires_grad_() for x, slope in both]
    posts, priors = (torch.stack(x) for x in zip(*paths, strict=True))  # (steps, pairs, 3)
    axis.fill(*corners.T, facecolor="0.97", edgecolor="0.6", linewidth=1)
    for path, color in ((priors @ corners, ORANGE), (posts @ corners, BLUE)):
        axis.plot(path[..., 0], path[..., 1], color=color)
        axis.plot(*path[0].T, "o", color=color, markersize=6)
        axis.plot(*path[-1].T, "o", color="black", markersize=3)
    axis.set(title=f"α = {alpha:g}", aspect="equal", xticks=[], yticks=[])
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 0.88))
    axis.spines[:].set_visible(False)
    moved = [0.5 * (x[-1] - x[0]).abs().sum(-1).mean() for x in (posts, priors)]
    print(f"α = {alpha:g}: posteriors moved {moved[0]:.2f}, priors {moved[1]:.2f} ", end="")
    print("(mean change in total variation, 0 to 1)")
handles = [axes[0].plot([], [], "o-", color=c)[0] for c in (BLUE, ORANGE)]
handles.append(axes[0].plot([], [], "o", color="black", markersize=3)[0])
names = ("posterior", "prior", "after 400 steps")
_ = figure.legend(handles, names, ncols=3, loc="outside lower center")

# %% [markdown]
# With α = 0.5 the two meet about half-way; with 0.8 the prior makes most of the way; with 1 the
# posterior does not move at all. All pairs end in agreement, or nearly: what α decides is *where*.
# On Atari the paper's ablation (Table 2, clipped record mean) has 0.25 with balancing and 0.16
# without.
#
# **Think.** Why not α = 1? Nothing would keep the posterior from telling what no prior can foresee.
# And why can balancing not be had by a larger learning rate for the prior's layers alone, with the
# plain KL? (Whom else does the gradient of the prior reach? `h`.)

# %% [markdown]
# ## 5. Imagined against real
#
# As in chapter 1: the model sees five pictures, then only the actions that were really taken, and
# goes on by itself for 15 steps. (Exercise 2.7.)

# %%
context, ahead = 5, config.imagination_horizon
batch = sample(64, context + ahead, np.random.default_rng(1))
torch.manual_seed(0)
views = agent.dream(batch, context)["image"]  # real, reconstruction, imagination: (B, T, 1, S, S)


def tilt(pictures):
    """Angle of the pole in degrees, read from pictures (..., 1, S, S) between 0 and 1."""
    light = (np.asarray(pictures)[..., 0, :, :] - 0.25).clip(0, 1)

    def column(top, bottom):  # where the light is, on average, between two rows of pixels
        band = light[..., top:bottom, :].sum(-2)
        return (band * np.arange(band.shape[-1])).sum(-1) / band.sum(-1).clip(1e-6)

    return np.degrees(np.arctan((column(5, 10) - column(17, 22)) / 12))


def dreams(rows, context, count):
    """Angles (B, count, ahead) in dreams that see `context` rows, then only the real actions."""
    many = {name: torch.as_tensor(x).repeat_interleave(count, 0) for name, x in rows.items()}
    states, _, many = watch(many)
    start = {name: states[name][:, context - 1] for name in ("h", "z")}
    taken = iter(many["action"][:, context:].unbind(1))
    with torch.no_grad():
        dream = rssm.rollout_imagination(start, lambda _: next(taken), ahead)
        feature = v2.rssm.get_feature(dream["h"], dream["z"])[:, 1:]  # without the start
        pictures = model.decoder(feature)["image"] + 0.5
    return tilt(pictures).reshape(-1, count, ahead)


def show_dream(number):
    figure, axes = plt.subplots(3, 1, figsize=(9.5, 3.6), sharex=True)
    for axis, name in zip(axes, ("real", "reconstruction", "imagination"), strict=True):
        filmstrip(axis, views[name][number, ::2], 1, name.replace("imagination", "dream"))
        axis.axvline(context / 2 - 0.25, color=RED, linewidth=3)
    axes[2].tick_params(bottom=True)
    axes[2].set_xticks(range(10), range(0, 20, 2))
    axes[2].set_xlabel("time step; right of the red line the dream sees no pictures, only actions")


angles = {name: tilt(x / 255) for name, x in views.items()}
error = np.abs(angles["imagination"] - angles["real"]).max(1)
moving = np.ptp(angles["real"][:, context:], 1) > 8  # degrees
order = np.argsort(np.where(moving, error, np.inf))
good, middling = order[0], order[moving.sum() // 2]
print(
    f"{moving.sum()} of 64 sequences move by more than 8°: here the best dream of these, ", end=""
)
print("and a middling one")
show_dream(good)
show_dream(middling)


# %%
def off(angle):
    """Root mean square error of the angle over 64 sequences. (B, ahead) → (ahead,)"""
    return np.sqrt(np.mean((angle - angles["real"][:, context:]) ** 2, 0))


future = dreams(batch, context, 20)  # (64, 20, 15)
curves = {
    "one dream": (off(future[:, 0]), ORANGE, "-"),
    "mean of 20 dreams": (off(future.mean(1)), RED, "-."),
    "last picture stays": (off(angles["real"][:, [context - 1]]), GREY, "--"),
    "reconstruction": (off(angles["reconstruction"][:, context:]), BLUE, "-"),
}
steps = np.arange(1, ahead + 1)
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.7), width_ratios=[1.2, 1, 1])
for name, (curve, color, style) in curves.items():
    axes[0].plot(steps, curve, style, color=color, label=name)
    print(f"{name:>18}:", "  ".join(f"{curve[k - 1]:4.1f}° after {k}" for k in (1, 3, 6, 10, 15)))
lazy, mean = curves["last picture stays"][0], curves["mean of 20 dreams"][0]
print("the mean of 20 beats the lazy forecast after", *steps[mean < lazy], "steps")
axes[0].set(xlabel="steps without a picture", ylabel="error of the angle (degrees, rms)")
axes[0].set_ylim(0, 14)
axes[0].legend(fontsize=9)
cases = ((good, BLUE, "the best dream's sequence"), (middling, ORANGE, "the middling one's"))
for axis, (number, color, name) in zip(axes[1:], cases, strict=True):
    axis.plot(context + np.arange(ahead), future[number].T, color=color, alpha=0.35, linewidth=1)
    axis.plot(angles["real"][number], color="black", linewidth=2.5)
    axis.axvspan(-0.5, context - 0.5, color="0.93", zorder=0)
    axis.set(title=name, xlabel="time step", xticks=range(0, 21, 5))
    axis.set(xlim=(-0.5, 19.5), ylim=(-16, 16))
_ = axes[1].set_ylabel("angle of the pole (degrees)")

# %% [markdown]
# (Black: what happened. Thin: 20 dreams. Grey: the steps with a picture.) As in chapter 1, a single
# dream hardly beats the laziest forecast, *nothing moves any more*, and soon falls behind it. The
# mean of 20 dreams is the better one for the first eight steps and for the last three, not between.
# Many dreams follow the fall, and some do not. Yet all this is enough for the policy of above.
#
# **Think.** In the last pictures of the dreams you can find a second, faint pole. Given `h`, the
# eight dice are rolled independently of each other. What if half of them say "left"? Which kind of
# doubt can independent dice not express? **Change.** Let `context` be 1.

# %% [markdown]
# ## 6. Left or right, but not in between
#
# Why categories? The paper offers reasons as guesses; one of them can be tried, a transition with
# two outcomes. In this world the next position is the last one ± 1 (and a little noise), by the
# toss of a coin. Two tiny models learn it, equal but for `z`: four Normal units, or one die of four
# sides. Prior and posterior see the position, the posterior also the jump; the decoder makes a jump
# from position and `z`. Both learn with the balanced KL, α = 0.8; three seeds each.
#
# Above, one jump dreamed by the prior after the training; below, a dream of five jumps, after which
# every true position is near an odd number. (Grey bars: the truth. The densities are on a scale of
# powers of ten.) The last picture follows the share of jumps in between during the training.


# %%
class Jumper(nn.Module):
    """A world model of one number. Jumps are seen with a std of 0.2; balanced KL, no free nats."""

    def __init__(self, kind):
        super().__init__()
        self.kind, MLP = kind, v2.networks.MLP
        outputs = 8 if kind == "Normal" else 4  # mean and std of four units; four logits
        self.prior, self.post = MLP(1, 1, 32, outputs), MLP(2, 1, 32, outputs)
        self.decoder = MLP(5, 1, 32, 1)

    def latent(self, raw):
        if self.kind == "categories":
            return raw[..., None, :], v2.networks.sample_one_hot(raw)
        mean, std = raw.chunk(2, -1)
        normal = torch.distributions.Normal(mean, F.softplus(std) + 0.1)  # V1's
        return normal, normal.rsample()

    def kl(self, post, prior):
        if self.kind == "categories":
            return v2.rssm.kl_divergence(post, prior)
        return torch.distributions.kl_divergence(post, prior).sum(-1)

    def loss(self, x, jump):
        prior, post = self.prior(x), self.post(torch.cat([x, jump], -1))
        z = self.latent(post)[1]
        error = (self.decoder(torch.cat([x, z], -1)) - jump).square().sum(-1) / (2 * 0.2**2)
        kls = [
            self.kl(self.latent(a)[0], self.latent(b)[0])
            for a, b in ((post.detach(), prior), (post, prior.detach()))
        ]
        return (error + 0.8 * kls[0] + 0.2 * kls[1]).mean(), kls[0].mean().detach()

    @torch.no_grad()
    def dream(self, x):
        z = self.latent(self.prior(x))[1]
        return self.decoder(torch.cat([x, z], -1))


def world(count):
    """Positions (count, 1), and the jumps from there."""
    coins = torch.randint(2, (count, 1)) * 2 - 1
    return 2 * torch.randn(count, 1), coins + 0.05 * torch.randn(count, 1)


def learn(kind, seed):
    """Train one model; what it dreams at the end, and its share of jumps in between on the way."""
    torch.manual_seed(seed)
    jumper = Jumper(kind).apply(v2.networks.keras_init)
    adam, still = torch.optim.Adam(jumper.parameters(), 3e-3), torch.zeros(10_000, 1)
    between = []
    for update in range(marks[-1] + 1):
        if update in marks:
            one = jumper.dream(still)
            between.append(float((one.abs() < 0.5).float().mean()))
        loss, _ = jumper.loss(*world(128))
        adam.zero_grad()
        loss.backward()
        adam.step()
    far = still
    for _ in range(5):
        far = far + jumper.dream(far)
    with torch.no_grad():
        loss, kl = jumper.loss(*world(10_000))
    return {"loss": loss, "kl": kl, "one": one, "far": far, "between": between}


marks = range(0, 1501, 100)  # 1500 updates
colors = {"Normal": ORANGE, "categories": BLUE}
results = {(kind, seed): learn(kind, seed) for kind in colors for seed in range(3)}

figure, axes = plt.subplots(2, 2, figsize=(9.5, 4.6), sharex="row", sharey="row")
apart, side = plt.subplots(figsize=(9.5, 2.6))
for column, (kind, color) in zip(axes.T, colors.items(), strict=True):
    for seed, style in enumerate(("-", "--", ":")):
        r = results[kind, seed]
        side.plot(marks, 100 * np.array(r["between"]), style, color=color, label=f"{kind}, {seed}")
        lost = ((r["far"] % 2 - 1).abs() > 0.5).float().mean()  # nearer to an even number
        for axis, name, edges in (
            (column[0], "one", np.linspace(-2, 2, 61)),
            (column[1], "far", np.linspace(-6.5, 6.5, 105)),
        ):
            height, edges = np.histogram(r[name].numpy(), edges, density=True)
            axis.stairs(height, edges, color=color, linestyle=style, linewidth=1.3)
        print(f"{kind:>10}, seed {seed}: {r['between'][-1]:6.2%} of jumps within ±0.5; ", end="")
        print(f"after five {lost:5.1%} near an even number; ", end="")
        print(f"loss {r['loss']:.2f}, KL {r['kl']:.2f} nats")
    for at in (-1, 1):
        column[0].axvline(at, color="0.85", linewidth=4, zorder=0)
    for at in range(-5, 6, 2):
        column[1].axvline(at, color="0.85", linewidth=4, zorder=0)
    column[0].set(title=f"z: {kind}", xlabel="dreamed jump")
    column[1].set(xlabel="position after five dreamed jumps", xticks=range(-5, 6))
axes[0, 0].set(ylabel="density", yscale="log", ylim=(1e-2, 30))
axes[1, 0].set(ylabel="density", yscale="log", ylim=(3e-3, 10))
figure.get_layout_engine().set(h_pad=0.08)
side.set(xlabel="updates", ylabel="jumps within ±0.5 (%)", ylim=(0, None))
side.legend(ncols=2, fontsize=9, title="z, seed")
print(f"a coin is worth log 2 = {np.log(2):.2f} nats")

# %% [markdown]
# The Normal prior puts a fifth or a quarter of its jumps where no jump ever ends, and after five of
# them nothing is left of the lattice: half of all dreams stand nearer to a wrong number, as if they
# had been strewn. The die knows two places. It is not perfect either: a side that is hardly ever
# used keeps a small chance, and where it points to is nobody's business. The Normal also pays far
# more than a coin is worth, about 1.6 to 2.0 nats; the die about 0.65.
#
# Do not read more into it than is there: tiny models, equal numbers of units, short training, and
# the Normal's share in between is still sinking slowly when it ends. On Atari the paper's ablation
# (Table 2) has 0.25 with categories and 0.19 with Normals.
#
# **Think.** A decoder can bend a Normal `z` into two heaps. What must its slope be at the border
# between them, and what does that do to gradients? **Change.** Let the world jump by −1, 0 or 1.
# How many sides of the die are in use then? Let `marks` go to 3000: who gains?

# %% [markdown]
# ## 7. Two gradients for buttons
#
# A button has no slope. V2's actor learns from *whether it went better than expected* (REINFORCE,
# Equation 6 of the paper, exercise 2.16); the alternative is to send the gradient of the dream
# through the one-hot action, straight through. A world small enough to enumerate shows what each
# costs. Start at 0; four presses of −1, 0 or +1; after each the reward is a bump,
# exp(−(x − 2)² / 2w²). The policy's logits are linear in (1, x): six parameters. There are only 81
# sequences, so the exact gradient is a sum.

# %%
moves, L, widths = torch.tensor([-1.0, 0.0, 1.0]), 4, (2.0, 0.5)
torch.manual_seed(0)
theta = 0.5 * torch.randn(2, 3)
table = torch.eye(3)[torch.tensor(list(itertools.product(range(3), repeat=L)))]  # (81, L, 3)


def bump(x, width):
    return torch.exp(-((x - 2) ** 2) / (2 * width**2))


def observe(x):
    return torch.stack([torch.ones_like(x), x], -1)


def linear(weights):
    """A policy with its own weights (N, 2, 3) in every one of N dreams."""
    return lambda feature: v2.actor_critic.OneHot(feature @ weights)


def positions(actions):
    """Actions (N, L, 3) → positions (N, L + 1), the start among them."""
    return F.pad((actions @ moves).cumsum(1), (1, 0))


def exact_gradient(width):
    """Gradient of the expected sum of rewards: all 81 sequences, each with its probability."""
    leaf = theta.clone().requires_grad_()
    x = positions(table)
    log_prob = linear(leaf)(observe(x[:, :-1])).log_prob(table).sum(1)
    expected = (log_prob.exp() * bump(x[:, 1:], width).sum(1)).sum()
    return torch.autograd.grad(expected, leaf)[0].flatten()


def values(width):
    """Expected rewards that are still to come at each step i and position: {(i, x): float}."""
    value = dict.fromkeys(((L, x) for x in range(-L, L + 1)), 0.0)
    for i in range(L - 1, -1, -1):
        for x in range(-i, i + 1):
            probs = linear(theta)(torch.tensor([1.0, x])).log_probs.exp()
            after = [bump(torch.tensor(x + m), width) + value[i + 1, x + m] for m in (-1, 0, 1)]
            value[i, x] = float(probs @ torch.stack(after))
    return value


def single_gradients(count, width, kind, seed=0):
    """Gradients (count, 6), one for each dream."""
    torch.manual_seed(seed)
    leaf = theta.expand(count, -1, -1).clone().requires_grad_()
    x, actions = torch.zeros(count), []
    for _ in range(L):  # one dream; the policy sees its state detached
        actions.append(linear(leaf)(observe(x.detach())[:, None]).rsample()[:, 0])
        x = x + actions[-1] @ moves
    actions = torch.stack(actions, 1)
    x = positions(actions)
    rewards = F.pad(bump(x[:, 1:], width), (1, 0))
    if kind == "straight-through":
        return torch.autograd.grad(rewards.sum(), leaf)[0].flatten(1)
    # REINFORCE through your loss. It wants one more action and state, which it leaves out.
    feature = observe(F.pad(x, (0, 1))).detach()
    action = F.pad(actions, (0, 0, 1, 1)).detach()
    returns = rewards.flip(1).cumsum(1).flip(1).detach()  # of states 0 ... L
    baseline = torch.zeros(count, L + 2)
    if kind == "REINFORCE":
        known = values(width)
        for i in range(L):
            baseline[:, i] = torch.tensor([known[i, round(p)] for p in x[:, i].tolist()])
    loss, _ = v2.actor_critic.compute_actor_loss(
        linear(leaf), feature, action, returns, baseline, torch.ones(count, L + 2), 1.0, 0.0
    )
    return torch.autograd.grad(-loss * count * L, leaf)[0].flatten(1)


kinds = {"no baseline": GREY, "REINFORCE": BLUE, "straight-through": ORANGE}
found, sizes = {}, 2 ** np.arange(15)
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.6))
for axis, width in zip(axes[1:], widths, strict=True):
    exact = exact_gradient(width)
    print(f"bump of width {width:g}; exact gradient", *(f"{g:+.3f}" for g in exact))
    for kind, color in kinds.items():
        single = found[width, kind] = single_gradients(40_000, width, kind)
        gap, noise = single.mean(0) - exact, single.var(0).sum() ** 0.5
        chance = noise / len(single) ** 0.5  # what noise alone would leave
        agree = (single @ exact > 0).float().mean()
        print(f"{kind:>17}: bias {gap.norm() / exact.norm():6.1%} ", end="")
        print(f"(noise alone {chance / exact.norm():.1%}), ", end="")
        print(f"std of one dream {noise / exact.norm():4.1f}, {agree:.0%} point the right way")
        square = gap.square().sum() - chance**2  # of the bias, without the noise in it
        curve = (square.clamp(min=0) + noise**2 / torch.tensor(sizes)).sqrt() / exact.norm()
        axis.loglog(sizes, curve, color=color, label=kind)
        means = [single[: n * (32768 // n)].unflatten(0, (-1, n)).mean(1) for n in sizes[:13:2]]
        rms = [((m - exact).square().sum(1).mean().sqrt() / exact.norm()).item() for m in means]
        axis.plot(sizes[:13:2], rms, "o", color=color, markersize=4)
    axis.set(title=f"bump of width {width:g}", xlabel="dreams in the mean")
    axis.set_ylim(1e-2, 2e1)
axes[1].set_ylabel("error / length of the exact gradient")
axes[2].legend(fontsize=9, loc="lower left")
line = torch.linspace(-4, 4, 200)
for width, style in zip(widths, ("-", "--"), strict=True):
    axes[0].plot(line, bump(line, width), style, color=GREEN, label=f"w = {width:g}")
    axes[0].plot(range(-4, 5), bump(torch.arange(-4.0, 5), width), "o", color=GREEN, markersize=4)
axes[0].set(title="reward", xlabel="position x", xticks=range(-4, 5, 2), ylim=(0, 1.1))
axes[0].legend(fontsize=9, loc="upper left")
dreamed = config.batch_size * config.imagine_last
for width in widths:
    exact, through = exact_gradient(width), found[width, "straight-through"]
    more = found[width, "REINFORCE"].var(0).sum() - through.var(0).sum()
    equal = more / (through.mean(0) - exact).square().sum()
    print(f"width {width:g}: both are equally wrong at {equal:.0f} dreams; ", end="")
    print(f"one update of this agent dreams {dreamed}")

# %% [markdown]
# (Lines: from the bias and the variance of 40,000 dreams. Dots: means of so many, as they came.)
# REINFORCE is noisy, and right on average: the bias that is found is no larger than noise alone
# would leave, so its error falls for as long as more dreams come. Straight-through is less noisy in
# both worlds, but stops at its bias: a quarter of the gradient with the wide bump, more than half
# with the narrow one. For a mean of few dreams it is the better one, for many it is not; a small
# agent like ours has enough of them. And biased does not mean wrong: nearly all its single dreams
# point into the right half of the space. The baseline helps much in one world, hardly in the other.
#
# This is a friendly case for both: true rewards and values, no learned model, only four steps. And
# straight-through follows the return from the start alone here; your loss with `rho` = 0 takes the
# returns of all states together, so that late rewards count more often. On Atari the paper (Table
# 2) has 0.25 with REINFORCE and 0.15 without.
#
# **Think.** "No baseline" leaves the value out of `returns − values`. Why does that change the
# noise and not the mean? And why is a value of the state *before* the press allowed, and one of the
# state after it not? **Change.** Try other `widths`. Is there one at which you would prefer
# straight-through?

# %% [markdown]
# ## 8. What comes next
#
# Each weakness that you have seen is where DreamerV3 (arXiv:2301.04104), chapter 3, begins:
#
# - A die that is certain has no gradient left, and a KL against a certain prior can be huge. V3
#   mixes 1 % of a fair die into every one.
# - How strong a KL, and how many free nats? In V2 Atari and control tasks have their own settings.
#   V3 keeps one for all.
# - Rewards: V2 squeezes those of Atari with tanh, and forgets how large they were. V3 has symlog,
#   which waits in your `train.py`, and a critic that predicts a whole distribution.
# - The advantage of REINFORCE has the scale of the rewards, so the bonus for entropy must be set
#   for each task. V3 divides by the range of the returns.
#
# Before that, train what you have built: `python train.py --borrow task=pendulum` in this folder,
# then `dreamer-viz checkpoint=runs/NAME` for dreams of your own.
