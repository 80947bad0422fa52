"""The notebooks in examples/ run from their first cells to their last."""

import pytest

import tfnst
from tests.helpers import ROOT, TINY, picture
from tfnst.images.manifest import read_manifest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook with other parameters; returns its cells of code."""
    # A kernel is another Python, whose own warnings are not ours.
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    for name, seed in (("a", 1), ("b", 2), ("s", 3)):
        tfnst.save_image(picture(40, 52, seed=seed), tmp_path / f"{name}.png")

    def run(name, changes):
        notebook = nbformat.read(ROOT / "examples" / name, as_version=4)
        nbformat.validate(notebook)
        cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        (parameters,) = [c for c in cells if "parameters" in c.metadata.get("tags", ())]
        for each in changes:
            assert each in parameters.source
        parameters.source += "\n" + "\n".join(
            f"{k} = {v!r}" for k, v in changes.items()
        )
        client = nbclient.NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(ROOT)}}
        )
        client.execute()
        outputs = [output for cell in cells for output in cell.outputs]
        assert not [output for output in outputs if output.output_type == "error"]
        return cells

    return run


def test_kaggles_notebook_runs(run, tmp_path):
    cells = run(
        "kaggle.ipynb",
        {
            "CONTENTS": [str(tmp_path / "a.png"), str(tmp_path / "b.png")],
            "STYLES": [str(tmp_path / "s.png")],
            "SETTINGS": TINY.to_dict(),
            "INPUT": str(tmp_path),
            "OUTPUT": str(tmp_path / "out"),
        },
    )
    shown = [o for o in cells[-1].outputs if o.output_type == "display_data"]
    assert len(shown) == 2
    assert all("image/png" in output.data for output in shown)
    for name in ("a_s.png", "b_s.png"):
        manifest = read_manifest(tmp_path / "out" / name)
        assert manifest["settings"]["size"] == 48


def test_colabs_notebook_runs(run, tmp_path):
    cells = run(
        "colab.ipynb",
        {
            "CONTENT": str(tmp_path / "a.png"),
            "STYLE": str(tmp_path / "s.png"),
            "SETTINGS": TINY.to_dict(),
            "OUTPUT": str(tmp_path / "painted.png"),
        },
    )
    (result,) = [o for o in cells[-2].outputs if o.output_type == "execute_result"]
    assert "image/png" in result.data
    live = [o for o in cells[-2].outputs if o.output_type == "display_data"]
    assert any("data:image/" in o.data.get("text/html", "") for o in live)
    manifest = read_manifest(tmp_path / "painted.png")
    assert manifest["settings"] == TINY.to_dict()
