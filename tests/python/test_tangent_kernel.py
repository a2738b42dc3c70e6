"""The empirical tangent kernel against torch.func, and along a recording."""

import numpy as np
import pytest
import torch
import torch.nn as nn
from torch.func import functional_call, jacrev, vmap

import program
from test_package import examples, mlp, pk, recorded


def by_torch_func(model, x, y):
    """full [n, m, O, O] from Jacobians."""
    parameters = {k: v.detach() for k, v in model.named_parameters()}
    rest = {k: v for k, v in model.named_buffers()}

    def f(p, one):
        return functional_call(model, {**p, **rest}, (one[None],)).flatten()

    def jacobian(z):
        return torch.cat([j.flatten(2) for j in vmap(jacrev(f), (None, 0))(parameters, z).values()], 2)

    return torch.einsum("iow,jpw->ijop", jacobian(x), jacobian(y))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.Linear(4, 3)

    def forward(self, x):
        h = torch.relu(self.norm(self.first(x)))
        return self.last((h + self.second(h)).mean((2, 3)))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.layer, self.last = nn.Embedding(11, 8), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0), nn.Linear(8, 2)

    def forward(self, ids):
        return self.last(self.layer(self.tokens(ids)).mean(1))


MODELS = {"mlp": (lambda: mlp(torch.float64), lambda n: torch.randn(n, 5, dtype=torch.float64)),
          "residual": (lambda: Residual().double(), lambda n: torch.randn(n, 2, 6, 6, dtype=torch.float64)),
          "encoder": (lambda: Encoder().double(), lambda n: torch.randint(0, 11, (n, 7)))}


@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_torch_func(name):
    torch.manual_seed(2)
    make, draw = MODELS[name]
    model = make()
    x, y = draw(5), draw(4)
    if name == "residual":
        model(draw(20))  # running statistics
    training = model.training
    full = pk.tangent_kernel(model, x, y)
    assert model.training == training
    model.eval()
    expected = by_torch_func(model, x, y)
    scale = expected.abs().max()
    assert (full - expected).abs().max() < 1e-12 * scale
    assert (pk.tangent_kernel(model, x, y, "trace") - expected.diagonal(dim1=2, dim2=3).sum(-1)).abs().max() < 1e-12 * scale * 3
    assert (pk.tangent_kernel(model, x, y, "diagonal") - expected.diagonal(dim1=2, dim2=3)).abs().max() < 1e-12 * scale
    own = pk.tangent_kernel(model, x)
    assert own.equal(own.permute(1, 0, 3, 2)) and (own - by_torch_func(model, x, x)).abs().max() < 1e-12 * own.abs().max()


def test_along_a_recording_here_and_in_the_program(tmp_path):
    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--activation", "tanh", "--epochs", 3, "--batch", 8, "--lr", 0.1, "--threads", 1, "--out", tmp_path / "run", "--dtype", "double")
    x, y, qx = (torch.from_numpy(np.load(data / f"{part}.npy")) for part in ("train_x", "train_y", "test_x"))
    model = nn.Sequential()
    for name, layer in zip(dict.fromkeys(n.rsplit(".", 1)[0] for n, _ in pk._engine.Recording(str(tmp_path / "run")).parameters(0)), (nn.Linear(6, 8), nn.Linear(8, 3))):
        model.add_module(name, layer)
        if len(model) == 1:
            model.add_module("between", nn.Tanh())
    run = pk.open(tmp_path / "run", model=model.double(), data=(x, y))
    for how, here in ((("--at", "7", "--form", "full"), run.tangent_kernel(qx[:5].double(), x[:4].double(), at=7, progress=False)),
                      (("--form", "trace"), run.tangent_kernel(qx[:5].double(), x[:4].double(), form="trace", progress=False)),
                      (("--at", "path", "--form", "trace"), run.path_kernel(qx[:5].double(), x[:4].double(), progress=False)),
                      (("--at", "path", "--every", 4, "--form", "diagonal"), run.path_kernel(qx[:5].double(), x[:4].double(), every=4, form="diagonal", progress=False))):
        program.run("tangent", tmp_path / "run", "--x", "test:0-4", "--y", "train:0-3", *how, "-o", tmp_path / "K.npy")
        assert np.allclose(np.load(tmp_path / "K.npy"), here.numpy(), rtol=1e-11)


def test_evolution_here_and_in_the_program(tmp_path):
    run = recorded(tmp_path / "run", model=mlp(torch.float64), data=examples(dtype=torch.float64), epochs=4)
    x, y = examples(8, seed=4, dtype=torch.float64)
    moments = run.kernel_evolution((x, y), count=3, progress=False)
    assert [m.step for m in moments] == [0, 10, 20]
    start, end = mlp(torch.float64), run._trained.network.module

    J = [torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(z, list(model.parameters()), retain_graph=True)]) for z in model(x).flatten()]) for model in (start, end)]
    assert moments[-1].change_of_kernel == pytest.approx(((J[1] - J[0]).norm() / J[0].norm()).item(), rel=1e-10)
    assert moments[-1].loss == pytest.approx(nn.functional.cross_entropy(end(x), y).item(), rel=1e-12)
    assert moments[0].linearisation_error == 0 < moments[-1].linearisation_error < 1
    with pytest.raises(pk.InvalidInput, match="the targets of the probe are needed"):
        run.kernel_evolution(x)

    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 2, "--batch", 8, "--lr", 0.1, "--threads", 1, "--out", tmp_path / "other")
    text = program.run("evolution", tmp_path / "other", "--probe", "test:0-9", "--count", 4, "-o", tmp_path / "e.csv").stdout
    assert "lazy ratio" in text and "The loss of the probe changed by" in text
    told = program.run_json("evolution", tmp_path / "other", "--probe", "test:0-9", "--steps", "0,3,9-10")
    assert [m["step"] for m in told["moments"]] == [0, 3, 9, 10]
    assert len((tmp_path / "e.csv").read_text().splitlines()) == 5
    assert "four inputs or more" in program.run("evolution", tmp_path / "other", "--probe", "test:0-2", code=3).stderr


def test_the_program_looks_first_where_it_will_write(tmp_path):
    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 1, "--batch", 8, "--threads", 1, "--out", tmp_path / "run")
    assert "there is no folder" in program.run("tangent", tmp_path / "run", "--x", "nonsense", "-o", tmp_path / "none" / "K.npy", code=3).stderr
    assert "there is no folder" in program.run("evolution", tmp_path / "run", "--probe", "nonsense", "-o", tmp_path / "none" / "e.csv", code=3).stderr


def test_groups_with_rates_of_their_own_have_no_path_kernel(tmp_path):
    model = mlp()
    optimizer = torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}], lr=0.5)
    run = recorded(tmp_path / "run", model=model, optimizer=optimizer)
    with pytest.raises(pk.InvalidInput, match="different learning rates .0 to 0.5."):
        run.path_kernel(examples(3)[0], progress=False)


def test_what_is_wrong_is_named(tmp_path):
    run = recorded(tmp_path / "run")
    x = examples(3)[0]
    with pytest.raises(pk.InvalidInput, match="form is 'sum'"):
        pk.tangent_kernel(mlp(), x, form="sum")
    with pytest.raises(pk.InvalidInput, match="step 11 was asked for, but .* has 10"):
        run.tangent_kernel(x, at=11)
    with pytest.raises(pk.InvalidInput, match="at is 'end'"):
        run.tangent_kernel(x, at="end")
    assert pk.tangent_kernel(mlp(), x.numpy()).equal(pk.tangent_kernel(mlp(), x))
    with pytest.raises(pk.InvalidInput, match="no inputs"):
        pk.tangent_kernel(mlp(), x[:0])
    with pytest.raises(pk.InvalidInput, match="no parameters that require gradients"):
        pk.tangent_kernel(nn.Flatten(), x)
    with pytest.raises(pk.InvalidInput, match="are allowed; ask for the trace"):
        pk.tangent_kernel(mlp(), x, memory=1000)
