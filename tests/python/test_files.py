"""What Pathkernel writes, read by the libraries whose formats these are. The files come from the C++ tests."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

FILES = Path(os.environ.get("PATHKERNEL_BUILD", Path(__file__).parents[2] / "build")) / "test-files"


def written(name: str) -> Path:
    if not (FILES / name).exists():
        pytest.skip(f"{name} is not in {FILES}: run the C++ tests first (make test does)")
    return FILES / name


def test_safetensors_reads_our_file():
    with safe_open(written("from_cpp.safetensors"), "pt") as file:
        assert file.metadata() == {"made by": "pathkernel"}
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    types = {"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
             "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
             "Bool": torch.bool}
    assert len(tensors) == len(types) + 3
    for name, dtype in types.items():
        expected = (torch.arange(6) % 5).to(dtype).reshape(2, 3)
        assert tensors[f"a {name}"].dtype == dtype
        assert torch.equal(tensors[f"a {name}"], expected)
    assert tensors["scalar"].shape == () and tensors["scalar"] == 1
    assert tensors["empty"].shape == (0, 3)
    assert torch.equal(tensors["transposed"], torch.arange(6.0).reshape(2, 3).T)


@pytest.mark.parametrize("code", "f2 f4 f8 i1 i2 i4 i8 u1 b1".split())
def test_numpy_reads_our_npy(code):
    array = np.load(written(f"from_cpp_{code}.npy"))
    assert array.dtype == np.dtype(code)
    assert np.array_equal(array, (np.arange(6) % 2).reshape(2, 3).astype(code))


def test_numpy_reads_our_scalars_and_vectors():
    assert np.load(written("from_cpp_scalar.npy")).shape == ()
    assert np.array_equal(np.load(written("from_cpp_vector.npy")), np.arange(3))
