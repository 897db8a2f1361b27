"""Training: methods, plan, loop, GRPO, SFT, rollouts, vision, credit, checkpoints, logs.

Importing it makes torchvision importable beside a CPU build of torch.
"""

from ..core.torchvision_operators import declare

declare()
