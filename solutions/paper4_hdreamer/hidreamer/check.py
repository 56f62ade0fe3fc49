"""Three checks that need no training: the rows and windows, the masks, the model.

    python -m solutions.paper4_hdreamer.hidreamer.check data|mask|model [run=FOLDER] [device=cpu]

data     rows, splits and windows of a run; without one, of Catch, played for this
mask     the three rules, and what depth makes of them, against the gradients of a model
model    sizes, losses at the start, the cache, dreams, quantisation, the policy's heads
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dreamkit import UserError, checkpoint
from solutions.paper4_hdreamer.hidreamer.actor_critic import Actor, Critic, TokenFeatures
from solutions.paper4_hdreamer.hidreamer.data import Game, join, stack_at
from solutions.paper4_hdreamer.hidreamer.encoder import Encoder
from solutions.paper4_hdreamer.hidreamer.hrvq import HRVQ
from solutions.paper4_hdreamer.hidreamer.imagination import imagine, imagine_naive, likeliest
from solutions.paper4_hdreamer.hidreamer.mask import RULES, build_mask, reachable
from solutions.paper4_hdreamer.hidreamer.tokens import Windows, split_by_episode
from solutions.paper4_hdreamer.hidreamer.world_model import Cache, Sizes, Transformer

SMALL = dict(codes=7, actions=5, width=16, heads=2, steps=6, dropout=0.0, bins=9)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- data -----------------------------------------------------------------------------------------


def games_of(run: str) -> list[Game]:
    """Those of a run, or one of Catch."""
    if not run:
        game = Game({"name": "catch", "size": 5}, 0)
        game.play(400)
        return [game]
    from solutions.paper4_hdreamer.hidreamer.stages import Tier
    from solutions.paper4_hdreamer.hidreamer.train import options

    state = checkpoint.read(run)
    if state["header"]["agent_name"] != "hidreamer":
        raise UserError(f"{run} is a run of {state['header']['agent_name']}")
    tier, games = Tier(**state["header"]["agent"]), []
    for name, saved in zip(tier.tasks.split(","), state["games"], strict=True):
        folder = Path(run) / "replay" / name
        games.append(Game(options(tier, name), state["seed"], folder))
        games[-1].load(saved)
    return games


def check_rows(games: list[Game]) -> str:
    """A choice belongs to its picture, and what it brought to the choice."""
    rows = join([game.rows() for game in games])
    done, episode = rows["done"].astype(bool), rows["episode"]
    assert done[-1] and done.any(), "the last episode is cut off"
    assert (np.diff(episode) == done[:-1]).all(), "episodes do not change where they are done"
    assert not (rows["terminal"] & ~done).any(), "something is terminal and goes on"
    pictures = sum(chunk.count for game in games for chunk in game.replay.streams[0].chunks)
    lost = pictures - len(done)  # the last picture of an episode has no choice
    assert lost == done.sum(), f"{lost} pictures without a choice in {done.sum()} episodes"
    scores = np.concatenate([game.scores for game in games])
    sums = np.bincount(episode, rows["reward"])
    assert np.allclose(sums, scores, atol=1e-3), "rewards of an episode are not its score"
    return f"{len(done):,} rows, {done.sum():,} episodes, rewards add up to the scores"


def check_stacks(games: list[Game]) -> str:
    rows = join([game.rows() for game in games])
    first = np.append(True, rows["done"][:-1])
    stacks = stack_at(rows["picture"], rows["episode"], np.flatnonzero(first))
    assert (stacks == stacks[:, -1:]).all(), "a stack reaches into the episode before"
    return f"{first.sum():,} first stacks hold nothing of the episode before"


def check_split(games: list[Game]) -> str:
    """Windows lie in one episode; what is held out shares no row with the rest."""
    total = 0
    for game in games:
        rows = game.rows()
        held = split_by_episode(rows["done"])
        both = set(rows["episode"][held]) & set(rows["episode"][~held])
        assert not both, f"{len(both)} episodes are on both sides"
        length = min(16, int(np.bincount(rows["episode"]).min()))
        tokens = rows | {"game": np.zeros(len(held), int)}
        windows = Windows.of({k: x for k, x in tokens.items() if k != "picture"}, length)
        batch = windows.at(torch.arange(len(windows)))
        assert (batch["episode"] == batch["episode"][:, :1]).all(), "a window crosses an end"
        expected = (np.bincount(rows["episode"]) - length + 1).clip(0).sum()
        assert len(windows) == expected, f"{len(windows)} windows, not {expected}"
        total += len(windows)
    return f"{total:,} windows, each in one episode; held-out episodes are apart"


# --- mask -----------------------------------------------------------------------------------------


def check_rules(device: str) -> str:
    shares = []
    for rule in RULES:
        mask = build_mask(6, rule, device)
        assert mask.diagonal().all(), f"{rule}: a token does not see itself"
        assert not mask.triu(1).any(), f"{rule}: a token sees what comes later"
        shares.append(f"{rule} {int(mask.sum())}")
    return f"nobody sees the future, everybody oneself; pairs of 6 steps: {', '.join(shares)}"


def gradients(model: Transformer) -> Tensor:
    """Which inputs each output depends on: (N, N) bool, by derivatives."""
    x = torch.randn(1, len(model.mask), model.sizes.width, dtype=torch.float64)
    x = x.to(model.mask.device).requires_grad_()
    out = model(x)[0]
    # The cube: a layer norm's outputs add up to nothing, whatever goes in.
    rows = [torch.autograd.grad(row.pow(3).sum(), x, retain_graph=True)[0][0] for row in out]
    return torch.stack(rows).abs().sum(-1) > 0


def check_depth(device: str) -> str:
    """What a model's outputs depend on is what the mask's graph says for its number of layers."""
    for rule in RULES:
        for layers in (1, 2, 3):
            torch.manual_seed(0)
            sizes = Sizes(**SMALL | dict(layers=layers, rule=rule, steps=3))
            model = Transformer(sizes).double().to(device)
            same = torch.equal(gradients(model), reachable(model.mask, layers))
            assert same, f"{rule}, {layers} layers: gradients and `reachable` differ"
    return "gradients reach exactly what `reachable` says, for 3 rules and 1 to 3 layers"


def check_closure(device: str) -> str:
    masks = {rule: build_mask(4, rule, device) for rule in RULES}
    closed = {rule: reachable(mask, 6) for rule, mask in masks.items()}
    assert torch.equal(closed["brief"], masks["causal"]), "`brief` hides something for good"
    assert torch.equal(closed["strict"], masks["strict"]), "`strict` leaks"
    return "two layers of `brief` see everything that `causal` sees; `strict` stays closed"


# --- model ----------------------------------------------------------------------------------------


def check_sizes(device: str) -> str:
    model = Transformer(Sizes())
    heads = count(model.reward) + count(model.goes_on)
    hrvq = HRVQ()
    width = 3 * 384
    found = (count(Encoder()), count(model) - heads, heads)
    found += (count(Actor(width, torch.ones(6))), count(Critic(width)))
    expected = (1_881_888, 11_271_168, 98_560, 858_374, 986_111)
    assert found == expected, f"parameters {found}, not {expected}"
    assert count(hrvq) == 0, "codebooks are averages, no parameters"
    names = "encoder {:,}, transformer {:,} + {:,}, actor {:,}, critic {:,} parameters"
    return "tier full: " + names.format(*found)


def check_start(device: str) -> str:
    """Before training each code is as likely as any other."""
    torch.manual_seed(0)
    model = Transformer(Sizes(width=96, layers=2, heads=4, steps=8)).to(device).eval()
    batch = {
        "tokens": torch.randint(256, (16, 8, 3), device=device), "reward": torch.zeros(16, 8),
        "action": torch.randint(18, (16, 8), device=device), "terminal": torch.zeros(16, 8),
    }  # fmt: skip
    parts = model.loss({key: x.to(device) for key, x in batch.items()})[1]
    levels = sum(w * float(parts[f"ce{i}"]) for i, w in enumerate((1.0, 0.5, 0.1)))
    expected = 1.6 * math.log(256)
    assert abs(levels / expected - 1) < 0.03, f"{levels:.2f}, not about {expected:.2f}"
    return f"loss of untrained levels {levels:.2f}, of guessing {expected:.2f}"


def small(device: str) -> tuple[Transformer, Tensor, Tensor]:
    """A model, tokens (3, 3, 3) and actions (3, 3)."""
    torch.manual_seed(0)
    model = Transformer(Sizes(**SMALL, layers=3)).double().to(device).eval()
    for parameter in model.parameters():  # else nothing is far from uniform
        torch.nn.init.normal_(parameter, std=0.4)
    tokens = torch.randint(7, (3, 3, 3), device=device)
    return model, tokens, torch.randint(5, (3, 3), device=device)


@torch.no_grad()
def check_cache(device: str) -> str:
    model, tokens, actions = small(device)
    x = model.embedding(tokens, actions)
    cache, parts = Cache(model, 3, 12), [5, 1, 4, 2]
    found = torch.cat([model(part, cache) for part in x.split(parts, 1)], 1)
    error = float((found - model(x)).abs().max())
    assert error < 1e-10, f"hidden states with the cache differ by {error:.1e}"
    return f"positions read piece by piece are those read at once: {error:.0e}"


def check_dream(device: str) -> str:
    model, tokens, actions = small(device)
    dreams = [
        f(model, lambda z: z.sum(-1) % 5, tokens, actions[:, :2], 3, likeliest)
        for f in (imagine, imagine_naive)
    ]
    assert torch.equal(dreams[0]["tokens"], dreams[1]["tokens"]), "other tokens with the cache"
    for key in ("reward", "continue"):
        assert torch.allclose(dreams[0][key], dreams[1][key], atol=1e-9), f"another {key}"
    return "a dream with the cache is the dream without it, token for token"


def check_quantiser(device: str) -> str:
    torch.manual_seed(0)
    hrvq = HRVQ(6, 5).double().to(device)
    z = torch.randn(4, 6, dtype=torch.float64, device=device, requires_grad=True)
    quantised, tokens, commitment = hrvq(z)
    slope = torch.autograd.grad(quantised.sum(), z, retain_graph=True)[0]
    assert torch.equal(slope, torch.ones_like(z)), "the straight-through gradient is not 1"
    pulls = [torch.autograd.grad(c, z, retain_graph=True)[0].abs().sum() for c in commitment]
    assert all(pull > 0 for pull in pulls), "a layer's commitment has no gradient"
    assert torch.allclose(hrvq.decode(tokens), quantised), "tokens stand for something else"
    return "gradients pass the quantiser unchanged, and every layer's commitment pulls"


@torch.no_grad()
def check_policy(device: str) -> str:
    features = TokenFeatures(HRVQ(6, 5)).to(device)
    legal = torch.tensor([1, 0, 1, 1, 0], device=device)
    state = features(torch.randint(5, (4, 3), device=device))
    probability = Actor(18, legal).to(device)(state).exp()
    assert (probability[:, legal == 0] == 0).all(), "an illegal action can be taken"
    assert torch.allclose(probability.sum(-1), torch.ones(4, device=device)), "not 1 in all"
    critic = Critic(18).to(device)
    assert (critic.mean(critic(state)).abs() < 1e-4).all(), "a new critic's value is not 0"
    return "the actor takes legal actions alone; a new critic says 0"


CHECKS: dict[str, list[Callable]] = {
    "data": [check_rows, check_stacks, check_split],
    "mask": [check_rules, check_depth, check_closure],
    "model": [check_sizes, check_start, check_cache, check_dream, check_quantiser, check_policy],
}


def run(name: str, subject) -> Iterator[tuple[bool, str]]:
    """(whether it holds, what was found) of every check of a kind."""
    for check in CHECKS[name]:
        try:
            yield True, check(subject)
        except (NotImplementedError, UserError):
            raise  # an exercise that is not done yet: the command says so
        except Exception as error:  # whatever a learner's code may raise
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            yield False, f"{check.__name__.removeprefix('check_')}: {kind}{error}"


def command(arguments: list[str]) -> int:
    """The command. Errors: UserError."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    words = [item for item in arguments if "=" not in item] or list(CHECKS)
    options = {"run": "", "device": "cpu"}
    for item in arguments:
        key, mark, value = item.partition("=")
        if (mark and key not in options) or (not mark and key not in CHECKS):
            raise UserError(f"unknown word {item!r}: {', '.join(CHECKS)}, run=, device=")
        options |= {key: value} if mark else {}
    device, failed = checkpoint.choose_device(options["device"]), 0
    torch.set_num_threads(1)
    for word in words:
        print(f"{word}:")
        for holds, text in run(word, games_of(options["run"]) if word == "data" else device):
            print(("  ok    " if holds else "  FAILS ") + text, flush=True)
            failed += not holds
    print(f"{failed} checks failed" if failed else "all checks hold")
    return int(failed > 0)


if __name__ == "__main__":
    import course

    course.run(__file__, command)
