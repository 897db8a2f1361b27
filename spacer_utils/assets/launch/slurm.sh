#!/bin/sh
# Two nodes of eight GPUs by SLURM: sbatch spacer_utils/assets/launch/slurm.sh (from the repository's folder).
# 20 minutes before the time limit SLURM signals this script alone. It writes a file, at which the training saves a checkpoint at the end
# of its step and ends; then the job goes to the queue again. A signal to the training itself would not do: torchrun kills its processes
# 30 seconds after one, and a step takes longer.
#SBATCH --job-name=spacer
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@1200
#SBATCH --requeue
FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
SPACER_STOP=$PWD/stop-$SLURM_JOB_ID
export FIRST SPACER_STOP
rm -f "$SPACER_STOP"
trap 'touch "$SPACER_STOP"; TOLD=yes' USR1
srun sh -c 'exec .venv/bin/accelerate launch --config_file spacer_utils/assets/launch/fsdp2.yaml \
  --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * 8))" --machine_rank "$SLURM_NODEID" \
  --main_process_ip "$FIRST" --main_process_port 29500 \
  -m spacer_utils train --profile gpu-full --method sg_rlvr --tuning full --seed 0' &
STEP=$!
wait "$STEP"
STATUS=$?
test -z "$TOLD" || { wait "$STEP"; STATUS=$?; }  # the signal ended the first wait
rm -f "$SPACER_STOP"
test "$STATUS" = 0 || test -z "$TOLD" || exec scontrol requeue "$SLURM_JOB_ID"
exit "$STATUS"
