"""One agent trained by several processes, on the GPUs of one or more hosts.

    torchrun --nproc-per-node 4 -m dreamkit.optimize task=… run=…      the same as dreamer-train

Every process (a rank) has environments, a replay and its share of each batch of its own. The
gradients of all are averaged before a step, so all agents stay equal. Rank 0 evaluates, logs and
saves. Whoever waits for a rank that is gone ends when torchrun ends it.
"""

import os
import sys

import torch
import torch.distributed as dist

from dreamkit import UserError


class Ranks:
    """The processes of one run; one alone asks nobody."""

    def __init__(self, rank: int = 0, count: int = 1, local: int = 0):
        self.rank, self.count, self.local = rank, count, local

    @classmethod
    def meet(cls) -> "Ranks":
        """The processes that torchrun started; this one alone, if it was not torchrun."""
        names = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
        rank, count, local = (int(os.environ.get(key, value)) for key, value in names.items())
        if count > 1:  # decisions by way of the CPU, gradients where they are
            nccl = torch.cuda.is_available()
            dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo")
        return cls(rank, count, local)

    def device_of(self, device: str) -> str:
        """Every process of a host has a GPU of its own."""
        return f"cuda:{self.local}" if self.count > 1 and device == "cuda" else device

    def named(self, name: str) -> str:
        """replay → rank1-replay, for all but rank 0"""
        return f"rank{self.rank}-{name}" if self.rank else name

    def share(self, what: str, total: int) -> int:
        """This rank's part of a whole. Errors: UserError, where it cannot be divided."""
        if total % self.count:
            raise UserError(f"{what}={total} cannot be divided among {self.count} processes")
        return total // self.count

    def from_first(self, value):
        """What rank 0 has."""
        values = [value]
        if self.count > 1:
            dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def any(self, text: str) -> str:
        """The first text that is not empty, of whatever rank: all go on, or none does."""
        texts = [text]
        if self.count > 1:
            texts = [""] * self.count
            dist.all_gather_object(texts, text)
        return next((x for x in texts if x), "")

    def least(self, number: int) -> int:
        """The least number of all ranks."""
        if self.count == 1:
            return number
        numbers = [0] * self.count
        dist.all_gather_object(numbers, number)
        return min(numbers)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def join(self, agent) -> None:
        """Make the agents of all ranks one: equal parameters, averaged gradients, common returns.

        A gradient is averaged as soon as autograd has finished it, so no agent has to know.
        """
        if self.count == 1:
            return
        for tensor in agent.modules.state_dict().values():
            dist.broadcast(tensor, src=0)
        for parameter in agent.parameters:
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._average)
        if hasattr(agent, "normalizer"):
            update = agent.normalizer.update
            agent.normalizer.update = lambda returns: update(self._together(returns))

    def _average(self, parameter: torch.Tensor) -> None:
        dist.all_reduce(parameter.grad)
        parameter.grad /= self.count

    def _together(self, x: torch.Tensor) -> torch.Tensor:
        """The rows of all ranks."""
        parts = [torch.empty_like(x) for _ in range(self.count)]
        dist.all_gather(parts, x.detach().contiguous())
        return torch.cat(parts)


if __name__ == "__main__":
    from dreamkit.cli import train

    sys.argv[0] = "dreamer-train"
    train()
