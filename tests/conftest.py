"""What every test shares: one torch thread a process, since the suite runs several processes."""

import torch

torch.set_num_threads(1)
