"""The benchmarks measure what they claim to."""

import json

import pytest

from benchmarks import large


def test_a_large_picture_is_measured(capsys):
    measured = large.run(
        megapixels=0.02,
        max_memory=None,
        steps=3,
        precision="float32",
        backbone="vgg16",
    )
    assert measured["megapixels"] == pytest.approx(0.02, rel=0.02)
    assert measured["seconds"] > 0
    assert 0.1 < measured["peak"] < 64
    assert not measured["plan"]["head_side"]
    assert "0.02" in large.row(json.loads(json.dumps(measured)))


def test_pytorchs_step_gives_the_same_losses():
    pytest.importorskip("torch")
    from benchmarks import versus_pytorch

    config = versus_pytorch.StyleTransferConfig(weights=None, precision="float32")
    cases = [
        versus_pytorch.tfnst_case(config, 64),
        versus_pytorch.torch_case(config, 64, versus_pytorch.torch.channels_last),
    ]
    versus_pytorch.compare_losses(cases)
