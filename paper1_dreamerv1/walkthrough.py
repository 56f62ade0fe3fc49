# %% [markdown]
# # DreamerV1 in pictures
#
# A trained agent, opened up: what it sees, what it dreams, and how it learns from its dreams.
# **The code that runs here is yours.** What you have not written yet is lent by the reference, and
# the first cell says which exercises that are. If a picture looks wrong, grade the exercises named
# in its section: `course grade 1.13`.
#
# Run the cells from top to bottom; it takes less than a minute. Every section ends with something
# to think about or to change. You can break nothing: this page is made from `walkthrough.py`, and
# `python -m course.notebooks`, run in the project's folder, brings it back to its first state.

# %%
import copy
import json

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors import safe_open

import course
from dreamkit.collect import Collector
from dreamkit.envs import make, make_many
from dreamkit.envs.cartpole import PixelCartPole

v1 = course.code("paper1_dreamerv1")  # your networks, rssm, actor_critic, buffer and train
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
#     dreamer-train agent=dreamerv1 task=cartpole_continuous_pixels seed=1 until=475 run=runs/pixels
#     python -m course.notebooks --checkpoint runs/pixels paper1_dreamerv1/cartpole.safetensors

# %%
with safe_open("cartpole.safetensors", "pt") as file:
    about = file.metadata()
    weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

task = json.loads(about["task"])
env = make(**task)
config = v1.train.Config(**json.loads(about["agent"]))
agent = v1.train.Agent(env.observation_space.spaces, env.action_space, config)
agent.modules.load_state_dict(weights)
agent.updates = int(about["updates"])
model, rssm = agent.world_model, agent.world_model.rssm
print(f"{task['name']}: {int(about['step']):,} steps in the environment, {agent.updates} updates")
print(f"return when it was saved: {float(about['return']):.0f}, mean of 20 episodes of 500 steps")
print(f"{sum(x.numel() for x in weights.values()):,} parameters; ", end="")
print(f"a state of {config.rnn_hidden_dim} + {config.state_dim} numbers")

# %% [markdown]
# ## 1. The idea: picture → state → everything else
#
# A cart carries a pole. An action between −1 and 1 pushes the cart left or right, and each step
# that the pole stays up gives a reward of 1. The agent sees one grey picture of 32×32 pixels at a
# time, and no picture shows how *fast* anything moves. So the model keeps a state of two parts:
# `h`, which remembers, and `z`, which takes in what each picture adds. From the state alone it
# predicts the reward, whether the episode goes on, and what the future is worth.
#
# Below, the pushes are random and full, each held for five steps, so the pole falls. The first row
# shows what the model gets; all others are what it makes of it. (Exercises 1.9 – 1.13, 1.22.)


# %%
def play(steps, seed, envs=16, hold=5):
    """A replay buffer of random pushes, full left or full right, each held for some steps."""
    chance = np.random.default_rng(seed)
    collector = Collector(make_many(envs, **task), seed)
    rows = [[] for _ in range(envs)]
    for step in range(steps):
        if step % hold == 0:
            pushes = chance.choice([-1, 1], (envs, 1)).astype(np.float32)
        collector.step(pushes, {}, lambda n, row, _: rows[n].append(row))
    buffer = v1.buffer.ReplayBuffer(seed=seed)
    for row in sum(rows, []):
        buffer.add(row)
    return buffer


def watch(rows):
    """Filter sequences of rows (B, T, ...): the model's states, their features, the rows."""
    torch.manual_seed(0)
    rows = agent.prepare(rows)
    with torch.no_grad():
        embeds = model.encoder(rows)
        states = rssm.rollout_observation(embeds, rows["action"], rows["is_first"])
    return states, v1.rssm.get_feature(states["h"], states["z"]), rows


def filmstrip(axis, pictures, every=1, name=""):
    """Pictures (T, 1, S, S) side by side, each at its time step; their empty sides are cut off."""
    for t in range(0, len(pictures), every):
        edges = (t - 0.46 * every, t + 0.46 * every, 0, 1)
        axis.imshow(pictures[t, 0, :, 6:-6], extent=edges, aspect="auto", vmin=0, vmax=255)
    axis.set(yticks=[], xlim=(-every / 2, len(pictures) - 1 + every / 2), ylim=(0, 1))
    axis.set_ylabel(name, rotation=0, ha="right", va="center")
    axis.tick_params(bottom=False)
    axis.spines[:].set_visible(False)


buffer = play(steps=600, seed=2)
lengths = [len(episode["reward"]) for episode in buffer.episodes]
print(f"{len(lengths)} episodes of {min(lengths)} to {max(lengths)} rows")
episode = min(buffer.episodes, key=lambda e: abs(len(e["reward"]) - 31))
states, feature, rows = watch({name: x[None] for name, x in episode.items()})
with torch.no_grad():
    goes_on = model.predict(feature)[1][0]
    value = agent.critic(feature)[0]

heights = [1.5, 1.2, 0.9, 0.9, 0.9]
figure, axes = plt.subplots(5, 1, figsize=(9.5, 6.2), sharex=True, height_ratios=heights)
filmstrip(axes[0], episode["image"], 3, "picture")
for axis, part in ((axes[1], "h"), (axes[2], "z")):
    change = states[part][0] - states[part][0].mean(0)
    bars = axis.imshow(change.T / change.std(), aspect="auto", cmap="PuOr", vmin=-3, vmax=3)
    axis.set(ylabel=f"{part}: {change.shape[1]} units", yticks=[])
figure.colorbar(bars, ax=axes[1:3], label="away from\nits mean (stds)", pad=0.01, ticks=[-3, 0, 3])
axes[3].plot(goes_on, color=GREEN)
axes[3].set(ylabel="continue × γ", ylim=(0, 1.05))
axes[4].plot(value, color=BLUE)
axes[4].set(ylabel="value", xlabel="time step", ylim=(0, None))
figure.align_ylabels()
print(f"continue × γ: {goes_on[:20].mean():.2f} over 20 steps, {goes_on[-1]:.2f} at the last row")
print(f"value: {value.max():.0f} at most, {value[-1]:.0f} at the last row; ", end="")
print(f"the most that is possible is 1 / (1 − γ) = {1 / (1 - config.gamma):.0f}")

# %% [markdown]
# The state is busy in the first step, when everything is new, and at the end, when the pole leaves
# the region that the agent knows. Value and continuation fall *before* the episode ends: these
# warnings are what a policy can learn from.
#
# **Think.** The last line prints a bound that no value can honestly exceed. Does the critic keep to
# it? Where could a larger value come from? (V1 trains its critic on its own predictions.)

# %% [markdown]
# ## 2. Reconstructions
#
# The decoder draws the picture back from the state: 1,024 pixels from 80 numbers. That works only
# if it knows what pictures of this world look like. (Exercise 1.1 is at work, and 1.7 trained it.
# Pictures as small as these use the given `PaddedEncoder` in place of your 1.2 – 1.5.)


# %%
def reconstruct(pictures):
    """What the model makes of pictures (N, 1, S, S), each held still for three steps. Bytes."""
    n, steps = len(pictures), 3
    rows = {
        "image": np.repeat(pictures[:, None], steps, 1),
        "action": np.zeros((n, steps, 1), np.float32),
        "is_first": np.eye(1, steps).repeat(n, 0),
        "is_last": np.zeros((n, steps)),
        "is_terminal": np.zeros((n, steps)),
    }
    with torch.no_grad():
        return model.decoder(watch(rows)[1][:, -1])["image"].numpy() + 0.5


def compare(pictures, titles):
    """Real, reconstructed, and the difference; under each picture half its squared error."""
    real = pictures / 255
    seen = reconstruct(pictures)
    figure, axes = plt.subplots(3, len(real), figsize=(9.5, 3.9))
    for column, title, x, y in zip(axes.T, titles, real[:, 0], seen[:, 0], strict=True):
        column[0].imshow(x, vmin=0, vmax=1)
        column[1].imshow(y, vmin=0, vmax=1)
        column[2].imshow(y - x, cmap="PuOr", vmin=-1, vmax=1)
        column[0].set_title(title)
        column[2].set_xlabel(f"{((x - y) ** 2).sum() / 2:.1f} nats")
    for axis, name in zip(axes[:, 0], ("real", "reconstruction", "difference"), strict=True):
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)


pictures = np.concatenate([e["image"][5::7] for e in buffer.episodes])
chosen = np.random.default_rng(0).choice(len(pictures), 8, replace=False)
compare(pictures[chosen], [""] * 8)

# %% [markdown]
# Now pictures that it has never seen. An episode ends beyond 12°, so a pole at 30° is as foreign to
# this model as a picture upside down.

# %%
camera = PixelCartPole(env.unwrapped)


def photo(x=0.0, degrees=0.0):
    """The picture of a cart at x metres with its pole at an angle."""
    return camera.observation(np.array([x, 0, np.radians(degrees), 0]))


odd = {
    "0°": photo(),
    "12°: the limit": photo(degrees=12),
    "30°": photo(degrees=30),
    "80°": photo(degrees=80),
    "cart far right": photo(x=2.0),
    "two poles": np.maximum(photo(degrees=-10), photo(degrees=10)),
    "upside down": photo(degrees=5)[:, ::-1],
    "negative": 255 - photo(),
}
compare(np.stack(list(odd.values())), list(odd))

# %% [markdown]
# The model draws what it knows: an upright pole, and grey fog where it is lost. A model is as good
# as the data that its agent has collected, and no better.
#
# **Change.** Move the cart: `photo(x=0.5)`, `photo(x=1.0)`. From where on does the reconstruction
# lose it? How far from the middle, would you say, has this agent ever been?

# %% [markdown]
# ## 3. An open-loop dream
#
# The model sees five pictures. Then it gets only the actions that were really taken, and must go on
# by itself with the prior: `rollout_imagination`, exercise 1.14. 15 steps are as long as the dreams
# it learns from.

# %%
context, ahead = 5, config.imagine_length
batch = buffer.sample(64, context + ahead)
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
    start = {"h": states["h"][:, context - 1][None], "z": states["z"][:, context - 1]}
    taken = iter(many["action"][:, context:].unbind(1))
    with torch.no_grad():
        dream = rssm.rollout_imagination(start, lambda _: next(taken), ahead)
        pictures = model.decoder(v1.rssm.get_feature(dream["h"], dream["z"]))["image"] + 0.5
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

# %% [markdown]
# How long is a dream worth something? The angle of the pole can be read from any picture, so the
# error has a unit that one can imagine. A forecast must beat the laziest one: *nothing moves any
# more*.


# %%
def off(angle):
    """Root mean square error of the angle over 64 sequences. (B, ahead) → (ahead,)"""
    return np.sqrt(np.mean((angle - angles["real"][:, context:]) ** 2, 0))


future = dreams(batch, context, 30)  # (64, 30, 15)
curves = {
    "one dream": (off(future[:, 0]), ORANGE, "-"),
    "mean of 30 dreams": (off(future.mean(1)), RED, "-."),
    "last picture stays": (off(angles["real"][:, [context - 1]]), GREY, "--"),
    "reconstruction": (off(angles["reconstruction"][:, context:]), BLUE, "-"),
}
steps = np.arange(1, ahead + 1)
figure, (left, right) = plt.subplots(1, 2)
for name, (curve, color, style) in curves.items():
    left.plot(steps, curve, style, color=color, label=name)
    print(f"{name:>18}:", "  ".join(f"{curve[k - 1]:4.1f}° after {k}" for k in (1, 3, 6, 10, 15)))
left.set(
    xlabel="steps without a picture", ylabel="error of the angle (degrees, rms)", ylim=(0, None)
)
for number, style, name in ((good, "-", "the best"), (middling, "--", "the middling one")):
    right.plot(angles["real"][number], style, color="black", label=f"real, {name}")
    right.plot(angles["imagination"][number], style, color=ORANGE, label="dream")
right.axvline(context - 0.5, color="0.7", linewidth=1)
right.set(xlabel="time step", ylabel="angle of the pole (degrees)", xticks=range(0, 21, 5))
for axis in (left, right):
    axis.legend(fontsize=9)

# %% [markdown]
# The lines say it plainly: a single dream of this small model is hardly better than the lazy
# forecast. The mean of 30 dreams is, from the third step on: it takes out the noise of the samples
# and leaves what the model believes. And yet the policy that learned from such dreams balances the
# pole for all 500 steps. It need not know where the pole will be; it must know which push is the
# better one, and it looks and dreams again from every state it meets.
#
# **Think.** The actor learns from dreams of 15 steps. What happens to it where the dream is wrong
# but pleasant? **Change.** Train with `steps=6000` in place of `until=475` (some minutes), make
# your own checkpoint as above, and look at these curves again.

# %% [markdown]
# ## 4. Inside the latent
#
# At each step the prior guesses `z` before the picture arrives; the posterior knows the picture.
# The three units of `z` that move most, with one standard deviation around each mean (exercises
# 1.11 and 1.12):

# %%
states, feature, rows = watch(batch)
post, prior = states["post_mean"][good], states["prior_mean"][good]
units = post.std(0).argsort(descending=True)[:3].tolist()
figure, axes = plt.subplots(3, 1, figsize=(9.5, 4.4), sharex=True)
for axis, unit in zip(axes, units, strict=True):
    for part, color, name in (
        ("prior", ORANGE, "prior: before the picture"), ("post", BLUE, "posterior: after it"),
    ):  # fmt: skip
        mean, std = (states[f"{part}_{x}"][good, :, unit] for x in ("mean", "std"))
        axis.fill_between(range(len(mean)), mean - std, mean + std, color=color, alpha=0.25, lw=0)
        axis.plot(mean, color=color, label=name)
    axis.set_ylabel(f"unit {unit} of z")
axes[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 0.98))
axes[2].set(xlabel="time step", xticks=range(0, 21, 5))
for part, name in (("prior", "prior"), ("post", "posterior")):
    std = states[f"{part}_std"].mean((0, 2))
    print(f"std of the {name}: {std[0]:.2f} at step 0, {std[1]:.2f} at step 1, ", end="")
    print(f"{std[5:].mean():.2f} from step 5 on (mean of 16 units, 64 sequences)")

# %% [markdown]
# Before the first picture the prior is wide: it can only say what pictures are like in general. One
# picture later it is not much wider than the posterior.
#
# Sampling from the prior again and again gives many dreams from one start. The world itself is not
# random, so the spread is only the model's own doubt. And doubt should be larger when less was
# seen: after *one* picture no model can know the speed of the pole. Is it?

# %%
memory = {
    "one picture seen": dreams({name: x[:, context - 1 :] for name, x in batch.items()}, 1, 30),
    "five pictures seen": future,
}
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.5))
last = context + np.arange(ahead)
for axis, (name, angle), color in zip(axes, memory.items(), (RED, BLUE), strict=False):
    axis.plot(last, angle[good].T, color=color, alpha=0.3, linewidth=1)
    axis.plot(angles["real"][good], color="black", linewidth=2.5)
    axis.set(title=name, xlabel="time step", xticks=range(0, 21, 5), ylim=(-16, 16))
    wrong, spread = off(angle.mean(1)), np.sqrt((angle.std(1) ** 2).mean(0))
    axes[2].plot(steps, wrong, color=color, label=f"error, {name}")
    axes[2].plot(steps, spread, ":", color=color, label=f"spread, {name}")
    print(f"{name}: after 3 steps error {wrong[2]:.1f}°, spread {spread[2]:.1f}°; ", end="")
    print(f"after 10 steps error {wrong[9]:.1f}°, spread {spread[9]:.1f}°")
axes[0].set_ylabel("angle of the pole (degrees)")
axes[2].set(xlabel="steps without a picture", ylabel="degrees (rms)", title="all 64 starts")
axes[2].set_ylim(0, 10)
axes[2].legend(fontsize=8)
figure.get_layout_engine().set(w_pad=0.08)

# %% [markdown]
# Not here. With one picture the error is much larger in the first ten steps, but the dreams spread
# no wider: the model is too sure of itself. If it knew how wrong it is, the dotted lines would lie
# near the solid ones. The dreams also bend where the data ends: no episode goes on beyond 12°.
#
# **Think.** The model was trained on sequences of 16 rows that begin anywhere in an episode. In how
# many of these rows has it seen only one picture? **Change.** Draw `middling` in place of `good`.

# %% [markdown]
# ## 5. Surprise: the KL, and free nats
#
# KL(posterior ‖ prior) says how much a picture has changed the model's mind: its surprise, in nats
# (exercise 1.15). Two ways to surprise it, at step 10: one picture is exchanged for one of another
# episode; or, from there on, the model is told the opposite of the actions that were taken.


# %%
def surprise(rows):
    """KL(posterior ‖ prior) of every step of sequences, in nats. (B, T)"""
    states, _, _ = watch(rows)
    names = ("post_mean", "post_std", "prior_mean", "prior_std")
    return v1.rssm.kl_divergence(*(states[name] for name in names)).mean(0)


moment = 10
swapped = batch | {"image": batch["image"].copy()}
swapped["image"][:, moment] = np.roll(batch["image"][:, moment], 1, 0)
flipped = batch | {"action": batch["action"].copy()}
flipped["action"][:, moment:] *= -1
figure, axes = plt.subplots(1, 2)
cases = (("one picture exchanged", swapped, RED), ("actions flipped from here on", flipped, BLUE))
for axis, (name, rows, color) in zip(axes, cases, strict=True):
    axis.plot(surprise(batch), color="black", label="as it was")
    axis.plot(surprise(rows), "--", color=color, label=name)
    axis.axvline(moment, color="0.8", linewidth=1, zorder=0)
    axis.set(xlabel="time step", ylabel="KL (nats), mean of 64 sequences", xticks=range(0, 21, 5))
    axis.set_ylim(0)
    axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=2)
print(f"step 0, nothing known yet: {surprise(batch)[0]:.1f} nats; steps 10 to 15:")
for name, rows, _ in (("as it was", batch, ""), *cases):
    print(f"{name:>28}: ", "  ".join(f"{x:.1f}" for x in surprise(rows)[moment : moment + 6]))

# %% [markdown]
# (The two scales differ.) Exchange *one* picture and the model is surprised twice: by the lie, and
# no less when the truth returns. A wrong action shows only in its consequences, so that surprise is
# small and grows. And step 0 costs more than any usual step: the first picture is always news.

# %%
figure, (left, right) = plt.subplots(1, 2, sharex=True)
zeros, ones = torch.zeros(1, 1, 16), torch.ones(1, 1, 16)
for free, color, style in ((0.0, "black", "-"), (1.0, BLUE, "--"), (3.0, ORANGE, "-.")):
    points = []
    for distance in np.linspace(0, 0.9, 181):
        mean = torch.full((1, 1, 16), distance, requires_grad=True)
        loss, kl = v1.rssm.kl_loss(mean, ones, zeros, ones, free)
        (slope,) = torch.autograd.grad(loss, mean)
        points.append((float(kl), float(loss.detach()), float(slope.norm())))
    kl, loss, slope = np.array(points).T
    left.plot(kl, loss, style, color=color, label=f"free nats: {free:g}")
    right.plot(kl, slope, style, color=color)
left.legend()
left.set(xlabel="mean KL (nats)", ylabel="loss (nats)", ylim=(0, None))
right.set(xlabel="mean KL (nats)", ylabel="norm of the gradient\nat the posterior's mean")
print(
    "gradient with free nats 3:",
    *(f"{slope[(kl > x).argmax()]:.1f}" for x in (1, 2, 2.9, 3.1)),
    end=" ",
)
print("at a KL of 1, 2, 2.9 and 3.1 nats")

# %% [markdown]
# Below the free nats the loss is flat and its gradient zero: the model may carry that much news per
# step for nothing. Above them nothing is changed, neither loss nor gradient.
#
# **Think.** `kl_loss` averages over all steps and sequences first, and compares with the free nats
# then. In the picture before, some steps cost far more than others. Which steps would still be
# trained, and which not, if the comparison came first, step by step?

# %% [markdown]
# ## 6. λ-returns
#
# What is a dreamed state worth? λ says how far to trust the critic, and how far the dream: with λ=0
# one dreamed reward and then the critic, with λ=1 all rewards of the dream and the critic only at
# its end (exercise 1.23). On the left a dream made by hand, with γ = 0.9. On the right 4,000 dreams
# with noisy rewards, 1 on average, so that every state is truly worth 1 / (1 − 0.9) = 10; the
# critic is wrong and says 6.

# %%
lambda_returns = v1.actor_critic.compute_lambda_returns
rewards, values = torch.zeros(1, 12), torch.zeros(1, 13)
rewards[0, 8] = 1.0
figure, (left, right) = plt.subplots(1, 2)
styles = ((1.0, "black", "D"), (0.9, ORANGE, "^"), (0.5, GREEN, "s"), (0.0, BLUE, "o"))
for number, color, marker in styles:
    found = lambda_returns(rewards, values, torch.ones(1, 12), gamma=0.9, lambda_=number)[0]
    left.plot(found, marker=marker, markersize=4, color=color, label=f"λ = {number:g}")
    print(f"λ = {number:g}:", " ".join(f"{x:.2f}" for x in found))
left.set(xlabel="step of the dream", ylabel="return")
left.set_title("one reward of 1, at step 8; the critic says 0")
left.legend()

torch.manual_seed(0)
count, truth, critic = 4000, 10.0, 6.0
rewards = 1 + 1.5 * torch.randn(count, 15)
values, certain = torch.full((count, 16), critic), torch.ones(count, 15)
grid = np.linspace(0, 1, 41)
first = [lambda_returns(rewards, values, certain, 0.9, number)[:, 0] for number in grid]
bias = np.array([abs(float(x.mean()) - truth) for x in first])
noise = np.array([float(x.std()) for x in first])
total = np.hypot(bias, noise)
right.plot(grid, bias, "--", color=BLUE, label="bias")
right.plot(grid, noise, ":", color=RED, label="standard deviation")
right.plot(grid, total, color="black", label="both together (rms)")
right.plot(grid[total.argmin()], total.min(), "o", color="black")
right.set(xlabel="λ", ylabel="error of the first return", ylim=(0, None))
right.set_title("noisy rewards; the critic says 6, the truth is 10")
right.legend()
for index in (0, total.argmin(), 40):
    print(f"λ = {grid[index]:.3g}: ", end="")
    print(f"bias {bias[index]:.2f}, std {noise[index]:.2f}, together {total[index]:.2f}")

# %% [markdown]
# With λ=0 the news of a reward moves one state per update; with λ=1 it is at once everywhere before
# it. The price is noise: a long sum of rewards varies more than a short one.
#
# **Change.** Let the critic say 9.5: where is the best λ now? And where if the rewards have no
# noise at all? In V1 the noise is that of the dream, and sections 3 and 4 show how it grows.

# %% [markdown]
# ## 7. The gradient of a dream
#
# V1's actor needs no trial and error: the return is a differentiable function of every action of
# the dream, through `h`, `z`, reward, continuation and value. Here is that gradient,
# d R(s₁) / d aₖ, where action k leads from state k − 1 to state k. On the right it is compared with
# what really happens when one action is moved a little, with the same noise. (Exercises 1.9 and
# 1.14 must let it through, 1.23 must sum it up.)

# %%
length = config.imagine_length  # 15: a thing to change
start = {"h": states["h"][:, context - 1][None], "z": states["z"][:, context - 1]}
with torch.no_grad():
    torch.manual_seed(0)
    dream = rssm.rollout_imagination(start, lambda x: agent.actor(x).rsample(), length)
actions = dream["action"]  # (64, length, 1)


def first_return(agent, start, actions, number):
    """λ-return of the first dreamed state, for given actions and always the same noise."""
    torch.manual_seed(1)
    taken = iter(actions.unbind(1))
    world = agent.world_model
    dream = world.rssm.rollout_imagination(start, lambda _: next(taken), actions.shape[1])
    feature = v1.rssm.get_feature(dream["h"], dream["z"])
    reward, goes_on = world.predict(feature)  # γ is in the second
    value = agent.critic(feature)
    return lambda_returns(reward[:, :-1], value, goes_on[:, :-1], 1.0, number)[:, 0]


def gradient(agent, start, actions, number):
    leaf = actions.clone().requires_grad_()
    return torch.autograd.grad(first_return(agent, start, leaf, number).sum(), leaf)[0][..., 0]


number_of = np.arange(1, length + 1)
figure, (left, right) = plt.subplots(1, 2)
for number, color, style in ((0.95, ORANGE, "o-"), (0.5, GREEN, "^--"), (0.0, BLUE, "s:")):
    size = gradient(agent, start, actions, number).abs().median(0).values
    left.plot(number_of, size, style, markersize=4, color=color, label=f"λ = {number:g}")
    print(f"λ = {number:g}:", " ".join(f"{x:.2g}" for x in size))
left.set(xlabel="k, number of the action", ylabel="size of d R(s₁) / d aₖ, median of 64")
left.legend()

exact = copy.deepcopy(agent)
exact.modules.double()  # small differences need double precision
typical = gradient(agent, start, actions, 0.95).abs().sum(1).argsort()[32]
only = slice(typical, typical + 1)
one = {name: x[..., only, :].double() for name, x in start.items()}
taken = actions[only].double()
slope, measured, small = gradient(exact, one, taken, 0.95)[0].numpy(), [], 1e-5
for k in range(length):
    nudge = torch.zeros_like(taken)
    nudge[0, k] = small
    with torch.no_grad():
        up, down = (float(first_return(exact, one, taken + x, 0.95)) for x in (nudge, -nudge))
    measured.append((up - down) / (2 * small))
right.bar(number_of, slope, color="0.8", label="backpropagation")
right.plot(number_of, measured, "x", color=RED, label="finite difference")
right.axhline(0, color="black", linewidth=0.8)
right.set(xlabel="k, number of the action", ylabel="d R(s₁) / d aₖ", title="one dream, λ = 0.95")
right.legend()
print(f"largest difference of the two: {np.abs(slope - measured).max():.0e}, ", end="")
print(f"largest slope: {np.abs(slope).max():.2g}")

# %% [markdown]
# Crosses on bars: backpropagation gives what a real nudge gives. In this dream nearly every push
# should have gone further to the left: the slopes are negative. With λ=0 only two actions count,
# because R(s₁) is then the reward of s₁ and the value of s₂. With λ=0.95 all do, and less and less
# the later they come.
#
# One factor is missing: the policy does not put out the action but `u`, and a = tanh(u). The
# gradient is multiplied by the slope of tanh, 1 − a².

# %%
figure, (left, right) = plt.subplots(1, 2)
TanhNormal = v1.actor_critic.TanhNormal
means = torch.linspace(-5, 5, 101)[:, None].expand(-1, 4000)
torch.manual_seed(0)
for std, color, style in ((5.0, RED, "-."), (1.0, BLUE, "--"), (0.3, GREEN, "-")):
    sample = TanhNormal(means, torch.full_like(means, std)).rsample()
    left.plot(means[:, 0], (1 - sample**2).mean(1), style, color=color, label=f"std {std:g}")
    middle = sample[50]  # of mean 0
    right.hist(
        middle, np.linspace(-1, 1, 31), density=True,
        histtype="step", color=color, linestyle=style, linewidth=1.8,
    )  # fmt: skip
    beyond, slope = (middle.abs() > 0.95).float().mean(), (1 - middle**2).mean()
    print(f"mean 0, std {std:g}: {beyond:.0%} of actions beyond ±0.95, mean slope {slope:.2f}")
left.set(xlabel="mean of u", ylabel="mean slope, 1 − a²", ylim=(0, 1))
right.set(xlabel="action a", ylabel="density", title="mean of u = 0")
left.legend()
with torch.no_grad():
    policy = agent.actor(v1.rssm.get_feature(dream["h"], dream["z"]))
print(f"this agent in its dreams: |mean of u| {policy.mean.abs().median():.1f}, ", end="")
print(f"std {policy.std.median():.2f} (medians); ", end="")
beyond, slope = (actions.abs() > 0.95).float().mean(), (1 - actions**2).mean()
print(f"{beyond:.0%} of actions beyond ±0.95, mean slope {slope:.2f}")

# %% [markdown]
# V1 begins with a std of 5: most actions are nearly full pushes, which explores well, but little of
# the gradient comes through. Later the danger is the other end: a mean far from 0 with a small std
# has almost no slope left, and such a policy can hardly change its mind. The last line shows how
# far this agent has gone; the bonus for entropy in `size=tiny` is there to hold it back.
#
# **Think.** The policy sees the dreamed feature *detached* (exercise 1.14). Which paths would the
# gradient take without that? **Change.** Set `length` to 50. Does the gradient of the first actions
# vanish, or explode? And is what it says about step 50 worth following, after section 3?

# %% [markdown]
# ## 8. What comes next
#
# Each weakness that you have seen is where a later version begins. Chapter 2, DreamerV2:
#
# - A Normal cannot say "left or right, but not in between". V2's `z` is made of categories.
# - One KL trains prior and posterior alike, behind a flat piece of free nats. V2 lets the prior
#   learn faster than the posterior: KL balancing.
# - The critic is trained on itself, and rose above what is possible. V2 takes its targets from a
#   slow copy.
# - The gradient must pass through a smooth action. Buttons have no slope, so V2 learns to press
#   them with REINFORCE.
#
# Before that, train what you have built: `python train.py --borrow task=pendulum` in this folder,
# then `dreamer-viz checkpoint=runs/NAME` for dreams of your own.
