"""What each level of a trained agent knows, and what it does: numbers, tables and pictures.

    python -m solutions.paper4_hdreamer.analyse probes checkpoint=runs/two-levels
    python -m solutions.paper4_hdreamer.analyse information|openloop|pictures checkpoint=…

The levels of an agent with two are its own. One with n_top=0, or a DreamerV3, is the control: its
latents are dealt out at random to a group of n_top=… and the rest. Episodes are new ones; every
second is played by the agent, the others at random. The first row of each is left out of
probes and information: no action led to it.

Letters: E episodes, T rows of one, N rows of all, H deterministic units, S categoricals, K classes,
R resamples.
"""

import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dreamkit import UserError
from dreamkit.collect import Slot
from dreamkit.video import SKIP, as_batch, as_rgb
from paper3_dreamerv3.networks import symexp
from paper4_hdreamer import pages, probes
from paper4_hdreamer.probes import factorisation_index, interval

HELP = """usage: python -m solutions.paper4_hdreamer.analyse COMMAND checkpoint=RUN [episodes=40]
            [seed=0] [n_top=0] [out=FOLDER] [device=auto] [code=solutions|mine|FOLDER]

probes        linear probes of each level: what is oneself, what is the world; factorisation index
information   mutual information of each latent with each factor, and of the levels
openloop      error of the predicted observation over time, with a level switched off
pictures      reconstructions in which one level alone is drawn anew

RUN is a run folder or a checkpoint file; n_top=N deals out a flat agent's latents at random, N to
the top. Files go to RUN/analysis. Probes and information need a task that tells its true factors,
by a method `factors`: task=gridworld.
"""
HELD_OUT = 3_000_017  # added to the seed: neither training nor evaluation meets these episodes
LENGTH = 100  # rows of an episode, at most
HORIZONS = (0, 1, 5, 15)  # steps that the prior went ahead; 0: the posterior
SPLITS = 5  # random dealings of the latents
CONTEXT = 5  # rows that an open-loop prediction has seen
COLUMNS, ROWS = 10, 4  # moments of an episode; drawings of each
AGENTS = ("hdreamer", "dreamerv3")
LEVELS = ("top", "bottom")
PARTS = ("h", *LEVELS, "full")  # features whose controls are computed, or that classify


@dataclass
class Levels:
    """Numbers of the categoricals of each level."""

    top: np.ndarray
    bottom: np.ndarray

    @classmethod
    def of(cls, agent, n_top: int, rng: np.random.Generator) -> "Levels":
        """An agent's own levels, or a flat one's, dealt out at random.

        errors   UserError: n_top does not fit the agent
        """
        stoch, own = agent.config.stoch, getattr(agent.config, "n_top", 0)
        if own:
            if n_top not in (0, own):
                raise UserError(f"n_top={n_top}: this agent has levels, and {own} on the top one")
            return cls(np.arange(own), np.arange(own, stoch))
        if not 0 < n_top < stoch:
            raise UserError(
                f"this agent has no levels: n_top=N, from 1 to {stoch - 1}, deals out its "
                f"{stoch} latents at random"
            )
        return cls.deal(stoch, n_top, rng)

    @classmethod
    def deal(cls, stoch: int, n_top: int, rng: np.random.Generator) -> "Levels":
        order = rng.permutation(stoch)
        return cls(np.sort(order[:n_top]), np.sort(order[n_top:]))


# --- episodes and states --------------------------------------------------------------------------


@dataclass
class Episodes:
    """Played episodes, side by side and padded with their last rows.

    batch     {name: (E, T, ...)}   as for `train_step`
    inside    (E, T)                whether a row is one of the episode
    factors   {name: (E, T, size)}  float, or int for classes; empty if the task does not tell
    """

    batch: dict
    inside: np.ndarray
    factors: dict


@contextmanager
def seeded(agent, seed: int):
    """Random numbers of torch from a seed; the caller's are kept."""
    with torch.random.fork_rng([agent.device] if agent.device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def factors_of(env) -> dict[str, np.ndarray]:
    """{name: (size,)} of the present observation; empty if the task does not tell."""
    tell = getattr(env.unwrapped, "factors", None)
    return {name: np.atleast_1d(x).ravel() for name, x in tell().items()} if tell else {}


def need_factors(make_env: Callable) -> None:
    """Errors: UserError, where a task does not tell its factors, or not those of both kinds."""
    env = make_env()
    env.reset(seed=0)
    names = factors_of(env)
    env.close()
    need_both_kinds(
        names, "are not told by this task, by a method `factors`, as task=gridworld has"
    )


def need_both_kinds(names, problem: str) -> None:
    """Errors: UserError, where no factor is called ego/…, or none world/…."""
    for kind in ("ego", "world"):
        if not any(name.startswith(f"{kind}/") for name in names):
            raise UserError(f"probes need true factors of both kinds: those of {kind}/ {problem}")


def play(agent, make_env: Callable, episodes: int, seed: int) -> Episodes:
    """New episodes, cut at LENGTH rows: those of odd number by the agent, the others at random."""
    slots = [Slot(make_env(), number, seed + HELD_OUT) for number in range(episodes)]
    for slot in slots:
        slot.reset()
    rows, factors = [[slot.row] for slot in slots], [[factors_of(slot.env)] for slot in slots]
    at_random = torch.arange(episodes, device=agent.device)[:, None] % 2 == 0
    keys = [key for key in slots[0].row if key not in SKIP]
    discrete = hasattr(slots[0].env.action_space, "n")
    with seeded(agent, seed):
        state = agent.initial_state(episodes)
        for _ in range(LENGTH - 1):
            running = [slot for slot in slots if not slot.row["is_last"]]
            if not running:
                break
            obs = {key: np.stack([slot.row[key] for slot in slots]) for key in keys}
            actions, state = agent.act(obs, state, explore=False)
            other = 2 * torch.rand_like(actions) - 1
            if discrete:
                classes = torch.randint_like(other[:, 0], other.shape[1]).long()
                other = torch.nn.functional.one_hot(classes, other.shape[1]).to(other)
            actions = torch.where(at_random, other, actions)
            state = state | {"action": actions}
            for slot in running:
                slot.step(actions[slot.number].cpu().numpy())
                rows[slot.number].append(slot.row)
                factors[slot.number].append(factors_of(slot.env))
    for slot in slots:
        slot.env.close()
    return side_by_side(agent, rows, factors, discrete)


def side_by_side(agent, rows: list[list], factors: list[list], discrete: bool) -> Episodes:
    """Rows and factors of each episode → one batch. The action before a row is a factor too."""
    length = max(len(episode) for episode in rows)
    inside = np.array([[t < len(episode) for t in range(length)] for episode in rows])
    rows, factors = (
        [list(x) + [x[-1]] * (length - len(x)) for x in episodes] for episodes in (rows, factors)
    )
    batches = [as_batch(agent, episode) for episode in rows]
    batch = {key: np.concatenate([x[key] for x in batches]) for key in batches[0]}
    told = {
        name: np.stack([[row[name] for row in episode] for episode in factors])
        for name in factors[0][0]
    }
    if told:
        action = batch["action"]
        told["action"] = action.argmax(-1)[..., None] if discrete else action
    return Episodes(batch, inside, told)


@torch.no_grad()
def filtered(agent, batch: dict) -> tuple[dict, Tensor, Tensor, Tensor]:
    """The prepared batch, h (E, T, H), z (E, T, S, K), and what posteriors see of x (E, T, …)."""
    batch, model = agent.prepare(batch), agent.world_model
    embed, before = model.encoder(batch), model.rssm.initial(len(batch["action"]))
    h, z, _ = model.rssm.observe(embed, batch["action"], batch["is_first"], before)
    return batch, h, z, model.rssm.post_embed(embed)


@torch.no_grad()
def states(agent, played: Episodes, horizons: tuple = HORIZONS) -> dict[int, tuple]:
    """{k: (h (E, T - k, H), codes (E, T - k, S))} of rows k … T - 1, which the model was told of up
    to k rows before; it knows the actions since. Codes are classes, of samples."""
    batch, h, z, _ = filtered(agent, played.batch)
    action, shape = batch["action"], h.shape[:2]
    found = {0: (h, z)}
    h, z = h.flatten(0, 1), z.flatten(0, 1)
    for k in range(1, min(max(horizons) + 1, shape[1])):
        h, z = agent.world_model.rssm.imagine_step(h, z, action.roll(-k, 1).flatten(0, 1))
        found[k] = h.unflatten(0, shape)[:, :-k], z.unflatten(0, shape)[:, :-k]
        if k - 1 not in horizons:
            found.pop(k - 1)
    return {
        k: (h.cpu().numpy(), z.argmax(-1).cpu().numpy())
        for k, (h, z) in found.items()
        if k in horizons
    }


# --- probes ---------------------------------------------------------------------------------------


@dataclass
class Rows:
    """Rows of all episodes at one horizon: what is probed, and what for.

    h, codes          (N, H), (N, S)
    numbers, classes  {factor: (N, size)} float; {factor: (N,)} int
    """

    h: np.ndarray
    codes: np.ndarray
    numbers: dict
    classes: dict
    fold: np.ndarray
    episode: np.ndarray
    counts: np.ndarray  # (1 + R, E), from `probes.resamples`

    @classmethod
    def at(cls, k: int, h: np.ndarray, codes: np.ndarray, played: Episodes, seed: int):
        """The rows that horizon k reaches, but the first of each episode."""
        inside = played.inside[:, k:].copy()
        inside[:, : max(0, 1 - k)] = False
        episode = np.nonzero(inside)[0]
        numbers, classes = {}, {}
        for name, x in played.factors.items():
            x = x[:, k:][inside]
            moving = x.std(0) > 1e-9  # what never changes cannot be explained
            if x.dtype.kind in "iub":
                parts = {label(name, x, i): x[:, i] for i in np.flatnonzero(moving)}
                parts = {key: np.unique(y, return_inverse=True)[1] for key, y in parts.items()}
                classes |= parts
            elif moving.any():
                numbers[name] = x[:, moving]
        rng = np.random.default_rng(seed)
        fold = probes.episode_folds(episode, probes.FOLDS, rng)
        counts = probes.resamples(episode, rng)
        return cls(h[inside], codes[inside], numbers, classes, fold, episode, counts)

    def one_hot(self, latents: np.ndarray, classes: int) -> np.ndarray:
        return np.eye(classes, dtype=np.float32)[self.codes[:, latents]].reshape(len(self.h), -1)

    def features(self, levels: Levels, classes: int) -> dict[str, np.ndarray]:
        """{name: (N, D)} of all that is probed."""
        h, top, bottom = self.h, *(self.one_hot(x, classes) for x in (levels.top, levels.bottom))
        parts = {"h": [h], "top": [top], "bottom": [bottom], "top+bottom": [top, bottom]}
        parts |= {"h+top": [h, top], "h+bottom": [h, bottom], "full": [h, top, bottom]}
        return {name: np.concatenate(x, 1) for name, x in parts.items()}

    def r_squared(self, x: np.ndarray, targets: dict, components: int = 0) -> dict:
        """{factor: (1 + R,)}, the mean over a factor's entries."""
        y = np.concatenate(list(targets.values()), 1)
        predicted = probes.ridge(x, y, self.fold, components)
        scores = probes.r_squared(y, predicted, self.episode, self.counts)
        ends = np.cumsum([target.shape[1] for target in targets.values()])[:-1]
        parts = np.split(scores, ends, 1)
        return {name: part.mean(1) for name, part in zip(targets, parts, strict=True)}


def label(name: str, x: np.ndarray, entry: int) -> str:
    return name if x.shape[1] == 1 else f"{name}[{entry}]"


def untrained(agent, make_env: Callable, seed: int):
    """An agent of the same architecture, as it is before its first update."""
    env = make_env()
    with seeded(agent, seed):
        spaces = env.observation_space.spaces
        fresh = type(agent)(spaces, env.action_space, agent.config, agent.device)
    env.close()
    return fresh


def probe(agent, make_env: Callable, episodes: int = 40, seed: int = 0, n_top: int = 0) -> dict:
    """Linear probes of every feature for every factor, with controls.

    n_top    of a flat agent: latents in the first of two random groups
    return   r2         {"posterior", "prior, 1 ahead", …: {feature: {factor: [R², low, high]}}}
             controls   {control: {feature: {factor: …}}} of the posterior, see `control`
             index      {levels or control: [F, low, high]}, the factorisation index
             accuracy   {feature: {factor: …}}, balanced, of factors that are classes; posterior
             cross_entropy   the same in nats
             and what was probed: flat, episodes, rows, classes, top, bottom, factors

    Intervals: 95 %, bootstrap over the episodes; the agent is one.
    errors   UserError: the task does not tell its factors; n_top
    """
    rng = np.random.default_rng(seed)
    levels = Levels.of(agent, n_top, rng)
    need_factors(make_env)
    played, classes = play(agent, make_env, episodes, seed), agent.config.classes
    with seeded(agent, seed):
        found = {k: Rows.at(k, *x, played, seed) for k, x in states(agent, played).items()}
    here, scores = found[0], {}
    need_both_kinds(here.numbers, "never change as numbers")
    for k, rows in found.items():
        if len(np.unique(rows.episode)) >= probes.FOLDS:  # else episodes are shorter than this
            features = rows.features(levels, classes)
            name = f"prior, {k} ahead" if k else "posterior"
            scores[name] = {key: rows.r_squared(x, rows.numbers) for key, x in features.items()}
    controls = control(agent, make_env, played, here, levels, seed)
    controls |= matched(here, levels, classes, scores["posterior"], rng)
    index = {
        name: factorisation_index(*(found[level] for level in LEVELS))
        for name, found in (scores | controls).items()
    }
    index["dealt at random"] = dealt(here, levels, classes, rng)
    index["posterior above dealt"] = index["posterior"] - index["dealt at random"]
    accuracy, surprise = classify(here, levels, classes)
    return about(agent, episodes, here, levels) | {
        "classes": classes, "factors": {name: y.shape[1] for name, y in here.numbers.items()},
        "r2": plain(scores), "controls": plain(controls), "index": plain(index),
        "accuracy": plain(accuracy), "cross_entropy": plain(surprise),
    }  # fmt: skip


def about(agent, episodes: int, rows: Rows, levels: Levels) -> dict:
    """What a report says of its data."""
    return {
        "flat": not getattr(agent.config, "n_top", 0), "episodes": episodes, "rows": len(rows.h),
        "top": levels.top.tolist(), "bottom": levels.bottom.tolist(),
    }  # fmt: skip


def control(
    agent, make_env: Callable, played: Episodes, rows: Rows, levels: Levels, seed: int
) -> dict:
    """What a probe finds where there is nothing to find: {control: {feature: {factor: (1 + R,)}}}.

    shuffled    the targets are those of other episodes
    untrained   the same architecture before its first update
    """
    classes = agent.config.classes
    with seeded(agent, seed):
        blank = Rows.at(0, *states(untrained(agent, make_env, seed), played, (0,))[0], played, seed)
    order = probes.shuffle_episodes(rows.episode, np.random.default_rng(seed))
    others = {name: y[order] for name, y in rows.numbers.items()}
    mine, blanks = rows.features(levels, classes), blank.features(levels, classes)
    return {
        "shuffled": {name: rows.r_squared(mine[name], others) for name in PARTS},
        "untrained": {name: blank.r_squared(blanks[name], blank.numbers) for name in PARTS},
    }


def matched(
    rows: Rows, levels: Levels, classes: int, scores: dict, rng: np.random.Generator
) -> dict:
    """Both levels with as many units: the larger one reduced, as in `control`; {} where they are.

    components   its first principal components
    latents      some of its categoricals, chosen at random
    """
    small, large = sorted(LEVELS, key=lambda level: len(getattr(levels, level)))
    count, of_large = len(getattr(levels, small)), getattr(levels, large)
    if len(of_large) == count:
        return {}
    some = np.sort(rng.choice(of_large, count, replace=False))
    whole, units = rows.one_hot(of_large, classes), count * classes
    reduced = {
        f"{large}: {units} components": rows.r_squared(whole, rows.numbers, units),
        f"{large}: {count} latents": rows.r_squared(rows.one_hot(some, classes), rows.numbers),
    }
    return {name: {small: scores[small], large: found} for name, found in reduced.items()}


def dealt(rows: Rows, levels: Levels, classes: int, rng: np.random.Generator) -> np.ndarray:
    """The factorisation index of levels of the same sizes, dealt out at random. (1 + R,)

    The estimate is the mean of SPLITS dealings; each resample of the episodes is of one of them.
    It is not 0 where one level is larger, and one kind of factor better known.
    """
    top, bottom = len(levels.top), len(levels.bottom)
    found = []
    for _ in range(SPLITS):
        deal = Levels.deal(top + bottom, top, rng)
        both = (rows.one_hot(latents, classes) for latents in (deal.top, deal.bottom))
        found.append(factorisation_index(*(rows.r_squared(x, rows.numbers) for x in both)))
    values = np.choose(np.arange(len(found[0])) % SPLITS, found)
    values[0] = np.mean([x[0] for x in found])
    return values


def classify(rows: Rows, levels: Levels, classes: int) -> tuple[dict, dict]:
    """Balanced accuracy and cross-entropy {feature: {factor: (1 + R,)}} of factors in classes."""
    accuracy, surprise, features = {}, {}, rows.features(levels, classes)
    for name in PARTS:
        x = features[name]
        for factor, y in rows.classes.items():
            probabilities = probes.logistic(x, y, rows.fold)
            given = y, probabilities, rows.episode, rows.counts
            accuracy.setdefault(name, {})[factor] = probes.balanced_accuracy(*given)
            surprise.setdefault(name, {})[factor] = probes.cross_entropy(*given)
    return accuracy, surprise


def plain(x):
    """Resampled values, at the bottom of dictionaries, as [estimate, low, high], to 4 digits."""
    if isinstance(x, dict):
        return {key: plain(y) for key, y in x.items()}
    return [round(y, 4) for y in interval(x)]


# --- information ----------------------------------------------------------------------------------


def information(
    agent, make_env: Callable, episodes: int = 40, seed: int = 0, n_top: int = 0
) -> dict:
    """How much each latent, and each level, tells of each factor; in shares of its entropy H(y).

    return   entropy      {factor: H(y), nats}; factors with numbers are cut at 8 quantiles
             latents      {factor: [S]}   I/H(y) above chance, of each latent, the top ones first
             best         {level: {factor: the highest of its latents}}
             probe        {name: {factor: [share, low, high]}}: H(y) minus the cross-entropy of a
                          linear probe, a lower bound of I/H(y): of top, bottom, both; and of
                          `bottom given top`, `top given bottom`: what a level adds to the other
             redundancy   mean I/√(H H) of a top and a bottom latent; `floor`: by chance
             flat, episodes, rows, top, bottom
    """
    rng = np.random.default_rng(seed)
    levels = Levels.of(agent, n_top, rng)
    need_factors(make_env)
    played, classes = play(agent, make_env, episodes, seed), agent.config.classes
    with seeded(agent, seed):
        rows = Rows.at(0, *states(agent, played, (0,))[0], played, seed)
    binned = {
        label(name, x, i): probes.quantile_bins(x[:, i])
        for name, x in rows.numbers.items()
        for i in range(x.shape[1])
    } | rows.classes
    top, bottom = rows.codes[:, levels.top], rows.codes[:, levels.bottom]
    every = np.concatenate([top, bottom], 1)
    x = rows.features(levels, classes)
    parts = {"top": x["top"], "bottom": x["bottom"], "both": x["top+bottom"]}
    entropy, shares, probed = {}, {}, {}
    for factor, y in binned.items():
        entropy[factor] = total = probes.entropy(y)
        shares[factor] = [
            round(probes.excess_information(code, y, rows.episode, rng) / total, 4)
            for code in every.T
        ]
        left = {
            name: probes.cross_entropy(
                y, probes.logistic(part, y, rows.fold), rows.episode, rows.counts
            )
            for name, part in parts.items()
        }
        told = {name: total - x for name, x in left.items()}
        told["bottom given top"] = left["top"] - left["both"]
        told["top given bottom"] = left["bottom"] - left["both"]
        for name, nats in told.items():
            probed.setdefault(name, {})[factor] = nats / total
    common, floor = probes.redundancy(top, bottom, rows.episode, rng)
    count = len(levels.top)
    return about(agent, episodes, rows, levels) | {
        "entropy": {factor: round(nats, 4) for factor, nats in entropy.items()},
        "latents": shares,
        "best": {
            "top": {factor: max(x[:count]) for factor, x in shares.items()},
            "bottom": {factor: max(x[count:]) for factor, x in shares.items()},
        },
        "probe": plain(probed),
        "redundancy": {"levels": round(common, 4), "floor": round(floor, 4)},
    }  # fmt: skip


# --- levels at work -------------------------------------------------------------------------------


def draw(agent, levels: Levels, h: Tensor, embed_in: Tensor, top="posterior", bottom="posterior"):
    """Latents of which each level comes from where it is said: (..., S, K).

    top, bottom   "prior", "posterior", or latents (..., S_top, K), (..., S_bottom, K)
    """
    core = agent.world_model.rssm
    if getattr(agent.config, "n_top", 0):
        top_in, bottom_in = embed_in.chunk(2, -1)
        if isinstance(top, str):
            top = core.sample(
                core.top_prior(h) if top == "prior" else core.top_posterior(h, top_in)
            )
        if isinstance(bottom, str):
            bottom = core.sample(
                core.bottom_prior(h, top)
                if bottom == "prior"
                else core.bottom_posterior(h, top, bottom_in)
            )
    else:
        drawn = {
            "prior": core.sample(core.prior(h)),
            "posterior": core.sample(core.posterior(h, embed_in)),
        }
        top = drawn[top][..., levels.top, :] if isinstance(top, str) else top
        bottom = drawn[bottom][..., levels.bottom, :] if isinstance(bottom, str) else bottom
    z = torch.cat([top, bottom], -2)
    return z[..., np.argsort(np.concatenate([levels.top, levels.bottom])), :]


def errors_of(agent, batch: dict, h: Tensor, z: Tensor, t: int) -> dict[str, np.ndarray]:
    """{observation: (E,)} squared error of the prediction for row t; images from 0 to 1."""
    decoder = agent.world_model.decoder
    found = {}
    for key, x in decoder(h, z).items():
        image = key in decoder.images
        real = batch[key][:, t].float() / (255 if image else 1)
        wrong = ((x if image else symexp(x)) - real).flatten(1)
        found[key] = (wrong**2).mean(1).cpu().numpy()
    return found


@torch.no_grad()
def openloop(agent, make_env: Callable, episodes: int = 40, seed: int = 0, n_top: int = 0) -> dict:
    """Error of the predicted observation, row by row after the first CONTEXT ones.

    return   {"context", "errors": {observation: {name: [[error, low, high], of each row]}},
             "mean": {observation: error of always predicting the mean observation}}

    names, by where the latents of each step come from:
        reconstruction             posterior: both levels see the observation
        both from the prior        a dream, with the actions that were really taken
        bottom from the prior      the top level sees the observation, the bottom is drawn from
                                   p(bottom | h, top); the error that is left is what the top lacks
        top of another episode     the bottom level sees the observation, the top is wrong
    Squared errors, mean over pixels and episodes; 95 % intervals, bootstrap over episodes.
    """
    rng = np.random.default_rng(seed)
    levels = Levels.of(agent, n_top, rng)
    played = play(agent, make_env, episodes, seed)
    if played.inside[:, CONTEXT:].any(1).sum() < 2:
        raise UserError(f"two episodes or more must be longer than {CONTEXT} rows")
    length = played.inside.shape[1]
    with seeded(agent, seed):
        batch, h, z, embed_in = filtered(agent, played.batch)
        exchanged = torch.from_numpy(np.roll(np.arange(episodes), 1)).to(h.device)
        other = z[exchanged][..., levels.top, :]
        ways = {
            "reconstruction": lambda t: ("posterior", "posterior"),
            "both from the prior": lambda t: ("prior", "prior"),
            "bottom from the prior": lambda t: ("posterior", "prior"),
            "top of another episode": lambda t: (other[:, t], "posterior"),
        }
        wrong: dict = {}
        core = agent.world_model.rssm
        for name, sources in ways.items():
            now = h[:, CONTEXT - 1], z[:, CONTEXT - 1]
            for t in range(CONTEXT, length):
                action_in = core.a_in(core.bound_action(batch["action"][:, t]))
                state = core.sequence_model(*now, action_in)
                now = state, draw(agent, levels, state, embed_in[:, t], *sources(t))
                for key, x in errors_of(agent, batch, *now, t).items():
                    wrong.setdefault(key, {}).setdefault(name, []).append(x)
    inside, counts = played.inside[:, CONTEXT:], probes.resamples(np.arange(episodes), rng)
    inside = inside[:, inside.sum(0) >= 2]
    errors = {
        key: {name: curve(np.stack(x, 1), inside, counts) for name, x in found.items()}
        for key, found in wrong.items()
    }
    return {"context": CONTEXT, "errors": errors, "mean": spread(agent, played, list(wrong))}


def curve(wrong: np.ndarray, inside: np.ndarray, counts: np.ndarray) -> list[list[float]]:
    """[mean, low, high] at each step, over the episodes that last so long. (E, T), (E, T)"""
    wrong = wrong[:, : inside.shape[1]]
    with np.errstate(invalid="ignore"):  # a resample without any of the long episodes
        means = (counts @ (wrong * inside)) / (counts @ inside)
    return [[float(f"{x:.4g}") for x in interval(column)] for column in means.T]


def spread(agent, played: Episodes, keys: list[str]) -> dict[str, float]:
    """Squared error of always predicting the mean observation."""
    found = {}
    for key in keys:
        x = played.batch[key][played.inside].astype(np.float64)
        found[key] = x / 255 if key in agent.world_model.decoder.images else x
    return {key: float(f"{x.var(0).mean():.4g}") for key, x in found.items()}


@torch.no_grad()
def pictures(agent, make_env: Callable, seed: int = 0, n_top: int = 0) -> dict[str, np.ndarray]:
    """{title of a row: (COLUMNS, H, W, 3) uint8} of moments of an episode that the agent plays.

    errors   UserError: the agent sees no pictures
    """
    levels = Levels.of(agent, n_top, np.random.default_rng(seed))
    images = sorted(agent.world_model.decoder.images)
    if not images:
        raise UserError("this agent sees no pictures: openloop, probes and information need none")
    played = play(agent, make_env, 2, seed)  # the second is the agent's
    last = int(played.inside[1].sum()) - 1
    moments = np.linspace(min(1, last), last, COLUMNS).astype(int)

    def decode(h: Tensor, z: Tensor) -> np.ndarray:
        image = agent.world_model.decoder(h, z)[images[0]]
        return as_rgb((image * 255).byte().cpu().numpy())

    with seeded(agent, seed):
        batch, h, z, embed_in = filtered(agent, played.batch)
        h, z, embed_in = (x[1, moments] for x in (h, z, embed_in))
        found = {"real": as_rgb(batch[images[0]][1, moments].cpu().numpy())}
        found["reconstruction"] = decode(h, z)
        kept = {"top": z[:, levels.bottom], "bottom": z[:, levels.top]}  # what is not drawn
        for number in range(ROWS):
            drawn = draw(agent, levels, h, embed_in, kept["bottom"], "prior")
            found[f"bottom drawn anew, {number + 1}"] = decode(h, drawn)
        for number in range(ROWS):
            drawn = draw(agent, levels, h, embed_in, "prior", kept["top"])
            found[f"top drawn anew, {number + 1}"] = decode(h, drawn)
    return found


# --- the command ----------------------------------------------------------------------------------


def command(arguments: list[str]) -> int:
    """The command. Errors: UserError."""
    from dreamkit.cli import open_checkpoint, parse_options, run_folder
    from dreamkit.watchdog import watching

    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP)
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in WRITERS:
        raise UserError(f"unknown command {name!r}: one of {', '.join(WRITERS)}")
    options = parse_options(
        rest, HELP, episodes=40, seed=0, n_top=0, out="", device="auto", code=""
    )
    if options["episodes"] < 2 * probes.FOLDS:
        raise UserError(f"episodes={options['episodes']}: {2 * probes.FOLDS} or more are needed")
    agent, header, make_env, path = open_checkpoint(options)
    if header["agent_name"] not in AGENTS:
        raise UserError(f"{path} holds {header['agent_name']}; needed is {' or '.join(AGENTS)}")
    folder = Path(options["out"] or run_folder(path) / "analysis")
    with watching():
        for file in WRITERS[name](agent, make_env, options, folder):
            print(file)
    return 0


def write(folder: Path, name: str, report: dict, page: str, plot: Callable) -> list[Path]:
    """JSON, a page if there is one, and a figure. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.json"]
    files[0].write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if page:
        print(page)
        files.append(folder / f"{name}.md")
        files[1].write_text(f"{page}\n![{name}]({name}.png)\n", encoding="utf-8")
    return [*files, plot(folder / f"{name}.png", report)]


def arguments_of(options: dict) -> tuple[int, int, int]:
    return options["episodes"], options["seed"], options["n_top"]


def write_probes(agent, make_env: Callable, options: dict, folder: Path) -> list[Path]:
    report = probe(agent, make_env, *arguments_of(options))
    return write(folder, "probes", report, pages.probe_page(report), pages.plot_probes)


def write_information(agent, make_env: Callable, options: dict, folder: Path) -> list[Path]:
    report = information(agent, make_env, *arguments_of(options))
    return write(
        folder, "information", report, pages.information_page(report), pages.plot_information
    )


def write_openloop(agent, make_env: Callable, options: dict, folder: Path) -> list[Path]:
    report = openloop(agent, make_env, *arguments_of(options))
    return write(folder, "openloop", report, "", pages.plot_openloop)


def write_pictures(agent, make_env: Callable, options: dict, folder: Path) -> list[Path]:
    found = pictures(agent, make_env, options["seed"], options["n_top"])
    folder.mkdir(parents=True, exist_ok=True)
    return [pages.plot_pictures(folder / "pictures.png", found)]


WRITERS = {
    "probes": write_probes, "information": write_information,
    "openloop": write_openloop, "pictures": write_pictures,
}  # fmt: skip


if __name__ == "__main__":
    from dreamkit import cli

    cli.command(command)()
