#!/usr/bin/env bash
# One run on several nodes of a SLURM cluster: a template.
#
# Set what your cluster wants, then
#
#   sbatch scripts/slurm.sh --config=configs/adding.py:full --workdir=/shared/runs/full
#
# srun starts a process for each GPU; experiments/train.py sees by SLURM's environment that they are several.
# Only process 0 reads and writes the workdir: the other nodes need the code and .venv, not the run's folder.
# The same command goes on where it stopped, also on another number of nodes.
#SBATCH --job-name=r3nn
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --output=%x-%j.out
# SIGTERM to all processes five minutes before the end: the run saves, ends with 143, and can be submitted again.
#SBATCH --signal=TERM@300
set -euo pipefail

if [ "$#" -eq 0 ]; then
  echo "usage: sbatch scripts/slurm.sh --config=FILE --workdir=DIR [--config.FIELD=VALUE ...]" >&2
  exit 2
fi

# sbatch runs a copy of this file: the repository is where it was submitted from.
cd "${SLURM_SUBMIT_DIR:?this is a job script: submit it with sbatch}"

# Once, by one process, before many start: they would all make .venv.
scripts/run --setup

# Without GPUs (no --gpus-per-node, one task a node): JAX_PLATFORMS=cpu.
srun --kill-on-bad-exit=0 scripts/run experiments/train.py "$@"
