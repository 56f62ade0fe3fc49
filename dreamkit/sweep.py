"""dreamer-train --multirun: many runs from one command, on this machine or on a cluster.

Every value may be a list in Hydra's syntax (`seed=range(5)`, `agent.lr=1e-3,3e-4`); every
combination is a run of its own, a process of its own, in a folder of its own. The same command
again continues what was interrupted.
"""

import re
import subprocess
import sys
from itertools import product
from pathlib import Path

from dreamkit import UserError, first_line
from dreamkit.config import resolve, value_of

OWN = {"sweep": "", "launcher": "joblib", "jobs": "1", "run": "runs/sweep"}
TRAIN = [sys.executable, "-c", "from dreamkit.cli import train; train()"]
SWEEPS = Path(__file__).parent / "config" / "sweep"


def expand(overrides: list[str]) -> tuple[list[str], list[list[str]]]:
    """Overrides → those that all runs share, and the combinations of those with several values.

    errors   UserError: not Hydra's syntax, or an interval, which has no end of values
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser, shared, lists = OverridesParser.create(), [], []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException as error:
            raise UserError(f"{text!r}: {first_line(error)}") from None
        if not override.is_sweep_override():
            shared.append(text)
        elif override.is_discrete_sweep():
            key = override.get_key_element()
            lists.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise UserError(f"{text}: an interval has no list of values; use choice or range")
    return shared, [list(combination) for combination in product(*lists)]


def named(name: str) -> list[str]:
    """The overrides of config/sweep/NAME.yaml."""
    import yaml

    path = SWEEPS / f"{name}.yaml"
    if not path.exists():
        known = ", ".join(sorted(x.stem for x in SWEEPS.glob("*.yaml")))
        raise UserError(f"unknown sweep {name!r}: one of {known}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [f"{key}={value}" for key, value in content.items()]


def multirun(arguments: list[str]) -> int:
    """The command: start all runs, wait, and say what became of them."""
    own = {key: value_of(arguments, key, default) for key, default in OWN.items()}
    limits = {}  # launcher.KEY=VALUE: what a cluster gives a job
    for item in arguments:
        if item.startswith("launcher."):
            key, _, value = item.removeprefix("launcher.").partition("=")
            limits[key] = int(value) if value.isdigit() else value
    given = [item for item in arguments if item.split("=")[0].split(".")[0] not in OWN]
    keys = {item.split("=")[0] for item in given}
    extra = named(own["sweep"]) if own["sweep"] else []
    shared, combinations = expand([x for x in extra if x.split("=")[0] not in keys] + given)
    root = Path(own["run"])
    runs = [
        [*shared, *chosen, f"run={root / (folder_name(chosen) or 'run')}"]
        for chosen in combinations
    ]
    for run in runs:
        resolve(run)  # a mistake is found before the first run begins
    if own["launcher"] not in LAUNCHERS or not own["jobs"].isdigit() or own["jobs"] == "0":
        raise UserError(f"launcher is one of {', '.join(LAUNCHERS)}; jobs is a number from 1 on")
    root.mkdir(parents=True, exist_ok=True)
    print(f"{len(runs)} runs in {root}, {own['jobs']} at a time, by {own['launcher']}", flush=True)
    codes = LAUNCHERS[own["launcher"]](runs, root, int(own["jobs"]), limits)
    failed = [run for run, code in zip(runs, codes, strict=True) if code]
    for run in failed:
        print(f"failed: {run[-1]}; its last words are in output.txt there")
    print(f"{len(runs) - len(failed)} of {len(runs)} runs are done. Compare them:")
    print(f'dreamer-compare "{root}/*"')
    return 1 if failed else 0


def folder_name(chosen: list[str]) -> str:
    """agent.lr=0.001, seed=0 → lr-0.001_seed-0"""
    short = [re.sub(r"^(agent|task)\.", "", item) for item in chosen]
    return re.sub(r"[^\w.+-]", "-", "_".join(short))


def run_one(arguments: list[str]) -> int:
    """One run in a process of its own; what it prints is added to output.txt. Its exit code."""
    folder = Path(arguments[-1].removeprefix("run="))
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "output.txt", "a", encoding="utf-8") as file:
        code = subprocess.run([*TRAIN, *arguments], stdout=file, stderr=file).returncode
    print(f"{'done' if code == 0 else f'exit code {code}'}: {folder}", flush=True)
    return code


def with_joblib(runs: list, root: Path, jobs: int, limits: dict) -> list[int]:
    """On this machine, `jobs` at a time."""
    from joblib import Parallel, delayed

    return Parallel(n_jobs=jobs, prefer="threads")(delayed(run_one)(run) for run in runs)


def with_submitit(runs: list, root: Path, jobs: int, limits: dict) -> list[int]:
    """On a Slurm cluster, as one array of jobs; where there is no Slurm, as local processes.

    limits   of a job, named as submitit names them: timeout_min, gpus_per_node, slurm_partition, …
    """
    try:
        import submitit
    except ImportError:
        raise UserError('launcher=submitit needs its library: pip install -e ".[slurm]"') from None
    executor = submitit.AutoExecutor(folder=root / ".submitit", cluster=limits.pop("cluster", None))
    try:
        executor.update_parameters(**{"timeout_min": 60} | limits)
    except (NameError, TypeError, ValueError) as error:
        raise UserError(f"submitit: {error}") from None
    codes = []
    for start in range(0, len(runs), jobs) if executor.cluster == "local" else [0]:
        batch = runs[start : start + jobs] if executor.cluster == "local" else runs
        if executor.cluster == "slurm":
            executor.update_parameters(slurm_array_parallelism=jobs)
        codes += [job.result() for job in executor.map_array(run_one, batch)]
    return codes


LAUNCHERS = {"joblib": with_joblib, "submitit": with_submitit}
