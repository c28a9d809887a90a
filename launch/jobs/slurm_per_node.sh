#!/bin/bash
# Trains on all GPUs of two hosts, one process a host, and goes on after preemption, the time limit and lost hosts.
#
#   sbatch launch/jobs/slurm_per_node.sh
#
# Change: partition, hosts, GPUs, configuration, work directory (on a disk that all hosts share, or a bucket).
#SBATCH --job-name=catgen-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
# Five minutes before the time limit each process is told to stop: it saves, and ends with 128 + 12.
#SBATCH --signal=USR2@300
set -u

WORKDIR=${WORKDIR:-runs/text8}
CONFIG=${CONFIG:-accelerator/text8_diffusion}

srun --kill-on-bad-exit=1 catgen train --config="$CONFIG" --workdir="$WORKDIR" \
  --config.checkpoint.every=1000 --heartbeat_seconds=100
code=$?

# 140 and 143: stopped, with a checkpoint. 1: a process or a host is gone. 2: a mistake, which the log says in a line.
if [[ $code == 140 || $code == 143 || ($code == 1 && ${SLURM_RESTART_COUNT:-0} -lt 20) ]]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
