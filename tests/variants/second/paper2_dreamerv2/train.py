"""Correct answers, written differently: explicit loops and elementary operations."""

import torch


class DreamerV2:
    def imagine(self, start: dict):
        c = self.config
        with torch.set_grad_enabled(self.rho < 1):
            # EXERCISE 2.20: dream with policy samples, predict, correct the start (needs 2.7)
            state = {"h": start["h"], "z": start["z"]}
            dream = self.world_model.rssm.rollout_imagination(
                state, lambda x: self.modules["actor"](x).rsample(), c.imagination_horizon
            )
            feature = torch.cat((dream["z"], dream["h"]), dim=2)
            rewards, continues, values = [], [], []
            for i in range(c.imagination_horizon + 1):
                reward, goes_on = self.world_model.predict(feature[:, i])
                if i == 0 and c.use_continue:
                    goes_on = c.gamma - c.gamma * start["is_terminal"]
                rewards.append(reward)
                continues.append(goes_on)
                values.append(self.modules["slow_critic"](feature[:, i]))
            rewards, continues, values = (torch.stack(x, 1) for x in (rewards, continues, values))
            # END 2.20
        return feature, dream["action"], rewards, continues, values
