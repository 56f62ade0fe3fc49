"""Environments by name. All are Gymnasium environments of one form:

observation   Dict of images (C, H, W) uint8 and vectors (D,) float32
action        Discrete(n), or Box in [-1, 1]
step          terminated: the value of the future is zero; truncated: it was only cut off
"""

import os
import sys
import warnings
from collections.abc import Callable

import gymnasium

from dreamkit import UserError, first_line
from dreamkit.envs.adapter import Adapter
from dreamkit.envs.cartpole import ContinuousForce, PixelCartPole
from dreamkit.envs.catch import Catch
from dreamkit.envs.gridworld import GridWorld

SUITES = ("dmc_", "atari_", "vizdoom_")
CARTPOLES = (
    "cartpole", "cartpole_continuous", "cartpole_pixels", "cartpole_continuous_pixels",
)  # fmt: skip
CARTPOLE_RANGE = (2.4, 3.0, 0.21, 3.0)  # where an episode ends, or a fast motion, of each entry


def make(
    name: str, size: int = 0, scale: tuple | None = None, draw: bool = False, **options
) -> gymnasium.Env:
    """An environment by the project's name or by any Gymnasium id, such as `ALE/Pong-v5`.

    size      height and width of images; 0 takes the task's own (32 for CartPole, else 64)
    scale     divides a vector observation, entry by entry
    draw      `render()` gives a picture (H, W, 3), for videos
    options   passed to gymnasium.make, or to the suite
    errors    UserError: unknown name, missing library, spaces that an agent cannot use
    """
    draw_without_screen()
    if draw and name in (*CARTPOLES, "pendulum"):
        options = options | {"render_mode": "rgb_array"}
    if name in CARTPOLES[:2]:
        scale = scale or CARTPOLE_RANGE
        env = cartpole(name, options)
    elif name in CARTPOLES[2:]:
        size = size or 32
        env = PixelCartPole(cartpole(name, options), size)
    elif name == "catch":
        size = size or 8
        env = build(Catch, name, size, **options)
    elif name == "gridworld":
        size = size or 16
        env = build(GridWorld, name, size, **options)
    elif name == "pendulum":
        scale = scale or (1.0, 1.0, 8.0)
        env = gymnasium.make("Pendulum-v1", **options)
    elif name.startswith(SUITES):
        env = make_suite(name, options | ({"size": size} if size else {}))
        size = size or 0
    else:
        env = make_registered(name, options, draw)
    return Adapter(env, size or 64, scale)


def make_many(count: int, name: str, threads: bool = False, **options) -> list[gymnasium.Env]:
    """Environments to be stepped side by side; `threads` (Atari): all at once, in C++ threads."""
    if not threads:
        return [make(name, **options) for _ in range(count)]
    if not name.startswith("atari_"):
        raise UserError(f"threads=true is for Atari; {name} has no such option")
    from dreamkit.envs.atari import AtariThreads

    together = build(AtariThreads, name, name.removeprefix("atari_"), count, **options)
    return [Adapter(member, together.shape[0]) for member in together.members()]


def draw_without_screen() -> None:
    """Tell SDL, with which pygame and ViZDoom draw, not to look for a screen where there is none.

    It prints "error: XDG_RUNTIME_DIR is invalid". On Linux alone, where the user did not choose.
    """
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not screen:
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def cartpole(name: str, options: dict) -> gymnasium.Env:
    env = gymnasium.make("dreamkit/CartPole-v1", **options)
    return ContinuousForce(env) if "continuous" in name else env


def make_suite(name: str, options: dict) -> gymnasium.Env:
    """dmc_walker_walk, dmc_walker_walk_pixels, atari_pong, vizdoom_basic."""
    suite, task = name.split("_", 1)
    if suite == "dmc":
        from dreamkit.envs.dmc import DMC as Suite

        options = options | {"pixels": task.endswith("_pixels")}
        task = task.removesuffix("_pixels")
    elif suite == "atari":
        options = {key: value for key, value in options.items() if key != "threads"}
        from dreamkit.envs.atari import Atari as Suite
    else:
        from dreamkit.envs.doom import Doom as Suite
    return build(Suite, name, task, **options)


def build(kind: Callable, name: str, *arguments, **options):
    """One line where a task has no such option."""
    try:
        return kind(*arguments, **options)
    except TypeError as error:
        raise UserError(f"task {name!r}: {first_line(error)}") from None


def make_registered(name: str, options: dict, draw: bool = False) -> gymnasium.Env:
    """gymnasium.make, with one clear line where it fails. What cannot draw is made without."""
    if name.startswith("ALE/"):
        try:
            import ale_py
        except ImportError:
            raise UserError(f"{name} needs the Atari emulator: pip install -e '.[atari]'") from None
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner
        gymnasium.register_envs(ale_py)
    if ":" in name and os.getcwd() not in sys.path:  # module:id may lie in the user's folder
        sys.path.insert(0, os.getcwd())
    if draw:
        try:
            with warnings.catch_warnings(action="ignore"):
                return gymnasium.make(name, **options | {"render_mode": "rgb_array"})
        except Exception:  # it has no such mode, each in its own words: its observations are filmed
            pass
    try:
        return gymnasium.make(name, **options)
    except gymnasium.error.UnregisteredEnv as error:
        raise UserError(f"unknown task {name!r}: {first_line(error)}") from None
    except ImportError as error:
        where = "; start in the module's folder, or set PYTHONPATH" if ":" in name else ""
        raise UserError(f"task {name!r} cannot be built: {first_line(error)}{where}") from error
    except Exception as error:  # whatever an environment's constructor may raise
        raise UserError(f"task {name!r} cannot be built: {first_line(error)}") from error
