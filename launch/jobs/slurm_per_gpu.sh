#!/bin/bash
# Trains on all GPUs of two hosts, one process a GPU, where one a host does not keep them busy: data read slowly.
#
#   sbatch launch/jobs/slurm_per_gpu.sh
#
# The processes of a host share its GPUs in order. All else is as in slurm_per_node.sh.
#SBATCH --job-name=catgen-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --signal=USR2@300
set -u

WORKDIR=${WORKDIR:-runs/text8}
CONFIG=${CONFIG:-accelerator/text8_diffusion}

srun --kill-on-bad-exit=1 catgen train --config="$CONFIG" --workdir="$WORKDIR" --config.checkpoint.every=1000
code=$?

if [[ $code == 140 || $code == 143 || ($code == 1 && ${SLURM_RESTART_COUNT:-0} -lt 20) ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
