"""Hi-Dreamer, stage by stage. Each stage keeps what it made; the same command again goes on.

    python -m solutions.paper4_hdreamer.hidreamer.train [run=runs/hidreamer-catch] [seed=0]
           [tier=catch|tiny|small|full] [until=collect|encoder|tokenizer|model|policy|online]
           [device=auto] [KEY=VALUE ...]

collect     random play, whole episodes
encoder     pictures → unit vectors, by telling moments apart
tokenizer   unit vectors → three tokens, by residual quantisation
model       tokens and actions → the next tokens, rewards, ends
policy      actor and critic, in dreams of the model alone; then in the real game
online      play with the policy, learn from that, dream again; then in the real game

Every stage says what it reached beside its baselines, in run/report.md too; scores are in
run/scores.json. KEY=VALUE are options of `Tier` in stages.py: rule=strict, model_updates=2000.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from dreamkit import UserError, checkpoint
from solutions.paper4_hdreamer.hidreamer import diagnostics
from solutions.paper4_hdreamer.hidreamer.data import STACK, Game, join
from solutions.paper4_hdreamer.hidreamer.encoder import Encoder
from solutions.paper4_hdreamer.hidreamer.stages import TIERS, HiDreamer, Tier
from solutions.paper4_hdreamer.hidreamer.tokens import Windows, split_by_episode
from solutions.paper4_hdreamer.hidreamer.world_model import LEVELS

STAGES = ("collect", "encoder", "tokenizer", "model", "policy", "online")
SAVE = 60.0  # seconds between checkpoints inside a stage


class Run:
    """A run: its games, its parts, and how far it is.

    folder   report.md, scores.json, checkpoints/latest.pt, replay/TASK/*.rows
    """

    def __init__(self, folder: Path, tier: Tier, seed: int, device: str):
        torch.manual_seed(seed)
        self.folder, self.tier, self.seed, self.device = folder, tier, seed, device
        self.games = [
            Game(options(tier, name), seed, folder / "replay" / name)
            for name in tier.tasks.split(",")
        ]
        sizes = {len(game.legal) for game in self.games}
        if len(sizes) > 1:
            raise UserError(f"tasks={tier.tasks}: one model needs games of as many actions")
        self.agent = HiDreamer(tier, self.games[0].legal, device)
        self.random = np.random.default_rng(seed)
        self.stage, self.done = STAGES[0], 0  # updates (steps, rounds) of the stage that are done
        self.first: list[int] = []  # rows of random play in each game
        self.tokens: np.ndarray | None = None  # (N, 3) of all rows, once they are known
        self.saved = time.monotonic()
        self.text: list[str] = []  # of the report

    # --- going on ---------------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        return self.folder / "checkpoints" / "latest.pt"

    def save(self) -> None:
        a = self.agent
        header = {"agent_name": "hidreamer", "code": "", "agent": asdict(self.tier)}
        state = {
            "header": header | {"task": {"name": self.tier.tasks}}, "seed": self.seed,
            "stage": self.stage, "done": self.done, "first": self.first, "text": self.text,
            "modules": {name: module.state_dict() for name, module in a.modules().items()},
            "optimizer": a.optimizer.state_dict(), "schedule": a.schedule.state_dict(),
            "policy_optimizer": a.policy_optimizer.state_dict(), "scaler": a.scaler.state_dict(),
            "games": [game.save() for game in self.games],
            "tokens": None if self.tokens is None else torch.as_tensor(self.tokens),
            "random": {
                "torch": torch.get_rng_state(), "numpy": repr(self.random.bit_generator.state),
                "cuda": torch.cuda.get_rng_state_all() if a.device.type == "cuda" else [],
            },
        }  # fmt: skip
        checkpoint.save(self.path, state)
        self.saved = time.monotonic()

    def load(self) -> None:
        """Errors: UserError, where the run was begun with other options."""
        import ast

        state = checkpoint.read(self.path, self.device)
        mine = asdict(self.tier) | {"seed": self.seed}
        theirs = state["header"]["agent"] | {"seed": state.get("seed")}
        for key, value in mine.items():
            if theirs.get(key) != value:
                raise UserError(
                    f"{self.folder} was made with {key}={theirs.get(key)}, not {value}: take "
                    "another run=FOLDER"
                )
        self.stage, self.done, self.first = state["stage"], state["done"], state["first"]
        self.text, tokens = state["text"], state.get("tokens")
        self.tokens = None if tokens is None else tokens.cpu().numpy()
        for game, saved in zip(self.games, state["games"], strict=True):
            game.load(saved)
        for name, module in self.agent.modules().items():
            module.load_state_dict(state["modules"][name])
        self.begin_stage()
        self.agent.policy_optimizer.load_state_dict(state["policy_optimizer"])
        for name in ("optimizer", "schedule", "scaler"):
            getattr(self.agent, name).load_state_dict(state[name])
        torch.set_rng_state(state["random"]["torch"].cpu())
        self.random.bit_generator.state = ast.literal_eval(state["random"]["numpy"])
        if self.agent.device.type == "cuda":
            for number, x in enumerate(state["random"]["cuda"][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(x.cpu(), number)

    def begin_stage(self) -> None:
        t = self.tier
        total = {"encoder": t.encoder_updates, "model": t.model_updates}.get(self.stage, 0)
        self.agent.begin(self.stage if self.stage != "online" else "model", total)

    def each(self, total: int, what: str):
        """Numbers of the updates that are left, with a bar; a checkpoint now and then.

        Not after the last one: a stage that goes on always has something left to report.
        """
        for number in track(range(self.done, total), f"{what:<10}", transient=True):
            yield number
            self.done = number + 1
            if self.done < total and time.monotonic() - self.saved > SAVE:
                self.save()

    def say(self, text: str) -> None:
        """To the screen and the report."""
        print(text, flush=True)
        self.text.append(text)
        (self.folder / "report.md").write_text("\n".join(self.text) + "\n", "utf-8")

    # --- rows -------------------------------------------------------------------------------------

    def rows(self) -> tuple[dict, np.ndarray]:
        """All rows, and which of them are held out: of each game the last random episodes."""
        games, held = [game.rows() for game in self.games], []
        for rows, first in zip(games, self.first, strict=True):
            out = np.zeros(len(rows["done"]), bool)
            out[:first] = split_by_episode(rows["done"][:first])
            held.append(out)
        return join(games), np.concatenate(held)

    def windows(self, tokens: dict, rows: np.ndarray, length: int, **how) -> Windows:
        """Windows of those rows that a mask selects."""
        try:
            found = Windows.of(diagnostics.part(tokens, rows), length, self.tier.balanced, **how)
        except ValueError as error:
            raise UserError(str(error)) from None
        if not len(found):  # with tails: no episode is long enough, and none ends for good
            raise UserError(f"no episode has {length} rows: take shorter windows, length=")
        return found

    def tokenise(self, rows: dict, new: np.ndarray | None = None) -> dict:
        """Rows with their tokens. Encoder and codebooks stay: only what is new is computed.

        new   (N,) bool   rows that have been added since the last time
        """
        known = np.full((len(rows["done"]), LEVELS), -1)
        if self.tokens is not None:
            known[slice(None) if new is None else ~new] = self.tokens
        found = self.agent.tokenise(rows, known)
        self.tokens = found["tokens"]
        return found

    def contexts(self, tokens: dict, rows: np.ndarray) -> Windows:
        """Beginnings of dreams: of the game that the policy plays."""
        return self.windows(tokens, rows & (tokens["game"] == 0), self.tier.context)

    # --- stages -----------------------------------------------------------------------------------

    def collect(self) -> None:
        t = self.tier
        for number, game in enumerate(self.games):
            for _ in track(range(choices(game), t.steps, 500), game.name, transient=True):
                game.play(min(500, t.steps - choices(game)))
            if len(self.first) == number:
                self.first.append(choices(game))
            if len(game.scores) < 2:
                raise UserError(f"{game.name}: one episode is too few, take more steps=")
        self.say(diagnostics.collected(self.games, t))

    def encoder(self) -> None:
        rows, held = self.rows()
        pairs = pairs_of(rows["done"], ~held)
        metrics = {}
        for _ in self.each(self.tier.encoder_updates, "encoder"):
            metrics = self.agent.update_encoder(rows, pairs, self.random)
        if metrics:
            self.say(f"InfoNCE: {float(metrics['loss']):.2f} nats in the last batch")
        self.say(diagnostics.embeddings(self.agent, self.untrained(), rows, held, self.games))

    def untrained(self) -> torch.nn.Module:
        """The encoder as it was at first. Drawing it leaves the run's random numbers alone."""
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return Encoder(STACK, self.tier.size, self.tier.units).to(self.device)

    def tokenizer(self) -> None:
        rows, held = self.rows()
        z = self.agent.embed(rows)
        chosen = torch.as_tensor(~held)
        if not self.done:
            self.agent.start_tokenizer(z[chosen])
        for _ in self.each(self.tier.epochs, "tokenizer"):
            revived = self.agent.update_tokenizer(z[chosen])["revived"]
        pairs = pairs_of(rows["done"], ~held)
        for _ in range(self.tier.joint_updates):
            self.agent.update_joint(rows, pairs, self.random)
        self.agent.begin_policy()
        self.say(f"codes revived in the last epoch: {revived}")
        self.say(diagnostics.codes(self.agent, rows, held, self.games))

    def model(self) -> None:
        rows, held = self.rows()
        tokens = self.tokenise(rows)
        windows = self.windows(tokens, ~held, self.tier.length, tails=True)
        for _ in self.each(self.tier.model_updates, "model"):
            self.agent.update_model(windows)
        self.say(diagnostics.predictions(self.agent, tokens, held, self.tier))

    def policy(self) -> None:
        rows, held = self.rows()
        contexts = self.contexts(self.tokenise(rows), ~held)
        self.dream(contexts, self.tier.policy_updates)
        self.score("policy")

    def dream(self, contexts: Windows, updates: int) -> None:
        """Policy updates, and what the last tenth of them were like."""
        found, last = [], max(1, updates // 10)
        for number in self.each(updates, "policy"):
            metrics = self.agent.update_policy(contexts)
            if number >= updates - last:
                found.append({key: float(x) for key, x in metrics.items()})
        if found:
            means = {key: np.mean([x[key] for x in found]) for key in found[0]}
            self.say("dreams: " + ", ".join(f"{key} {x:.3g}" for key, x in means.items()))

    def online(self) -> None:
        t, agent, game = self.tier, self.agent, self.games[0]
        for number in self.each(t.rounds, "online"):
            before = choices(game)
            scores = game.play(t.round_steps, agent.act)
            rows, held = self.rows()
            new = np.zeros(len(held), bool)
            new[before : choices(game)] = True  # the first game's rows are the first
            tokens = self.tokenise(rows, new)
            about = diagnostics.drift(agent, rows, tokens, held, new, scores)
            self.say(f"round {number + 1}: {about}")
            windows = self.windows(tokens, ~held, t.length, tails=True)
            for _ in range(t.round_model_updates):
                agent.update_model(windows)
            contexts = self.contexts(tokens, ~held)
            for _ in range(t.round_policy_updates):
                agent.update_policy(contexts)
        self.score("online")

    def score(self, stage: str) -> None:
        """Play the real game, with the policy and at random; keep the scores."""
        found = scores(self.tier, self.seed, self.agent.act)
        path = self.folder / "scores.json"
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps(kept | {stage: found}, indent=1) + "\n", "utf-8")
        self.say(diagnostics.scored(stage, found, self.tier))

    def go(self, until: str) -> None:
        """All stages up to and with one."""
        while self.stage in STAGES[: STAGES.index(until) + 1]:
            begin = time.perf_counter()
            if not self.done:
                self.say(f"\n## {self.stage}\n")
            getattr(self, self.stage)()
            print(f"{self.stage}: {time.perf_counter() - begin:.0f} s")
            place = STAGES.index(self.stage) + 1
            self.stage, self.done = STAGES[place] if place < len(STAGES) else "done", 0
            self.begin_stage()
            self.save()


def pairs_of(done: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Rows whose next row is of the same episode; both are among those chosen."""
    return np.flatnonzero(~done[:-1].astype(bool) & chosen[:-1] & chosen[1:])


def choices(game: Game) -> int:
    """How many rows a game has: the last picture of an episode is none."""
    return len(game.replay) - len(game.scores)


def options(tier: Tier, name: str) -> dict:
    """Of `dreamkit.envs.make`."""
    sticky = {"sticky": tier.sticky} if tier.sticky >= 0 else {}
    return {"name": name, "size": tier.size} | sticky


def scores(tier: Tier, seed: int, policy: Callable) -> dict[str, list[float]]:
    """Scores of `episodes` fresh episodes, with a policy and at random: the same episodes."""
    found = {}
    for name, chosen in (("policy", policy), ("random", None)):
        game = Game(options(tier, tier.tasks.split(",")[0]), 1_000_000 + seed)
        found[name] = [game.play(1, chosen)[0] for _ in range(tier.episodes)]
    return found


def parse(arguments: list[str]) -> tuple[dict, Tier]:
    """({run, seed, until, device}, the tier with its options). Errors: UserError."""
    given = {"run": "", "seed": 0, "tier": "catch", "until": STAGES[-1], "device": "auto"}
    kinds = {field.name: field.type for field in fields(Tier)}
    changes = {}
    for item in arguments:
        key, mark, value = item.partition("=")
        if not mark or key not in given | kinds:
            near = ", ".join([*given, *kinds])
            raise UserError(f"unknown option {item!r}; there are {near}")
        kind = type(given[key]) if key in given else kinds[key]
        (given if key in given else changes)[key] = parsed(item, kind, value)
    if given["tier"] not in TIERS:
        raise UserError(f"tier={given['tier']}: there are {', '.join(TIERS)}")
    if given["seed"] < 0:
        raise UserError(f"seed={given['seed']} must be 0 or more")
    if given["until"] not in STAGES:
        raise UserError(f"until={given['until']}: there are {', '.join(STAGES)}")
    tier = replace(Tier(), **(TIERS[given["tier"]] | changes))
    given["run"] = given["run"] or f"runs/hidreamer-{given['tier']}"
    return given, checked(tier)


def parsed(item: str, kind: type, value: str):
    """The value of KEY=VALUE. Errors: UserError, where it is of another kind."""
    words = {"true": True, "1": True, "false": False, "0": False}
    try:
        found = words[value.lower()] if kind is bool else kind(value)
        if kind is float and not math.isfinite(found):
            raise ValueError
    except (KeyError, ValueError):
        named = {bool: "true or false", int: "a whole number", float: "a number"}
        raise UserError(f"{item} must be {named[kind]}") from None
    return found


def checked(tier: Tier) -> Tier:
    """Errors: UserError, where options do not go together."""
    from solutions.paper4_hdreamer.hidreamer.mask import RULES

    if tier.rule not in RULES:
        raise UserError(f"rule={tier.rule}: there are {', '.join(RULES)}")
    if tier.algorithm not in ("reinforce", "ppo"):
        raise UserError(f"algorithm={tier.algorithm}: there are reinforce, ppo")
    if tier.precision not in ("auto", "bf16", "fp16", "fp32"):
        raise UserError(f"precision={tier.precision}: there are auto, bf16, fp16, fp32")
    zero = [f.name for f in fields(Tier) if f.name.endswith(("updates", "rounds", "margin"))]
    low = dict.fromkeys([*zero, "warmup", "entropy_scale"], 0)
    numbers = [f.name for f in fields(Tier) if f.type is int and f.name not in low]
    low |= dict.fromkeys(numbers, 1) | {"size": 2, "length": 2, "encoder_batch": 2, "bins": 3}
    for name, least in low.items():
        if getattr(tier, name) < least:
            raise UserError(f"{name}={getattr(tier, name)} must be {least} or more")
    for name in ("encoder_lr", "model_lr", "policy_lr", "temperature"):
        if getattr(tier, name) <= 0:
            raise UserError(f"{name}={getattr(tier, name)} must be more than 0")
    for name in ("hard", "dropout", "discount", "lambda_"):
        if not 0 <= getattr(tier, name) <= 1:
            raise UserError(f"{name}={getattr(tier, name)} must be from 0 to 1")
    if tier.sticky > 1:
        raise UserError(f"sticky={tier.sticky} must be -1, or from 0 to 1")
    if tier.bins % 2 == 0:
        raise UserError(f"bins={tier.bins} must be odd: the one in the middle is 0")
    if tier.width % tier.heads:
        raise UserError(f"width={tier.width} cannot be shared by heads={tier.heads}")
    if tier.context + tier.horizon > tier.length:
        raise UserError(
            f"context={tier.context} and horizon={tier.horizon} are more than length="
            f"{tier.length}: the model would dream at positions that it never saw"
        )
    names = tier.tasks.split(",")
    if len(set(names)) < len(names):
        raise UserError(f"tasks={tier.tasks}: one of them is there twice")
    return tier


def command(arguments: list[str]) -> int:
    """The command. Errors: UserError."""
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    given, tier = parse(arguments)
    torch.set_num_threads(max(1, torch.get_num_threads() // 2))
    run = Run(Path(given["run"]), tier, given["seed"], checkpoint.choose_device(given["device"]))
    if run.path.exists():
        run.load()
        print(f"{run.folder}: going on with {run.stage}")
    else:
        run.folder.mkdir(parents=True, exist_ok=True)
        run.say(f"# Hi-Dreamer: {tier.tasks}, tier {given['tier']}, seed {given['seed']}")
    run.go(given["until"])
    print(f"{run.folder}/report.md")
    return 0


if __name__ == "__main__":
    import course

    course.run(__file__, command)
