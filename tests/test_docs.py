"""What the documentation shows runs as it stands."""

import re
import sys
import types
from pathlib import Path

import pytest
import torch

from recurra.cells import get_cell
from recurra.compiler.describe import describe
from recurra.compiler.program import make_program
from recurra.compiler.toolchain import find_compiler
from recurra.errors import ArgumentError
from recurra.nn import ConvRecurrent, Recurrent
from recurra.testing import check_cell, list_checks

DOCS = Path(__file__).parents[1] / "docs"


def run_page(name):
    """The names that a page's code defines."""
    found = {}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL):
        exec(block, found)  # noqa: S102 - our own page
    return found


@pytest.fixture
def layers_guide(monkeypatch):
    """The names that the code of docs/layers.md defines, in a module, where pickle finds them."""
    module = types.ModuleType("layers_guide")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in re.findall(r"```python\n(.*?)```", (DOCS / "layers.md").read_text(), re.DOTALL):
        exec(block, module.__dict__)  # noqa: S102 - our own page
    return module


def test_the_cell_of_the_layers_guide_does_what_the_guide_says(layers_guide):
    assert check_cell(layers_guide.Gated) == list_checks()
    assert check_cell(layers_guide.Gated, option="zoneout")
    y, _ = Recurrent(layers_guide.Gated, 3, 8, zoneout=0.1, layer_norm=True)(torch.zeros(5, 2, 3))
    assert y.shape == (5, 2, 8)
    y, _ = ConvRecurrent(layers_guide.Gated, 3, 8)(torch.zeros(5, 2, 3, 4, 4))
    assert y.shape == (5, 2, 8, 4, 4)


def test_the_long_sequence_of_the_layers_guide_is_learnt(layers_guide):
    assert layers_guide.stream.batch_size == 8
    with torch.no_grad():
        y, _ = layers_guide.network(torch.from_numpy(layers_guide.signal[:500, None]))
    errors = (y[100:, 0, 0] - torch.from_numpy(layers_guide.signal[101:501, 0])).abs()
    assert errors.mean() < 0.3  # a network that learnt nothing errs by 0.64


def test_the_code_of_the_shapes_page_runs(capsys):
    found = run_page("shapes.md")
    assert capsys.readouterr().out == "3 torch.Size([6, 3, 9])\nbody: DenseWindow by torch\n"
    assert found["classes"].shape == (4,)
    assert found["strokes"].shape == (30, 4, 3)
    assert found["longer"].answers.shape == (5, 3)
    assert found["curves"].shape == (30, 3, 1)
    assert len(found["written"]) == 3
    assert found["more"].shape == (20, 2)
    assert found["answer"].shape == (450, 1)
    assert (found["alignment"][:, 2, 2:] == 0).all()  # of the row with two steps


def test_the_code_of_the_wavenet_page_runs(capsys):
    found = run_page("wavenet.md")
    assert capsys.readouterr().out == "46\n"
    assert found["wave"].shape == (100,)
    assert 4 < found["loss"] < 8  # of 256 classes, before any training
    assert found["y"].shape == (50, 2, 16)


def test_the_code_of_the_reservoirs_page_runs(capsys):
    found = run_page("reservoirs.md")
    valid, forgotten = map(int, capsys.readouterr().out.split())
    assert valid > 100
    assert 50 < forgotten < 1999
    assert found["network"].readout.ridge == 1e-6
    assert (found["alone"] - found["target"][1000:]).abs().mean() < 0.05
    assert max(found["errors"][-50:]) < 0.05
    assert found["found"].best.error < 0.05
    assert found["losses"][-1] < 0.5 * found["losses"][0]


def test_the_refusal_of_the_layers_guide_is_the_one_that_comes():
    with pytest.raises(ArgumentError) as caught:
        Recurrent("mingru", 3, 8, recurrent_dropout=0.1)
    assert str(caught.value) in (DOCS / "layers.md").read_text()


def test_the_code_of_the_readme_about_layers_runs(monkeypatch):
    module = types.ModuleType("readme")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    page = (DOCS.parent / "README.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", page[page.index("## Recurrent layers") :], re.DOTALL):
        exec(block, module.__dict__)  # noqa: S102 - our own page
    assert module.y.shape == (50, 4, 128)
    assert module.layer(torch.zeros(5, 2, 3))[0].shape == (5, 2, 16)
    assert check_cell(module.Slow) == list_checks()


@pytest.mark.skipif(find_compiler() is None, reason="there is no C compiler")
def test_the_code_of_the_compiler_guide_runs_and_prints_what_the_guide_shows(capsys, monkeypatch):
    module = types.ModuleType("compiler_guide")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    page = (DOCS / "compiler.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, module.__dict__)  # noqa: S102 - our own page
    assert f"```text\n{capsys.readouterr().out.partition('line 1')[0].strip()}" in page
    assert f"gru\n{describe(make_program(get_cell('gru')))}" in page


def test_every_option_is_in_the_guide():
    from recurra.layers.options import RecurrentOptions

    page = (DOCS / "layers.md").read_text()
    assert [name for name in RecurrentOptions.__annotations__ if f"`{name}=" not in page and name != "seed"] == []


def test_the_code_of_the_classification_page_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = run_page("classification.md")
    assert capsys.readouterr().out == "['pos', 'neg']\n"
    assert found["same"].predict_proba(["good"]).tolist() == found["probabilities"].tolist()
    assert found["scores"].accuracy == 1
    assert max(found["said"], key=found["said"].get) == "good"


def test_the_code_of_the_tagging_page_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = run_page("tagging.md")
    assert capsys.readouterr().out == "[['B-person', 'I-person', 'O', 'O', 'B-place']]\n"
    assert found["spans"] == [{"type": "person", "begin": 0, "end": 2, "text": "Dora Bo"}]
    assert found["scores"].spans.micro.f1 == 1
    assert found["same"].predict_lines(["Dora Bo flew"]) == [found["line"]]


def test_the_code_of_the_translation_page_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = run_page("translation.md")
    assert capsys.readouterr().out == "['a child runs.', '', 'a dog laughs.']\na child runs.\n"
    assert found["matrix"].shape == (5, 4)  # the end token, too
    assert found["scores"].exact == 1
    assert found["same"].predict(["ein Mann lacht."]) == ["a man laughs."]


def test_the_code_of_the_language_page_runs(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = run_page("language.md")
    assert capsys.readouterr().out == " sat on the cat.\n"
    assert found["scores"].perplexity < 1.3
    assert found["like"] < found["unlike"] / 5
    assert found["same"].predict([found["lines"][0]]) == [found["like"]]
    assert "".join(found["pieces"]) == found["model"].generate("a dog", tokens=20, temperature=0.8, top_p=0.9, seed=1)
