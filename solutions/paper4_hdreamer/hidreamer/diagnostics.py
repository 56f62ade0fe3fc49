"""What each stage reached, always beside what is reached without it.

Embeddings are put beside raw pixels, an untrained encoder and permuted labels; tokens beside
"nothing changes" and a table; scores beside random play. All on episodes that were held out.
"""

import numpy as np
import torch

from solutions.paper4_hdreamer.hidreamer.encoder import diversity, temporal_ratio
from solutions.paper4_hdreamer.hidreamer.hrvq import perplexity, unexplained
from solutions.paper4_hdreamer.hidreamer.imagination import imagine, likeliest
from solutions.paper4_hdreamer.hidreamer.mask import ACTION
from solutions.paper4_hdreamer.hidreamer.tokens import Windows
from solutions.paper4_hdreamer.hidreamer.world_model import LEVELS, bigram, token_accuracy

ROWS = 6000  # of a probe, at most
PIXELS = 21  # a side of the pictures that raw pixels are probed on


def table(head: list[str], rows: list[list]) -> str:
    """Markdown; numbers with as many digits as are worth reading."""
    lines = [head, ["---"] * len(head), *([shown(x) for x in row] for row in rows)]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def shown(x) -> str:
    if isinstance(x, str):
        return x
    if isinstance(x, int | np.integer):
        return f"{x:,}"
    return "" if x is None or np.isnan(x) else f"{x:.3f}" if abs(x) < 10 else f"{x:.1f}"


# --- collect --------------------------------------------------------------------------------------


def collected(games: list, tier) -> str:
    """Per game: episodes, rows, scores, how often something is rewarded."""
    rows = []
    for game in games:
        found = game.rows()
        rewarded = found["reward"] != 0
        rows.append([
            game.name, len(game.scores), len(found["done"]), int(game.legal.sum()),
            float(np.mean(game.scores)), float(rewarded.mean()),
        ])  # fmt: skip
    head = ["game", "episodes", "rows", "legal actions", "mean score", "rewarded rows"]
    sticky = f"sticky actions {tier.sticky}\n" if tier.sticky >= 0 else ""
    return table(head, rows) + sticky


# --- probes ---------------------------------------------------------------------------------------


def probe(x: np.ndarray, y: np.ndarray, held: np.ndarray) -> np.ndarray:
    """R² of a ridge regression on held-out rows, of each target. (N, D), (N, K), (N,) → (K,)

    Everything, standardisation too, is fitted on the other rows. NaN for targets without change.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 7), alpha_per_target=True))
    moving = (y[held].std(0) > 1e-6) & (y[~held].std(0) > 1e-6)
    found = np.full(y.shape[1], np.nan)
    if moving.any() and held.sum() > 1:
        guess = model.fit(x[~held], y[~held][:, moving]).predict(x[held])
        target = y[held][:, moving]
        error = ((guess.reshape(target.shape) - target) ** 2).sum(0)
        found[moving] = 1 - error / ((target - target.mean(0)) ** 2).sum(0)
    return found


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The largest |r| of any unit with each target. (N, D), (N, K) → (K,)"""

    def standard(v):
        return (v - v.mean(0)) / (v.std(0) + 1e-9)

    return np.abs(standard(x).T @ standard(y) / len(x)).max(0)


def small_pixels(rows: dict, index: np.ndarray) -> np.ndarray:
    """The newest picture of each row, at most PIXELS a side: (n, pixels) in [0, 1]."""
    picture = torch.as_tensor(rows["picture"][index])[:, None].float() / 255
    if picture.shape[-1] > PIXELS:
        picture = torch.nn.functional.interpolate(picture, (PIXELS, PIXELS), mode="area")
    return picture.flatten(1).numpy()


def sampled(rows: dict, held: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Rows for a probe, in order: of both kinds their share."""
    count = len(held)
    if count <= ROWS:
        return np.arange(count)
    some = [random.choice(np.flatnonzero(kind), ROWS // 2, replace=kind.sum() < ROWS // 2)
            for kind in (held, ~held)]  # fmt: skip
    return np.unique(np.concatenate(some))


# --- encoder --------------------------------------------------------------------------------------


def embeddings(agent, untrained, rows: dict, held: np.ndarray, games: list) -> str:
    """Temporal ratio, diversity, and what a linear probe reads, beside three baselines."""
    random, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    z = {"trained": agent.embed(rows), "untrained": agent.embed(rows, untrained)}
    first = torch.cat([torch.ones(1), torch.as_tensor(rows["done"][:-1]).float()])
    lines = [
        [name, temporal_ratio(x.cpu(), first, generator), diversity(x.cpu(), generator)]
        for name, x in z.items()
    ]
    text = table(["encoder", "temporal ratio", "diversity"], lines)
    number = 0  # games one by one: factors are each game's own
    for game in games:
        mine = np.flatnonzero(rows["game"] == number)
        number += 1
        y = game.rows()["factors"].astype(np.float64)
        if not y.shape[1]:
            continue
        index = sampled(rows, held[mine], random)
        out, y = held[mine][index], y[index]
        vectors = {"raw pixels": small_pixels(rows, mine[index])}
        vectors |= {f"{k} encoder": x[mine[index]].cpu().numpy() for k, x in z.items()}
        trained = vectors["trained encoder"]
        lines = [[name, *probe(x, y, out)] for name, x in vectors.items()]
        mixed = random.permutation(len(y))
        lines.append(["trained, labels permuted", *probe(trained, y[mixed], out)])
        lines.append(["largest \\|r\\| of a unit", *correlation(trained[out], y[out])])
        lines.append(["the same, labels permuted", *correlation(trained[out], y[mixed][out])])
        text += f"\nR² of a linear probe on held-out episodes, {game.name}:\n"
        text += table(["", *(name.split("/")[-1] for name in game.names)], lines)
    return text


# --- tokenizer ------------------------------------------------------------------------------------


def codes(agent, rows: dict, held: np.ndarray, games: list) -> str:
    """Use of the codebooks and what they leave unexplained, on both kinds of rows."""
    z, out = agent.embed(rows), torch.as_tensor(held)
    tokens = agent.hrvq(z)[1].cpu()
    count, lines = agent.tier.codes, []
    left = {kind: unexplained(agent.hrvq, z[chosen]) for kind, chosen in ((0, ~out), (1, out))}
    for level in range(LEVELS):
        use = [tokens[~out, level], tokens[out, level]]
        lines.append([
            f"L{level}", *(perplexity(x, count) for x in use), *(len(x.unique()) for x in use),
            left[0][level], left[1][level],
        ])  # fmt: skip
    head = ["", "perplexity, train", "held out", "codes used, train", "held out"]
    head += ["variance left, train", "held out"]
    text = table(head, lines)
    if len(games) > 1:
        text += shared(tokens.numpy(), rows["game"], len(games))
    y = games[0].rows()["factors"].astype(np.float64)
    if y.shape[1]:
        mine = np.flatnonzero(rows["game"] == 0)
        index = sampled(rows, held[mine], np.random.default_rng(0))
        chosen = mine[index]
        lines = [["before", *probe(z[chosen].cpu().numpy(), y[index], held[chosen])]]
        for level in range(LEVELS):
            prefix = agent.hrvq.decode(tokens[chosen, : level + 1].to(z.device)).cpu().numpy()
            name = " + ".join(f"L{i}" for i in range(level + 1))
            lines.append([name, *probe(prefix, y[index], held[chosen])])
        text += f"\nR² of the probe through quantisation, {games[0].name}:\n"
        text += table(["", *(name.split("/")[-1] for name in games[0].names)], lines)
    return text


def shared(tokens: np.ndarray, game: np.ndarray, games: int) -> str:
    """What codes tell of the game: mutual information, and codes that all games use.

    A code is shared where each game has a tenth or more of its rows, games weighing alike.
    """
    lines = []
    for level in range(tokens.shape[1]):
        count = np.zeros((tokens[:, level].max() + 1, games))
        np.add.at(count, (tokens[:, level], game), 1)
        joint = count / count.sum(0) / games  # as if all games had as many rows
        lines.append(
            [f"L{level}", information(joint), shared_codes(joint), int((count > 0).any(1).sum())]
        )
    head = ["", "information about the game, bits", "codes that all games share", "codes used"]
    return table(head, lines) + f"at most {np.log2(games):.2f} bits\n"


def information(joint: np.ndarray) -> float:
    """Mutual information in bits of a table of probabilities."""
    apart = joint.sum(0, keepdims=True) * joint.sum(1, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log2(joint[some] / apart[some])).sum())


def shared_codes(joint: np.ndarray, least: float = 0.1) -> int:
    """Codes (rows) of which every game (column) has this share."""
    used = joint[joint.sum(1) > 0]
    return int((used / used.sum(1, keepdims=True) >= least).all(1).sum())


# --- world model ----------------------------------------------------------------------------------


@torch.no_grad()
def evaluate(agent, windows: Windows, count: int = 256) -> dict:
    """Losses, and for each level the accuracies of the likeliest token, on some windows.

    return   {"bits": (LEVELS,), "loss", "reward", "continue": nats, "levels": [{accuracy, …}],
             "rewards": (B, T) that are predicted, "batch"}
    """
    generator = torch.Generator().manual_seed(0)
    batch = {k: x.to(agent.device) for k, x in windows.sample(count, generator).items()}
    model, tokens = agent.model, batch["tokens"]
    loss, parts = model.loss(batch)
    hidden = model(model.embedding(tokens, batch["action"])).unflatten(1, (-1, LEVELS + 1))
    guess = [model.heads[0](hidden[:, :-1, ACTION]).argmax(-1)]
    guess = [torch.cat([tokens[:, :1, 0], guess[0]], 1)]
    guess += [model.heads[i](hidden[:, :, i - 1]).argmax(-1) for i in range(1, LEVELS)]
    return {
        "bits": [float(parts[f"ce{i}"]) / np.log(2) for i in range(LEVELS)], "loss": float(loss),
        "reward": float(parts["reward"]), "continue": float(parts["continue"]),
        "levels": [token_accuracy(guess[i], tokens[:, :, i]) for i in range(LEVELS)],
        "rewards": model.reward.mean(model.reward(hidden[:, :, ACTION])), "batch": batch,
    }  # fmt: skip


def predictions(agent, tokens: dict, held: np.ndarray, tier) -> str:
    """The model on held-out episodes, beside copying and a table; and how far ahead it sees."""
    kinds = {"train": part(tokens, ~held), "held out": part(tokens, held)}
    length = min(tier.length, *(longest(rows["done"]) for rows in kinds.values()))
    windows = {kind: Windows.of(rows, length) for kind, rows in kinds.items()}
    found = {kind: evaluate(agent, x) for kind, x in windows.items()}
    lines = [
        [kind, x["loss"], *x["bits"], sum(x["bits"]), x["reward"], x["continue"]]
        for kind, x in found.items()
    ]
    text = table(["", "loss", "L0, bits", "L1", "L2", "sum", "reward, nats", "continue"], lines)
    rows = []
    for kind, x in found.items():
        for level, accuracy in enumerate(x["levels"]):
            names = ("accuracy", "copy", "change", "stay")
            rows.append([f"L{level}, {kind}", *(accuracy[name] for name in names)])
    rows.append(["L0, held out: table of pairs", *table_of_pairs(tokens, held, agent)])
    text += table(["", "accuracy", "nothing changes", "of changes", "of the rest"], rows)
    text += rewards_of(found["held out"])
    return text + ahead(agent, windows["held out"])


def table_of_pairs(tokens: dict, held: np.ndarray, agent) -> list[float]:
    """Accuracies of the most frequent next L0 after (L0, action), counted on training rows."""
    level, action = torch.as_tensor(tokens["tokens"][:, 0]), torch.as_tensor(tokens["action"])
    inside = torch.as_tensor(~tokens["done"].astype(bool)[:-1])
    pairs = [level[:-1], action[:-1], level[1:]]
    out = torch.as_tensor(held[:-1])
    actions = len(agent.legal)
    learned = bigram(*(x[inside & ~out] for x in pairs), agent.tier.codes, actions)
    before, act, after = (x[inside & out] for x in pairs)
    guess = learned[before, act]
    found = token_accuracy(torch.stack([before, guess], 1), torch.stack([before, after], 1))
    return [found[name] for name in ("accuracy", "copy", "change", "stay")]


def rewards_of(found: dict) -> str:
    """Rewards that were foretold, and foretold ones that came: half of one is enough."""
    real, guess = found["batch"]["reward"], found["rewards"]
    said, came = guess.abs() > 0.5, real.abs() > 0.5
    right = (said & came & (guess.sign() == real.sign())).sum().item()
    shares = [right / max(1, int(x.sum())) for x in (came, said)]
    return (
        f"rewards: {int(came.sum())} came, {shares[0]:.0%} of them foretold; "
        f"{int(said.sum())} foretold, {shares[1]:.0%} of them came\n"
    )


@torch.no_grad()
def ahead(agent, windows: Windows, count: int = 128) -> str:
    """How often the likeliest L0 of an open loop, with the real actions, is right k steps ahead."""
    t = agent.tier
    steps = min(windows.length - t.context, t.horizon)
    if steps < 1:
        return ""
    batch = windows.sample(count, torch.Generator().manual_seed(0))
    batch = {key: x.to(agent.device) for key, x in batch.items()}
    real, action, now = batch["tokens"], batch["action"], [t.context - 1]

    def follow(_):
        now[0] += 1
        return action[:, now[0] - 1]

    dream = imagine(agent.model, follow, real[:, : t.context], action[:, : t.context - 1],
                    steps, likeliest)  # fmt: skip
    true, last = real[:, t.context :, 0][:, :steps], real[:, t.context - 1, 0]
    right = (dream["tokens"][:, 1:, 0] == true).float().mean(0).tolist()
    same = (last[:, None] == true).float().mean(0).tolist()
    head = ["steps ahead", *(str(i + 1) for i in range(steps))]
    return table(head, [["L0, open loop", *right], ["the last one seen", *same]])


# --- policy ---------------------------------------------------------------------------------------


def interval(x: np.ndarray, random: np.random.Generator, rounds: int = 2000) -> list[float]:
    """95 % of a bootstrap of the mean."""
    means = x[random.integers(len(x), size=(rounds, len(x)))].mean(1)
    return [float(q) for q in np.quantile(means, [0.025, 0.975])]


def scored(stage: str, found: dict, tier) -> str:
    """Scores of the policy beside random play on the same episodes."""
    random = np.random.default_rng(0)
    lines = []
    for name, x in found.items():
        low, high = interval(np.array(x), random)
        lines.append([name, float(np.mean(x)), f"[{low:.2f}, {high:.2f}]", len(x)])
    about = f"after {stage}, in the real game ({tier.tasks.split(',')[0]}"
    about += f", sticky actions {tier.sticky})" if tier.sticky >= 0 else ")"
    return f"\n{about}:\n" + table(["", "mean score", "95 %", "episodes"], lines)


@torch.no_grad()
def drift(
    agent, rows: dict, tokens: dict, held: np.ndarray, new: np.ndarray, scores: list[float]
) -> str:
    """What the policy met that the model had not: scores, error of the codes, loss on new rows."""
    random, left = np.random.default_rng(0), []
    for mask in (~held & ~new, new):
        some = np.sort(random.permutation(np.flatnonzero(mask))[:ROWS])
        left.append(unexplained(agent.hrvq, agent.embed(rows, index=some))[-1])
    text = f"score {np.mean(scores):.2f} ({len(scores)} episodes), variance left by the codes "
    text += f"{left[1]:.3f} on new rows, {left[0]:.3f} on old ones"
    kinds = [part(tokens, mask) for mask in (held, new)]
    length = min(agent.tier.length, *(longest(x["done"]) for x in kinds))
    losses = [evaluate(agent, Windows.of(x, length))["loss"] for x in kinds]
    return f"{text}, loss {losses[1]:.2f} on new rows, {losses[0]:.2f} on held-out ones"


def longest(done: np.ndarray) -> int:
    """Rows of the longest episode."""
    return int(np.diff(np.flatnonzero(done), prepend=-1).max())


def part(rows: dict, mask: np.ndarray) -> dict:
    return {key: x[mask] for key, x in rows.items()}
