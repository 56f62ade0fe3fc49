"""Correct answers, written differently: explicit loops and elementary operations."""

import torch


def rows_of(tensor, latents, classes):
    # EXERCISE 4.12: K rows belong to each categorical
    pieces = []
    for i in latents.tolist():
        for k in range(classes):
            pieces.append(tensor[i * classes + k])
    return torch.stack(pieces)
    # END 4.12


def widened(weight, inputs):
    # EXERCISE 4.13: new columns of zeros after the old ones
    units, before = weight.shape
    wide = torch.zeros(units, before + inputs, dtype=weight.dtype, device=weight.device)
    for u in range(units):
        for i in range(before):
            wide[u, i] = weight[u, i]
    return wide
    # END 4.13


def convert_rssm(rssm, order, n_top, classes):
    top, bottom = order[:n_top], order[n_top:]
    found = {
        "delta.h_in.weight": rssm["post_h.weight"],
        "delta.h_in.bias": rssm["post_h.bias"],
        "delta.out.0.weight": rssm["post_out.0.weight"],
        "gate": torch.zeros(()),
        "delta.top_in.weight": torch.zeros(len(rssm["post_h.weight"]), n_top * classes),
    }

    # EXERCISE 4.14: each level's embedding layer, prior and posterior (needs 4.12 4.13)
    def pick(name, numbers):
        return torch.cat([rssm[name][i * classes : (i + 1) * classes] for i in numbers.tolist()])

    for i in (0, 1, 2, 3):
        for kind in ("weight", "bias"):
            if f"prior_mlp.{i}.{kind}" in rssm:
                found[f"bottom_prior_mlp.{i}.{kind}"] = rssm[f"prior_mlp.{i}.{kind}"]
    old = rssm["prior_mlp.0.weight"]
    wide = torch.zeros(old.shape[0], old.shape[1] + n_top * classes, dtype=old.dtype)
    wide[:, : old.shape[1]] = old
    found["bottom_prior_mlp.0.weight"] = wide
    found["prior_mlp.4.weight"] = pick("prior_mlp.4.weight", top)
    found["prior_mlp.4.bias"] = pick("prior_mlp.4.bias", top)
    found["bottom_prior_mlp.4.weight"] = pick("prior_mlp.4.weight", bottom)
    found["bottom_prior_mlp.4.bias"] = pick("prior_mlp.4.bias", bottom)
    found["post_out.1.weight"] = pick("post_out.1.weight", top)
    found["post_out.1.bias"] = pick("post_out.1.bias", top)
    found["delta.out.1.weight"] = pick("post_out.1.weight", bottom)
    found["delta.out.1.bias"] = pick("post_out.1.bias", bottom)
    units, embed = rssm["post_embed.weight"].shape
    both = torch.zeros(2 * units, embed, dtype=rssm["post_embed.weight"].dtype)
    both[:units] = rssm["post_embed.weight"]
    both[units:] = rssm["post_embed.weight"]
    found["post_embed.weight"] = both
    # END 4.14
    return found
