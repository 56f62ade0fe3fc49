"""dreamer-check: what of this machine works, and the command that mends what does not."""

import importlib.util
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dreamkit.envs.dmc import APT

LIMIT = 120  # seconds for one line: a first import may take long, a broken driver may hang

TORCH = """
import torch
from dreamkit.checkpoint import choose_device
name = choose_device("auto")
x = torch.randn(256, 256, device=name)
assert (x @ x).isfinite().all()
gpu = torch.cuda.get_device_name() if name == "cuda" else "no GPU that this PyTorch can use"
print(f"{torch.__version__}, device=auto takes {name} ({gpu})")
"""
RENDER = """
import time
import dreamkit
env = dreamkit.make("dmc_cartpole_balance_pixels")
env.reset(seed=0)
start = time.time()
picture = env.step(env.action_space.sample())[0]["image"]
import os
assert picture.std() > 1, "the picture is empty"
print(f"MUJOCO_GL={os.environ.get('MUJOCO_GL', 'unset')}, a step takes {1e3 * (time.time() - start):.0f} ms")
"""  # noqa: E501
DMC = """
import dreamkit
dreamkit.make("dmc_cartpole_balance").reset(seed=0)
import mujoco
print(f"mujoco {mujoco.__version__}")
"""
ATARI = """
import dreamkit
dreamkit.make("atari_pong").reset(seed=0)
import ale_py
print(f"ale-py {ale_py.__version__} with its games")
"""
DOOM = """
import dreamkit
dreamkit.make("vizdoom_basic").reset(seed=0)
import vizdoom
print(f"vizdoom {vizdoom.__version__}")
"""
VIDEO = """
import imageio.v3 as iio, numpy as np, sys
iio.imwrite(sys.argv[1] + "/x.mp4", np.zeros((8, 64, 64, 3), np.uint8), fps=8)
import imageio_ffmpeg
print(f"ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
"""

VERSION = "import {0}; print({0}.__version__)"

# name, program, module that it needs, whether it is optional, what mends it
LINES = (
    ("PyTorch", TORCH, "torch", False, "pip install -r requirements.txt"),
    ("DeepMind Control", DMC, "dm_control", True, "pip install -e '.[dmc]'"),
    ("  its pictures", RENDER, "dm_control", True, APT),
    ("Atari", ATARI, "ale_py", True, "pip install -e '.[atari]'"),
    ("ViZDoom", DOOM, "vizdoom", True, "pip install -e '.[vizdoom]'"),
    ("videos", VIDEO, "imageio", False, "pip install 'imageio[ffmpeg]'"),
    ("MLflow", VERSION.format("mlflow"), "mlflow", True, "pip install -e '.[mlflow]'"),
    (
        "TensorBoard", VERSION.format("tensorboard"), "tensorboard", True,
        "pip install -e '.[tensorboard]'",
    ),
)  # fmt: skip


def line(name: str, program: str, module: str, optional: bool, mend: str) -> tuple[str, str]:
    """(ok | missing | broken, text) of one part, tried in a process of its own."""
    if importlib.util.find_spec(module) is None:
        return ("missing" if optional else "broken"), f"not installed: {mend}"
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", program, folder],
                capture_output=True, text=True, timeout=LIMIT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "broken", f"no answer within {LIMIT} s; {mend}"
    if done.returncode == 0 and done.stdout.strip():
        return "ok", done.stdout.strip().splitlines()[-1]
    said = [row for row in done.stderr.splitlines() if row.strip()]
    reason = said[-1].strip() if said else f"exit code {done.returncode}"
    reason = reason.removeprefix("dreamkit.UserError: ")
    return "broken", reason if mend in reason else f"{reason}; {mend}"


def main() -> int:
    """Print a line for every part. Returns 0, or 1 where something needed is broken."""
    rows = [("Python", "ok", f"{platform.python_version()}, {platform.platform()}")]
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    state = "ok" if free > 5 else "broken"
    rows.append(
        ("disk", state, f"{free:.0f} GiB free here" + ("" if free > 5 else "; 5 are needed"))
    )
    for row in rows:
        show(*row)
    for part in LINES:
        rows.append((part[0], *line(*part)))
        show(*rows[-1])
    bad = [name.strip() for name, state, _ in rows if state == "broken"]
    missing = [name.strip() for name, state, _ in rows if state == "missing"]
    if bad:
        print(f"does not work: {', '.join(bad)}")
    elif missing:
        print(f"all that is installed works; optional and not installed: {', '.join(missing)}")
    else:
        print("everything works")
    return int(bool(bad))


def show(name: str, state: str, text: str) -> None:
    sign = {"ok": "ok ", "missing": "-  ", "broken": "NO "}[state]
    print(f"{sign} {name:<17} {text}", flush=True)
