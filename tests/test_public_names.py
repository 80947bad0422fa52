"""Public names: the same in the packages and on the page of the docs."""

import importlib
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT


def documented():
    """Names on docs/api.md by package."""
    text = (ROOT / "docs" / "api.md").read_text()
    names = {}
    for package, name in re.findall(r"^- `([\w.]+)\.(\w+)`$", text, re.MULTILINE):
        names.setdefault(package, []).append(name)
    return names


@pytest.mark.parametrize("package", documented())
def test_packages_offer_what_the_page_lists(package):
    module = importlib.import_module(package)
    names = sorted(documented()[package])
    assert module.__all__ == names
    for name in names:
        assert getattr(module, name) is not None
    assert set(names) <= set(dir(module))
    with pytest.raises(AttributeError, match=f"^module '{package}' has no attribute"):
        _ = module.no_such_name


def test_no_other_package_offers_names():
    for path in (ROOT / "tfnst").glob("*/__init__.py"):
        package = f"tfnst.{path.parent.name}"
        if package not in documented():
            # Some check the backend before their modules load Keras.
            text = path.read_text().strip()
            assert not text or text.endswith("\nrequire_tensorflow()"), path
            assert "__all__" not in text, path


@pytest.mark.parametrize(
    "package", sorted({*documented()} - {"tfnst.client", "tfnst.server"})
)
def test_importing_a_package_loads_nothing_heavy(package):
    code = (
        f"import sys, {package}\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'PIL', 'grpc'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
