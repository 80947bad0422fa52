"""examples/kaggle.ipynb runs from its first cell to its last."""

import pytest

import tfnst
from tests.helpers import ROOT, TINY, picture
from tfnst.images.manifest import read_manifest

pytestmark = pytest.mark.slow

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")


def test_the_notebook_runs(tmp_path, monkeypatch):
    # A kernel is another Python, whose own warnings are not ours.
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    for name, seed in (("a", 1), ("b", 2), ("s", 3)):
        tfnst.save_image(picture(40, 52, seed=seed), tmp_path / f"{name}.png")
    notebook = nbformat.read(ROOT / "examples" / "kaggle.ipynb", as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (parameters,) = [c for c in cells if "parameters" in c.metadata.get("tags", ())]
    changes = {
        "CONTENTS": [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
        "STYLES": [str(tmp_path / "s.png")],
        "SETTINGS": TINY.to_dict(),
        "INPUT": str(tmp_path),
        "OUTPUT": str(tmp_path / "out"),
    }
    for name in changes:
        assert name in parameters.source
    parameters.source += "\n" + "\n".join(f"{k} = {v!r}" for k, v in changes.items())
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}
    )
    client.execute()
    assert not [
        output
        for cell in cells
        for output in cell.outputs
        if output.output_type == "error"
    ]
    shown = [o for o in cells[-1].outputs if o.output_type == "display_data"]
    assert len(shown) == 2
    assert all("image/png" in output.data for output in shown)
    for name in ("a_s.png", "b_s.png"):
        manifest = read_manifest(tmp_path / "out" / name)
        assert manifest["settings"]["size"] == 48
