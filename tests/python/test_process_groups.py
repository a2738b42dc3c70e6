"""One Gram matrix by several processes: torch.distributed with gloo, two of them on this machine."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import program

WORKER = """
import os, sys
sys.path.insert(0, os.environ["ENGINE"])
import numpy as np
import torch
import torch.distributed as dist
import pathkernel as pk
from pathkernel import kernels

dist.init_process_group("gloo", init_method="file://" + os.environ["MEETING"], rank=int(os.environ["RANK"]), world_size=2)
rank, folder = dist.get_rank(), os.environ["FOLDER"]
random = np.random.default_rng(0)
x, y = random.standard_normal((301, 5)), random.standard_normal((97, 5))
ntk = kernels.ntk("dense relu dense", w_std=1.5, b_std=0.1)
tiles = []
K = ntk.gram(x, group=dist.group.WORLD, progress=lambda what, done, total: tiles.append(total))
np.savez(f"{folder}/{rank}.npz", K=K, between=ntk.gram(x, y, group=dist.group.WORLD), single=ntk.gram(x.astype(np.float32), group=dist.group.WORLD),
         alone=ntk.gram(x), alone_between=ntk.gram(x, y), tiles=tiles[-1])

def refusal(call):
    try:
        call()
    except pk.InvalidInput as error:
        return str(error)
    return "nothing was refused"

print(refusal(lambda: ntk.gram(x + rank, group=dist.group.WORLD)))
broken = x.copy()
broken[7 if rank == 1 else 8] = np.nan
print(refusal(lambda: ntk.gram(broken if rank == 1 else x, group=dist.group.WORLD)))
print(refusal(lambda: ntk.gram(x, group=dist.group.WORLD, memory=1000)))
print(refusal(lambda: ntk.gram(x, group=dist.group.WORLD, out=f"{folder}/K.npy")))
dist.destroy_process_group()
"""


def test_two_processes_make_the_matrix_of_one(tmp_path):
    engine = pathlib.Path(os.environ.get("PATHKERNEL_BUILD", program.ROOT / "build")).resolve() / "python"
    common = {**os.environ, "ENGINE": str(engine), "MEETING": str(tmp_path / "meeting"), "FOLDER": str(tmp_path), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    running = [subprocess.Popen([sys.executable, "-c", WORKER], env={**common, "RANK": str(rank)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in range(2)]
    try:
        said = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], said
    found = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    for name in ("K", "between", "single"):
        assert np.array_equal(found[0][name], found[1][name])
    K, alone = found[0]["K"], found[0]["alone"]
    assert np.array_equal(K, K.T) and np.abs(K - alone).max() <= 1e-13 * np.abs(alone).max()
    assert np.abs(found[0]["between"] - found[0]["alone_between"]).max() <= 1e-13 * np.abs(alone).max()
    assert found[0]["single"].dtype == np.float32 and np.abs(found[0]["single"] - alone).max() <= 1e-5 * np.abs(alone).max()
    tiles = [int(f["tiles"]) for f in found]
    assert min(tiles) >= 2 and abs(tiles[0] - tiles[1]) <= 1  # shared out
    first, second = (out.splitlines() for out, _ in said)
    assert "given different kernels or inputs" in first[0] and first[0] == second[0]
    assert "process 1 of 2 failed" in first[1] and "nan" in second[1].lower()
    assert "more memory" in first[2] and "more memory" in second[2]
    assert "leave out `out`" in first[3]
