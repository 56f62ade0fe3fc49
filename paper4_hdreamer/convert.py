"""A trained DreamerV3 as an hDreamer: the same predictions, its latents dealt out to two levels.

    python -m solutions.paper4_hdreamer.convert checkpoint=runs/flat out=runs/converted.pt
                                [n_top=4] [assign=first|slow] [size=tiny_hdreamer] [partial=false]
    dreamer-train agent=hdreamer checkpoint=runs/flat ...      converts by itself

n_top     categoricals of the top level; none given: a third
assign    first: categoricals 0 to n_top - 1 become the top level. slow: those that change their
          class least often do. The flat model's categoricals are exchangeable: each choice is valid
size      the sizes wanted; none given: those of the flat agent
partial   where sizes differ, take the tensors whose name and shape fit, and say what was left out

Exact, because what a level newly sees begins with weights of 0, and the gate of the residual too.
What a conversion cannot keep: the optimiser's averages (train on with a warm-up), and random
numbers, which two levels draw one after the other.

Letters: S categoricals, K classes, H deterministic units, U hidden units.
"""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

SIZES = (
    "deter", "hidden", "stoch", "classes", "blocks", "depth", "units", "layers", "head_layers",
    "bins", "bin_limit", "strided",
)  # fmt: skip
# Layers that see z: their last S · K columns are one-hot latents.
SEE_Z = (
    "world_model.rssm.z_in.0.weight", "world_model.decoder.from_z.0.weight",
    "world_model.decoder.mlp.0.weight", "world_model.reward.mlp.0.weight",
    "world_model.continues.0.weight", "actor.mlp.0.weight", "critic.mlp.0.weight",
    "slow_critic.mlp.0.weight",
)  # fmt: skip


def rows_of(tensor: Tensor, latents: Tensor, classes: int) -> Tensor:
    """An output layer's rows for some categoricals only, in the order of `latents`.

    tensor    (S · K, ...)   weight or bias of a layer that makes logits
    latents   (n,)           numbers of categoricals, in any order, such as [3, 0]
    classes   K              rows i · K to i · K + K - 1 are those of categorical i
    return    (n · K, ...)   all K rows of the first in `latents`, then all of the second, ...
    """
    # EXERCISE 4.12: K rows belong to each categorical
    # TODO: your code here (the reference takes 1 line)
    raise NotImplementedError("exercise 4.12")
    # END 4.12


def widened(weight: Tensor, inputs: int) -> Tensor:
    """A first layer that sees `inputs` more numbers, and does not listen to them yet.

    weight   (U, H)
    inputs   how many more
    return   (U, H + inputs)   the same function of the first H, whatever the others are; of the
                               same type and on the same device
    """
    # EXERCISE 4.13: new columns of zeros after the old ones
    # TODO: your code here (the reference takes 1 line)
    raise NotImplementedError("exercise 4.13")
    # END 4.13


def convert_rssm(rssm: dict[str, Tensor], order: Tensor, n_top: int, classes: int) -> dict:
    """Prior and posterior of one level → those of two.

    rssm     the flat RSSM's tensors by their names
    order    (S,)   the flat categorical that becomes number i; the first n_top are the top level
    return   the tensors that are new or different, by their names in HierarchicalRSSM

    flat                                         becomes
    prior_mlp, all but its output 4              prior_mlp and bottom_prior_mlp; the first layer of
                                                 the latter sees z_top too, with weights of 0
    prior_mlp.4 (weight, bias)                   its rows of each level: prior_mlp.4,
                                                 bottom_prior_mlp.4
    post_h, post_out.0                           stay, for the top posterior; delta.h_in and
                                                 delta.out.0 are the same
    post_embed                                   stands twice, one below the other: the upper half
                                                 is the top posterior's, the lower the delta's
    post_out.1 (weight, bias)                    its rows of each level: post_out.1, delta.out.1
    new                                          delta.top_in.weight and the gate, both 0

    `found` begins with what is 0 or a mere copy of the posterior: the hole adds all else. The
    tensors of `rssm` are not changed.
    """
    top, bottom = order[:n_top], order[n_top:]
    found = {
        "delta.h_in.weight": rssm["post_h.weight"], "delta.h_in.bias": rssm["post_h.bias"],
        "delta.out.0.weight": rssm["post_out.0.weight"], "gate": torch.zeros(()),
        "delta.top_in.weight": torch.zeros(len(rssm["post_h.weight"]), n_top * classes),
    }  # fmt: skip
    # EXERCISE 4.14: each level's embedding layer, prior and posterior (needs 4.12 4.13)
    # TODO: your code here (the reference takes 11 lines)
    raise NotImplementedError("exercise 4.14")
    # END 4.14
    return found


def reordered(weight: Tensor, order: Tensor, classes: int) -> Tensor:
    """A layer that sees z last, for categoricals in another order. (U, ... + S · K) → the same"""
    before = weight.shape[1] - len(order) * classes
    z = weight[:, before:].unflatten(1, (-1, classes))[:, order].flatten(1)
    return torch.cat([weight[:, :before], z], 1)


def convert(
    modules: dict[str, Tensor], options: dict, config, order: Tensor | None = None
) -> dict[str, Tensor]:
    """All tensors of a flat agent as those of an hDreamer.

    modules   the flat agent's modules by name
    options   of its Config
    config    of the hDreamer, whose sizes must be the same
    order     (S,)   see `convert_rssm`; none: as they are
    errors    ValueError, where sizes differ
    """
    mine = asdict(config)
    differ = [
        f"{key}={options[key]}, not {mine[key]}" for key in SIZES if options[key] != mine[key]
    ]
    if differ:
        raise ValueError(f"the flat agent has {', '.join(differ)}: sizes must be equal")
    n_top, classes = config.n_top, config.classes
    order = torch.arange(config.stoch) if order is None else order
    found = {
        name: reordered(x, order.to(x.device), classes) if name in SEE_Z else x
        for name, x in modules.items()
    }
    prefix = "world_model.rssm."
    rssm = {key.removeprefix(prefix): x for key, x in found.items() if key.startswith(prefix)}
    if n_top:
        new = convert_rssm(rssm, order, n_top, classes)
        found |= {prefix + name: x.clone() for name, x in new.items()}
    return found


def fitting(modules: dict[str, Tensor], fresh: dict[str, Tensor]) -> tuple[dict, list[str]]:
    """A partial load: tensors whose name and shape fit, in the midst of fresh ones; what does not.

    return   all tensors of the fresh agent; names of those that stayed fresh
    """
    fits = {k: x for k, x in modules.items() if k in fresh and x.shape == fresh[k].shape}
    return fresh | fits, sorted(set(fresh) - set(fits))


# --- the command ----------------------------------------------------------------------------------


def slow_first(agent, make_env, seed: int = 0) -> Tensor:
    """The flat agent's categoricals, those first that change their class least often. (S,)"""
    from dreamkit import latents

    rates = []
    for episode in latents.observe(agent, make_env, seed):
        code = torch.from_numpy(episode["probs"]).argmax(-1)  # (T, S)
        rates.append((code[1:] != code[:-1]).double().mean(0))
    return torch.stack(rates).mean(0).argsort(stable=True)


def options_of(arguments: list[str]) -> dict[str, str]:
    """Errors: UserError, where an option is unknown, missing or makes no sense."""
    from dreamkit import UserError

    given = dict(
        checkpoint="", out="", n_top="", assign="first", size="", partial="false", code="solutions"
    )
    for item in arguments:
        key, mark, value = item.partition("=")
        if key not in given or not mark:
            raise UserError(f"unknown option {item!r}: one of {', '.join(given)}, as KEY=VALUE")
        given[key] = value
    if not given["checkpoint"] or not given["out"]:
        raise UserError("name a flat agent and a new file: checkpoint=RUN out=FILE")
    if given["assign"] not in ("first", "slow") or given["partial"] not in ("true", "false"):
        raise UserError("assign is first or slow, partial is true or false")
    if given["n_top"] and not given["n_top"].isdecimal():
        raise UserError(f"n_top={given['n_top']} is not a number of categoricals")
    return given


def command(arguments: list[str]) -> int:
    """Convert a checkpoint: see the head of this file."""
    from dreamkit import UserError, agents, checkpoint
    from dreamkit.envs import make

    given = options_of(arguments)
    state = checkpoint.read(given["checkpoint"])
    head, options = state["header"], state["header"]["agent"]
    if head["agent_name"] != "dreamerv3":
        raise UserError(f"{given['checkpoint']} holds {head['agent_name']}, not a flat dreamerv3")
    module = agents.load("hdreamer", given["code"])
    if given["size"] and given["size"] not in module.SIZES:
        raise UserError(f"unknown size {given['size']!r}: {', '.join(module.SIZES)}")
    wanted = options | {"n_top": options["stoch"] // 3}
    if given["size"]:  # an option that a size does not name has its default
        sizes = asdict(module.Config(**module.SIZES[given["size"]]))
        wanted |= {key: sizes[key] for key in (*SIZES, "n_top")}
    wanted |= {"n_top": int(given["n_top"])} if given["n_top"] else {}
    new_head = head | {"agent_name": "hdreamer", "code": given["code"], "agent": wanted}
    env = make(**head["task"])
    try:
        agent = checkpoint.build_agent(new_head, env)
    except ValueError as error:  # n_top is too large
        raise UserError(str(error)) from None
    modules, left = state["agent"]["modules"], []
    order = None
    if given["assign"] == "slow":
        flat = checkpoint.build_agent(head, env)
        checkpoint.restore(flat, state, given["checkpoint"])
        order = slow_first(flat, lambda: make(**head["task"]))
    try:
        modules = convert(modules, options, agent.config, order)
    except ValueError as error:
        if given["partial"] == "false":
            raise UserError(f"{error}; partial=true takes what fits") from None
        modules, left = fitting(modules, agent.modules.state_dict())
    agent.modules.load_state_dict(modules)
    keep = {key: state[key] for key in ("step", "return") if key in state}
    checkpoint.save(Path(given["out"]), {"header": new_head, "agent": agent.state_dict()} | keep)
    fits = len(modules) - len(left)
    print(f"{given['out']}: {fits} of {len(modules)} tensors from the flat agent or exact")
    for name in left:
        print(f"  left out, fresh: {name}")
    return 0


if __name__ == "__main__":
    import course

    course.run(__file__, command)
