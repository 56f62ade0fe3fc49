"""Atari games as a Gymnasium environment, with the preprocessing that papers agree on.

Protocol: Machado et al. 2018, arXiv:1709.06009 (sticky actions, all 18 actions, lives ignored). The
games come with ale-py. An episode that is cut by the time limit did not end: `truncated`.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

from dreamkit import UserError, first_line

# Bytes of the console's memory: Anand et al. 2019, arXiv:1906.08226, ram_annotations.py of atariari
MEMORY = {
    "pong": {
        "ego/player_y": 51, "world/enemy_y": 50, "world/ball_x": 49, "world/ball_y": 54,
        "world/enemy_score": 13, "world/player_score": 14,
    },
    "breakout": {
        "ego/player_x": 72, "world/ball_x": 99, "world/ball_y": 101, "world/blocks_hit": 77,
    },
    "ms_pacman": {
        "ego/player_x": 10, "ego/player_y": 16, "world/sue_x": 6, "world/sue_y": 12,
        "world/inky_x": 7, "world/inky_y": 13, "world/pinky_x": 8, "world/pinky_y": 14,
        "world/blinky_x": 9, "world/blinky_y": 15, "world/dots_eaten": 119,
    },
}  # fmt: skip
FRAMES = 108_000  # half an hour at 60 frames a second; then an episode is cut


def emulator(name: str):
    """ale-py's interface to a game. Errors: UserError, where library or game are missing."""
    try:
        import ale_py
        import cv2  # noqa: F401, the pictures need it
        from ale_py import roms
    except ImportError as error:
        line = f"Atari cannot be imported: {first_line(error)}; pip install -e '.[atari]'"
        raise UserError(line) from None
    known = roms.get_all_rom_ids()
    if name not in known:
        near = [game for game in known if game.startswith(name[:2])] or known
        raise UserError(f"there is no Atari game {name}; there are {', '.join(near[:8])} …")
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner
    game = ale_py.ALEInterface()
    game.setFloat("repeat_action_probability", 0.0)  # ours is decided by the episode's seed
    game.setInt("random_seed", 0)
    try:
        path = roms.get_rom_path(name)
        supported = ale_py.ALEInterface.isSupportedROM(path)
    except Exception as error:  # it is not there, or it is another file
        again = "unset ALE_ROMS_DIR, or pip install --force-reinstall ale-py"
        raise UserError(f"the game {name} cannot be loaded: {first_line(error)}; {again}") from None
    if not supported:  # loading it would end the process
        raise UserError(f"the emulator cannot play {name} alone: it is a game for two")
    game.loadROM(path)
    return game


class Atari(gymnasium.Env):
    """One game.

    name      as in the papers: pong, ms_pacman, montezuma_revenge
    size      height and width of the picture
    gray      one channel instead of three
    repeat    frames for one action; rewards are summed, and the picture is the maximum of the last
              two frames, because sprites flicker
    sticky    probability, for each frame, that the emulator keeps the action of the frame before
    noops     an episode begins with up to so many idle frames
    actions   "all" 18, or "needed": those that do something in this game
    lives     "ignored", or "terminal": losing one ends the episode, and the next one goes on in the
              same game. Such an episode cannot be repeated from its seed
    frames    after so many the episode is cut
    """

    render_mode = "rgb_array"

    def __init__(
        self, name: str, size: int = 64, gray: bool = True, repeat: int = 4, sticky: float = 0.25,
        noops: int = 30, actions: str = "all", lives: str = "ignored", frames: int = FRAMES,
    ):  # fmt: skip
        if actions not in ("all", "needed"):
            raise UserError(f"actions={actions} is neither all nor needed")
        if lives not in ("ignored", "terminal"):
            raise UserError(f"lives={lives} is neither ignored nor terminal")
        if repeat < 1 or not 0 <= sticky < 1 or noops < 0 or frames < 1:
            raise UserError(
                "repeat and frames must be at least 1, sticky in [0, 1), noops 0 or more"
            )
        self.game = game = emulator(name)
        self.places = MEMORY.get(name, {})
        self.size, self.gray, self.repeat, self.sticky = size, gray, repeat, sticky
        self.noops, self.lives, self.frames = noops, lives, frames
        self.actions = game.getLegalActionSet() if actions == "all" else game.getMinimalActionSet()
        self.action_space = spaces.Discrete(len(self.actions))
        channels = 1 if gray else 3
        self.observation_space = spaces.Box(0, 255, (size, size, channels), np.uint8)
        height, width = game.getScreenDims()
        shape = (2, height, width) if gray else (2, height, width, 3)
        self.screens = np.zeros(shape, np.uint8)  # the last frame, and the one before
        game.reset_game()
        self.start = game.cloneSystemState()  # every episode begins here, whatever came before
        game.act(self.actions[0])  # qbert and tetris keep a trace of having been played: all do now
        self.alive = False  # a life was lost, and the game goes on

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        game = self.game
        if not self.alive:
            game.restoreSystemState(self.start)
            self.frame = 0
            # At least one frame: restoring brings back the game, not the picture of it.
            for _ in range(1 + int(self.np_random.integers(self.noops + 1))):
                game.act(self.actions[0])
                if game.game_over():
                    game.restoreSystemState(self.start)
        self.alive = False
        self.action = self.actions[0]
        self.left = game.lives()
        self._grab(0)
        self.screens[1] = self.screens[0]  # no frame of the episode before
        return self._picture(), {"lives": self.left}

    def step(self, action):
        game, reward = self.game, 0.0
        stuck = self.np_random.random(self.repeat) < self.sticky
        for number in range(self.repeat):
            if not stuck[number]:
                self.action = self.actions[int(action)]
            reward += game.act(self.action)
            self.frame += 1
            over = game.game_over()
            self.alive = self.lives == "terminal" and game.lives() < self.left and not over
            cut = self.frame >= self.frames
            if over or self.alive or cut or number == self.repeat - 1:
                break
            if number == self.repeat - 2:
                self._grab(1)
        self._grab(0)
        if number < self.repeat - 1 or self.repeat == 1:  # there is no second frame of this step
            self.screens[1] = self.screens[0]
        terminated = over or self.alive
        return self._picture(), reward, terminated, cut and not terminated, {"lives": game.lives()}

    def _grab(self, place: int) -> None:
        grab = self.game.getScreenGrayscale if self.gray else self.game.getScreenRGB
        grab(self.screens[place])

    def _picture(self) -> np.ndarray:
        import cv2

        screen = np.maximum(self.screens[0], self.screens[1])
        small = cv2.resize(screen, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return small.reshape(self.observation_space.shape)

    def factors(self) -> dict[str, np.ndarray]:
        """Bytes that say where things are, of the games that were annotated; else nothing."""
        memory = self.game.getRAM()
        return {key: memory[[byte]].astype(float) for key, byte in self.places.items()}

    def render(self) -> np.ndarray:
        """The whole screen in colour (H, W, 3)."""
        return self.game.getScreenRGB()


class AtariThreads:
    """Several copies of one game, stepped at once in ale-py's C++ threads (`task.threads=true`).

    Options as for `Atari`; every default of `AtariVectorEnv` that differs is set. Worth it
    with many environments and idle cores: on one core it is hardly faster than `Atari`.
    """

    def __init__(
        self, name: str, count: int, size: int = 64, gray: bool = True, repeat: int = 4,
        sticky: float = 0.25, noops: int = 30, actions: str = "all", lives: str = "ignored",
        frames: int = FRAMES,
    ):  # fmt: skip
        Atari(name, size, gray, repeat, sticky, noops, actions, lives, frames)  # says what is wrong
        import ale_py

        self.games = ale_py.AtariVectorEnv(
            name, count, img_height=size, img_width=size, grayscale=gray, stack_num=1,
            frameskip=repeat, maxpool=True, repeat_action_probability=sticky, noop_max=noops,
            full_action_space=actions == "all", episodic_life=lives == "terminal",
            max_num_frames_per_episode=frames, reward_clipping=False, use_fire_reset=False,
        )  # fmt: skip
        self.games.reset(seed=0)  # all of them once, before one alone may be
        self.shape = (size, size, 1 if gray else 3)
        self.count = count
        self.answers = None  # of the last step, until a member has taken its own

    def members(self) -> list[gymnasium.Env]:
        return [_Member(self, number) for number in range(self.count)]

    def step(self, actions: list[int]) -> None:
        """Step all games; each member's `step` then returns its part."""
        *answers, _ = self.games.step(np.array(actions))
        self.answers = list(zip(*answers, strict=True))

    def reset(self, number: int, seed: int | None) -> np.ndarray:
        mask = np.arange(self.count) == number
        seeds = np.array([-1 if seed is None else seed % 2**31])
        observations, _ = self.games.reset(seed=seeds, options={"reset_mask": mask})
        return observations[number].reshape(self.shape)


class _Member(gymnasium.Env):
    """One of the games of an AtariThreads."""

    def __init__(self, together: AtariThreads, number: int):
        self.together, self.number = together, number
        self.observation_space = spaces.Box(0, 255, together.shape, np.uint8)
        self.action_space = spaces.Discrete(together.games.single_action_space.n)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.together.reset(self.number, seed), {}

    def step(self, action):
        """The part of the last common step; the action went into that one."""
        observation, reward, *ends = self.together.answers[self.number]
        return observation.reshape(self.together.shape), float(reward), *map(bool, ends), {}
