"""ViZDoom scenarios as a Gymnasium environment. They come with the library, as do the game files.

Kempka et al. 2016, arXiv:1605.02097. Two of its habits are mended here: after the last step there
is no picture any more (the one before is kept), and a time limit counts as an end.
"""

import contextlib
import shutil
import tempfile
import weakref
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamkit import UserError, first_line

TOGETHER = ("cig", "multi_duel")  # several players: alone, the library crashes in them


class Doom(gymnasium.Env):
    """One scenario.

    name     basic, deadly_corridor, defend_the_center, health_gathering, my_way_home, …
    size     height and width of the picture, in colour
    repeat   game tics for one action; rewards are summed
    action   number 0 does nothing, the others press one button of the scenario each
    """

    render_mode = "rgb_array"

    def __init__(self, name: str, size: int = 64, repeat: int = 4):
        try:
            import cv2  # noqa: F401, the pictures need it
            import vizdoom
        except ImportError as error:
            line = f"ViZDoom cannot be imported: {first_line(error)}; pip install -e '.[vizdoom]'"
            raise UserError(line) from None
        if repeat < 1:
            raise UserError(f"repeat={repeat} must be at least 1")
        folder = Path(vizdoom.scenarios_path)
        known = sorted({path.stem for path in folder.glob("*.cfg")} - {*TOGETHER})
        if name not in known:
            line = f"ViZDoom has no scenario {name} for one player; there are {', '.join(known)}"
            raise UserError(line)
        self.size, self.repeat = size, repeat
        folder_of_game = tempfile.mkdtemp(prefix="vizdoom-")  # it writes settings where it starts
        self.game = game = vizdoom.DoomGame()
        self.close = weakref.finalize(self, shut, game, folder_of_game)
        try:
            game.load_config(str(folder / f"{name}.cfg"))
            game.set_doom_config_path(f"{folder_of_game}/vizdoom.ini")
            game.set_screen_resolution(vizdoom.ScreenResolution.RES_160X120)
            game.set_screen_format(vizdoom.ScreenFormat.RGB24)
            game.set_window_visible(False)
            game.set_sound_enabled(False)
            game.set_objects_info_enabled(True)  # for `factors`
            game.set_mode(vizdoom.Mode.PLAYER)
            game.set_seed(0)
            with contextlib.chdir(folder_of_game):
                game.init()
        except Exception as error:  # the library's own exceptions
            raise UserError(f"ViZDoom cannot start {name}: {first_line(error)}") from None
        buttons = game.get_available_buttons_size()
        self.buttons = [[0] * buttons, *np.eye(buttons, dtype=int).tolist()]
        self.action_space = spaces.Discrete(len(self.buttons))
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.game.set_seed(seed % 2**32)
        self.game.new_episode()
        self.picture = self._picture()
        return self.picture, {}

    def step(self, action):
        reward = self.game.make_action(self.buttons[int(action)], self.repeat)
        over = self.game.is_episode_finished()
        truncated = over and self.game.is_episode_timeout_reached()
        if not over:
            self.picture = self._picture()
        return self.picture, reward, over and not truncated, truncated, {}

    def _picture(self) -> np.ndarray:
        import cv2

        state = self.game.get_state()
        self.screen, self.objects = state.screen_buffer, state.objects
        return cv2.resize(self.screen, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def factors(self) -> dict[str, np.ndarray]:
        """What the last picture is made of, in the game's units: `ego/…` and `world/…`.

        The world is the nearest object that is not oneself (zeros where there is none), and how
        many there are.
        """
        me = next(x for x in self.objects if x.name == "DoomPlayer")
        place = np.array([me.position_x, me.position_y])
        others = [np.array([x.position_x, x.position_y]) for x in self.objects if x is not me]
        nearest = min(others, key=lambda x: float(np.abs(x - place).sum()), default=np.zeros(2))
        turn = np.radians(me.angle)
        return {
            "ego/position": place,
            "ego/direction": np.array([np.cos(turn), np.sin(turn)]),
            "world/nearest": nearest,
            "world/count": np.array([float(len(others))]),
        }

    def render(self) -> np.ndarray:
        """The last picture at the game's own size (H, W, 3)."""
        return self.screen


def shut(game, folder: str) -> None:
    """End the game's process, then remove what it wrote."""
    game.close()
    shutil.rmtree(folder, ignore_errors=True)
