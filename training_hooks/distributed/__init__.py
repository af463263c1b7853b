"""Training on several processes by torch.distributed: gloo on processors, NCCL on GPUs."""
