"""Shards as a data set of PyTorch. SPDX-License-Identifier: Apache-2.0"""
import numpy as np
import torch

from .shards import Shards


class ShardDataset(torch.utils.data.Dataset):
    """The rows of one split, each a tensor of int64 ids [L]; workers of a DataLoader may read it."""

    def __init__(self, folder, split="train", verify=True):
        self.shards = Shards(folder, split, verify)

    def __len__(self):
        return len(self.shards)

    def __getitem__(self, index):
        return torch.from_numpy(self.shards[index])

    def __getitems__(self, indices):  # a batch at once
        return list(torch.from_numpy(self.shards[np.asarray(indices)]))
