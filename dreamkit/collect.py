"""Environments → rows: N environments stepped in turn, and the evaluation of a policy in them."""

import math
from collections.abc import Callable

import gymnasium
import numpy as np
import torch

from dreamkit import UserError, first_line, watchdog


def episode_seed(run: int, environment: int, episode: int) -> int:
    """The seed that an episode is reset with: the same again when a run is continued."""
    return int(np.random.SeedSequence([run, environment, episode]).generate_state(1)[0])


def row_fields(obs_space: dict, actions: int) -> dict:
    """{name: (shape, dtype)} of a replay row."""
    fields = {key: (space.shape, space.dtype.name) for key, space in obs_space.items()}
    fields |= {"action": ((actions,), "float32"), "reward": ((), "float32")}
    return fields | dict.fromkeys(("is_first", "is_last", "is_terminal"), ((), "bool"))


def action_size(space) -> int:
    """Units of an action vector: classes of a discrete action, entries of a continuous one."""
    return int(space.n if hasattr(space, "n") else np.prod(space.shape))


def to_environment(actions: np.ndarray, space) -> list:
    """Action vectors (N, A) → what N environments take: class numbers, or arrays."""
    if hasattr(space, "n"):
        return actions.argmax(-1).tolist()
    return list(actions.reshape(len(actions), *space.shape))


class EnvironmentFailure(UserError):
    """An environment failed in a step, before anything of that step was stored."""


class Slot:
    """One environment and its current row."""

    def __init__(self, env: gymnasium.Env, number: int, seed: int):
        self.env, self.number, self.seed = env, number, seed
        spaces = env.observation_space.spaces
        self.vectors = [key for key, space in spaces.items() if space.dtype == np.float32]
        self.episode = -1  # number of the running episode
        self.actions: list[np.ndarray] = []  # taken in it
        self.row: dict = {}
        self.score = 0.0

    def reset(self) -> None:
        """Begin the next episode."""
        self.episode += 1
        self.actions, self.score = [], 0.0
        seed = episode_seed(self.seed, self.number, self.episode)
        action = np.zeros(action_size(self.env.action_space), np.float32)
        watchdog.busy = self
        try:
            obs, _ = self.env.reset(seed=seed)
            self._compare_shapes(obs)
            self.row = self._row(obs, action, 0.0, True, False, False)
        except Exception as error:
            raise UserError(str(self._failure(error))) from error
        finally:
            watchdog.busy = None

    def _compare_shapes(self, obs: dict) -> None:
        """Errors: UserError, where an observation is not of the shape that its space declares."""
        for key, space in self.env.observation_space.spaces.items():
            if obs[key].shape != space.shape:
                raise UserError(
                    f"{self.place()}: the observation {key!r} has shape {obs[key].shape}, and its "
                    f"space declares {space.shape}"
                )

    def try_step(self, action: np.ndarray, native) -> dict:
        """Apply an action. Returns the row that it leads to, which is not entered yet.

        action   vector (A,), as rows hold it
        native   the same as the environment takes it
        """
        obs, reward, terminated, truncated, _ = self.guard(self.env.step, native)
        last, terminal = bool(terminated or truncated), bool(terminated)
        return self._row(obs, action, float(reward), False, last, terminal)

    def enter(self, row: dict) -> None:
        """Make it the current row."""
        self.row = row
        self.actions.append(row["action"])
        self.score += row["reward"]

    def step(self, action: np.ndarray) -> None:
        """Apply an action vector; the row becomes the one that it leads to."""
        self.enter(self.try_step(action, *to_environment(action[None], self.env.action_space)))

    def _row(self, obs, action, reward, is_first, is_last, is_terminal) -> dict:
        """Errors: EnvironmentFailure, where a reward or a vector is not finite."""
        for key in self.vectors:
            x = obs[key]
            # The product with itself is quicker; it may overflow, so that alone is no proof.
            if not math.isfinite(x.dot(x)) and not np.isfinite(x).all():
                raise EnvironmentFailure(f"{self.place()} returned NaN or infinity in {key!r}")
        if not math.isfinite(reward):
            raise EnvironmentFailure(f"{self.place()} returned NaN or infinity as its reward")
        return obs | {
            "action": action, "reward": reward,
            "is_first": is_first, "is_last": is_last, "is_terminal": is_terminal,
        }  # fmt: skip

    def guard(self, step: Callable, action):
        """Call an environment's step; its error becomes one line, its silence a time-out."""
        watchdog.busy = self
        try:
            return step(action)
        except Exception as error:
            raise self._failure(error) from error
        finally:
            watchdog.busy = None

    def _failure(self, error: Exception) -> UserError:
        """An error inside an environment, as one line that says where it happened."""
        if isinstance(error, UserError):
            return error
        if isinstance(error, TimeoutError):
            return EnvironmentFailure(f"{self.place()}: {first_line(error)}")
        return EnvironmentFailure(f"{self.place()} failed: {type(error).__name__}: {error}")

    def place(self) -> str:
        return f"environment {self.number} (episode {self.episode}, step {len(self.actions)})"


class Collector:
    """Environments in this process, each with its own stream of rows.

    Every step acts once in each. An episode's last row is stored without an action; the next
    episode begins at once, so no step is spent on a reset.
    """

    def __init__(self, envs: list[gymnasium.Env], seed: int):
        self.slots = [Slot(env, number, seed) for number, env in enumerate(envs)]
        self.space = envs[0].action_space
        self.together = getattr(envs[0].unwrapped, "together", None)  # steps all at once
        for slot in self.slots:
            slot.reset()

    def __len__(self) -> int:
        return len(self.slots)

    def observations(self) -> dict[str, np.ndarray]:
        """What the policy sees now: {name: (N, ...)} with `is_first`."""
        skip = ("action", "reward", "is_last", "is_terminal")
        keys = [key for key in self.slots[0].row if key not in skip]
        return {key: np.array([slot.row[key] for slot in self.slots]) for key in keys}

    def step(self, actions: np.ndarray, latents: dict, store: Callable) -> list[tuple[float, int]]:
        """Store the current rows with their latents, act, and return (score, length) of episodes
        that ended.

        actions   (N, A)
        latents   {name: (N, ...)} of the current rows; may be empty
        store     called as store(environment, row, latents of that row or None)
        """
        # An environment may fail: nothing is stored before all have answered.
        native = to_environment(actions, self.space)
        if self.together:
            self.slots[0].guard(self.together.step, native)
        following = [
            slot.try_step(*both) for slot, *both in zip(self.slots, actions, native, strict=True)
        ]
        ended = []
        for n, (slot, row) in enumerate(zip(self.slots, following, strict=True)):
            store(n, slot.row, latents and {name: x[n] for name, x in latents.items()})
            slot.enter(row)
            if row["is_last"]:
                store(n, row, None)
                ended.append((slot.score, len(slot.actions)))
                slot.reset()
        return ended

    def close(self) -> None:
        for slot in self.slots:
            slot.env.close()

    # --- saving -----------------------------------------------------------------------------------

    def save(self) -> list[dict]:
        """What is needed to bring each environment back to where it is."""
        return [
            {
                "episode": slot.episode,
                "score": slot.score,
                "actions": torch.from_numpy(np.array(slot.actions, np.float32)),
                "row": {key: torch.as_tensor(np.asarray(x)) for key, x in slot.row.items()},
            }
            for slot in self.slots
        ]

    def load(self, states: list[dict]) -> list[int]:
        """Replay the running episodes. Returns the environments where that led elsewhere.

        There the episode is over, and the next one has begun: an environment that is not
        deterministic cannot be brought back.
        """
        lost = []
        for slot, state in zip(self.slots, states, strict=True):
            if self.together:  # one of them cannot be stepped alone
                slot.episode = state["episode"]
                slot.reset()
                lost.append(slot.number)
                continue
            slot.episode = state["episode"] - 1
            slot.reset()
            for action in state["actions"].numpy():
                if slot.row["is_last"]:
                    break
                slot.step(action)
            expected = {key: x.numpy() for key, x in state["row"].items()}
            same = all(np.array_equal(slot.row[key], x) for key, x in expected.items())
            if not same:
                lost.append(slot.number)
                slot.reset()
        return lost


class Player:
    """A policy, and the environments in which it acts.

    random   act at random instead; the policy looks on, for the sake of its latents
    """

    def __init__(self, agent, collector: Collector, random: bool = False):
        self.agent, self.collector, self.random = agent, collector, random
        self.latent_space = getattr(agent, "latent_space", {})
        self.state = agent.initial_state(len(collector))

    def __len__(self) -> int:
        return len(self.collector)

    def step(self, store: Callable) -> tuple[int, list[tuple[float, int]]]:
        """Act once in every environment and store the rows with their latents.

        return   1, the iterations; (score, length) of the episodes that ended
        """
        actions, state = self.agent.act(self.collector.observations(), self.state)
        if self.random:
            actions = self.random_like(actions)
            state = state | {"action": actions}
        latents = self.agent.latents(state) if self.latent_space else {}
        latents = {name: x.cpu().numpy() for name, x in latents.items()}
        ended = self.collector.step(actions.cpu().numpy(), latents, store)
        self.state = state
        return 1, ended

    def random_like(self, actions: torch.Tensor) -> torch.Tensor:
        """Random actions instead of these: one-hot vectors, or numbers in [-1, 1]."""
        if not hasattr(self.collector.space, "n"):
            return 2 * torch.rand_like(actions) - 1
        classes = actions.shape[-1]
        numbers = torch.randint(classes, actions.shape[:-1], device=actions.device)
        return torch.nn.functional.one_hot(numbers, classes).to(actions)

    def publish(self) -> None:
        """The policy is the agent itself: nothing to do."""

    def take_news(self) -> tuple[int, list[tuple[float, int]]]:
        """Iterations and ended episodes that came in beside `step`: none."""
        return 0, []

    def save(self, store: Callable | None = None) -> dict:
        """What is needed to go on."""
        return {"policy": self.state, "collector": self.collector.save()}

    def load(self, state: dict) -> list[int]:
        """Go on. The environments that could not be brought back: new episodes begin there."""
        self.state = state["policy"]
        return self.collector.load(state["collector"])

    def close(self) -> None:
        self.collector.close()


def frame(slot: Slot) -> np.ndarray:
    """What a person sees of an environment now: its own picture, or the observed one. (H, W, 3)"""
    if slot.env.render_mode == "rgb_array":
        try:
            drawn = slot.env.render()
        except gymnasium.error.DependencyNotInstalled:
            raise UserError("this environment draws with pygame: pip install pygame-ce") from None
        except NotImplementedError:
            drawn = None
        if isinstance(drawn, np.ndarray):
            return drawn
    image = next((x for x in slot.row.values() if np.ndim(x) == 3), None)
    if image is None:
        raise UserError(
            "this environment draws no picture (render_mode 'rgb_array') and observes none: "
            "evaluate it without videos"
        )
    picture = np.moveaxis(image[:3], 0, -1)
    return np.repeat(picture[..., :1], 3, -1) if picture.shape[-1] < 3 else picture


def evaluate(agent, make_env: Callable, episodes: int, seed: int, record: int = 0) -> dict:
    """Play whole episodes side by side.

    seed     of the environments and of the policy's samples; the caller's random state is kept
    record   keep the pictures of so many episodes
    return   {"scores", "lengths": lists of `episodes` numbers, "frames": for each recorded episode
             a list of pictures (H, W, 3)}
    """
    slots = [Slot(make_env(), number, seed) for number in range(episodes)]
    for slot in slots:
        slot.reset()
    frames = [[frame(slot)] for slot in slots[:record]]
    devices = [agent.device] if agent.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        state = agent.initial_state(episodes)
        skip = ("action", "reward", "is_last", "is_terminal")
        keys = [key for key in slots[0].row if key not in skip]
        while any(not slot.row["is_last"] for slot in slots):
            obs = {key: np.stack([slot.row[key] for slot in slots]) for key in keys}
            actions, state = agent.act(obs, state, explore=False)
            running = [slot for slot in slots if not slot.row["is_last"]]
            for slot in running:
                slot.step(actions[slot.number].cpu().numpy())
                if slot.number < record:
                    frames[slot.number].append(frame(slot))
    for slot in slots:
        slot.env.close()
    return {
        "scores": [slot.score for slot in slots],
        "lengths": [len(slot.actions) for slot in slots],
        "frames": frames,
    }
