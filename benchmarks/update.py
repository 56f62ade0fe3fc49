"""Time one full training update: world model, imagination, actor, critic, optimiser.

    python -m benchmarks.update [key=value ...]

prints one JSON line. Without arguments it times the standard case: vectors of 24, 6 continuous
actions, deter 256, hidden 128, 16×16 latents, batch 16×64, horizon 15, fp32, eager, one CPU core.
For DreamerV1 (32 Normals) and DreamerV2 it is the same world with the same widths.

    agent=dreamerv3  size=standard|tiny|12M|...  observation=vector|image  batch=16  length=64
    horizon=15  device=cpu|cuda  precision=fp32|bf16  compile=false  threads=1  repeats=10
    memory=false  agent.KEY=VALUE

plain_flops   operations of the plain code of this configuration, forward and backward, counted by
              torch's FlopCounterMode; kept in plain_flops.json for the published cases, so that
              doing less work later counts as being faster. Of other cases: as the code is now
peak_flops    multiplications and additions per second of a fp32 matrix product in the same run
floor_ratio   median time ÷ (plain_flops ÷ peak_flops): 1 is what the matrix products alone need
act_ms        median time of one policy step for 16 environments, as the trainer takes it
With memory=true, which takes two more updates:
saved_mib     what an update keeps for its backward pass, parameters not counted
update_mib    the most that is alive at once during an update, beyond what was there before it
"""

import ast
import json
import statistics
import sys
import time
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from dreamkit import UserError, agents
from dreamkit.cli import command
from dreamkit.speed import accelerate, keep_memory

STANDARD = {
    "dreamerv1": dict(
        rnn_hidden_dim=256, hidden_dim=128, state_dim=32, units=128, depth=16, use_continue=True
    ),
    "dreamerv2": dict(
        rnn_hidden_dim=256, rssm_hidden_dim=128, num_categoricals=16, num_categories=16,
        embed_dim=512, hidden_dim=128, use_continue=True,
    ),
    "dreamerv3": dict(deter=256, hidden=128, stoch=16, classes=16, units=128, depth=16),
}  # fmt: skip
FLOPS_FILE = Path(__file__).with_name("plain_flops.json")
DEFAULTS = dict(
    agent="dreamerv3", size="standard", observation="vector", batch=16, length=64, horizon=15,
    device="cpu", precision="fp32", compile="false", threads=1, repeats=10,
    memory="false",
)  # fmt: skip


def parse(arguments: list[str]) -> tuple[dict, dict]:
    """(options, agent options) of the command line."""
    options, agent_options = dict(DEFAULTS), {}
    for item in arguments:
        key, _, value = item.partition("=")
        try:
            if key.startswith("agent."):
                agent_options[key.removeprefix("agent.")] = ast.literal_eval(value)
            elif key in options:
                options[key] = type(DEFAULTS[key])(value)
            else:
                raise UserError(f"unknown option {item!r}; see the top of benchmarks/update.py")
        except (ValueError, SyntaxError):
            raise UserError(f"{item!r} has a value of the wrong type") from None
    return options, agent_options


def build(options: dict, agent_options: dict):
    """(agent, synthetic batch) of a case."""
    module = agents.load(options["agent"])
    sizes = {"standard": STANDARD.get(options["agent"], {})} | module.SIZES
    if options["size"] not in sizes:
        raise UserError(f"unknown size {options['size']!r}: one of {', '.join(sizes)}")
    if options["observation"] not in ("vector", "image"):
        raise UserError("observation is vector or image")
    if not {options["compile"], options["memory"]} <= {"true", "false"}:
        raise UserError("compile and memory are true or false")
    shape = dict(batch_size=options["batch"], batch_length=options["length"])
    shape["imagine_length"] = options["horizon"]
    names = getattr(module, "NAMES", {})
    shape = {names.get(key, key): value for key, value in shape.items()}
    try:
        config = module.Config(**(sizes[options["size"]] | shape | agent_options))
    except TypeError as error:
        raise UserError(str(error)) from None
    image = options["observation"] == "image"
    space = SimpleNamespace(shape=(3, 64, 64) if image else (24,))
    torch.manual_seed(0)
    agent = module.Agent(
        {options["observation"]: space}, SimpleNamespace(shape=(6,)), config, options["device"]
    )
    random = np.random.default_rng(0)
    size = (options["batch"], options["length"])
    batch = {
        "action": random.uniform(-1, 1, (*size, 6)).astype(np.float32),
        "reward": random.normal(size=size).astype(np.float32),
        "is_first": random.random(size) < 0.02,
        "is_last": random.random(size) < 0.02,
        "is_terminal": random.random(size) < 0.01,
    }
    if image:
        batch["image"] = random.integers(0, 256, (*size, *space.shape), dtype=np.uint8)
    else:
        batch["vector"] = random.normal(size=(*size, 24)).astype(np.float32)
    for name, (latent, dtype) in getattr(agent, "latent_space", {}).items():
        batch[name] = np.zeros((size[0], *latent), dtype)
    return agent, batch


def plain_flops(agent, batch: dict, options: dict, agent_options: dict) -> int:
    """Operations of one update of the plain code: the published number, or counted now."""
    from torch.utils.flop_counter import FlopCounterMode

    keys = ("agent", "size", "observation", "batch", "length", "horizon")
    case = " ".join(f"{key}={options[key]}" for key in keys)
    case = " ".join([case, *(f"agent.{k}={v}" for k, v in sorted(agent_options.items()))])
    known = json.loads(FLOPS_FILE.read_text(encoding="utf-8"))
    if case in known:
        return known[case]
    with FlopCounterMode(display=False) as counter:
        agent.train_step(batch)
    return counter.get_total_flops()


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def peak_flops(device: str, repeats: int = 10) -> float:
    """Operations per second of the best of some fp32 matrix products."""
    n = 1024 if device == "cpu" else 8192
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)
    best = float("inf")
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        a @ b
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def peak_memory(device: str) -> float:
    """MiB: allocated on the GPU, or the process's largest resident size, so far."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def saved_memory(agent, batch: dict) -> float:
    """MiB that one update keeps for its backward pass: every block of memory once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in agent.parameters}
    blocks = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in own:
            blocks[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        agent.train_step(batch)
    return sum(blocks.values()) / 2**20


def live_memory(agent, batch: dict) -> float:
    """MiB of tensors that are alive at once during an update, at most, beyond those before it."""
    if agent.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        agent.train_step(batch)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        agent.train_step(batch)
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(accumulate(sizes)) / 2**20


def time_acting(agent, batch: dict, environments: int = 16, repeats: int = 400) -> float:
    """Median seconds of a policy step: observations in, actions and latents for the replay out."""
    random = np.random.default_rng(1)
    obs = {"is_first": np.zeros(environments, bool)}
    for key in {"image", "vector"} & set(batch):
        obs[key] = random.choice(batch[key].reshape(-1, *batch[key].shape[2:]), environments)
    state, times = agent.initial_state(environments), []
    for _ in range(repeats):
        start = time.perf_counter()
        actions, state = agent.act(obs, state)
        latents = agent.latents(state) if getattr(agent, "latent_space", None) else {}
        _ = actions.cpu().numpy(), [x.cpu().numpy() for x in latents.values()]
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def measure(arguments: list[str]) -> int:
    """The command: time a case and print one JSON line."""
    print(json.dumps(run_case(*parse(arguments))))
    return 0


def run_case(options: dict, agent_options: dict) -> dict:
    """Time a case: the options and what was measured."""
    device = options["device"]
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no GPU here")
    torch.set_num_threads(options["threads"])
    agent, batch = build(options, agent_options)
    keep_memory()
    flops = plain_flops(agent, batch, options, agent_options)
    accelerate(agent, options["precision"], options["compile"] == "true")
    agent.train_step(batch)  # warm-up
    memory = {}
    if options["memory"] == "true":
        memory["saved_mib"] = round(saved_memory(agent, batch), 1)
        memory["update_mib"] = round(live_memory(agent, batch), 1)
    peak, times = peak_flops(device), []
    for _ in range(options["repeats"]):
        synchronize(device)
        start = time.perf_counter()
        agent.train_step(batch)
        synchronize(device)
        times.append(time.perf_counter() - start)
    peak = max(peak, peak_flops(device))
    median = statistics.median(times)
    return options | agent_options | {
        "parameters": sum(p.numel() for p in agent.parameters),
        "median_ms": round(1e3 * median, 2),
        "min_ms": round(1e3 * min(times), 2),
        "max_ms": round(1e3 * max(times), 2),
        "plain_flops": flops,
        "peak_flops": round(peak),
        "floor_ratio": round(median / (flops / peak), 3),
        "act_ms": round(1e3 * time_acting(agent, batch), 2),
        "peak_memory_mib": round(peak_memory(device), 1),
        "torch": torch.__version__,
    } | memory  # fmt: skip


if __name__ == "__main__":
    command(measure)()
