"""What the parts of a trained Hi-Dreamer know, in numbers and pictures; and several seeds together.

    python -m solutions.paper4_hdreamer.hidreamer.analyse codes|pictures|dreams|leak|seeds
           RUN [RUN ...] [out=FOLDER] [seed=0] [device=auto] [KEY=VALUE]

codes      what each level's codes tell of the game and of its true factors [factor=NAME drawn]
pictures   held-out pictures as each level's codes draw them [updates=2000 of the decoder, count=10]
dreams     the model's dreams beside what came, with the real actions
           [steps=N ahead, count=3, updates=2000 of the decoder]
leak       a world model judged on windows dealt out at random, and on new episodes
           [updates=N, points=4 on the way, windows=256 judged]
seeds      scores of several runs: the policy beside random play [out=FOLDER/NAME]

RUN is a folder of train.py. Files go to RUN/analysis; those of `seeds` to
docs/results/hidreamer/TASK. Letters: N rows, B windows, H steps ahead, K codes, C classes.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dreamkit import UserError, checkpoint, first_line
from solutions.paper4_hdreamer.hidreamer import diagnostics, pages
from solutions.paper4_hdreamer.hidreamer.encoder import EMBEDDING, Encoder
from solutions.paper4_hdreamer.hidreamer.hrvq import perplexity
from solutions.paper4_hdreamer.hidreamer.imagination import imagine, sampler
from solutions.paper4_hdreamer.hidreamer.stages import STACK, HiDreamer, Tier
from solutions.paper4_hdreamer.hidreamer.tokens import Windows
from solutions.paper4_hdreamer.hidreamer.train import STAGES, Run
from solutions.paper4_hdreamer.hidreamer.world_model import LEVELS
from solutions.paper4_hdreamer.probes import (
    entropy,
    mutual_information,
    permutation_floor,
    quantile_bins,
)

PREFIXES = tuple(" + ".join(f"L{i}" for i in range(level + 1)) for level in range(LEVELS))
SHUFFLES = 20  # of whole episodes, for the floor of the information
STRETCH = 4  # windows long: what is drawn as one in a bootstrap, because its windows overlap
WORTH = 0.05  # nats: a gap that is sure, but smaller, is not worth a word
ENOUGH = 5  # seeds or stretches: a bootstrap over fewer says too much
JUDGED = 2000  # held-out pictures, at most
LEARNED = 20_000  # pictures that the decoder learns from, at most
BIT = float(np.log(2))  # nats


# --- runs -----------------------------------------------------------------------------------------


def read(folder: Path, device: str = "cpu") -> dict:
    """The checkpoint of a run of train.py. Errors: UserError, where there is none."""
    path = folder / "checkpoints" / "latest.pt"
    if not path.exists():
        raise UserError(f"{folder} is no run of train.py: there is no {path}")
    state = checkpoint.read(path, device)
    if state["header"]["agent_name"] != "hidreamer":
        raise UserError(f"{folder} holds {state['header']['agent_name']}, not hidreamer")
    return state


def open_run(folder: Path, device: str, stage: str) -> Run:
    """A run as it was saved. Errors: UserError, where it has not got through a stage."""
    state = read(folder, device)
    order = (*STAGES, "done")
    if order.index(state["stage"]) <= order.index(stage):
        raise UserError(
            f"{folder} is not through with {stage} (it is at {state['stage']}): go on with "
            f"train.py … until={stage}"
        )
    try:
        run = Run(folder, Tier(**state["header"]["agent"]), state["seed"], device)
        run.load()
    except (TypeError, OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder} cannot be read: {first_line(error)}") from None
    return run


def random_rows(run: Run, game: np.ndarray) -> np.ndarray:
    """Which rows are of random play: the first ones of each game. (N,) → (N,) bool"""
    found = np.zeros(len(game), bool)
    for number, first in enumerate(run.first):
        found[np.flatnonzero(game == number)[:first]] = True
    return found


def selected(rows: dict, mask: np.ndarray) -> dict:
    """Rows by a mask or by numbers."""
    return {key: x[mask] for key, x in rows.items()}


# --- codes ----------------------------------------------------------------------------------------


def balanced(code: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Table of probabilities in which all classes weigh alike. (N,), (N,) int → (K, C)"""
    count = np.zeros((code.max() + 1, classes.max() + 1))
    np.add.at(count, (code, classes), 1)
    count = count[:, count.any(0)]
    return count / count.sum(0) / count.shape[1]


def shares(code: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Of each code's rows, the share of each class; codes in order of their mean class.

    (N,), (N,) int → (codes that are used, C), rows sum to 1
    """
    count = np.zeros((code.max() + 1, classes.max() + 1))
    np.add.at(count, (code, classes), 1)
    count = count[count.any(1)]
    found = count / count.sum(1, keepdims=True)
    return found[np.argsort(found @ np.arange(found.shape[1]), kind="stable")]


def known(code: np.ndarray, y: np.ndarray, episode: np.ndarray, random) -> list[float]:
    """[I(code; y), the same with y's episodes shuffled, H(y)] in bits, y cut at its quantiles."""
    bins = quantile_bins(y)
    floor = permutation_floor(code, bins, episode, random, SHUFFLES)
    return [x / BIT for x in (mutual_information(code, bins), floor, entropy(bins))]


def code_report(tokens: np.ndarray, rows: dict, games: list, factors: list, seed: int = 0) -> dict:
    """Use of each level's codes, and what they tell of the game and of each of its factors.

    games     names; `rows["game"]` are their numbers
    factors   for each game ({name: (rows of the game,)})
    return    use {L0: {codes, perplexity}}; game {L0: {bits, shared}} of several games;
              factors {game: {factor: {L0: [bits, floor, of]}}}, without those that never change
    """
    random, levels = np.random.default_rng(seed), range(tokens.shape[1])
    count = int(tokens.max()) + 1
    use = {
        f"L{i}": {
            "codes": len(np.unique(tokens[:, i])),
            "perplexity": perplexity(torch.as_tensor(tokens[:, i]), count),
        }
        for i in levels
    }
    joint = {f"L{i}": balanced(tokens[:, i], rows["game"]) for i in levels}
    game = {
        name: {"bits": diagnostics.information(x), "shared": diagnostics.shared_codes(x)}
        for name, x in joint.items()
    }
    found = {}
    for number, name in enumerate(games):
        mine = rows["game"] == number
        found[name] = {
            key: {f"L{i}": known(tokens[mine, i], y, rows["episode"][mine], random) for i in levels}
            for key, y in factors[number].items()
            if len(np.unique(quantile_bins(y))) > 1
        }
    return {
        "rows": len(tokens), "games": games, "use": use, "game": game if len(games) > 1 else {},
        "factors": found,
    }  # fmt: skip


def drawn_factor(found: dict, wanted: str) -> str:
    """The factor of that name, or else the one that L0 tells most of. Errors: UserError."""
    names = {key.removesuffix("[0]").split("/")[-1]: key for key in found}
    names |= {key.split("/")[-1]: key for key in found} | {key: key for key in found}
    if wanted and wanted not in names:
        raise UserError(f"factor={wanted}: there are {', '.join(found) or 'none'}")
    return names[wanted] if wanted else max(found, key=lambda key: found[key]["L0"][0])


def write_codes(run: Run, options: dict, folder: Path) -> list[Path]:
    rows, _ = run.rows()
    played = random_rows(run, rows["game"])
    rows = selected(rows, played)
    tokens = run.agent.tokenise(rows)["tokens"]
    factors = [
        dict(zip(game.names, game.rows()["factors"][:first].T, strict=True))
        for game, first in zip(run.games, run.first, strict=True)
    ]
    names = [game.name for game in run.games]
    report = code_report(tokens, rows, names, factors, options["seed"])
    if len(names) > 1 and not options["factor"]:
        what, classes, labels = "game", rows["game"], names
    else:  # the first game's
        found = report["factors"][names[0]]
        if not found:
            raise UserError(f"{names[0]} tells no factor that changes, and there is one game alone")
        what = drawn_factor(found, options["factor"])
        y, tokens = factors[0][what], tokens[rows["game"] == 0]
        classes = quantile_bins(y)
        labels = [ranged(y[classes == i]) for i in range(classes.max() + 1)]
    panels = {f"L{i}": shares(x, classes) for i, x in enumerate(tokens.T)}
    figure = pages.plot_codes(folder / "codes.png", panels, what, labels)
    return [*write(folder, "codes", report, pages.codes_page(report), figure), figure]


def ranged(y: np.ndarray) -> str:
    """The smallest and the greatest value of a bin."""
    low, high = f"{y.min():.3g}", f"{y.max():.3g}"
    return low if low == high else f"{low} to {high}"


# --- pictures -------------------------------------------------------------------------------------


class Decoder(nn.Module):
    """Unit vectors → the newest picture: the encoder's trunk backwards, to look at vectors.

    (B, E) → (B, size, size), about 0 to 1. 1,279,137 parameters for 84×84. It never trains the
    encoder: what it draws was in the vectors, though what it leaves out may be in them too.
    """

    def __init__(self, size: int):
        super().__init__()
        trunk = [m for m in Encoder(STACK, size, 1).trunk if isinstance(m, nn.Conv2d)]
        sides = [size]
        for conv in trunk:
            room = sides[-1] + 2 * conv.padding[0] - conv.kernel_size[0]
            sides.append(room // conv.stride[0] + 1)
        self.side, self.channels = sides[-1], trunk[-1].out_channels
        self.begin = nn.Linear(EMBEDDING, self.channels * self.side**2)
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(
                conv.out_channels, conv.in_channels if number else 1, kernel, stride, edge,
                sides[number] + 2 * edge - (sides[number + 1] - 1) * stride - kernel,
            )
            for number, conv in reversed(list(enumerate(trunk)))
            for kernel, stride, edge in [(conv.kernel_size[0], conv.stride[0], conv.padding[0])]
        )  # fmt: skip

    def forward(self, z: Tensor) -> Tensor:
        x = self.begin(z * EMBEDDING**0.5)  # a unit vector has small entries
        x = x.unflatten(-1, (self.channels, self.side, self.side))
        for layer in self.layers:
            x = layer(torch.relu(x))
        return x[:, 0]

    @torch.no_grad()
    def draw(self, z: Tensor) -> np.ndarray:
        """Pictures of vectors: (..., E) → (..., size, size) float, from 0 to 1."""
        parts = [self(x).clamp(0, 1) for x in z.reshape(-1, EMBEDDING).split(512)]
        return torch.cat(parts).unflatten(0, z.shape[:-1]).cpu().numpy()


def train_decoder(
    decoder: Decoder, z: Tensor, picture: np.ndarray, updates: int, seed: int = 0
) -> None:
    """Mean squared error on batches of 128. z (N, E) stays as it is, picture (N, size, size)"""
    from rich.progress import track

    optimizer = torch.optim.Adam(decoder.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, updates))
    random = np.random.default_rng(seed)
    for _ in track(range(updates), f"{'decoder':<10}", transient=True):
        index = random.integers(len(z), size=128)
        target = torch.as_tensor(picture[index]).to(z.device).float() / 255
        loss = (decoder(z[torch.as_tensor(index, device=z.device)].detach()) - target).square()
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        schedule.step()


def fingerprint(module: nn.Module) -> str:
    """Changes when a weight does."""
    found = hashlib.sha256()
    for x in module.state_dict().values():
        found.update(x.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


@torch.no_grad()
def vectors(agent, rows: dict, index: np.ndarray) -> Tensor:
    """Unit vectors of some rows, which the rows before them belong to: (n, E)."""
    parts = torch.as_tensor(index).split(512)
    return torch.cat([agent.encoder(agent.stacks(rows, x.numpy())) for x in parts])


def the_decoder(run: Run, rows: dict, held: np.ndarray, updates: int, seed: int) -> Decoder:
    """The run's decoder: from its file if that fits, else trained on rows not held out and kept."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    agent, path = run.agent, run.folder / "decoder.safetensors"
    about = {"encoder": fingerprint(agent.encoder), "updates": str(updates), "seed": str(seed)}
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        decoder = Decoder(run.tier.size).to(agent.device)
    try:
        with safe_open(path, "pt") as file:
            fits = file.metadata() == about
        if fits:
            decoder.load_state_dict(load_file(path))
            return decoder
    except FileNotFoundError:
        pass
    except Exception as error:  # whatever the library says of a damaged file
        raise UserError(f"{path} cannot be read: {first_line(error)}; remove it") from None
    index = spread(~held, rows["game"], LEARNED, np.random.default_rng(seed))
    train_decoder(decoder, vectors(agent, rows, index), rows["picture"][index], updates, seed)
    weights = {key: x.cpu().contiguous() for key, x in decoder.state_dict().items()}
    save_file(weights, path, about)
    return decoder


def squared_error(picture: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Its mean over the pixels. (..., H, W) uint8, the same shape in [0, 1] → (...)"""
    return ((picture / 255.0 - drawn) ** 2).mean((-2, -1))


def mean_pictures(rows: dict) -> np.ndarray:
    """Of each game, in [0, 1]: what is known without any code. (games, H, W)"""
    game, picture = rows["game"], rows["picture"]
    return np.stack([picture[game == i].mean(0) / 255 for i in range(game.max() + 1)])


def picture_report(picture: np.ndarray, mean: np.ndarray, views: dict) -> dict:
    """{view: {error, share}}: mean squared error, and its share of what the mean picture has.

    picture   (n, H, W) uint8   held out
    mean      (n, H, W) in [0, 1]   the mean of its game's other pictures
    views     {name: (n, H, W) in [0, 1]}
    """
    base = float(squared_error(picture, mean).mean())
    found = {name: float(squared_error(picture, x).mean()) for name, x in views.items()}
    found["the game's mean picture"] = base
    return {name: {"error": x, "share": x / base if base else 0.0} for name, x in found.items()}


def spread(mask: np.ndarray, game: np.ndarray, count: int, random) -> np.ndarray:
    """Numbers of about `count` rows that a mask selects, of every game as many, in order."""
    games = np.unique(game[mask])
    parts = [np.flatnonzero(mask & (game == number)) for number in games]
    each = max(1, count // len(games))
    parts = [random.choice(part, min(each, len(part)), replace=False) for part in parts]
    return np.sort(np.concatenate(parts))


def write_pictures(run: Run, options: dict, folder: Path) -> list[Path]:
    rows, held = run.rows()
    random, agent = np.random.default_rng(options["seed"]), run.agent
    decoder = the_decoder(run, rows, held, options["updates"], options["seed"])
    index = spread(held, rows["game"], JUDGED, random)
    z = vectors(agent, rows, index)
    tokens = agent.hrvq(z)[1]
    views = {
        name: decoder.draw(agent.hrvq.decode(tokens[:, : level + 1]))
        for level, name in enumerate(PREFIXES)
    }
    views["before quantisation"] = decoder.draw(z)
    others = spread(~held, rows["game"], LEARNED, random)
    real, mean = rows["picture"][index], mean_pictures(selected(rows, others))[rows["game"][index]]
    report = {"rows": len(index), "updates": options["updates"]}
    report["views"] = picture_report(real, mean, views)
    some = spread(np.ones(len(index), bool), rows["game"][index], options["count"], random)
    shown = {"real": real[some] / 255} | {name: x[some] for name, x in views.items()}
    figure = pages.plot_pictures(folder / "pictures.png", shown)
    return [*write(folder, "pictures", report, pages.pictures_page(report), figure), figure]


# --- dreams ---------------------------------------------------------------------------------------


def ahead(tier: Tier, done: np.ndarray, wanted: int) -> int:
    """How many steps a dream goes: those wanted, but no more than fit an episode and the model.

    errors   UserError, where not even one does
    """
    ends = np.append(np.flatnonzero(done), len(done) - 1)
    longest = int(np.diff(np.unique(np.append(-1, ends))).max())
    if longest <= tier.context:
        raise UserError(f"no held-out episode is longer than the {tier.context} rows of a context")
    return min(wanted or tier.horizon, longest - tier.context, tier.length - tier.context)


def replayed(agent, batch: dict, context: int, seed: int) -> Tensor:
    """Tokens of dreams in which the real actions are taken: (B, 1 + H, 3), drawn.

    batch   tokens (B, context + H, 3), action (B, context + H)
    """
    action, now = batch["action"], iter(range(context - 1, batch["action"].shape[1]))
    generator = torch.Generator(agent.device).manual_seed(seed)
    return imagine(
        agent.model, lambda _: action[:, next(now)], batch["tokens"][:, :context],
        action[:, : context - 1], action.shape[1] - context, sampler(generator),
    )["tokens"]  # fmt: skip


def dream_report(real: np.ndarray, tokens: np.ndarray, dream: np.ndarray, context: int) -> dict:
    """Errors of pictures, k = 1 … H steps ahead: of the dream, of the real tokens, of a still.

    real     (B, context + H, h, w) uint8
    tokens   the same shape in [0, 1]: the real tokens, drawn; dream: after the context the dreamed
    """
    last = tokens[:, context - 1 : context]
    views = {"dreamed": dream[:, context:], "real tokens": tokens[:, context:]}
    views["nothing changes"] = np.broadcast_to(last, real[:, context:].shape)
    found = {k: squared_error(real[:, context:], x).mean(0).tolist() for k, x in views.items()}
    return {"dreams": len(real), "context": context, "errors": found}


def write_dreams(run: Run, options: dict, folder: Path) -> list[Path]:
    rows, held = run.rows()
    agent, context = run.agent, run.tier.context
    mine = held & (rows["game"] == 0)
    steps = ahead(run.tier, rows["done"][mine], options["steps"])
    decoder = the_decoder(run, rows, held, options["updates"], options["seed"])
    some = selected(rows, mine)
    some = agent.tokenise(some) | {"picture": some["picture"]}
    windows = Windows.of(some, context + steps)
    generator = torch.Generator().manual_seed(options["seed"])
    batch = windows.sample(max(64, options["count"]), generator)
    real = batch.pop("picture").numpy()
    batch = {key: x.to(agent.device) for key, x in batch.items()}
    dreamed = replayed(agent, batch, context, options["seed"])
    dreamed = torch.cat([batch["tokens"][:, :context], dreamed[:, 1:]], 1)
    drawn = [decoder.draw(agent.hrvq.decode(x)) for x in (batch["tokens"], dreamed)]
    report = dream_report(real, *drawn, context)
    count = options["count"]
    views = {"real": real[:count] / 255, "real tokens": drawn[0][:count]}
    views["dreamed"] = drawn[1][:count]
    figure = pages.plot_dreams(folder / "dreams.png", views, context)
    film = pages.film_dreams(folder / "dreams.gif", views, context)
    return [*write(folder, "dreams", report, pages.dreams_page(report), figure), figure, film]


# --- the leak -------------------------------------------------------------------------------------


def windows_of(tokens: dict, mask: np.ndarray, tier: Tier) -> Windows:
    """Windows as the world model's training has them, of those rows. Errors: UserError."""
    part = selected(tokens, mask)
    try:
        windows = Windows.of(part, tier.length, tier.balanced, tails=True)
    except ValueError as error:
        raise UserError(str(error)) from None
    if not len(windows):
        raise UserError(f"no episode has {tier.length} rows, and none ends: there are no windows")
    return windows


def judged(agent, windows: Windows, count: int) -> dict:
    """A row of the table: loss, cross-entropy in nats and accuracies of each level."""
    found = diagnostics.evaluate(agent, windows, count)
    return {
        "loss": found["loss"], "ce": [x * BIT for x in found["bits"]], "levels": found["levels"],
    }  # fmt: skip


@torch.no_grad()
def losses(agent, windows: Windows, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Loss of single windows, and the number of the stretch that each lies in: (count,), (count,).

    Windows of a stretch, STRETCH · length rows of an episode, overlap or follow each other.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.multinomial(windows.weight, count, True, generator=generator)
    found = []
    for number in numbers:
        batch = {k: x.to(agent.device) for k, x in windows.at(number[None]).items()}
        found.append(float(agent.model.loss(batch)[0]))
    return np.array(found), stretch_of(windows, numbers)


def stretch_of(windows: Windows, numbers: Tensor) -> np.ndarray:
    """Which windows lie in the same stretch of an episode: numbers from 0."""
    start = windows.starts[numbers]
    end = windows.ends[start]
    place = torch.stack([end, (end - start) // (STRETCH * windows.length)], -1)
    return place.unique(dim=0, return_inverse=True)[1].numpy()


def means(x: np.ndarray, unit: np.ndarray, random, rounds: int = 2000) -> np.ndarray:
    """Means of x (n,) over bootstrap draws of whole units (n,): (rounds,)"""
    total, size = np.bincount(unit, x), np.bincount(unit)
    drawn = random.integers(len(size), size=(rounds, len(size)))
    return total[drawn].sum(1) / size[drawn].sum(1)


def gap(dealt: tuple, new: tuple, seed: int = 0) -> dict:
    """Loss on new episodes minus that on dealt-out windows, with 95 % of a bootstrap.

    dealt, new   (losses, stretches) from `losses`
    """
    random = np.random.default_rng(seed)
    difference = means(*new, random) - means(*dealt, random)
    low, high = np.quantile(difference, [0.025, 0.975])
    return {
        "dealt": float(dealt[0].mean()), "new": float(new[0].mean()),
        "gap": float(new[0].mean() - dealt[0].mean()), "low": float(low), "high": float(high),
        "stretches": min(len(np.unique(x[1])) for x in (dealt, new)),
    }  # fmt: skip


def verdict(found: dict) -> str:
    """One sentence on what `gap` has found, and no more than that."""
    says = f"loss {found['dealt']:.2f} on windows dealt out at random, {found['new']:.2f} on new "
    says += f"episodes (difference {found['gap']:.2f} [{found['low']:.2f}, {found['high']:.2f}])"
    if found["stretches"] < ENOUGH:
        return f"Too few held-out stretches for a claim ({found['stretches']}): {says}."
    if found["low"] > WORTH:
        return f"The leak flatters: the same model has {says}."
    if found["high"] < -WORTH:
        return f"No leak shows, new episodes are even easier here: the same model has {says}."
    return f"No gap of more than {WORTH} nats is sure: the same model has {says}."


def leaks(
    tier: Tier, legal: np.ndarray, tokens: dict, held: np.ndarray, updates: int, points: int,
    count: int = 256, seed: int = 0, device: str = "cpu",
) -> dict:  # fmt: skip
    """Two world models that begin alike, one for each way to hold something out.

    tokens   rows of random play, from `HiDreamer.tokenise`; held: which of them are held out (N,)
    return   rows [{model, updates, judged, loss, ce, levels}]; gap, of the first model at the end

    The first one learns nine tenths of the windows of the other episodes, dealt out at random;
    the second all of them. Held-out episodes are new to both.
    """
    from rich.progress import track

    new, windows = windows_of(tokens, held, tier), windows_of(tokens, ~held, tier)
    seen, dealt = windows.leak(0.1, torch.Generator().manual_seed(seed))
    if not len(dealt):
        raise UserError(f"{len(windows)} windows are too few to deal out")
    stops = sorted({round(updates * i / points) for i in range(points + 1)})
    plans = (
        ("windows dealt out", seen, {"dealt-out windows": dealt, "new episodes": new}),
        ("episodes held out", windows, {"new episodes": new}),
    )
    rows, found = [], {}
    for name, training, sets in plans:
        torch.manual_seed(seed)
        agent = HiDreamer(tier, legal, device)
        agent.begin("model", updates)
        for number in track(range(updates + 1), f"{name:<18}", transient=True):
            if number in stops:
                rows += [
                    {"model": name, "updates": number, "judged": key} | judged(agent, x, count)
                    for key, x in sets.items()
                ]
            if number < updates:
                agent.update_model(training)
        if not found:
            found = gap(losses(agent, dealt, count, seed), losses(agent, new, count, seed), seed)
    return {"rows": rows, "gap": found}


def write_leak(run: Run, options: dict, folder: Path) -> list[Path]:
    rows, held = run.rows()
    played = random_rows(run, rows["game"])  # what the policy played later is another world
    tokens = run.agent.tokenise(selected(rows, played))
    updates = options["updates"] or run.tier.model_updates
    report = leaks(
        run.tier, run.games[0].legal, tokens, held[played], updates,
        options["points"], options["windows"], options["seed"], run.device,
    )  # fmt: skip
    report["verdict"] = verdict(report["gap"])
    report["episodes"] = len(np.unique(rows["episode"][held]))
    figure = pages.plot_leak(folder / "leak.png", report)
    return [*write(folder, "leak", report, pages.leak_page(report), figure), figure]


# --- seeds ----------------------------------------------------------------------------------------


def seed_report(scores: dict[int, dict], random_seed: int = 0) -> dict:
    """Means of each seed after each stage that all have, and what their differences say.

    scores   {seed: {stage: {policy: [score], random: [score]}}}
    return   {stage: {seeds: {seed: [policy, random, difference]}, difference: [mean, low, high],
             verdict}}
    errors   UserError, where no stage is in all of them
    """
    stages = [name for name in ("policy", "online") if all(name in x for x in scores.values())]
    if not stages:
        raise UserError("there is no stage (policy, online) that all runs have scores of")
    found = {}
    for stage in stages:
        rows = {}
        for seed, x in sorted(scores.items()):
            mine, other = (float(np.mean(x[stage][name])) for name in ("policy", "random"))
            rows[str(seed)] = [mine, other, mine - other]
        difference = np.array([row[2] for row in rows.values()])
        low, high = diagnostics.interval(difference, np.random.default_rng(random_seed))
        value = [float(difference.mean()), low, high]
        found[stage] = {"seeds": rows, "difference": value, "verdict": claim(value, len(rows))}
    return found


def claim(difference: list[float], seeds: int) -> str:
    """What a difference of so many seeds allows to say."""
    mean, low, high = difference
    if seeds < ENOUGH:
        return f"{seeds} seed{'s' * (seeds > 1)}: too few for a claim"
    if low > 0:
        return f"better than random play by {mean:.2f} [{low:.2f}, {high:.2f}]"
    if high < 0:
        return f"worse than random play by {-mean:.2f} [{-high:.2f}, {-low:.2f}]"
    return f"no difference from random play was found: {mean:.2f} [{low:.2f}, {high:.2f}]"


def collect(folders: list[Path]) -> tuple[dict[int, dict], dict]:
    """({seed: scores.json}, the options that all runs have). Errors: UserError."""
    scores, options = {}, {}
    for folder in folders:
        state, path = read(folder), folder / "scores.json"
        if not path.exists():
            raise UserError(f"{folder} has no scores yet: go on with train.py … until=policy")
        mine, seed = state["header"]["agent"], state["seed"]
        options = options or mine
        for key in options.keys() | mine.keys():
            if options.get(key) != mine.get(key):
                raise UserError(
                    f"{folder} was made with {key}={mine.get(key)}, {folders[0]} with "
                    f"{options.get(key)}: they cannot be put together"
                )
        if seed in scores:
            raise UserError(f"{folder}: there is a run of seed {seed} already")
        try:
            scores[seed] = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise UserError(f"{path} cannot be read: {first_line(error)}") from None
    return scores, options


def write_seeds(folders: list[Path], options: dict) -> list[Path]:
    scores, tier = collect(folders)
    task = tier["tasks"].split(",")[0]
    path = Path(options["out"] or f"docs/results/hidreamer/{task}")
    report = {"task": task, "options": tier, "stages": seed_report(scores, options["seed"])}
    return write(path.parent, path.name, report, pages.seeds_page(report, folders))


# --- the command ----------------------------------------------------------------------------------


def write(folder: Path, name: str, report: dict, page: str, figure: Path | None = None) -> list:
    """JSON and a page, which is printed too. Returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.json", folder / f"{name}.md"]
    files[0].write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(page)
    shown = f"\n![{name}]({figure.name})\n" if figure else ""
    files[1].write_text(page + shown, "utf-8")
    return files


ANY = {"out": "", "seed": 0, "device": "auto"}
COMMANDS: dict[str, tuple[Callable, str, dict]] = {  # function, stage that it needs, its options
    "codes": (write_codes, "tokenizer", {"factor": ""}),
    "pictures": (write_pictures, "tokenizer", {"updates": 2000, "count": 10}),
    "dreams": (write_dreams, "model", {"updates": 2000, "count": 3, "steps": 0}),
    "leak": (write_leak, "tokenizer", {"updates": 0, "points": 4, "windows": 256}),
    "seeds": (write_seeds, "policy", {}),
}
LEAST = {"seed": 0, "steps": 0, "updates": 0, "count": 1, "points": 1, "windows": 1}


def parse(arguments: list[str]) -> tuple[str, list[Path], dict]:
    """(command, run folders, options). Errors: UserError."""
    name, *rest = arguments
    if name not in COMMANDS:
        raise UserError(f"unknown command {name!r}: one of {', '.join(COMMANDS)}")
    options, runs = ANY | COMMANDS[name][2], []
    for word in rest:
        key, mark, value = word.partition("=")
        if not mark:
            runs.append(Path(word))
        elif key not in options:
            raise UserError(f"unknown option {word!r} of {name}; there are {', '.join(options)}")
        else:
            try:
                options[key] = type(options[key])(value)
            except ValueError:
                raise UserError(f"{word} is not a number") from None
    if not runs:
        raise UserError(f"{name} needs a RUN: a folder of train.py")
    for key, least in LEAST.items():
        if options.get(key, least) < least:
            raise UserError(f"{key}={options[key]} must be {least} or more")
    return name, runs, options


def command(arguments: list[str]) -> int:
    """The command. Errors: UserError."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0 if arguments else 2
    name, runs, options = parse(arguments)
    write_one, stage, _ = COMMANDS[name]
    if name == "seeds":
        files = write_one(runs, options)
    else:
        device, files = checkpoint.choose_device(options["device"]), []
        for number, folder in enumerate(runs):
            run = open_run(folder, device, stage)
            out = Path(options["out"] or folder / "analysis")
            if options["out"] and len(runs) > 1:
                out = out / f"{number}-{folder.name}"
            out.mkdir(parents=True, exist_ok=True)
            files += write_one(run, options, out)
    print(*files, sep="\n")
    return 0


if __name__ == "__main__":
    import course

    course.run(__file__, command)
