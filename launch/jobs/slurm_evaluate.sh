#!/bin/bash
# Evaluates each checkpoint of a run as it appears, on one GPU beside the training job, and ends with the run.
#
#   sbatch --dependency=after:JOB+10 launch/jobs/slurm_evaluate.sh      # ten minutes after job JOB has started
#SBATCH --job-name=catgen-evaluate
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --signal=USR2@120
set -u

WORKDIR=${WORKDIR:-runs/text8}

srun catgen evaluate --watch --workdir="$WORKDIR" --split=validation
code=$?

if [[ $code == 140 || $code == 143 ]]; then # what was scored is kept
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
