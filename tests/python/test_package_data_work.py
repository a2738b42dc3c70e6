"""Work on the data from Python: audit, drop, relabel and retrain, compare, TracIn."""

import csv

import numpy as np
import pytest
import torch
import torch.nn as nn
from torch.utils.data import Dataset

import program
from test_package import examples, mlp, pk, recorded, sgd

N = 24
PLANTED = [4, 10, 17]


class Items(Dataset):
    """The same examples, drawn one by one."""

    classes = ["a", "b", "c"]

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i], int(self.y[i])


def with_errors(dtype=torch.float32):
    """Three clusters, three labels of which are wrong."""
    g = torch.Generator().manual_seed(3)
    y = torch.arange(N) % 3
    x = torch.randn(N, 5, generator=g, dtype=dtype) * 0.3 + 2 * torch.eye(3, 5, dtype=dtype)[y]
    y[PLANTED] = (y[PLANTED] + 1) % 3
    return x, y


def clean(n, dtype=torch.float32):
    x, y = with_errors(dtype)
    y[PLANTED] = (y[PLANTED] + 2) % 3
    return x[:n] + 0.05, y[:n]


@pytest.mark.parametrize("as_items", [False, True])
def test_audit_ranks_by_what_was_done_to_the_queries_loss(tmp_path, as_items):
    data = Items(*with_errors(torch.float64)) if as_items else with_errors(torch.float64)
    run = recorded(tmp_path / "run", model=mlp(torch.float64), data=data, epochs=6)
    queries = clean(9, torch.float64)
    audit = run.audit(queries, stride=1, checkpoints=2, progress=False)
    whole = run.explain(queries, "loss", aggregate="mean", progress=False)
    assert np.allclose(audit.methods["path"], whole.contributions[:, 0], rtol=1e-10, atol=1e-14)
    classes = run.explain(queries, "loss", aggregate="by-class", progress=False)
    assert np.allclose(audit.by_class, classes.contributions, rtol=1e-10, atol=1e-14)
    assert np.array_equal(audit.methods["path_worst_class"], audit.by_class.max(1))
    module = run._trained.network.module
    with torch.no_grad():
        z = module(with_errors(torch.float64)[0])
        assert np.allclose(audit.methods["final_loss"], nn.functional.cross_entropy(z, with_errors()[1], reduction="none").numpy(), rtol=1e-9)
    assert np.array_equal(audit.predicted, z.argmax(1).numpy())
    found = audit.detection(PLANTED, k=[1, 3])
    roc = pytest.importorskip("sklearn.metrics").roc_auc_score
    planted = np.isin(np.arange(N), PLANTED)
    for name, scores in audit.methods.items():
        assert found[name].auc == pytest.approx(roc(planted, scores))
        assert found[name].precision == [float(planted[audit.ranked(name)[:k]].mean()) for k in (1, 3)]


def test_suspects_are_written_for_people_and_for_programs(tmp_path):
    run = recorded(tmp_path / "run", data=Items(*with_errors()), epochs=6)
    audit = run.audit(clean(9), progress=False)
    folder = audit.save(tmp_path / "audit", by="final_loss", count=5)
    rows = list(csv.DictReader((folder / "suspects.csv").open()))
    assert [int(row["example"]) for row in rows] == audit.ranked("final_loss")[:5].tolist()
    assert rows[0]["label"] in "abc" and float(rows[0]["final_loss"]) == pytest.approx(audit.methods["final_loss"].max(), rel=1e-5)
    assert "final_loss" in (folder / "suspects.html").read_text()
    with pytest.raises(pk.InvalidInput, match="is not empty"):
        audit.save(folder)
    with pytest.raises(pk.InvalidInput, match="no method 'best'; one of path"):
        audit.ranked("best")
    with pytest.raises(pk.InvalidInput, match="example 24"):
        audit.detection([24])


def test_the_programs_audit_is_the_packages(tmp_path):
    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 3, "--batch", 8, "--lr", 0.1, "--threads", 1, "--dtype", "double", "--out", tmp_path / "run")
    program.run("audit", tmp_path / "run", "--stride", 1, "--checkpoints", 2, "--count", 40, "--out", tmp_path / "audit")
    rows = {int(row["example"]): row for row in csv.DictReader((tmp_path / "audit" / "suspects.csv").open())}
    model = nn.Sequential()
    for k, layer in enumerate((nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))):
        model.add_module(str(k), layer)
    x, y, qx, qy = (torch.from_numpy(np.load(data / f"{part}.npy")) for part in ("train_x", "train_y", "test_x", "test_y"))
    names = [name for name, _ in model.named_parameters()]
    recorded_names = [name for name, _ in pk._engine.Recording(str(tmp_path / "run")).parameters(0)]
    if names != recorded_names:
        model = nn.Sequential()
        for name, layer in zip(dict.fromkeys(n.rsplit(".", 1)[0] for n in recorded_names), (nn.Linear(6, 8), nn.Linear(8, 3))):
            model.add_module(name, layer)
            if len(model) == 1:
                model.add_module("between", nn.ReLU())
    run = pk.open(tmp_path / "run", model=model.double(), data=(x.float(), y))
    audit = run.audit((qx, qy), stride=1, checkpoints=2, progress=False)
    for name, scores in audit.methods.items():
        assert np.allclose([float(rows[i][name]) for i in range(40)], scores, rtol=1e-5, atol=1e-9), name


@pytest.mark.parametrize("as_items", [False, True])
def test_relabelled_and_trained_again(tmp_path, as_items):
    x, y = with_errors()
    data = Items(x, y) if as_items else (x, y)
    run = recorded(tmp_path / "wrong", data=data)
    right = y.clone()
    right[PLANTED] = (right[PLANTED] + 2) % 3
    by_name = {i: "abc"[int(right[i])] if as_items else int(right[i]) for i in PLANTED}
    mended = run.retrain(tmp_path / "mended", relabel=by_name, progress=False)
    never_wrong = recorded(tmp_path / "right", data=Items(x, right) if as_items else (x, right))
    assert mended.logged(mended.steps - 1)["hash"] == never_wrong.logged(never_wrong.steps - 1)["hash"] != run.logged(run.steps - 1)["hash"]
    assert mended.verify(progress=False) == mended.steps
    # with the data of before, or as they are now
    for again in (data, (x, right)) if not as_items else (data,):
        model = mlp()
        opened = pk.open(tmp_path / "mended", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=again)
        assert opened.verify(progress=False) == mended.steps
        assert np.array_equal(opened.explain(x[:4], progress=False).by_class, mended.explain(x[:4], progress=False).by_class)
    back = mended.retrain(tmp_path / "back", relabel={i: "abc"[int(y[i])] if as_items else int(y[i]) for i in PLANTED}, progress=False)
    assert back.logged(back.steps - 1)["hash"] == run.logged(run.steps - 1)["hash"]
    with pytest.raises(pk.InvalidInput, match="none of the"):
        run.retrain(tmp_path / "no", relabel={3: 7})
    with pytest.raises(pk.InvalidInput, match="example 24"):
        run.retrain(tmp_path / "no", relabel={24: 0})
    for drop in (3, None, ["a"]):
        with pytest.raises(pk.InvalidInput, match="run.retrain: .* a list of whole numbers"):
            run.retrain(tmp_path / "no", drop=drop)
    with pytest.raises(pk.InvalidInput, match="the set 'a' has an input twice"):
        run.explain(x[:4], aggregate={"a": [1, 1]})
    assert not (tmp_path / "no").exists()


def test_comparisons_that_say_nothing_are_refused(tmp_path):
    x, y = with_errors()
    run = recorded(tmp_path / "run", data=(x, y))
    relabelled = run.retrain(tmp_path / "relabelled", relabel={3: 1, 7: 2}, progress=False)
    for other in (run, run.retrain(tmp_path / "dropped", drop=[3, 5], progress=False)):
        with pytest.raises(pk.InvalidInput, match="had another label for example 3"):
            pk.compare(relabelled, other, x[:4])
    with pytest.raises(pk.InvalidInput, match="holds scores"):
        pk.compare(run, relabelled, (x[:4], y[:4]), ledger=run.tracin((x[:4], y[:4]), checkpoints=1, progress=False))
    losses = run.explain((x[:4], y[:4]), "loss", progress=False)
    with pytest.raises(pk.InvalidInput, match="the ledger measures loss"):
        pk.compare(run, relabelled, (x[:4], y[:4]), "log-odds", ledger=losses)
    own = run.explain((x[:4], y[:4]), lambda outputs, batch: outputs[:, 0], progress=False)
    with pytest.raises(pk.InvalidInput, match="a function of yours; give measure= as well"):
        pk.compare(run, relabelled, (x[:4], y[:4]), ledger=own)
    assert "loss" in pk.compare(run, relabelled, (x[:4], y[:4]), ledger=losses).queries[0].measurement
    both = pk.compare(run, run.retrain(tmp_path / "both", drop=[3], relabel={3: 1}, progress=False), x[:4])
    assert both.dropped == [3] and both.relabelled == [] and all(q.relabelled_contributed == 0 for q in both.queries)


def test_an_audit_that_cannot_be_is_refused_at_once(tmp_path):
    run = recorded(tmp_path / "run")
    x, y = examples(6, seed=2)
    for labels, match in ((y + 3, "go from 3 to 5, but there are 3 classes"), (y + 1, "go from 1 to 3"), (None, "one class label each"), (y.double(), "one class label each")):
        with pytest.raises(pk.InvalidInput, match=match):
            run.audit((x, labels) if labels is not None else x, progress=False)
    audit = run.audit((x, y), progress=False)
    for wrong in ({"top": 0}, {"count": -1}, {"count": "a"}):
        with pytest.raises(pk.InvalidInput, match="a whole number above 0"):
            audit.save(tmp_path / "audit", **wrong)
    assert not (tmp_path / "audit").exists()


def test_numbers_are_relabelled_too(tmp_path):
    x, _ = examples(dtype=torch.float64)
    y = x.sum(1, keepdim=False)
    model = nn.Sequential(nn.Linear(5, 1), nn.Flatten(0)).double()
    run = recorded(tmp_path / "run", model=model, data=(x, y), loss=nn.MSELoss())
    other = run.retrain(tmp_path / "other", relabel={2: 7.5}, progress=False)
    assert other.manifest["relabelled"] == [{"example": 2, "label": "7.5"}]
    assert other.verify(progress=False) == run.steps


@pytest.mark.parametrize("as_items", [False, True])
def test_numbers_in_a_column_of_their_own_are_relabelled(tmp_path, as_items):
    x, _ = examples(dtype=torch.float64)
    y = x.sum(1, keepdim=True)
    torch.manual_seed(0)
    model = nn.Linear(5, 1).double()
    run = recorded(tmp_path / "run", model=model, data=[(a, b) for a, b in zip(x, y)] if as_items else (x, y), loss=nn.MSELoss())
    other = run.retrain(tmp_path / "other", relabel={2: 7.5}, progress=False)
    assert other.verify(progress=False) == run.steps
    torch.manual_seed(0)
    by_hand = recorded(tmp_path / "hand", model=nn.Linear(5, 1).double(), data=(x, torch.where(torch.arange(24)[:, None] == 2, 7.5, y)), loss=nn.MSELoss())
    assert [other.logged(s)["hash"] for s in range(10)] == [by_hand.logged(s)["hash"] for s in range(10)]


def test_nothing_changed_gives_the_same_bits(tmp_path):
    run = recorded(tmp_path / "run")
    again = run.retrain(tmp_path / "again", progress=False)
    assert again.logged(again.steps - 1)["hash"] == run.logged(run.steps - 1)["hash"]


def test_compared_with_what_really_changed(tmp_path):
    run = recorded(tmp_path / "run", model=mlp(torch.float64), data=examples(dtype=torch.float64))
    queries = examples(6, seed=9, dtype=torch.float64)
    other = run.retrain(tmp_path / "without", drop=[3, 8], progress=False)
    def third_logit(outputs, batch):
        return outputs[:, 2]

    for measure in ("margin", third_logit):
        ledger = run.explain(queries, measure, progress=False)
        found = pk.compare(run, other, queries, measure)
        assert found.dropped == [3, 8] and found.relabelled == []
        for q, row in enumerate(found.queries):
            assert row.dropped_contributed == pytest.approx(ledger.contributions[[3, 8], q].sum(), rel=1e-9)
            assert row.before == pytest.approx(ledger.final[q], rel=1e-9)
        later = pk.compare(run, other, queries, measure, ledger=ledger)
        assert [r.change for r in later.queries] == [r.change for r in found.queries]
    after = mlp(torch.float64)  # the network of the other run
    last = dict(pk._engine.Recording(str(tmp_path / "without")).parameters(other.steps))
    after.load_state_dict(last)
    with torch.no_grad():
        assert np.allclose([r.after for r in found.queries], after(queries[0])[:, 2].numpy(), rtol=1e-12)
    expected = np.corrcoef([-r.dropped_contributed for r in found.queries], [r.change for r in found.queries])[0, 1]
    assert found.correlation == pytest.approx(expected)
    assert "it is not what its removal does" in str(found) and found.queries[0].input in str(found)
    with pytest.raises(pk.InvalidInput, match="no repetition"):
        pk.compare(run, recorded(tmp_path / "stranger", model=nn.Sequential(nn.Linear(5, 3)).double(), data=examples(dtype=torch.float64)), queries)
    with pytest.raises(pk.InvalidInput, match="belong to a ledger that is made on the way"):
        pk.compare(run, other, queries, ledger=ledger, rule="left")


@pytest.mark.parametrize("measure", ["loss", lambda outputs, batch: outputs[:, 1] ** 2])
def test_tracin_is_the_gradients_product(tmp_path, measure):
    x, y = examples(dtype=torch.float64)
    run = recorded(tmp_path / "run", model=mlp(torch.float64), data=(x, y), checkpoint_every=1000)
    qx, qy = examples(4, seed=2, dtype=torch.float64)
    scores = run.tracin((qx, qy), measure, checkpoints=1, progress=False)
    module = mlp(torch.float64)
    module.load_state_dict(dict(pk._engine.Recording(str(tmp_path / "run")).parameters(run.steps)))

    def gradient(value):
        return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(module.parameters()))])

    g = torch.stack([gradient(nn.functional.cross_entropy(module(x[i:i + 1]), y[i:i + 1])) for i in range(N)])
    m = (lambda z, q: nn.functional.cross_entropy(z, qy[q:q + 1])) if measure == "loss" else (lambda z, q: z[0, 1] ** 2)
    h = torch.stack([gradient(m(module(qx[q:q + 1]), q)) for q in range(4)])
    assert np.allclose(scores.contributions, (-0.1 * g @ h.T).numpy(), rtol=1e-10, atol=1e-14)
    assert "scores, not an account" in str(scores.certificate)
    with pytest.warns(UserWarning, match="100 checkpoints are asked for, and the run has 1 after its beginning; tracin takes those"):
        fewer = run.tracin((qx, qy), measure, checkpoints=100, progress=False)
    assert np.array_equal(fewer.contributions, scores.contributions)
    mean = run.tracin((qx, qy), measure, checkpoints=1, aggregate="mean", progress=False)
    assert np.allclose(mean.contributions[:, 0], scores.contributions.mean(1), rtol=1e-9, atol=1e-14)


def test_plan_takes_what_explain_takes(tmp_path):
    run = recorded(tmp_path / "run")
    assert run.plan(examples(3, seed=1), "margin", stride=2)["queries"] == 3
    with pytest.raises(TypeError, match="strides"):
        run.plan(examples(3, seed=1), strides=2)
