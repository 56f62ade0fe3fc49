"""The core test: it holds for the solution, says so in the promised words, and can fail."""

import pytest
import torch

from solutions.paper4_hdreamer import check, networks, rssm


@pytest.mark.parametrize("one", check.CHECKS, ids=lambda function: function.__name__)
def test_the_solution_is_what_it_is_said_to_be(one):
    assert one("cpu")


def test_the_last_lines_are_those_that_readers_look_for(monkeypatch, capsys):
    monkeypatch.setattr(check, "CHECKS", (lambda device: "all is well",))
    assert check.command([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  ok    all is well",
        "🎉 All tests passed! hDreamer implementation is working correctly.",
        "Ready for training experiments!",
    ]


def with_gradient(prior, delta, gate):
    return gate * prior + delta


def without_gate(prior, delta, gate):
    return prior.detach() + delta


def without_delta(prior, delta, gate):
    return 0 * gate * prior.detach() + delta


@pytest.mark.parametrize(
    ("wrong", "fails"),
    [
        (with_gradient, check.check_gradients),
        (without_gate, check.check_conversion),
        (without_delta, check.check_residual),
    ],
)
def test_a_wrong_residual_is_found(monkeypatch, wrong, fails):
    monkeypatch.setattr(rssm, "residual_logits", wrong)
    with pytest.raises(AssertionError):
        fails("cpu")


def test_a_bottom_prior_that_does_not_see_the_top_is_found(monkeypatch):
    own = rssm.HierarchicalRSSM.bottom_prior

    def blind(self, h, top):
        return own(self, h, torch.zeros_like(top))

    monkeypatch.setattr(rssm.HierarchicalRSSM, "bottom_prior", blind)
    with pytest.raises(AssertionError, match="does not see z_top"):
        check.check_gradients("cpu")


def test_a_dream_that_asks_the_posterior_is_found(monkeypatch):
    def peek(self, h, z, action):
        h = self.sequence_model(h, z, self.a_in(action))
        self.top_posterior(h, None)
        return h, z

    monkeypatch.setattr(rssm.HierarchicalRSSM, "imagine_step", peek)
    with pytest.raises(AssertionError, match="a dream asks top_posterior"):
        check.check_imagination("cpu")


def test_an_error_of_the_model_is_a_line_too(monkeypatch, capsys):
    def wrong(self, h, top):
        raise RuntimeError("sizes differ")

    monkeypatch.setattr(rssm.HierarchicalRSSM, "bottom_prior", wrong)
    monkeypatch.setattr(check, "CHECKS", (check.check_residual,))
    assert check.command([]) == 1
    assert "FAILS residual: RuntimeError: sizes differ" in capsys.readouterr().out


def test_a_failed_check_is_a_line_and_exit_code_one(monkeypatch, capsys):
    monkeypatch.setattr(networks, "switch_rate", lambda z, is_first: torch.tensor(0.5))
    monkeypatch.setattr(check, "CHECKS", (check.check_free_nats, check.check_sizes))
    assert check.command([]) == 1
    out = capsys.readouterr().out
    assert "  FAILS free_nats" in out and "1 of 2 checks failed" in out
    assert "All tests passed" not in out
