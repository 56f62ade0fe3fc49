"""Known mistakes in convert.py: {exercise: [(old text, new text, what is wrong)]}."""

MISTAKES = {
    "4.12": [
        (
            "tensor.unflatten(0, (-1, classes))[latents].flatten(0, 1)",
            "tensor[latents]",
            "you take one row for each categorical, and rows of another one at that: K rows in a "
            "block belong to each",
        ),
        (
            "tensor.unflatten(0, (-1, classes))[latents].flatten(0, 1)",
            "tensor[latents * classes]",
            "you take the first row of each categorical alone: there are K of them",
        ),
        (
            "tensor.unflatten(0, (-1, classes))[latents].flatten(0, 1)",
            "tensor.unflatten(0, (classes, -1))[:, latents].flatten(0, 1)",
            "you read the rows class by class: they stand categorical by categorical, K rows in a "
            "block",
        ),
        (
            "[latents].flatten(0, 1)",
            "[latents].transpose(0, 1).flatten(0, 1)",
            "you return the rows class by class: all K rows of one categorical come first, then "
            "those of the next",
        ),
        (
            "(-1, classes)",
            "(classes, -1)",
            "you make K blocks: there is a block of K rows for each categorical",
        ),
        (
            ".flatten(0, 1)",
            "",
            "you leave categorical and class as two dimensions: the layer has one row after the "
            "other, n · K of them",
        ),
        (
            ".flatten(0, 1)",
            ".flatten()",
            "you flatten the weight's inputs as well: only categorical and class become one "
            "dimension",
        ),
        (
            "[latents]",
            "[latents.sort().values]",
            "you sort the categoricals: their order is the one that is asked for",
        ),
        (
            "[latents]",
            "[: len(latents)]",
            "you take the first n categoricals, whichever are asked for",
        ),
        (
            "[latents]",
            "[int(latents.min()) : int(latents.max()) + 1]",
            "you cut out one piece from the first to the last: those asked for need not stand "
            "together, nor in this order",
        ),
        (
            "tensor.unflatten(0, (-1, classes))[latents].flatten(0, 1)",
            "tensor.unflatten(-1, (-1, classes))[..., latents, :].flatten(-2)",
            "you pick from the last dimension, the inputs of a weight: the logits are its rows, "
            "the first dimension",
        ),
        (
            "[latents]",
            "[[i for i in range(len(tensor) // classes) if i not in latents.tolist()]]",
            "you return the categoricals that are not asked for",
        ),
    ],
    "4.13": [
        (
            "[weight, weight.new_zeros(len(weight), inputs)]",
            "[weight.new_zeros(len(weight), inputs), weight]",
            "you put the zeros in front: the new inputs come after the old ones, so do their "
            "columns",
        ),
        (
            "weight.new_zeros(len(weight), inputs)], 1)",
            "weight.new_zeros(inputs, weight.shape[1])])",
            "you add rows, which are new outputs: new inputs are columns",
        ),
        (
            ", 1)",
            ")",
            "you join along the first dimension: columns are joined along the second",
        ),
        (
            "new_zeros",
            "new_ones",
            "your new columns are ones: with weights of 0 the layer does not listen to what is new",
        ),
        (
            "weight.new_zeros(len(weight), inputs)",
            "0.01 * torch.randn(len(weight), inputs).to(weight)",
            "your new columns are small random numbers, as in a fresh layer: then the function is "
            "not exactly the same any more. They are 0",
        ),
        (
            "weight.new_zeros(len(weight), inputs)",
            "weight[:, :1].expand(-1, inputs)",
            "your new columns repeat an old one, so the layer listens to the new inputs: they are "
            "0",
        ),
        (
            "torch.cat([weight, weight.new_zeros(len(weight), inputs)], 1)",
            "torch.cat([weight, weight.new_zeros(len(weight), inputs)], 1) * (\n"
            "        weight.shape[1] / (weight.shape[1] + inputs)\n    ) ** 0.5",
            "you rescale the weights for the larger number of inputs, as an initialisation would: "
            "trained weights stay as they are",
        ),
        (
            "weight.new_zeros(len(weight), inputs)",
            "weight.new_zeros(len(weight), max(0, inputs - weight.shape[1]))",
            "you take `inputs` for the new width: it is how many columns are added",
        ),
        (
            "weight.new_zeros(len(weight), inputs)",
            "weight.new_zeros(len(weight), 1)",
            "you add one column: there is one for each new input",
        ),
        (
            "torch.cat([weight, weight.new_zeros(len(weight), inputs)], 1)",
            "torch.cat([weight[:, inputs:], weight.new_zeros(len(weight), inputs)], 1)",
            "you make room by dropping old columns: the layer gets wider",
        ),
        (
            "inputs)], 1)",
            "inputs)], 1).float()",
            "your weights become float32: they keep the type they have",
        ),
    ],
    "4.14": [
        (
            'torch.cat([rssm["post_embed.weight"]] * 2)',
            'rssm["post_embed.weight"]',
            "post_embed stands once: the product with the embedding has two halves, one for the "
            "top posterior and one for the delta",
        ),
        (
            'torch.cat([rssm["post_embed.weight"]] * 2)',
            'torch.cat([rssm["post_embed.weight"]] * 2, 1)',
            "you put post_embed side by side: it has twice the outputs, which are rows, and the "
            "same inputs",
        ),
        (
            'torch.cat([rssm["post_embed.weight"]] * 2)',
            'rssm["post_embed.weight"].repeat_interleave(2, 0)',
            "the rows of post_embed take turns: all of the top posterior's come first, then all of "
            "the delta's",
        ),
        (
            'torch.cat([rssm["post_embed.weight"]] * 2)',
            'torch.cat([rssm["post_embed.weight"], 0 * rssm["post_embed.weight"]])',
            "the delta's half of post_embed is 0, so the lower level would see no observation: it "
            "is a copy",
        ),
        (
            'torch.cat([rssm["post_embed.weight"]] * 2)',
            'torch.cat([rssm["post_embed.weight"] / 2] * 2)',
            "you halve post_embed: its two halves are not added up, each is all that one posterior "
            "sees",
        ),
        (
            "widened(found[first], n_top * classes)",
            "found[first]",
            "the bottom prior does not see z_top: its first layer gets columns for it, with "
            "weights of 0",
        ),
        (
            "widened(found[first], n_top * classes)",
            "widened(found[first], n_top)",
            "you add a column for each top categorical: it has K inputs, one for each class",
        ),
        (
            "widened(found[first], n_top * classes)",
            "widened(found[first], len(bottom) * classes)",
            "you make room for the bottom latents: what the bottom prior sees is z_top",
        ),
        (
            '"1.weight", "2.weight", "2.bias", "3.weight"',
            '"2.weight", "2.bias"',
            "you leave out the gains of the norms, 1.weight and 3.weight: they are learned too",
        ),
        (
            '("weight", "bias")',
            '("weight",)',
            "the biases of the output layers are missing: they are dealt out like the weights",
        ),
        (
            'found[f"prior_mlp.4.{kind}"] = rows_of(prior, top, classes)\n'
            '        found[f"bottom_prior_mlp.4.{kind}"] = rows_of(prior, bottom, classes)',
            'found[f"prior_mlp.4.{kind}"] = rows_of(prior, bottom, classes)\n'
            '        found[f"bottom_prior_mlp.4.{kind}"] = rows_of(prior, top, classes)',
            "the two priors have each other's rows: prior_mlp is the top level's",
        ),
        (
            'found[f"post_out.1.{kind}"] = rows_of(posterior, top, classes)\n'
            '        found[f"delta.out.1.{kind}"] = rows_of(posterior, bottom, classes)',
            'found[f"post_out.1.{kind}"] = rows_of(posterior, bottom, classes)\n'
            '        found[f"delta.out.1.{kind}"] = rows_of(posterior, top, classes)',
            "the two posteriors have each other's rows: post_out is the top level's, delta.out the "
            "bottom level's",
        ),
        (
            "rows_of(posterior, bottom, classes)",
            "rows_of(prior, bottom, classes)",
            "the delta gets rows of the prior: with the gate at 0 it is the bottom posterior, all "
            "by itself",
        ),
        (
            "rows_of(posterior, bottom, classes)",
            "rows_of(posterior - prior, bottom, classes)",
            "you take the prior's weights away from the posterior's: their hidden layers differ, "
            "and with the gate at 0 the delta is the posterior by itself",
        ),
        (
            "rows_of(posterior, bottom, classes)",
            "0 * rows_of(posterior, bottom, classes)",
            "your delta is 0, so the lower level forgets all that the posterior had learned: it "
            "takes over the rows of the posterior",
        ),
        (
            '    found["post_embed.weight"] = ',
            "    top, bottom = torch.arange(len(order)).split([n_top, len(order) - n_top])\n"
            '    found["post_embed.weight"] = ',
            "you leave `order` out: it says which flat categorical becomes number i",
        ),
        (
            '    found["post_embed.weight"] = ',
            "    top, bottom = order.argsort()[:n_top], order.argsort()[n_top:]\n"
            '    found["post_embed.weight"] = ',
            "you read `order` the wrong way round: order[i] is the flat categorical that becomes "
            "number i",
        ),
        (
            '    found["post_embed.weight"] = ',
            '    found["gate"] = torch.ones(())\n    found["post_embed.weight"] = ',
            "you open the gate: the prior would be added to a posterior that is complete already. "
            "It begins at 0",
        ),
        (
            "found[first] = widened(",
            'rssm["prior_mlp.0.weight"] = found[first] = widened(',
            "you change the flat model's tensors: they belong to the caller",
        ),
    ],
}
