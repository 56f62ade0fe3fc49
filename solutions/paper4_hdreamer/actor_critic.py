"""hDreamer's actor and critic are DreamerV3's: they see the feature [h, z_top, z_bottom].

A second level changes what the world model is made of, not how behaviour is learned in it. So the
returns, the losses and the networks of paper 3 are imported, and named here for whoever looks.
"""

from solutions.paper3_dreamerv3.actor_critic import (  # noqa: F401
    ContinuousActor,
    DiscreteActor,
    ReturnNormalizer,
    actor_loss,
    compute_lambda_returns,
    critic_loss,
    imagination_weights,
    update_slow_critic,
)
