"""How the cost of one update grows with batch, sequence length, horizon and size.

    python -m benchmarks.scaling [sizes=tiny,standard,1M,12M] [out=docs/results]
                                 [key=value for benchmarks.update ...]

Starts at the standard case of `benchmarks.update` and changes one thing at a time, each case in a
process of its own. Prints a table, and writes OUT/scaling.json and OUT/scaling.png.
"""

import json
import subprocess
import sys
from pathlib import Path

from dreamkit import UserError
from dreamkit.cli import command

GRID = {
    "batch": (4, 8, 16, 32, 64),
    "length": (8, 16, 32, 64, 128),
    "horizon": (1, 5, 15, 30),
}


def run(arguments: list[str]) -> dict:
    """One case, in a process of its own, so that its memory is its own."""
    line = [sys.executable, "-m", "benchmarks.update", *arguments]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().removeprefix("error: ") or f"{' '.join(line)} failed")
    return json.loads(done.stdout)


def cases(sizes: list[str]) -> list[tuple[str, object]]:
    """(what is changed, its value), the standard case among them."""
    grid = [(key, value) for key, values in GRID.items() for value in values]
    return grid + [("size", size) for size in sizes]


def plot(path: Path, title: str, rows: list[dict]) -> None:
    """Milliseconds of an update over each thing that was changed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    keys = [*GRID, "size"]
    figure, axes = plt.subplots(1, len(keys), figsize=(3.2 * len(keys), 3.4), sharey=True)
    for axis, key in zip(axes, keys, strict=True):
        mine = [row for row in rows if row["changed"] == key]
        column = "parameters" if key == "size" else "value"
        mine.sort(key=lambda row: row[column])
        x = [row[column] for row in mine]
        axis.loglog(x, [row["median_ms"] for row in mine], "o-", label="measured")
        floor = [1e3 * row["plain_flops"] / row["peak_flops"] for row in mine]
        axis.loglog(x, floor, ":", color="0.4", label="matrix products alone")
        axis.set_xticks(x, [str(row["value"]) for row in mine], rotation=45 * (key == "size"))
        axis.minorticks_off()
        axis.set_xlabel(f"{key}, by parameters" if key == "size" else key)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("ms of one update")
    axes[0].legend(fontsize=7)
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def measure(arguments: list[str]) -> int:
    """The command."""
    options = dict(sizes="tiny,standard,1M,12M", out="docs/results")
    extra = []
    for item in arguments:
        key, _, value = item.partition("=")
        if key in options:
            options[key] = value
        else:
            extra.append(item)
    rows = []
    print(f"{'':14} {'ms':>9} {'µs a row':>9} {'÷ floor':>8} {'MiB':>7}")
    for changed, value in cases(options["sizes"].split(",")):
        row = run([*extra, f"{changed}={value}"]) | {"changed": changed, "value": value}
        rows.append(row)
        each = 1e3 * row["median_ms"] / (row["batch"] * row["length"])
        print(
            f"{changed}={value:<{13 - len(changed)}} {row['median_ms']:9,.1f} {each:9,.1f} "
            f"{row['floor_ratio']:8.2f} {row['peak_memory_mib']:7,.0f}",
            flush=True,
        )
    out = Path(options["out"])
    out.mkdir(parents=True, exist_ok=True)
    said = [item for item in arguments if not item.startswith("out=")]
    line = " ".join(["python -m benchmarks.scaling", *said])
    content = json.dumps({"command": line, "cases": rows}, indent=1)
    (out / "scaling.json").write_text(content + "\n", encoding="utf-8")
    plot(out / "scaling.png", f"{rows[0]['agent']}, one update", rows)
    return 0


if __name__ == "__main__":
    command(measure)()
