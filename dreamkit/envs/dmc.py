"""DeepMind Control as a Gymnasium environment: from the state or from pixels, on any machine.

Paper of the suite: Tassa et al. 2018, arXiv:1801.00690. Episodes take 1,000 physics steps of the
task and are cut there; none ends by itself, so `terminated` stays false in most tasks.
"""

import ctypes.util
import os
import sys

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamkit import UserError, first_line

# What a headless Debian or Ubuntu needs to render.
APT = "apt-get install -y --no-install-recommends libegl1 libgl1 libopengl0 libgl1-mesa-dri"


def choose_renderer() -> str:
    """Set MUJOCO_GL before mujoco is imported, on Linux without a screen. Returns what is set.

    Nothing is changed where the user chose, and on other systems. Without any library the physics
    work all the same, and only rendering fails.
    """
    if "MUJOCO_GL" not in os.environ and sys.platform == "linux" and "DISPLAY" not in os.environ:
        for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
            if ctypes.util.find_library(library):
                os.environ["MUJOCO_GL"] = name
                break
        else:
            os.environ["MUJOCO_GL"] = "disabled"
    return os.environ.get("MUJOCO_GL", "")


def mend() -> str:
    """What makes rendering work, after it did not."""
    missing = os.environ.get("MUJOCO_GL") == "egl" or not ctypes.util.find_library("EGL")
    return APT if missing else "set MUJOCO_GL=egl"


def import_suite():
    """dm_control's suite. Errors: UserError, with the command that installs what is missing."""
    renderer = choose_renderer()
    try:
        from dm_control import suite
    except ImportError as error:
        hint = f"rendering needs {mend()}" if "EGL" in str(error) else "pip install -e '.[dmc]'"
        raise UserError(
            f"DeepMind Control cannot be imported: {first_line(error)}; {hint}"
        ) from None
    except Exception as error:  # OpenGL's loaders raise AttributeError and ctypes errors
        raise UserError(
            f"OpenGL cannot be loaded with MUJOCO_GL={renderer}: {first_line(error)}; {mend()}"
        ) from None
    return suite


def split_name(name: str) -> tuple[str, str]:
    """walker_walk → ("walker", "walk"); ball_in_cup_catch → ("ball_in_cup", "catch")."""
    found = {f"{domain}_{task}": (domain, task) for domain, task in import_suite().ALL_TASKS}
    if name not in found:
        near = [known for known in found if known.startswith(name.split("_")[0])] or sorted(found)
        raise UserError(f"DeepMind Control has no task {name}; there are {', '.join(near[:8])} …")
    return found[name]


class DMC(gymnasium.Env):
    """One task of the suite.

    A seed in `reset` decides the episode, as everywhere in this project.

    name      domain and task, such as walker_walk
    pixels    observe a picture (H, W, 3) instead of the state (D,)
    size      of the picture
    repeat    physics steps of the task for one action; rewards are summed
    render    "fast": no shadows, no anti-aliasing, six times as fast on a CPU;
              "faithful": as the suite draws it
    camera    number of the camera; none: the suite's usual one for learning (2 for quadruped, 0)
    """

    render_mode = "rgb_array"

    def __init__(
        self, name: str, pixels: bool = False, size: int = 64, repeat: int = 2,
        render: str = "fast", camera: int | None = None,
    ):  # fmt: skip
        if render not in ("fast", "faithful"):
            raise UserError(f"render={render} is neither fast nor faithful")
        if repeat < 1:
            raise UserError(f"repeat={repeat} must be at least 1")
        domain, task = split_name(name)
        # The linear systems of lqr are drawn once, here: the same for every instance.
        self.env = import_suite().load(domain, task, task_kwargs={"random": 0})
        self.pixels, self.size, self.repeat = pixels, size, repeat
        self.camera = (2 if domain == "quadruped" else 0) if camera is None else camera
        bounds = self.env.action_spec()
        self.action_space = spaces.Box(
            np.broadcast_to(bounds.minimum, bounds.shape).astype(np.float32),
            np.broadcast_to(bounds.maximum, bounds.shape).astype(np.float32),
        )
        self._quality(render)
        if pixels:
            self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        else:
            units = sum(int(np.prod(x.shape)) for x in self.env.observation_spec().values())
            self.observation_space = spaces.Box(-np.inf, np.inf, (units,), np.float32)

    def _quality(self, render: str) -> None:
        """The offscreen buffer is as large as the picture; what costs most can go."""
        visual = self.env.physics.model.vis
        visual.global_.offwidth = visual.global_.offheight = self.size
        self.flags = {}
        if render == "fast":
            visual.quality.offsamples = visual.quality.shadowsize = 0
            self.flags = {"shadow": False, "reflection": False}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:  # the task draws its initial states from this
            self.env.task._random = np.random.RandomState(seed % 2**32)
        return self._observation(self.env.reset()), {}

    def step(self, action):
        reward, terminated = 0.0, False
        for _ in range(self.repeat):
            time = self.env.step(action)
            reward += time.reward or 0.0
            terminated = time.last() and time.discount == 0
            if time.last():
                break
        return self._observation(time), reward, terminated, time.last() and not terminated, {}

    def _observation(self, time) -> np.ndarray:
        if self.pixels:
            return self.render()
        return np.concatenate([np.ravel(x) for x in time.observation.values()], dtype=np.float32)

    def render(self) -> np.ndarray:
        """The scene as a picture (H, W, 3)."""
        try:
            return self.env.physics.render(
                self.size, self.size, camera_id=self.camera, render_flag_overrides=self.flags
            )
        except Exception as error:  # whatever OpenGL does not find
            # A half-made context complains when it goes: let it go here, unheard.
            hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
            error.__traceback__ = None
            sys.unraisablehook = hook
            line = f"DeepMind Control cannot render: {first_line(error)}; {mend()}"
            raise UserError(line) from None

    def close(self) -> None:
        self.env.close()
