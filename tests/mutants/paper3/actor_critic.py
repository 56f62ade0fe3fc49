"""Mutants of actor_critic.py that compute the same as the answer, with the reasons."""

EQUIVALENT = {}
