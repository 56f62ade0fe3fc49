"""Command-line overrides → the complete configuration of a run, with Hydra.

The YAML files beside this one hold the tasks, as they are for every agent. Defaults live in
dataclasses: RunConfig of the trainer, Config of the agent. The agent's module also says what its
SIZES are, and in TASKS what a size needs on a task.
"""

from pathlib import Path

from dreamkit import UserError

SUITES = ("dmc", "dmc_pixels", "atari", "vizdoom")
# Agent options of preset=debug. An agent that has other names for them says so in NAMES.
DEBUG = dict(batch_size=4, batch_length=16, imagine_length=5)


def task_names() -> list[str]:
    return sorted(p.stem for p in (Path(__file__).parent / "task").glob("*.yaml"))


def value_of(overrides: list[str], key: str, default: str) -> str:
    """The value that the last `key=value` gives."""
    values = [item.split("=", 1)[1] for item in overrides if item.split("=", 1)[0] == key]
    return values[-1] if values else default


def expand_task(overrides: list[str]) -> list[str]:
    """task=SOME/Gymnasium-id → task=gymnasium task.name=SOME/Gymnasium-id; suites likewise."""
    result = []
    for item in overrides:
        key, value = item.split("=", 1)
        suite = value.split("_")[0]
        if key == "task" and suite in SUITES and "_" in value:
            pixels = "_pixels" if suite == "dmc" and value.endswith("_pixels") else ""
            result += [f"task={suite}{pixels}", f"task.name={value}"]
            continue
        if key == "task" and value not in task_names():
            import gymnasium

            if value.startswith("ALE/") or ":" in value or value in gymnasium.registry:
                result += ["task=gymnasium", f"task.name={value}"]
                continue
            known = ", ".join(task_names())
            raise UserError(
                f"unknown task {value!r}: use one of {known}, a Gymnasium id, or module:id"
            )
        result.append(item)
    return result


def resolve(overrides: list[str]) -> dict:
    """Command-line overrides → the complete configuration of a run, as a plain dictionary.

    errors   UserError: unknown names or options, values of the wrong type
    """
    from hydra import compose, initialize_config_module
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from dreamkit import agents
    from dreamkit.trainer import RunConfig

    for item in overrides:
        if not item.partition("=")[0] or "=" not in item:
            raise UserError(f"{item!r} is not of the form key=value; see --help")
    overrides = expand_task(overrides)
    code = value_of(overrides, "code", "solutions")
    overrides = [item for item in overrides if not item.startswith("code=")]
    name = value_of(overrides, "agent", "dreamerv3")
    module = agents.load(name, code)
    size = value_of(overrides, "size", "tiny")
    if size not in module.SIZES:
        raise UserError(f"unknown size {size!r}: {name} has {', '.join(module.SIZES)}")
    store = ConfigStore.instance()
    store.store(name="run", node=RunConfig)
    store.store(group="agent", name=name, node=OmegaConf.structured(module.Config))
    for key, options in module.SIZES.items():
        store.store(group="size", name=key, node={"agent": options}, package="_global_")
    tuned = getattr(module, "TASKS", {}).get(size, {})
    for task in task_names():
        store.store(group="tuned", name=task, node=tuned.get(task, {}), package="_global_")
    names = getattr(module, "NAMES", {})
    small = {"agent": {names.get(key, key): value for key, value in DEBUG.items()}}
    for preset, node in (("none", {}), ("debug", small)):
        store.store(group="small", name=preset, node=node, package="_global_")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("dreamkit.config", version_base=None):
            cfg = compose("config", overrides=overrides)
        cfg = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error)) from None
    check(cfg, module)
    return cfg | {"agent_name": name, "size": size, "code": code}


def check(cfg: dict, module) -> None:
    """Values that have the right type and make no sense all the same."""
    if cfg["mode"] not in ("train", "bootstrap", "dreamer"):
        raise UserError(f"mode={cfg['mode']}: one of train, bootstrap, dreamer")
    if cfg["collect"] not in ("inline", "process") or cfg["collect_ahead"] < 0:
        raise UserError("collect is inline or process; collect_ahead is not negative")
    if cfg["mode"] == "dreamer" and not cfg["checkpoint"]:
        raise UserError("mode=dreamer needs a world model: checkpoint=RUN of a mode=bootstrap, say")
    for key in ("steps", "envs", "train_ratio", "eval_episodes", "replay_rows"):
        if cfg[key] <= 0:
            raise UserError(f"{key}={cfg[key]} must be positive")
    counts = ("seed", "threads", "prefill", "pretrain", "log_every", "eval_every", "save_every")
    counts += ("env_timeout", "model_first")
    for key in counts:
        if cfg[key] < 0:
            raise UserError(f"{key}={cfg[key]} must not be negative")
    try:
        module.Config(**cfg["agent"])
    except ValueError as error:
        raise UserError(f"agent options: {error}") from None


def explain(error: Exception) -> str:
    """Hydra's message, in one line that says what to do."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__ or "").splitlines()
    if "Could not override" in lines[0]:
        key = lines[0].split("'")[1]
        detail = f": {cause[0]}" if cause and "is not in" not in cause[0] else ""
        return f"unknown option {key!r}{detail}; dreamer-train --info lists all"
    if "Missing mandatory value" in lines[0]:
        return f"a value is missing: {lines[0].rsplit(': ')[-1]}=...; see dreamer-train --help"
    where = [x.split(":")[1] for x in lines + cause if x.strip().startswith("full_key:")]
    key = f"{where[0].strip()}: " if where else ""
    return f"{key}{cause[0] if cause else lines[0]}; see dreamer-train --info"


def info() -> int:
    """Agents, sizes, tasks and options, as they are in this code."""
    from dataclasses import MISSING, fields

    from dreamkit import agents
    from dreamkit.trainer import RunConfig

    for name in agents.names():
        module = agents.load(name)
        print(f"agent={name}")
        for size, options in module.SIZES.items():
            count = parameter_count(module, options)
            print(f"  size={size:<6} {count:>13,} parameters with 64×64×3 images and 18 actions")
        for option in fields(module.Config):
            print(f"  agent.{option.name}={option.default}")
    own = [name for name in task_names() if name not in (*SUITES, "gymnasium")]
    print("tasks: " + ", ".join(own) + "; or any Gymnasium id, such as task=Acrobot-v1")
    print("suites: task=dmc_walker_walk, dmc_walker_walk_pixels, atari_pong, vizdoom_basic, …")
    for name, options in task_options().items():
        print(f"  {name}: " + ", ".join(f"task.{k}={v}".lower() for k, v in options.items()))
    print("training:")
    for option in fields(RunConfig):
        if option.name not in ("agent", "task"):
            value = [] if option.default is MISSING else option.default
            print(f"  {option.name}={value}")
    return 0


def task_options() -> dict[str, dict]:
    """{task or suite: {option: its value}}, where there are any."""
    from omegaconf import OmegaConf

    folder = Path(__file__).parent / "task"
    found = {}
    for name in task_names():
        options = OmegaConf.to_container(OmegaConf.load(folder / f"{name}.yaml"))["task"]
        found[name] = {key: value for key, value in options.items() if key != "name"}
    return {name: options for name, options in found.items() if options}


def parameter_count(module, options: dict) -> int:
    """Trained parameters of a size, without allocating them."""
    from types import SimpleNamespace as Space

    import torch

    image = {"image": Space(shape=(3, 64, 64))}
    with torch.device("meta"):
        try:
            agent = module.Agent(image, Space(n=18), module.Config(**options), "meta")
        except ValueError:  # it takes continuous actions alone
            agent = module.Agent(image, Space(shape=(18,)), module.Config(**options), "meta")
    return sum(parameter.numel() for parameter in agent.parameters)


# --- the file of a run ---------------------------------------------------------------------------

FIXED = ("agent_name", "size", "code", "agent", "task", "seed", "envs")


def saved_overrides(folder: Path) -> list[str]:
    """The overrides that a run was started with; none for a new folder."""
    import yaml

    path = folder / "config.yaml"
    if not path.exists():
        return []
    try:
        return list(yaml.safe_load(path.read_text(encoding="utf-8"))["overrides"])
    except (yaml.YAMLError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: restore it, or take another run folder") from None


def write_config(folder: Path, cfg: dict, overrides: list[str]) -> None:
    """Save the resolved configuration; refuse to change what a run cannot change."""
    import yaml

    from dreamkit.checkpoint import write_whole

    path = folder / "config.yaml"
    if path.exists() and (folder / "checkpoints" / "latest.pt").exists():
        old = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in FIXED:
            if old["config"][key] != cfg[key]:
                was, now = old["config"][key], cfg[key]
                if isinstance(was, dict):
                    names = sorted(k for k in was | now if was.get(k) != now.get(k))
                    key, was, now = f"{key}.{names[0]}", was.get(names[0]), now.get(names[0])
                raise UserError(
                    f"{folder} was started with {key}={was}, not {now}: a run keeps its agent, "
                    "size, task, seed and envs. Take another run folder, or drop the option"
                )
    text = yaml.safe_dump({"overrides": overrides, "config": cfg}, sort_keys=False)
    write_whole(path, lambda file: file.write(text.encode()))
