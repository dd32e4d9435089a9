"""Numbers that change from step to step: the learning rate, the share of dropout, the newest weights' in their average.

Each is a function of the step, so that a run that starts again continues with the very numbers it would have had; only
"plateau" depends on something else, the validations so far, which `TrainState.learning_rate` carries.
"""

import math

from hopline.config.train import TrainConfig


def learning_rate(config: TrainConfig, annealed: float, step: int, steps: int) -> float:
    """The learning rate of the update that makes step + 1.

    Args:
        config: the schedule.
        annealed: `train.learning_rate` as annealed so far; what else than "plateau" leaves it as it is.
        step: updates done.
        steps: updates at which training ends at the latest.
    """
    warming = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule != "cosine":
        return warming * annealed
    least = config.min_learning_rate
    falling = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return warming * (least + (annealed - least) * falling)


def drop_share(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """What the rates of dropout are multiplied by for the update that makes step + 1.

    They rise with what a model knows: a young one learns more slowly under dropout, and cannot overfit yet (curriculum
    dropout, Morerio et al. 2017, whose rise is an exponential one).
    """
    rising = config.drop_warmup_epochs * steps_per_epoch
    return min(1.0, step / rising) if rising else 1.0


def average_share(config: TrainConfig, step: int, steps: int) -> float:
    """The share of the weights after step + 1 in their average; 1 where the average is these weights alone.

    Of an exponential moving average it is (1 - d) / (1 - d^t), which takes out the bias of an average that starts at 0:
    it is the weighted mean of all weights so far (Kingma and Ba 2015, section 3).
    """
    if config.average == "ema":
        return (1 - config.ema_decay) / (1 - config.ema_decay ** (step + 1))
    if config.average == "tail":
        return 1.0 / max(1, step + 1 - tail_start(steps))
    return 1.0


def tail_start(steps: int) -> int:
    """The number of updates before the last third."""
    return steps - steps // 3
