"""What the package shows is what it names, and every module says what it is for."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import recurra

MODULES = sorted(
    name for _, name, _ in pkgutil.walk_packages(recurra.__path__, "recurra.") if not name.endswith("__main__")
)


def test_the_public_names():
    assert recurra.__all__ == [
        "Cell",
        "Forecaster",
        "LanguageModel",
        "Notice",
        "RecurraError",
        "SequenceTagger",
        "State",
        "TextClassifier",
        "TrainingSettings",
        "Translator",
        "UserError",
        "__version__",
        "diagnose",
        "engine",
    ]


@pytest.mark.parametrize("name", MODULES)
def test_modules_name_what_they_offer_and_document_it(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is for"
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        own = getattr(value, "__module__", "").startswith("recurra")
        assert value.__doc__ or not own or not callable(value), f"{name}.{public} has no docstring"


def test_an_import_brings_no_optional_or_slow_dependency():
    slow = ("statsmodels", "plotly", "pandas", "pyarrow", "matplotlib", "tokenizers", "torchmetrics", "sacrebleu")
    program = f"import sys, recurra; print(*(m for m in {slow} if m in sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert found == []
