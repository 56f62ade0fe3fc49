"""Known mistakes in train.py: {exercise: [(old text of the answer, new text, what is wrong)]}."""

MISTAKES = {
    "3.30": [
        (
            "with torch.enable_grad():",
            "with torch.no_grad():",
            "the actor's outputs carry no gradient: rssm.imagine runs without one, so switch it on "
            "for the actor, or ask the actor once more about the detached states",
        ),
        (
            "h, z = h.detach().flatten(0, 1), z.detach().flatten(0, 1)",
            "h, z = h.detach().transpose(0, 1).flatten(0, 1), "
            "z.detach().transpose(0, 1).flatten(0, 1)",
            "your dreams are in the order of time first: dream b T + t starts at row t of "
            "sequence b, and the replay loss reads the returns in this order",
        ),
        (
            "h, z = h.detach().flatten(0, 1), z.detach().flatten(0, 1)",
            "h, z = h.detach()[:, -1], z.detach()[:, -1]",
            "only the last row of each sequence starts a dream: all B T of them do",
        ),
        (
            "act, self.config.imagine_length)",
            "act, self.config.imagine_length + 1)",
            "your dreams are a state too long: imagine_length counts steps, and rssm.imagine puts "
            "the start in front by itself",
        ),
        (
            "act, self.config.imagine_length)",
            "act, self.config.imagine_length - 1)",
            "your dreams are a state short: L is 1 + imagine_length, the start among them",
        ),
        (
            "act, self.config.imagine_length)",
            "act, 15)",
            "you fix the length of a dream at 15: it is the option imagine_length",
        ),
        (
            "with torch.no_grad():",
            "with torch.enable_grad():",
            "rewards and continues carry a gradient into the world model: it learns from real "
            "rows alone, so predict without one",
        ),
        (
            "return self.actor.sample(policies[-1])",
            "return policies[-1].detach()",
            "you act with the actor's outputs themselves: an action is a sample of them",
        ),
        (
            "return state, torch.stack(policies, 1), actions, reward, continues",
            "return state, torch.stack(policies, 1), "
            "self.actor.sample(torch.stack(policies, 1)), reward, continues",
            "you draw the actions a second time: those returned did not lead to these states, and "
            "REINFORCE would praise actions that were not taken",
        ),
        (
            "torch.stack(policies, 1)",
            "torch.stack(policies)",
            "your outputs of the actor have time in front: (L, N, ...) in place of (N, L, ...)",
        ),
        (
            "torch.stack(policies, 1)",
            "torch.stack(policies[:-1], 1)",
            "you drop the actor's output at the last state: all L belong to the dream, and "
            "behavior_loss leaves out the last of everything by itself",
        ),
        (
            "self.world_model.predict(state)",
            "self.world_model.predict(state[:, 1:])",
            "nothing is predicted at the start: rewards and continues belong to all L states, and "
            "the start's continuation begins the weights",
        ),
        (
            "return state, torch.stack(policies, 1), actions, reward, continues",
            "return state, torch.stack(policies, 1), actions, reward, "
            "self.world_model.discount * continues",
            "γ counts twice: the predicted continues contain it",
        ),
        (
            "return state, torch.stack(policies, 1), actions, reward, continues",
            "return state, torch.stack(policies, 1), actions, reward, "
            "self.world_model.discount * (continues > 0.5 * self.world_model.discount).to(reward)",
            "you round the continuation to 0 or γ, as the code of 2023 did with its mode: it is a "
            "probability",
        ),
        (
            "return state, torch.stack(policies, 1), actions, reward, continues",
            "return state, torch.stack(policies, 1), actions, reward, torch.cat("
            "[torch.full_like(continues[:, :1], self.world_model.discount), continues[:, 1:]], 1)",
            "you put γ at the start in the place of the prediction, as in V2: today's V3 predicts "
            "the start's continuation too",
        ),
        (
            "return state, torch.stack(policies, 1), actions, reward, continues",
            "return state, torch.stack(policies, 1), actions, continues, reward",
            "rewards and continues have changed places: predict gives the reward first",
        ),
        (
            "policies = []",
            "policies = self.__dict__.setdefault('policies', [])",
            "the actor's outputs of the calls before are still in your list: every call starts "
            "with an empty one",
        ),
    ],
    "3.31": [
        (
            "        self.normalizer.update(returns)\n"
            "        advantage = (returns - values) / self.normalizer.scale()\n",
            "        advantage = (returns - values) / self.normalizer.scale()\n"
            "        self.normalizer.update(returns)\n",
            "you ask for the scale before the update: the returns of this batch count already",
        ),
        (
            "        self.normalizer.update(returns)\n",
            "",
            "the normaliser is never updated: its scale stays what it was",
        ),
        (
            "        self.normalizer.update(returns)\n",
            "        self.normalizer.update(returns)\n        self.normalizer.update(returns)\n",
            "the normaliser is updated twice: its averages move twice as fast",
        ),
        (
            "self.normalizer.update(returns)",
            "self.normalizer.update(returns - values)",
            "the normaliser takes in advantages: S is the range of the returns",
        ),
        (
            "self.normalizer.update(returns)",
            "self.normalizer.update(returns[:, 0])",
            "the normaliser takes in the first returns only: S is the range of all of them",
        ),
        (
            " / self.normalizer.scale()",
            "",
            "the advantage is not divided by S: with rewards a thousand times as large, the "
            "entropy bonus would be lost",
        ),
        (
            " / self.normalizer.scale()",
            " * self.normalizer.scale()",
            "you multiply by S: a wide range of returns has to make advantages smaller",
        ),
        (
            "(returns - values) / self.normalizer.scale()",
            "returns / self.normalizer.scale() - values",
            "only the returns are divided by S: the advantage is, the values with them",
        ),
        (
            "(returns - values) / self.normalizer.scale()",
            "returns / self.normalizer.scale()",
            "the baseline is missing: an action is good if its return is more than the value that "
            "was expected",
        ),
        (
            "(returns - values) / self.normalizer.scale()",
            "(values - returns) / self.normalizer.scale()",
            "your advantage has the wrong sign: return less value",
        ),
        (
            "(returns - values) / self.normalizer.scale()",
            "(returns - self.normalizer.low) / self.normalizer.scale() - values",
            "you normalise the returns and subtract raw values: take the difference first, then "
            "the average of the low percentile cancels",
        ),
        (
            "(returns - values) / self.normalizer.scale()",
            "(returns - values - (returns - values).mean()) / (returns - values).std()",
            "you standardise the advantages of the batch, as PPO does: V3 divides by the scale of "
            "the normaliser, and subtracts nothing but the value",
        ),
        (
            "log_prob, entropy, advantage, weight",
            "log_prob, entropy, advantage / self.normalizer.scale(), weight",
            "the advantage is normalised twice: once is enough",
        ),
        (
            "log_prob, entropy, advantage, weight",
            "log_prob, entropy, advantage, torch.ones_like(weight)",
            "the weights are missing: states that a dream hardly reaches count in full",
        ),
        (
            "self.actor.log_prob(policy, actions)",
            "self.actor.log_prob(policy.detach(), actions)",
            "the log-probabilities are of a detached policy: the actor learns its entropy and "
            "nothing of its actions",
        ),
        (
            "self.actor.entropy(policy)",
            "self.actor.entropy(policy.detach())",
            "the entropy is that of a detached policy: its bonus teaches nothing",
        ),
        (
            "self.actor.log_prob(policy, actions), self.actor.entropy(policy)",
            "self.actor.log_prob(policy, actions.roll(-1, 1)), self.actor.entropy(policy)",
            "each policy is asked about the action of the next state, as in V2: in V3 action t is "
            "taken at state t",
        ),
        (
            "self.config.entropy_scale",
            "3e-4",
            "you fix the entropy's scale at 3e-4: it is the option entropy_scale",
        ),
    ],
    "3.32": [
        (
            "self.world_model.discount * (1 - ",
            "(1 - ",
            "γ is missing: where the episode goes on, a row's continuation is "
            "`self.world_model.discount`",
        ),
        (
            "self.world_model.discount * (1 - ",
            "(1 - 1 / 333) * (1 - ",
            "you fix γ at 1 - 1/333: it follows from the option discount_horizon",
        ),
        (
            '(1 - rows["is_terminal"])',
            '(1 - rows["is_last"])',
            "a time limit ends your returns: only a death, is_terminal, makes the future worth 0",
        ),
        (
            '(1 - rows["is_terminal"])',
            'rows["is_terminal"]',
            "your continues are turned round: γ where the episode goes on, 0 after a death",
        ),
        (
            'self.world_model.discount * (1 - rows["is_terminal"])',
            'torch.full_like(rows["is_terminal"], self.world_model.discount)',
            "a death does not end your returns: its continuation is 0",
        ),
        (
            'continues, rows["is_last"], self',
            'continues, rows["is_terminal"], self',
            "a time limit does not cut your returns: the row after it belongs to another episode, "
            "so λ is 0 where is_last is set",
        ),
        (
            "self.config.lambda_",
            "0.95",
            "you fix λ at 0.95: it is the option lambda_",
        ),
        (
            'rows["reward"], bootstrap, continues',
            'rows["reward"], self.critic.mean(self.critic(state)).detach(), continues',
            "your returns bootstrap from the critic at the row itself: take the returns of the "
            "dreams, `bootstrap`, which the current policy made",
        ),
        (
            'rows["reward"], bootstrap, continues',
            'rows["reward"], self.slow_critic.mean(self.slow_critic(state)), continues',
            "your returns bootstrap from the slow critic: take the returns of the dreams, "
            "`bootstrap`",
        ),
        (
            'rows["reward"], bootstrap, continues',
            'rows["reward"].roll(1, 1), bootstrap, continues',
            "you hand over the reward of the row before: compute_lambda_returns knows that the "
            "reward of row t came on entering it",
        ),
        (
            'rows["reward"], bootstrap, continues',
            'rows["reward"].roll(-1, 1), bootstrap, continues',
            "you hand over the reward of the next row: compute_lambda_returns takes reward t + 1 "
            "for return t by itself",
        ),
        (
            "state = state[:, :-1]",
            "state = state[:, 1:]",
            "you judge each state by the return of the one before: the last row has no return, so "
            "the last state is dropped",
        ),
        (
            "state = state[:, :-1]",
            "state = state[:, :-1].detach()",
            "the state is detached: this loss is meant to train the world model too, and it is "
            "the only one of the critic's that does",
        ),
        (
            '1 - rows["is_last"][:, :-1])',
            'torch.ones_like(rows["is_last"][:, :-1]))',
            "the weight is missing: the row after an episode's last one belongs to another, so "
            "the last one weighs 0",
        ),
        (
            '1 - rows["is_last"][:, :-1])',
            '1 - rows["is_terminal"][:, :-1])',
            "only deaths weigh nothing: after a time limit another episode begins as well, so the "
            "weight is 1 - is_last",
        ),
        (
            '1 - rows["is_last"][:, :-1])',
            '1 - rows["is_last"][:, 1:])',
            "your weights belong to the next rows: it is an episode's last row that weighs 0, not "
            "the one before it",
        ),
        (
            "self.slow_critic.mean(self.slow_critic(state.detach()))",
            "self.critic.mean(self.critic(state.detach()))",
            "the critic is held near itself: the second target is the prediction of its slow copy",
        ),
        (
            "return critic_loss(",
            "return self.config.scale_replay_value * critic_loss(",
            "you scale the loss here: scale_replay_value comes in with the sum of all losses",
        ),
    ],
    "3.33": [
        (
            "compute_lambda_returns(rewards, values, ",
            "compute_lambda_returns(rewards, slow_values, ",
            "your returns start from the slow critic's values, as in V2: in V3 they come from the "
            "critic, and its slow copy is there for its loss alone",
        ),
        (
            "never = torch.zeros_like(continues)",
            "never = torch.ones_like(continues)",
            "your dreams are cut at every state: λ becomes 0, and returns look one step ahead",
        ),
        (
            "never, c.lambda_)",
            "never)",
            "you leave λ at its default: it is the option lambda_",
        ),
        (
            "compute_lambda_returns(rewards, values, continues, ",
            "compute_lambda_returns(rewards, values, self.world_model.discount * continues, ",
            "γ counts twice: the predicted continues contain it",
        ),
        (
            "compute_lambda_returns(rewards, values, continues, ",
            "compute_lambda_returns(rewards.roll(1, 1), values, continues, ",
            "your rewards are one state late: reward t belongs to entering state t, and "
            "compute_lambda_returns knows that",
        ),
        (
            "policy[:, :-1], actions[:, :-1], values[:, :-1]",
            "policy[:, :-1], actions[:, 1:], values[:, :-1]",
            "you pair a state with the action of the next, as in V2: in V3 action t is taken at "
            "state t, so the last action is dropped",
        ),
        (
            "policy[:, :-1], actions[:, :-1], values[:, :-1]",
            "policy[:, 1:], actions[:, 1:], values[:, :-1]",
            "you drop the first policy and action: it is the last state that has no return",
        ),
        (
            "policy[:, :-1], actions[:, :-1], values[:, :-1]",
            "policy[:, :-1], actions[:, :-1], values[:, 1:]",
            "your baseline is the value of the next state: return t is judged against value t",
        ),
        (
            "value_logits[:, :-1], slow_values[:, :-1]",
            "value_logits[:, 1:], slow_values[:, 1:]",
            "the critic learns return t at state t + 1: leave out the last state, not the first",
        ),
        (
            "imagination_weights(continues)[:, :-1]",
            "imagination_weights(continues)[:, 1:]",
            "your weights are those of the next states: leave out the last",
        ),
        (
            "imagination_weights(continues)[:, :-1]",
            "torch.ones_like(returns)",
            "the weights are missing: what a dream does after its episode's end would be learned "
            "as well",
        ),
        (
            "imagination_weights(continues)[:, :-1]",
            "continues[:, :-1]",
            "your weight is the continuation of one state: it is the product of all up to it",
        ),
        (
            "imagination_weights(continues)[:, :-1]",
            "imagination_weights(torch.cat([torch.ones_like(never[:, :1]), continues], 1))"
            "[:, : returns.shape[1]]",
            "your weights begin with 1, as in V2: in V3 the start's own continuation is in them, "
            "so that a dream from a death weighs nothing",
        ),
        (
            "self.policy_loss(policy, actions, returns, values, weight)",
            "self.policy_loss(policy, actions, returns, slow_values, weight)",
            "your baseline comes from the slow critic: the advantage is the return less the "
            "critic's own value",
        ),
        (
            "self.policy_loss(policy, actions, returns, values, weight)",
            "self.policy_loss(policy, actions, returns - values, values, weight)",
            "the values are subtracted twice: policy_loss makes the advantage itself",
        ),
        (
            "self.policy_loss(policy, actions, returns, values, weight)",
            "self.policy_loss(policy, actions, returns / self.normalizer.scale(), "
            "values / self.normalizer.scale(), weight)",
            "you normalise before policy_loss, which does it again: hand over returns and values "
            "in the units of the rewards",
        ),
        (
            "self.policy_loss(policy, actions, returns, values, weight)",
            "self.policy_loss(policy, actions, returns, values, torch.ones_like(weight))",
            "the policy's loss lacks the weights: states that a dream hardly reaches count in full",
        ),
        (
            "critic_loss(self.critic, value_logits, returns, slow_values, weight)",
            "critic_loss(self.critic, value_logits, returns, slow_values, torch.ones_like(weight))",
            "the critic's loss lacks the weights: states that a dream hardly reaches count in full",
        ),
        (
            "critic_loss(self.critic, value_logits, returns, slow_values, weight)",
            "critic_loss(self.critic, value_logits, returns / self.normalizer.scale(), "
            "slow_values, weight)",
            "the critic learns normalised returns: its targets are in the units of the rewards, "
            "and symexp bins are there to hold them",
        ),
        (
            "critic_loss(self.critic, value_logits, returns, slow_values, weight)",
            "critic_loss(self.critic, value_logits, returns, values, weight)",
            "the critic is held near itself: the second target is the value of its slow copy",
        ),
        (
            "value_logits = self.critic(state)",
            "value_logits = self.critic(state).detach()",
            "the critic's logits are detached: it learns nothing from dreams. Only the values, "
            "which make the returns, are numbers",
        ),
        (
            "value_logits = self.critic(state)",
            "value_logits = self.slow_critic(state)",
            "you ask the slow critic where the critic is meant: the slow one never learns",
        ),
        (
            "batch[key][:, -last:]",
            "batch[key][:, :last]",
            "you take the first rows: dreams start at the last `last` rows of each sequence",
        ),
        (
            "returns[:, 0].reshape(",
            "values[:, 0].reshape(",
            "a row's worth is the critic's value of it: take the return of its dream, which looks "
            "further",
        ),
        (
            'returns[:, 0].reshape(rows["reward"].shape)',
            'returns[:, 0].reshape(rows["reward"].shape[::-1]).t()',
            "your bootstraps are in the wrong order: dream b T + t starts at row t of sequence b",
        ),
        (
            "feature(h, z), rows, bootstrap",
            "feature(h.detach(), z.detach()), rows, bootstrap",
            "the replay loss sees detached states: it is meant to train the world model too",
        ),
        (
            "self.replay_value_loss(feature(h, z), rows, bootstrap)",
            "c.scale_replay_value * self.replay_value_loss(feature(h, z), rows, bootstrap)",
            "you scale the replay loss here: train_step does it, once",
        ),
    ],
    "3.34": [
        (
            "        self.update(world_loss + dream_loss + "
            "self.config.scale_replay_value * replay_loss)\n"
            "        update_slow_critic(self.slow_critic, self.critic, self.config.slow_rate)\n",
            "        update_slow_critic(self.slow_critic, self.critic, self.config.slow_rate)\n"
            "        self.update(world_loss + dream_loss + "
            "self.config.scale_replay_value * replay_loss)\n",
            "the slow critic follows before the update: it goes towards the critic after it",
        ),
        (
            "        update_slow_critic(self.slow_critic, self.critic, self.config.slow_rate)\n",
            "",
            "the slow critic never moves: after every update it goes its share of the way",
        ),
        (
            "update_slow_critic(self.slow_critic, self.critic, self.config.slow_rate)",
            "update_slow_critic(self.critic, self.slow_critic, self.config.slow_rate)",
            "the critic follows its slow copy: the slow one comes first in the call",
        ),
        (
            "self.critic, self.config.slow_rate)",
            "self.critic)",
            "you leave the slow critic's rate at its default: it is the option slow_rate",
        ),
        (
            "update_slow_critic(self.slow_critic, self.critic, self.config.slow_rate)",
            "self.slow_critic.load_state_dict(self.critic.state_dict())",
            "you copy the critic into the slow one, as V2 does every 100 updates: V3 goes a small "
            "share of the way, every time",
        ),
        (
            "self.config.scale_replay_value * replay_loss",
            "replay_loss",
            "the replay loss counts in full: it has the scale scale_replay_value",
        ),
        (
            "dream_loss + self.config.scale_replay_value * replay_loss",
            "self.config.scale_replay_value * (dream_loss + replay_loss)",
            "you scale the loss on dreams too: only the replay loss has a scale here",
        ),
        (
            "self.config.scale_replay_value * replay_loss",
            "0.3 * replay_loss",
            "you fix the replay loss's scale at 0.3: it is the option scale_replay_value",
        ),
        (
            "dream_loss + self.config.scale_replay_value * replay_loss",
            "dream_loss",
            "the replay loss is missing in the sum",
        ),
        (
            "world_loss + dream_loss + ",
            "dream_loss + ",
            "the world model's loss is missing in the sum",
        ),
        (
            "world_loss + dream_loss + ",
            "world_loss + ",
            "the loss on dreams is missing in the sum: the actor learns from nothing else",
        ),
        (
            "self.update(world_loss + dream_loss + self.config.scale_replay_value * replay_loss)",
            "self.update(world_loss); "
            "self.update(dream_loss + self.config.scale_replay_value * replay_loss)",
            "you take two steps, as V1 and V2 do: V3 adds all losses and takes one",
        ),
        (
            "self.config.scale_replay_value * replay_loss",
            "self.config.scale_replay_value * replay_loss.detach()",
            "the replay loss is detached: then it is only a number, and teaches nothing",
        ),
        (
            "self.behavior_loss(batch, h, z)",
            "self.behavior_loss(batch, h.detach(), z.detach())",
            "behaviour gets detached states: dreams detach them by themselves, and the replay "
            "loss needs the gradient",
        ),
        (
            "        batch = self.prepare(batch)\n",
            "",
            "the batch is not prepared: it holds arrays, boolean flags and class numbers, and the "
            "agent's methods want tensors",
        ),
        (
            "metrics | behavior_metrics",
            "behavior_metrics",
            "the world model's metrics are lost: return those of both",
        ),
        (
            "metrics | behavior_metrics",
            "metrics",
            "the behaviour's metrics are lost: return those of both",
        ),
        (
            'self.latents({"h": h, "z": z})',
            '{"h": h, "z": z}',
            "the states come back as they are: `latents` makes of them what the replay keeps, "
            "half precision and class numbers",
        ),
        (
            'self.latents({"h": h, "z": z})',
            "self.latents(batch)",
            "you return the old latents of the batch: the replay is to be refreshed by the new "
            "ones, (B, T, ...)",
        ),
        (
            "batch = self.prepare(batch)",
            "batch.update(self.prepare(batch))",
            "you write the prepared tensors into the caller's batch: leave it as it was",
        ),
    ],
}
