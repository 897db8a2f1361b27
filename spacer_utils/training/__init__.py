"""Training: methods, plan, loop, GRPO, SFT, rollouts, vision, credit, checkpoints, logs."""
