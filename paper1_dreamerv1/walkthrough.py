# %% [markdown]
# # DreamerV1 in pictures
#
# A trained agent, opened up: what it sees, what it dreams, and how it learns from its dreams.
# **The code that runs here is yours.** What you have not written yet is lent by the reference, and
# the next cell says which exercises that are. If a picture below looks strange, look at the
# exercises of its section first: `course grade`.
#
# Run the cells from top to bottom; all of them take less than a minute on a laptop. Every section
# ends with something to think about or to change. This page is made from `walkthrough.py`:
# `python -m course.notebooks` brings it back to its first state.

# %%
import copy
import json

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors import safe_open

import course
from dreamkit.collect import Collector
from dreamkit.envs import make

v1 = course.code("paper1_dreamerv1")  # your networks, rssm, actor_critic, buffer and train
torch.set_num_threads(1)

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#AA4499"
plt.rcParams |= {
    "figure.figsize": (9.5, 3.4), "figure.dpi": 110, "figure.constrained_layout.use": True,
    "font.size": 10, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "lines.linewidth": 1.8, "image.cmap": "gray",
}  # fmt: skip

# %% [markdown]
# The agent in this folder's `cartpole.safetensors` (0.7 MB) was made by two commands; the first
# takes about a minute:
#
#     dreamer-train agent=dreamerv1 task=cartpole_continuous_pixels seed=1 until=475 run=runs/pixels
#     python -m course.notebooks --checkpoint runs/pixels paper1_dreamerv1/cartpole.safetensors

# %%
with safe_open("cartpole.safetensors", "pt") as file:
    about = file.metadata()
    weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118

task = json.loads(about["task"])
env = make(**task)
config = v1.train.Config(**json.loads(about["agent"]))
agent = v1.train.Agent(env.observation_space.spaces, env.action_space, config)
agent.modules.load_state_dict(weights)
agent.updates = int(about["updates"])
model, rssm = agent.world_model, agent.world_model.rssm
print(f"{task['name']}: {int(about['step']):,} steps in the environment, {agent.updates} updates")
print(f"{sum(x.numel() for x in weights.values()):,} parameters, ", end="")
print(f"a state of {config.rnn_hidden_dim} + {config.state_dim} numbers")

# %% [markdown]
# ## 1. The idea: picture → state → everything else
#
# A cart carries a pole; an action between −1 and 1 pushes the cart left or right. The agent sees
# one grey picture of 32×32 pixels at a time, and no picture shows how *fast* anything moves. So the
# model keeps a state: `h`, which remembers, and `z`, which takes in what each picture adds. From
# the state alone it predicts the reward, whether the episode goes on, and what the future is worth.
#
# Here pushes are random (each held for three steps), so the pole falls. The first row is what the
# model gets. All below is what it makes of it.

# %%
def play(steps, seed, envs=16, hold=3):
    """A replay buffer of random pushes, full left or full right, each held for some steps."""
    collector, chance = Collector(lambda: make(**task), envs, seed), np.random.default_rng(seed)
    rows = [[] for _ in range(envs)]
    for step in range(steps):
        if step % hold == 0:
            pushes = chance.choice([-1, 1], (envs, 1)).astype(np.float32)
        collector.step(pushes, {}, lambda n, row, _: rows[n].append(row))
    buffer = v1.buffer.ReplayBuffer(seed=seed)
    for row in sum(rows, []):
        buffer.add(row)
    return buffer


def watch(rows, seed=0):
    """Filter sequences of rows (B, T, ...): the model's states, their features, the rows."""
    torch.manual_seed(seed)
    rows = agent.prepare(rows)
    with torch.no_grad():
        embeds = model.encoder(rows)
        states = rssm.rollout_observation(embeds, rows["action"], rows["is_first"])
    return states, v1.rssm.get_feature(states["h"], states["z"]), rows


def filmstrip(axis, pictures, every=1, **style):
    """Pictures (T, 1, S, S) side by side, each at its time step; the empty sides are cut off."""
    for t in range(0, len(pictures), every):
        edges = (t - 0.45 * every, t + 0.45 * every, 0, 1)
        axis.imshow(pictures[t, 0, :, 6:-6], extent=edges, aspect="auto", **style)
    axis.set(yticks=[], xlim=(-every / 2, len(pictures) - 1 + every / 2), ylim=(0, 1))
    axis.spines[:].set_visible(False)


buffer = play(steps=400, seed=1)
lengths = [len(episode["reward"]) for episode in buffer.episodes]
print(f"{len(lengths)} episodes of {min(lengths)} to {max(lengths)} rows, {np.mean(lengths):.0f} on average")
episode = next(e for e in buffer.episodes if len(e["reward"]) == 31)
states, feature, rows = watch({key: x[None] for key, x in episode.items()})
with torch.no_grad():
    reward, alive = (x[0] for x in model.predict(feature))
    value = agent.critic(feature)[0]

figure, axes = plt.subplots(
    5, 1, figsize=(9.5, 6.4), sharex=True, height_ratios=[1.5, 1.3, 0.9, 1, 1]
)
filmstrip(axes[0], episode["image"], every=3)
axes[0].set_ylabel("picture")
for axis, key, name in ((axes[1], "h", "h: 64 units"), (axes[2], "z", "z: 16 units")):
    change = states[key][0] - states[key][0].mean(0)
    change = change / change.std()
    bars = axis.imshow(change.T, aspect="auto", cmap="PuOr", vmin=-3, vmax=3)
    axis.set(ylabel=name, yticks=[])
figure.colorbar(bars, ax=axes[1:3], label="away from its mean", pad=0.01, ticks=[-3, 0, 3])
axes[3].plot(alive, color=GREEN)
axes[3].set(ylabel="continue\n(γ included)", ylim=(0, 1.05))
axes[4].plot(value, color=BLUE)
axes[4].set(ylabel="value\n(reward to come)", xlabel="time step", ylim=(0, None))
figure.align_ylabels()
print(f"continue: {alive[:20].mean():.2f} over the first 20 steps, {alive[-1]:.2f} at the last row")
print(f"value: at most {value.max():.0f}, {value[-1]:.0f} at the last row")
print(f"largest value that is possible: 1 / (1 - γ) = {1 / (1 - config.gamma):.0f}")

# %% [markdown]
# **Think.** The reward is 1 at every step, and the discount γ is 0.99. Is the highest value above
# possible? Where could a value come from that no episode can have? (V1 has no target network.)

# %% [markdown]
# ## 2. Reconstructions

# %%
def reconstruct(pictures):
    """What the model makes of pictures (N, 1, S, S), each seen by itself for three steps."""
    n, steps = len(pictures), 3
    still = {
        "image": np.repeat(pictures[:, None], steps, 1),
        "action": np.zeros((n, steps, 1), np.float32),
        "is_first": np.eye(1, steps).repeat(n, 0),
        "is_last": np.zeros((n, steps)),
        "is_terminal": np.zeros((n, steps)),
    }
    _, feature, _ = watch(still)
    with torch.no_grad():
        return model.decoder(feature[:, -1])["image"].numpy() + 0.5


def compare(pictures, names=None):
    """Rows of pictures: real, reconstructed, and the difference. The loss of each as title."""
    real, seen = pictures / 255, reconstruct(pictures)
    figure, axes = plt.subplots(3, len(real), figsize=(9.5, 3.9))
    for column, (x, y) in zip(axes.T, zip(real[:, 0], seen[:, 0], strict=True), strict=True):
        column[0].imshow(x, vmin=0, vmax=1)
        column[1].imshow(y, vmin=0, vmax=1)
        column[2].imshow(y - x, cmap="PuOr", vmin=-1, vmax=1)
        column[2].set_xlabel(f"loss {((x - y) ** 2).sum() / 2:.1f}")
    for axis, name in zip(axes[:, 0], ("real", "reconstruction", "difference"), strict=True):
        axis.set_ylabel(name)
    for axis, name in zip(axes[0], names or [""] * len(real), strict=True):
        axis.set_title(name)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)


pictures = np.concatenate([e["image"][5::7] for e in buffer.episodes])
compare(pictures[np.random.default_rng(0).choice(len(pictures), 8, replace=False)])

# %%
from dreamkit.envs.cartpole import PixelCartPole

camera = PixelCartPole(env.unwrapped)


def photo(x=0.0, degrees=0.0):
    """The picture of a cart at x metres with a pole at an angle."""
    return camera.observation(np.array([x, 0, np.radians(degrees), 0]))


odd = {
    "0°": photo(),
    "12°: the limit": photo(degrees=12),
    "30°": photo(degrees=30),
    "80°": photo(degrees=80),
    "cart at the edge": photo(x=2.2),
    "two poles": np.maximum(photo(degrees=-10), photo(degrees=10)),
    "upside down": photo(degrees=5)[:, ::-1],
    "negative": 255 - photo(),
}
compare(np.stack(list(odd.values())), list(odd))

# %% [markdown]
# ## 3. An open-loop dream

# %%
context, horizon = 5, 25
batch = buffer.sample(64, horizon)
torch.manual_seed(0)
views = agent.dream(batch, context)["image"]  # real, reconstruction, imagination: (B, T, 1, S, S)


def tilt(pictures):
    """Angle of the pole in degrees, read from pictures (..., 1, S, S) between 0 and 1."""
    light = (np.asarray(pictures)[..., 0, :, :] - 0.25).clip(0, 1)

    def column(top, bottom):  # where the light is, on average, between two rows of pixels
        band = light[..., top:bottom, :].sum(-2)
        return (band * np.arange(band.shape[-1])).sum(-1) / band.sum(-1).clip(1e-6)

    return np.degrees(np.arctan((column(5, 10) - column(17, 22)) / 12))


angles = {name: tilt(x / 255) for name, x in views.items()}
still = angles["real"].copy()
still[:, context:] = still[:, context - 1 : context]  # nothing moves any more


def off(angle):
    """Root mean square error of angles, over all sequences. (B, T) → (T,)"""
    return np.sqrt(np.mean((angle - angles["real"]) ** 2, 0))


def show_dream(number):
    figure, axes = plt.subplots(3, 1, figsize=(9.5, 3.9), sharex=True)
    names = ("real", "reconstruction", "imagination")
    for axis, name in zip(axes, names, strict=True):
        filmstrip(axis, views[name][number, ::2], vmin=0, vmax=255)
        axis.set_ylabel(name if name != "imagination" else "dream")
        axis.axvline(context / 2 - 0.25, color=RED, linewidth=3)
    axes[2].set_xticks(range(0, 13, 2), range(0, 25, 4))
    axes[2].set_xlabel("time step; right of the line the dream sees no picture, only the actions")


good = int(np.argsort(np.abs(angles["imagination"] - angles["real"]).max(1))[16])
bad = int(np.argsort(np.abs(angles["imagination"] - angles["real"]).max(1))[48])
show_dream(good)
show_dream(bad)

# %%
figure, (left, right) = plt.subplots(1, 2, width_ratios=[1, 1])
curves = {
    "last picture stays": (off(still), "0.45", "--"),
    "dream": (off(angles["imagination"]), ORANGE, "-"),
    "reconstruction": (off(angles["reconstruction"]), BLUE, "-"),
}
for name, (curve, color, style) in curves.items():
    left.plot(curve, style, color=color)
    left.annotate(name, (horizon - 1, curve[-1]), color=color, xytext=(4, 0), textcoords="offset points", va="center")
left.set(xlabel="time step", ylabel="error of the angle (degrees, rms)", ylim=(0, None))
for name, color in (("real", "black"), ("imagination", ORANGE)):
    right.plot(angles[name][good], color=color)
    right.plot(angles[name][bad], color=color, linestyle="--")
for axis in (left, right):
    axis.axvline(context - 0.5, color="0.7", linewidth=1)
right.set(xlabel="time step", ylabel="angle (degrees)")
for t in (6, 8, 10, 12, 14, 19, 24):
    print(f"step {t}: dream {off(angles['imagination'])[t]:.1f}°, ", end="")
    print(f"reconstruction {off(angles['reconstruction'])[t]:.1f}°, last picture {off(still)[t]:.1f}°")

# %% [markdown]
# ## 4. Inside the latent

# %%
states, feature, rows = watch(batch)
number = good
post, prior = states["post_mean"][number], states["prior_mean"][number]
units = post.std(0).argsort(descending=True)[:3].tolist()
figure, axes = plt.subplots(3, 1, figsize=(9.5, 4.6), sharex=True)
steps = np.arange(horizon)
for axis, unit in zip(axes, units, strict=True):
    for mean, std, color, name in (
        (prior, states["prior_std"][number], ORANGE, "prior: before the picture"),
        (post, states["post_std"][number], BLUE, "posterior: after it"),
    ):
        low, high = mean[:, unit] - std[:, unit], mean[:, unit] + std[:, unit]
        axis.fill_between(steps, low, high, color=color, alpha=0.25, linewidth=0)
        axis.plot(steps, mean[:, unit], color=color, label=name)
    axis.set_ylabel(f"unit {unit} of z")
axes[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 0.98))
axes[2].set_xlabel("time step")
gap = ((states["post_mean"] - states["prior_mean"]).abs() / states["prior_std"]).mean((0, 2))
print(f"distance of the means in stds of the prior: {gap[0]:.1f} at step 0, {gap[1]:.1f} at 1, ", end="")
print(f"{gap[5:].mean():.1f} from step 5 on")
print(f"std of the posterior {states['post_std'].mean():.2f}, of the prior {states['prior_std'].mean():.2f}")


# %%
def dreams(rows, context, steps, count):
    """Angles (B, count, steps) in dreams: they see `context` rows, then follow the real actions."""
    many = {key: torch.as_tensor(x).repeat_interleave(count, 0) for key, x in rows.items()}
    seen, _, many = watch({key: x[:, : context + steps] for key, x in many.items()})
    start = {"h": seen["h"][:, context - 1][None], "z": seen["z"][:, context - 1]}
    taken = iter(many["action"][:, context:].unbind(1))
    with torch.no_grad():
        ahead = rssm.rollout_imagination(start, lambda _: next(taken), steps)
        pictures = model.decoder(v1.rssm.get_feature(ahead["h"], ahead["z"]))["image"] + 0.5
    return tilt(pictures).reshape(-1, count, steps)


few = {key: x[:32] for key, x in batch.items()}
memory = {  # both dream from row 5 on; the first has seen row 4 alone, the second rows 0 to 4
    "one picture seen": dreams({key: x[:, 4:] for key, x in few.items()}, 1, 12, 40),
    "five pictures seen": dreams(few, 5, 12, 40),
}
figure, axes = plt.subplots(1, 2, sharey=True, figsize=(9.5, 3.6))
for axis, (name, angle) in zip(axes, memory.items(), strict=True):
    axis.plot(np.arange(5, 17), angle[7].T, color=ORANGE, alpha=0.3, linewidth=1)
    axis.plot(angles["real"][7, :17], color="black", linewidth=2.5)
    axis.axvline(4.5, color="0.7", linewidth=1)
    axis.set(title=name, xlabel="time step")
    print(f"{name}: spread of 40 dreams after 3 steps {angle.std(1).mean(0)[2]:.1f}°, ", end="")
    print(f"after 12 steps {angle.std(1).mean(0)[11]:.1f}° (mean of 32 starts)")
axes[0].set_ylabel("angle of the pole (degrees)")

# %% [markdown]
# ## 5. Surprise: the KL, and free nats

# %%
def surprise(rows):
    """KL(posterior ‖ prior) in nats of every step of sequences. (B, T)"""
    states, _, _ = watch(rows)
    names = ("post_mean", "post_std", "prior_mean", "prior_std")
    return v1.rssm.kl_divergence(*(states[name] for name in names))


moment = 14
swapped, flipped = dict(batch), dict(batch)
swapped["image"], flipped["action"] = batch["image"].copy(), batch["action"].copy()
swapped["image"][:, moment] = np.roll(batch["image"][:, moment], 1, 0)  # of another sequence
flipped["action"][:, moment] *= -1  # the model is told the opposite of what was done
cases = {
    "as it was": (surprise(batch), "black", "-"),
    "picture swapped at step 14": (surprise(swapped), RED, "--"),
    "action flipped at step 14": (surprise(flipped), BLUE, ":"),
}
figure, axis = plt.subplots()
for name, (kl, color, style) in cases.items():
    axis.plot(kl.mean(0), style, color=color, label=name)
    after = kl.mean(0)[moment : moment + 5].numpy().round(1)
    print(f"{name}: KL of steps {moment} to {moment + 4}: {after}; at step 0: {kl[:, 0].mean():.1f} nats")
axis.set(xlabel="time step", ylabel="KL (nats), mean of 64 sequences", ylim=(0, None))
axis.legend()

# %%
figure, (left, right) = plt.subplots(1, 2, sharex=True)
distance = np.linspace(0, 0.9, 91)
zeros, ones = torch.zeros(1, 1, 16), torch.ones(1, 1, 16)
for free, color, style in ((0.0, "black", "-"), (1.0, BLUE, "--"), (3.0, ORANGE, "-.")):
    points = []
    for far in distance:
        mean = torch.full((1, 1, 16), far, requires_grad=True)
        loss, kl = v1.rssm.kl_loss(mean, ones, zeros, ones, free)
        (slope,) = torch.autograd.grad(loss, mean)
        points.append((float(kl), float(loss.detach()), float(slope.norm())))
    kl, loss, slope = np.array(points).T
    left.plot(kl, loss, style, color=color, label=f"free nats {free:g}")
    right.plot(kl, slope, style, color=color)
left.set(xlabel="mean KL (nats)", ylabel="loss (nats)", ylim=(0, None))
right.set(xlabel="mean KL (nats)", ylabel="gradient's norm at the posterior mean")
left.legend()

# %% [markdown]
# ## 6. λ-returns

# %%
lambda_returns = v1.actor_critic.compute_lambda_returns
styles = {0.0: (BLUE, "o"), 0.5: (GREEN, "s"), 0.9: (ORANGE, "^"), 1.0: ("black", "D")}
rewards, values = torch.zeros(1, 12), torch.zeros(1, 13)
rewards[0, 8] = 1.0
figure, (left, right) = plt.subplots(1, 2)
for number, (color, marker) in styles.items():
    returns = lambda_returns(rewards, values, torch.ones(1, 12), gamma=0.9, lambda_=number)[0]
    left.plot(returns, marker=marker, markersize=4, color=color, label=f"λ = {number:g}")
    print(f"λ = {number:g}:", " ".join(f"{x:.2f}" for x in returns))
left.set(xlabel="step of the dream", ylabel="return", title="one reward, at step 8; the critic says 0")
left.legend()

truth, guess, count, gamma = 10.0, 6.0, 4000, 0.9
torch.manual_seed(0)
rewards = 1 + torch.randn(count, 15)  # 1 on average, so every state is worth 1 / (1 - 0.9) = 10
values, goes_on = torch.full((count, 16), guess), torch.ones(count, 15)
grid = np.linspace(0, 1, 41)
first = [lambda_returns(rewards, values, goes_on, gamma, x)[:, 0] for x in grid]
bias = np.array([float(x.mean() - truth) for x in first])
noise = np.array([float(x.std()) for x in first])
total = np.hypot(bias, noise)
right.plot(grid, np.abs(bias), "--", color=BLUE, label="bias (size)")
right.plot(grid, noise, ":", color=RED, label="standard deviation")
right.plot(grid, total, color="black", label="both: rms error")
right.set(xlabel="λ", ylabel="error of the first return", ylim=(0, None))
right.set_title("noisy rewards; the critic says 6, the truth is 10")
right.legend()
best = total.argmin()
for index in (0, best, 38, 40):
    print(f"λ = {grid[index]:.3g}: bias {bias[index]:.2f}, std {noise[index]:.2f}, rms {total[index]:.2f}")

# %% [markdown]
# ## 7. The gradient of a dream

# %%
length = config.imagine_length
states, _, _ = watch(batch)
start = {"h": states["h"][:, 9][None], "z": states["z"][:, 9]}
with torch.no_grad():
    torch.manual_seed(0)
    dream = rssm.rollout_imagination(start, lambda x: agent.actor(x).rsample(), length)
actions = dream["action"]  # (64, 15, 1)


def first_return(agent, start, actions, lambda_):
    """λ-return of the first dreamed state, for given actions and the same noise every time."""
    torch.manual_seed(1)
    taken = iter(actions.unbind(1))
    world = agent.world_model
    dream = world.rssm.rollout_imagination(start, lambda _: next(taken), actions.shape[1])
    feature = v1.rssm.get_feature(dream["h"], dream["z"])
    reward, alive = world.predict(feature)  # γ is in `alive`
    found = lambda_returns(reward[:, :-1], agent.critic(feature), alive[:, :-1], 1.0, lambda_)
    return found[:, 0]


figure, (left, right) = plt.subplots(1, 2)
for number, color, style in ((0.0, BLUE, "s:"), (0.5, GREEN, "^--"), (0.95, ORANGE, "o-")):
    leaf = actions.clone().requires_grad_()
    (slope,) = torch.autograd.grad(first_return(agent, start, leaf, number).sum(), leaf)
    size = slope.abs().median(0).values[:, 0]
    left.plot(size, style, markersize=4, color=color, label=f"λ = {number:g}")
    print(f"λ = {number:g}:", " ".join(f"{x:.2g}" for x in size))
left.set(xlabel="action number", ylabel="|d return of s₁ / d action|, median")
left.legend()

exact = copy.deepcopy(agent)  # in double precision, for small differences
exact.modules.double()
one = {key: x[..., :1, :].double() for key, x in start.items()}
leaf = actions[:1].double().requires_grad_()
(slope,) = torch.autograd.grad(first_return(exact, one, leaf, 0.95).sum(), leaf)
small, measured = 1e-5, []
with torch.no_grad():
    for t in range(length):
        step = torch.zeros_like(leaf)
        step[0, t] = small
        up, down = (first_return(exact, one, leaf + s * step, 0.95)[0] for s in (1, -1))
        measured.append(float(up - down) / (2 * small))
slope, measured = slope[0, :, 0].numpy(), np.array(measured)
right.bar(np.arange(length), slope, color="0.8", label="backpropagation")
right.plot(measured, "x", color=RED, label="finite difference")
right.set(xlabel="action number", ylabel="d return of s₁ / d action", title="one dream")
right.legend()
print(f"largest difference: {np.abs(slope - measured).max():.1e}; largest slope {np.abs(slope).max():.2g}")

# %%
figure, (left, right) = plt.subplots(1, 2)
TanhNormal = v1.actor_critic.TanhNormal
means = torch.linspace(-5, 5, 101)[:, None].expand(-1, 4000)
torch.manual_seed(0)
for std, color, style in ((5.0, RED, "-."), (1.0, BLUE, "--"), (0.3, GREEN, "-")):
    sample = TanhNormal(means, torch.full_like(means, std)).rsample()
    left.plot(means[:, 0], (1 - sample**2).mean(1), style, color=color, label=f"std {std:g}")
    middle = sample[50]
    right.hist(middle, bins=np.linspace(-1, 1, 31), histtype="step", color=color, linestyle=style, density=True, linewidth=1.8)
    print(f"std {std:g}: {(middle.abs() > 0.95).float().mean():.0%} of the actions beyond ±0.95 ", end="")
    print(f"at mean 0, mean slope {(1 - middle**2).mean():.2f}")
left.set(xlabel="mean before the tanh", ylabel="mean slope of tanh, 1 − a²", ylim=(0, 1))
right.set(xlabel="action", ylabel="density", title="mean 0")
left.legend()
policy = agent.actor(v1.rssm.get_feature(dream["h"], dream["z"]))
print(f"this agent, in its dreams: median std {policy.std.median():.2f}, ", end="")
print(f"|mean| {policy.mean.abs().median():.2f}, {(actions.abs() > 0.95).float().mean():.0%} beyond ±0.95")

# %% [markdown]
# ## 8. What comes next
