"""One thread, a fixed seed, and randomness that can be replaced."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def draws(monkeypatch):
    """draws(u, n): from now on every uniform number is u and every normal number is n."""

    def replace(uniform: float = 0.5, normal: float = 0.0) -> None:
        for name, value in (("rand_like", uniform), ("randn_like", normal)):
            monkeypatch.setattr(torch, name, lambda x, value=value, **_: torch.full_like(x, value))
        for name, value in (("rand", uniform), ("randn", normal)):
            monkeypatch.setattr(
                torch, name, lambda *size, value=value, **kw: torch.full(size, value, **kw)
            )

    return replace
