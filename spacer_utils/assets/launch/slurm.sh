#!/bin/sh
# Two nodes of eight GPUs by SLURM: sbatch spacer_utils/assets/launch/slurm.sh (from the repository's folder).
# Resubmitting goes on from the last checkpoint; SIGTERM before the time limit saves one more.
#SBATCH --job-name=spacer
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@300
#SBATCH --requeue
FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export FIRST
exec srun sh -c 'exec .venv/bin/accelerate launch --config_file spacer_utils/assets/launch/fsdp2.yaml \
  --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * 8))" --machine_rank "$SLURM_NODEID" \
  --main_process_ip "$FIRST" --main_process_port 29500 \
  -m spacer_utils train --profile gpu-full --method sg_rlvr --tuning full --seed 0'
