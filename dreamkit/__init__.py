"""Everything that surrounds an agent: environments, replay, training loop, checkpoints, pictures.

The names that a program needs are `load` and `make`:

    policy, env = dreamkit.load("runs/demo")
    env = dreamkit.make("cartpole_pixels")
"""


class UserError(Exception):
    """Something the user can mend: the commands print its one line and exit with code 2."""


def first_line(error: Exception) -> str:
    """What an error says, short enough for a one-line message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def load(path: str, device: str = "auto"):
    """A trained policy and an environment to use it in: see `dreamkit.checkpoint.load_policy`."""
    from dreamkit.checkpoint import load_policy

    return load_policy(path, device)


def make(name: str, **options):
    """An environment by its name or Gymnasium id: see `dreamkit.envs.make`."""
    from dreamkit.envs import make

    return make(name, **options)
