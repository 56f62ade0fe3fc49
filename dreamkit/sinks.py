"""Optional places for a run's numbers and pictures: MLflow and TensorBoard. `log=[mlflow]`

JSON lines and the report are always written; these add to them. A run that is continued goes on in
the same MLflow run.
"""

import os
import time
from pathlib import Path

from dreamkit import UserError, first_line

PICTURES = ("*.png", "*.gif", "*.mp4")


class MLflow:
    """One run in a local MLflow database (or at MLFLOW_TRACKING_URI).

    Look at it with `mlflow ui --backend-store-uri sqlite:///runs/mlflow.db`.
    """

    def __init__(self, folder: Path, cfg: dict):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            from filelock import FileLock
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            line = f"log=[mlflow] cannot be imported: {first_line(error)}; "
            raise UserError(line + "pip install -e '.[mlflow]'") from None
        base = folder.resolve().parent
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{base / 'mlflow.db'}"
        mark = folder / "mlflow_run"
        try:
            # Two processes that make the database at the same time break it.
            with FileLock(base / ".mlflow.lock", timeout=300):
                self.client = MlflowClient(uri)
                name = f"{cfg['agent_name']}-{cfg['task']['name']}".replace("/", "-")
                found = self.client.get_experiment_by_name(name)
                place = (base / "mlflow-files").as_uri() if uri.startswith("sqlite") else None
                number = (
                    found.experiment_id if found else self.client.create_experiment(name, place)
                )
            if mark.exists():
                self.run = mark.read_text().strip()
                self.client.update_run(self.run, "RUNNING")
            else:
                self.run = self.client.create_run(number, run_name=folder.name).info.run_id
                self._options(cfg)
                mark.write_text(self.run)
        except MlflowException as error:
            raise UserError(f"MLflow at {uri}: {first_line(error)}") from None

    def _options(self, cfg: dict) -> None:
        from mlflow.entities import Param

        from dreamkit.report import flat

        options = [Param(key, str(value)[:500]) for key, value in flat(cfg).items()]
        for start in range(0, len(options), 100):
            self.client.log_batch(self.run, params=options[start : start + 100])

    def write(self, kind: str, step: int, row: dict) -> None:
        """The numbers of one row of metrics.jsonl."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        metrics = [Metric(f"{kind}/{key}", float(value), now, step) for key, value in row.items()]
        self.client.log_batch(self.run, metrics=metrics)

    def pictures(self, folder: Path) -> None:
        for path in found(folder):
            self.client.log_artifact(self.run, str(path))

    def close(self, status: str) -> None:
        """status   FINISHED, FAILED or KILLED"""
        self.client.set_terminated(self.run, status)


class TensorBoard:
    """Scalars and the report's picture in FOLDER/tensorboard: `tensorboard --logdir runs`."""

    def __init__(self, folder: Path, cfg: dict):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            line = f"log=[tensorboard] cannot be imported: {first_line(error)}; "
            raise UserError(line + "pip install -e '.[tensorboard]'") from None
        self.writer = SummaryWriter(str(folder / "tensorboard"))
        self.step = 0

    def write(self, kind: str, step: int, row: dict) -> None:
        for key, value in row.items():
            self.writer.add_scalar(f"{kind}/{key}", float(value), step)
        self.step = step

    def pictures(self, folder: Path) -> None:
        import imageio.v3 as iio

        for path in found(folder):
            if path.suffix == ".png":
                image = iio.imread(path)[..., :3]
                self.writer.add_image(path.stem, image, self.step, dataformats="HWC")

    def close(self, status: str) -> None:
        self.writer.close()


def found(folder: Path) -> list[Path]:
    """Pictures and videos that a run has made."""
    places = (folder, folder / "dreams", folder / "videos")
    return [path for place in places for kind in PICTURES for path in sorted(place.glob(kind))]


KINDS = {"mlflow": MLflow, "tensorboard": TensorBoard}


def open_sinks(names: list[str], folder: Path, cfg: dict) -> list:
    """The sinks of a run. Errors: UserError, unknown name or missing library."""
    for name in names:
        if name not in KINDS:
            raise UserError(f"log={name}: there are {', '.join(KINDS)}, such as log=[mlflow]")
    return [KINDS[name](folder, cfg) for name in names]
