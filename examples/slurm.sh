#!/bin/bash
# One run of longtail over several machines: sbatch examples/slurm.sh
# The run line is the ordinary command behind torchrun; a job that was pre-empted is queued again and resumes.
#SBATCH --job-name=longtail
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1  # a restart over several machines meets at a new place (PyTorch issue 135712)

srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "$SLURM_GPUS_PER_NODE" --max-restarts 3 \
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$first:29500" \
  -m longtail train cifar100-lt ecl --root "$HOME/data/cifar100" --out runs/c100 --resume
