"""The notebooks in examples/ run from their first cells to their last."""

import pytest

import tfnst
from tests.helpers import ROOT, TINY, picture
from tfnst.images.manifest import read_manifest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")


@pytest.fixture
def folder(tmp_path):
    """A folder with pictures."""
    for name, seed in (("a", 1), ("b", 2), ("s", 3)):
        tfnst.save_image(picture(40, 52, seed=seed), tmp_path / f"{name}.png")
    return tmp_path


def read(name, changes):
    """A notebook with other parameters, and its cells of code."""
    notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = [c for c in cells if "parameters" in c.metadata.get("tags", ())]
    for each in changes:
        assert each in parameters.source
    parameters.source += "\n" + "\n".join(f"{k} = {v!r}" for k, v in changes.items())
    return notebook, cells


def kaggles(folder, config):
    """The parameters of Kaggle's notebook."""
    return {
        "CONTENTS": [str(folder / "a.png"), str(folder / "b.png")],
        "STYLES": [str(folder / "s.png")],
        "SETTINGS": config.to_dict(),
        "INPUT": str(folder),
        "OUTPUT": str(folder / "out"),
    }


def colabs(folder, config):
    """The parameters of Colab's notebook."""
    return {
        "CONTENT": str(folder / "a.png"),
        "STYLE": str(folder / "s.png"),
        "SETTINGS": config.to_dict(),
        "OUTPUT": str(folder / "painted.png"),
    }


@pytest.mark.parametrize(
    ("name", "parameters", "painted"),
    [
        ("kaggle.ipynb", kaggles, ["out/a_s.png", "out/b_s.png"]),
        ("colab.ipynb", colabs, ["painted.png"]),
    ],
)
def test_the_cells_run_one_after_the_other(folder, name, parameters, painted):
    config = TINY.replace(steps=1, initial_steps=1)
    _, cells = read(name, parameters(folder, config))
    names = {}
    for cell in cells:
        exec(compile(cell.source, name, "exec"), names)
    for each in painted:
        assert read_manifest(folder / each)["settings"] == config.to_dict()


@pytest.fixture
def run(monkeypatch):
    """Runs a notebook with other parameters in a kernel; returns its cells of code."""
    # A kernel is another Python, whose own warnings are not ours.
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)

    def run(name, changes):
        notebook, cells = read(name, changes)
        client = nbclient.NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}
        )
        client.execute()
        outputs = [output for cell in cells for output in cell.outputs]
        assert not [output for output in outputs if output.output_type == "error"]
        return cells

    return run


@pytest.mark.slow
def test_kaggles_notebook_runs(run, folder):
    cells = run("kaggle.ipynb", kaggles(folder, TINY))
    shown = [o for o in cells[-1].outputs if o.output_type == "display_data"]
    assert len(shown) == 2
    assert all("image/png" in output.data for output in shown)
    for name in ("a_s.png", "b_s.png"):
        manifest = read_manifest(folder / "out" / name)
        assert manifest["settings"]["size"] == 48


@pytest.mark.slow
def test_colabs_notebook_runs(run, folder):
    cells = run("colab.ipynb", colabs(folder, TINY))
    (result,) = [o for o in cells[-2].outputs if o.output_type == "execute_result"]
    assert "image/png" in result.data
    live = [o for o in cells[-2].outputs if o.output_type == "display_data"]
    assert any("data:image/" in o.data.get("text/html", "") for o in live)
    manifest = read_manifest(folder / "painted.png")
    assert manifest["settings"] == TINY.to_dict()
